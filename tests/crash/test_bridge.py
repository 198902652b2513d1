"""A fast slice of ``python -m tests.crash.bridge``: kills, lost answers, zombies, writers, and planted bugs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.crash.bridge import Bench, History, fast_sqlite, killed, passages
from tests.crash.bridge_machine import BridgeMachine
from tests.crash.bridge_race import haunted, lost_answers, rows_arrive, writers
from tests.crash.bridge_teeth import bite
from tests.support.postgres import PostgresServer, postgres_server  # noqa: F401 - fixture

pytestmark = pytest.mark.crash
QUICK = settings(
    max_examples=25, stateful_step_count=15, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
AROUND_COMMIT = ["apply.rows.before", "apply.change.after", "apply.inbox.after", "apply.rows.after"]
AFTER_COMMIT = ["events.finish.before", "events.finish.after", "events.reject.before", "apply.reject.after"]


class SqliteMachine(BridgeMachine):
    worlds = staticmethod(lambda folder: fast_sqlite(Path(folder)))


@pytest.fixture(params=["sqlite", "postgres"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    needed = request.param == "postgres"
    server: PostgresServer | None = request.getfixturevalue("postgres_server") if needed else None
    yield Bench(folder=tmp_path, kind=request.param, server=server)


def test_the_target_equals_the_models_whatever_happens() -> None:
    run_state_machine_as_test(SqliteMachine, settings=QUICK)


def test_a_story_reaches_every_crash_point_of_the_sync(tmp_path: Path) -> None:
    assert {f"{name}.after" for name in _effects()} <= set(passages(Bench(folder=tmp_path), 1))


@pytest.mark.parametrize("point", AROUND_COMMIT)
def test_a_worker_that_is_killed_around_commit_does_nothing_twice(bench: Bench, point: str) -> None:
    history = killed(bench, History(seed=1, point=point, passage=2))
    assert history.violations == []
    assert history.reached


@pytest.mark.parametrize("point", AFTER_COMMIT)
def test_a_worker_that_is_killed_afterwards_leaves_the_queue_behind_the_inbox(tmp_path: Path, point: str) -> None:
    bench = Bench(folder=tmp_path)
    history = killed(bench, History(seed=1, point=point, passage=1))
    assert history.violations == []
    assert history.reached


@pytest.mark.parametrize("point", ["apply.rows.before", "apply.rows.after", "events.claim.after"])
def test_a_worker_that_wakes_up_late_does_no_harm(bench: Bench, point: str) -> None:
    history = haunted(bench, History(seed=1, point=point, passage=2))
    assert history.violations == []
    assert history.reached


def test_answers_to_commit_that_do_not_come(bench: Bench) -> None:
    _, lost, violations = lost_answers(bench, 20)
    assert violations == []
    assert lost >= 20


@pytest.mark.postgres
def test_rows_that_arrive_before_a_delete_count(postgres_server: PostgresServer, tmp_path: Path) -> None:  # noqa: F811
    assert rows_arrive(Bench(folder=tmp_path, kind="postgres", server=postgres_server)) == []


@pytest.mark.postgres
def test_writers_that_lock_each_other_out_come_to_their_end(
    postgres_server: PostgresServer, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    _, violations = writers(Bench(folder=tmp_path, kind="postgres", server=postgres_server), count=8, events=1)
    assert violations == []


@pytest.mark.parametrize("bug", ["mark before commit", "no inbox", "priority alone"])
def test_planted_bugs_are_caught(bug: str, tmp_path: Path) -> None:
    caught, _ = bite(Bench(folder=tmp_path), bug)
    assert caught, bug


def _effects() -> set[str]:
    from tests.crash import registry

    return {name for name in registry.points() if name.startswith(("apply.", "events."))}

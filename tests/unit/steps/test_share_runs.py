"""What the ledger's events say of a run of shares: one state, in the order in which things happen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model import codec
from icebridge_provider.model.event import LedgerEvent, Outcome, Step
from icebridge_provider.model.share import SHARE, Share
from icebridge_provider.model.snowflake import Place
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.share_runs import Status, opened, run, runs, together
from tests.support.ledgers import sqlite_ledger

NOW = datetime(2026, 11, 21, tzinfo=UTC)
STORY: list[tuple[Step, Outcome, dict[str, Any], Status]] = [
    (Step.PLAN, Outcome.DONE, {}, Status.PENDING),
    (Step.EXPORT, Outcome.STARTED, {"try": 1}, Status.EXPORTING),
    (Step.EXPORT, Outcome.PROGRESS, {"what": "export", "query_id": "q1"}, Status.EXPORTING),
    (Step.EXPORT, Outcome.FAILED, {"message": "the warehouse is gone", "retryable": True}, Status.FAILED),
    (Step.EXPORT, Outcome.STARTED, {"try": 2}, Status.EXPORTING),
    (Step.EXPORT, Outcome.DONE, {"rows": 7, "bytes": 70}, Status.EXPORTED),
    (Step.LOAD, Outcome.STARTED, {"generation": 1}, Status.LOADING),
    (Step.LOAD, Outcome.FAILED, {"message": "cancelled by maria", "cancelled": True}, Status.CANCELLED),
    (Step.LOAD, Outcome.PROGRESS, {"what": "copy"}, Status.LOADING),
    (Step.LOAD, Outcome.DONE, {"rows": 6, "limited": "at most 6 rows"}, Status.SUCCESS),
]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqlLedger]:
    made = sqlite_ledger(tmp_path)
    yield made
    made.engine.dispose()


def plan(ledger: SqlLedger, run_id: str, *source: str, **more: Any) -> Share:
    place = Place(target=("DB", "PUBLIC", "T"), stage=("DB", "P", "S"), stage_root="s3://b", control=("DB", "C"))
    share = Share(
        run_id=run_id, source=source or ("main", "sales", "orders"), place=place, location="s3://b", columns=(), **more
    )
    ledger.save_document(SHARE, share.document, codec.to_json(share))
    return share


def say(ledger: SqlLedger, run_id: str, table: str, step: Step, outcome: Outcome, **data: Any) -> None:
    ledger.append(LedgerEvent(plan_id=run_id, table=table, step=step, outcome=outcome, data=data))


def test_the_last_event_decides(ledger: SqlLedger) -> None:
    opened(ledger, "r", NOW)
    share = plan(ledger, "r")
    for number, (step, outcome, data, status) in enumerate(STORY, 1):
        say(ledger, "r", share.name, step, outcome, **data)
        found = run(ledger, "r")
        assert found is not None
        assert (found.status, len(found.logs)) == (status, number)
        assert found.tables[0].problem == (data["message"] if status in {Status.FAILED, Status.CANCELLED} else "")
    assert (found.rows, found.tables[0].bytes, found.limited) == (6, 70, "at most 6 rows")
    assert found.created_at == "2026-11-21T00:00:00+00:00"


def test_a_run_is_known_from_its_opening_on_and_keeps_its_time(ledger: SqlLedger) -> None:
    assert run(ledger, "r") is None
    opened(ledger, "r", NOW)
    assert opened(ledger, "r", NOW + timedelta(days=1)) == NOW.isoformat()
    found = run(ledger, "r")
    assert found is not None
    assert (found.status, found.tables, found.logs, found.updated_at) == (Status.PENDING, (), (), found.created_at)


def test_a_plan_that_was_refused_fails_its_run(ledger: SqlLedger) -> None:
    opened(ledger, "r", NOW)
    say(ledger, "r", "", Step.PLAN, Outcome.FAILED, message="no such table")
    found = run(ledger, "r")
    assert found is not None
    assert found.status is Status.FAILED
    assert found.logs[0].endswith(" plan failed: no such table")


def test_two_tables_whose_names_look_alike_are_told_apart(ledger: SqlLedger) -> None:
    opened(ledger, "r", NOW)
    one, other = plan(ledger, "r", "a.b", "c", "d"), plan(ledger, "r", "a", "b.c", "d")
    say(ledger, "r", one.name, Step.LOAD, Outcome.DONE, rows=5)
    found = run(ledger, "r")
    assert found is not None
    assert {item.name: item.status for item in found.tables} == {one.name: Status.SUCCESS, other.name: Status.PENDING}
    assert (found.status, found.rows) == (Status.LOADING, 5)


def test_the_newest_runs_come_first_and_others_events_are_not_theirs(ledger: SqlLedger) -> None:
    for number in range(5):
        opened(ledger, f"r{number}", NOW + timedelta(minutes=number))
        plan(ledger, f"r{number}")
    plan(ledger, "r4/x", "main", "sales", "other")
    say(ledger, "r4", "lake.t", Step.COPY, Outcome.FAILED, message="a migration with the same id")
    found = runs(ledger, 3)
    assert [item.id for item in found] == ["r4", "r3", "r2"]
    assert (len(found[0].tables), found[0].logs, found[0].status) == (1, (), Status.PENDING)


def test_a_list_has_the_last_lines_only(ledger: SqlLedger) -> None:
    opened(ledger, "r", NOW)
    share = plan(ledger, "r")
    for number in range(5):
        say(ledger, "r", share.name, Step.LOAD, Outcome.PROGRESS, what=f"copy {number}")
    assert [line[-6:] for line in runs(ledger, 1, 2)[0].logs] == ["copy 3", "copy 4"]


@pytest.mark.parametrize("limit", [0, -1, 201])
def test_a_number_of_runs_is_between_one_and_two_hundred(ledger: SqlLedger, limit: int) -> None:
    with pytest.raises(ConfigurationError, match="IB-960"):
        runs(ledger, limit)


def test_a_run_has_succeeded_only_when_all_its_tables_have() -> None:
    for one, other in product(Status, Status):
        found = together([one, other])
        assert found is together([other, one])
        assert (found is Status.SUCCESS) is (one is other is Status.SUCCESS)
        assert (found is Status.FAILED) is (Status.FAILED in {one, other})
        if one is other:
            assert found is one
    assert together([]) is Status.PENDING
    assert together([Status.EXPORTED, Status.PENDING]) is Status.EXPORTING
    assert together([Status.SUCCESS, Status.PENDING]) is Status.LOADING
    assert together([Status.EXPORTING, Status.LOADING]) is Status.LOADING


def test_the_log_tells_what_was_done_to_the_table(ledger: SqlLedger) -> None:
    opened(ledger, "r", NOW)
    share = plan(ledger, "r")
    published = {"before": 5, "after": 2, "inserted": 2, "updated": 0, "deleted": 5}
    say(ledger, "r", share.name, Step.LOAD, Outcome.DONE, rows=2, files=1, published=published)
    found = run(ledger, "r")
    assert found is not None
    told = "2 rows, 1 files, 2 inserted, 5 deleted, the table had 5 rows and has 2"
    assert found.logs[0].endswith(f"load done {share.name}: {told}")

"""What a run says of itself is recorded once a change, and decides nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from icebridge_provider.engines.databricks.files import TableProgress
from icebridge_provider.model.event import Actor, Outcome, Step
from icebridge_provider.steps.history import begun_copy, last_run
from icebridge_provider.steps.run_progress import RunProgress
from tests.support.elsewhere import RemoteMigration


@pytest.fixture
def m(tmp_path: Path) -> RemoteMigration:
    return RemoteMigration(tmp_path)


def progress(m: RemoteMigration) -> RunProgress:
    return RunProgress(m.ledger, m.plan, Step.COPY, Actor(origin="triggerer"))


def told(m: RemoteMigration, state: str, name: str = "T__icebridge_p1") -> list[TableProgress]:
    return [TableProgress(staged=("main", "Lake", name), state=state, rows=7)]


def test_a_change_is_recorded_once(m: RemoteMigration) -> None:
    telling = progress(m)
    source = str(m.table.source)
    assert telling.take(told(m, "copying"), "5").endswith(f"now {source}")
    assert telling.take(told(m, "copying"), "5") == ""
    assert telling.take(told(m, "done"), "5") == "1 of 1 tables that were begun are over (1 done)"
    states = [event.data["run_state"] for event in m.events(Step.COPY, Outcome.PROGRESS)]
    assert states == ["copying", "done"]


def test_tables_that_the_plan_does_not_know_are_left_out(m: RemoteMigration) -> None:
    assert progress(m).take(told(m, "done", "other"), "5") == ""
    assert m.events(Step.COPY, Outcome.PROGRESS) == []


def test_a_late_word_of_an_old_run_is_not_taken_for_the_run_of_a_new_attempt(m: RemoteMigration) -> None:
    key = str(m.table.source)
    m.site.record(m.plan.plan_id, key, Step.COPY, Outcome.STARTED, {"pin": 1})
    m.site.record(m.plan.plan_id, key, Step.COPY, Outcome.PROGRESS, {"run_id": "old"})
    m.site.record(m.plan.plan_id, key, Step.COPY, Outcome.FAILED, {"message": "lost", "retryable": True})
    m.site.record(m.plan.plan_id, key, Step.COPY, Outcome.STARTED, {"pin": 2})
    progress(m).take(told(m, "failed"), "old")
    events = list(m.ledger.events(m.plan.plan_id, key))
    assert begun_copy(events) == {"pin": 2}
    assert last_run(events) == "old", "the page that a person wants to see"

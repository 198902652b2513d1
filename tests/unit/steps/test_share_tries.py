"""How the ledger's events add up to a try, and which files one statement wrote."""

from __future__ import annotations

from typing import Any

import pytest

from icebridge_provider.model.event import LedgerEvent, Outcome, Step
from icebridge_provider.steps.share_export import writers
from icebridge_provider.steps.share_tries import last_try

UUIDS = ("6a6e0a63-1b7c-4c8e-9d1a-0f1e2d3c4b5a", "7b6e0a63-1b7c-4c8e-9d1a-0f1e2d3c4b5a")


def event(outcome: Outcome, number: int, step: Step = Step.EXPORT, **data: Any) -> LedgerEvent:
    key = {Step.EXPORT: "try", Step.LOAD: "generation"}[step]
    return LedgerEvent(plan_id="r", table="t", step=step, outcome=outcome, data={key: number, **data}, at="later")


def started(number: int, step: Step = Step.EXPORT) -> LedgerEvent:
    return event(Outcome.STARTED, number, step, at=f"at {number}")


def noted(number: int, **data: Any) -> LedgerEvent:
    return event(Outcome.PROGRESS, number, **data)


def failed(number: int, *, retryable: bool) -> LedgerEvent:
    return event(Outcome.FAILED, number, retryable=retryable)


def test_before_the_first_there_is_none_and_steps_do_not_mix() -> None:
    assert last_try([], Step.EXPORT) is None
    assert last_try([started(1)], Step.LOAD) is None
    found = last_try([started(3, Step.LOAD), started(1)], Step.LOAD)
    assert found is not None
    assert (found.number, found.started_at) == (3, "at 3")


def test_a_failed_call_leaves_the_try_unless_it_failed_for_good() -> None:
    query = noted(1, statement="export", query_id="q1")
    found = last_try([started(1), query, failed(1, retryable=True)], Step.EXPORT)
    assert found is not None
    assert (found.over, found.failed, found.queries) == (False, True, {"export": "q1"})
    again = last_try([started(1), query, failed(1, retryable=True), event(Outcome.STARTED, 1, at="x")], Step.EXPORT)
    assert again is not None
    assert (again.failed, again.started_at, again.queries) == (False, "at 1", {"export": "q1"})
    for end in (failed(1, retryable=False), noted(1, over=True)):
        over = last_try([started(1), query, end], Step.EXPORT)
        assert over is not None
        assert over.over
    new = last_try([started(1), query, failed(1, retryable=False), started(2)], Step.EXPORT)
    assert new is not None
    assert (new.number, new.over, new.queries) == (2, False, {})


def test_what_an_older_try_says_late_does_not_count() -> None:
    found = last_try([started(1), started(2), noted(1, over=True), failed(1, retryable=False)], Step.EXPORT)
    assert found is not None
    assert (found.number, found.over, found.failed) == (2, False, False)


def test_lost_answers_are_counted_by_statement() -> None:
    lost = [noted(1, statement="sums", query_id="q"), noted(1, forget="sums", lost="sums")]
    found = last_try([started(1), *lost, *lost, noted(1, statement="count", query_id="c")], Step.EXPORT)
    assert found is not None
    assert (found.queries, found.lost) == ({"count": "c"}, {"sums": 2})


@pytest.mark.parametrize(
    "pattern", ["part-{n:05d}-{u}-c000.snappy.parquet", "part-{n:05d}-tid-81-{u}-7-1-c000.snappy.parquet"]
)
def test_files_of_one_statement_share_a_name(pattern: str) -> None:
    names = [pattern.format(n=number, u=UUIDS[0]) for number in range(3)]
    assert len(writers(names)) == 1
    assert len(writers([*names, pattern.format(n=1, u=UUIDS[1])])) == 2
    assert writers(["other.parquet", "_SUCCESS"]) == set()

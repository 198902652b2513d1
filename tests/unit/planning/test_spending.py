"""Runs out of the ledger's events, and what they cost as far as the bill has arrived."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icebridge_provider.model.event import LedgerEvent, Outcome, Step
from icebridge_provider.model.plan import ClusterRates, Rates
from icebridge_provider.planning.spending import Billed, Run, days_twice, runs_of, shares, spent_on, storing_twice

RATES = ClusterRates(nodes=2, photon=True, dbu_per_node_hour=1.0, photon_factor=3.0, price_per_dbu=0.10,
                     node_per_hour=0.50)  # fmt: skip
START = datetime(2026, 1, 1, tzinfo=UTC)


def at(hours: float) -> str:
    return (START + timedelta(hours=hours)).isoformat()


def event(hours: float, table: str, outcome: Outcome, run: str = "", step: Step = Step.COPY) -> LedgerEvent:
    data = {"run_id": run} if run else {}
    return LedgerEvent(plan_id="p", table=table, step=step, outcome=outcome, data=data, at=at(hours))


def run_of(hours: float | None) -> Run:
    return Run(run_id="1", tables=("a", "b"), started=at(0), ended="" if hours is None else at(hours))


def test_a_run_goes_on_until_its_last_table_is_over() -> None:
    begun = [event(0, "a", Outcome.STARTED), event(0, "a", Outcome.PROGRESS, "1"), event(0, "b", Outcome.PROGRESS, "1")]
    [run] = runs_of([*begun, event(1, "a", Outcome.DONE)])
    assert (run.tables, run.started, run.ended) == (("a", "b"), at(0), "")
    assert run.seconds(START + timedelta(hours=2)) == 7200
    [run] = runs_of([*begun, event(1, "a", Outcome.DONE), event(3, "b", Outcome.FAILED)])
    assert (run.ended, run.seconds(START + timedelta(hours=9))) == (at(3), 3 * 3600)


@pytest.mark.parametrize(
    "after", [event(2, "a", Outcome.PROGRESS, "2"), event(2, "a", Outcome.DONE, step=Step.ROLLBACK),
              event(2, "a", Outcome.REFUSED)],
)  # fmt: skip
def test_a_run_that_another_took_over_or_that_was_undone_costs_no_more(after: LedgerEvent) -> None:
    first = runs_of([event(0, "a", Outcome.PROGRESS, "1"), after])[0]
    assert (first.run_id, first.ended) == ("1", at(2))


def test_progress_that_names_no_run_and_other_steps_are_none() -> None:
    assert runs_of([event(0, "a", Outcome.PROGRESS), event(0, "", Outcome.PROGRESS, "1", Step.PLAN)]) == []


def test_by_the_hour_until_the_bill_comes() -> None:
    spent = spent_on(run_of(2), None, RATES, START)
    assert (spent.dbus, round(spent.dbu_cost, 6), spent.instance_cost, spent.known) == (12.0, 1.2, 2.0, False)


@pytest.mark.parametrize(
    ("ended", "until", "dbus", "cost", "expected"),
    [
        (2, at(2), 5.0, 0.40, (5.0, 0.40, True)),  # all of it is there: the bill is right, whatever was reckoned
        (2, at(1), 5.0, 0.40, (12.0, 1.2, False)),  # an hour is missing: not less than by the hour
        (2, at(1), 50.0, 9.0, (50.0, 9.0, False)),  # what has come is the least it costs
        (None, at(2), 5.0, 0.40, (5.0, 0.5, False)),  # it still goes on; no hour has passed by the clock
        (2, at(2), 5.0, None, (5.0, 0.5, True)),  # no list price: DBUs at the plan's own rate
    ],
)
def test_what_has_arrived_counts(
    ended: float | None, until: str, dbus: float, cost: float | None, expected: tuple[float, float, bool]
) -> None:
    spent = spent_on(run_of(ended), Billed(dbus=dbus, cost=cost, until=until), RATES, START)
    assert (spent.dbus, pytest.approx(spent.dbu_cost), spent.known) == expected


@pytest.mark.parametrize(
    ("until", "asked", "all_there"),
    [
        (2.0, 2.5, True),
        (1.9, 2.5, True),  # the record ends within an hour: the cluster ended there, and was seen to have 6 min later
        (1.0, 2.5, False),  # a full hour: the next may be on its way
        (1.0, 25.9, False),
        (1.0, 26.0, True),  # a day later nothing is on its way
        (0.5, 2.5, False),  # seen so late that something may lie between
    ],
)
def test_whether_all_has_arrived(until: float, asked: float, all_there: bool) -> None:
    billed = Billed(dbus=1.0, cost=1.0, until=at(until), asked=at(asked))
    assert billed.covers(run_of(2)) is all_there
    assert not billed.covers(run_of(None))


def test_the_bill_says_whether_it_was_photon() -> None:
    spent = spent_on(run_of(1), Billed(dbus=1.0, cost=0.1, photon=False), RATES, START)
    assert (spent.photon, spent.dbus) == (False, 2.0)


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 10**15)))
def test_shares_add_up_to_the_whole(sizes: dict[str, int]) -> None:
    found = shares(Run(run_id="1", tables=("a", "b", "c"), started=at(0)), sizes)
    assert sum(found.values()) == pytest.approx(1.0)
    assert set(found) == {"a", "b", "c"}


def test_storage_is_paid_twice_from_copy_to_purge() -> None:
    def days(*events: LedgerEvent) -> Any:
        return days_twice(events, START + timedelta(days=10))

    copied, purged = event(0, "a", Outcome.DONE), event(48, "a", Outcome.DONE, step=Step.PURGE)
    assert (days(), days(copied), days(copied, purged)) == (0, 10, 2)
    assert days(copied, event(24, "a", Outcome.DONE, step=Step.SYNC), purged) == 2
    assert storing_twice(10**12, Rates(storage_per_gb_month=0.03), 15) == pytest.approx(15.0)

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from icebridge_provider.model.event import LedgerEvent, Outcome, State, Step
from icebridge_provider.plugins.api.metrics import KEPT_SECONDS, Metrics, Totals
from icebridge_provider.state.ledger import SqlLedger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqlLedger]:
    made = SqlLedger(f"sqlite:///{tmp_path}/ledger.db")
    made.migrate()
    yield made
    made.engine.dispose()


def event(table: str, step: Step, outcome: Outcome = Outcome.DONE, plan: str = "p", **data: Any) -> LedgerEvent:
    return LedgerEvent(plan_id=plan, table=table, step=step, outcome=outcome, data=data)


def values(text: bytes) -> dict[tuple[str, str], float]:
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def scrape(metrics: Metrics) -> dict[tuple[str, str], float]:
    return values(metrics.text())


def test_sums_by_state_and_failures_by_step(ledger: SqlLedger) -> None:
    copied = {"bytes_copied": 1000, "rows": 10}
    ledger.append_many(
        [
            event("c.n.a", Step.PLAN),
            event("c.n.a", Step.COPY, **copied),
            event("c.n.b", Step.COPY, **copied),
            event("c.n.b", Step.VALIDATE),
            event("c.n.c", Step.COPY, Outcome.FAILED, message="no"),
            event("c.n.c", Step.COPY, Outcome.FAILED, message="no"),
            event("c.n.a", Step.COPY, plan="q", **copied),
            event("", Step.PLAN, plan="q"),
        ]
    )
    found = scrape(Metrics(lambda: ledger))
    assert found["icebridge_up", ""] == 1
    assert found["icebridge_plans", ""] == 2
    assert found["icebridge_tables", "copied"] == 2
    assert found["icebridge_tables", "validated"] == 1
    assert found["icebridge_bytes", "copied"] == 2000
    assert found["icebridge_rows", "validated"] == 10
    assert found["icebridge_failures_total", "copy"] == 2
    assert found["icebridge_last_event_timestamp_seconds", ""] == pytest.approx(time.time(), abs=60)


def test_labels_are_states_and_steps_whatever_the_tables_are_called(ledger: SqlLedger) -> None:
    ledger.append_many([event(f"c.n.t{number}", Step.COPY, plan=f"p{number}") for number in range(300)])
    labels = {label for _, label in scrape(Metrics(lambda: ledger))}
    ends = {"done", "failed", "refused"}
    assert labels <= {"", *ends, *(state.value for state in State), *(step.value for step in Step)}


def test_bridge_events_are_counted_and_are_no_tables(ledger: SqlLedger) -> None:
    outcomes = [Outcome.STARTED, Outcome.DONE, Outcome.STARTED, Outcome.DONE, Outcome.FAILED, Outcome.REFUSED]
    lines = [event(f"e{number}", Step.APPLY, outcome, plan="sync:orders") for number, outcome in enumerate(outcomes)]
    ledger.append_many([*lines, event("e9", Step.APPROVE, Outcome.DONE, plan="sync:orders")])
    found = scrape(Metrics(lambda: ledger))
    assert [found["icebridge_sync_events_total", end] for end in ("done", "failed", "refused")] == [2, 1, 1]
    assert (found["icebridge_plans", ""], sum(found["icebridge_tables", state.value] for state in State)) == (0, 0)
    assert found["icebridge_failures_total", "apply"] == 0


def test_a_scrape_is_kept_for_five_seconds(ledger: SqlLedger) -> None:
    now = [0.0]
    metrics = Metrics(lambda: ledger, lambda: now[0])
    before = metrics.text()
    ledger.append(event("c.n.a", Step.COPY))
    assert metrics.text() is before
    now[0] = KEPT_SECONDS
    assert scrape(metrics)["icebridge_tables", "copied"] == 1


def test_reading_on_equals_reading_anew(ledger: SqlLedger) -> None:
    steps = [Step.PLAN, Step.COPY, Step.VALIDATE, Step.CERTIFY, Step.CUT_OVER, Step.ROLLBACK]
    going = Totals()
    for step in steps:
        ledger.append_many([event(f"c.n.t{number}", step, rows=number) for number in range(7)])
        going.read(ledger)
        anew = Totals()
        anew.read(ledger)
        assert [f.samples for f in going.families()] == [f.samples for f in anew.families()]


def test_another_ledger_in_its_place_is_read_from_the_start(ledger: SqlLedger, tmp_path: Path) -> None:
    other = SqlLedger(f"sqlite:///{tmp_path}/other.db")
    other.migrate()
    ledger.append_many([event(f"c.n.t{number}", Step.COPY) for number in range(5)])
    other.append_many([event(f"c.n.o{number}", Step.VALIDATE) for number in range(9)])
    opened = [ledger]
    now = [0.0]
    metrics = Metrics(lambda: opened[0], lambda: now[0])
    assert scrape(metrics)["icebridge_tables", "copied"] == 5
    opened[0], now[0] = other, KEPT_SECONDS
    found = scrape(metrics)
    assert (found["icebridge_tables", "copied"], found["icebridge_tables", "validated"]) == (0, 9)
    other.engine.dispose()


def test_a_ledger_that_is_down_is_a_metric_not_an_error(tmp_path: Path) -> None:
    empty = SqlLedger(f"sqlite:///{tmp_path}/empty.db")
    assert scrape(Metrics(lambda: empty)) == {("icebridge_up", ""): 0}

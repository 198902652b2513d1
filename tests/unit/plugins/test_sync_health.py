"""The probes of the event syncs, over a real ledger."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from icebridge_provider.plugins.api.app import create_app
from icebridge_provider.plugins.api.sync_health import SyncHealth, Watched
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.event_watch import Journal, Look, silent_after

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SYNCS: Watched = [("orders", 10.0), ("stock", 3600.0)]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqlLedger]:
    made = SqlLedger(f"sqlite:///{tmp_path}/ledger.db")
    made.migrate()
    yield made
    made.engine.dispose()


def looked(ledger: SqlLedger, sync: str, ago: float, problem: str = "") -> None:
    Journal(ledger).keep(Look(sync=sync, problem=problem), 0.0, NOW - timedelta(seconds=ago))


def answers(ledger: Any, syncs: Watched = SYNCS) -> tuple[bool, bool, bool]:
    health = SyncHealth(lambda: ledger, lambda: syncs, now=lambda: NOW)
    return health.live(), health.ready(), health.started()


def test_without_syncs_all_is_well_and_the_ledger_is_not_asked() -> None:
    assert answers(None, []) == (True, True, True)


def test_a_sync_that_nobody_has_looked_at_has_not_started(ledger: SqlLedger) -> None:
    looked(ledger, "orders", 5)
    assert answers(ledger) == (False, False, False)


def test_each_sync_has_its_own_time_to_be_looked_at(ledger: SqlLedger) -> None:
    looked(ledger, "orders", 5)
    looked(ledger, "stock", 3700)
    assert answers(ledger) == (True, True, True)
    looked(ledger, "orders", silent_after(10.0) + 1)
    assert answers(ledger) == (False, False, True)


def test_a_problem_is_live_but_not_ready(ledger: SqlLedger) -> None:
    looked(ledger, "orders", 5, problem="the warehouse does not answer")
    looked(ledger, "stock", 5)
    assert answers(ledger) == (True, False, True)


def test_what_cannot_be_read_is_not_well() -> None:
    def broken() -> Watched:
        raise RuntimeError("syncs.yaml:3:1")

    health = SyncHealth(lambda: None, broken)
    assert (health.live(), health.ready(), health.started()) == (False, False, False)


@pytest.mark.parametrize(("syncs", "status"), [([], 200), (SYNCS, 503)])
def test_the_routes_say_no_more_than_the_others(syncs: Watched, status: int, ledger: SqlLedger) -> None:
    client = TestClient(create_app(lambda: ledger, lambda: None, lambda: syncs))
    for path in ("live", "ready", "startup"):
        answer = client.get(f"/health/sync/{path}")
        assert (answer.status_code, set(answer.json())) == (status, {"status"})

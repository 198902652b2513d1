"""The ledger: single appends with a lease, folds of a large plan, the check of the chain; SQLite and PostgreSQL."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace

from icebridge_provider.model.event import Actor, LedgerEvent, Outcome, Step
from icebridge_provider.state.ledger import SqlLedger
from tests.support.postgres import running

EVENT = LedgerEvent(
    plan_id="plan",
    table="lake.sales.orders",
    step=Step.COPY,
    outcome=Outcome.DONE,
    actor=Actor(who="maria", origin="icebridge_migrate/run7/copy/1 on host"),
    data={"metadata_location": "s3://lake/sales/orders/metadata/00001.json", "rows": 10**9, "moved": True},
)
STEPS = (Step.PREFLIGHT, Step.PLAN, Step.COPY, Step.VALIDATE, Step.CERTIFY, Step.CUT_OVER)


def main(arguments: list[str]) -> None:
    fast = "--fast" in arguments
    with tempfile.TemporaryDirectory() as folder, running() as server:
        for name, url in (("sqlite", f"sqlite:///{folder}/ledger.db"), ("postgres", server.new_database())):
            measure(name, url, appends=100 if fast else 2000, tables=200 if fast else 10_000)


def measure(name: str, url: str, appends: int, tables: int) -> None:
    ledger = SqlLedger(url)
    ledger.migrate()
    lease = ledger.acquire("lake.sales.orders", "bench", 600)
    spent = _timed(lambda: [ledger.append(EVENT, lease) for _ in range(appends)])
    _line(f"{name}: durable appends, one a transaction, under a lease", appends / spent, "events/s", 500)
    many = [
        replace(EVENT, plan_id="large", table=f"lake.sales.t{n:05}", step=step) for step in STEPS for n in range(tables)
    ]
    spent = _timed(lambda: ledger.append_many(many))
    _line(f"{name}: appends in one transaction", len(many) / spent, "events/s", 2000)
    spent = _timed(lambda: ledger.states("large"))
    _line(f"{name}: states of {tables:,} tables", spent, "s", 5, at_most=True)
    spent = _timed(lambda: ledger.state("large", "lake.sales.t00007"))
    _line(f"{name}: state of one table among them", spent * 1000, "ms", 20, at_most=True)
    spent = _timed(ledger.verify_chain)
    _line(f"{name}: check of the chain", (len(many) + appends) / spent, "events/s", 10_000)
    ledger.close()


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _line(name: str, value: float, unit: str, goal: float, *, at_most: bool = False) -> None:
    holds = value <= goal if at_most else value >= goal
    print(json.dumps({"name": name, "value": round(value, 3), "unit": unit, "goal": goal, "holds": holds}))


if __name__ == "__main__":
    main(sys.argv[1:])

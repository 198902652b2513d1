"""Ledgers for tests, and events to put into them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from icebridge_provider.model.event import Actor, LedgerEvent, Outcome, Step
from icebridge_provider.state.ledger import SqlLedger

PLAN = "p1"
TABLE = "lake.sales.orders"


def sqlite_ledger(folder: Path) -> SqlLedger:
    """A migrated ledger in a file of its own."""
    ledger = SqlLedger(f"sqlite:///{folder}/ledger.db")
    ledger.migrate()
    return ledger


def an_event(step: Step = Step.COPY, outcome: Outcome = Outcome.DONE, **data: Any) -> LedgerEvent:
    """An event of the table ``lake.sales.orders`` in plan ``p1``."""
    actor = Actor(who="maria", origin="dag icebridge_migrate, run 7, task copy, try 1")
    return LedgerEvent(plan_id=PLAN, table=TABLE, step=step, outcome=outcome, actor=actor, data=data)

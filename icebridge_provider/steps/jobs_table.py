"""Mirrors the state of tables into the jobs table, where the user asked for one. The ledger stays the record."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.model.event import LedgerEvent, Outcome, fold
from icebridge_provider.model.plan import MigrationPlan, TablePlan
from icebridge_provider.planning.spending import COPYING
from icebridge_provider.steps.site import Site

DOCUMENT = "jobs_table"
LONGEST_PROBLEM = 1000
_LOG = logging.getLogger(__name__)


def mirror(site: Site, plan: MigrationPlan, tables: Sequence[TablePlan]) -> bool:
    """Write where the tables are into the jobs table; whether it was written.

    A migration never waits for it and never fails by it: what goes wrong is told once a plan (IB-465), and the next
    write brings everything.
    """
    if site.jobs_table is None or not tables:
        return False
    try:
        wanted = {str(table.source) for table in tables}
        events: dict[str, list[LedgerEvent]] = {}
        for event in site.ledger.events(plan.plan_id):
            if event.table in wanted:
                events.setdefault(event.table, []).append(event)
        rows = [row_of(plan, table, events.get(str(table.source), [])) for table in tables]
        site.jobs_table.write(rows)
    except IceBridgeError as error:
        _tell_once(site, plan, error)
        return False
    return True


def row_of(plan: MigrationPlan, table: TablePlan, events: Sequence[LedgerEvent]) -> dict[str, Any]:
    """Return one table's row; times are the ledger's, ``event`` is the number of the newest one."""
    state = fold(events, plan.plan_id, str(table.source))
    copies = [event for event in events if event.step in COPYING]
    return {
        "plan_id": plan.plan_id,
        "source_table": str(table.source),
        "target_table": str(table.target),
        "wave": table.wave,
        "method": table.method.value,
        "state": state.state.value,
        "run_id": _newest(event.data.get("run_id") for event in copies),
        "rows": state.copy.get("rows"),
        "bytes": state.copy.get("bytes_copied"),
        "snapshot_id": state.copy.get("source_snapshot_id"),
        "problem": state.problem[:LONGEST_PROBLEM] or None,
        "copy_started_at": _newest(event.at for event in copies if event.outcome is Outcome.STARTED),
        "copy_ended_at": _newest(event.at for event in copies if event.outcome in {Outcome.DONE, Outcome.FAILED}),
        "event": events[-1].seq if events else 0,
        "updated_at": events[-1].at if events else None,
    }


def _newest(values: Iterable[Any]) -> Any:
    found = [value for value in values if value]
    return found[-1] if found else None


def _tell_once(site: Site, plan: MigrationPlan, error: IceBridgeError) -> None:
    if site.ledger.document(DOCUMENT, plan.plan_id) is not None:
        return
    text = (
        f"IB-465 The jobs table cannot be written: {error} The migration goes on without it; the next step writes "
        "everything that is missing."
    )
    _LOG.warning("%s", text)
    with side_effect("jobs_table.tell"):
        site.ledger.save_document(DOCUMENT, plan.plan_id, {"code": "IB-465", "message": text})

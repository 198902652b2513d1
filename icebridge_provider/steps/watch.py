"""Looks whether somebody still writes to a source that was cut over."""

from __future__ import annotations

from typing import Any

from icebridge_provider.model.event import Outcome, State, Step, TableState
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import MigrationPlan, TablePlan
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.planning.cutover import ARCHIVE
from icebridge_provider.steps.certify import writers_of
from icebridge_provider.steps.site import Site

FINDING = "source_moved_after_cutover"


def watch_table(site: Site, plan: MigrationPlan, table: TablePlan) -> dict[str, Any]:
    """Compare the source's head with the one that was copied; a new head is recorded once, with its writer.

    :returns: ``finding`` (empty when all is well), ``snapshot_id``, ``writers``.
    """
    key = str(table.source)
    state = site.ledger.state(plan.plan_id, key)
    if state.state is not State.CUT_OVER:
        return {"finding": ""}
    loaded, message = _moved(site, table, state)
    if loaded is None:
        return {"finding": ""}
    data: dict[str, object] = {
        "finding": FINDING,
        "snapshot_id": loaded.current_snapshot_id,
        "writers": writers_of(loaded),
        "message": f"{message}; those rows are not in {table.target}.",
        "remedy": f"Point the writer to {table.target}, bring its rows over, or roll back.",
    }
    known = [event.data for event in site.ledger.events(plan.plan_id, key) if event.step is Step.WATCH]
    if not any(item.get("snapshot_id") == loaded.current_snapshot_id for item in known):
        site.record(plan.plan_id, key, Step.WATCH, Outcome.DONE, data)
    return data


def _moved(site: Site, table: TablePlan, state: TableState) -> tuple[LoadedTable | None, str]:
    """Return the source that was written, archived or made anew under its old name; None when all is well."""
    archived = next((action["inverse"]["table"] for action in state.applied if action["action"] == ARCHIVE), None)
    loaded = site.source.load(TableIdentifier.parse(archived) if archived else table.source)
    if loaded is not None and loaded.current_snapshot_id != state.copy.get("source_snapshot_id"):
        return loaded, f"{loaded.identifier} was written after the cut-over"
    anew = site.source.load(table.source) if archived else None
    return anew, f"{table.source} is there again: a writer made it anew after the cut-over"

"""Undoes a migration of one table from wherever it stands."""

from __future__ import annotations

from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.event import Outcome, State, Step, TableState
from icebridge_provider.model.plan import MigrationPlan, TablePlan
from icebridge_provider.planning.cutover import PUBLISH
from icebridge_provider.steps.actions import undo
from icebridge_provider.steps.lease import HeldLease, lease_on
from icebridge_provider.steps.site import Site

NOTHING_TO_UNDO = frozenset({State.DISCOVERED, State.REFUSED, State.PLANNED, State.ROLLED_BACK})


def rollback_table(site: Site, plan: MigrationPlan, table: TablePlan) -> dict[str, Any]:
    """Take the cut-over back, then remove the copy; what was used as the table is kept under its staged name.

    The source comes first: it has its name again before the copy gives its own up.

    :returns: ``undone`` (actions), ``kept`` (the staged name, when the copy was in use), ``already``.
    :raises ConfigurationError: IB-630 when the archived source was purged: then there is nothing to go back to.
    """
    key = str(table.source)
    with lease_on(site, table) as held:
        state = site.ledger.state(plan.plan_id, key)
        if state.state is State.PURGED:
            raise ConfigurationError(
                "IB-630",
                f"{key} was purged; its rows are only in {table.target} now.",
                remedy="Migrate it back with source and target exchanged.",
                table=key,
            )
        if state.state in NOTHING_TO_UNDO and not state.applied and state.intent is None:
            return {"undone": [], "already": True}
        site.record(plan.plan_id, key, Step.ROLLBACK, Outcome.STARTED, {"from": state.state.value}, held.lease)
        in_use = any(action["action"] == PUBLISH for action in state.applied)
        undone = _undo_all(site, plan, table, state, held)
        kept = str(table.staged) if in_use else ""
        if not in_use:
            _remove_copy(site, plan, table, held)
        data: dict[str, object] = {"undone": undone, "kept": kept}
        site.record(plan.plan_id, key, Step.ROLLBACK, Outcome.DONE, data, held.keep(now=True))
        return {**data, "already": False}


def _undo_all(
    site: Site, plan: MigrationPlan, table: TablePlan, state: TableState, held: HeldLease
) -> list[str]:
    begun = [state.intent] if state.intent else []
    undone = []
    for action in [*begun, *reversed(state.applied)]:
        undo(site, plan, table, action, held)
        undone.append(str(action["action"]))
    return undone


def _remove_copy(site: Site, plan: MigrationPlan, table: TablePlan, held: HeldLease) -> None:
    """Drop the staged entry and delete the folder that only this copy uses."""
    staged = site.target.load(table.staged)
    if staged is not None and staged.properties.get("icebridge.plan-id") != plan.plan_id:
        return
    held.keep(now=True)
    with side_effect("rollback.drop_staged"):
        site.target.drop_entry(table.staged)
    if site.target.load(table.target) is not None and _uses(site, table):
        return
    store = site.target.store()
    for location, _ in list(store.list(table.location)):
        with side_effect("rollback.delete_file"):
            store.delete(location)


def _uses(site: Site, table: TablePlan) -> bool:
    """Whether the table under the final name lives in the copy's folder."""
    loaded = site.target.load(table.target)
    return loaded is not None and str(loaded.metadata.get("location", "")).rstrip("/") == table.location.rstrip("/")

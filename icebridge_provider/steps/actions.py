"""Does, undoes and recognises the journaled actions of a cut-over, from the ledger's words alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.model.event import Outcome, Step
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import MigrationPlan, TablePlan
from icebridge_provider.planning.cutover import SOURCE
from icebridge_provider.ports import Catalog
from icebridge_provider.steps.lease import HeldLease
from icebridge_provider.steps.site import Site


def do(site: Site, plan: MigrationPlan, table: TablePlan, action: Mapping[str, Any], held: HeldLease) -> None:
    """Write the intent with its inverse, act, write that it is done."""
    key = str(table.source)
    site.record(plan.plan_id, key, Step.CUT_OVER, Outcome.INTENT, dict(action), held.keep(now=True))
    site.take_commit()
    with side_effect(f"cut_over.{action['action']}"):
        perform(site, action)
    site.record(plan.plan_id, key, Step.CUT_OVER, Outcome.APPLIED, dict(action), held.lease)


def undo(site: Site, plan: MigrationPlan, table: TablePlan, action: Mapping[str, Any], held: HeldLease) -> None:
    """Take an action back; one that was not done, or is undone already, is success."""
    held.keep(now=True)
    site.take_commit()
    inverse: Mapping[str, Any] = action.get("inverse") or {}
    with side_effect(f"rollback.{action['action']}"):
        if inverse:
            perform(site, inverse)
    site.record(plan.plan_id, str(table.source), Step.ROLLBACK, Outcome.UNDONE, dict(action), held.lease)


def perform(site: Site, action: Mapping[str, Any]) -> None:
    """Make it so; what is so already is left as it is."""
    if "table" not in action:
        return
    catalog, table = _place(site, action)
    if "name" in action:
        renamed = table.named(action["name"])
        if catalog.load(table) is not None or catalog.load(renamed) is None:
            catalog.rename(table, action["name"])
        return
    wanted = dict(action["properties"])
    loaded = catalog.load(table)
    if loaded is None or any(loaded.properties.get(name, "") != value for name, value in wanted.items()):
        catalog.set_properties(table, wanted)


def _place(site: Site, action: Mapping[str, Any]) -> tuple[Catalog, TableIdentifier]:
    catalog = site.source if action["side"] == SOURCE else site.target
    return catalog, TableIdentifier.parse(action["table"])

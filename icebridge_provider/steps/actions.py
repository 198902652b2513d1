"""Does, undoes and recognises the journaled actions of a cut-over, from the ledger's words alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ValidationFailed
from icebridge_provider.model.event import Outcome, Step
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import MigrationPlan, TablePlan
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.planning.cutover import SOURCE, TARGET
from icebridge_provider.ports import Catalog
from icebridge_provider.steps.lease import HeldLease
from icebridge_provider.steps.site import Site


def do(site: Site, plan: MigrationPlan, table: TablePlan, action: Mapping[str, Any], held: HeldLease) -> None:
    """Write the intent with its inverse, act, write that it is done."""
    key = str(table.source)
    site.take_commit()
    site.record(plan.plan_id, key, Step.CUT_OVER, Outcome.INTENT, dict(action), held.keep(now=True))
    with side_effect(f"cut_over.{action['action']}"):
        perform(site, action)
    site.record(plan.plan_id, key, Step.CUT_OVER, Outcome.APPLIED, dict(action), held.lease)


def undo(site: Site, plan: MigrationPlan, table: TablePlan, action: Mapping[str, Any], held: HeldLease) -> None:
    """Take an action back; one that was not done, or is undone already, is success.

    So is the publishing of a copy that somebody dropped since: there is nothing left to unpublish.
    """
    site.take_commit()
    held.keep(now=True)
    inverse: Mapping[str, Any] = action.get("inverse") or {}
    with side_effect(f"rollback.{action['action']}"):
        if inverse and not (inverse["side"] == TARGET and _is_gone(site, inverse)):
            perform(site, inverse)
    site.record(plan.plan_id, str(table.source), Step.ROLLBACK, Outcome.UNDONE, dict(action), held.lease)


def perform(site: Site, action: Mapping[str, Any]) -> None:
    """Make it so; what is so already is left as it is.

    :raises ValidationFailed: IB-625 when another table bears the name of the one that was to be renamed.
    """
    if "table" not in action:
        return
    catalog, table = place(site, action)
    if "name" in action:
        _rename(catalog, table, action)
        return
    wanted = dict(action["properties"])
    loaded = catalog.load(table)
    if loaded is None or any(loaded.properties.get(name, "") != value for name, value in wanted.items()):
        catalog.set_properties(table, wanted)


def place(site: Site, action: Mapping[str, Any]) -> tuple[Catalog, TableIdentifier]:
    """Return the catalog and the table that an action changes."""
    catalog = site.source if action["side"] == SOURCE else site.target
    return catalog, TableIdentifier.parse(action["table"])


def _rename(catalog: Catalog, table: TableIdentifier, action: Mapping[str, Any]) -> None:
    old, new = catalog.load(table), catalog.load(table.named(action["name"]))
    if "uuid" not in action:
        if old is not None or new is None:
            catalog.rename(table, action["name"])
    elif new is not None and _is_meant(new, action):
        if old is not None and old.metadata_location == new.metadata_location:
            catalog.drop_entry(table)  # a catalog that renames by copying the entry was stopped half-way
    elif old is not None and not _is_meant(old, action):
        raise _stranger(table, action)
    else:
        catalog.rename(table, action["name"])


def _is_meant(loaded: LoadedTable | None, action: Mapping[str, Any]) -> bool:
    """Whether this is the table the action was written for; one without a uuid (rebuilt) takes what is there."""
    if loaded is None:
        return False
    return "uuid" not in action or action["uuid"] == loaded.metadata.get("table-uuid")


def _is_gone(site: Site, inverse: Mapping[str, Any]) -> bool:
    if "name" not in inverse:
        return False
    catalog, table = place(site, inverse)
    return not any(_is_meant(catalog.load(name), inverse) for name in (table, table.named(inverse["name"])))


def _stranger(table: TableIdentifier, action: Mapping[str, Any]) -> ValidationFailed:
    return ValidationFailed(
        "IB-625",
        f"{table} is another table now than the one that was to become {action['name']}.",
        remedy=f"Somebody put it there: rename it, or look where the table with uuid {action.get('uuid')} went.",
        changed="It was left as it is.",
        table=str(table),
    )

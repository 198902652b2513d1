"""Does, undoes and recognises the journaled actions of a cut-over, from the ledger's words alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, ValidationFailed
from icebridge_provider.model.access import GrantChange
from icebridge_provider.model.event import Outcome, Step
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import MigrationPlan, TablePlan
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.planning.cutover import SOURCE, TARGET, changes_of
from icebridge_provider.planning.privileges import left_of
from icebridge_provider.ports import AccessControl, Catalog
from icebridge_provider.steps.lease import HeldLease
from icebridge_provider.steps.site import Site

NO_PRINCIPAL = "IB-634"


def do(site: Site, plan: MigrationPlan, table: TablePlan, action: Mapping[str, Any], held: HeldLease) -> None:
    """Write the intent with its inverse, act, write that it is done."""
    key = str(table.source)
    site.take_commit()
    site.record(plan.plan_id, key, Step.CUT_OVER, Outcome.INTENT, dict(action), held.keep(now=True))
    with side_effect(f"cut_over.{action['action']}"):
        perform(site, action)
    site.record(plan.plan_id, key, Step.CUT_OVER, Outcome.APPLIED, dict(action), held.lease)


def undo(site: Site, plan: MigrationPlan, table: TablePlan, action: Mapping[str, Any], held: HeldLease) -> list[str]:
    """Take an action back; one that was not done, or is undone already, is success.

    So is the publishing of a copy that somebody dropped since: there is nothing left to unpublish. Grants of
    principals that are gone are not given back; the event names them as ``without``.

    :returns: those principals.
    :raises ValidationFailed: IB-633 when grants are not back although the catalog said so.
    """
    site.take_commit()
    held.keep(now=True)
    inverse: Mapping[str, Any] = action.get("inverse") or {}
    missing: list[str] = []
    with side_effect(f"rollback.{action['action']}"):
        if inverse and not (inverse["side"] == TARGET and _is_gone(site, inverse)):
            missing = _reverse(site, inverse)
    data = {**action, "without": missing} if missing else dict(action)
    site.record(plan.plan_id, str(table.source), Step.ROLLBACK, Outcome.UNDONE, data, held.lease)
    return missing


def perform(site: Site, action: Mapping[str, Any]) -> None:
    """Make it so; what is so already is left as it is.

    :raises ValidationFailed: IB-625 when another table bears the name of the one that was meant.
    """
    if "table" not in action:
        return
    catalog, table = place(site, action)
    if "name" in action:
        _rename(catalog, table, action)
        return
    if "changes" in action:
        _change(catalog, table, action)
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


def _change(catalog: Catalog, table: TableIdentifier, action: Mapping[str, Any]) -> None:
    if not _is_meant(catalog.load(table), action):
        raise _stranger(table, action)
    access = _access(catalog)
    left = left_of(access.access_of(table), changes_of(action))
    if left:
        access.change(table, left)


def _reverse(site: Site, inverse: Mapping[str, Any]) -> list[str]:
    """Perform an inverse; grants are read back, because what comes next in a rollback relies on them."""
    if "changes" not in inverse:
        perform(site, inverse)
        return []
    missing = _given_back(site, inverse)
    catalog, table = place(site, inverse)
    present = [change for change in changes_of(inverse) if change.principal not in missing]
    left = left_of(_access(catalog).access_of(table), present)
    if left:
        raise _not_back(table, left)
    return missing


def _given_back(site: Site, inverse: Mapping[str, Any]) -> list[str]:
    """Change all grants at once, or one principal at a time if some do not exist any more; return those."""
    try:
        perform(site, inverse)
    except IceBridgeError as error:
        if error.code != NO_PRINCIPAL:
            raise
    else:
        return []
    missing = []
    for change in inverse["changes"]:
        try:
            perform(site, {**inverse, "changes": [change]})
        except IceBridgeError as error:
            if error.code != NO_PRINCIPAL:
                raise
            missing.append(str(change["principal"]))
    return missing


def _access(catalog: Catalog) -> AccessControl:
    access = catalog.access
    if access is None:
        raise ConfigurationError(
            "IB-635",
            f"Catalog {catalog.name!r} keeps no privileges any more, and the cut-over changed some.",
            remedy=f"Give connection {catalog.name!r} the type and extra it had, then run this again.",
            catalog=catalog.name,
        )
    return access


def _is_meant(loaded: LoadedTable | None, action: Mapping[str, Any]) -> bool:
    """Whether this is the table the action was written for; one without a uuid (rebuilt) takes what is there."""
    if loaded is None:
        return False
    return "uuid" not in action or action["uuid"] == loaded.metadata.get("table-uuid")


def _is_gone(site: Site, inverse: Mapping[str, Any]) -> bool:
    catalog, table = place(site, inverse)
    if "changes" in inverse:
        return not _is_meant(catalog.load(table), inverse)
    if "name" not in inverse:
        return False
    return not any(_is_meant(catalog.load(name), inverse) for name in (table, table.named(inverse["name"])))


def _stranger(table: TableIdentifier, action: Mapping[str, Any]) -> ValidationFailed:
    meant = f"was to become {action['name']}" if "name" in action else "had its grants changed"
    return ValidationFailed(
        "IB-625",
        f"{table} is another table now than the one that {meant}.",
        remedy=f"Somebody put it there: rename it, or look where the table with uuid {action.get('uuid')} went.",
        changed="It was left as it is.",
        table=str(table),
    )


def _not_back(table: TableIdentifier, left: Sequence[GrantChange]) -> ValidationFailed:
    return ValidationFailed(
        "IB-633",
        f"Grants on {table} are not as they were, although the catalog took the change: "
        f"{', '.join(change.principal for change in left)}.",
        remedy="Look who else changes grants there, then run the rollback again: it goes on.",
        changed="What was undone before stays undone; readers have the new table as long as this stands.",
        table=str(table),
    )

"""Does, undoes and recognises the journaled actions of a cut-over, from the ledger's words alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, ValidationFailed
from icebridge_provider.model.access import GrantChange, TableAccess
from icebridge_provider.model.event import Outcome, Step
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import MigrationPlan, TablePlan
from icebridge_provider.model.protection import Protections
from icebridge_provider.planning.cutover import SOURCE, TARGET, changes_of, protections_of
from icebridge_provider.planning.privileges import left_of, readers_of
from icebridge_provider.planning.protections import left_to_protect, names_of
from icebridge_provider.ports import AccessControl, Catalog
from icebridge_provider.steps.identity import id_of, is_meant
from icebridge_provider.steps.lease import HeldLease
from icebridge_provider.steps.site import Site

NO_PRINCIPAL = "IB-634"
WITHOUT, PROTECTED = "without", "protected"


def do(
    site: Site,
    plan: MigrationPlan,
    table: TablePlan,
    action: Mapping[str, Any],
    held: HeldLease,
    known: TableAccess | None = None,
) -> None:
    """Write the intent with its inverse, act, write that it is done. Take a commit before: that may wait.

    :param known: access to the action's table as it was read a moment ago; without it, it is read.
    """
    key = str(table.source)
    site.record(plan.plan_id, key, Step.CUT_OVER, Outcome.INTENT, dict(action), held.keep(now=True))
    with side_effect(f"cut_over.{action['action']}"):
        perform(site, action, known)
    site.record(plan.plan_id, key, Step.CUT_OVER, Outcome.APPLIED, dict(action), held.lease)


def undo(
    site: Site, plan: MigrationPlan, table: TablePlan, action: Mapping[str, Any], held: HeldLease
) -> dict[str, list[str]]:
    """Take an action back; one that was not done, or is undone already, is success.

    So is the publishing of a copy that somebody dropped since: there is nothing left to unpublish. Grants of
    principals that are gone are not given back. What limits the readers of the copy stays on it while anybody but its
    owner may read it. Both are in the event too.

    :returns: ``without`` (principals that are gone) and ``protected`` (what stays on the copy, in words), if any.
    :raises ValidationFailed: IB-633 when grants are not back although the catalog said so, IB-636 when protections
        are not off although it said so.
    """
    site.take_commit()
    held.keep(now=True)
    inverse: Mapping[str, Any] = action.get("inverse") or {}
    told: dict[str, list[str]] = {}
    with side_effect(f"rollback.{action['action']}"):
        if inverse and not (inverse["side"] == TARGET and _is_gone(site, inverse)):
            told = _reverse(site, inverse)
    site.record(plan.plan_id, str(table.source), Step.ROLLBACK, Outcome.UNDONE, {**action, **told}, held.lease)
    return told


def perform(site: Site, action: Mapping[str, Any], known: TableAccess | None = None) -> None:
    """Make it so; what is so already is left as it is.

    :raises ValidationFailed: IB-625 when another table bears the name of the one that was meant.
    """
    if "table" not in action:
        return
    if "name" in action:
        _rename(site, action, known)
    elif "changes" in action:
        _change(site, action, known)
    elif "protections" in action:
        _protect(site, action)
    else:
        _set_properties(site, action)


def _set_properties(site: Site, action: Mapping[str, Any]) -> None:
    catalog, table = place(site, action)
    wanted = dict(action["properties"])
    loaded = catalog.load(table)
    if loaded is None or any(loaded.properties.get(name, "") != value for name, value in wanted.items()):
        catalog.set_properties(table, wanted)


def place(site: Site, action: Mapping[str, Any]) -> tuple[Catalog, TableIdentifier]:
    """Return the catalog and the table that an action changes."""
    catalog = site.source if action["side"] == SOURCE else site.target
    return catalog, TableIdentifier.parse(action["table"])


def _rename(site: Site, action: Mapping[str, Any], known: TableAccess | None) -> None:
    catalog, table = place(site, action)
    if known is not None and action["side"] == TARGET and is_meant(known.table_id, action):
        catalog.rename(table, action["name"])  # it had the old name a moment ago
        return
    ids = [id_of(site, action["side"], name) for name in (table, table.named(action["name"]))]
    old, new = ids
    if "uuid" not in action:
        if old is not None or new is None:
            catalog.rename(table, action["name"])
    elif is_meant(new, action):
        if old == new and _same_file(catalog, table, action["name"]):
            catalog.drop_entry(table)  # a catalog that renames by copying the entry was stopped half-way
    elif old is not None and not is_meant(old, action):
        raise _stranger(table, action)
    else:
        catalog.rename(table, action["name"])


def _same_file(catalog: Catalog, table: TableIdentifier, name: str) -> bool:
    old, new = catalog.load(table), catalog.load(table.named(name))
    return old is not None and new is not None and old.metadata_location == new.metadata_location


def _change(site: Site, action: Mapping[str, Any], known: TableAccess | None) -> None:
    catalog, table = place(site, action)
    _refuse_stranger(site, action)
    access = _access(catalog)
    left = left_of(known or access.access_of(table), changes_of(action))
    if left:
        access.change(table, left)


def _protect(site: Site, action: Mapping[str, Any]) -> None:
    """Put protections on; what stands there is read right before, because setting a mask replaces somebody else's."""
    catalog, table = place(site, action)
    access = _access(catalog)
    change = protections_of(action)
    now = access.access_of(table, change.tagged)
    if not is_meant(now.table_id, action):
        raise _stranger(table, action)
    left = left_to_protect(now, change)
    if not left.empty:
        access.protect(table, left)


def _refuse_stranger(site: Site, action: Mapping[str, Any]) -> None:
    """Make sure, right before it is changed, that the table of that name is the one the action was written for."""
    _, table = place(site, action)
    if not is_meant(id_of(site, action["side"], table), action):
        raise _stranger(table, action)


def _reverse(site: Site, inverse: Mapping[str, Any]) -> dict[str, list[str]]:
    """Perform an inverse; access is read back, because what comes next in a rollback relies on it."""
    if "protections" in inverse:
        return _bared(site, inverse)
    if "changes" not in inverse:
        perform(site, inverse)
        return {}
    missing = _given_back(site, inverse)
    catalog, table = place(site, inverse)
    present = [change for change in changes_of(inverse) if change.principal not in missing]
    left = left_of(_access(catalog).access_of(table), present)
    if left:
        raise _not_back(table, left)
    return {WITHOUT: missing} if missing else {}


def _bared(site: Site, inverse: Mapping[str, Any]) -> dict[str, list[str]]:
    """Take off the copy what limits its readers, unless it has any: they would see more than they may."""
    catalog, table = place(site, inverse)
    access, change = _access(catalog), protections_of(inverse)
    now = access.access_of(table, change.tagged)
    left = left_to_protect(now, change)
    if left.empty:
        return {}
    if left.remove.limiting and readers_of(now):
        return {PROTECTED: list(names_of(left.remove))}
    access.protect(table, left)
    still = left_to_protect(access.access_of(table, change.tagged), change)
    if not still.empty:
        raise _not_off(table, still.remove)
    return {}


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


def _is_gone(site: Site, inverse: Mapping[str, Any]) -> bool:
    _, table = place(site, inverse)
    names = [table] if "name" not in inverse else [table, table.named(inverse["name"])]
    if not {"changes", "protections", "name"} & inverse.keys():
        return False
    return not any(is_meant(id_of(site, inverse["side"], name), inverse) for name in names)


def _stranger(table: TableIdentifier, action: Mapping[str, Any]) -> ValidationFailed:
    meant = f"was to become {action['name']}" if "name" in action else "had its grants or protections changed"
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


def _not_off(table: TableIdentifier, left: Protections) -> ValidationFailed:
    return ValidationFailed(
        "IB-636",
        f"{table} still has what the cut-over put on it, although it was taken off: {', '.join(names_of(left))}.",
        remedy="Look who else changes filters, masks or policies there, then run the rollback again: it goes on.",
        changed="What was undone before stays undone; nobody but its owner reads that table.",
        table=str(table),
    )

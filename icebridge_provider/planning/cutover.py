"""The steps of a cut-over, in an order in which readers always find one whole table, each with its inverse.

An action is plain JSON, so that the ledger alone suffices to go on, or to go back, after a crash.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from icebridge_provider.model import codec
from icebridge_provider.model.access import GrantChange
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import TablePlan
from icebridge_provider.model.protection import ProtectionChange
from icebridge_provider.planning.privileges import Swap, inverse
from icebridge_provider.planning.protections import inverse_of
from icebridge_provider.planning.remedies import owner_statement, revoke_statements

PUBLISH, ARCHIVE, POINTER, INSTRUCT = "publish", "archive", "pointer", "instruct"
PROTECT, GRANT, REVOKE = "protect", "grant", "revoke"
SOURCE, TARGET = "source", "target"
MOVED_TO = "icebridge.moved-to"
LONGEST_NAME = 255
Action = dict[str, Any]


def archived_name(source: TableIdentifier, date: str) -> TableIdentifier:
    """Return the name the source gets: ``<table>__archived_<date>``, within the limit for names."""
    suffix = f"__archived_{date}"
    return source.named(source.name[: LONGEST_NAME - len(suffix)] + suffix)


def actions(
    table: TablePlan, *, source_writable: bool, date: str, swap: Swap | None = None, source_grantable: bool = True
) -> tuple[Action, ...]:
    """Return what a cut-over does, in order: the target is published before the source goes.

    What limits the source's readers is put on the copy first, then they are granted it, then it is published; they
    lose the source after that. The target's rows are not touched: what is published is what was proven.

    :param date: UTC date of the approval, ``YYYYMMDD``.
    :param swap: what moves the readers, where both catalogs keep privileges.
    :param source_grantable: whether grants on the source may be revoked; if not its owner is told which.
    """
    moves = swap or Swap()
    revokes = moves.revokes if source_grantable else ()
    limited = () if moves.protections.empty else (protections(table.staged, moves.protections),)
    granted = (grants(GRANT, TARGET, table.staged, moves.grants),) if moves.grants else ()
    taken = (grants(REVOKE, SOURCE, table.source, revokes),) if revokes else ()
    publish = rename(PUBLISH, TARGET, table.staged, table.target)
    if not source_writable:
        text = _instruction(table, date, swap, revoked=source_grantable)
        return *limited, *granted, publish, *taken, {"action": INSTRUCT, "text": text, "inverse": {}}
    archived = archived_name(table.source, date)
    archive = rename(ARCHIVE, SOURCE, table.source, archived)
    pointer = properties(POINTER, SOURCE, archived, {MOVED_TO: str(table.target)}, {MOVED_TO: ""})
    return *limited, *granted, publish, *taken, archive, pointer


def _instruction(table: TablePlan, date: str, swap: Swap | None, *, revoked: bool) -> str:
    name = archived_name(table.source, date).name
    if swap is None:
        wanted = f"revoke access to it or rename it to {name}"
    elif revoked:
        wanted = f"its readers' access is revoked; stop its writers and rename it to {name} where it lives"
    else:
        wanted = "; ".join((*revoke_statements(swap.source, swap.revokes), f"rename it to {name}"))
    owner = owner_statement(swap.owner, table.target.name, swap.target) if swap is not None and swap.owner else ""
    then = f" To make its owner that of the new table too: {owner}" if owner else ""
    return f"{table.source} is read-only for IceBridge. Its owner: {wanted}, and point readers to {table.target}.{then}"


def protections(table: TableIdentifier, change: ProtectionChange) -> Action:
    """Return the action that puts on the copy what limits the readers of the source."""
    back = {"side": TARGET, "table": str(table), "protections": codec.to_json(inverse_of(change))}
    there = {"side": TARGET, "table": str(table), "protections": codec.to_json(change)}
    return {"action": PROTECT, **there, "inverse": back}


def protections_of(action: Mapping[str, Any]) -> ProtectionChange:
    """Return the protections that an action, or its inverse, puts on and takes off.

    :raises ValueError: when they cannot be read.
    """
    return codec.from_json(ProtectionChange, action["protections"])


def grants(action: str, side: str, table: TableIdentifier, changes: Iterable[GrantChange]) -> Action:
    """Return the action that changes grants on a table."""
    listed = list(changes)
    back = {"side": side, "table": str(table), "changes": codec.to_json(inverse(listed))}
    return {"action": action, "side": side, "table": str(table), "changes": codec.to_json(listed), "inverse": back}


def changes_of(action: Mapping[str, Any]) -> tuple[GrantChange, ...]:
    """Return the grants that an action, or its inverse, changes.

    :raises ValueError: when they cannot be read.
    """
    return codec.from_json(tuple[GrantChange, ...], action["changes"])


def rename(action: str, side: str, old: TableIdentifier, new: TableIdentifier) -> Action:
    """Return the action that renames an entry."""
    inverse = {"side": side, "table": str(new), "name": old.name}
    return {"action": action, "side": side, "table": str(old), "name": new.name, "inverse": inverse}


def bound(action: Action, table_uuid: str) -> Action:
    """Return an action that, like its inverse, is meant for one table only, whatever else bears the name later.

    :param table_uuid: its uuid, or the catalog's own id of it, see ``steps/identity.py``.
    """
    return {**action, "uuid": table_uuid, "inverse": {**action["inverse"], "uuid": table_uuid}}


def properties(
    action: str, side: str, table: TableIdentifier, set_to: dict[str, str], back_to: dict[str, str]
) -> Action:
    """Return the action that sets table properties."""
    inverse = {"side": side, "table": str(table), "properties": back_to}
    return {"action": action, "side": side, "table": str(table), "properties": set_to, "inverse": inverse}

"""The steps of a cut-over, in an order in which readers always find one whole table, each with its inverse.

An action is plain JSON, so that the ledger alone suffices to go on, or to go back, after a crash.
"""

from __future__ import annotations

from typing import Any

from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import TablePlan

PUBLISH, ARCHIVE, POINTER, INSTRUCT = "publish", "archive", "pointer", "instruct"
SOURCE, TARGET = "source", "target"
MOVED_TO = "icebridge.moved-to"
LONGEST_NAME = 255
Action = dict[str, Any]


def archived_name(source: TableIdentifier, date: str) -> TableIdentifier:
    """Return the name the source gets: ``<table>__archived_<date>``, within the limit for names."""
    suffix = f"__archived_{date}"
    return source.named(source.name[: LONGEST_NAME - len(suffix)] + suffix)


def actions(table: TablePlan, *, source_writable: bool, date: str) -> tuple[Action, ...]:
    """Return what a cut-over does, in order: the target is published before the source goes.

    The target's metadata is not touched: what is published is byte for byte what was proven.

    :param date: UTC date of the approval, ``YYYYMMDD``.
    """
    publish = rename(PUBLISH, TARGET, table.staged, table.target)
    if not source_writable:
        text = (
            f"{table.source} is read-only for IceBridge. Its owner: revoke access to it or rename it to "
            f"{archived_name(table.source, date).name}, and point readers to {table.target}."
        )
        return publish, {"action": INSTRUCT, "text": text, "inverse": {}}
    archived = archived_name(table.source, date)
    archive = rename(ARCHIVE, SOURCE, table.source, archived)
    pointer = properties(POINTER, SOURCE, archived, {MOVED_TO: str(table.target)}, {MOVED_TO: ""})
    return publish, archive, pointer


def rename(action: str, side: str, old: TableIdentifier, new: TableIdentifier) -> Action:
    """Return the action that renames an entry."""
    inverse = {"side": side, "table": str(new), "name": old.name}
    return {"action": action, "side": side, "table": str(old), "name": new.name, "inverse": inverse}


def bound(action: Action, table_uuid: str) -> Action:
    """Return a renaming that, like its inverse, is meant for one table only, whatever else bears the name later."""
    return {**action, "uuid": table_uuid, "inverse": {**action["inverse"], "uuid": table_uuid}}


def properties(
    action: str, side: str, table: TableIdentifier, set_to: dict[str, str], back_to: dict[str, str]
) -> Action:
    """Return the action that sets table properties."""
    inverse = {"side": side, "table": str(table), "properties": back_to}
    return {"action": action, "side": side, "table": str(table), "properties": set_to, "inverse": inverse}

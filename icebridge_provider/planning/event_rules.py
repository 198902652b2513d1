"""What an event may do and what must be true of it. Pure: every refusal names the object and the remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from icebridge_provider.exceptions import ConfigurationError, PreflightFailed
from icebridge_provider.model.bridge import Access, BridgeEvent, Grant, Operation, Rights, TargetTable, Work
from icebridge_provider.model.identifier import split_parts

OPERATIONS = {item.value for item in Operation}
LONGEST_ID = 255
LONGEST_TEXT = 4000


def check_shape(event: BridgeEvent) -> None:
    """Make sure that an event can be read at all, whatever its tables are.

    :raises ConfigurationError: IB-840 naming what is wrong with it.
    """
    problem = _problem(event)
    if problem:
        raise ConfigurationError(
            "IB-840",
            f"Event {event.event_id[:80]!r} is malformed: {problem}.",
            remedy="Emit it anew under another event_id, as docs/sqlserver.md describes events.",
            event_id=event.event_id[:LONGEST_ID],
        )


def check_permission(event: BridgeEvent, rights: Rights) -> Grant:
    """Return the grant that lets an event's operation through.

    :raises PreflightFailed: IB-842 when there is none.
    """
    grant = rights.on(event.target_table)
    if grant is not None and grant.access in {Access.WRITE, Access.READ_WRITE}:
        return grant
    found = f"has only {grant.access.value!r} on it" if grant else "has no permission for it"
    raise PreflightFailed(
        "IB-842",
        f"{event.operation} on {event.target_table!r} is not allowed: {rights.user!r} {found}.",
        remedy="Give that user access 'write' or 'read_write' to the table, spelled just so, in the permissions file; "
        "then emit the event anew.",
        event_id=event.event_id,
        table=event.target_table,
        user=rights.user,
    )


def check_spelling(event: BridgeEvent, table: TargetTable) -> None:
    """Make sure an event names its table as the target does: order and permissions go by that one spelling.

    :raises PreflightFailed: IB-841.
    """
    if event.target_table != table.path:
        raise PreflightFailed(
            "IB-841",
            f"Event {event.event_id!r} says {event.target_table!r}; the target spells that table {table.path!r}.",
            remedy=f"Emit it anew with target_table {table.path!r}; permissions.yaml spells it the same way.",
            event_id=event.event_id,
        )


def work_of(
    event: BridgeEvent,
    table: TargetTable,
    source_columns: Sequence[str],
    grant: Grant,
    *,
    strict: bool,
    released: int = 0,
) -> tuple[Work, dict[str, str], dict[str, str]]:
    """Return what the target is to do, the source's column for each staged one, and the filters by source column.

    :param released: rows that a person let this DELETE delete.
    :raises PreflightFailed: IB-844 for columns that do not fit, IB-845 for keys that identify no row.
    """
    check_spelling(event, table)
    sources = _paired(event, table, source_columns)
    keys = _keys(event, table, sources)
    columns = _staged(event, table, sources, keys)
    filters = {_filter_column(event, table, name, sources): text for name, text in event.filter_conditions.items()}
    if len(filters) != len(event.filter_conditions):
        raise _unfit(event, "two filters name one column")
    work = Work(
        event=event,
        table=table,
        columns=columns,
        keys=tuple(name for name in keys if name in columns),
        strict=strict,
        most_deleted=max(grant.max_delete_rows, released),
    )
    return work, {name: sources[name] for name in columns}, filters


def _problem(event: BridgeEvent) -> str:
    if event.unreadable:
        return event.unreadable
    if not event.event_id or len(event.event_id) > LONGEST_ID or not event.event_id.isprintable():
        return f"event_id must be 1 to {LONGEST_ID} printable characters"
    if event.event_id != event.event_id.strip():
        return "event_id begins or ends with a blank"
    if event.operation not in OPERATIONS:
        return f"operation {event.operation[:20]!r} is none of {', '.join(sorted(OPERATIONS))}"
    if event.operation != Operation.INSERT and not event.primary_keys:
        return f"{event.operation} needs primary_keys"
    if len({name.casefold() for name in event.primary_keys}) != len(event.primary_keys):
        return "primary_keys names a column twice"
    if event.rows_expected is not None and event.rows_expected < 0:
        return "rows_expected is negative"
    return _name_problem(event.source_table, 3) or _name_problem(event.target_table, 2, exact=True)


def _name_problem(text: str, parts: int, *, exact: bool = False) -> str:
    try:
        found = len(split_parts(text))
    except ValueError as error:
        return f"{error}"
    if found > parts or (exact and found < parts):
        return f"{text[:80]!r} has {found} parts, {parts} are meant"
    return ""


def _paired(event: BridgeEvent, table: TargetTable, source_columns: Sequence[str]) -> dict[str, str]:
    """Target column → source column, in the order of the source."""
    found: dict[str, str] = {}
    for name in source_columns:
        column = table.column(name)
        if column is None:
            raise _unfit(event, f"{event.source_table} has a column {name!r} that {table.path} does not have")
        if column.name in found:
            raise _unfit(event, f"{event.source_table} has two columns for {column.name!r} of {table.path}")
        found[column.name] = name
    return found


def _keys(event: BridgeEvent, table: TargetTable, sources: Mapping[str, str]) -> tuple[str, ...]:
    keys = tuple(_own_column(event, table, name) for name in event.primary_keys)
    missing = [name for name in keys if name not in sources]
    if missing:
        raise _unfit(event, f"{event.source_table} has no column for the key column {missing[0]!r}")
    if event.operation != Operation.INSERT and not any(set(key) <= set(keys) for key in table.keys):
        known = "; ".join(", ".join(key) for key in table.keys) or "none"
        raise PreflightFailed(
            "IB-845",
            f"primary_keys {', '.join(keys)} of event {event.event_id!r} identify no single row of {table.path}; "
            f"its keys are: {known}.",
            remedy="Emit it anew with all columns of one key, or give the table a primary key or unique index on them.",
            event_id=event.event_id,
            table=table.path,
        )
    return keys


def _own_column(event: BridgeEvent, table: TargetTable, name: str) -> str:
    column = table.column(name)
    if column is None:
        raise _unfit(event, f"{table.path} has no column {name!r} (primary_keys)")
    return column.name


def _staged(
    event: BridgeEvent, table: TargetTable, sources: Mapping[str, str], keys: tuple[str, ...]
) -> tuple[str, ...]:
    if event.operation == Operation.DELETE:
        return keys
    update = event.operation == Operation.UPDATE
    rest = [
        column.name
        for column in (table.column(name) for name in sources)
        if column and column.name not in keys and column.writable and not (update and column.identity)
    ]
    if update and not rest:
        raise _unfit(event, f"{event.source_table} has no column to set besides the keys")
    if not update:
        _refuse_missing(event, table, sources)
    writable = [name for name in keys if update or _writable(table, name)]
    return (*writable, *rest)


def _refuse_missing(event: BridgeEvent, table: TargetTable, sources: Mapping[str, str]) -> None:
    for column in table.columns:
        needed = column.writable and not (column.nullable or column.identity or column.has_default)
        if needed and column.name not in sources:
            raise _unfit(event, f"{event.source_table} lacks {column.name!r}, which {table.path} needs")


def _writable(table: TargetTable, name: str) -> bool:
    column = table.column(name)
    return column is not None and column.writable


def _filter_column(event: BridgeEvent, table: TargetTable, name: str, sources: Mapping[str, str]) -> str:
    column = table.column(name)
    if column is None or column.name not in sources:
        where = table.path if column is None else event.source_table
        raise _unfit(event, f"{where} has no column {name[:80]!r} (filter_conditions)")
    return sources[column.name]


def _unfit(event: BridgeEvent, problem: str) -> PreflightFailed:
    return PreflightFailed(
        "IB-844",
        f"Event {event.event_id!r} does not fit its tables: {problem}.",
        remedy="Give the source table or a view of it just the target's columns, then emit the event anew.",
        event_id=event.event_id,
    )

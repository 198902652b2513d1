"""Rows of one event in a temporary table with the target's own types."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from icebridge_provider.engines.dbapi.types import sqlite_value
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.bridge import TargetColumn, Work
from icebridge_provider.sql import bridge as sql

MOST_VALUES = 10_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TYPE = re.compile(r"[A-Za-z0-9_ ]*(\([0-9 ,]*\))?")


def fill(cursor: Any, work: Work, rows: Any, dialect: str) -> int:
    """Make the stage and put all rows into it; how many there were.

    :param rows: ``pyarrow.RecordBatchReader`` with the columns of ``work``.
    :raises ConfigurationError: IB-858 naming the column with a value that the target cannot keep.
    """
    columns = [(name, _declared(work.table.column(name), dialect)) for name in work.columns]
    cursor.execute(sql.create_stage((work.table.schema, work.table.name), columns, dialect), [])
    count = 0
    for batch in rows:
        _add(cursor, work, batch, dialect)
        count += int(batch.num_rows)
    return count


def _add(cursor: Any, work: Work, batch: Any, dialect: str) -> None:
    convert = sqlite_value if dialect == sql.SQLITE else _as_is
    columns = [_values(work, name, column, convert) for name, column in zip(work.columns, batch.columns, strict=True)]
    found = list(zip(*columns, strict=True))
    if dialect == sql.SQLITE:
        cursor.executemany(sql.fill_stage(len(columns), 1, dialect), found)
        return
    for some in _chunks(found, max(1, MOST_VALUES // len(columns))):
        cursor.execute(sql.fill_stage(len(columns), len(some), dialect), [value for row in some for value in row])


def _values(work: Work, name: str, column: Any, convert: Callable[[Any], Any]) -> list[Any]:
    try:
        return [None if value is None else convert(value) for value in column.to_pylist()]
    except ValueError as error:
        raise ConfigurationError(
            "IB-858",
            f"Column {name!r} of {work.table.path} cannot keep a value of event {work.event.event_id!r}: {error}.",
            remedy="Change the column's type or the value, then emit the event anew.",
            column=name,
        ) from None


def _as_is(value: Any) -> Any:
    if isinstance(value, str) and "\0" in value:
        raise ValueError("PostgreSQL keeps no text with a NUL character")
    return value


def _chunks(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _declared(column: TargetColumn | None, dialect: str) -> str:
    """The rest of a column's declaration for SQLite: its type's affinity and its collation."""
    if column is None or dialect != sql.SQLITE:
        return ""
    kind = f" {column.type}" if column.type and _TYPE.fullmatch(column.type) else ""
    collation = f" COLLATE {column.collation}" if _NAME.fullmatch(column.collation) else ""
    return kind + collation

"""Tables as T-SQL declares them: looked up by name, created, altered, dropped.

In PostgreSQL a table is ``data.t<object id>`` and a column ``c<column id>``, so no name of SQL Server (128 characters,
any case) can clash with what PostgreSQL allows; ``ms.*`` keeps the real names and types.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from tests.peers.mssql.interface import SqlType
from tests.peers.mssql.translate import types
from tests.peers.mssql.translate.scope import ColumnInfo, TableInfo
from tests.peers.mssql.values import guarded, quoted, unguarded

Run = Callable[[str], list[tuple[Any, ...]]]

_TABLE = """
SELECT o.object_id, s.name::text, o.name::text, o.type, o.schema_id, o.definition,
 coalesce((SELECT json_agg(json_build_array(c.column_id, c.name::text, c.type_name, c.length, c."precision", c.scale,
   c."collation", c.nullable, c.identity, c.computed IS NOT NULL, c.default_text IS NOT NULL) ORDER BY c.column_id)
   FROM ms.columns c WHERE c.object_id = o.object_id), '[]'),
 coalesce((SELECT json_agg(json_build_array(t.name::text, t.definition) ORDER BY t.object_id)
   FROM ms.objects t WHERE t.parent_id = o.object_id AND t.type = 'TR'), '[]')
FROM ms.objects o JOIN ms.schemas s ON s.schema_id = o.schema_id
WHERE o.type IN ('U', 'V') AND """


def read_table(run: Run, where: str) -> TableInfo | None:
    """The table a condition on ``ms.objects o`` and ``ms.schemas s`` finds."""
    rows = run(_TABLE + where)
    if not rows:
        return None
    object_id, schema, name, kind, schema_id, definition, columns, triggers = rows[0]
    columns = json.loads(columns) if isinstance(columns, str) else columns
    triggers = json.loads(triggers) if isinstance(triggers, str) else triggers
    return TableInfo(
        object_id=object_id, schema=unguarded(schema), name=unguarded(name), pg=f"data.t{object_id}", kind=kind,
        schema_id=schema_id, definition=unguarded(definition or ""), columns=tuple(map(_column, columns)),
        triggers=tuple(_trigger(*item) for item in triggers),
    )  # fmt: skip


def _trigger(name: str, definition: str) -> tuple[str, frozenset[str], str]:
    events, _, body = unguarded(definition).partition("\n")
    return name, frozenset(events.split(",")), body


def _column(row: Sequence[Any]) -> ColumnInfo:
    number, name, kind, length, precision, scale, collation, nullable, identity, computed, default = row
    return ColumnInfo(
        name=unguarded(name), pg=f"c{number}", nullable=nullable, identity=identity, computed=computed, default=default,
        type=SqlType(name=kind, length=length, precision=precision, scale=scale, collation=collation),
    )  # fmt: skip


def by_name(run: Run, schema: str, name: str) -> TableInfo | None:
    return read_table(run, f"o.name = {text(name)} AND s.name = {text(schema)}")


def text(value: str) -> str:
    """A name as the catalogue compares it."""
    return f"{quoted(value)}::ms.ci COLLATE ms.ci_order"


def sql(value: Any) -> str:
    """A plain value for the catalogue's tables."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else quoted(str(value))


def column_row(object_id: int, number: int, item: ColumnInfo, extra: dict[str, Any]) -> list[Any]:
    """One row of ms.columns."""
    precision, scale = types.numbers(item.type)
    collation = item.type.collation
    return [object_id, number, guarded(item.name), item.type.name, item.type.length, item.type.precision,
            item.type.scale,
            collation, item.nullable, item.identity, extra.get("seed"), extra.get("increment"), extra.get("computed"),
            extra.get("persisted", False), extra.get("default_id"), extra.get("default"), types.size(item.type),
            precision, scale]  # fmt: skip


def insert_rows(table: str, rows: Sequence[Sequence[Any]]) -> str:
    """One INSERT into a table of the catalogue."""
    lines = ", ".join("(" + ", ".join(sql(value) for value in row) + ")" for row in rows)
    return f"INSERT INTO ms.{table} VALUES {lines}"

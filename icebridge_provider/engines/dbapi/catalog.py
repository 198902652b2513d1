"""What SQLite and PostgreSQL say about a table: columns, keys, collations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from icebridge_provider.engines.dbapi.database import DbApi, named, no_table
from icebridge_provider.model.bridge import TargetColumn, TargetTable
from icebridge_provider.sql import dbapi_catalog as sql
from icebridge_provider.sql.bridge import SQLITE

_GENERATED = {2, 3}  # https://www.sqlite.org/pragma.html#pragma_table_xinfo: virtual and stored


def describe(database: DbApi, name: str) -> TargetTable:
    """Describe a table or view.

    :param name: ``schema.table`` or ``table``; for PostgreSQL ``database.schema.table`` too. Any case that fits one.
    :raises ConfigurationError: IB-856 when there is none.
    """
    return _sqlite(database, name) if database.dialect == SQLITE else _postgres(database, name)


def _sqlite(database: DbApi, name: str) -> TargetTable:
    parts = named(name, 2)
    schema = parts[0] if len(parts) == 2 else "main"
    schemas = [row[1] for row in database.query("PRAGMA database_list")]
    if schema not in schemas:
        raise no_table(name, f"there is no database {schema!r}; there are {', '.join(schemas)}")
    table = _only(name, parts[-1], database.query(sql.sqlite_tables(schema)))
    columns = database.query(sql.SQLITE_COLUMNS, [table, schema])
    keys, collations = _sqlite_keys(database, schema, table)
    primary = tuple(row[1] for row in sorted((row for row in columns if row[5]), key=lambda row: row[5]))
    numbered = len(primary) == 1 and any(row[1] == primary[0] and row[2].upper() == "INTEGER" for row in columns)
    found = tuple(
        TargetColumn(
            name=row[1],
            type=row[2],
            nullable=not row[3] and not row[5],
            writable=row[6] not in _GENERATED,
            identity=numbered and row[1] == primary[0],
            has_default=row[4] is not None,
            collation=collations.get(row[1], ""),
        )
        for row in columns
    )
    known = dict.fromkeys([primary, *keys] if primary else keys)
    return TargetTable(schema=schema, name=table, columns=found, keys=tuple(known))


def _sqlite_keys(database: DbApi, schema: str, table: str) -> tuple[list[tuple[str, ...]], dict[str, str]]:
    """Unique keys over whole rows, and the collations that they compare by."""
    keys: list[tuple[str, ...]] = []
    collations: dict[str, str] = {}
    for _, index, unique, _, partial in database.query(sql.SQLITE_INDEXES, [table, schema]):
        members = [row for row in database.query(sql.SQLITE_INDEX_COLUMNS, [index, schema]) if row[5]]
        if unique and not partial and all(row[2] is not None for row in members):
            keys.append(tuple(row[2] for row in members))
            collations |= {row[2]: row[4] for row in members}
    return keys, collations


def _postgres(database: DbApi, name: str) -> TargetTable:
    parts = named(name, 3)
    if len(parts) == 3:
        current = str(database.query(sql.POSTGRES_DATABASE)[0][0])
        if parts[0] != current:
            raise no_table(name, f"this connection's database is {current!r}")
    schema = parts[-2] if len(parts) > 1 else "public"
    found = database.query(sql.POSTGRES_TABLES, [schema, parts[-1], schema.lower(), parts[-1].lower()])
    exact = [row for row in found if (row[0], row[1]) == (schema, parts[-1])] or found
    if len(exact) != 1:
        raise no_table(name, "there is no such table" if not found else "it fits more than one table")
    schema, table, number = exact[0]
    columns = tuple(_postgres_column(row) for row in database.query(sql.POSTGRES_COLUMNS, [number]))
    keys = tuple(tuple(row[0]) for row in database.query(sql.POSTGRES_KEYS, [number]))
    return TargetTable(schema=schema, name=table, columns=columns, keys=tuple(dict.fromkeys(keys)))


def _postgres_column(row: Sequence[Any]) -> TargetColumn:
    name, kind, required, identity, generated, default, collation = row
    return TargetColumn(
        name=name,
        type=kind,
        nullable=not required,
        writable=not generated,
        identity=bool(identity),
        has_default=bool(default),
        collation=collation or "",
    )


def _only(name: str, given: str, rows: Sequence[Sequence[Any]]) -> str:
    tables = [str(row[0]) for row in rows]
    found = [table for table in tables if table == given] or [
        table for table in tables if table.casefold() == given.casefold()
    ]
    if len(found) != 1:
        raise no_table(name, "there is no such table")
    return found[0]

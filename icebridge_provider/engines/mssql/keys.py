"""What a table of SQL Server is: columns by their declared types, and the keys that identify a row."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from icebridge_provider.engines.mssql.session import Session
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.bridge import TargetColumn, TargetTable
from icebridge_provider.sql import mssql as sql


def described(session: Session, name: str, server: str) -> TargetTable:
    """Describe a table; its name is found as the database compares names.

    :raises ConfigurationError: IB-860 for no name, IB-861 when the login sees no such table, IB-862 when it sees no key
        and may not see definitions: no key must never be taken from that.
    """
    asked = sql.table_parts(name)
    spelled = session.run(sql.spelling_of(asked))
    if not spelled:
        raise _missing(name, server)
    table: sql.Parts = (str(spelled[0][0]), str(spelled[0][1]))
    columns = tuple(_column(row) for row in session.run(sql.columns_of(table)))
    keys = _keys(session.run(sql.keys_of(table)))
    if not columns or not (keys or session.run(sql.may_see_definition(table))[0][0] == 1):
        raise _hidden(name, server)
    return TargetTable(schema=table[0], name=table[1], columns=columns, keys=keys)


def _column(row: Sequence[Any]) -> TargetColumn:
    name, type_name, base, length, precision, scale, nullable, identity, computed, generated, default, collation = row
    facts = {"max_length": int(length), "precision": int(precision), "scale": int(scale)}
    declared = sql.column_type(str(base or type_name), facts)
    return TargetColumn(
        name=str(name),
        type=declared,
        nullable=bool(nullable),
        writable=not (computed or generated or declared == "rowversion"),
        identity=bool(identity),
        has_default=bool(default),
        collation=str(collation or ""),
    )


def _keys(rows: Sequence[Sequence[Any]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(str(row[1]) for row in members) for _, members in groupby(rows, key=lambda row: row[0]))


def _missing(name: str, server: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-861",
        f"SQL Server at {server} shows no table {name}.",
        remedy="Correct target_table, or grant the login a right on the table: without any it does not see it.",
        table=name,
    )


def _hidden(name: str, server: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-862",
        f"The login may not see how table {name} at {server} is defined, so its keys are not known.",
        remedy=f"GRANT VIEW DEFINITION ON {name} to the login.",
        table=name,
    )

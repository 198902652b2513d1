"""Every statement that the event sync sends to SQL Server: names quoted, values bound or staged.

Names stand in brackets; a statement with values (``%s``) holds no other name than the inbox's, which may have no ``%``.
Rows never become part of a statement: they are staged in a temporary table, as texts where the bulk load cannot carry a
type exactly, and converted by the server (:func:`staged_value`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.bridge import TargetColumn
from icebridge_provider.model.identifier import split_parts
from icebridge_provider.sql.identifiers import literal, quoted

Parts = tuple[str, str]
"""Schema and table."""

DIALECT = "tsql"
AFFECTED = "icebridge_affected"
INBOX = "icebridge_inbox"
INBOX_COLUMNS = (
    ("event_id", "nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY"),
    ("payload", "varchar(128) NOT NULL"),
    ("attempt", "int NOT NULL"),
    ("status", "varchar(20) NOT NULL"),
    ("rows_expected", "bigint NULL"),
    ("rows_affected", "bigint NULL"),
    ("discrepancy", "bigint NULL"),
    ("warning", "nvarchar(4000) NOT NULL"),
    ("error_message", "nvarchar(4000) NOT NULL"),
    ("settled_at", "varchar(40) NOT NULL"),
)
BEGIN, COMMIT = "BEGIN TRANSACTION", "COMMIT TRANSACTION"
ROLLBACK = "ROLLBACK TRANSACTION"
_BINARY = "Latin1_General_100_BIN2"
_MOST_BYTES, _MOST_CHARACTERS, _LONGEST_SPELLED = 8000, 4000, 128
_INTEGERS = frozenset({"bigint", "int", "smallint", "tinyint", "bit"})
_FLOATS = frozenset({"float", "real"})
_TEXTS = frozenset({"char", "varchar", "nchar", "nvarchar", "text", "ntext", "xml"})
_BYTES = frozenset({"binary", "varbinary", "image"})
_SPELLED = frozenset(
    {"decimal", "numeric", "money", "smallmoney", "date", "datetime", "smalldatetime", "datetime2", "time",
     "datetimeoffset", "uniqueidentifier"}
)  # fmt: skip
_STYLES = {"date": 23, "datetime": 126, "smalldatetime": 126, "datetime2": 126, "xml": 1}  # ISO 8601; xml keeps blanks
_COLLATION = re.compile(r"\w{1,128}")
_TYPE = re.compile(r"([a-z0-9_]+)(?:\((max|\d{1,4})(?:,(\d{1,2}))?\))?")


def table_parts(name: str) -> Parts:
    """Return schema and table of ``schema.table``; parts with dots stand in backticks, as everywhere in events.

    :raises ConfigurationError: IB-860 for a text that is no such name.
    """
    try:
        parts = split_parts(name)
    except ValueError:
        parts = []
    if len(parts) != 2:
        raise ConfigurationError(
            "IB-860",
            f"{name[:200]!r} names no table of SQL Server.",
            remedy="Write schema.table; a part that holds dots, blanks or backticks stands in backticks.",
            table=name[:200],
        )
    return parts[0], parts[1]


def type_parts(declared: str) -> tuple[str, str, int]:
    """Return name, length (or precision, ``max``, empty) and scale of a declared type."""
    match = _TYPE.fullmatch(declared)
    name, length, scale = match.groups() if match else (declared, None, None)
    return name, length or "", int(scale or 0)


# The session


def session_settings(lock_seconds: float) -> str:
    """Roll back whole transactions on errors, wait for locks so long, count rows."""
    return f"SET XACT_ABORT ON; SET NOCOUNT OFF; SET LOCK_TIMEOUT {int(lock_seconds * 1000)}"


# What a table is


def table_id(table: Parts) -> str:
    """Tell whether a table is there; NULL when there is none, or the login may not know of it."""
    return f"SELECT {_object_id(table)}"


def may_see_definition(table: Parts) -> str:
    """Tell whether the login holds VIEW DEFINITION: without it the catalog views may show nothing."""
    return f"SELECT HAS_PERMS_BY_NAME({_text(quoted(*table, dialect=DIALECT))}, N'OBJECT', N'VIEW DEFINITION')"


def spelling_of(table: Parts) -> str:
    """Tell schema and name of a table as its catalog spells them."""
    return (
        "SELECT s.name AS schema_name, o.name AS table_name FROM sys.tables AS o"  # noqa: S608 - all quoted
        f" INNER JOIN sys.schemas AS s ON s.schema_id = o.schema_id WHERE o.object_id = {_object_id(table)}"
    )


def columns_of(table: Parts) -> str:
    """List the columns of a table as the catalog views have them."""
    return (
        "SELECT c.name, ty.name AS type_name, base.name AS base_name, c.max_length, c.precision, c.scale,"  # noqa: S608
        " c.is_nullable, c.is_identity, c.is_computed, c.generated_always_type, c.default_object_id, c.collation_name"
        " FROM sys.columns AS c"
        " INNER JOIN sys.types AS ty ON ty.user_type_id = c.user_type_id"
        " LEFT JOIN sys.types AS base ON base.user_type_id = c.system_type_id"
        f" WHERE c.object_id = {_object_id(table)} ORDER BY c.column_id"
    )


def keys_of(table: Parts) -> str:
    """List the columns of the primary key and of unique keys that hold for every row, the primary key first."""
    return (
        "SELECT i.index_id, c.name FROM sys.indexes AS i"  # noqa: S608 - all quoted
        " INNER JOIN sys.index_columns AS ic ON ic.object_id = i.object_id AND ic.index_id = i.index_id"
        " INNER JOIN sys.columns AS c ON c.object_id = ic.object_id AND c.column_id = ic.column_id"
        f" WHERE i.object_id = {_object_id(table)} AND i.is_unique = 1 AND i.has_filter = 0 AND i.is_disabled = 0"
        " AND ic.key_ordinal > 0 ORDER BY i.is_primary_key DESC, i.index_id, ic.key_ordinal"
    )


# The stage


def stage_type(column: TargetColumn) -> str:
    """Return the type in which a column is staged: one that the bulk load carries exactly, no larger than needed.

    :raises ConfigurationError: IB-863 for a type whose values cannot be written exactly.
    """
    name, length, _ = type_parts(column.type)
    if name in _INTEGERS:
        return "bigint"
    if name in _FLOATS:
        return "float"
    if name in _BYTES:
        return f"varbinary({_marked(length, _MOST_BYTES)})"
    if name in _TEXTS:
        return f"nvarchar({_marked(length, _MOST_CHARACTERS)}) COLLATE {_BINARY}"
    if name in _SPELLED:
        return f"nvarchar({_LONGEST_SPELLED}) COLLATE {_BINARY}"
    raise ConfigurationError(
        "IB-863",
        f"Column {column.name!r} is {column.type}, which events cannot write.",
        remedy="Leave the column out of the source (a view does), or have the target fill it by a default.",
        column=column.name,
        type=column.type,
    )


def _marked(length: str, most: int) -> str:
    """Room for one item more than the column has; max where that is too much."""
    return str(int(length) + 1) if length not in {"", "max"} and int(length) < most else "max"


def create_stage(stage: str, columns: Sequence[TargetColumn]) -> str:
    """Create the temporary table that rows are staged in; its columns are numbered: ``c0``."""
    listed = ", ".join(f"[c{place}] {stage_type(column)} NULL" for place, column in enumerate(columns))
    return f"CREATE TABLE {stage} ({listed})"


def drop_stage(stage: str) -> str:
    """Drop it again."""
    return f"DROP TABLE {stage}"


def stage_name(number: int) -> str:
    """Return the name of the session's n-th stage."""
    return f"#icebridge_stage_{int(number)}"


def staged_value(column: TargetColumn, place: int) -> str:
    """Return the value of a staged column as the target's type.

    Bytes are staged with one more in front, texts with one more letter at their end: the bulk load takes empty ones for
    NULL, and cuts blanks off. A text gets the column's collation before it becomes ``varchar``, because that names the
    code page, and afterwards, because keys are compared under it.
    """
    name = type_parts(column.type)[0]
    raw = f"s.[c{place}]"
    if name in _BYTES:
        return f"CONVERT({column.type}, SUBSTRING({raw}, 2, DATALENGTH({raw})))"
    if name == "xml":
        return f"CONVERT(xml, {_unmarked(raw)}, 1)"
    if name in _TEXTS:
        compared = "" if name in {"text", "ntext"} else _collate(column)  # error 447: they have no order, are no keys
        return f"CONVERT({column.type}, {_unmarked(raw)}{_collate(column)}){compared}"
    style = f", {_STYLES[name]}" if name in _STYLES else ""
    return f"CONVERT({column.type}, {raw}{style})"


def count_lossy(stage: str, column: TargetColumn, place: int) -> str:
    """Count staged texts that the code page of a ``varchar`` column cannot hold, or that are too long in its bytes."""
    raw = _unmarked(f"s.[c{place}]")
    _, length, _ = type_parts(column.type)
    there = f"CONVERT(varchar(max), {raw}{_collate(column)})"
    differs = (
        f"CONVERT(nvarchar(max), {there}) COLLATE Latin1_General_100_BIN2 <> {raw} COLLATE Latin1_General_100_BIN2"
    )
    long = f" OR DATALENGTH({there}) > {int(length)}" if length not in {"", "max"} else ""
    return f"SELECT COUNT(*) FROM {stage} AS s WHERE {differs}{long}"  # noqa: S608 - all quoted


def count_double_keys(stage: str, keys: Sequence[TargetColumn]) -> str:
    """Count keys that several staged rows have, as the target compares them; the keys are staged first."""
    listed = ", ".join(staged_value(column, place) for place, column in enumerate(keys))
    inner = f"SELECT COUNT(*) AS n FROM {stage} AS s GROUP BY {listed} HAVING COUNT(*) > 1"  # noqa: S608 - all quoted
    return f"SELECT COUNT(*) FROM ({inner}) AS d"  # noqa: S608 - all quoted


# The rows


def insert_staged(table: Parts, stage: str, columns: Sequence[TargetColumn]) -> str:
    """Insert the staged rows, and tell how many; values that are given for an identity column are taken."""
    listed = ", ".join(quoted(column.name, dialect=DIALECT) for column in columns)
    values = ", ".join(staged_value(column, place) for place, column in enumerate(columns))
    name = quoted(*table, dialect=DIALECT)
    insert = f"INSERT INTO {name} ({listed}) SELECT {values} FROM {stage} AS s"  # noqa: S608 - all quoted
    return counted(insert)


def identity_insert(table: Parts, *, on: bool) -> str:
    """Let the session give values for the identity column of one table, or no more."""
    return f"SET IDENTITY_INSERT {quoted(*table, dialect=DIALECT)} {'ON' if on else 'OFF'}"


def update_staged(table: Parts, stage: str, keys: Sequence[TargetColumn], others: Sequence[TargetColumn]) -> str:
    """Update the rows whose whole key is staged, and tell how many.

    :param others: what is set; staged behind the keys. An identity column cannot be set and is left as it is.
    """
    first = len(keys)
    changes = ", ".join(
        f"t.{quoted(column.name, dialect=DIALECT)} = {staged_value(column, first + place)}"
        for place, column in enumerate(others)
        if not column.identity
    )
    name = quoted(*table, dialect=DIALECT)
    return counted(f"UPDATE t SET {changes} FROM {name} AS t INNER JOIN {stage} AS s ON {_same_key(keys)}")  # noqa: S608


def delete_staged(table: Parts, stage: str, keys: Sequence[TargetColumn]) -> str:
    """Delete the rows whose whole key is staged, and tell how many."""
    name = quoted(*table, dialect=DIALECT)
    return counted(f"DELETE t FROM {name} AS t INNER JOIN {stage} AS s ON {_same_key(keys)}")


def counted(statement: str) -> str:
    """Follow a statement by its count: ``@@ROWCOUNT`` is right where triggers send counts of their own."""
    return f"{statement}; SELECT @@ROWCOUNT AS [{AFFECTED}]"


def _same_key(keys: Sequence[TargetColumn]) -> str:
    return " AND ".join(
        f"t.{quoted(column.name, dialect=DIALECT)} = {staged_value(column, place)}" for place, column in enumerate(keys)
    )


# The inbox


@dataclass(frozen=True, slots=True)
class Inbox:
    """The statements of the inbox table of one schema; their values are bound by ``%s`` in the order told.

    :raises ConfigurationError: IB-860 for a schema with a percent sign, which the client would take for a value.
    """

    schema: str = "dbo"

    def __post_init__(self) -> None:
        if "%" in self.schema:
            raise ConfigurationError(
                "IB-860",
                f"The inbox cannot be in schema {self.schema!r}: its name has a percent sign.",
                remedy="Name another schema.",
                schema=self.schema,
            )

    @property
    def parts(self) -> Parts:
        """Schema and table."""
        return self.schema, INBOX

    @property
    def _name(self) -> str:
        return quoted(*self.parts, dialect=DIALECT)

    def create(self) -> str:
        """Create the table."""
        return f"CREATE TABLE {self._name} ({', '.join(f'[{name}] {kind}' for name, kind in INBOX_COLUMNS)})"

    def read(self, count: int) -> str:
        """Read the rows of ``count`` event ids."""
        listed = ", ".join(f"[{name}]" for name, _ in INBOX_COLUMNS)
        places = ", ".join(["%s"] * count)
        return f"SELECT {listed} FROM {self._name} WHERE [event_id] IN ({places})"  # noqa: S608 - all quoted

    def insert(self) -> str:
        """Enter an event: values in the order of :data:`INBOX_COLUMNS`. One that is there is error 2627."""
        listed = ", ".join(f"[{name}]" for name, _ in INBOX_COLUMNS)
        places = ", ".join(["%s"] * len(INBOX_COLUMNS))
        return f"INSERT INTO {self._name} ({listed}) VALUES ({places})"  # noqa: S608 - all quoted

    def replace_blocked(self) -> str:
        """Put another word in place of "blocked": values as in :meth:`write`, the payload, the attempt too late."""
        return counted(f"{self.write()} AND [status] = 'blocked' AND [payload] = %s AND [attempt] < %s")

    def write(self) -> str:
        """Write how an entered event ended: values in the order of :data:`INBOX_COLUMNS` from payload, then its id."""
        changes = ", ".join(f"[{name}] = %s" for name, _ in INBOX_COLUMNS[1:])
        return f"UPDATE {self._name} SET {changes} WHERE [event_id] = %s"  # noqa: S608 - all quoted


def column_type(name: str, facts: Mapping[str, int]) -> str:
    """Return a type as it is declared: ``nvarchar(50)``, ``decimal(38,10)``, ``datetime2(7)``.

    :param facts: ``max_length`` (bytes), ``precision`` and ``scale``, as sys.columns has them.
    """
    length = facts["max_length"]
    if name in {"char", "varchar", "binary", "varbinary"}:
        return f"{name}({'max' if length == -1 else length})"
    if name in {"nchar", "nvarchar"}:
        return f"{name}({'max' if length == -1 else length // 2})"
    if name in {"decimal", "numeric"}:
        return f"{name}({facts['precision']},{facts['scale']})"
    if name in {"datetime2", "time", "datetimeoffset"}:
        return f"{name}({facts['scale']})"
    return {"timestamp": "rowversion", "sysname": "nvarchar(128)"}.get(name, name)


def _collate(column: TargetColumn) -> str:
    if not column.collation or type_parts(column.type)[0] == "xml":
        return ""
    if not _COLLATION.fullmatch(column.collation):
        raise ConfigurationError(
            "IB-863",
            f"Column {column.name!r} has a collation with an unknown name: {column.collation[:80]!r}.",
            remedy="Tell us; SQL Server's own collations have letters, digits and underscores.",
            column=column.name,
        )
    return f" COLLATE {column.collation}"


def _unmarked(text: str) -> str:
    return f"LEFT({text}, LEN({text}) - 1)"


def _object_id(table: Parts) -> str:
    return f"OBJECT_ID({_text(quoted(*table, dialect=DIALECT))}, N'U')"


def _text(value: str) -> str:
    return f"N{literal(value, DIALECT)}"

"""Reads SELECTs from SQL Server as Arrow batches: by Microsoft's driver, or by FreeTDS where that cannot be loaded."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

from icebridge_provider.engines.columns import arrow_schema
from icebridge_provider.engines.mssql.arrow import batch_of_rows, exact_batch, replaced
from icebridge_provider.engines.mssql.connect import SqlServerLogin, close, connect, connect_odbc, odbc_missing, told
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, TransientError
from icebridge_provider.model.extraction import ColumnType
from icebridge_provider.planning.column_types import column_types
from icebridge_provider.retry import transient
from icebridge_provider.sql import extraction as sql

log = logging.getLogger(__name__)
Client = Literal["auto", "odbc", "pymssql"]
ALLOWED = 1
_BASE = re.compile(r"[a-z_0-9]+")
_SCALE_7 = re.compile(r"datetime2(\(7\))?")
# Types that a client gives in another way than the server's own; the server is asked for their text or bytes.
_ODBC = frozenset({"time", "datetimeoffset", "timestamp", "rowversion"})
_PYMSSQL = frozenset(
    {
        "date", "time", "datetime2", "datetimeoffset", "uniqueidentifier", "xml", "text", "image", "timestamp",
        "rowversion",
    }
)  # fmt: skip
_UNICODE = frozenset({"nchar", "nvarchar", "ntext", "sysname", "xml", "json"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """How a statement is run with one client: its text there, the values in order, and what each column becomes."""

    text: str
    values: tuple[Any, ...]
    columns: tuple[ColumnType, ...]
    as_bytes: frozenset[str]
    schema: pa.Schema
    bytes_a_row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlServerReader:
    """:class:`icebridge_provider.ports.SqlReader` over one login. Each read has a connection of its own.

    :param client: ``auto`` takes Microsoft's driver where it can be loaded.
    :param batch_bytes: what a batch may take in memory, about.
    """

    login: SqlServerLogin
    client: Client = "auto"
    batch_bytes: int = 16 * 1024 * 1024
    _told: set[str] = field(default_factory=set, repr=False)
    _as_bytes: set[str] = field(default_factory=set, repr=False)

    def describe(self, statement: str, values: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
        """Name, declared type and nullability of each column, as the server finds them without running the statement.

        :raises ConfigurationError: IB-829 when the server cannot tell.
        """
        text, names = sql.in_style(statement, "@")
        asked = {"statement": text, "declared": sql.declared(values, names)}
        try:
            columns = self._rows(sql.DESCRIBE, asked, "describe the query")
        except IceBridgeError as error:
            if error.code == "IB-824":
                raise self._undescribed(error.message) from None
            raise
        shown = [item for item in columns if not item.get("is_hidden")]
        if not shown:
            raise self._undescribed("it gives no columns")
        return [
            (str(item["name"] or ""), str(item["system_type_name"] or item.get("user_type_name") or ""),
             bool(item["is_nullable"]))
            for item in shown
        ]  # fmt: skip

    def consistent(self) -> bool:
        """Whether SNAPSHOT isolation is allowed in the database (ALTER DATABASE … SET ALLOW_SNAPSHOT_ISOLATION ON)."""
        rows = self._rows(sql.SNAPSHOT_STATE, {}, "ask whether snapshots are allowed")
        return bool(rows) and rows[0]["snapshot_isolation_state"] == ALLOWED

    def read(
        self, statement: str, values: Mapping[str, Any], rows_a_batch: int, consistent: bool = False
    ) -> pa.RecordBatchReader:
        """Rows in the exact types of :func:`~icebridge_provider.planning.column_types.column_types`.

        :param consistent: read under SNAPSHOT isolation: one state of the database, no writer waits.
        :raises ConfigurationError: IB-808 for columns without an exact type, IB-831 while reading for such a value.
        :raises IceBridgeError: IB-820 to IB-827.
        """
        columns = column_types(self.describe(statement, values))
        odbc = self._by_odbc()
        plan = _plan(statement, values, columns, self._as_bytes, odbc=odbc)
        connection = transient(lambda: self._begun(plan, odbc, consistent))
        batches = self._batches(connection, plan, odbc, rows_a_batch)
        return pa.RecordBatchReader.from_batches(plan.schema, batches)

    def _begun(self, plan: _Plan, odbc: bool, consistent: bool) -> tuple[Any, Any]:
        """Connect and start the statement."""
        connection = connect_odbc(self.login) if odbc else connect(self.login)
        try:
            cursor = connection.cursor()
            with told(self.login, "run the query", right="SELECT"):
                cursor.execute(sql.ISOLATION if consistent else sql.COMMITTED)
                cursor.execute(plan.text, plan.values) if plan.values else cursor.execute(plan.text)
        except IceBridgeError:
            close(connection)
            raise
        return connection, cursor

    def _batches(
        self, begun: tuple[Any, Any], plan: _Plan, odbc: bool, rows_a_batch: int
    ) -> Iterator[pa.RecordBatch]:  # fmt: skip
        connection, cursor = begun
        fetch = _fetch_arrow if odbc else _fetch_rows
        rows, seen = _bounded(self.batch_bytes // max(plan.bytes_a_row, 1), rows_a_batch), 0
        try:
            last = False
            while not last:
                with told(self.login, "read the query's rows"):
                    batch = fetch(cursor, plan, rows)
                if not batch.num_rows:
                    break
                last = not odbc and batch.num_rows < rows  # pymssql would go on with the second result
                self._refuse_replaced(batch, plan)
                seen += batch.num_rows
                yield batch
                rows = _next_rows(rows, batch, self.batch_bytes, rows_a_batch)
            self._check_whole(cursor, seen)
            cursor.execute(sql.COMMITTED)  # the driver keeps connections, and with them their isolation
        finally:
            close(connection)

    def _refuse_replaced(self, batch: pa.RecordBatch, plan: _Plan) -> None:
        """Look for U+FFFD: mssql-python puts it for half a surrogate pair, and it may stand in the rows as well.

        :raises TransientError: IB-835; the next read of this reader asks for the column's bytes, which tell.
        """
        for array, column in zip(batch.columns, plan.columns, strict=True):
            suspected = column.arrow == "string" and column.name not in plan.as_bytes and replaced(array)
            if suspected:
                self._as_bytes.add(column.name)
                raise self._again(column)

    def _again(self, column: ColumnType) -> TransientError:
        return TransientError(
            "IB-835",
            f"Column {column.name!r} holds U+FFFD, by which the driver also replaces what is no text.",
            remedy="The rows are read again by itself, this column as bytes.",
            conn_id=self.login.conn_id,
            again=True,
        )

    def _check_whole(self, cursor: Any, seen: int) -> None:
        """Ask the batch's second result whether that was all: mssql-python takes a lost connection for the last row.

        :raises TransientError: IB-834 when rows are missing.
        """
        with told(self.login, "read the query's rows"):
            found = cursor.fetchone() if cursor.nextset() else None
        if found is None or tuple(found) != (0, seen):
            raise self._cut_short(seen, None if found is None else tuple(found))

    def _cut_short(self, seen: int, found: tuple[Any, ...] | None) -> TransientError:
        why = "the connection was lost" if found is None else f"it sent {found[1]} (error {found[0]})"
        return TransientError(
            "IB-834",
            f"The rows of SQL Server at {self.login.server} ended after {seen}: {why}.",
            remedy="The task tries again by itself.",
            changed="The rows read so far are in no manifest; the next run replaces them.",
            conn_id=self.login.conn_id,
        )

    def _by_odbc(self) -> bool:
        """Whether Microsoft's driver reads; says once per reader why not."""
        missing = "" if self.client == "pymssql" else odbc_missing()
        if self.client == "auto" and missing and "fallback" not in self._told:
            self._told.add("fallback")
            log.warning("%s is read by pymssql, several times slower: %s.", self.login.server, missing)
        return self.client == "odbc" or (self.client == "auto" and not missing)

    def _rows(self, statement: str, values: Mapping[str, Any], what: str) -> list[dict[str, Any]]:
        """Run a small statement of ours; its rows by column name."""
        text, names = sql.in_style(statement, "?")

        def ask() -> list[dict[str, Any]]:
            odbc = self._by_odbc()
            connection = connect_odbc(self.login) if odbc else connect(self.login)
            try:
                with told(self.login, what, right="VIEW DEFINITION"):
                    cursor = connection.cursor()
                    _execute(cursor, text if odbc else text.replace("%", "%%").replace("?", "%s"), names, values)
                    # one by one: mssql-python's fetchall takes a lost connection for the last row
                    found = [tuple(row) for row in iter(cursor.fetchone, None)]
                    names_of = [item[0] for item in cursor.description]
                    return [dict(zip(names_of, row, strict=True)) for row in found]
            finally:
                close(connection)

        return transient(ask)

    def _undescribed(self, why: str) -> ConfigurationError:
        return ConfigurationError(
            "IB-829",
            f"SQL Server at {self.login.server} cannot tell the columns of the query: {why}.",
            remedy="Write it as one SELECT over tables and views, without temporary tables and dynamic SQL.",
            conn_id=self.login.conn_id,
        )


def _execute(cursor: Any, text: str, names: Sequence[str], values: Mapping[str, Any]) -> None:
    bound = tuple(values[name] for name in names)
    if bound:
        cursor.execute(text, bound)
    else:
        cursor.execute(text)


def _plan(
    statement: str, values: Mapping[str, Any], columns: Sequence[ColumnType], suspected: Collection[str], *, odbc: bool
) -> _Plan:
    """Decide what the server converts, and wrap the statement if it does.

    :param suspected: columns whose text is read as bytes.
    """
    as_bytes = frozenset(
        item.name for item in columns
        if item.name in suspected or (not odbc and base_of(item.sql_type) in _UNICODE)
    )  # fmt: skip
    asked = {item.name: base_of(item.sql_type) for item in columns if _is_converted(item, odbc=odbc)}
    if asked or as_bytes:
        texts = [
            sql.as_utf16(item.name) if item.name in as_bytes else sql.as_text(item.name, asked.get(item.name, ""))
            for item in columns
        ]
        statement = sql.wrapped(statement, texts)
    statement += sql.COUNTED
    text, bound = _odbc_text(statement, values) if odbc else _pymssql_text(statement, values)
    return _Plan(
        text=text,
        values=bound,
        columns=tuple(columns),
        as_bytes=as_bytes,
        schema=arrow_schema(columns),
        bytes_a_row=sum(_width(column) for column in columns),
    )


def _odbc_text(statement: str, values: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
    text, names = sql.in_style(statement, "?")
    return text, tuple(values[name] for name in names)


def _pymssql_text(statement: str, values: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
    """Return the statement for pymssql, which knows no doubled percent sign: with values it is one of them itself."""
    text, names = sql.in_style(statement, "@")
    if not names:
        return text, ()
    bound = (text, sql.declared(values, names), *(values[name] for name in names))
    return sql.EXECUTE.format(places=", ".join(["%s"] * len(bound))), bound


def _is_converted(column: ColumnType, *, odbc: bool) -> bool:
    """Say whether the server is asked for a column's text instead of its value."""
    base = base_of(column.sql_type)
    finest = base == "datetime2" and _SCALE_7.fullmatch(column.sql_type) is not None
    return base in (_ODBC if odbc else _PYMSSQL) or finest


def base_of(sql_type: str) -> str:
    """Return a declared type without its length: ``decimal``."""
    found = _BASE.match(sql_type.lower())
    return found.group(0) if found else ""


def _width(column: ColumnType) -> int:
    """Bytes that the driver keeps for one value: texts and bytes take their declared length."""
    found = re.search(r"\((\d+)\)", column.sql_type)
    if column.arrow not in {"string", "binary"}:
        return 16
    if "max" in column.sql_type or base_of(column.sql_type) in {"text", "ntext", "image", "xml", "json"}:
        return 16 * 1024
    return 4 * int(found.group(1)) if found else 64


def _bounded(rows: int, most: int) -> int:
    return max(1, min(rows, most))


def _next_rows(rows: int, batch: pa.RecordBatch, batch_bytes: int, most: int) -> int:
    """Return how many rows the next batch may have, by what the rows of this one took; at most twice as many."""
    fitting = batch_bytes * batch.num_rows // max(batch.nbytes, 1)
    return _bounded(min(fitting, 2 * rows), most)


def _fetch_arrow(cursor: Any, plan: _Plan, rows: int) -> pa.RecordBatch:
    return exact_batch(cursor.arrow_batch(rows), plan.columns, plan.schema)


def _fetch_rows(cursor: Any, plan: _Plan, rows: int) -> pa.RecordBatch:
    found = cursor.fetchmany(rows)
    if not found:
        return pa.RecordBatch.from_arrays([pa.array([], item.type) for item in plan.schema], schema=plan.schema)
    return batch_of_rows(found, plan.columns, plan.schema)

"""Tables of SQLite or PostgreSQL whose rows events bring over."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from icebridge_provider.engines.dbapi.catalog import describe
from icebridge_provider.engines.dbapi.database import DbApi
from icebridge_provider.engines.dbapi.types import arrow_type, filter_value, reader_of, sqlite_value
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.bridge import TargetTable
from icebridge_provider.sql import bridge as sql

ROWS_A_BATCH = 10_000
_TEXT = re.compile("char|text|clob", re.IGNORECASE)


class DbApiRowSource:
    """A ``RowSource``. One read sees one state of the database; it keeps no versions that could be pinned."""

    def __init__(self, database: DbApi) -> None:
        self._database = database
        self._pinned: tuple[str, TargetTable] | None = None

    def pin(self, table: str) -> str:
        """Look at the table as it is now; there is no version to tell."""
        self._pinned = table, describe(self._database, table)
        return ""

    def columns(self, table: str) -> list[str]:
        """Its columns, in order."""
        return [column.name for column in self._described(table).columns]

    def read(self, table: str, pin: str, columns: Sequence[str], filters: Mapping[str, str]) -> Any:  # noqa: ARG002
        """Rows as a ``pyarrow.RecordBatchReader``."""
        import pyarrow as pa

        found = self._described(table)
        schema = pa.schema([(name, self._type(found, table, name)) for name in columns])
        tests, values = [], []
        for name, text in filters.items():
            kind = self._type(found, table, name)
            tests.append((name, self._is_text(found, name)))
            values.append(filter_value(text, kind, name))
        read = [(name, self._as_text(found, name, schema.field(name).type)) for name in columns]
        statement = sql.rows((found.schema, found.name), read, tests, self._database.dialect)
        return pa.RecordBatchReader.from_batches(schema, self._batches(schema, table, statement, values))

    def _described(self, table: str) -> TargetTable:
        if self._pinned and self._pinned[0] == table:
            return self._pinned[1]
        return describe(self._database, table)

    def _as_text(self, found: TargetTable, name: str, kind: Any) -> bool:
        """Whether a driver of PostgreSQL would parse the value, and lose by it: infinity, JSON's own null."""
        import pyarrow as pa

        parsed = pa.types.is_temporal(kind) or (pa.types.is_string(kind) and not self._is_text(found, name))
        return self._database.dialect == sql.POSTGRES and parsed

    def _is_text(self, found: TargetTable, name: str) -> bool:
        column = found.column(name)
        return column is not None and bool(_TEXT.search(column.type))

    def _type(self, found: TargetTable, table: str, name: str) -> Any:
        column = found.column(name)
        return arrow_type(column.type if column else "", table, name, self._database.dialect)

    def _batches(self, schema: Any, table: str, statement: str, values: Sequence[Any]) -> Iterator[Any]:
        import pyarrow as pa

        readers = [reader_of(field.type) for field in schema]
        with self._database.reading(name="icebridge_rows") as cursor:
            cursor.execute(statement, [_bound(value, self._database.dialect) for value in values])
            while rows := cursor.fetchmany(ROWS_A_BATCH):
                arrays = [
                    _array(field, read, column, table)
                    for field, read, column in zip(schema, readers, zip(*rows, strict=True), strict=True)
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _bound(value: Any, dialect: str) -> Any:
    if dialect != sql.SQLITE:
        return value
    return sqlite_value(value)


def _array(field: Any, read: Callable[[Any], Any], values: Sequence[Any], table: str) -> Any:
    import pyarrow as pa

    try:
        return pa.array([None if value is None else read(value) for value in values], type=field.type)
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise ConfigurationError(
            "IB-858",
            f"Column {field.name!r} of {table} holds a value that is no {field.type}: {error}.",
            remedy="Correct the value, or make the event's source a view that casts the column to text.",
            column=field.name,
        ) from None

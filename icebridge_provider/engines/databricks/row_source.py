"""Tables of a Databricks workspace whose rows events bring over, read at one version."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from icebridge_provider.engines.databricks.bridge import Answer, table_parts
from icebridge_provider.engines.dbapi.types import filter_value
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.sql import databricks_bridge as sql
from icebridge_provider.sql.databricks import describe_history

_FAILED = "IB-247"
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_SIMPLE = {
    "BOOLEAN": "bool_", "TINYINT": "int8", "BYTE": "int8", "SMALLINT": "int16", "SHORT": "int16", "INT": "int32",
    "BIGINT": "int64", "LONG": "int64", "FLOAT": "float32", "DOUBLE": "float64", "DATE": "date32", "BINARY": "binary",
    "STRING": "string",
}  # fmt: skip
_TEXT = re.compile(r"(?:STRING|CHAR|VARCHAR)\b.*")


class Streamed(Protocol):
    """A result whose rows are read by and by."""

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """Names and Databricks types."""

    def batches(self) -> Iterator[Any]:
        """Rows as ``pyarrow.RecordBatch``."""


class StreamingWarehouse(Protocol):
    """Where statements run."""

    def run(self, what: str, statement: str, values: Mapping[str, str] | None = None, *, right: str = "") -> Answer:
        """Run a statement to its end and return all its rows."""

    def stream(
        self, what: str, statement: str, values: Mapping[str, str] | None = None, *, right: str = ""
    ) -> Streamed:
        """Run a statement whose rows are read by and by."""


class WorkspaceRowSource:
    """The port :class:`~icebridge_provider.ports.RowSource` over a SQL warehouse.

    :param warehouse: the principal needs ``SELECT`` on the tables, and USE CATALOG and USE SCHEMA above them.
    """

    def __init__(self, warehouse: StreamingWarehouse) -> None:
        self._warehouse = warehouse
        self._unpinnable: set[str] = set()

    def pin(self, table: str) -> str:
        """The table's version now, by the moment it was written.

        Empty for what keeps none that could be asked for: views, foreign tables, tables with row filters or masks.
        """
        try:
            pin = "" if table in self._unpinnable else self._newest(table)
            if pin:
                self._warehouse.run(
                    f"look at {table}", sql.no_rows(table_parts(table), pin), right=f"SELECT on {table}"
                )
                return pin
        except ConfigurationError as error:
            if error.code != _FAILED:
                raise
            self._unpinnable.add(table)
        self._columns(table)  # it is there, and may be read
        return ""

    def _newest(self, table: str) -> str:
        answer = self._warehouse.run(
            f"look up the version of {table}", describe_history(table_parts(table), 1), right=f"SELECT on {table}"
        )
        row = dict(zip(answer.columns, answer.rows[0], strict=True)) if answer.rows else {}
        return str(row.get("timestamp") or "")

    def columns(self, table: str) -> list[str]:
        """Its columns, in order."""
        return [name for name, _ in self._columns(table)]

    def read(self, table: str, pin: str, columns: Sequence[str], filters: Mapping[str, str]) -> Any:
        """Rows as a ``pyarrow.RecordBatchReader``; never more than one chunk of the answer in memory.

        :raises ConfigurationError: IB-873 naming a column of a type that cannot be brought over, IB-847 a filter whose
            text is no value of its column.
        """
        import pyarrow as pa

        kinds = dict(self._columns(table))
        schema = pa.schema([(name, arrow_type(kinds, table, name)) for name in columns])
        texts = {name: _bound(text, arrow_type(kinds, table, name), name) for name, text in filters.items()}
        statement = sql.rows_of(table_parts(table), pin, columns, [(name, kinds[name]) for name in filters])
        values = {f"f{place}": text for place, text in enumerate(texts.values())}
        result = self._warehouse.stream(f"read the rows of {table}", statement, values, right=f"SELECT on {table}")
        return pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in result.batches()))

    def _columns(self, table: str, pin: str = "") -> tuple[tuple[str, str], ...]:
        statement = sql.no_rows(table_parts(table), pin)
        return self._warehouse.stream(f"look at {table}", statement, right=f"SELECT on {table}").columns


def arrow_type(kinds: Mapping[str, str], table: str, column: str) -> Any:
    """Return the Arrow type of a column by its Databricks type.

    :raises ConfigurationError: IB-873 for a column that is not there or of a type that events cannot bring over.
    """
    import pyarrow as pa

    kind = kinds.get(column, "").upper()
    if match := _DECIMAL.fullmatch(kind):
        return pa.decimal128(int(match[1]), int(match[2]))
    if kind in {"TIMESTAMP", "TIMESTAMP_NTZ"}:
        return pa.timestamp("us", tz="UTC" if kind == "TIMESTAMP" else None)
    found = _SIMPLE.get("STRING" if _TEXT.fullmatch(kind) else kind)
    if found is None:
        raise ConfigurationError(
            "IB-873",
            f"Column {column!r} of {table} {f'is {kind}, which events cannot bring over' if kind else 'is not there'}.",
            remedy="Make the event's source a view that casts it to STRING, a number, a date, a time or BINARY.",
            table=table,
            column=column,
        )
    return getattr(pa, found)()


def _bound(text: str, kind: Any, column: str) -> str:
    """Return a filter's value as the text that Databricks casts to just that value."""
    import pyarrow as pa

    value = filter_value(text, kind, column)
    if pa.types.is_decimal(kind) and _rounded(value, kind.scale):
        raise ConfigurationError(
            "IB-847",
            f"Filter on column {column!r}: {text[:80]!r} is no {kind}.",
            remedy="Emit the event anew with a value as the column holds it.",
            column=column,
        )
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _rounded(value: Decimal, scale: int) -> bool:
    exponent = value.normalize().as_tuple().exponent
    return isinstance(exponent, int) and -exponent > scale

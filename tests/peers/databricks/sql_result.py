"""What a statement gives back: typed rows, however they came about."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql.types import DataType, StructType

_PLAIN = {
    "string": "STRING", "bigint": "BIGINT", "int": "INT", "smallint": "SMALLINT", "tinyint": "TINYINT",
    "boolean": "BOOLEAN", "double": "DOUBLE", "float": "FLOAT", "date": "DATE", "timestamp": "TIMESTAMP",
    "timestamp_ntz": "TIMESTAMP_NTZ", "binary": "BINARY", "void": "VOID",
}  # fmt: skip


@dataclass(kw_only=True)
class Result:
    """Columns as (name, type), rows as tuples; ``session`` is (catalog, schema) after the statement."""

    columns: list[tuple[str, str]] = field(default_factory=list)
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    schema: StructType | None = None
    table: pa.Table | None = None
    session: tuple[str | None, str | None] = (None, None)

    def struct(self) -> StructType:
        """The columns as Spark describes them."""
        from pyspark.sql.types import StructField, StructType

        return self.schema or StructType([StructField(name, _type(kind)) for name, kind in self.columns])

    def arrow(self) -> pa.Table:
        """The rows as Arrow, with the schema in Spark's JSON and the session in the metadata."""
        import pyarrow as pa

        table, schema = self.table, self.struct()
        if table is None:
            table = _table(schema, self.rows)
        more = {"spark_schema": schema.json(), "session": json.dumps(self.session)}
        return pa.table(table).replace_schema_metadata(more)


def _table(schema: StructType, rows: list[tuple[Any, ...]]) -> pa.Table:
    import pyarrow as pa
    from pyspark.sql.pandas.types import to_arrow_schema

    shape = to_arrow_schema(schema)
    columns = [pa.array([row[place] for row in rows], one.type) for place, one in enumerate(shape)]
    return pa.Table.from_arrays(columns, schema=shape)


def _type(kind: str) -> DataType:
    """The types that statements answered here have."""
    from pyspark.sql import types

    text = types.StringType()
    return {
        "STRING": text, "BIGINT": types.LongType(), "INT": types.IntegerType(), "BOOLEAN": types.BooleanType(),
        "TIMESTAMP": types.TimestampType(), "ARRAY<STRING>": types.ArrayType(text),
        "MAP<STRING, STRING>": types.MapType(text, text),
    }[kind]  # fmt: skip


def of(rows: list[tuple[Any, ...]], **columns: str) -> Result:
    """A result made here: ``of(rows, name="STRING", size="BIGINT")``."""
    return Result(columns=list(columns.items()), rows=rows)


def from_frame(frame: Any) -> Result:
    """A result of the engine."""
    schema = frame.schema
    table = frame.toArrow()
    rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True)) if table.num_columns else []
    columns = [(one.name, type_text(one.dataType)) for one in schema.fields]
    return Result(columns=columns, rows=rows, schema=schema, table=table)


def type_text(kind: DataType) -> str:
    """A type in Databricks' words."""
    from pyspark.sql import types

    if isinstance(kind, types.ArrayType):
        return f"ARRAY<{type_text(kind.elementType)}>"
    if isinstance(kind, types.MapType):
        return f"MAP<{type_text(kind.keyType)}, {type_text(kind.valueType)}>"
    if isinstance(kind, types.StructType):
        inner = (f"{one.name}: {type_text(one.dataType)}{'' if one.nullable else ' NOT NULL'}" for one in kind.fields)
        return f"STRUCT<{', '.join(inner)}>"
    return _PLAIN.get(kind.simpleString(), kind.simpleString().upper())


def as_text(value: Any, kind: str) -> str | None:
    """A value as the JSON of the Statement API writes it: always a text, or null."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.datetime):
        text = value.replace(tzinfo=None).isoformat(
            timespec="microseconds" if value.microsecond % 1000 else "milliseconds"
        )
        return text if kind == "TIMESTAMP_NTZ" else f"{text}Z"
    if isinstance(value, bytes):
        import base64

        return base64.b64encode(value).decode()
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, (list, dict)):
        return json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=False)
    return format(value, "f") if kind.startswith("DECIMAL") else str(value)


def _number(value: float) -> str:
    if value != value:  # noqa: PLR0124 - NaN
        return "NaN"
    if value in {float("inf"), float("-inf")}:
        return "Infinity" if value > 0 else "-Infinity"
    return (
        repr(value)
        if 1e-3 <= abs(value) < 1e7 or value == 0
        else format(value, "E").replace("E+0", "E").replace("E+", "E").replace("E-0", "E-")
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        if value and all(isinstance(one, tuple) and len(one) == 2 for one in value):
            return {str(key): _plain(one) for key, one in value}
        return [_plain(one) for one in value]
    return as_text(value, "")

"""Iceberg schemas as Unity Catalog shows them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.types import DecimalType, IcebergType, ListType, MapType, NestedField, StructType

from tests.peers.databricks.model import ColumnRow

# Iceberg's type -> (text in SQL, the API's name, the name in Spark's JSON). Foreign tables show uuid as string.
_PRIMITIVES = {
    "boolean": ("boolean", "BOOLEAN", "boolean"),
    "int": ("int", "INT", "integer"),
    "long": ("bigint", "LONG", "long"),
    "float": ("float", "FLOAT", "float"),
    "double": ("double", "DOUBLE", "double"),
    "string": ("string", "STRING", "string"),
    "uuid": ("string", "STRING", "string"),
    "binary": ("binary", "BINARY", "binary"),
    "date": ("date", "DATE", "date"),
    "time": ("time", "USER_DEFINED_TYPE", "time"),
    "timestamp": ("timestamp_ntz", "TIMESTAMP_NTZ", "timestamp_ntz"),
    "timestamptz": ("timestamp", "TIMESTAMP", "timestamp"),
    "timestamp_ns": ("timestamp_ntz", "TIMESTAMP_NTZ", "timestamp_ntz"),
    "timestamptz_ns": ("timestamp", "TIMESTAMP", "timestamp"),
    "unknown": ("void", "NULL", "void"),
}


def columns_of(schema: Schema, spec: PartitionSpec | None = None, kept: Iterable[ColumnRow] = ()) -> list[ColumnRow]:
    """Rows for a schema's top columns; masks and tags of ``kept`` columns stay."""
    before = {column.name.lower(): column for column in kept}
    partitioned = [field.source_id for field in spec.fields] if spec else []
    rows = []
    for position, field in enumerate(schema.fields):
        text, name, spark = type_of(field.field_type)
        old = before.get(field.name.lower())
        decimal = field.field_type if isinstance(field.field_type, DecimalType) else None
        rows.append(
            ColumnRow(
                name=field.name,
                type_text=text,
                type_name=name,
                type_json=json.dumps(_json_field(field, spark)),
                position=position,
                nullable=not field.required,
                comment=field.doc or "",
                partition_index=partitioned.index(field.field_id) if field.field_id in partitioned else None,
                precision=decimal.precision if decimal else 0,
                scale=decimal.scale if decimal else 0,
                mask=old.mask if old else None,
                tags=old.tags if old else {},
            )
        )
    return rows


def type_of(kind: IcebergType) -> tuple[str, str, Any]:
    """Text, API name and Spark JSON of an Iceberg type."""
    if isinstance(kind, DecimalType):
        text = f"decimal({kind.precision},{kind.scale})"
        return text, "DECIMAL", text
    if isinstance(kind, ListType):
        text, _, spark = type_of(kind.element_type)
        shape = {"type": "array", "elementType": spark, "containsNull": not kind.element_required}
        return f"array<{text}>", "ARRAY", shape
    if isinstance(kind, MapType):
        (key, _, spark_key), (value, _, spark_value) = type_of(kind.key_type), type_of(kind.value_type)
        shape = {"type": "map", "keyType": spark_key, "valueType": spark_value}
        return f"map<{key},{value}>", "MAP", {**shape, "valueContainsNull": not kind.value_required}
    if isinstance(kind, StructType):
        inner = [(field, type_of(field.field_type)) for field in kind.fields]
        text = ",".join(f"{field.name}:{shown}" for field, (shown, _, _) in inner)
        fields = [_json_field(field, spark) for field, (_, _, spark) in inner]
        return f"struct<{text}>", "STRUCT", {"type": "struct", "fields": fields}
    return _PRIMITIVES.get(str(kind), ("binary", "BINARY", "binary"))


def _json_field(field: NestedField, spark: Any) -> dict[str, Any]:
    return {"name": field.name, "type": spark, "nullable": not field.required, "metadata": {}}

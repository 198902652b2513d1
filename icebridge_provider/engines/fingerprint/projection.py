"""Columns of a Parquet file as the table's schema sees them: by field id, promoted, filled where missing."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from icebridge_provider.engines.fingerprint.schema import Field
from icebridge_provider.exceptions import ValidationFailed

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FIELD_ID = b"PARQUET:field_id"


def file_ids(schema: pa.Schema, path: str) -> dict[int, str]:
    """Return the names of a file's columns by field id.

    :raises ValidationFailed: IB-506 when a column has no field id, so that it cannot be told what it is.
    """
    return {field_id_of(item, path): item.name for item in schema}


def promote(array: Any, wanted: Field, path: str) -> Any:
    """Return an array of simple values in the type the schema asks for.

    :raises ValidationFailed: IB-507 when the file's type cannot be promoted to the schema's.
    """
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_dictionary(array.type) or pa.types.is_null(array.type):
        return array
    target = arrow_type(wanted)
    if array.type == target or _same_bytes(array.type, target):
        return array
    if not _promotable(array.type, target):
        raise wrong_type(path, wanted, array.type)
    return array.cast(target, safe=True)


def missing(wanted: Field, constants: Mapping[int, Any], rows: int) -> Any:
    """Return the column of a field the file does not have: its partition value, else nulls."""
    value = constants.get(wanted.field_id)
    if value is None:
        return pa.nulls(rows)
    return pa.repeat(_constant(value, wanted), rows)


def arrow_type(field: Field) -> pa.DataType:
    """Return the Arrow type that holds the values of a simple field."""
    simple = _SIMPLE.get(field.type)
    if simple is not None:
        return simple
    if field.type.startswith("decimal"):
        precision, scale = (int(part) for part in field.type[8:-1].split(","))
        return pa.decimal128(precision, scale)
    return pa.binary(int(field.type[6:-1]))  # fixed[n]


_SIMPLE = {
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "string": pa.large_string(),
    "uuid": pa.binary(16),
    "binary": pa.large_binary(),
}


def _same_bytes(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Types whose buffers the encoder reads alike: short or long offsets, any name of UTC."""
    texts = (pa.string(), pa.large_string()), (pa.binary(), pa.large_binary())
    if any(found in pair and wanted in pair for pair in texts):
        return True
    return bool(
        pa.types.is_timestamp(found)
        and pa.types.is_timestamp(wanted)
        and found.unit == wanted.unit
        and (found.tz is None) == (wanted.tz is None)
    )


def _promotable(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Promotions of the Iceberg spec (v2), and the physical units Parquet writers may choose for a time."""
    if pa.types.is_integer(found) and pa.types.is_integer(wanted):
        return bool(found.bit_width <= wanted.bit_width)
    if pa.types.is_floating(found) and pa.types.is_floating(wanted):
        return bool(found.bit_width <= wanted.bit_width)
    if pa.types.is_decimal(found) and pa.types.is_decimal(wanted):
        return bool(found.scale == wanted.scale and found.precision <= wanted.precision)
    if pa.types.is_timestamp(found) and pa.types.is_timestamp(wanted):
        return bool((found.tz is None) == (wanted.tz is None))
    if pa.types.is_time(found) and pa.types.is_time(wanted):
        return True
    # Old writers left the text annotation off: the bytes are the same, and the schema says what they are.
    return bool(pa.types.is_binary(found) and pa.types.is_large_string(wanted))


def field_id_of(field: pa.Field, path: str) -> int:
    """Return a file field's Iceberg id.

    :raises ValidationFailed: IB-506 when it has none.
    """
    found = (field.metadata or {}).get(_FIELD_ID)
    if found is None:
        raise ValidationFailed(
            "IB-506",
            f"Column {field.name} in {path} has no Iceberg field id.",
            remedy="The file was imported without ids: rewrite it at the source (rewrite_data_files), or copy the "
            "table with copy_files or register, which are proved byte by byte.",
            path=path,
            column=field.name,
        )
    return int(found)


def _constant(value: Any, wanted: Field) -> Any:
    """Turn a partition value as Avro gives it into a scalar of the field's type."""
    target = arrow_type(wanted)
    if wanted.type == "uuid":
        value = value.bytes if isinstance(value, uuid.UUID) else bytes(value)
    elif isinstance(value, dt.datetime):
        value = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        return pa.scalar((value - _EPOCH) // dt.timedelta(microseconds=1), pa.int64()).cast(target)
    elif isinstance(value, bytes) and wanted.type.startswith("decimal"):
        value = Decimal(int.from_bytes(value, "big", signed=True)).scaleb(-target.scale)
    elif isinstance(value, int) and wanted.kind in {"date", "time", "timestamp", "timestamptz"}:
        width = pa.int32() if wanted.kind == "date" else pa.int64()
        return pa.scalar(value, width).cast(target)
    elif isinstance(value, np.generic):
        value = value.item()
    return pa.scalar(value, target)


def wrong_type(path: str, wanted: Field, found: pa.DataType) -> ValidationFailed:
    """Return the refusal of a file whose type does not fit the schema."""
    return ValidationFailed(
        "IB-507",
        f"Column {wanted.name} in {path} is {found}, which cannot be read as {wanted.type}.",
        remedy="The file does not fit the table's schema: repair the source (rewrite_data_files), then plan again.",
        path=path,
        column=wanted.name,
    )

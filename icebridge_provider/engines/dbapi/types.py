"""Declared types of SQLite and PostgreSQL as Arrow types, and values between the two: exactly, or refused by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.sql.bridge import SQLITE

_LARGEST = 2**63
_SHAPE = re.compile(r"\s*([a-z][a-z0-9 ]*?)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?\s*(with(?:out)? time zone)?\s*")
_SIMPLE = {
    "smallint": "int16", "int2": "int16", "integer": "int32", "int": "int32", "int4": "int32", "bigint": "int64",
    "int8": "int64", "boolean": "bool", "bool": "bool", "real": "float32", "float4": "float32",
    "double precision": "float64", "double": "float64", "float8": "float64", "float": "float64", "date": "date32",
    "bytea": "binary", "blob": "binary", "text": "string", "character varying": "string", "varchar": "string",
    "character": "string", "char": "string", "bpchar": "string", "nvarchar": "string", "nchar": "string",
    "ntext": "string", "clob": "string", "name": "string", "uuid": "string", "json": "string", "jsonb": "string",
    "xml": "string", "string": "string",
}  # fmt: skip


def arrow_type(declared: str, table: str, column: str, dialect: str) -> Any:
    """Return the Arrow type that holds every value of a declared type.

    :raises ConfigurationError: IB-858 naming the column where there is none.
    """
    import pyarrow as pa

    match = _SHAPE.fullmatch(declared.lower())
    kind, precision, scale, zone = match.groups() if match else ("", None, None, None)
    if kind in {"numeric", "decimal"} and precision and int(precision) <= 38:
        return pa.decimal128(int(precision), int(scale or 0))
    if kind in {"numeric", "decimal"} and not precision:
        return pa.string()
    if kind in {"timestamp", "datetime", "timestamptz"}:
        return pa.timestamp("us", tz="UTC" if zone == "with time zone" or kind == "timestamptz" else None)
    if kind in {"integer", "int"} and dialect == SQLITE:
        return pa.int64()
    if kind == "real" and dialect == SQLITE:
        return pa.float64()
    if kind not in _SIMPLE:
        raise ConfigurationError(
            "IB-858",
            f"Column {column!r} of {table} has type {declared or 'none'!r}, which cannot be brought over exactly.",
            remedy="Make the event's source a view that casts it to text, a number, a date or bytes.",
            column=column,
        )
    return pa.bool_() if kind in {"bool", "boolean"} else getattr(pa, _SIMPLE[kind])()


def reader_of(kind: Any) -> Callable[[Any], Any]:
    """Return the function that makes a driver's value one of an Arrow type; it raises ValueError where it cannot."""
    import pyarrow as pa

    if pa.types.is_decimal(kind):
        return _decimal
    if pa.types.is_timestamp(kind):
        return _moment if kind.tz is None else _instant
    if pa.types.is_date(kind):
        return _day
    if pa.types.is_boolean(kind):
        return _truth
    if pa.types.is_string(kind):
        return _text
    if pa.types.is_integer(kind):
        return _whole
    if pa.types.is_binary(kind):
        return _bytes
    return _number


def filter_value(text: str, kind: Any, column: str) -> Any:
    """Return a filter's text as a value of its column's type.

    :raises ConfigurationError: IB-847 naming the column.
    """
    try:
        value = _from_text(text, kind)
    except (ValueError, InvalidOperation):
        value = None
    if value is None:
        raise ConfigurationError(
            "IB-847",
            f"Filter on column {column!r}: {text[:80]!r} is no {kind}.",
            remedy="Emit the event anew with a value as the column holds it; binary columns cannot be filtered.",
            column=column,
        )
    return value


def sqlite_value(value: Any) -> Any:
    """Return a value as SQLite keeps it.

    :raises ValueError: for a number that it would round.
    """
    if isinstance(value, Decimal):
        return _sqlite_number(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date):
        return value.isoformat()
    return int(value) if isinstance(value, bool) else value


def _sqlite_number(value: Decimal) -> int | float:
    if value == value.to_integral_value() and abs(value) < _LARGEST:
        return int(value)
    if len(value.normalize().as_tuple().digits) > 15:
        raise ValueError(f"SQLite would round {value}")
    return float(value)


def _from_text(text: str, kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_string(kind):
        return None if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text) else text
    if pa.types.is_integer(kind):
        return int(text)
    if pa.types.is_decimal(kind):
        value = Decimal(text)
        return value if value.is_finite() else None
    if pa.types.is_boolean(kind):
        return {"true": True, "false": False, "1": True, "0": False}.get(text.strip().lower())
    if pa.types.is_floating(kind):
        return float(text)
    if pa.types.is_binary(kind):
        return None
    return reader_of(kind)(text)


def _decimal(value: Any) -> Decimal:
    try:
        return value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation as error:
        raise ValueError(str(error)) from None


def _moment(value: Any) -> datetime:
    found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    if found.tzinfo is not None:
        raise ValueError("it has a time zone")
    return found


def _instant(value: Any) -> datetime:
    found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    if found.tzinfo is None:
        raise ValueError("it has no time zone")
    return found.astimezone(UTC)


def _day(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(value)


def _truth(value: Any) -> bool:
    if value not in {0, 1}:
        raise ValueError("it is neither 0 nor 1")
    return bool(value)


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        raise ValueError("it came as JSON")
    if isinstance(value, bytes | memoryview):
        raise ValueError("it is bytes")
    return value if isinstance(value, str) else format(value, "f") if isinstance(value, Decimal) else str(value)


def _whole(value: Any) -> int:
    if not isinstance(value, int):
        raise ValueError("it is no whole number")
    return int(value)


def _number(value: Any) -> float:
    if not isinstance(value, int | float):
        raise ValueError("it is no number")
    if isinstance(value, int) and int(float(value)) != value:
        raise ValueError("it would be rounded")
    return float(value)


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        raise ValueError("it is text")
    return bytes(value)

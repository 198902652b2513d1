"""Implicit conversions between a value's type on the wire and the declared one of a parameter or bulk column."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from tests.peers.mssql.interface import DateTime2, DateTimeOffset, SqlError, SqlType, Time
from tests.peers.mssql.types import EXACT

TICKS_OF_DAY = 864_000_000_000
TEXTS = {"char", "varchar", "nchar", "nvarchar", "text", "ntext", "xml", "sysname"}
BYTES = {"binary", "varbinary", "image", "rowversion", "timestamp", "hierarchyid", "geometry", "geography"}
INTEGERS = {"tinyint", "smallint", "int", "bigint"}
DECIMALS = {"decimal", "numeric", "money", "smallmoney"}
FLOATS = {"real", "float"}
MOMENTS = {"date", "time", "datetime", "smalldatetime", "datetime2", "datetimeoffset"}


def family(kind: SqlType) -> str:
    for name, members in (("text", TEXTS), ("bytes", BYTES), ("integer", INTEGERS), ("decimal", DECIMALS),
                          ("float", FLOATS)):  # fmt: skip
        if kind.name in members:
            return name
    return "datetime" if kind.name in {"datetime", "smalldatetime"} else kind.name


def converter(source: SqlType, target: SqlType) -> Callable[[Any], Any] | None:
    """What turns values of one type into another's; None where they already are."""
    if target.name == "sql_variant" or (family(source) == family(target) and family(target) != "decimal"):
        return None
    if family(source) == family(target) and (source.scale, source.name) == (target.scale, target.name):
        return None
    return lambda value: converted(value, source, target)


def converted(value: Any, source: SqlType, target: SqlType) -> Any:
    """Turn a value; text that must be parsed for a number or a moment is the engine's business and stays.

    :raises SqlError: 206 for types that clash, 8114 for a value that does not fit.
    """
    wanted = family(target)
    if value is None or target.name == "sql_variant" or (wanted == family(source) and wanted != "decimal"):
        return value
    try:
        if wanted in MOMENTS:
            return _moment(value, target)
        return _PLAIN[wanted](value, target)
    except (KeyError, TypeError, AttributeError) as error:
        clash = f"Operand type clash: {source.name} is incompatible with {target.name}"
        raise SqlError(206, clash) from error
    except (ValueError, InvalidOperation, OverflowError) as error:
        raise SqlError(8114, f"Error converting data type {source.name} to {target.name}.", state=5) from error


def _decimal(value: Any, target: SqlType) -> Decimal:
    scale = {"money": 4, "smallmoney": 4}.get(target.name, target.scale)
    number = (
        Decimal(repr(value)) if isinstance(value, float) else Decimal(str(value) if isinstance(value, str) else value)
    )
    return number.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, EXACT)


def _moment(value: Any, target: SqlType) -> Any:
    days, ticks, minutes = _split(value)
    if target.name == "date":
        return datetime.date.fromordinal(days + 1)
    if target.name in {"datetime", "smalldatetime"}:
        return datetime.datetime.fromordinal(days + 1) + datetime.timedelta(microseconds=ticks // 10)
    unit = 10 ** (7 - target.scale)
    ticks = (ticks + unit // 2) // unit * unit
    days, ticks = days + ticks // TICKS_OF_DAY, ticks % TICKS_OF_DAY
    if target.name == "time":
        return Time(ticks)
    return DateTime2(days, ticks) if target.name == "datetime2" else DateTimeOffset(days, ticks, minutes)


def _split(value: Any) -> tuple[int, int, int]:
    """Days since 0001-01-01, ticks of the day, offset in minutes."""
    if isinstance(value, str):
        return _split(datetime.datetime.fromisoformat(value.strip()))
    if isinstance(value, datetime.datetime):
        clock = (value.hour * 3600 + value.minute * 60 + value.second) * 10_000_000 + value.microsecond * 10
        return value.toordinal() - 1, clock, 0
    if isinstance(value, datetime.date):
        return value.toordinal() - 1, 0, 0
    if isinstance(value, Time):
        return datetime.date(1900, 1, 1).toordinal() - 1, value.ticks, 0
    return value.days, value.ticks, getattr(value, "minutes", 0)


def _text(value: Any, _: SqlType) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-16-le", "surrogatepass")
    if isinstance(value, (bool, int, float, Decimal)):
        return str(int(value)) if isinstance(value, bool) else str(value)
    if isinstance(value, uuid.UUID):
        return str(value).upper()
    if isinstance(value, (datetime.date, datetime.datetime)):
        return str(value)
    if isinstance(value, str):
        return value
    raise TypeError(type(value).__name__)


_PLAIN: dict[str, Callable[[Any, SqlType], Any]] = {
    "text": _text,
    "bytes": lambda value, _: value.encode("utf-16-le") if isinstance(value, str) else bytes(value),
    "integer": lambda value, _: int(value),
    "float": lambda value, _: float(value),
    "bit": lambda value, _: value.strip().lower() not in {"0", "false"} if isinstance(value, str) else bool(value),
    "decimal": _decimal,
    "uniqueidentifier": lambda value, _: uuid.UUID(bytes_le=value) if isinstance(value, bytes) else uuid.UUID(value),
}

"""Values of Arrow as the stage takes them: exactly what the target's type can hold, or a refusal.

Every converter raises ``ValueError`` with the reason, in words that follow the value.
"""

from __future__ import annotations

import datetime
import math
import re
import struct
import uuid
from collections.abc import Callable
from decimal import Context, Decimal, InvalidOperation
from typing import Any

from icebridge_provider.model.bridge import TargetColumn
from icebridge_provider.sql.mssql import type_parts

Convert = Callable[[Any], Any]
TEXT_MARK, BYTES_MARK = "x", b"\0"  # behind texts, before bytes: see icebridge_provider.sql.mssql.staged_value
_RANGES = {
    "bigint": (-(2**63), 2**63 - 1), "int": (-(2**31), 2**31 - 1), "smallint": (-(2**15), 2**15 - 1),
    "tinyint": (0, 255), "bit": (0, 1),
}  # fmt: skip
_MONEY = {"money": 2**63, "smallmoney": 2**31}  # ten-thousandths
_WIDE = Context(prec=100)
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?)?(?: ?(Z|[+-]\d\d:\d\d))?", re.ASCII
)
_TIME = re.compile(r"(\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?", re.ASCII)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_INTEGER = re.compile(r"[+-]?\d{1,40}", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
_SMALL_FROM, _SMALL_TO = datetime.datetime(1900, 1, 1), datetime.datetime(2079, 6, 6, 23, 59)  # noqa: DTZ001 - of no zone
_MIDNIGHT = datetime.time()


def converter(column: TargetColumn) -> Convert:
    """Return what turns a value into the staged one; NULL is not handed to it."""
    name, length, scale = type_parts(column.type)
    if name in _RANGES:
        return lambda value: _integer(value, name)
    if name in {"float", "real"}:
        return lambda value: _float(value, single=name == "real")
    if name in {"decimal", "numeric"}:
        return lambda value: _decimal(value, int(length), scale)
    if name in _MONEY:
        return lambda value: _money(value, name)
    if name in _MOMENTS:
        return lambda value: _MOMENTS[name](value, int(length or 0))
    if name == "uniqueidentifier":
        return _guid
    if name in {"binary", "varbinary", "image"}:
        return lambda value: _bytes(value, name, length)
    return lambda value: _text(value, length)


# Numbers


def _integer(value: Any, name: str) -> int:
    if isinstance(value, str):
        number: Any = int(value) if _INTEGER.fullmatch(value) else None
    elif isinstance(value, int) or (
        isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value)
    ):  # bool too
        number = int(value)
    else:
        number = None
    low, high = _RANGES[name]
    if number is None or not low <= number <= high:
        raise ValueError(f"is no {name}")
    return int(number)


def _float(value: Any, *, single: bool) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise ValueError("is no number")
    if isinstance(value, str) and not _FLOAT.fullmatch(value):
        raise ValueError("is no number")
    try:
        number = float(value)
        rounded = struct.unpack("f", struct.pack("f", number))[0] if single else number
    except OverflowError:
        raise ValueError("is too large") from None
    if not math.isfinite(rounded):
        raise ValueError("cannot be stored: SQL Server has no NaN and no infinity")
    if not isinstance(value, str) and rounded != value:
        raise ValueError(f"would be rounded to {rounded!r}")
    return float(rounded)


def _decimal(value: Any, precision: int, scale: int) -> str:
    number = _number(value)
    scaled = number.scaleb(scale, _WIDE)
    if scaled != scaled.to_integral_value():
        raise ValueError(f"has more than {scale} decimal places")
    if scaled.copy_abs() >= 10**precision:
        raise ValueError("is too large")
    return format(number, "f")


def _money(value: Any, name: str) -> str:
    number = _number(value)
    scaled = number.scaleb(4, _WIDE)
    if scaled != scaled.to_integral_value():
        raise ValueError("has more than 4 decimal places")
    if not -_MONEY[name] <= scaled < _MONEY[name]:
        raise ValueError("is too large")
    return format(number, "f")


def _number(value: Any) -> Decimal:
    """A float counts as the shortest decimal that is it."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise ValueError("is no number")
    if isinstance(value, str) and not _FLOAT.fullmatch(value):
        raise ValueError("is no number")
    try:
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    except InvalidOperation:
        raise ValueError("is no number") from None
    if not number.is_finite() or (number and abs(number.adjusted()) > 60) or len(number.as_tuple().digits) > 76:
        raise ValueError("is no number that can be stored")
    return number or Decimal(0)  # a zero may have a thousand places


# Times


def _moment(value: Any) -> tuple[datetime.datetime, str, str]:
    """Return date and time to the second, the digits of its fraction, and its offset (empty where it has none)."""
    if isinstance(value, datetime.datetime):
        offset = value.strftime("%z") if value.tzinfo else ""
        zone = f"{offset[:3]}:{offset[3:5]}" if offset else ""
        return value.replace(microsecond=0, tzinfo=None), f"{value.microsecond:06d}", zone
    if isinstance(value, datetime.date):
        return datetime.datetime.combine(value, _MIDNIGHT), "", ""
    match = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("is no date and time")
    day, clock, fraction, zone = match.groups()
    try:
        found = datetime.datetime.fromisoformat(f"{day}T{clock or '00:00'}")
    except ValueError:
        raise ValueError("is no date and time") from None
    return found, fraction or "", "+00:00" if zone == "Z" else zone or ""


def _fraction(digits: str, places: int) -> str:
    """Return just so many digits, with the dot; nothing but zeros may be lost."""
    if digits[places:].strip("0"):
        raise ValueError(f"has more than {places} digits of a second")
    return f".{digits[:places].ljust(places, '0')}" if places else ""


def _without_zone(value: Any) -> tuple[datetime.datetime, str]:
    found, digits, zone = _moment(value)
    if zone not in {"", "+00:00"}:
        raise ValueError("has an offset, which the column cannot keep")
    return found, digits


def _datetime2(value: Any, places: int) -> str:
    found, digits = _without_zone(value)
    return found.isoformat(timespec="seconds") + _fraction(digits, places)


def _datetime(value: Any, _: int) -> str:
    found, digits = _without_zone(value)
    text = _fraction(digits, 3)
    if text[-1] not in "037":
        raise ValueError("would be rounded to 1/300 of a second")
    if found.year < 1753:
        raise ValueError("is before 1753")
    return found.isoformat(timespec="seconds") + text


def _smalldatetime(value: Any, _: int) -> str:
    found, digits = _without_zone(value)
    if found.second or digits.strip("0"):
        raise ValueError("has seconds, which the column cannot keep")
    if not _SMALL_FROM <= found <= _SMALL_TO:
        raise ValueError("is not between 1900 and 2079-06-06")
    return found.isoformat(timespec="seconds")


def _date(value: Any, _: int) -> str:
    found, digits = _without_zone(value)
    if found.time() != _MIDNIGHT or digits.strip("0"):
        raise ValueError("has a time of day, which the column cannot keep")
    return found.date().isoformat()


def _datetimeoffset(value: Any, places: int) -> str:
    found, digits, zone = _moment(value)
    if not zone:
        raise ValueError("has no offset")
    return found.isoformat(timespec="seconds") + _fraction(digits, places) + zone


def _time(value: Any, places: int) -> str:
    if isinstance(value, datetime.time) and value.tzinfo is None:
        return value.replace(microsecond=0).isoformat("seconds") + _fraction(f"{value.microsecond:06d}", places)
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("is no time of day")
    try:
        clock = datetime.time.fromisoformat(match.group(1))
    except ValueError:
        raise ValueError("is no time of day") from None
    return clock.isoformat("seconds") + _fraction(match.group(2) or "", places)


_MOMENTS: dict[str, Callable[[Any, int], str]] = {
    "date": _date, "datetime": _datetime, "smalldatetime": _smalldatetime, "datetime2": _datetime2,
    "datetimeoffset": _datetimeoffset, "time": _time,
}  # fmt: skip


# Texts and bytes


def _guid(value: Any) -> str:
    if isinstance(value, uuid.UUID):
        return str(value)
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise ValueError("is no uniqueidentifier")
    return value


def _text(value: Any, length: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError("is no text")
    text = value if isinstance(value, str) else format(value, "f") if isinstance(value, Decimal) else str(value)
    if length not in {"", "max"}:
        _refuse_long(text, int(length))
    return text + TEXT_MARK


def _refuse_long(text: str, most: int) -> None:
    """Lengths of ``varchar`` are bytes of its code page, never fewer than UTF-16 units; the server checks the rest."""
    units = len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2
    if units > most:
        raise ValueError(f"has more than {most} characters")


def _bytes(value: Any, name: str, length: str) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("is no binary value")
    if length not in {"", "max"} and len(value) > int(length):
        raise ValueError(f"has more than {length} bytes")
    if name == "binary" and len(value) != int(length):
        raise ValueError(f"has fewer than {length} bytes, which the column would fill with zeros")
    return BYTES_MARK + value

"""The sums of ``icebridge_provider.sql.snowflake_fingerprint``, computed in Python by their description."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - TIMESTAMP_NTZ has no zone


def sums_of(rows: Sequence[Mapping[str, Any]], scales: Mapping[str, int]) -> tuple[str, ...]:
    """Sums over rows; ``scales`` has the columns in order, with the digits after the point of decimals."""
    cells = [[_digest(row.get(name), scale) for name, scale in scales.items()] for row in rows]
    hashed = [_halves("".join(cell or "-" for cell in row) + ".") for row in cells]
    result = [len(rows), sum(upper for upper, _ in hashed), sum(lower for _, lower in hashed)]
    for number in range(len(scales)):
        there = [cell for row in cells if (cell := row[number])]
        result += [len(there), sum(_halves(cell)[1] for cell in there)]
    return tuple(map(str, result))


def _digest(value: Any, scale: int) -> str | None:
    return None if value is None else hashlib.md5(_text(value, scale).encode()).hexdigest()


def _halves(text: str) -> tuple[int, int]:
    digest = hashlib.md5(text.encode()).hexdigest()
    return int(digest[:16], 16), int(digest[16:], 16)


def _text(value: Any, scale: int) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return str(int(Fraction(value) * 10**scale))
    if isinstance(value, bytes):
        return value.hex().upper()
    if isinstance(value, dt.datetime):
        return str((value - EPOCH) // dt.timedelta(microseconds=1))
    if isinstance(value, dt.date):
        return str((value - EPOCH.date()).days)
    return _float(value) if isinstance(value, float) else str(value)


def _float(value: float) -> str:
    sign = "-" if value < 0 else ""
    if math.isnan(value):
        return "nan"
    if abs(value) >= 1e9:
        return f"{sign}big"
    fraction, whole = math.modf(abs(value))
    return f"{sign}{int(whole)}.{int(fraction * 2**20)}"

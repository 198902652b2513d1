"""Random rows of every type that Databricks SQL can express, edges of the types among them."""

from __future__ import annotations

import datetime as dt
import decimal
import math
import random
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

WIDE = decimal.Context(prec=80)
_LIST = {"type": "list", "element-id": 104, "element": "timestamp", "element-required": False}
_STRUCT = {
    "type": "struct",
    "fields": [
        {"id": 101, "name": "B", "type": "double", "required": False},
        {"id": 102, "name": "a", "type": "string", "required": False},
        {"id": 103, "name": "x y", "type": _LIST, "required": False},
    ],
}
_MAP = {"type": "map", "key-id": 106, "key": "string", "value-id": 107, "value": "double", "value-required": False}
_MAPS = {"type": "list", "element-id": 105, "element": _MAP, "element-required": False}
_WIDES = {"type": "list", "element-id": 110, "element": "decimal(30, 5)", "element-required": False}
_LISTS = {"type": "map", "key-id": 108, "key": "int", "value-id": 109, "value": _WIDES, "value-required": False}

DOUBLES = [
    0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, -5e-324, 2.0**-1022, math.nextafter(2.0**-1022, 0), 2.0**-1021,
    1.7976931348623157e308, -1.7976931348623157e308, 1.0, math.nextafter(1, 0), math.nextafter(2, 0), 0.1,
]  # fmt: skip
TEXTS = ["", "a", "a ", "\0", "é", "e\u0301", "\U0001f9ca", "x" * 16, "x" * 17, "'\\\n", "NULL", "\ufeff", "0" * 100]
MOMENTS = [
    dt.datetime(1969, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001 - Iceberg's timestamp has no zone
    dt.datetime(1, 1, 1),  # noqa: DTZ001
    dt.datetime(9999, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001
    dt.datetime(2024, 3, 31, 2, 30, 0, 1),  # noqa: DTZ001 - an hour that Berlin does not have
    dt.datetime(1582, 10, 5, 1, 2, 3),  # noqa: DTZ001 - a day that some calendars do not have
]


class Values:
    """Values of every kind, reproducible."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def double(self) -> float:
        chance = self._random
        bits: float = struct.unpack("d", chance.randbytes(8))[0]
        power = 2.0 ** chance.randint(-1074, 1023)
        return chance.choice([*DOUBLES, bits, bits, power, math.nextafter(power, 0), chance.uniform(-1e3, 1e3)])

    def single(self) -> float:
        found = struct.unpack("f", self._random.randbytes(4))[0]
        return float(self._random.choice([0.0, -0.0, math.nan, -math.inf, 1e-45, 3.4028234663852886e38, found]))

    def text(self) -> str:
        chance = self._random
        return chance.choice([*TEXTS, "".join(chr(chance.randint(1, 0xD7FF)) for _ in range(chance.randint(0, 30)))])

    def decimal(self, precision: int, scale: int) -> Decimal:
        chance = self._random
        whole = chance.choice(
            [0, 1, -1, 10, 10**precision - 1, 1 - 10**precision, chance.randint(0, 10**precision - 1)]
        )
        return Decimal(whole).scaleb(-scale, context=WIDE)

    def moment(self) -> dt.datetime:
        chance = self._random
        return chance.choice([*MOMENTS, dt.datetime(2000, 1, 1) + dt.timedelta(microseconds=chance.randint(0, 10**15))])  # noqa: DTZ001

    def day(self) -> dt.date:
        return self._random.choice(
            [dt.date(1, 1, 1), dt.date(9999, 12, 31), dt.date(1969, 12, 31), dt.date(2024, 2, 29)]
        )

    def integer(self, bits: int) -> int:
        edge = 2 ** (bits - 1)
        return self._random.choice([0, 1, -1, edge - 1, -edge, self._random.randint(-edge, edge - 1)])

    def some(self, make: Callable[[], Any]) -> list[Any]:
        return [self.maybe(make) for _ in range(self._random.randint(0, 3))]

    def entries(self, key: Callable[[], Any], make: Callable[[], Any]) -> list[tuple[Any, Any]]:
        return list({key(): self.maybe(make) for _ in range(self._random.randint(0, 3))}.items())

    def maybe(self, make: Callable[[], Any]) -> Any:
        return None if self._random.random() < 0.15 else make()

    def deep(self) -> dict[str, Any]:
        moments = self.maybe(lambda: self.some(self.moment))
        return {"B": self.maybe(self.double), "a": self.maybe(self.text), "x y": moments}

    def bytes(self) -> bytes:
        return self._random.choice([b"", b"\0", self._random.randbytes(20)])

    def flag(self) -> bool:
        return self._random.random() < 0.5


TYPES: dict[str, tuple[Any, Callable[[Values], Any]]] = {
    "flag": ("boolean", Values.flag),
    "small": ("int", lambda v: v.integer(32)),
    "Big": ("long", lambda v: v.integer(64)),
    "Single": ("float", Values.single),
    "double": ("double", Values.double),
    "price": ("decimal(10, 2)", lambda v: v.decimal(10, 2)),
    "count": ("decimal(18, 0)", lambda v: v.decimal(18, 0)),
    "share": ("decimal(18, 18)", lambda v: v.decimal(18, 18)),
    "wide": ("decimal(38, 20)", lambda v: v.decimal(38, 20)),
    "whole": ("decimal(30, 0)", lambda v: v.decimal(30, 0)),
    "tiny": ("decimal(38, 38)", lambda v: v.decimal(38, 38)),
    "it's `a` text": ("string", Values.text),
    "raw": ("binary", Values.bytes),
    "day": ("date", Values.day),
    "local": ("timestamp", Values.moment),
    "at": ("timestamptz", lambda v: v.moment().replace(tzinfo=dt.UTC)),
    "deep": (_STRUCT, Values.deep),
    "maps": (_MAPS, lambda v: v.some(lambda: v.entries(v.text, v.double))),
    "lists": (_LISTS, lambda v: v.entries(lambda: v.integer(32), lambda: v.some(lambda: v.decimal(30, 5)))),
}  # fmt: skip
NAMES = list(TYPES)
FIELDS = [
    {"id": number, "name": name, "type": TYPES[name][0], "required": False} for number, name in enumerate(NAMES, 1)
]


def rows(seed: int, count: int) -> list[dict[str, Any]]:
    """Rows of :data:`FIELDS`, nulls among the values."""
    values = Values(seed)
    return [{name: values.maybe(lambda made=TYPES[name][1]: made(values)) for name in NAMES} for _ in range(count)]

"""T-SQL's functions of dates and times."""

from __future__ import annotations

from typing import Any

from tests.peers.mssql.interface import SqlError, SqlType
from tests.peers.mssql.translate import tree, types
from tests.peers.mssql.translate.scalars import function, text_value, values_of
from tests.peers.mssql.translate.scope import Scope
from tests.peers.mssql.translate.typed import BIGINT, INT, Typed, convert, from_ticks, text_type, ticks_of

_MOMENT = SqlType(name="datetime")
_PARTS = {
    "yy": "year", "yyyy": "year", "qq": "quarter", "q": "quarter", "mm": "month", "m": "month", "dy": "dayofyear",
    "y": "dayofyear", "dd": "day", "d": "day", "wk": "week", "ww": "week", "dw": "weekday", "w": "weekday",
    "hh": "hour", "mi": "minute", "n": "minute", "ss": "second", "s": "second", "ms": "millisecond",
    "mcs": "microsecond", "ns": "nanosecond", "isowk": "iso_week", "isoww": "iso_week", "iso_week": "iso_week",
    "tz": "tzoffset",
}  # fmt: skip
_PART_NAMES = frozenset(_PARTS.values()) | {"tzoffset"}


def _clock(name: str, kind: SqlType) -> None:
    def body(binder: Any, node: tree.Call, scope: Scope) -> Typed:
        ticks = "ms.ticks(timezone('UTC', statement_timestamp()))"
        return Typed(from_ticks(ticks, kind), kind, False)

    function(name, arguments=(0, 0))(body)


for _name in ("GETDATE", "GETUTCDATE", "CURRENT_TIMESTAMP"):
    _clock(_name, _MOMENT)
for _name in ("SYSDATETIME", "SYSUTCDATETIME"):
    _clock(_name, SqlType(name="datetime2", scale=7))
_clock("SYSDATETIMEOFFSET", SqlType(name="datetimeoffset", scale=7))


def _part(node: tree.Call) -> str:
    word = str(node.arguments[0]).lower()
    part = _PARTS.get(word, word)
    if part not in _PART_NAMES:
        raise SqlError(155, f"'{word}' is not a recognized {node.name.lower()} option.", severity=15)
    return part


@function("DATEADD", arguments=(3, 3))
def _dateadd(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    part = _part(node)
    number, moment = binder.typed(node.arguments[1], scope), binder.typed(node.arguments[2], scope)
    kind = moment.type if moment.name in types.DATES and moment.type else _MOMENT
    moved = f"ms.date_add('{part}', {convert(number, BIGINT)}, {ticks_of(moment)})"
    if kind.name == "datetimeoffset":
        sql = (
            f"(CASE WHEN ({moment.sql}).ticks IS NOT NULL THEN ROW(ms.date_add('{part}', "
            f"{convert(number, BIGINT)}, ({moment.sql}).ticks), ({moment.sql}).minutes)::ms.dto END)"
        )
        return Typed(sql, kind)
    return Typed(from_ticks(moved, kind), kind)


@function("DATEDIFF", "DATEDIFF_BIG", arguments=(3, 3))
def _datediff(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    part = _part(node)
    first, second = (ticks_of(binder.typed(item, scope)) for item in node.arguments[1:])
    kind = INT if node.name == "DATEDIFF" else BIGINT
    return Typed(f"ms.date_diff('{part}', {first}, {second})::{types.plain(kind)}", kind)


def _part_of(binder: Any, part: str, value: Typed) -> str:
    if part == "tzoffset":
        return f"({value.sql}).minutes::int4" if value.name == "datetimeoffset" else "0"
    return f"ms.date_part('{part}', {ticks_of(value)})"


@function("DATEPART", arguments=(2, 2))
def _datepart(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    return Typed(_part_of(binder, _part(node), binder.typed(node.arguments[1], scope)), INT)


@function("YEAR", "MONTH", "DAY", arguments=(1, 1))
def _year(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    return Typed(_part_of(binder, node.name.lower(), binder.typed(node.arguments[0], scope)), INT)


@function("DATENAME", arguments=(2, 2))
def _datename(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    value = binder.typed(node.arguments[1], scope)
    return Typed(f"ms.date_name('{_part(node)}', {ticks_of(value)})", text_type(30))


@function("EOMONTH", arguments=(1, 2))
def _eomonth(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    values = values_of(binder, node, scope)
    months = convert(values[1], INT) if len(values) > 1 else "0"
    moved = f"ms.moment(ms.date_add('month', ({months})::int8 + 1, {ticks_of(values[0])}))"
    return Typed(f"(date_trunc('month', {moved}) - interval '1 day')::date", SqlType(name="date"))


@function("DATEFROMPARTS", arguments=(3, 3))
def _datefromparts(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    parts = ", ".join(convert(item, INT) for item in values_of(binder, node, scope))
    return Typed(f"make_date({parts})", SqlType(name="date"))


@function("ISDATE", arguments=(1, 1))
def _isdate(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    text = text_value(binder.typed(node.arguments[0], scope))
    return Typed(
        f"(CASE WHEN (ms.parsed({text})).ticks IS NULL THEN 0 ELSE 1 END)",
        INT,
    )


@function("AT TIME ZONE", arguments=(2, 2))
def _zone(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    value, _ = values_of(binder, node, scope)
    if str(binder.constant(node.arguments[1], scope)).upper() != "UTC":
        raise SqlError(40510, "The local SQL Server knows no time zone but UTC.")
    kind = SqlType(name="datetimeoffset", scale=value.type.scale if value.type else 7)
    if value.name == "datetimeoffset":
        return Typed(f"(CASE WHEN ({value.sql}).ticks IS NOT NULL THEN ROW(({value.sql}).ticks, 0)::ms.dto END)", kind)
    return Typed(convert(value, kind), kind)


@function("SWITCHOFFSET", "TODATETIMEOFFSET", arguments=(2, 2))
def _switch(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    value = binder.typed(node.arguments[0], scope)
    text = str(binder.constant(node.arguments[1], scope))
    sign = -1 if text.startswith("-") else 1
    minutes = sign * (int(text[1:3]) * 60 + int(text[4:6]))
    kind = SqlType(name="datetimeoffset", scale=value.type.scale if value.type and value.name in types.DATES else 7)
    if node.name == "SWITCHOFFSET" and value.name == "datetimeoffset":
        return Typed(f"ROW(({value.sql}).ticks, {minutes})::ms.dto", kind)
    return Typed(f"ROW({ticks_of(value)} - {minutes}::int8 * 600000000, {minutes})::ms.dto", kind)

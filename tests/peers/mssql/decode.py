"""Types on the wire, inwards: TYPE_INFO of parameters and bulk columns, and decoders of their values.

A decoder takes the bytes and a place in them and gives the value and the place behind it. Bytes that end too early
make it raise :class:`Short` or ``struct.error``: the caller fetches more and asks anew.
"""

from __future__ import annotations

import datetime
import struct
import uuid
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any

from tests.peers.mssql.interface import MAX, DateTime2, DateTimeOffset, SqlType, Time
from tests.peers.mssql.types import DAYS_TO_1900, EXACT, NULL_PLP, PLACES, SURROGATES, codec_of, time_bytes

Decoder = Callable[[Any, int], tuple[Any, int]]

FIXED = {0x30: ("tinyint", "<B"), 0x32: ("bit", "<?"), 0x34: ("smallint", "<h"), 0x38: ("int", "<i"),
         0x7F: ("bigint", "<q"), 0x3B: ("real", "<f"), 0x3E: ("float", "<d")}  # fmt: skip
SIZED = {
    0x26: {1: "tinyint", 2: "smallint", 4: "int", 8: "bigint"}, 0x68: {1: "bit"}, 0x6D: {4: "real", 8: "float"},
    0x6E: {4: "smallmoney", 8: "money"}, 0x6F: {4: "smalldatetime", 8: "datetime"}, 0x24: {16: "uniqueidentifier"},
}  # fmt: skip
FIXED_OTHERS = {0x3A: ("smalldatetime", 4), 0x3D: ("datetime", 8), 0x3C: ("money", 8), 0x7A: ("smallmoney", 4)}
TEXTS = {0xA7: "varchar", 0xAF: "char", 0xE7: "nvarchar", 0xEF: "nchar", 0x27: "varchar", 0x2F: "char"}
BYTES = {0xA5: "varbinary", 0xAD: "binary", 0x25: "varbinary", 0x2D: "binary"}
OLD = {0x23: "text", 0x63: "ntext", 0x22: "image"}
SCALED = {0x29: "time", 0x2A: "datetime2", 0x2B: "datetimeoffset"}


class Short(Exception):
    """The bytes end before the value does."""


def read_type(data: Any, at: int, *, in_bulk: bool = False) -> tuple[SqlType, Decoder, int]:
    """Read a TYPE_INFO: the type, its decoder, the place behind it."""
    token, at = data[at], at + 1
    if token in FIXED:
        name, form = FIXED[token]
        return SqlType(name=name), _fixed(form), at
    if token in FIXED_OTHERS:
        name, size = FIXED_OTHERS[token]
        return SqlType(name=name), _bare(_RAW[name](SqlType(name=name)), size), at
    if token in SIZED:
        kind = SqlType(name=SIZED[token].get(data[at], SIZED[token][max(SIZED[token])]))
        return kind, decoder(kind), at + 1
    if token in {0x6A, 0x6C, 0x37, 0x3F}:
        kind = SqlType(
            name="decimal" if token in {0x6A, 0x37} else "numeric", precision=data[at + 1], scale=data[at + 2]
        )
        return kind, decoder(kind), at + 3
    if token in SCALED:
        kind = SqlType(name=SCALED[token], scale=data[at])
        return kind, decoder(kind), at + 1
    if token == 0x28:
        return SqlType(name="date"), decoder(SqlType(name="date")), at
    if token == 0x1F:
        return SqlType(name="nvarchar", length=1), lambda _, place: (None, place), at
    if token in TEXTS or token in BYTES:
        return _character(token, data, at)
    return _long_type(token, data, at, in_bulk)


def _character(token: int, data: Any, at: int) -> tuple[SqlType, Decoder, int]:
    old = token < 0x80
    length = data[at] if old else struct.unpack_from("<H", data, at)[0]
    at += 1 if old else 2
    if token in BYTES:
        kind = SqlType(name=BYTES[token], length=MAX if length == 0xFFFF else length)
        return kind, decoder(kind) if not old else _old_short(bytes), at
    kind = SqlType(name=TEXTS[token], length=MAX if length == 0xFFFF else length)
    if kind.name in {"nvarchar", "nchar"} and length != 0xFFFF:
        kind = replace(kind, length=length // 2)
    kind, at = _collated(kind, data, at)
    return kind, decoder(kind) if not old else _old_short(_text_of(kind)), at


def _collated(kind: SqlType, data: Any, at: int) -> tuple[SqlType, int]:
    flags = struct.unpack_from("<I", data, at)[0]
    utf8 = bool(flags & 1 << 26)
    return (replace(kind, collation="Latin1_General_100_CI_AS_SC_UTF8") if utf8 else kind), at + 5


def _long_type(token: int, data: Any, at: int, in_bulk: bool) -> tuple[SqlType, Decoder, int]:
    if token in OLD:
        kind, at = SqlType(name=OLD[token]), at + 4
        if token != 0x22:
            kind, at = _collated(kind, data, at)
        if in_bulk:
            at = _past_table_name(data, at)
        return kind, _old_long(kind) if in_bulk else _counted(kind), at
    if token == 0xF1:
        if data[at]:
            at = _past_schema(data, at + 1) - 1
        return SqlType(name="xml"), _long(_xml), at + 1
    if token == 0x62:
        return SqlType(name="sql_variant"), _variant, at + 4
    if token == 0xF0:
        return _place_type(data, at)
    raise LookupError(f"the wire cannot read a value of type 0x{token:02X}")


def _place_type(data: Any, at: int) -> tuple[SqlType, Decoder, int]:
    names: list[str] = []
    for _ in range(3):
        size = data[at] * 2
        names.append(bytes(data[at + 1 : at + 1 + size]).decode("utf-16-le"))
        at += 1 + size
    name = names[2] if names[2] in PLACES else "varbinary"
    return SqlType(name=name, length=MAX), _long(bytes), at


def _past_table_name(data: Any, at: int) -> int:
    parts, at = data[at], at + 1
    for _ in range(parts):
        at += 2 + 2 * struct.unpack_from("<H", data, at)[0]
    return at


def _past_schema(data: Any, at: int) -> int:
    for _ in range(2):
        at += 1 + 2 * data[at]
    characters: int = struct.unpack_from("<H", data, at)[0]
    return at + 2 + 2 * characters


@cache
def decoder(kind: SqlType) -> Decoder:
    """Decode values of a type that carry their length."""
    if kind.length == MAX or kind.name == "xml":
        return _long(_text_of(kind) if kind.name not in {"varbinary", "binary"} else bytes)
    if kind.name in {"varchar", "char", "nvarchar", "nchar"}:
        return _short(_text_of(kind))
    if kind.name in {"varbinary", "binary"}:
        return _short(bytes)
    return _by_length(_RAW[kind.name](kind))


def _text_of(kind: SqlType) -> Callable[[bytes], str]:
    codec = codec_of(kind)
    if codec == "cp1252":
        return lambda raw: decode_1252(bytes(raw))
    return lambda raw: str(raw, codec, SURROGATES)


def _xml(raw: bytes) -> str:
    return str(raw, "utf-16-le", SURROGATES).removeprefix("\ufeff")  # some clients send the mark, some do not


def decode_1252(raw: bytes) -> str:
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError:
        return "".join(chr(byte) if byte in b"\x81\x8d\x8f\x90\x9d" else bytes([byte]).decode("cp1252") for byte in raw)


def _fixed(form: str) -> Decoder:
    reader = struct.Struct(form)
    return lambda data, at: (reader.unpack_from(data, at)[0], at + reader.size)


def _bare(turn: Callable[[bytes], Any], size: int) -> Decoder:
    def decode(data: Any, at: int) -> tuple[Any, int]:
        if at + size > len(data):
            raise Short
        return turn(data[at : at + size]), at + size

    return decode


def _by_length(turn: Callable[[bytes], Any]) -> Decoder:
    def decode(data: Any, at: int) -> tuple[Any, int]:
        if at >= len(data):
            raise Short
        size = data[at]
        if not size:
            return None, at + 1
        end = at + 1 + size
        if end > len(data):
            raise Short
        return turn(data[at + 1 : end]), end

    return decode


def _short(turn: Callable[[bytes], Any]) -> Decoder:
    def decode(data: Any, at: int) -> tuple[Any, int]:
        if at + 2 > len(data):
            raise Short
        size = data[at] | data[at + 1] << 8
        if size == 0xFFFF:
            return None, at + 2
        end = at + 2 + size
        if end > len(data):
            raise Short
        return turn(data[at + 2 : end]), end

    return decode


def _old_short(turn: Callable[[bytes], Any]) -> Decoder:
    return _by_length(turn)


def _long(turn: Callable[[bytes], Any]) -> Decoder:
    def decode(data: Any, at: int) -> tuple[Any, int]:
        if at + 8 > len(data):
            raise Short
        if data[at : at + 8] == NULL_PLP:
            return None, at + 8
        parts: list[bytes] = []
        at += 8
        while True:
            size = struct.unpack_from("<I", data, at)[0]
            at += 4
            if not size:
                return turn(b"".join(parts)), at
            if at + size > len(data):
                raise Short
            parts.append(bytes(data[at : at + size]))
            at += size

    return decode


def _old_long(kind: SqlType) -> Decoder:
    """Text, ntext and image of a bulk row: a text pointer, a timestamp, then the value."""
    turn = bytes if kind.name == "image" else _text_of(kind)

    def decode(data: Any, at: int) -> tuple[Any, int]:
        if at >= len(data):
            raise Short
        if not data[at]:
            return None, at + 1
        return _counted_value(turn, data, at + 1 + data[at] + 8)

    return decode


def _counted(kind: SqlType) -> Decoder:
    """Text, ntext and image as a parameter: four bytes of length."""
    turn = bytes if kind.name == "image" else _text_of(kind)
    return lambda data, at: _counted_value(turn, data, at)


def _counted_value(turn: Callable[[bytes], Any], data: Any, at: int) -> tuple[Any, int]:
    size = struct.unpack_from("<I", data, at)[0]
    if size == 0xFFFFFFFF:
        return None, at + 4
    if at + 4 + size > len(data):
        raise Short
    return turn(data[at + 4 : at + 4 + size]), at + 4 + size


def _variant(data: Any, at: int) -> tuple[Any, int]:
    size = struct.unpack_from("<I", data, at)[0]
    if not size:
        return None, at + 4
    end = at + 4 + size
    if end > len(data):
        raise Short
    token, width = data[at + 4], data[at + 5]
    properties, raw = bytes(data[at + 6 : at + 6 + width]), data[at + 6 + width : end]
    return _variant_value(token, properties, raw), end


def _variant_value(token: int, properties: bytes, raw: Any) -> Any:
    if token in FIXED:
        return struct.unpack(FIXED[token][1], raw)[0]
    if token in {0x6A, 0x6C}:
        return _raw_decimal(SqlType(name="decimal", precision=properties[0], scale=properties[1]))(raw)
    if token in BYTES:
        return bytes(raw)
    if token in TEXTS:
        kind, _ = _collated(SqlType(name=TEXTS[token]), properties, 0)
        return _text_of(kind)(raw)
    names = {0x24: "uniqueidentifier", 0x28: "date", **SCALED, **{key: name for key, (name, _) in FIXED_OTHERS.items()}}
    return _RAW[names[token]](SqlType(name=names[token], scale=properties[0] if properties else 0))(raw)


def _raw_integer(kind: SqlType) -> Callable[[bytes], int]:
    signed = kind.name != "tinyint"
    return lambda raw: int.from_bytes(raw, "little", signed=signed)


def _raw_float(_: SqlType) -> Callable[[bytes], float]:
    return lambda raw: struct.unpack("<f" if len(raw) == 4 else "<d", raw)[0]


def _raw_decimal(kind: SqlType) -> Callable[[bytes], Decimal]:
    scale = -kind.scale

    def turn(raw: bytes) -> Decimal:
        number = int.from_bytes(raw[1:], "little")
        return Decimal(number if raw[0] else -number).scaleb(scale, EXACT)

    return turn


def _raw_money(_: SqlType) -> Callable[[bytes], Decimal]:
    def turn(raw: bytes) -> Decimal:
        if len(raw) == 4:
            return Decimal(struct.unpack("<i", raw)[0]).scaleb(-4, EXACT)
        high, low = struct.unpack("<iI", raw)
        return Decimal((high << 32) + low).scaleb(-4, EXACT)

    return turn


def _raw_datetime(_: SqlType) -> Callable[[bytes], datetime.datetime]:
    def turn(raw: bytes) -> datetime.datetime:
        if len(raw) == 4:
            days, minutes = struct.unpack("<HH", raw)
            return _stamp(days, minutes * 60_000)
        days, ticks = struct.unpack("<iI", raw)
        return _stamp(days, (ticks * 10 + 1) // 3)

    return turn


def _stamp(days: int, milliseconds: int) -> datetime.datetime:
    day = datetime.datetime.fromordinal(days + DAYS_TO_1900)
    return day + datetime.timedelta(milliseconds=milliseconds)


def _raw_date(_: SqlType) -> Callable[[bytes], datetime.date]:
    return lambda raw: datetime.date.fromordinal(int.from_bytes(raw, "little") + 1)


def _raw_scaled(kind: SqlType) -> Callable[[bytes], Any]:
    size, unit = time_bytes(kind.scale), 10 ** (7 - kind.scale)

    def turn(raw: bytes) -> Any:
        ticks = int.from_bytes(raw[:size], "little") * unit
        if len(raw) <= size:
            return Time(ticks)
        days = int.from_bytes(raw[size : size + 3], "little")
        if len(raw) == size + 3:
            return DateTime2(days, ticks)
        return DateTimeOffset(days, ticks, struct.unpack("<h", raw[size + 3 :])[0])

    return turn


_RAW: dict[str, Callable[[SqlType], Callable[[bytes], Any]]] = {
    **dict.fromkeys(["tinyint", "smallint", "int", "bigint"], _raw_integer),
    **dict.fromkeys(["real", "float"], _raw_float),
    **dict.fromkeys(["decimal", "numeric"], _raw_decimal),
    **dict.fromkeys(["money", "smallmoney"], _raw_money),
    **dict.fromkeys(["datetime", "smalldatetime"], _raw_datetime),
    **dict.fromkeys(["time", "datetime2", "datetimeoffset"], _raw_scaled),
    "bit": lambda _: lambda raw: raw[0] != 0,
    "date": _raw_date,
    "uniqueidentifier": lambda _: lambda raw: uuid.UUID(bytes_le=bytes(raw)),
}

"""Types on the wire, outwards: TYPE_INFO and encoders of values ([MS-TDS] 2.2.5.4 to 2.2.5.6).

An encoder is made once per column and called for every value.
"""

from __future__ import annotations

import codecs
import datetime
import struct
import uuid
from collections.abc import Callable, Iterable, Sequence
from decimal import Context, Decimal
from functools import cache
from typing import Any

from tests.peers.mssql.interface import MAX, DateTime2, DateTimeOffset, SqlType, Time

Encoder = Callable[[Any], bytes]
ColumnEncoder = Callable[[Sequence[Any]], Iterable[bytes]]

INTEGERS = {"tinyint": 1, "smallint": 2, "int": 4, "bigint": 8}
FLOATS = {"real": 4, "float": 8}
MONEYS = {"smallmoney": 4, "money": 8}
STAMPS = {"smalldatetime": 4, "datetime": 8}
SCALED = {"time": 0x29, "datetime2": 0x2A, "datetimeoffset": 0x2B}
TEXTS = {"varchar": 0xA7, "char": 0xAF, "nvarchar": 0xE7, "nchar": 0xEF, "sysname": 0xE7}
BYTES = {"varbinary": 0xA5, "binary": 0xAD, "rowversion": 0xAD, "timestamp": 0xAD}
OLD = {"text": 0x23, "ntext": 0x63, "image": 0x22}
USER_TYPES = {"rowversion": 80, "timestamp": 80, "sysname": 256}
PLACES = {"hierarchyid", "geometry", "geography"}
DEFAULT_COLLATION = bytes.fromhex("0904d00034")
NULL_PLP, UNKNOWN_PLP = b"\xff" * 8, b"\xfe" + b"\xff" * 7
EXACT = Context(prec=100)
DAYS_TO_1900 = datetime.date(1900, 1, 1).toordinal()
SURROGATES = "surrogatepass"


@cache
def collation_bytes(name: str) -> bytes:
    """LCID, comparison flags, version and sort id of a collation's name."""
    low = name.lower()
    if low.startswith("sql_latin1_general_cp1_ci"):
        return DEFAULT_COLLATION
    if low.startswith("sql_latin1_general_cp1_cs"):
        return bytes.fromhex("0904c00033")
    words = low.split("_")
    if "bin2" in words or "bin" in words:
        flags = 1 << 25 if "bin2" in words else 1 << 24
    else:
        unlike = {"ci": 1 << 20, "ai": 1 << 21}
        flags = sum(bit for word, bit in unlike.items() if word in words)
        flags |= (0 if "ks" in words else 1 << 22) | (0 if "ws" in words else 1 << 23)
    version = 2 << 28 if "100" in words else 3 << 28 if "140" in words else 1 << 28 if "90" in words else 0
    return struct.pack("<IB", 0x409 | flags | (1 << 26 if "utf8" in words else 0) | version, 0)


def is_national(name: str) -> bool:
    return name in {"nvarchar", "nchar", "ntext", "sysname", "xml"}


def codec_of(kind: SqlType) -> str:
    """How the text of a type travels."""
    if is_national(kind.name):
        return "utf-16-le"
    return "utf-8" if "utf8" in kind.collation.lower() else "cp1252"


@cache
def type_info(kind: SqlType, *, in_result: bool = False) -> tuple[int, bytes]:
    """User type and TYPE_INFO; a result's old long types name a table, which stays empty."""
    return USER_TYPES.get(kind.name, 0), _info(kind, in_result)


def _info(kind: SqlType, in_result: bool) -> bytes:
    name, collation = kind.name, collation_bytes(kind.collation)
    for token, sizes in ((0x26, INTEGERS), (0x6D, FLOATS), (0x6E, MONEYS), (0x6F, STAMPS)):
        if name in sizes:
            return bytes([token, sizes[name]])
    if name in {"decimal", "numeric"}:
        token = 0x6A if name == "decimal" else 0x6C
        return bytes([token, decimal_bytes(kind.precision) + 1, kind.precision, kind.scale])
    if name in SCALED:
        return bytes([SCALED[name], kind.scale])
    if name in TEXTS:
        return bytes([TEXTS[name]]) + _length(kind, 2 if is_national(name) else 1) + collation
    if name in BYTES:
        return bytes([BYTES[name]]) + _length(kind, 1)
    if name in OLD:
        longest = b"\xfe\xff\xff\x7f" if name == "ntext" else b"\xff\xff\xff\x7f"
        table = b"\x01\x00\x00" if in_result else b""
        return bytes([OLD[name]]) + longest + (b"" if name == "image" else collation) + table
    if name in PLACES:
        names = b"".join(bytes([len(one)]) + one.encode("utf-16-le") for one in ("", "sys", name))
        return b"\xf0\xff\xff" + names + b"\0\0"
    plain = {"bit": b"\x68\x01", "date": b"\x28", "uniqueidentifier": b"\x24\x10", "xml": b"\xf1\x00",
             "sql_variant": b"\x62\x49\x1f\x00\x00"}  # fmt: skip
    return plain[name]


def _length(kind: SqlType, width: int) -> bytes:
    if kind.name in {"rowversion", "timestamp"}:
        return struct.pack("<H", 8)
    if kind.name == "sysname":
        return struct.pack("<H", 256)
    return b"\xff\xff" if kind.length == MAX else struct.pack("<H", max(kind.length, 1) * width)


def decimal_bytes(precision: int) -> int:
    return 4 if precision <= 9 else 8 if precision <= 19 else 12 if precision <= 28 else 16


@cache
def encoder(kind: SqlType) -> Encoder:
    """The encoder of a type's values."""
    make = _MAKERS.get(kind.name)
    if make is None:
        raise LookupError(f"the wire knows no type {kind.name}")
    return make(kind)


@cache
def column_encoder(kind: SqlType) -> ColumnEncoder:
    """The encoder of many values at once: the types that bulk data is made of do without a call for each value."""
    if kind.name in INTEGERS or kind.name in FLOATS:
        size = INTEGERS.get(kind.name) or FLOATS[kind.name]
        pack = _packer(kind)
        return lambda values: [b"\0" if value is None else pack(size, value) for value in values]
    if kind.name in {"nvarchar", "nchar", "sysname"} and kind.length != MAX:
        pack = struct.Struct("<H").pack

        def texts(values: Sequence[str | None]) -> list[bytes]:
            encode = codecs.utf_16_le_encode  # str.encode asks a registry for it, each time
            raws = [None if value is None else encode(value, SURROGATES)[0] for value in values]
            return [b"\xff\xff" if raw is None else pack(len(raw)) + raw for raw in raws]

        return texts
    one = encoder(kind)
    return lambda values: map(one, values)


def _packer(kind: SqlType) -> Callable[..., bytes]:
    if kind.name in FLOATS:
        return struct.Struct("<Bf" if kind.name == "real" else "<Bd").pack
    return struct.Struct("<B" + {1: "B", 2: "h", 4: "i", 8: "q"}[INTEGERS[kind.name]]).pack


def _integer(kind: SqlType) -> Encoder:
    size, pack = INTEGERS[kind.name], _packer(kind)
    return lambda value: b"\0" if value is None else pack(size, value)


def _bit(_: SqlType) -> Encoder:
    return lambda value: b"\0" if value is None else b"\x01\x01" if value else b"\x01\x00"


def _float(kind: SqlType) -> Encoder:
    size, pack = FLOATS[kind.name], _packer(kind)
    return lambda value: b"\0" if value is None else pack(size, value)


def unscaled(value: Decimal, scale: int) -> int:
    return int(value.scaleb(scale, EXACT))


def _decimal(kind: SqlType) -> Encoder:
    scale, size = kind.scale, decimal_bytes(kind.precision)
    plus, minus = bytes([size + 1, 1]), bytes([size + 1, 0])

    def encode(value: Decimal | None) -> bytes:
        if value is None:
            return b"\0"
        number = unscaled(value, scale)
        return plus + number.to_bytes(size, "little") if number >= 0 else minus + (-number).to_bytes(size, "little")

    return encode


def _money(kind: SqlType) -> Encoder:
    if kind.name == "smallmoney":
        pack = struct.Struct("<Bi").pack
        return lambda value: b"\0" if value is None else pack(4, unscaled(value, 4))

    def encode(value: Decimal | None) -> bytes:
        if value is None:
            return b"\0"
        number = unscaled(value, 4)
        return struct.pack("<BiI", 8, number >> 32, number & 0xFFFFFFFF)

    return encode


def _date(_: SqlType) -> Encoder:
    return lambda value: b"\0" if value is None else b"\x03" + (value.toordinal() - 1).to_bytes(3, "little")


def datetime_parts(value: datetime.datetime) -> tuple[int, int]:
    """Days since 1900 and 1/300 s of the day."""
    micros = ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
    ticks = (micros * 3 + 5000) // 10_000
    return value.toordinal() - DAYS_TO_1900 + ticks // 25_920_000, ticks % 25_920_000


def _datetime(kind: SqlType) -> Encoder:
    if kind.name == "datetime":
        pack = struct.Struct("<BiI").pack
        return lambda value: b"\0" if value is None else pack(8, *datetime_parts(value))

    def encode(value: datetime.datetime | None) -> bytes:
        if value is None:
            return b"\0"
        return struct.pack("<BHH", 4, value.toordinal() - DAYS_TO_1900, value.hour * 60 + value.minute)

    return encode


def time_bytes(scale: int) -> int:
    return 3 if scale <= 2 else 4 if scale <= 4 else 5


def _time(kind: SqlType) -> Encoder:
    size, unit = time_bytes(kind.scale), 10 ** (7 - kind.scale)
    head = bytes([size])
    return lambda value: b"\0" if value is None else head + (value.ticks // unit).to_bytes(size, "little")


def _datetime2(kind: SqlType) -> Encoder:
    size, unit = time_bytes(kind.scale), 10 ** (7 - kind.scale)
    head = bytes([size + 3])

    def encode(value: DateTime2 | None) -> bytes:
        if value is None:
            return b"\0"
        clock: bytes = (value.ticks // unit).to_bytes(size, "little")
        return head + clock + value.days.to_bytes(3, "little")

    return encode


def _datetimeoffset(kind: SqlType) -> Encoder:
    size, unit = time_bytes(kind.scale), 10 ** (7 - kind.scale)
    head = bytes([size + 5])

    def encode(value: DateTimeOffset | None) -> bytes:
        if value is None:
            return b"\0"
        clock: bytes = (value.ticks // unit).to_bytes(size, "little") + value.days.to_bytes(3, "little")
        return head + clock + struct.pack("<h", value.minutes)

    return encode


def encode_text(value: str, codec: str) -> bytes:
    """Text in a column's code page; what it has not becomes a question mark, as on the server."""
    if codec != "cp1252":
        return value.encode(codec, SURROGATES)
    try:
        return value.encode("cp1252")
    except UnicodeEncodeError:
        return b"".join(_one_byte(character) for character in value)


def _one_byte(character: str) -> bytes:
    if character in "\x81\x8d\x8f\x90\x9d":  # Windows carries these five through
        return bytes([ord(character)])
    return character.encode("cp1252", "replace")


def _long_value(turn: Callable[[Any], bytes]) -> Encoder:
    def encode(value: Any) -> bytes:
        if value is None:
            return NULL_PLP
        raw = turn(value)
        return struct.pack("<QI", len(raw), len(raw)) + raw + b"\0\0\0\0" if raw else b"\0" * 12

    return encode


def _short_value(turn: Callable[[Any], bytes]) -> Encoder:
    pack = struct.Struct("<H").pack

    def encode(value: Any) -> bytes:
        if value is None:
            return b"\xff\xff"
        raw = turn(value)
        return pack(len(raw)) + raw

    return encode


def _text(kind: SqlType) -> Encoder:
    codec = codec_of(kind)
    if codec == "utf-16-le" and kind.length != MAX and kind.name != "xml":
        pack = struct.Struct("<H").pack

        def encode(value: str | None) -> bytes:
            if value is None:
                return b"\xff\xff"
            raw = value.encode("utf-16-le", SURROGATES)
            return pack(len(raw)) + raw

        return encode

    def turn(value: str) -> bytes:
        return encode_text(value, codec)

    return _long_value(turn) if kind.length == MAX or kind.name == "xml" else _short_value(turn)


def _bytes(kind: SqlType) -> Encoder:
    return _long_value(bytes) if kind.length == MAX or kind.name in PLACES else _short_value(bytes)


def _old(kind: SqlType) -> Encoder:
    codec = codec_of(kind)
    pointer = b"\x10" + b"stand-in pointer" + b"\0" * 8

    def encode(value: Any) -> bytes:
        if value is None:
            return b"\0"
        raw = bytes(value) if kind.name == "image" else encode_text(value, codec)
        return pointer + struct.pack("<I", len(raw)) + raw

    return encode


def _guid(_: SqlType) -> Encoder:
    return lambda value: b"\0" if value is None else b"\x10" + value.bytes_le


def _variant(_: SqlType) -> Encoder:
    def encode(value: Any) -> bytes:
        if value is None:
            return b"\0\0\0\0"
        token, properties, raw = variant_parts(value)
        return struct.pack("<IBB", len(raw) + len(properties) + 2, token, len(properties)) + properties + raw

    return encode


def variant_parts(value: Any) -> tuple[int, bytes, bytes]:
    """Base type, its properties and the bare bytes of a sql_variant, by the Python type."""
    if isinstance(value, str):
        raw = value.encode("utf-16-le", SURROGATES)
        return 0xE7, DEFAULT_COLLATION + struct.pack("<H", 8000), raw
    if isinstance(value, bytes):
        return 0xA5, struct.pack("<H", 8000), value
    kind = _variant_type(value)
    token, info = _info(kind, False)[0], _info(kind, False)
    properties = {0x6A: info[2:], 0x29: info[1:], 0x2A: info[1:], 0x2B: info[1:]}.get(token, b"")
    sizes = {("bit", 0): 0x32, ("int", 0): 0x38, ("bigint", 0): 0x7F, ("float", 0): 0x3E, ("datetime", 0): 0x3D}
    return sizes.get((kind.name, 0), token), properties, encoder(kind)(value)[1:]


def _variant_type(value: Any) -> SqlType:
    if isinstance(value, bool):
        return SqlType(name="bit")
    if isinstance(value, int):
        return SqlType(name="int" if -(2**31) <= value < 2**31 else "bigint")
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        return SqlType(name="decimal", precision=38, scale=max(0, -exponent if isinstance(exponent, int) else 0))
    scaled = {Time: "time", DateTime2: "datetime2", DateTimeOffset: "datetimeoffset"}
    if type(value) in scaled:
        return SqlType(name=scaled[type(value)], scale=7)
    plain = {float: "float", uuid.UUID: "uniqueidentifier", datetime.datetime: "datetime", datetime.date: "date"}
    return SqlType(name=plain[type(value)])


_MAKERS: dict[str, Callable[[SqlType], Encoder]] = {
    **dict.fromkeys(INTEGERS, _integer),
    **dict.fromkeys(FLOATS, _float),
    **dict.fromkeys(MONEYS, _money),
    **dict.fromkeys(STAMPS, _datetime),
    **dict.fromkeys([*TEXTS, "xml"], _text),
    **dict.fromkeys([*BYTES, *PLACES], _bytes),
    **dict.fromkeys(OLD, _old),
    "bit": _bit, "decimal": _decimal, "numeric": _decimal, "date": _date, "time": _time, "datetime2": _datetime2,
    "datetimeoffset": _datetimeoffset, "uniqueidentifier": _guid, "sql_variant": _variant,
}  # fmt: skip

"""Values on their way into PostgreSQL's statements and out of its rows."""

from __future__ import annotations

import datetime
import re
import struct
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tests.peers.mssql.interface import DateTime2, DateTimeOffset, SqlError, SqlType, Time
from tests.peers.mssql.translate import types

DAY = 864_000_000_000
_FIRST = datetime.datetime(1, 1, 1)  # noqa: DTZ001 - moments here have no zone
# PostgreSQL's text has no NUL and no lone surrogate: they live in a private plane.
_BASE, _NUL = 0x10F000, 0x10F800
_ODD = re.compile("[\0\ud800-\udfff\U0010f000-\U0010f800]")
_KEPT = re.compile("[\U0010f000-\U0010f800]")


def guarded(text: str) -> str:
    """Make a text PostgreSQL can keep.

    :raises SqlError: 40510 for the private characters that stand for NUL and surrogates.
    """
    if text.isascii():
        return text.replace("\0", chr(_NUL)) if "\0" in text else text
    return _ODD.sub(_inward, text) if _ODD.search(text) else text


def _inward(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code >= _BASE:
        raise SqlError(40510, f"The local SQL Server cannot keep the character U+{code:X}.")
    return chr(_NUL if code == 0 else _BASE + code - 0xD800)


def unguarded(text: str) -> str:
    """Give NUL and lone surrogates back."""
    if text.isascii() or not _KEPT.search(text):
        return text
    units = _KEPT.sub(lambda found: "\0" if ord(found[0]) == _NUL else chr(ord(found[0]) - _BASE + 0xD800), text)
    return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")  # two halves are one


def quoted(text: str) -> str:
    return "'" + guarded(text).replace("'", "''") + "'"


def literal(value: Any, kind: SqlType | None) -> str:
    """A value in a statement.

    :raises SqlError: 8114 when the value cannot be of the type.
    """
    if value is None:
        return "NULL" if kind is None else f"NULL::{types.plain(kind)}"
    if kind is None:
        return literal(value, guessed(value))
    if kind.name in types.STRINGS:
        return quoted(str(value)) + "::text"
    if kind.name == "sql_variant":
        return quoted(f"{guessed(value).name}:{value}") + "::text"
    if kind.name in types.BINARIES:
        return f"'\\x{bytes(value).hex()}'::bytea"
    text = _scalar(value, kind)
    return f"({text})::{types.plain(kind)}" if kind.name != "datetimeoffset" else f"({text})::ms.dto"


def _scalar(value: Any, kind: SqlType) -> str:
    if kind.name == "bit":
        return "true" if value else "false"
    if kind.name in types.INTEGERS:
        return f"({int(value)})"
    if kind.name in types.DECIMALS:
        return f"({format(Decimal(value), 'f')})"
    if kind.name in types.FLOATS:
        return f"'{float(value)!r}'"
    if isinstance(value, DateTimeOffset):
        return f"{value.days * DAY + value.ticks}, {value.minutes}"
    if isinstance(value, DateTime2):
        return str(value.days * DAY + value.ticks)
    if isinstance(value, Time):
        return str(value.ticks)
    if isinstance(value, datetime.datetime):
        return quoted(value.isoformat(" ")) if kind.name not in {"datetime2", "datetimeoffset"} else str(ticks(value))
    if isinstance(value, datetime.date):
        return quoted(f"{value.year:04}-{value.month:02}-{value.day:02}")
    if isinstance(value, uuid.UUID):
        return quoted(str(value))
    raise SqlError(8114, f"Error converting data type {type(value).__name__} to {kind.name}.")


def ticks(value: datetime.datetime) -> int:
    since = value.replace(tzinfo=None) - _FIRST
    return since.days * DAY + since.seconds * 10_000_000 + since.microseconds * 10


def guessed(value: Any) -> SqlType:
    """The type SQL Server would see in a Python value."""
    if isinstance(value, bool):
        return SqlType(name="bit")
    if isinstance(value, int):
        return SqlType(name="int" if -(2**31) <= value < 2**31 else "bigint")
    if isinstance(value, Decimal):
        _, digits, exponent = value.as_tuple()
        scale = max(-int(exponent), 0)
        return SqlType(name="decimal", precision=min(max(len(digits), scale, 1), 38), scale=min(scale, 38))
    if isinstance(value, bytes):
        return SqlType(name="varbinary", length=len(value) if 0 < len(value) <= 8000 else types.MAX)
    simple = {float: "float", uuid.UUID: "uniqueidentifier", datetime.date: "date", datetime.datetime: "datetime"}
    if type(value) in simple:
        return SqlType(name=simple[type(value)])
    scaled = {Time: "time", DateTime2: "datetime2", DateTimeOffset: "datetimeoffset"}
    if type(value) in scaled:
        return SqlType(name=scaled[type(value)], scale=7)
    text = str(value)
    return SqlType(name="nvarchar", length=len(text) if 0 < len(text) <= 4000 else types.MAX)


def _offset(text: str) -> DateTimeOffset:
    whole, _, minutes = text[1:-1].partition(",")
    days, rest = divmod(int(whole), DAY)
    return DateTimeOffset(days, rest, int(minutes))


def _variant(text: str) -> Any:
    name, _, rest = unguarded(text).partition(":")
    readers: dict[str, Callable[[str], Any]] = {
        "int": int, "bigint": int, "smallint": int, "tinyint": int, "decimal": Decimal, "numeric": Decimal,
        "money": Decimal, "float": float, "bit": lambda word: word in {"1", "True"}, "uniqueidentifier": uuid.UUID,
    }  # fmt: skip
    return readers.get(name, str)(rest)


def _single(value: float) -> float:
    """PostgreSQL writes a real with the fewest digits; as a float it is what four bytes hold."""
    found: float = struct.unpack("f", struct.pack("f", value))[0]
    return found


_READERS: dict[str, Callable[[Any], Any]] = {
    "real": _single,
    "time": Time,
    "datetime2": lambda value: DateTime2(*divmod(value, DAY)),
    "datetimeoffset": _offset,
    "uniqueidentifier": uuid.UUID,
    "sql_variant": _variant,
}


def reader(kind: SqlType) -> Callable[[Any], Any] | None:
    """What makes a column's values ready, None where psycopg2's are."""
    if kind.name in types.STRINGS:
        return unguarded
    if kind.name in types.BINARIES:
        return bytes
    return _READERS.get(kind.name)


def rows_reader(kinds: list[SqlType]) -> Callable[[list[tuple[Any, ...]]], list[Any]]:
    """What makes a block of rows ready; columns that need nothing cost nothing."""
    found = [(place, read) for place, read in enumerate(map(reader, kinds)) if read]
    if not found:
        return lambda rows: rows
    names = {f"f{place}": read for place, read in found}
    places = dict(found)
    cells = ", ".join(
        f"(None if r[{n}] is None else f{n}(r[{n}]))" if n in places else f"r[{n}]" for n in range(len(kinds))
    )
    return eval(f"lambda rows: [({cells},) for r in rows]", names)  # type: ignore[no-any-return]

"""A piece of PostgreSQL with its T-SQL type, and its conversion to other types."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tests.peers.mssql.interface import MAX, SqlError, SqlType
from tests.peers.mssql.translate import types
from tests.peers.mssql.values import quoted

_EPOCH = 599_266_080_000_000_000  # 1900-01-01 in ticks


@dataclass(frozen=True, slots=True)
class Typed:
    """``column`` is the table's column it is, if any; ``strength`` of the collation: 0 literal, 1 column, 2 said."""

    sql: str
    type: SqlType | None
    nullable: bool = True
    column: Any = None
    strength: int = 0

    @property
    def name(self) -> str:
        return self.type.name if self.type else ""


NULL = Typed("NULL", None)
INT = SqlType(name="int")
UNTYPED = Typed("NULL::int4", INT)  # a bare NULL of a select list; it may become any type
BIGINT = SqlType(name="bigint")
BIT = SqlType(name="bit")
FLOAT = SqlType(name="float")


def text_type(length: int, *, wide: bool = True, like: SqlType | None = None) -> SqlType:
    most = 4000 if wide else 8000
    found = SqlType(name="nvarchar" if wide else "varchar", length=length if 0 < length <= most else MAX)
    return replace(found, collation=like.collation) if like and like.name in types.STRINGS else found


def keyed(value: Typed, collation: str = "") -> str:
    """The value as =, ORDER BY, GROUP BY and keys compare it."""
    if value.name in types.STRINGS and value.type:
        kind = types.text_class(replace(value.type, collation=collation or value.type.collation))
        return f"(({value.sql})::ms.{kind} COLLATE ms.{kind}_order)"
    if value.name == "datetimeoffset":
        return f"({value.sql}).ticks"
    return value.sql


def shown(value: Typed) -> str:
    """The value as a column of a select list: texts get the type and collation that columns have."""
    if value.name in types.STRINGS and value.type:
        if value.column is not None:
            return value.sql
        kind = types.text_class(value.type)
        return f"({value.sql})::ms.{kind} COLLATE ms.{kind}_order"
    return value.sql


def text_of(value: Typed, style: int = 0) -> str:
    """The value as text in a style of CONVERT."""
    kind, sql = value.type, value.sql
    if kind is None:
        return f"({sql})::text"
    if kind.name == "bit":
        return f"({sql})::int4::text"
    if kind.name in {"money", "smallmoney"}:
        return f"round({sql}, {4 if style == 2 else 2})::text"
    if kind.name in types.FLOATS:
        return f"ms.float_text({sql})" if style == 0 else f"({sql})::text"
    if kind.name == "uniqueidentifier":
        return f"upper(({sql})::text)"
    if kind.name in types.BINARIES:
        return _bytes_text(sql, style)
    if kind.name == "datetimeoffset":
        return f"ms.offset_text({sql}, {kind.scale}, {style})"
    if kind.name in types.DATES:
        scale = {"datetime": 3, "date": 0, "smalldatetime": 0}.get(kind.name, kind.scale)
        return f"ms.moment_text({ticks_of(value)}, {scale}, {style}, '{kind.name}')"
    if kind.name == "sql_variant":
        return f"substr({words(value)}, strpos({words(value)}, ':') + 1)"
    return words(value) if kind.name in types.STRINGS else f"({sql})::text"


def words(value: Typed) -> str:
    """A text as PostgreSQL's functions take it: many refuse a collation that ignores case."""
    return f'(({value.sql})::text COLLATE "C")'


def _bytes_text(sql: str, style: int, *, wide: bool = False) -> str:
    if style == 0:
        return f"ms.text_of({sql})" if wide else f"ms.ansi_of({sql})"
    return ("'0x' || " if style == 1 else "") + f"upper(encode({sql}, 'hex'))"


def ticks_of(value: Typed) -> str:
    """A moment in ticks."""
    kind = value.name
    if kind == "datetime2":
        return f"({value.sql})"
    if kind == "time":
        return f"({value.sql} + {_EPOCH})"
    if kind == "datetimeoffset":
        return f"ms.local({value.sql})"
    if kind in {"date", "datetime", "smalldatetime"}:
        return f"ms.ticks({value.sql})"
    if kind in types.STRINGS or not kind:
        return f"(ms.read_moment({words(value)}, false)).ticks"
    if kind in types.NUMBERS:
        return f"({_EPOCH} + (({value.sql})::numeric * 864000000000)::int8)"
    raise operand_clash(value.type, SqlType(name="datetime"))


def from_ticks(sql: str, kind: SqlType) -> str:
    if kind.name == "date":
        return f"ms.day({sql})"
    if kind.name == "time":
        return f"ms.rounded({sql} % 864000000000, {kind.scale}) % 864000000000"
    if kind.name == "datetime2":
        return f"ms.rounded({sql}, {kind.scale})"
    if kind.name == "datetimeoffset":
        return f"(CASE WHEN {sql} IS NOT NULL THEN ROW(ms.rounded({sql}, {kind.scale}), 0)::ms.dto END)"
    return f"ms.{kind.name}({sql})"


def operand_clash(left: SqlType | None, right: SqlType) -> SqlError:
    name = left.name if left else "NULL"
    return SqlError(206, f"Operand type clash: {name} is incompatible with {right.name}")


@dataclass(frozen=True, slots=True)
class Place:
    """The column a value is assigned to."""

    table: str
    column: str


def convert(
    value: Typed, target: SqlType, *, style: int = 0, attempt: bool = False, place: Place | None = None,
    explicit: bool = False,
) -> str:  # fmt: skip
    """Say a value in another type, as CAST does or, with a place, as an assignment does.

    :raises SqlError: 206, 529 or 257 where SQL Server has no such conversion.
    """
    if value.type is None:
        return f"({value.sql})::{types.plain(target)}"
    source = value.type
    if source.name == "sql_variant" and target.name != "sql_variant":
        value = Typed(text_of(value), SqlType(name="nvarchar", length=4000))
    if target.name in types.INTEGERS:
        return _to_integer(value, target, attempt)
    if target.name in types.DECIMALS:
        return _to_decimal(value, target, attempt)
    if target.name in types.STRINGS:
        return _to_text(value, target, style, place, attempt)
    if target.name in types.BINARIES:
        return _to_bytes(value, target, style, place, attempt, explicit)
    if target.name in types.DATES:
        return _to_moment(value, target, attempt)
    return _to_other(value, target, attempt)


def _to_other(value: Typed, target: SqlType, attempt: bool) -> str:
    source, flag = value.name, str(attempt).lower()
    if target.name == "sql_variant":
        if source == "sql_variant":
            return value.sql
        return f"'{source}:' || {text_of(value, 121 if source in types.DATES else 0)}"
    if target.name in types.FLOATS:
        if source in types.STRINGS:
            return f"ms.to_float({words(value)}, '{source}', {flag})::{types.plain(target)}"
        if source in types.NUMBERS:
            inner = f"({value.sql})::int4" if source == "bit" else value.sql
            return f"({inner})::{types.plain(target)}"
    if target.name == "bit":
        if source == "bit":
            return value.sql
        if source in types.NUMBERS:
            return f"({value.sql} <> 0)"
        if source in types.STRINGS:
            return f"ms.to_bit({words(value)}, '{source}', {flag})"
    if target.name == "uniqueidentifier":
        if source == "uniqueidentifier":
            return value.sql
        if source in types.STRINGS:
            return f"ms.to_guid({words(value)}, {flag})"
        if source in types.BINARIES:
            return f"encode({_swapped(f'({value.sql})')}, 'hex')::uuid"
    raise operand_clash(value.type, target)


def _swapped(sql: str) -> str:
    """The first three fields of a uniqueidentifier are little-endian as bytes."""
    order = (3, 2, 1, 0, 5, 4, 7, 6)
    return "(" + " || ".join(f"substring({sql}, {place + 1}, 1)" for place in order) + f" || substring({sql}, 9, 8))"


def _to_integer(value: Typed, target: SqlType, attempt: bool) -> str:
    source, plain, flag = value.name, types.plain(target), str(attempt).lower()
    low, high = types.INTEGERS[target.name]
    if source == "bit":
        return f"({value.sql})::int4::{plain}"
    if source in types.INTEGERS:
        if types.RANK[source] <= types.RANK[target.name]:
            return f"({value.sql})::{plain}"
        return f"ms.narrow_int({value.sql}, {low}, {high}, '{target.name}', '{source}', {flag})::{plain}"
    if source in types.NUMBERS:
        whole = "round" if source in {"money", "smallmoney"} else "trunc"
        number = f"{whole}(({value.sql})::numeric)"
        return f"ms.narrow_int({number}, {low}, {high}, '{target.name}', '{source}', {flag})::{plain}"
    if source in types.STRINGS:
        return f"ms.to_int({words(value)}, {low}, {high}, '{target.name}', '{source}', {flag})::{plain}"
    if source in types.BINARIES:
        return f"('x' || lpad(right(encode({value.sql}, 'hex'), 16), 16, '0'))::bit(64)::int8::{plain}"
    if source in {"datetime", "smalldatetime"}:
        return f"round(({ticks_of(value)} - {_EPOCH})::numeric / 864000000000)::{plain}"
    raise operand_clash(value.type, target)


def _to_decimal(value: Typed, target: SqlType, attempt: bool) -> str:
    source, flag = value.name, str(attempt).lower()
    if source in types.STRINGS:
        if target.name in {"money", "smallmoney"}:
            return _money(f"ms.to_money({words(value)}, {flag})", target, flag)
        return f"ms.to_decimal({words(value)}, {target.precision}, {target.scale}, '{source}', {flag})"
    if source not in types.NUMBERS:
        raise operand_clash(value.type, target)
    number = f"({value.sql})::int4::numeric" if source == "bit" else f"({value.sql})::numeric"
    if target.name in {"money", "smallmoney"}:
        return number if source == target.name else _money(number, target, flag)
    if source not in types.FLOATS and value.type:
        have = types.as_decimal(value.type)
        if have.scale <= target.scale and have.precision - have.scale <= target.precision - target.scale:
            return f"{number}::{types.plain(target)}"
    name = "numeric" if source in types.DECIMALS else source
    return f"ms.narrow({number}, {target.precision}, {target.scale}, '{name}', {flag})::{types.plain(target)}"


def _money(number: str, target: SqlType, flag: str) -> str:
    most = "922337203685477.5807" if target.name == "money" else "214748.3647"
    return f"ms.narrow_money({number}, {most}, '{target.name}', {flag})"


def _to_text(value: Typed, target: SqlType, style: int, place: Place | None, attempt: bool) -> str:
    source = value.type
    wide = target.name in types.NATIONAL
    sql = _bytes_text(value.sql, style, wide=wide) if value.name in types.BINARIES else text_of(value, style)
    if source is None:
        return sql
    if target.name not in types.NATIONAL and source.name in types.NATIONAL:
        sql = f"ms.ansi({sql})"
    if target.length > 0 and not _fits(source, target):
        if place and source.name in types.STRINGS:
            sql = f"ms.fit({sql}, {target.length}, {quoted(place.table)}, {quoted(place.column)})"
        elif source.name in types.NUMBERS:
            sql = _short_number(sql, target)
        else:
            sql = f"ms.cut({sql}, {target.length})"
    if target.name in {"char", "nchar"} and not (source.name == target.name and source.length == target.length):
        sql = f"ms.pad({sql}, {target.length})"
    return sql


def _fits(source: SqlType, target: SqlType) -> bool:
    if source.name in types.STRINGS:
        return 0 < source.length <= target.length
    if source.name in types.NUMBERS and source.name not in types.FLOATS:
        whole, scale = types.numbers(source)
        return target.length >= whole + 2 + (scale > 0)
    return target.length >= 40 and source.name not in types.BINARIES


def _short_number(sql: str, target: SqlType) -> str:
    message = quoted(f"Arithmetic overflow error converting expression to data type {target.name}.")
    return (f"(SELECT CASE WHEN length(q.t) > {target.length} THEN ms.fail(8115, {message}) ELSE q.t END "
            f"FROM (SELECT {sql} AS t) q)")  # fmt: skip


def _to_bytes(value: Typed, target: SqlType, style: int, place: Place | None, attempt: bool, explicit: bool) -> str:
    source, flag = value.name, str(attempt).lower()
    if source in types.BINARIES:
        sql = value.sql
    elif source in types.STRINGS and style in {1, 2}:
        sql = f"ms.to_bytes({words(value)}, {style}, {flag})"
    elif source in types.STRINGS and explicit:
        sql = f"ms.bytes_of({words(value)}, {str(source in types.NATIONAL).lower()})"
    elif source in {"int", "bigint", "smallint"}:
        sql = f"{types.plain(value.type)}send({value.sql})" if value.type else ""  # int4send, int8send, int2send
    elif source == "tinyint":
        sql = f"substring(int2send({value.sql}), 2)"
    elif source == "uniqueidentifier":
        sql = _swapped(f"uuid_send({value.sql})")
    else:
        text = (f"Implicit conversion from data type {source} to {target.name} is not allowed. Use the CONVERT "
            f"function "
                "to run this query.")  # fmt: skip
        raise SqlError(257, text)
    if target.length > 0:
        if place:
            sql = f"ms.fit_bytes({sql}, {target.length}, {quoted(place.table)}, {quoted(place.column)})"
        elif source in types.INTEGERS:
            sql = f"substring({sql}, greatest(octet_length({sql}) - {target.length}, 0) + 1)"
        else:
            sql = f"substring({sql}, 1, {target.length})"
    return f"ms.pad_bytes({sql}, {target.length})" if target.name == "binary" else sql


def _to_moment(value: Typed, target: SqlType, attempt: bool) -> str:
    source, flag = value.name, str(attempt).lower()
    if source == target.name and value.type and value.type.scale == target.scale:
        return value.sql
    if source in types.STRINGS:
        if target.name == "datetimeoffset":
            return f"ms.offset_of({words(value)}, {target.scale}, {flag})"
        scale = target.scale if target.name in types.TICKS else 7
        moment = f"ms.read_ticks({words(value)}, {scale}, {flag})"
        return moment if target.name == "datetime2" else from_ticks(moment, target)
    if source == "datetimeoffset" and target.name == "datetimeoffset":
        part = value.sql
        return (f"(CASE WHEN ({part}).ticks IS NOT NULL THEN "
                f"ROW(ms.rounded(({part}).ticks, {target.scale}), ({part}).minutes)::ms.dto END)")  # fmt: skip
    pairs = {("date", "time"), ("time", "date")}
    if (source, target.name) in pairs:
        raise operand_clash(value.type, target)
    if source in types.DATES:
        return from_ticks(ticks_of(value), target)
    if source in types.NUMBERS and target.name in {"datetime", "smalldatetime"}:
        return from_ticks(ticks_of(value), target)
    raise operand_clash(value.type, target)

"""Statements of the extraction from SQL Server: a person's SELECT, wrapped where needed, and what is asked of it.

A person's text is never written anew: it is cut at its own tokens and put, letter by letter, into a derived table. All
texts are of the pyformat style: ``%(name)s`` is a bound value, every other ``%`` is doubled.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.sql import tsql
from icebridge_provider.sql.identifiers import quoted

LOW, HIGH = "icebridge_low", "icebridge_high"
PLACE = re.compile(r"%%|%\(([^()]*)\)s")
_STYLE = 121  # ODBC canonical, the server's own text with all digits

_LONGEST = 2000  # characters that are 4000 bytes and more in UTF-16 at most

ISOLATION = "SET TRANSACTION ISOLATION LEVEL SNAPSHOT"
COMMITTED = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"
EXECUTE = "EXEC sp_executesql {places}"
COUNTED = "\n;SELECT @@ERROR AS [icebridge_error], ROWCOUNT_BIG() AS [icebridge_rows]"
"""Stands after a SELECT, in one batch with it: a second result that says whether the first was given whole."""
SNAPSHOT_STATE = "SELECT snapshot_isolation_state FROM sys.databases WHERE database_id = DB_ID()"
DESCRIBE = "EXEC sp_describe_first_result_set @tsql = %(statement)s, @params = %(declared)s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A SELECT in its parts: common table expressions, the query, its order, and the hints at its end."""

    ctes: str
    query: str
    order: str
    hints: str


def in_style(statement: str, style: str) -> tuple[str, list[str]]:
    """Return a pyformat statement with other places for its values, and the values' names in the order of the places.

    :param style: ``?`` for ODBC; ``@`` for variables ``@p0``, ``@p1``, … , one for each name.
    """
    names: list[str] = []

    def place(found: re.Match[str]) -> str:
        name = found.group(1)
        if name is None:
            return "%"
        if style == "?":
            names.append(name)
            return "?"
        if name not in names:
            names.append(name)
        return f"@p{names.index(name)}"

    return PLACE.sub(place, statement), names


def column(name: str, qualified: bool = False) -> str:
    """Return a column's name, quoted, for a pyformat text."""
    text = quoted(name, dialect="tsql").replace("%", "%%")
    return f"[icebridge].{text}" if qualified else text


def as_text(name: str, base: str) -> str:
    """Return a column as the server's own exact text, bytes, or as it is where its type needs neither.

    :param base: the type without its length: ``datetimeoffset``.
    """
    own = column(name, qualified=True)
    convert = _CONVERTED.get(base)
    return f"{convert.format(own)} AS {column(name)}" if convert else f"{own} AS {column(name)}"


_CONVERTED = {
    "date": "CONVERT(varchar(10), {}, 23)",
    "time": f"CONVERT(varchar(16), {{}}, {_STYLE})",
    "datetime2": f"CONVERT(varchar(27), {{}}, {_STYLE})",
    "datetimeoffset": f"CONVERT(varchar(34), {{}}, {_STYLE})",
    "uniqueidentifier": "CONVERT(varchar(36), {})",
    "xml": "CONVERT(nvarchar(max), {})",
    "text": "CONVERT(varchar(max), {})",
    "ntext": "CONVERT(nvarchar(max), {})",
    "image": "CONVERT(varbinary(max), {})",
    "timestamp": "CONVERT(binary(8), {})",
    "rowversion": "CONVERT(binary(8), {})",
}


def as_utf16(name: str) -> str:
    """Return a Unicode text column as its UTF-16 bytes: clients replace halves of surrogate pairs without a word."""
    return f"CONVERT(varbinary(max), CONVERT(nvarchar(max), {column(name, qualified=True)})) AS {column(name)}"


def wrapped(statement: str, columns: Sequence[str], where: str = "") -> str:
    """Return a SELECT of expressions over the rows of a statement.

    Its order is left out, unless TOP or OFFSET make it a matter of which rows there are.

    :raises ConfigurationError: IB-830 when it cannot be told where its common table expressions end.
    """
    cut = cut_select(statement)
    inner = f"{cut.query}\n{cut.order}" if cut.order and _limited(cut) else cut.query
    filtered = f"\nWHERE {where}" if where else ""
    hints = f"\n{cut.hints}" if cut.hints else ""
    return f"{cut.ctes}SELECT {', '.join(columns)}\nFROM (\n{inner}\n) AS [icebridge]{filtered}{hints}"


def bounds(statement: str, key: str) -> str:
    """Return the statement that asks for the least and the greatest value of a column."""
    own = column(key, qualified=True)
    return wrapped(statement, (f"MIN({own}) AS [low]", f"MAX({own}) AS [high]"))


def within(key: str, *, first: bool, last: bool) -> str:
    """Return the condition of one range: the first takes what lies below and what has no value, the last what is above.

    Every row falls into just one range, also one whose value was not there when the bounds were asked for.
    """
    own = column(key, qualified=True)
    if first and last:
        return ""
    if first:
        return f"({own} < %({HIGH})s OR {own} IS NULL)"
    if last:
        return f"{own} >= %({LOW})s"
    return f"{own} >= %({LOW})s AND {own} < %({HIGH})s"


def declared(values: Mapping[str, object], names: Sequence[str]) -> str:
    """Return the declaration of variables ``@p0`` … for :data:`DESCRIBE`."""
    return ", ".join(f"@p{number} {_sql_type(values[name])}" for number, name in enumerate(names))


def _sql_type(value: object) -> str:
    """Return a type that takes a value without loss."""
    import datetime as dt
    import decimal

    if isinstance(value, decimal.Decimal):
        exponent = value.as_tuple().exponent
        return f"decimal(38, {min(max(-exponent, 0), 38) if isinstance(exponent, int) else 0})"
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return "decimal(38, 0)"
    for kinds, sql_type in (
        (bool, "bit"), (int, "bigint"), (float, "float"), (bytes, "varbinary(max)"),
        (dt.datetime, "datetime2(7)"), (dt.date, "date"), (dt.time, "time(7)"),
    ):  # fmt: skip
        if isinstance(value, kinds):
            return sql_type
    return "nvarchar(max)" if isinstance(value, str) and len(value) > _LONGEST else "nvarchar(4000)"


def cut_select(statement: str) -> Cut:
    """Cut a SELECT at its outermost tokens.

    :raises ConfigurationError: IB-830 as :func:`wrapped`.
    """
    if not statement.strip():
        raise _uncut("it is empty")
    try:
        ctes, query, tail = tsql.sections(statement)
        if _first_words(ctes) != ["WITH"]:
            ctes, query = "", ctes + query
        order, hints = _tail(tail)
    except tsql.NotUnderstood as error:
        raise _uncut(error.why) from None
    if not query.strip():
        raise _uncut("no SELECT stands outside of its brackets")
    return Cut(ctes=ctes, query=query.rstrip(), order=order.strip(), hints=hints.strip())


def _tail(tail: str) -> tuple[str, str]:
    """Cut what follows a SELECT into its order and its hints."""
    outer = [token for token, depth in tsql.depths(tsql.tokens(tail)) if depth == 0]
    if any(token.is_word("FOR") for token in outer):
        raise tsql.NotUnderstood("FOR XML, FOR JSON and FOR BROWSE make no columns of a type of their own")
    hints = next((token.start for token in outer if token.is_word("OPTION")), len(tail))
    return tail[:hints], tail[hints:]


def _first_words(text: str, count: int = 1) -> list[str]:
    kept = [token for token in tsql.tokens(text) if token.part not in {tsql.Part.BLANK, tsql.Part.COMMENT}]
    return [token.text.upper() for token in kept[:count]]


def _limited(cut: Cut) -> bool:
    return "TOP" in _first_words(cut.query, 3) or any(token.is_word("OFFSET") for token in tsql.tokens(cut.order))


def _uncut(why: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-830",
        f"The statement cannot be read in another shape: {why}.",
        remedy="Write it as one SELECT, with its common table expressions before it (WITH … AS (…) SELECT …).",
    )

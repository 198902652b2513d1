"""The only place of the project where names and texts are quoted for SQL."""

from __future__ import annotations

import unicodedata
from functools import cache

from icebridge_provider.exceptions import ConfigurationError

LONGEST = 255
DATABRICKS = "databricks"
LONGEST_OF = {"tsql": 128}  # UTF-16 units there


def quoted(*parts: str, dialect: str = DATABRICKS) -> str:
    """Return a name as SQL: every part quoted, joined by dots.

    :param parts: the parts as their catalog spells them, never quoted already.
    :param dialect: one of sqlglot's dialects.
    :raises ConfigurationError: IB-246 for a part that cannot be a name: empty, longer than 255 characters (128
        in T-SQL), with control characters, or with a leading ``#`` in T-SQL, which would name a temporary table.
    """
    if not parts:
        raise _unfit("", "a name needs at least one part")
    return ".".join(_quoted(part, dialect) for part in parts)


def literal(text: str, dialect: str = DATABRICKS) -> str:
    """Return a text as an SQL string; only for places that take no bound value, such as table properties.

    :raises ConfigurationError: IB-246 for a text with a NUL or half a surrogate pair, which no SQL text can carry.
    """
    from sqlglot import exp

    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise _unfit(text, "an SQL text holds no NUL and no half of a surrogate pair")
    return exp.Literal.string(text).sql(dialect=dialect)


def data_type(text: str, dialect: str = DATABRICKS) -> str:
    """Return a column type as SQL, written anew from what was understood of it.

    :raises ConfigurationError: IB-246 for a text that is no type, or more than one.
    """
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        return exp.DataType.build(text, dialect=dialect).sql(dialect=dialect, comments=False)
    except SqlglotError:
        raise _unfit(text, f"{dialect} has no such type") from None


@cache
def _quoted(part: str, dialect: str) -> str:
    from sqlglot import exp

    _refuse_unfit(part, dialect)
    return exp.to_identifier(part, quoted=True).sql(dialect=dialect)


def _refuse_unfit(part: str, dialect: str) -> None:
    if not part:
        raise _unfit(part, "a part is empty")
    longest = LONGEST_OF.get(dialect, LONGEST)
    length = sum(1 + (char > "\uffff") for char in part) if dialect == "tsql" else len(part)
    if length > longest:
        raise _unfit(part, f"it has {length} characters, {longest} are allowed")
    if any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in part):
        raise _unfit(part, "it holds control characters")
    if dialect == "tsql" and part.startswith("#"):
        raise _unfit(part, "a leading # names a temporary table")


def _unfit(part: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-246",
        f"{part[:80]!r} cannot be written in SQL: {why}.",
        remedy="Give the table another name by the param mapping, or rename the column.",
        name=part[:LONGEST],
    )

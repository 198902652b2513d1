"""Declarations as text: ``@p1 nvarchar(50), @p2 decimal(18,2) OUTPUT`` and ``insert bulk t ([a] int, …) with (…)``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.peers.mssql.interface import MAX, SqlError, SqlType

_TYPE = re.compile(
    r"\s*(?:\[?sys\]?\s*\.\s*)?\[?(?P<name>[a-z_]\w*)\]?(?:\s+(?P<more>varying|precision))?"
    r"\s*(?:\(\s*(?P<a>\d+|max)\s*(?:,\s*(?P<b>\d+)\s*)?\))?(?:\s+collate\s+(?P<collation>\w+))?",
    re.IGNORECASE,
)
_SYNONYMS = {
    "integer": "int", "dec": "decimal", "double": "float", "bool": "bit", "boolean": "bit", "character": "char",
}  # fmt: skip
_INSERT_BULK = re.compile(
    r"\s*insert\s+bulk\s+(?P<table>(?:\[(?:[^\]]|\]\])*\]|\"[^\"]*\"|[\w#@$.])+)\s*", re.IGNORECASE
)
_NAME = re.compile(r"\s*(\[(?:[^\]]|\]\])*\]|\"(?:[^\"]|\"\")*\"|[\w#@$]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A declared parameter or column."""

    name: str
    type: SqlType
    output: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertBulk:
    """An INSERT BULK statement: table as spelled, columns in order, options in lower case."""

    table: str
    columns: tuple[Declared, ...]
    options: frozenset[str]


def type_of(text: str) -> SqlType:
    """Read a type's declaration."""
    found = _TYPE.match(text)
    if found is None:
        raise SqlError(102, f"Incorrect syntax near '{text.strip()[:40]}'.", severity=15)
    name = _SYNONYMS.get(found["name"].lower(), found["name"].lower())
    kind = _sized(name, found["a"], found["b"])
    collation = found["collation"]
    if not collation:
        return kind
    return SqlType(name=kind.name, length=kind.length, collation=collation)


def _sized(name: str, a: str | None, b: str | None) -> SqlType:
    if name in {"decimal", "numeric"}:
        return SqlType(name=name, precision=int(a or 18), scale=int(b or 0))
    if name in {"time", "datetime2", "datetimeoffset"}:
        return SqlType(name=name, scale=int(a) if a else 7)
    if name == "float":
        return SqlType(name="real" if a and int(a) <= 24 else "float")
    if name in {"char", "varchar", "nchar", "nvarchar", "binary", "varbinary"}:
        return SqlType(name=name, length=MAX if (a or "").lower() == "max" else int(a or 1))
    if name == "sysname":
        return SqlType(name="nvarchar", length=128)
    return SqlType(name=name)


def parameters(text: str) -> list[Declared]:
    """Read the definitions of sp_executesql and sp_prepare."""
    found = []
    for part in _parts(text):
        name, _, rest = part.strip().partition(" ")
        rest = re.sub(r"^\s*as\s+", "", rest, flags=re.IGNORECASE)
        output = bool(re.search(r"\bout(put)?\s*$", rest, re.IGNORECASE))
        found.append(Declared(name=name, type=type_of(rest), output=output))
    return found


def _parts(text: str) -> Iterator[str]:
    """Split at commas that stand in no bracket and no quote."""
    depth, start, quote = 0, 0, ""
    for at, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "[\"'":
            quote = "]" if character == "[" else character
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "," and not depth:
            yield text[start:at]
            start = at + 1
    if text[start:].strip():
        yield text[start:]


def is_insert_bulk(sql: str) -> bool:
    return _INSERT_BULK.match(sql) is not None


def insert_bulk(sql: str) -> InsertBulk:
    """Read an INSERT BULK statement.

    :raises SqlError: 102 where it is none.
    """
    head = _INSERT_BULK.match(sql)
    if head is None:
        raise SqlError(102, "Incorrect syntax near 'bulk'.", severity=15)
    rest, columns = sql[head.end() :], []
    if rest.startswith("("):
        inside, rest = _bracketed(rest)
        columns = [_column(part) for part in _parts(inside)]
    options = re.match(r"\s*with\s*\((.*)\)\s*;?\s*$", rest, re.IGNORECASE | re.DOTALL)
    words = [part.split("=")[0].strip().lower() for part in _parts(options[1])] if options else []
    return InsertBulk(table=head["table"], columns=tuple(columns), options=frozenset(words))


def _bracketed(text: str) -> tuple[str, str]:
    depth, quote = 0, ""
    for at, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in '["':
            quote = "]" if character == "[" else character
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if not depth:
                return text[1:at], text[at + 1 :]
    raise SqlError(102, "Incorrect syntax near '('.", severity=15)


def _column(part: str) -> Declared:
    found = _NAME.match(part)
    if found is None:
        raise SqlError(102, f"Incorrect syntax near '{part.strip()[:40]}'.", severity=15)
    name = found[1]
    if name[0] in '["':
        name = name[1:-1].replace("]]", "]") if name[0] == "[" else name[1:-1].replace('""', '"')
    return Declared(name=name, type=type_of(part[found.end() :]))

"""Enough of Snowflake's lexical rules to read statements that the engine's parser cannot."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from tests.peers.snowflake.errors import syntax

_TOKEN = re.compile(
    r"""(?P<blank>\s+|--[^\n]*|//[^\n]*|/\*.*?\*/)
    |(?P<stage>@(?:"(?:[^"]|"")*"|[\w$~%.])+(?:/[^\s()',;]*)?)
    |(?P<quoted>"(?:[^"]|"")+")
    |(?P<text>'(?:[^'\\]|''|\\.)*'|\$\$.*?\$\$)
    |(?P<number>\d+(?:\.\d+)?)
    |(?P<word>[A-Za-z_\u0080-\uffff][\w$]*)
    |(?P<sign>=>|::|<>|!=|>=|<=|\|\||.)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "f": "\f"}


@dataclass(frozen=True, slots=True)
class Token:
    """``kind``: stage, quoted, text, number, word or sign. ``value`` has quotes and escapes undone."""

    kind: str
    raw: str
    value: str
    start: int
    end: int

    @property
    def upper(self) -> str:
        """The word in upper case; a quoted name or a text is never a keyword."""
        return self.raw.upper() if self.kind in {"word", "sign"} else "\0"


def tokens(sql: str) -> list[Token]:
    found, position = [], 0
    while position < len(sql):
        match = _TOKEN.match(sql, position)
        if match is None:
            raise syntax(sql[position], position)
        position = match.end()
        kind = str(match.lastgroup)
        if kind != "blank":
            found.append(Token(kind, match[0], _value(kind, match[0]), match.start(), match.end()))
    return found


def _value(kind: str, raw: str) -> str:
    if kind == "quoted":
        return raw[1:-1].replace('""', '"')
    if kind == "word":
        return raw.upper()
    if kind != "text":
        return raw
    if raw.startswith("$$"):
        return raw[2:-2]
    inner = raw[1:-1].replace("''", "\\'")
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), inner, flags=re.DOTALL)


@dataclass(slots=True)
class Reader:
    """Walks through a statement's tokens."""

    sql: str
    found: list[Token] = field(default_factory=list)
    at: int = 0

    def __post_init__(self) -> None:
        self.found = tokens(self.sql)
        while self.found and self.found[-1].raw == ";":
            self.found.pop()

    @property
    def here(self) -> Token:
        return self.found[self.at] if self.at < len(self.found) else Token("end", "<EOF>", "", len(self.sql), 0)

    def take(self) -> Token:
        token = self.here
        if token.kind == "end":
            raise syntax("<EOF>", len(self.sql))
        self.at += 1
        return token

    def skip(self, *words: str) -> bool:
        """Whether these words stand here; goes past them if so."""
        ahead = [token.upper for token in self.found[self.at : self.at + len(words)]]
        if ahead != list(words):
            return False
        self.at += len(words)
        return True

    def need(self, *words: str) -> None:
        if not self.skip(*words):
            raise syntax(self.here.raw, self.here.start)

    def name(self) -> tuple[str, ...]:
        """A dotted name, its parts as Snowflake stores them; ``db..t`` leaves the schema empty."""
        parts = [self._part()]
        while self.skip("."):
            if self.here.upper == ".":
                parts.append("")
                continue
            parts.append(self._part())
        return tuple(parts)

    def _part(self) -> str:
        token = self.take()
        if token.kind not in {"word", "quoted"}:
            raise syntax(token.raw, token.start)
        return token.value

    def done(self) -> None:
        if self.here.kind != "end":
            raise syntax(self.here.raw, self.here.start)

    def options(self, *stop: str) -> dict[str, Any]:
        """``KEY = value …`` to the end or one of the words: value a text, number, word, or a list or options in ()."""
        found: dict[str, Any] = {}
        while self.here.kind != "end" and self.here.upper not in stop:
            self.skip(",")
            key = self.take()
            if key.kind != "word":
                raise syntax(key.raw, key.start)
            self.need("=")
            if key.value in found:
                raise syntax(key.raw, key.start)
            found[key.value] = self._option()
        return found

    def _option(self) -> Any:
        if not self.skip("("):
            return self._scalar()
        if self.found[self.at + 1].raw == "=":
            inside = self.options(")")
        else:
            inside = []
            while self.here.upper != ")":
                self.skip(",")
                inside.append(self._scalar())
        self.need(")")
        return inside

    def _scalar(self) -> Any:
        token = self.take()
        if token.kind == "number":
            return int(token.raw)
        if token.kind == "word" and token.value in {"TRUE", "FALSE"}:
            return token.value == "TRUE"
        if token.kind == "word" and self.here.upper == ".":
            self.at -= 1
            return ".".join(self.name())
        if token.kind in {"text", "word", "quoted", "stage"}:
            return token.value
        raise syntax(token.raw, token.start)


def closing(found: list[Token], opened: int) -> int:
    """The place of the bracket that closes the one at ``opened``."""
    depth = 0
    for place in range(opened, len(found)):
        depth += {"(": 1, ")": -1}.get(found[place].raw, 0) if found[place].kind == "sign" else 0
        if not depth:
            return place
    raise syntax("<EOF>")


def quoted(*parts: str) -> str:
    """A dotted name for the engine."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def literal(value: Any) -> str:
    """A constant in SQL that both the engine and its Snowflake parser read alike."""
    if value is None:
        return "NULL"
    if isinstance(value, bool | int):
        return str(value).upper()
    return "'" + str(value).replace("'", "''") + "'"

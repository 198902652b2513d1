"""Databricks SQL as words, and a reader over them for the statements that general parsers do not know. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from tests.peers.databricks.sql_errors import SqlError, syntax

_WORD = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?\*/)
    |(?P<quoted>`(?:[^`]|``)*`)
    |(?P<string>[rR]?'(?:[^'\\]|\\.)*'|[rR]?"(?:[^"\\]|\\.)*")
    |(?P<number>\d+(?:\.\d+)?(?![A-Za-z_]))
    |(?P<word>[A-Za-z0-9_]+)
    |(?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}|.)", re.DOTALL)
_SIGNS = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "Z": "\x1a", "%": "\\%", "_": "\\_"}


class Word(NamedTuple):
    """A token: its kind, its meaning (unquoted, unescaped) and where it stands."""

    kind: str
    text: str
    start: int
    end: int

    def is_word(self, *options: str) -> bool:
        return self.kind == "word" and self.text.upper() in options


def words(text: str) -> list[Word]:
    """Every token of a statement, without spaces and comments."""
    found = []
    for match in _WORD.finditer(text):
        kind = str(match.lastgroup)
        if kind != "space":
            found.append(Word(kind, _meaning(kind, match.group()), match.start(), match.end()))
    return found


def _meaning(kind: str, raw: str) -> str:
    if kind == "quoted":
        return raw[1:-1].replace("``", "`")
    if kind != "string":
        return raw
    return raw[2:-1] if raw[0] in "rR" else _ESCAPE.sub(_unescaped, raw[1:-1])


def _unescaped(match: re.Match[str]) -> str:
    sign = match.group(1)
    if sign[0] in "uU" and len(sign) > 1:
        return chr(int(sign[1:], 16))
    if len(sign) == 3:
        return chr(int(sign, 8))
    return _SIGNS.get(sign, sign)


def quoted(*parts: str) -> str:
    """A name in backticks."""
    return ".".join("`" + part.replace("`", "``") + "`" for part in parts)


def literal_of(text: str) -> str:
    """A text as a literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def spliced(text: str, changes: list[tuple[int, int, str]]) -> str:
    """The text with each span replaced; spans do not overlap."""
    for start, end, new in sorted(changes, reverse=True):
        text = text[:start] + new + text[end:]
    return text


class Reader:
    """Reads a statement from left to right."""

    def __init__(self, text: str) -> None:
        self.text, self.words, self.at = text, words(text), 0
        while self.words and self.words[-1] == ("sign", ";", *self.words[-1][2:]):
            self.words.pop()

    @property
    def over(self) -> bool:
        return self.at >= len(self.words)

    def peek(self, offset: int = 0) -> Word:
        place = self.at + offset
        return (
            self.words[place]
            if place < len(self.words)
            else Word("end", "end of input", len(self.text), len(self.text))
        )

    def take(self, *sequence: str) -> bool:
        """Step over these words (or signs) if they come next; each may offer choices: ``SCHEMA|DATABASE``."""
        for offset, options in enumerate(sequence):
            word = self.peek(offset)
            if word.kind not in {"word", "sign"} or word.text.upper() not in options.split("|"):
                return False
        self.at += len(sequence)
        return True

    def need(self, *sequence: str) -> None:
        if not self.take(*sequence):
            raise self.wrong()

    def choice(self, *options: str) -> str:
        """The next word if it is one of these, in capitals; empty if not."""
        if self.peek().is_word(*options):
            self.at += 1
            return self.words[self.at - 1].text.upper()
        return ""

    def wrong(self) -> SqlError:
        word = self.peek()
        return syntax(self.text[word.start : word.end] or word.text)

    def part(self) -> str:
        """One identifier."""
        word = self.peek()
        if word.kind not in {"word", "quoted"}:
            raise self.wrong()
        self.at += 1
        return word.text

    def name(self) -> tuple[str, ...]:
        """A dotted name."""
        parts = [self.part()]
        while self.take("."):
            parts.append(self.part())
        return tuple(parts)

    def literal(self) -> str:
        """A string, or several beside each other."""
        if self.peek().kind != "string":
            raise self.wrong()
        found = ""
        while self.peek().kind == "string":
            found += self.peek().text
            self.at += 1
        return found

    def integer(self) -> int:
        word = self.peek()
        if word.kind != "number":
            raise self.wrong()
        self.at += 1
        return int(word.text)

    def names(self) -> list[str]:
        """``(a, b)``: columns, or constants, as they are written."""
        self.need("(")
        found: list[str] = []
        while not self.take(")"):
            if found:
                self.need(",")
            found.append(self.literal_text() if self.peek().kind in {"string", "number"} else self.part())
        return found

    def literal_text(self) -> str:
        word = self.peek()
        self.at += 1
        return self.text[word.start : word.end]

    def pairs(self) -> dict[str, str]:
        """``('key' = 'value', key.part = true)``; a lone key has the value of the empty text."""
        self.need("(")
        found: dict[str, str] = {}
        while not self.take(")"):
            if found:
                self.need(",")
            key = self.literal() if self.peek().kind == "string" else ".".join(self.name())
            found[key] = self._value() if self.take("=") else ""
        return found

    def _value(self) -> str:
        word = self.peek()
        if word.kind == "string":
            return self.literal()
        if word.kind not in {"word", "number"}:
            raise self.wrong()
        self.at += 1
        return word.text

    def rest(self) -> str:
        """The text from here to the end."""
        found = self.text[self.peek().start : self.words[-1].end] if not self.over else ""
        self.at = len(self.words)
        return found

    def end(self) -> None:
        if not self.over:
            raise self.wrong()

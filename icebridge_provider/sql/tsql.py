"""T-SQL cut into tokens: where texts, names and comments begin and end, and where placeholders stand.

https://learn.microsoft.com/sql/relational-databases/databases/database-identifiers and …/language-elements/comments:
comments nest, a quote inside a text or a name is written twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

MOST_PARENTHESES = 200
_BLANK = re.compile(r"\s+")
_LINE_COMMENT = re.compile(r"--[^\r\n]*")
_IN_COMMENT = re.compile(r"/\*|\*/")
_TEXT = re.compile(r"[nN]?'(?:[^']|'')*+'")
_NAME = re.compile(r"\[(?:[^\]]|\]\])*+\]|\"(?:[^\"]|\"\")*+\"")
_PLACE = re.compile(r"\{\s*([A-Za-z_][A-Za-z0-9_.]*)\s*(?::\s*([A-Za-z]+)\s*)?\}")
_WORD = re.compile(r"(?:[^\W\d]|[@#])[\w@$#]*")
_NUMBER = re.compile(r"[0-9][\w.]*")


class Part(StrEnum):
    """What a token is."""

    BLANK = "blank"
    COMMENT = "comment"
    TEXT = "text"
    NAME = "quoted name"
    WORD = "word"
    NUMBER = "number"
    PLACE = "placeholder"
    MARK = "mark"


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a statement and where it begins."""

    part: Part
    text: str
    start: int

    def is_word(self, *words: str) -> bool:
        """Say whether it is one of these keywords (upper case), written as a bare word."""
        return self.part is Part.WORD and self.text.upper() in words


class NotUnderstood(ValueError):
    """A statement cannot be read or is refused; ``position`` is where, ``remedy`` what to write instead."""

    def __init__(self, why: str, position: int = 0, remedy: str = "") -> None:
        super().__init__(why)
        self.why, self.position, self.remedy = why, position, remedy


def tokens(text: str) -> list[Token]:
    """Return the tokens of a statement, one behind the other, nothing left out.

    :raises NotUnderstood: when a text, name or comment does not end, or parentheses do not match.
    """
    found = list(_tokens(text))
    _refuse_unbalanced(found)
    return found


def placeholder(text: str) -> tuple[str, str] | None:
    """Return name and kind (empty where none is said) of a text that is one placeholder as a whole, else None."""
    match = _PLACE.fullmatch(text)
    return (match[1], match[2] or "") if match else None


def inner(token: Token) -> str:
    """Return what a text or quoted name says, quotes undone."""
    body = token.text.lstrip("nN") if token.part is Part.TEXT else token.text
    close = {"[": "]", "'": "'", '"': '"'}[body[0]]
    return body[1:-1].replace(close * 2, close)


def depths(found: Sequence[Token]) -> Iterator[tuple[Token, int]]:
    """Yield each token with the number of parentheses around it."""
    depth = 0
    for token in found:
        depth -= token.text == ")" and token.part is Part.MARK
        yield token, depth
        depth += token.text == "(" and token.part is Part.MARK


def sections(statement: str) -> tuple[str, str, str]:
    """Cut a SELECT into its WITH list (may be empty), its SELECT with all that is united with it, and what follows.

    What follows is ORDER BY, OPTION, FOR XML and FOR JSON, as far as they are outside of parentheses; a statement that
    goes into ``FROM ( … )`` leaves the first outside and takes the second in.
    """
    outer = [token for token, depth in depths(tokens(statement)) if depth == 0 and token.part is not Part.BLANK]
    begin = next((token.start for token in outer if token.is_word("SELECT")), 0)
    end = len(statement)
    for token, following in zip(outer, [*outer[1:], None], strict=True):
        if token.start > begin and _begins_tail(token, following):
            end = token.start
            break
    return statement[:begin], statement[begin:end], statement[end:]


def _begins_tail(token: Token, following: Token | None) -> bool:
    if token.is_word("ORDER", "OPTION"):
        return True
    return token.is_word("FOR") and following is not None and following.is_word("XML", "JSON", "BROWSE")


def _tokens(text: str) -> Iterator[Token]:
    position = 0
    while position < len(text):
        part, end = _token(text, position)
        yield Token(part, text[position:end], position)
        position = end


def _token(text: str, at: int) -> tuple[Part, int]:
    """Return what begins at a position, and where it ends."""
    if text.startswith("/*", at):
        return Part.COMMENT, _comment_end(text, at)
    for part, pattern in _PATTERNS:
        match = pattern.match(text, at)
        if match:
            return part, match.end()
    _refuse_open(text, at)
    return Part.MARK, at + 1


_PATTERNS = (
    (Part.BLANK, _BLANK),
    (Part.COMMENT, _LINE_COMMENT),
    (Part.TEXT, _TEXT),
    (Part.NAME, _NAME),
    (Part.PLACE, _PLACE),
    (Part.WORD, _WORD),
    (Part.NUMBER, _NUMBER),
)


def _comment_end(text: str, start: int) -> int:
    depth = 0
    for match in _IN_COMMENT.finditer(text, start):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end()
    raise NotUnderstood("a comment /* does not end", start)


def _refuse_open(text: str, at: int) -> None:
    what = {"'": "a text", "[": "a name in brackets", '"': "a name in double quotes"}.get(text[at])
    if what:
        raise NotUnderstood(f"{what} does not end", at)


def _refuse_unbalanced(found: Sequence[Token]) -> None:
    opened: list[int] = []
    for token in found:
        if token.part is not Part.MARK:
            continue
        if token.text == "(":
            opened.append(token.start)
        elif token.text == ")" and not opened:
            raise NotUnderstood("a parenthesis is closed that was not opened", token.start)
        elif token.text == ")":
            opened.pop()
        if len(opened) > MOST_PARENTHESES:
            raise NotUnderstood(f"there are more than {MOST_PARENTHESES} parentheses in each other", token.start)
    if opened:
        raise NotUnderstood("a parenthesis is not closed", opened[-1])

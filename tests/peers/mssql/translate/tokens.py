"""T-SQL cut into tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.peers.mssql.interface import SqlError

WORD, QUOTED, STRING, NATIONAL, NUMBER, HEX, MONEY, VARIABLE, OPERATOR, END = range(10)

_PATTERN = re.compile(
    r"""
    (?P<blank>\s+|--[^\n]*)
  | (?P<string>[nN]?'(?:[^']|'')*')
  | (?P<bracket>\[(?:[^\]]|\]\])*\])
  | (?P<double>"(?:[^"]|"")*")
  | (?P<hex>0[xX][0-9a-fA-F]*)
  | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<money>\$-?\d[\d,]*\.?\d*)
  | (?P<variable>@@?[\w@$\#]+)
  | (?P<word>[^\W\d][\w@$\#]*|\#\#?[\w@$\#]*|_[\w@$\#]*|\$action|\$partition|\$identity|\$rowguid)
  | (?P<operator><>|!=|<=|>=|!<|!>|\+=|-=|\*=|/=|%=|&=|\|=|\^=|::|\|\||[-+*/%=<>(),.;&|^~:?{}!])
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """``value`` is the text without quotes; ``upper`` is set for bare words and operators only."""

    kind: int
    value: str
    upper: str
    start: int
    end: int
    line: int


def tokens(sql: str) -> list[Token]:
    """Cut a batch; the last token is :data:`END`.

    :raises SqlError: 105 for an open quotation mark, 102 for what is no token, 113 for an open comment.
    """
    found: list[Token] = []
    at, line = 0, 1
    while at < len(sql):
        if sql.startswith("/*", at):
            after = _comment_end(sql, at, line)
            line += sql.count("\n", at, after)
            at = after
            continue
        match = _PATTERN.match(sql, at)
        if match is None:
            raise _unreadable(sql, at, line)
        kind, text = match.lastgroup or "", match.group()
        if kind != "blank":
            found.append(_token(kind, text, match, line))
        line += text.count("\n")
        at = match.end()
    found.append(Token(END, "", "", at, at, line))
    return found


def _comment_end(sql: str, at: int, line: int) -> int:
    depth, place = 0, at
    for match in re.compile(r"/\*|\*/").finditer(sql, at):
        depth += 1 if match.group() == "/*" else -1
        place = match.end()
        if depth == 0:
            return place
    raise SqlError(113, "Missing end comment mark '*/'.", severity=15, line=line)


def _unreadable(sql: str, at: int, line: int) -> SqlError:
    if sql[at] in "'\"[" or sql[at : at + 2].upper() == "N'":
        rest = sql[at:].lstrip("nN'\"[")[:128]
        return SqlError(105, f"Unclosed quotation mark after the character string '{rest}'.", severity=15, line=line)
    return SqlError(102, f"Incorrect syntax near '{sql[at]}'.", severity=15, line=line)


def _token(kind: str, text: str, match: re.Match[str], line: int) -> Token:
    start, end = match.span()
    if kind == "string":
        national = text[0] in "nN"
        value = text[2 if national else 1 : -1].replace("''", "'")
        return Token(NATIONAL if national else STRING, value, "", start, end, line)
    if kind == "bracket":
        return Token(QUOTED, text[1:-1].replace("]]", "]"), "", start, end, line)
    if kind == "double":
        return Token(QUOTED, text[1:-1].replace('""', '"'), "", start, end, line)
    if kind == "variable":
        return Token(VARIABLE, text, text.upper(), start, end, line)
    kinds = {"hex": HEX, "number": NUMBER, "money": MONEY, "word": WORD, "operator": OPERATOR}
    return Token(kinds[kind], text, text.upper() if kind in {"word", "operator"} else "", start, end, line)

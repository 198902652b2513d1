"""Patterns that people write: globs, and regular expressions that cannot hang a worker."""

from __future__ import annotations

import re
from functools import cache

_ATOM = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[^\\\[]", re.DOTALL)
_UNBOUNDED = re.compile(r"[*+]|\{\d*,\}")
_MANY = re.compile(r"[*+]|\{\d*,?\d*\}")
_EXACT = re.compile(r"\{\d+\}")
MAX_OPEN = 8


@cache
def glob_pattern(glob: str) -> re.Pattern[str]:
    """Return the pattern of a glob: ``*`` any characters, dots too, ``?`` one; all others stand for themselves."""
    return re.compile("".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in glob), re.DOTALL)


def matches(glob: str, text: str) -> bool:
    """Say whether ``text`` is spelled by the glob in full or matched by it."""
    return glob == text or bool(glob_pattern(glob).fullmatch(text))


def refuse_slow(pattern: str) -> None:
    """Make sure a regular expression takes polynomial time: no repeated group that itself repeats or branches.

    Errs on the safe side: ``(a|b)+`` is refused although it is harmless; ``[ab]+`` says the same.

    :raises ValueError: saying what to leave out.
    """
    nested: list[bool] = []
    closed = False  # whether a group that repeats or branches inside ended just now
    open_ended = 0
    position = 0
    while position < len(pattern):
        repeat = _MANY.match(pattern, position)
        if repeat and closed and _UNBOUNDED.match(pattern, position):
            raise ValueError("a repeated group that repeats or branches inside can take forever")
        if repeat:
            open_ended += bool(_UNBOUNDED.match(pattern, position))
            nested = nested if _EXACT.fullmatch(repeat[0]) else [True] * len(nested)
            closed, position = False, repeat.end()
            continue
        atom = _ATOM.match(pattern, position)
        if atom is None:
            return  # an open bracket: re.compile says so better
        closed = _step(atom[0], nested)
        position = atom.end()
    if open_ended > MAX_OPEN:
        raise ValueError(f"more than {MAX_OPEN} of * and +")
    if re.search(r"\\[1-9]|\(\?P=|\(\?\(", pattern):
        raise ValueError("back references are not taken")


def _step(atom: str, nested: list[bool]) -> bool:
    """Note one atom; True when it closes a group that repeats or branches inside."""
    if atom == "(":
        nested.append(False)
    elif atom == "|" and nested:
        nested[-1] = True
    elif atom == ")" and nested:
        inner = nested.pop()
        if inner and nested:
            nested[-1] = True
        return inner
    return False

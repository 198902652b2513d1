"""Where a value stands in a JSON text, so that a message about a file that a person edited names line and column."""

from __future__ import annotations

import json
import re

_BLANK = re.compile(r"[ \t\r\n]*")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_decoder = json.JSONDecoder()


def place_of(text: str, path: str) -> tuple[int, int]:
    """Return line and column, from 1, of the value at ``path`` (``$.tables[3].method``), or of the nearest around it.

    :param text: well-formed JSON.
    """
    position = _skip(text, 0)
    for match in _STEP.finditer(path):
        key, index = match.groups()
        found = _member(text, position, key) if index is None else _item(text, position, int(index))
        if found is None:
            break
        position = found
    line = text.count("\n", 0, position) + 1
    return line, position - text.rfind("\n", 0, position)


def _skip(text: str, position: int) -> int:
    blank = _BLANK.match(text, position)
    return blank.end() if blank else position


def _member(text: str, position: int, key: str) -> int | None:
    """Return where the value of ``key`` begins in the object at ``position``."""
    if text[position] != "{":
        return None
    position = _skip(text, position + 1)
    while text[position] == '"':
        name, end = _decoder.raw_decode(text, position)
        value = _skip(text, _skip(text, end) + 1)
        if name == key:
            return value
        position = _after(text, value)
    return None


def _item(text: str, position: int, index: int) -> int | None:
    """Return where item ``index`` begins in the list at ``position``."""
    if text[position] != "[":
        return None
    position = _skip(text, position + 1)
    for _ in range(index):
        if text[position] == "]":
            return None
        position = _after(text, position)
    return None if text[position] == "]" else position


def _after(text: str, value: int) -> int:
    """Return where the next key or item begins, or the closing bracket."""
    _, end = _decoder.raw_decode(text, value)
    end = _skip(text, end)
    return _skip(text, end + 1) if text[end] == "," else end

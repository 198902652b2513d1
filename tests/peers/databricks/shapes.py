"""Shapes of JSON bodies: what may stand where, checked field by field before anything is done.

A shape is one of the constants below, a set of words, or Each, Pairs and Fields around other shapes.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.peers.databricks.errors import ApiError, invalid

TEXT, INTEGER, NUMBER, BOOLEAN, OBJECT, ANY = "String", "Integer", "Number", "Boolean", "Object", "Any"

KINDS: dict[str, Any] = {
    TEXT: lambda value: isinstance(value, str),
    INTEGER: lambda value: isinstance(value, int) and not isinstance(value, bool),
    NUMBER: lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    BOOLEAN: lambda value: isinstance(value, bool),
    OBJECT: lambda value: isinstance(value, dict),
    ANY: lambda _: True,
}


@dataclass(frozen=True)
class Each:
    """A list of at most `most` values of one shape; `key` names the field that must differ in each."""

    shape: Any
    most: int = 10_000
    key: str = ""


@dataclass(frozen=True)
class Pairs:
    """A map from names to text."""

    most: int = 10_000


@dataclass(frozen=True)
class Fields:
    """An object with these fields and no other."""

    known: Mapping[str, Any]
    required: tuple[str, ...] = ()


def malformed(where: str, wanted: str, value: Any) -> ApiError:
    """The refusal of a value of another type, in the service's words."""
    found = {bool: "Boolean", int: "Integer", float: "Number", str: "String", list: "Array", dict: "Object"}
    kind = found.get(type(value), "null")
    return ApiError(
        400, "MALFORMED_REQUEST", f"Could not parse request object: Expected {wanted} for field '{where}', not {kind}"
    )


def check(value: Any, shape: Any, where: str = "") -> None:
    """Raise ApiError for the first thing in `value` that does not have `shape`."""
    if isinstance(shape, str):
        if not KINDS[shape](value):
            raise malformed(where, shape, value)
    elif isinstance(shape, frozenset):
        _word(value, shape, where)
    else:
        CHECKS[type(shape)](value, shape, where)


def _word(value: Any, words: frozenset[str], where: str) -> None:
    if not isinstance(value, str):
        raise malformed(where, "String", value)
    if value not in words:
        raise invalid(f"Invalid value '{value}' for field '{where}'. Must be one of: {', '.join(sorted(words))}.")


def _each(value: Any, shape: Each, where: str) -> None:
    if not isinstance(value, list):
        raise malformed(where, "Array", value)
    if len(value) > shape.most:
        raise invalid(f"The field '{where}' has {len(value)} elements, the most is {shape.most}.")
    for number, item in enumerate(value):
        check(item, shape.shape, f"{where}[{number}]")
    names = [item.get(shape.key) for item in value] if shape.key else []
    for name in names:
        if names.count(name) > 1:
            raise invalid(f"Duplicate {shape.key} '{name}' in '{where}'.")


def _pairs(value: Any, shape: Pairs, where: str) -> None:
    if not isinstance(value, dict):
        raise malformed(where, "Object", value)
    if len(value) > shape.most:
        raise invalid(f"The field '{where}' has {len(value)} entries, the most is {shape.most}.")
    for key, text in value.items():
        check(text, TEXT, f"{where}.{key}")


def _fields(value: Any, shape: Fields, where: str) -> None:
    if not isinstance(value, dict):
        raise malformed(where or "body", "Object", value)
    for key, inner in value.items():
        path = f"{where}.{key}" if where else key
        if key not in shape.known:
            raise invalid(f"Unknown field '{path}'." + _instead(key, shape))
        check(inner, shape.known[key], path)
    for key in shape.required:
        if value.get(key) in (None, "", []):
            raise invalid(f"Missing required field: {where}.{key}" if where else f"Missing required field: {key}")


def _instead(key: str, shape: Fields) -> str:
    near = difflib.get_close_matches(key, shape.known, 1)
    if near:
        return f" Did you mean '{near[0]}'?"
    return f" There are {', '.join(shape.known)}." if len(shape.known) <= 6 else ""


CHECKS: dict[type, Any] = {Each: _each, Pairs: _pairs, Fields: _fields}

"""Frozen dataclasses to plain JSON values and back, by their type hints."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")
_PLAIN = frozenset({str, int, bool})


def to_json(value: Any) -> Any:
    """Return ``value`` as dicts, lists, strings, numbers, booleans and None."""
    kind = type(value)
    if value is None or kind in _PLAIN:
        return value
    if dataclasses.is_dataclass(kind):
        return {name: to_json(getattr(value, name)) for name in _names(kind)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # one spelling of a number, whoever wrote it: 2.0 and 2 have one digest
    return value


def from_json(kind: type[T], value: Any) -> T:
    """Build ``kind`` from what :func:`to_json` returned.

    Missing keys take the dataclass's default.

    :raises ValueError: naming the first key that is unknown, missing or of the wrong type.
    """
    return typing.cast("T", _read(kind, value, "$"))


def canonical(value: Any) -> str:
    """Return the one JSON text of ``value``: sorted keys, no blanks, UTF-8 (RFC 8785's order for our ASCII keys)."""
    return json.dumps(to_json(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def object_of(given: Mapping[str, Any] | str | None) -> Mapping[str, Any] | None:
    """Return an object that is given as such or as its JSON text, empty for nothing; None when it is neither."""
    value: Any = given or {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return value if isinstance(value, Mapping) else None


def digest(value: Any) -> str:
    """Return the SHA-256 of :func:`canonical`, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


@cache
def _fields(kind: type) -> dict[str, tuple[Any, bool]]:
    hints = typing.get_type_hints(kind)
    return {
        field.name: (
            hints[field.name],
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(kind)
    }


def _read(kind: Any, value: Any, path: str) -> Any:
    if kind in _PLAIN and type(value) is kind:
        return value
    origin = typing.get_origin(kind)
    if kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _read_union(typing.get_args(kind), value, path)
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(typing.cast("type", kind), value, path)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _read_enum(kind, value, path)
    if origin is not None and issubclass(origin, Mapping):
        return _read_mapping(kind, value, path)
    if origin is not None and issubclass(origin, tuple | list | Sequence):
        return _read_sequence(kind, value, path)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{path}: expected {kind.__name__}, found {type(value).__name__}")
    return value


def _read_union(choices: tuple[Any, ...], value: Any, path: str) -> Any:
    if value is None and type(None) in choices:
        return None
    return _read(next(choice for choice in choices if choice is not type(None)), value, path)


def _read_dataclass(kind: type, value: Any, path: str) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"{path}: expected an object, found {type(value).__name__}")
    fields = _fields(kind)
    unknown = sorted(set(value) - set(fields))
    if unknown:
        raise ValueError(f"{path}: unknown key {unknown[0]!r}; known keys: {', '.join(fields)}")
    missing = [name for name, (_, required) in fields.items() if required and name not in value]
    if missing:
        raise ValueError(f"{path}: key {missing[0]!r} is missing")
    return kind(**{name: _read(fields[name][0], item, f"{path}.{name}") for name, item in value.items()})


def _read_enum(kind: type[Enum], value: Any, path: str) -> Enum:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(str(item.value) for item in kind)
        raise ValueError(f"{path}: {value!r} is not one of {known}") from None


def _read_mapping(kind: Any, value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{path}: expected an object, found {type(value).__name__}")
    item_kind = (typing.get_args(kind) or (str, Any))[1]
    return {str(key): _read(item_kind, item, f"{path}.{key}") for key, item in value.items()}


def _read_sequence(kind: Any, value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{path}: expected a list, found {type(value).__name__}")
    item_kind = (typing.get_args(kind) or (Any,))[0]
    return tuple(_read(item_kind, item, f"{path}[{number}]") for number, item in enumerate(value))

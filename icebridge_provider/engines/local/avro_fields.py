"""Finds where chosen fields of Avro records begin and end, without decoding the records.

A writer's schema is compiled once per file. Runs of values whose form a regular expression can tell (numbers,
booleans, nulls, and unions, records and arrays of them) are passed over by one match of it in C; only texts, byte
strings and arrays of those are walked in Python.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from icebridge_provider.engines.local.avro import AvroError, read_long

Skip = Callable[[bytes, int], int]
SkipMany = Callable[[bytes, int, int], int]
Names = dict[str, Any]
_NUMBER = rb"[\x80-\xff]*+[\x00-\x7f]"
_FRAGMENTS = {"null": b"", "boolean": b".", "float": b".{4}", "double": b".{8}", "int": _NUMBER, "long": _NUMBER,
              "enum": _NUMBER}  # fmt: skip
_MOST_REPEATS = 65_000  # the re module's own limit is 2**32 - 1, its compile time grows much earlier
Spans = list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A wanted field: its id in the Iceberg spec, and its name where a writer left the ids out."""

    id: int
    name: str


@lru_cache(maxsize=4096)
def _pattern(fragment: bytes, count: int) -> Callable[[bytes, int], re.Match[bytes] | None]:
    repeated = fragment if count == 1 else rb"(?:" + fragment + rb"){%d}+" % count
    return re.compile(repeated, re.DOTALL).match


class Locator:
    """Positions of chosen fields in the records of one schema.

    :param schema: writer's schema as JSON (a record).
    :param wanted: fields to find, in nested plain records too.
    :raises AvroError: when the schema is not a record.
    """

    def __init__(self, schema: Any, wanted: Collection[Field]) -> None:
        if not isinstance(schema, Mapping) or schema.get("type") != "record":
            raise AvroError("has a schema that is not a record")
        self.slots: dict[str, int] = {}
        self.schemas: dict[str, Any] = {}
        self._wanted = wanted
        self._steps: list[tuple[Skip, bool]] = []
        self._run = b""
        self._names: Names = {}
        try:
            self._add(schema)
            self._close_run()
        except (KeyError, TypeError, AttributeError, OverflowError, re.error) as error:
            raise AvroError(f"has a schema that cannot be understood: {error!r}") from None

    def _add(self, schema: Any) -> None:
        _remember(schema, self._names)
        for field in schema["fields"]:
            found = self._match(field)
            kind = field["type"]
            if found is not None:
                self._close_run()
                self.slots[found] = 2 * len(self.slots)
                self.schemas[found] = kind
                self._steps.append((skipper(kind, self._names), True))
            elif isinstance(kind, Mapping) and kind.get("type") == "record" and self._holds_wanted(kind):
                self._add(kind)
            else:
                self._pass_over(kind)

    def _pass_over(self, kind: Any) -> None:
        fragment = _fragment(kind, self._names)
        if fragment is not None:
            self._run += fragment
            return
        self._close_run()
        self._steps.append((skipper(kind, self._names), False))

    def _close_run(self) -> None:
        if self._run:
            self._steps.append((_skip_pattern(self._run), False))
            self._run = b""

    def _match(self, field: Any) -> str | None:
        if "field-id" in field:
            return next((wanted.name for wanted in self._wanted if wanted.id == field["field-id"]), None)
        return next((wanted.name for wanted in self._wanted if wanted.name == field["name"]), None)

    def _holds_wanted(self, record: Any) -> bool:
        return any(
            self._match(field) is not None
            or (isinstance(field["type"], Mapping) and field["type"].get("type") == "record"
                and self._holds_wanted(field["type"]))
            for field in record["fields"]
        )  # fmt: skip

    def find(self, data: bytes, position: int) -> tuple[Spans, int]:
        """Return begin and end of each wanted field of the record at ``position``, in slots, and the record's end.

        :raises AvroError: when the data ends first.
        """
        spans: Spans = []
        for skip, wanted in self._steps:
            end = skip(data, position)
            if wanted:
                spans += (position, end)
            position = end
        if position > len(data):
            raise AvroError("ends within a record")
        return spans, position


def skipper(schema: Any, names: Names | None = None) -> Skip:
    """Return the function that passes over one value of a schema."""
    known: Names = {} if names is None else names
    fragment = _fragment(schema, known)
    if fragment is not None:
        return _skip_pattern(fragment)
    if isinstance(schema, list):
        return _skip_union([skipper(branch, known) for branch in schema])
    kind = schema["type"] if isinstance(schema, Mapping) else schema
    if isinstance(kind, list | Mapping):
        return skipper(kind, known)
    if kind in {"string", "bytes"}:
        return _skip_sized
    if kind == "record":
        _remember(schema, known)
        return _skip_all([skipper(field["type"], known) for field in schema["fields"]])
    if kind == "array":
        if _is_pair(schema["items"]):
            return _skip_items(None, _skip_pairs)
        return _skip_items(_fragment(schema["items"], known), _each(skipper(schema["items"], known)))
    if kind == "map":
        return _skip_items(None, _each(_skip_all([_skip_sized, skipper(schema["values"], known)])))
    if kind in known:
        return _later(known[kind], known)
    raise AvroError(f"has a schema of unknown type {kind!r}")


def _remember(schema: Any, names: Names) -> None:
    """Named types may be used again by name, with or without their namespace."""
    if isinstance(schema, Mapping) and "name" in schema:
        name = str(schema["name"])
        names[name] = names[name.rpartition(".")[2]] = schema
        if schema.get("namespace"):
            names[f"{schema['namespace']}.{name}"] = schema


def _fragment(schema: Any, names: Names) -> bytes | None:
    """Return the regular expression of a type's values, None where their length is written before them."""
    if isinstance(schema, list):
        return _union_fragment([_fragment(branch, names) for branch in schema])
    kind = schema["type"] if isinstance(schema, Mapping) else schema
    if isinstance(kind, list | Mapping):
        return _fragment(kind, names)
    _remember(schema, names)
    if kind in _FRAGMENTS:
        return _FRAGMENTS[kind]
    if kind == "fixed":
        return rb".{%d}" % schema["size"]
    if kind == "record":
        parts = [_fragment(field["type"], names) for field in schema["fields"]]
        return None if any(part is None for part in parts) else b"".join(part for part in parts if part)
    named = names.get(kind) if isinstance(schema, str) else None
    return _fragment(named, names) if isinstance(named, Mapping) and named["type"] in {"fixed", "enum"} else None


def _union_fragment(parts: list[bytes | None]) -> bytes | None:
    if any(part is None for part in parts) or len(parts) > 64:
        return None
    choices = (re.escape(bytes((2 * number,))) + (part or b"") for number, part in enumerate(parts))
    return rb"(?:" + b"|".join(choices) + rb")"


def _skip_pattern(fragment: bytes) -> Skip:
    match = _pattern(fragment, 1)

    def skip(data: bytes, position: int) -> int:
        found = match(data, position)
        if found is None:
            raise AvroError("ends within a record")
        return found.end()

    return skip


def _skip_sized(data: bytes, position: int) -> int:
    length, position = read_long(data, position)
    if length < 0:
        raise AvroError("holds a negative length")
    return position + length


def _skip_all(skips: list[Skip]) -> Skip:
    def skip(data: bytes, position: int) -> int:
        for part in skips:
            position = part(data, position)
        return position

    return skip


def _skip_union(branches: list[Skip]) -> Skip:
    def skip(data: bytes, position: int) -> int:
        branch, position = read_long(data, position)
        if not 0 <= branch < len(branches):
            raise AvroError("names a branch of a union that is not there")
        return branches[branch](data, position)

    return skip


def _skip_items(fragment: bytes | None, items: SkipMany) -> Skip:
    """Pass over the blocks of an array or map; a negative count has the block's bytes behind it."""

    def skip(data: bytes, position: int) -> int:
        while True:
            count, position = read_long(data, position)
            if count == 0:
                return position
            if count < 0:
                position = _skip_sized(data, position)
            elif fragment is not None and count <= _MOST_REPEATS:
                found = _pattern(fragment, count)(data, position)
                if found is None:
                    raise AvroError("ends within an array")
                position = found.end()
            else:
                position = items(data, position, count)

    return skip


def _each(one: Skip) -> SkipMany:
    def skip(data: bytes, position: int, count: int) -> int:
        for _ in range(count):
            if position > len(data):
                raise AvroError("ends within an array")
            position = one(data, position)
        return position

    return skip


def _is_pair(item: Any) -> bool:
    """Say whether array items are a number and a sized value: how Iceberg writes maps of bounds."""
    if not isinstance(item, Mapping) or item.get("type") != "record" or len(item["fields"]) != 2:
        return False
    key, value = (field["type"] for field in item["fields"])
    return key in {"int", "long"} and value in {"bytes", "string"}


def _skip_pairs(data: bytes, position: int, count: int) -> int:
    try:
        for _ in range(count):
            while data[position] > 127:
                position += 1
            length, position = read_long(data, position + 1)
            if length < 0:
                raise AvroError("holds a negative length")
            position += length
    except IndexError:
        raise AvroError("ends within an array") from None
    return position


def _later(schema: Any, names: Names) -> Skip:
    """Compile a recursive type when it is first met."""

    def skip(data: bytes, position: int) -> int:
        return skipper(schema, names)(data, position)

    return skip

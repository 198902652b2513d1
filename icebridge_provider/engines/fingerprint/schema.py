"""Iceberg schemas as trees of fields, and how each type's values are encoded (docs/fingerprint.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from icebridge_provider.exceptions import PreflightFailed

ENCODING = "icebridge-1"

_WORDS = {
    "boolean": "boolean",
    "int": "integer",
    "long": "integer",
    "float": "real",
    "double": "real",
    "date": "date",
    "time": "time",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
}
_TEXTS = {"string": "text", "uuid": "text", "binary": "bytes"}
_DECIMAL = re.compile(r"decimal\(\s*(\d+)\s*,\s*(\d+)\s*\)")
_FIXED = re.compile(r"fixed\[\s*\d+\s*\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One column or nested field: its Iceberg type as the spec spells it, and its children by kind of nesting.

    ``kind`` names the encoding: ``boolean integer real date time timestamp timestamptz decimal(s)`` are eight bytes,
    ``wide decimal(s) text bytes struct list map`` are of any length.
    """

    field_id: int
    name: str
    type: str
    kind: str
    required: bool = False
    children: tuple[Field, ...] = ()

    @property
    def is_word(self) -> bool:
        """Whether every value is eight bytes long."""
        return self.kind in _WORDS.values() or self.kind.startswith("decimal")

    @property
    def slot_words(self) -> int:
        """32-bit words of the cell in the row encoding: the length and 8 or 16 bytes."""
        return 3 if self.is_word else 5

    @property
    def described(self) -> str:
        """The encoding with all its children, the same for all tables whose values encode the same."""
        if not self.children:
            return self.kind
        parts = ", ".join(f"{child.name}: {child.described}" for child in self.children)
        return f"{self.kind}<{parts}>"


def column_order(name: str) -> tuple[str, bytes]:
    """Sort key of columns: the name with ASCII letters lowered, then its UTF-8 bytes.

    Catalogs reorder columns and fold case; a fingerprint must outlive both.
    """
    lowered = "".join(chr(ord(letter) + 32) if "A" <= letter <= "Z" else letter for letter in name)
    return lowered, name.encode()


def read_schema(schema: Mapping[str, Any], table: str) -> tuple[Field, ...]:
    """Return the columns of a schema's JSON in canonical order.

    :raises PreflightFailed: IB-504 for a type or a default value that the reader does not know.
    """
    return _struct(schema["fields"], table)


def _struct(fields: Any, table: str) -> tuple[Field, ...]:
    return tuple(sorted((_field(item, table) for item in fields), key=lambda field: column_order(field.name)))


def _field(item: Mapping[str, Any], table: str) -> Field:
    if item.get("initial-default") is not None:
        raise _unknown(table, item["name"], "a default value for older rows (initial-default)")
    return _typed(item["id"], item["name"], item["type"], bool(item.get("required")), table)


def _typed(field_id: int, name: str, kind: Any, required: bool, table: str) -> Field:
    if isinstance(kind, str):
        return Field(field_id=field_id, name=name, type=kind, kind=_kind(kind, name, table), required=required)
    shape = kind.get("type")
    if shape == "struct":
        children = _struct(kind["fields"], table)
    elif shape == "list":
        children = (_typed(kind["element-id"], "element", kind["element"], bool(kind["element-required"]), table),)
    elif shape == "map":
        children = (
            _typed(kind["key-id"], "key", kind["key"], True, table),
            _typed(kind["value-id"], "value", kind["value"], bool(kind["value-required"]), table),
        )
    else:
        raise _unknown(table, name, f"the type {shape!r}")
    return Field(field_id=field_id, name=name, type=shape, kind=shape, required=required, children=children)


def _kind(kind: str, name: str, table: str) -> str:
    known = _WORDS.get(kind) or _TEXTS.get(kind)
    if known:
        return known
    if _FIXED.fullmatch(kind):
        return "bytes"
    decimal = _DECIMAL.fullmatch(kind)
    if decimal:
        precision, scale = (int(part) for part in decimal.groups())
        return f"{'wide ' if precision > 18 else ''}decimal({scale})"
    raise _unknown(table, name, f"the type {kind}")


def _unknown(table: str, column: str, what: str) -> PreflightFailed:
    return PreflightFailed(
        "IB-504",
        f"Column {column} of {table} has {what}, which the checking reader does not know.",
        remedy="Leave the table out, or copy it with copy_files or register, which are proved byte by byte.",
        table=table,
        column=column,
    )

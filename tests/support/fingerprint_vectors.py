"""Golden vectors of the canonical encoding: the inputs, and the file they are kept in.

``python -m tests.support.fingerprint_vectors`` writes the file anew from the reference; do that only with a new
encoding name, because fingerprints that are already recorded were made with the old vectors.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import uuid
import zlib
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.support import fingerprint_reference as reference

PATH = Path(__file__).parents[1] / "unit" / "validation" / "vectors.json"

_STRUCT = {
    "type": "struct",
    "fields": [
        {"id": 101, "name": "B", "type": "int", "required": False},
        {"id": 102, "name": "a", "type": "string", "required": False},
    ],
}
_LIST = {"type": "list", "element-id": 103, "element": "string", "element-required": False}
_MAP = {
    "type": "map", "key-id": 104, "key": "string", "value-id": 105, "value": "long", "value-required": False,
}  # fmt: skip

VALUES: list[tuple[str, Any, Any]] = [
    ("null word", "long", None),
    ("null text", "string", None),
    ("empty text is not null", "string", ""),
    ("the text NULL", "string", "NULL"),
    ("backslash N", "string", "\\N"),
    ("true", "boolean", "true"),
    ("false", "boolean", "false"),
    ("zero", "int", 0),
    ("minus one as int", "int", -1),
    ("minus one as long", "long", -1),
    ("greatest long", "long", 2**63 - 1),
    ("least long", "long", -(2**63)),
    ("zero as double", "double", "0.0"),
    ("minus zero is zero", "double", "-0.0"),
    ("not a number", "double", "nan"),
    ("infinity", "double", "inf"),
    ("minus infinity", "double", "-inf"),
    ("smallest double", "double", "5e-324"),
    ("a tenth as float is not a tenth as double", "float", "0.1"),
    ("a tenth as double", "double", "0.1"),
    ("decimal", "decimal(10, 2)", "1.50"),
    ("negative decimal", "decimal(18, 3)", "-0.001"),
    ("wide decimal", "decimal(38, 10)", "1.5"),
    ("widest decimal", "decimal(38, 0)", "-99999999999999999999999999999999999999"),
    ("epoch day", "date", "1970-01-01"),
    ("day before the epoch", "date", "1969-12-31"),
    ("first day", "date", "0001-01-01"),
    ("midnight", "time", "00:00:00"),
    ("last microsecond", "time", "23:59:59.999999"),
    ("timestamp", "timestamp", "2024-02-29T12:34:56.789012"),
    ("timestamp before the epoch", "timestamp", "1969-12-31T23:59:59.999999"),
    ("timestamptz", "timestamptz", "2024-02-29T12:34:56.789012+02:00"),
    ("uuid", "uuid", "F79C3E09-677C-4BBD-A479-3F349CB785E7"),
    ("fixed", "fixed[4]", "00ff007f"),
    ("binary with zero bytes", "binary", "000000"),
    ("empty binary", "binary", ""),
    ("trailing blank", "string", "a "),
    ("no trailing blank", "string", "a"),
    ("zero character", "string", "a\x00"),
    ("composed letter", "string", "\u00e9"),
    ("combining letter is another text", "string", "e\u0301"),
    ("beyond the basic plane", "string", "\U0001f9ca"),
    ("sixteen bytes", "string", "0123456789abcdef"),
    ("seventeen bytes", "string", "0123456789abcdefg"),
    ("one block less one", "string", "x" * 55),
    ("one block", "string", "x" * 56),
    ("two blocks", "string", "x" * 120),
    ("struct", _STRUCT, {"B": 1, "a": "x"}),
    ("struct with a null", _STRUCT, {"B": None, "a": ""}),
    ("list", _LIST, ["a", None, ""]),
    ("empty list", _LIST, []),
    ("list of one null", _LIST, [None]),
    ("map in any order", _MAP, [["b", 1], ["a", None]]),
    ("empty map", _MAP, []),
]  # fmt: skip

FIELDS = [
    {"id": 1, "name": "id", "type": "long", "required": True},
    {"id": 2, "name": "Name", "type": "string", "required": False},
    {"id": 3, "name": "amount", "type": "decimal(10, 2)", "required": False},
    {"id": 4, "name": "at", "type": "timestamptz", "required": False},
]
ROWS = [
    {"id": 1, "Name": "Zoë", "amount": "1.50", "at": "2024-02-29T12:34:56.789012+00:00"},
    {"id": 2, "Name": None, "amount": None, "at": None},
    {"id": 3, "Name": "", "amount": "-0.01", "at": "1970-01-01T00:00:00+00:00"},
    {"id": 3, "Name": "", "amount": "-0.01", "at": "1970-01-01T00:00:00+00:00"},
    {"id": 4, "Name": "longer than sixteen bytes", "amount": "0.00", "at": "1969-12-31T23:59:59.999999+00:00"},
]


def parse(value: Any, kind: Any) -> Any:
    """Turn a vector's JSON value into Python's value of its type."""
    if value is None or isinstance(kind, dict):
        return _parse_nested(value, kind) if value is not None else None
    if kind.startswith("decimal"):
        return Decimal(value)
    if kind.startswith("fixed") or kind == "binary":
        return bytes.fromhex(value)
    parsers = {
        "boolean": lambda text: text == "true",
        "float": float,
        "double": float,
        "date": dt.date.fromisoformat,
        "time": dt.time.fromisoformat,
        "timestamp": dt.datetime.fromisoformat,
        "timestamptz": dt.datetime.fromisoformat,
        "uuid": lambda text: uuid.UUID(text).bytes,
    }
    return parsers.get(kind, lambda same: same)(value)


def _parse_nested(value: Any, kind: dict[str, Any]) -> Any:
    if kind["type"] == "struct":
        return {field["name"]: parse(value[field["name"]], field["type"]) for field in kind["fields"]}
    if kind["type"] == "list":
        return [parse(item, kind["element"]) for item in value]
    return [(parse(key, kind["key"]), parse(item, kind["value"])) for key, item in value]


def computed() -> dict[str, Any]:
    """What the file holds."""
    rows = [{field["name"]: parse(row[field["name"]], field["type"]) for field in FIELDS} for row in ROWS]
    return {
        "encoding": "icebridge-1",
        "values": [_vector(*item) for item in VALUES],
        "table": {
            "fields": FIELDS,
            "rows": ROWS,
            "row_encodings": [reference.row_bytes(row, FIELDS).hex() for row in rows],
            "fingerprint": reference.fingerprint(rows, FIELDS, buckets=4),
        },
    }


def _vector(name: str, kind: Any, given: Any) -> dict[str, Any]:
    value = parse(given, kind)
    vector = {"name": name, "type": kind, "value": given, "slot": reference.slot(value, kind).hex()}
    if value is None:
        return {**vector, "encoded": None, "crc32": None, "md5": None}
    content = reference.encode(value, kind)
    return {
        **vector,
        "encoded": content.hex(),
        "crc32": zlib.crc32(content),
        "md5": hashlib.md5(content).hexdigest(),
    }


if __name__ == "__main__":
    assert math.copysign(1, float("-0.0")) == -1
    PATH.write_text(json.dumps(computed(), indent=1, ensure_ascii=True) + "\n")

"""When two events of one table certainly touch different rows."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from uuid import UUID

from icebridge_provider.model.bridge import BridgeEvent, TargetTable

KeyValue = int | str
KeyValues = Mapping[str, KeyValue]
_INTEGERS = re.compile(r"(tiny|small|big)?int(eger)?[248]?|(small|big)?serial", re.IGNORECASE)
_TEXTS = re.compile(r"(n?(var)?char|character( varying)?|n?text|string|sysname)(\s*\(.*\))?", re.IGNORECASE)
_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")
_UUIDS = re.compile(r"uuid|uniqueidentifier", re.IGNORECASE)


def key_values(event: BridgeEvent, table: TargetTable | None) -> KeyValues:
    """Return the values, made comparable, by which an event keeps to rows of its own: key column → value.

    Only columns that are part of the event's keys and of *every* key of the table count: rows that differ in them
    cannot collide in any unique key either. Values of types whose texts have many spellings (dates, floats) do not.
    """
    if table is None or not table.keys:
        return {}
    found = {}
    keys = {_name(table, key) for key in event.primary_keys}
    for given, text in event.filter_conditions.items():
        name = _name(table, given)
        if name in keys and all(name in key for key in table.keys):
            value = _comparable(text, table, name)
            if value is not None:
                found[name] = value
    return found


def apart(one: KeyValue, other: KeyValue) -> bool:
    """Say whether two comparable values stay different under any collation."""
    return type(one) is type(other) and one != other


def _name(table: TargetTable, given: str) -> str:
    column = table.column(given)
    return column.name if column else given


def _comparable(text: str, table: TargetTable, name: str) -> KeyValue | None:
    column = table.column(name)
    kind = column.type.strip() if column else ""
    try:
        if _INTEGERS.fullmatch(kind):
            return int(text)
        if _UUIDS.fullmatch(kind):
            return UUID(text).hex
    except ValueError:
        return None
    return _folded(text) if _TEXTS.fullmatch(kind) else None


def _folded(text: str) -> str | None:
    """What is left where case, accents, width, punctuation, blanks and leading zeros do not count; None beyond ASCII.

    Beyond ASCII collations differ in too much (expansions, ignored letters).
    """
    bare = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char)).casefold()
    return _ZEROS.sub("", "".join(filter(str.isalnum, bare))) if bare.isascii() else None

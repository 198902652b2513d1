"""Which Snowflake type keeps every value of a Databricks type, and which existing type may take its place.

Types: https://docs.databricks.com/sql/language-manual/sql-ref-datatypes and
https://docs.snowflake.com/sql-reference/intro-summary-data-types.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from icebridge_provider.model.snowflake import Carried

LONGEST_TEXT = 16_777_216  # characters of VARCHAR when no length is given
LONGEST_BINARY = 8_388_608  # bytes of BINARY when no length is given
MOST_DIGITS = 38
MICROSECONDS = 6
_INTEGERS = {
    **dict.fromkeys(("tinyint", "byte"), 3), **dict.fromkeys(("smallint", "short"), 5),
    **dict.fromkeys(("int", "integer"), 10), **dict.fromkeys(("bigint", "long"), 19),
}  # fmt: skip
_DECLARED = re.compile(
    r"\s*([a-z_]+)\s*(?:\(\s*(\d{1,10})\s*(?:,\s*(\d{1,2})\s*)?\))?\s*(?:collate\s+\w+)?\s*", re.IGNORECASE
)
_NESTED = re.compile(r"\s*(array|map|struct)\s*<.*>\s*", re.IGNORECASE | re.DOTALL)
_TARGET = re.compile(
    r"\s*([A-Z_]+[0-9]?(?: [A-Z]+)*)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?.*", re.IGNORECASE | re.DOTALL
)
_NUMBERS = {"NUMBER", "DECIMAL", "NUMERIC", "DEC", "INT", "INTEGER", "BIGINT", "SMALLINT", "TINYINT", "BYTEINT"}
_FLOATS = {"FLOAT", "FLOAT4", "FLOAT8", "DOUBLE", "DOUBLE PRECISION", "REAL"}
_TEXTS = {"VARCHAR", "STRING", "TEXT", "NVARCHAR", "NVARCHAR2", "CHAR VARYING", "NCHAR VARYING"}
_LETTERS = {"CHAR", "CHARACTER", "NCHAR"}  # one character when no length is given
_BYTES = {"BINARY", "VARBINARY"}
_NTZ = {"TIMESTAMP_NTZ", "TIMESTAMPNTZ", "DATETIME", "TIMESTAMP WITHOUT TIME ZONE"}
_LTZ = {"TIMESTAMP_LTZ", "TIMESTAMPLTZ", "TIMESTAMP WITH LOCAL TIME ZONE"}
_TZ = {"TIMESTAMP_TZ", "TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE"}
_BARE = {"BOOLEAN", "DATE", "VARIANT", "ARRAY", "OBJECT"}
_REMEDY = {
    "interval": "CAST it to STRING in a view",
    "void": "give it a type in a view",
    "geography": "use ST_AsBinary in a view",
    "geometry": "use ST_AsBinary in a view",
    "object": "use to_json in a view",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A Snowflake type, understood. ``family`` is one word; ``size`` digits, characters, bytes or second's digits."""

    family: str
    size: int = 0
    scale: int = 0

    @property
    def sql(self) -> str:
        """The type as Snowflake writes it."""
        if self.family == "NUMBER":
            return f"NUMBER({self.size},{self.scale})"
        usual = {"VARCHAR": LONGEST_TEXT, "BINARY": LONGEST_BINARY}.get(self.family, 0)
        return self.family if self.size == usual else f"{self.family}({self.size})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a Databricks type goes: carried, staged, and the target type of a new column."""

    carried: Carried
    staged: Kind
    target: Kind
    note: str = ""


def way_of(declared: str) -> Way | str:
    """Return how a Databricks type is carried, or what to do where none carries it."""
    nested = _NESTED.fullmatch(declared)
    if nested:
        return _as_json({"array": "ARRAY"}.get(nested[1].lower(), "OBJECT"))
    found = _DECLARED.fullmatch(declared)
    if found is None:
        name = declared.strip().split("(")[0].split(" ")[0].lower()
        return _REMEDY.get(name, "CAST it to another type in a view")
    name, size, scale = found[1].lower(), int(found[2] or 0), int(found[3] or 0)
    if name == "variant":
        return _as_json("VARIANT")
    if name == "timestamp":
        instant = Kind(family="TIMESTAMP_LTZ", size=MICROSECONDS)
        return Way(carried=Carried.MICROS, staged=Kind(family="NUMBER", size=19), target=instant)
    plain = _plain(name, size, scale, sized=found[2] is not None)
    if plain is None:
        return _REMEDY.get(name, "CAST it to another type in a view")
    return Way(carried=Carried.PLAIN, staged=plain, target=plain)


def _plain(name: str, size: int, scale: int, *, sized: bool) -> Kind | None:
    if name in _INTEGERS:
        return Kind(family="NUMBER", size=_INTEGERS[name])
    if name in {"decimal", "dec", "numeric"}:
        digits = size if sized else 10
        fits = 1 <= digits <= MOST_DIGITS and scale <= min(digits, 37)
        return Kind(family="NUMBER", size=digits, scale=scale) if fits else None
    if name in {"char", "varchar", "character"}:
        return Kind(family="VARCHAR", size=min(size, LONGEST_TEXT)) if size else None
    known = {
        "boolean": Kind(family="BOOLEAN"),
        "float": Kind(family="FLOAT"),
        "real": Kind(family="FLOAT"),
        "double": Kind(family="FLOAT"),
        "string": Kind(family="VARCHAR", size=LONGEST_TEXT),
        "binary": Kind(family="BINARY", size=LONGEST_BINARY),
        "date": Kind(family="DATE"),
        "timestamp_ntz": Kind(family="TIMESTAMP_NTZ", size=MICROSECONDS),
    }
    return known.get(name)


def _as_json(family: str) -> Way:
    return Way(
        carried=Carried.JSON,
        staged=Kind(family="VARCHAR", size=LONGEST_TEXT),
        target=Kind(family=family if family == "ARRAY" else "VARIANT"),
        note="nested values become JSON: bytes as base64, dates and times as text, keys of maps as text",
    )


def kind_of(declared: str) -> Kind | None:
    """Return a Snowflake type as DESCRIBE TABLE or INFORMATION_SCHEMA writes it, None for one we do not know."""
    found = _TARGET.fullmatch(declared)
    if found is None:
        return None
    name = " ".join(found[1].upper().split())
    size = int(found[2]) if found[2] else None
    if name in _NUMBERS:
        return Kind(family="NUMBER", size=MOST_DIGITS if size is None else size, scale=int(found[3] or 0))
    if name in _TEXTS or name in _LETTERS:
        return Kind(family="VARCHAR", size=size or (1 if name in _LETTERS else LONGEST_TEXT))
    if name in _BYTES:
        return Kind(family="BINARY", size=size or LONGEST_BINARY)
    for family, names in (("TIMESTAMP_NTZ", _NTZ), ("TIMESTAMP_LTZ", _LTZ), ("TIMESTAMP_TZ", _TZ)):
        if name in names:
            return Kind(family=family, size=9 if size is None else size)
    if name in _FLOATS:
        return Kind(family="FLOAT")
    structured = "(" in declared  # ARRAY(NUMBER(5,0)): values are checked against it, JSON does not fit as it is
    return Kind(family=name) if name in _BARE and not structured else None


def takes(target: Kind, way: Way, source: str) -> bool:
    """Say whether a column of type ``target`` keeps every value of ``way`` exactly, as it is."""
    wanted = way.target
    if way.carried is Carried.JSON:
        return target.family == "VARIANT" or target.family == _container(source)
    if target.family != wanted.family:
        return _crosses(target, wanted)
    if target.family == "NUMBER":
        whole = target.size - target.scale
        return target.scale >= wanted.scale and whole >= wanted.size - wanted.scale
    return target.size >= wanted.size


def widened(target: Kind, way: Way) -> Kind | None:
    """Return the type that ALTER COLUMN can make of ``target`` so that it takes ``way``; None where it cannot.

    Snowflake makes a NUMBER longer at the same scale, and a VARCHAR longer; nothing else (ALTER TABLE … ALTER COLUMN).
    """
    wanted = way.target
    if way.carried is Carried.JSON or target.family != wanted.family:
        return None
    if target.family == "NUMBER" and target.scale >= wanted.scale:
        digits = max(target.size, wanted.size - wanted.scale + target.scale)
        return Kind(family="NUMBER", size=digits, scale=target.scale) if digits <= MOST_DIGITS else None
    if target.family == "VARCHAR":
        return Kind(family="VARCHAR", size=max(target.size, wanted.size))
    return None


def _crosses(target: Kind, wanted: Kind) -> bool:
    """Whole numbers of up to 15 digits are exact in a FLOAT; an instant keeps its place in a TIMESTAMP_TZ."""
    if target.family == "FLOAT" and wanted.family == "NUMBER":
        return wanted.scale == 0 and wanted.size <= 15
    return target.family == "TIMESTAMP_TZ" and wanted.family == "TIMESTAMP_LTZ" and target.size >= wanted.size


def _container(source: str) -> str:
    found = _NESTED.fullmatch(source)
    return {"array": "ARRAY", "map": "OBJECT", "struct": "OBJECT"}[found[1].lower()] if found else "VARIANT"

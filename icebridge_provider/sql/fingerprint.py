"""The fingerprint of docs/fingerprint.md as one Databricks statement: readers' own engine adds up what readers get.

Every expression is exact and the same in every session time zone: no float arithmetic rounds, no cast depends on how
an engine shows a value. A value is BINARY, NULL where it is null; the row is the slots of all columns, concatenated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from icebridge_provider.sql.identifiers import quoted

LIMBS = (1, 9, 17, 25)  # where the four 32-bit parts of an MD5 begin, in hexadecimal digits
SUMS = 7  # columns of the result per column of the table: cells, CRC sum and xor, four limbs
FIXED = 8  # columns of the result before those: bucket, rows, four limbs, CRC sum and xor
_NULL = "X'FFFFFFFF'"
_NAN = 0x7FF8000000000000
_INFINITY = 0x7FF0000000000000
_HIDDEN_BIT = 2**52
_LEAST_NORMAL = repr(2.0**-1022)
_LEAST_LONG = f"CAST('{-(2**63)}' AS BIGINT)"
_FAR = tuple(2.0 ** (256 * step) for step in range(-4, 4))
_NEAR = tuple(2.0 ** (32 * step) for step in range(8))


class Shape(Protocol):
    """A column or nested field: what ``engines.fingerprint.schema.Field`` is."""

    @property
    def name(self) -> str:
        """Name as the catalog spells it."""

    @property
    def type(self) -> str:
        """The Iceberg type as the specification spells it."""

    @property
    def kind(self) -> str:
        """The encoding, such as ``integer``, ``real``, ``decimal(2)``, ``text`` or ``list``."""

    @property
    def children(self) -> Sequence[Shape]:
        """Fields of a struct, the element, or key and value, in canonical order."""

    @property
    def is_word(self) -> bool:
        """Whether every value is eight bytes long."""


def unsayable(columns: Sequence[Shape]) -> str:
    """Return why Databricks SQL cannot compute the fingerprint of these columns; empty when it can."""
    for column in columns:
        found = _foreign_type(column)
        if found:
            return f"column {column.name} has the type {found}, which Databricks SQL has not"
    twins = _twins(columns)
    return f"two columns are named {twins}, and Databricks SQL does not tell them apart" if twins else ""


def _foreign_type(shape: Shape) -> str:
    if shape.type in {"time", "uuid"} or shape.type.startswith("fixed"):
        return shape.type
    return next((found for child in shape.children if (found := _foreign_type(child))), "")


def _twins(columns: Sequence[Shape]) -> str:
    """Return a name that several fields of one level share when letters' case does not count."""
    seen: set[str] = set()
    for column in columns:
        if column.name.lower() in seen:
            return column.name
        seen.add(column.name.lower())
    return next((found for column in columns if (found := _twins(column.children))), "")


def fingerprint(table: Sequence[str], columns: Sequence[Shape], buckets: int) -> str:
    """Add up the rows the caller sees, a row of sums for every bucket that has rows.

    Columns of the result: bucket, rows, limbs of ``sum128`` (four), ``crc_sum``, ``crc_xor``, then for every column
    the number of its cells, ``crc_sum``, ``crc_xor`` and four limbs. Sums stay within BIGINT up to 2³¹ rows a bucket;
    beyond, the engine says ARITHMETIC_OVERFLOW.

    :param table: parts of the name.
    :param columns: in canonical order (docs/fingerprint.md, section 3).
    :param buckets: a power of two up to 65,536.
    """
    numbers = range(len(columns))
    values = ", ".join(f"{value(column, quoted('_t', column.name))} AS v{n}" for n, column in enumerate(columns))
    hashes = "".join(f", md5(v{n}) AS h{n}" for n in numbers)
    slots = ", ".join(_slot(column.is_word, n) for n, column in enumerate(columns))
    sums = ", ".join([*_limbs("h"), "sum(c)", "bit_xor(c)", *(text for n in numbers for text in _column_sums(n))])
    bucket = f"CAST(conv(substr(h, 29, 4), 16, 10) AS BIGINT) % {int(buckets)}"
    return (
        f"WITH cells AS (SELECT {values} FROM {quoted(*table)} AS `_t`),"  # noqa: S608 - every name is quoted
        f" hashed AS (SELECT *{hashes} FROM cells),"
        f" slots AS (SELECT *, concat({slots}) AS r FROM hashed),"
        " digests AS (SELECT *, md5(r) AS h, crc32(r) AS c FROM slots)"
        f" SELECT {bucket} AS bucket, count(*), {sums} FROM digests GROUP BY 1"
    )


def _limbs(digest: str) -> Iterable[str]:
    return (f"sum(CAST(conv(substr({digest}, {start}, 8), 16, 10) AS BIGINT))" for start in LIMBS)


def _column_sums(number: int) -> Iterable[str]:
    crc = f"crc32(v{number})"
    return (f"count(v{number})", f"sum({crc})", f"bit_xor({crc})", *_limbs(f"h{number}"))


def _slot(is_word: bool, number: int) -> str:
    """Section 2: the cell at a fixed width."""
    cell = f"v{number}"
    if is_word:
        return f"coalesce(concat(X'00000008', {cell}), X'FFFFFFFF{'00' * 8}')"
    short = f"CASE WHEN octet_length({cell}) <= 16 THEN rpad({cell}, 16, X'00') ELSE unhex(h{number}) END"
    return f"coalesce(concat({_length(cell)}, {short}), X'FFFFFFFF{'00' * 16}')"


# Values: section 1


def value(shape: Shape, x: str, depth: int = 0) -> str:
    """Return an expression for the bytes of a value.

    :param x: the value as SQL, cheap to repeat.
    :param depth: how many variables of enclosing lambdas are taken.
    """
    if shape.is_word:
        return _word(_number(shape.kind, x, depth))
    if shape.kind == "struct":
        return _struct(shape, x, depth)
    if shape.kind == "list":
        return _list(shape.children[0], x, depth)
    if shape.kind == "map":
        return _map(shape.children[0], shape.children[1], x, depth)
    return f"CAST({unscaled_digits(x)} AS BINARY)" if shape.kind.startswith("wide") else f"CAST({x} AS BINARY)"


def _number(kind: str, x: str, depth: int) -> str:
    if kind.startswith("decimal"):
        return _unscaled(x, int(kind[len("decimal(") : -1]))
    numbers: dict[str, Callable[[], str]] = {
        "boolean": lambda: f"CAST({x} AS BIGINT)",
        "integer": lambda: f"CAST({x} AS BIGINT)",
        "date": lambda: f"CAST(unix_date({x}) AS BIGINT)",
        "timestamptz": lambda: f"unix_micros({x})",
        "timestamp": lambda: micros(x),
        "real": lambda: _bits(x, depth),
    }
    return numbers[kind]()


def _word(number: str) -> str:
    return f"unhex(lpad(hex({number}), 16, '0'))"


def _length(binary: str) -> str:
    return f"unhex(lpad(hex(octet_length({binary})), 8, '0'))"


def micros(x: str) -> str:
    """Microseconds of a TIMESTAMP_NTZ from its own fields: any cast to TIMESTAMP would ask the session's zone."""
    return (
        f"(CAST(unix_date(CAST({x} AS DATE)) AS BIGINT) * 86400000000 + CAST(hour({x}) AS BIGINT) * 3600000000"
        f" + CAST(minute({x}) AS BIGINT) * 60000000 + CAST(extract(SECOND FROM {x}) * 1000000 AS BIGINT))"
    )


def _unscaled(x: str, scale: int) -> str:
    """Multiply exactly: at most 18 and 19 digits make a DECIMAL within 38."""
    return f"CAST({x} * CAST('{10**scale}' AS DECIMAL({scale + 1}, 0)) AS BIGINT)" if scale else f"CAST({x} AS BIGINT)"


def unscaled_digits(x: str) -> str:
    """Digits of a wide decimal's text without point, exponent and leading zeros: all 38 are significant.

    The sign is read from the text too: a comparison with 0 rounds the smallest of 38 decimals away.
    """
    text = f"CAST({x} AS STRING)"
    digits = f"replace(replace(split_part(upper({text}), 'E', 1), '.', ''), '-', '')"
    plain = f"coalesce(nullif(trim(LEADING '0' FROM {digits}), ''), '0')"
    return f"CASE WHEN {x} IS NULL THEN NULL WHEN startswith({text}, '-') THEN concat('-', {plain}) ELSE {plain} END"


def _bits(x: str, depth: int) -> str:
    """Bits of IEEE 754 binary64, for which SQL has no function: exponent and fraction by exact scaling."""
    d = f"CAST({x} AS DOUBLE)"
    size = f"abs({d})"
    exponent = f"least(1023, CAST(floor(log2({size})) AS INT))"
    subnormal = f"CAST({size} * {2.0**537!r}D * {2.0**537!r}D AS BIGINT)"
    magnitude = f"CASE WHEN {size} < {_LEAST_NORMAL}D THEN {subnormal} ELSE {_normal(size, exponent, depth)} END"
    return (
        f"CASE WHEN {x} IS NULL THEN NULL WHEN isnan({d}) THEN {_NAN}"
        f" WHEN {d} = 0 THEN CAST(0 AS BIGINT)"
        f" WHEN {size} = CAST('Infinity' AS DOUBLE) THEN {_INFINITY} + {_sign(d)}"
        f" ELSE {magnitude} + {_sign(d)} END"
    )


def _sign(d: str) -> str:
    return f"CASE WHEN {d} < 0 THEN {_LEAST_LONG} ELSE CAST(0 AS BIGINT) END"


def _normal(size: str, exponent: str, depth: int) -> str:
    """Divide by the power of two, in three exact steps; ``log2`` may be one off, then the fraction tells."""
    e, m = f"_e{depth}", f"_m{depth}"
    far = f"element_at({_doubles(_FAR)}, shiftright({e}, 8) + 5)"
    near = f"element_at({_doubles(_NEAR)}, (shiftright({e}, 5) & 7) + 1)"
    step = f"CAST(shiftleft(CAST(1 AS BIGINT), {e} & 31) AS DOUBLE)"
    scaled = f"{size} / {far} / {near} / {step}"
    pair = f"transform(array({exponent}), {e} -> named_struct('e', CAST({e} AS BIGINT), 'm', {scaled}))"
    joined = (
        f"CASE WHEN {m}.m >= 2 THEN {_joined(f'{m}.e + 1', f'{m}.m / 2')}"
        f" WHEN {m}.m < 1 THEN {_joined(f'{m}.e - 1', f'{m}.m * 2')} ELSE {_joined(f'{m}.e', f'{m}.m')} END"
    )
    return f"element_at(transform({pair}, {m} -> {joined}), 1)"


def _joined(exponent: str, fraction: str) -> str:
    return f"({exponent} + 1022) * {_HIDDEN_BIT} + CAST({fraction} * {float(_HIDDEN_BIT)!r}D AS BIGINT)"


def _doubles(values: Sequence[float]) -> str:
    return f"array({', '.join(f'{number!r}D' for number in values)})"


# Nested values


def _cell(shape: Shape, x: str, depth: int) -> str:
    """A cell inside a nested value: length and bytes; a null is its length alone."""
    found = value(shape, x, depth)
    if shape.is_word:
        return f"coalesce(concat(X'00000008', {found}), {_NULL})"
    if not shape.children and not shape.kind.startswith("wide"):
        return f"coalesce(concat({_length(found)}, {found}), {_NULL})"
    once = f"_b{depth}"  # long expressions are written once
    lengthened = f"coalesce(concat({_length(once)}, {once}), {_NULL})"
    return f"element_at(transform(array({found}), {once} -> {lengthened}), 1)"


def _struct(shape: Shape, x: str, depth: int) -> str:
    cells = ", ".join(_cell(child, f"{x}.{quoted(child.name)}", depth + 1) for child in shape.children)
    return f"CASE WHEN {x} IS NULL THEN NULL ELSE concat({cells}) END"


def _list(element: Shape, x: str, depth: int) -> str:
    item = f"_i{depth}"
    cells = f"transform({x}, {item} -> hex({_cell(element, item, depth + 1)}))"
    return f"concat({_count(f'array_size({x})')}, unhex(array_join({cells}, '')))"


def _map(key: Shape, held: Shape, x: str, depth: int) -> str:
    """Entries by the bytes of the key's value; hexadecimal digits sort as the bytes do."""
    entry, sorted_entry = f"_p{depth}", f"_s{depth}"
    name = f"hex({value(key, f'{entry}.key', depth + 1)})"
    cells = f"hex({_cell(key, f'{entry}.key', depth + 1)}), hex({_cell(held, f'{entry}.value', depth + 1)})"
    pairs = f"transform(map_entries({x}), {entry} -> named_struct('k', {name}, 'c', concat({cells})))"
    ordered = f"transform(array_sort({pairs}), {sorted_entry} -> {sorted_entry}.c)"
    return f"concat({_count(f'array_size(map_entries({x}))')}, unhex(array_join({ordered}, '')))"


def _count(number: str) -> str:
    return f"unhex(lpad(hex({number}), 8, '0'))"

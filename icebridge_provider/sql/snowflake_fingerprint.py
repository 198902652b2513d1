"""Sums over rows that Databricks and Snowflake compute alike: of the files of an export, and of the staging table.

A value becomes a text, the text an MD5; a row is the MD5 of its values' MD5s. What is added up are halves of MD5s as
whole numbers, so the order of rows does not count and no sum rounds. The columns of the result are: rows, upper and
lower 64 bits of the rows' MD5s, then for every column the cells that are not NULL and the lower 64 bits of their MD5s.

FLOAT and DOUBLE count by sign, whole part below a thousand million, and 20 bits of the fraction: engines print them
differently, and these bits are exact in each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from icebridge_provider.model.snowflake import Carried, CarriedColumn
from icebridge_provider.sql.fingerprint import micros, unscaled_digits
from icebridge_provider.sql.identifiers import quoted

FIXED = 3  # columns of the result before those of the table's columns
PER_COLUMN = 2
_FRACTION = 2**20
_MOST = 1_000_000_000


def of_files(relation: str, columns: Sequence[CarriedColumn]) -> str:
    """Add up the files' rows, on Databricks.

    :param relation: of ``sql.snowflake_export.files``.
    """
    cells = ", ".join(
        f"md5(CAST({_databricks(item, quoted(item.file_name))} AS BINARY)) AS h{n}" for n, item in enumerate(columns)
    )
    return _statement(relation, cells, len(columns), "concat", _spark_half)


def of_staging(staging: Sequence[str], columns: Sequence[CarriedColumn]) -> str:
    """Add up the staging table's rows, on Snowflake."""
    cells = ", ".join(
        f"MD5({_snowflake(item, quoted(item.file_name, dialect='snowflake'))}) AS h{n}"
        for n, item in enumerate(columns)
    )
    return _statement(quoted(*staging, dialect="snowflake"), cells, len(columns), "CONCAT", _snowflake_half)


def sums(row: Sequence[Any]) -> tuple[str, ...]:
    """Return the result's one row as texts of whole numbers; sums over no rows are NULL and count as 0."""
    return tuple(str(int(value or 0)) for value in row)


def _statement(relation: str, cells: str, count: int, concat: str, half: Any) -> str:
    row = ", ".join(f"coalesce(h{n}, '-')" for n in range(count))
    listed = ", ".join(_sums(count, half))
    return (
        f"WITH cells AS (SELECT {cells} FROM {relation}),"  # noqa: S608 - quoted
        f" hashed AS (SELECT cells.*, {concat}({row}, '.') AS r FROM cells)"
        f" SELECT count(*), {listed} FROM hashed"
    )


def _sums(count: int, half: Any) -> Iterable[str]:
    yield f"sum({half('r', upper=True)})"
    yield f"sum({half('r', upper=False)})"
    for n in range(count):
        yield f"count(h{n})"
        yield f"sum({half(f'h{n}', upper=False)})"


def _spark_half(text: str, *, upper: bool) -> str:
    return f"CAST(conv(substr(md5(CAST({text} AS BINARY)), {1 if upper else 17}, 16), 16, 10) AS DECIMAL(20, 0))"


def _snowflake_half(text: str, *, upper: bool) -> str:
    return f"MD5_NUMBER_{'UPPER' if upper else 'LOWER'}64({text})"


def _databricks(column: CarriedColumn, x: str) -> str:
    family, scale = _shape(column)
    if family == "VARCHAR":
        return x
    return {
        "NUMBER": unscaled_digits(x) if scale else f"CAST({x} AS STRING)",
        "BOOLEAN": f"CAST({x} AS STRING)",
        "BINARY": f"hex({x})",
        "DATE": f"CAST(unix_date({x}) AS STRING)",
        "TIMESTAMP_NTZ": f"CAST({micros(x)} AS STRING)",
        "FLOAT": _float(f"CAST({x} AS DOUBLE)", "CAST({} AS STRING)", "BIGINT"),
    }[family]


def _snowflake(column: CarriedColumn, x: str) -> str:
    family, scale = _shape(column)
    if family == "VARCHAR":
        return x
    return {
        "NUMBER": _digits(x, scale) if scale else f"TO_VARCHAR({x})",
        "BOOLEAN": f"TO_VARCHAR({x})",
        "BINARY": f"HEX_ENCODE({x})",
        "DATE": f"TO_VARCHAR(DATEDIFF('day', CAST('1970-01-01' AS DATE), {x}))",
        "TIMESTAMP_NTZ": f"TO_VARCHAR(DATE_PART(EPOCH_MICROSECOND, {x}))",
        "FLOAT": _float(x, "TO_VARCHAR({})", "NUMBER(38, 0)"),
    }[family]


def _shape(column: CarriedColumn) -> tuple[str, int]:
    """Return the staged type's word, and its digits after the point."""
    family, _, rest = column.staged_type.partition("(")
    is_exact = family == "NUMBER" and column.carried is Carried.PLAIN
    return family, int(rest.rstrip(")").split(",")[1]) if is_exact else 0


def _digits(x: str, scale: int) -> str:
    """Digits of a number without its point and leading zeros, as :func:`fingerprint.unscaled_digits` has them.

    Zeros at the end are written anew, whether or not the engine prints them.
    """
    text = f"TO_VARCHAR(ABS({x}))"
    joined = f"CONCAT(SPLIT_PART({text}, '.', 1), RPAD(SPLIT_PART({text}, '.', 2), {scale}, '0'))"
    digits = f"COALESCE(NULLIF(REGEXP_REPLACE({joined}, '^0+', ''), ''), '0')"
    return f"CASE WHEN {x} IS NULL THEN NULL WHEN {x} < 0 THEN CONCAT('-', {digits}) ELSE {digits} END"


def _float(x: str, shown: str, whole: str) -> str:
    """Sign, whole part and fraction; floor and a power of two are exact in every engine."""
    size = f"abs({x})"
    sign = f"CASE WHEN {x} < 0 THEN '-' ELSE '' END"
    before = shown.format(f"CAST(floor({size}) AS {whole})")
    after = shown.format(f"CAST(floor(({size} - floor({size})) * {_FRACTION}) AS {whole})")
    nan = "CAST('NaN' AS DOUBLE)"
    return (
        f"CASE WHEN {x} IS NULL THEN NULL WHEN {x} = {nan} THEN 'nan'"
        f" WHEN {size} >= {_MOST} THEN concat({sign}, 'big') ELSE concat({sign}, {before}, '.', {after}) END"
    )

"""Both engines' statements give the sums that their description gives; one changed cell changes them.

DuckDB runs both here, read as Snowflake's and as Databricks' SQL; functions it lacks are written as macros.
"""

# ruff: noqa: DTZ001 - TIMESTAMP_NTZ has no zone
from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from functools import cache
from typing import Any

import duckdb
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from icebridge_provider.model.snowflake import Carried, CarriedColumn
from icebridge_provider.sql import snowflake_fingerprint as sums
from tests.support.snowflake_sums import sums_of

TYPES = {
    "n": ("NUMBER(19,0)", "BIGINT"), "d": ("NUMBER(10,2)", "DECIMAL(10,2)"), "w": ("NUMBER(38,37)", "DECIMAL(38,37)"),
    "t": ("VARCHAR", "VARCHAR"), "b": ("BINARY", "BLOB"), "o": ("BOOLEAN", "BOOLEAN"), "f": ("FLOAT", "DOUBLE"),
    "y": ("DATE", "DATE"), "z": ("TIMESTAMP_NTZ(6)", "TIMESTAMP"), "m": ("NUMBER(19,0)", "BIGINT"),
}  # fmt: skip
COLUMNS = [
    CarriedColumn(source=name, source_type="", file_name=name, staged_type=kind, target=name, target_type=kind,
                  carried=Carried.MICROS if name == "m" else Carried.PLAIN)
    for name, (kind, _) in TYPES.items()
]  # fmt: skip
SCALES = dict.fromkeys(TYPES, 0) | {"d": 2, "w": 37}
ODD = [
    {},
    {"n": -(2**63), "d": Decimal("-0.05"), "w": Decimal("1E-37"), "t": "", "b": b"", "o": False, "f": -0.0,
     "y": dt.date(1, 1, 1), "z": dt.datetime(1969, 12, 31, 23, 59, 59, 999999), "m": -1},
    {"n": 2**63 - 1, "d": Decimal("10.10"), "w": Decimal("-9.9"), "t": "ü表🧊'", "b": b"\x00\xff", "o": True,
     "f": math.nan, "y": dt.date(9999, 12, 31), "z": dt.datetime(2262, 1, 1, 1, 2, 3, 4), "m": 0},
    {"n": 0, "d": Decimal("0.00"), "w": Decimal(0), "t": "null", "b": b"a", "o": None, "f": 1e300, "m": 5},
    {"f": -1.5, "t": "-"}, {"f": 999999999.9999999}, {"f": 5e-324}, {"f": -math.inf}, {"f": 1e9}, {"f": -1e-20},
]  # fmt: skip


def expected(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    return sums_of(rows, SCALES)


@cache
def _for_duckdb(dialect: str) -> str:
    text = sums.of_staging(("S", "T"), COLUMNS) if dialect == "snowflake" else sums.of_files("`S`.`T`", COLUMNS)
    tree = sqlglot.parse_one(text, dialect=dialect)

    def change(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Cast) and node.to.is_type("binary", "varbinary"):
            return exp.Anonymous(this="encode", expressions=[node.this.transform(change)])
        if isinstance(node, exp.Extract) and str(node.this).upper() == "SECOND":
            return sqlglot.parse_one(
                f"(extract(microseconds FROM {node.expression.sql('duckdb')}) / 1000000)", dialect="duckdb"
            )
        return node

    return tree.transform(change).sql(dialect="duckdb")


@pytest.fixture(scope="module")
def duck() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    whole = "CAST(('0x' || {}) AS UBIGINT)::DECIMAL(38,0)"
    connection.execute(f"CREATE MACRO conv(x, a, b) AS {whole.format('x')}")
    connection.execute(f"CREATE MACRO m_d5_number_upper64(x) AS {whole.format('substr(md5(x), 1, 16)')}")
    connection.execute(f"CREATE MACRO m_d5_number_lower64(x) AS {whole.format('substr(md5(x), 17, 16)')}")
    listed = ", ".join(f'"{name}" {kind}' for name, (_, kind) in TYPES.items())
    connection.execute(f'CREATE SCHEMA "S"; CREATE TABLE "S"."T" ({listed})')
    return connection


def counted(duck: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]], dialect: str) -> tuple[str, ...]:
    duck.execute('DELETE FROM "S"."T"')
    places = ", ".join("?" for _ in TYPES)
    for row in rows:
        duck.execute(f'INSERT INTO "S"."T" VALUES ({places})', [row.get(name) for name in TYPES])
    (result,) = duck.execute(_for_duckdb(dialect)).fetchall()
    return sums.sums(result)


@pytest.mark.parametrize("dialect", ["snowflake", "databricks"])
def test_odd_values_give_the_sums_of_the_description(duck: duckdb.DuckDBPyConnection, dialect: str) -> None:
    assert counted(duck, [], dialect) == expected([])
    for row in ODD:
        assert counted(duck, [row], dialect) == expected([row]), row
    assert counted(duck, ODD, dialect) == expected(ODD)
    assert counted(duck, ODD[::-1], dialect) == expected(ODD), "the order of rows does not count"


values = st.fixed_dictionaries(
    {},
    optional={
        "n": st.integers(-(2**63), 2**63 - 1), "d": st.decimals(-99999999, 99999999, places=2),
        "t": st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8),
        "b": st.binary(max_size=4), "o": st.booleans(), "f": st.floats(allow_infinity=True, allow_nan=True),
        "y": st.dates(), "m": st.integers(-(2**62), 2**62),
        "z": st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)),
    },
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(values, max_size=5))
def test_both_engines_agree_with_the_description(duck: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]]) -> None:
    assert counted(duck, rows, "snowflake") == counted(duck, rows, "databricks") == expected(rows)


@pytest.mark.parametrize("name", [name for name in TYPES if name != "w"])
def test_one_changed_cell_changes_its_column_and_the_rows_and_nothing_else(
    duck: duckdb.DuckDBPyConnection, name: str
) -> None:
    before = counted(duck, ODD, "snowflake")
    changed = [dict(row) for row in ODD]
    changed[2][name], changed[1][name] = None, changed[2][name]
    after = counted(duck, changed, "snowflake")
    at = sums.FIXED + sums.PER_COLUMN * list(TYPES).index(name)
    differing = {number for number in range(len(before)) if before[number] != after[number]}
    assert differing == {1, 2, at, at + 1}


def test_cells_that_change_places_between_rows_are_seen(duck: duckdb.DuckDBPyConnection) -> None:
    swapped = [dict(row) for row in ODD]
    swapped[1]["n"], swapped[2]["n"] = swapped[2]["n"], swapped[1]["n"]
    before, after = counted(duck, ODD, "databricks"), counted(duck, swapped, "databricks")
    assert {number for number in range(len(before)) if before[number] != after[number]} == {1, 2}

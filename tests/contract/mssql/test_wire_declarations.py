"""Declarations that clients send as text, and the conversions between them and what comes on the wire."""

# ruff: noqa: DTZ001 - these moments have no zone on the server either
from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from typing import Any

import pytest

from tests.peers.mssql.convert import converted
from tests.peers.mssql.declare import insert_bulk, is_insert_bulk, parameters, type_of
from tests.peers.mssql.interface import MAX, DateTime2, DateTimeOffset, Parameter, SqlError, SqlType, Time
from tests.peers.mssql.rpc import bound


@pytest.mark.parametrize(("text", "expected"), [
    ("int", SqlType(name="int")),
    ("[sys].[nvarchar](50)", SqlType(name="nvarchar", length=50)),
    ("NVARCHAR(MAX)", SqlType(name="nvarchar", length=MAX)),
    ("varchar(10) COLLATE Latin1_General_100_BIN2",
     SqlType(name="varchar", length=10, collation="Latin1_General_100_BIN2")),
    ("decimal", SqlType(name="decimal", precision=18, scale=0)),
    ("numeric ( 38 , 10 )", SqlType(name="numeric", precision=38, scale=10)),
    ("datetime2", SqlType(name="datetime2", scale=7)),
    ("time(0)", SqlType(name="time", scale=0)),
    ("float(24)", SqlType(name="real")),
    ("double precision", SqlType(name="float")),
    ("char", SqlType(name="char", length=1)),
])  # fmt: skip
def test_types(text: str, expected: SqlType) -> None:
    assert type_of(text) == expected


def test_definitions_of_parameters() -> None:
    found = parameters("@p1 int,@p2 decimal(18,2) OUTPUT , @p3 AS nvarchar(max) out")
    assert [(one.name, one.type.name, one.output) for one in found] == [
        ("@p1", "int", False), ("@p2", "decimal", True), ("@p3", "nvarchar", True)]  # fmt: skip


def test_values_get_the_names_and_types_of_their_definitions() -> None:
    given = [Parameter(name="", type=SqlType(name="nvarchar", length=4), value="12"),
             Parameter(name="", type=SqlType(name="int"), value=7)]  # fmt: skip
    found = bound("@a int, @b decimal(9,2)", given)
    assert [(one.name, one.value, one.type.name) for one in found] == [
        ("@a", 12, "int"), ("@b", Decimal("7.00"), "decimal")]  # fmt: skip
    with pytest.raises(SqlError, match="'@c', which was not supplied"):
        bound("@a int, @b int, @c int", given)


def test_insert_bulk() -> None:
    columns = '([a, b] decimal(18,2), "c)" varchar(5) COLLATE Latin1_General_BIN)'
    text = f"INSERT BULK [my db].dbo.[t]]x] {columns} WITH (KEEP_NULLS, ROWS_PER_BATCH = 5, TABLOCK)"
    assert is_insert_bulk(text) and not is_insert_bulk("insert into bulk values (1)")
    found = insert_bulk(text)
    assert found.table == "[my db].dbo.[t]]x]"
    assert [(one.name, one.type.name) for one in found.columns] == [("a, b", "decimal"), ("c)", "varchar")]
    assert found.options == {"keep_nulls", "rows_per_batch", "tablock"}


MOMENT = datetime.datetime(2024, 2, 29, 12, 0, 0, 1)
TICKS = 12 * 36_000_000_000 + 10


@pytest.mark.parametrize(("value", "source", "target", "expected"), [
    (MOMENT, "datetime", SqlType(name="date"), datetime.date(2024, 2, 29)),
    (MOMENT, "datetime", SqlType(name="datetime2", scale=7), DateTime2(738944, TICKS)),
    (MOMENT, "datetime", SqlType(name="time", scale=3), Time(12 * 36_000_000_000)),
    (DateTime2(738944, 863_999_999_999), "datetime2", SqlType(name="datetime2", scale=0),
     DateTime2(738944, 863_999_999_999)),  # the same type: the engine rounds to a column's scale
    (DateTime2(738944, 863_999_999_999), "datetime2", SqlType(name="datetimeoffset", scale=0),
     DateTimeOffset(738945, 0, 0)),
    (1, "int", SqlType(name="decimal", precision=9, scale=2), Decimal("1.00")),
    (Decimal("1.005"), "decimal", SqlType(name="money"), Decimal("1.0050")),
    (0.1, "float", SqlType(name="decimal", precision=9, scale=1), Decimal("0.1")),
    (1, "int", SqlType(name="bit"), True),
    ("00112233-4455-6677-8899-AABBCCDDEEFF", "nvarchar", SqlType(name="uniqueidentifier"),
     uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")),
    ("a", "nvarchar", SqlType(name="varchar", length=5), "a"),
    (None, "nvarchar", SqlType(name="int"), None),
])  # fmt: skip
def test_conversions(value: Any, source: str, target: SqlType, expected: Any) -> None:
    found = converted(value, SqlType(name=source, scale=7), target)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(("value", "source", "target", "number"), [
    ("abc", "nvarchar", "int", 8114), (b"x", "varbinary", "date", 206), ("x", "nvarchar", "uniqueidentifier", 8114),
])  # fmt: skip
def test_values_that_do_not_convert(value: Any, source: str, target: str, number: int) -> None:
    with pytest.raises(SqlError) as caught:
        converted(value, SqlType(name=source), SqlType(name=target))
    assert caught.value.number == number

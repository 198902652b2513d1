"""Statements of the extraction: a person's SELECT is cut at its own tokens and never written anew."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.sql import extraction as sql


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT a FROM t -- c", "SELECT [icebridge].*\nFROM (\nSELECT a FROM t -- c\n) AS [icebridge]"),
        ("SELECT a FROM t ORDER BY a", "SELECT [icebridge].*\nFROM (\nSELECT a FROM t\n) AS [icebridge]"),
        ("SELECT TOP 5 a FROM t ORDER BY a",
         "SELECT [icebridge].*\nFROM (\nSELECT TOP 5 a FROM t\nORDER BY a\n) AS [icebridge]"),
        ("SELECT DISTINCT TOP (5) a FROM t ORDER BY a",
         "SELECT [icebridge].*\nFROM (\nSELECT DISTINCT TOP (5) a FROM t\nORDER BY a\n) AS [icebridge]"),
        ("SELECT a FROM t ORDER BY a OFFSET 3 ROWS",
         "SELECT [icebridge].*\nFROM (\nSELECT a FROM t\nORDER BY a OFFSET 3 ROWS\n) AS [icebridge]"),
        ("WITH x AS (SELECT ')' AS a), y AS (SELECT 1 AS b) SELECT a FROM x, y OPTION (MAXDOP 1)",
         "WITH x AS (SELECT ')' AS a), y AS (SELECT 1 AS b) SELECT [icebridge].*\nFROM (\nSELECT a FROM x, y\n"
         ") AS [icebridge]\nOPTION (MAXDOP 1)"),
        ("(SELECT 1 AS a) UNION ALL SELECT 2",
         "SELECT [icebridge].*\nFROM (\n(SELECT 1 AS a) UNION ALL SELECT 2\n) AS [icebridge]"),
        ("SELECT [order by] FROM t /* ORDER BY */ WHERE x = %(v)s AND y LIKE '%%'",
         "SELECT [icebridge].*\nFROM (\nSELECT [order by] FROM t /* ORDER BY */ WHERE x = %(v)s AND y LIKE '%%'\n"
         ") AS [icebridge]"),
    ],
)  # fmt: skip
def test_a_select_is_wrapped_letter_by_letter(statement: str, expected: str) -> None:
    assert sql.wrapped(statement, ["[icebridge].*"]) == expected
    assert sqlglot.parse_one(expected.replace("%(v)s", "1"), dialect="tsql") is not None


@pytest.mark.parametrize("statement", ["SELECT a FROM t FOR JSON PATH", "SELECT 'a", "WITH x AS (SELECT 1", ""])
def test_what_cannot_be_cut_is_refused(statement: str) -> None:
    with pytest.raises(ConfigurationError, match="IB-830"):
        sql.wrapped(statement, ["[icebridge].*"])


def test_ranges_take_every_row_once() -> None:
    assert (
        sql.within("k", first=True, last=False) == "([icebridge].[k] < %(icebridge_high)s OR [icebridge].[k] IS NULL)"
    )
    assert sql.within("k", first=False, last=False) == (
        "[icebridge].[k] >= %(icebridge_low)s AND [icebridge].[k] < %(icebridge_high)s"
    )
    assert sql.within("k", first=False, last=True) == "[icebridge].[k] >= %(icebridge_low)s"
    assert sql.within("k", first=True, last=True) == ""
    assert sql.bounds("SELECT k FROM t", "k").startswith("SELECT MIN([icebridge].[k]) AS [low], MAX([icebridge].[k])")


def test_columns_are_asked_for_in_the_servers_own_text() -> None:
    assert sql.as_text("t]%", "time") == "CONVERT(varchar(16), [icebridge].[t]]%%], 121) AS [t]]%%]"
    assert sql.as_text("d", "datetimeoffset") == "CONVERT(varchar(34), [icebridge].[d], 121) AS [d]"
    assert sql.as_text("n", "int") == "[icebridge].[n] AS [n]"
    assert sql.as_utf16("n") == "CONVERT(varbinary(max), CONVERT(nvarchar(max), [icebridge].[n])) AS [n]"


def test_values_change_their_places_and_nothing_else() -> None:
    statement = "SELECT 1 %% 2 WHERE a = %(x)s AND b = %(y)s AND c = %(x)s AND d LIKE '%%(z)s'"
    assert sql.in_style(statement, "?") == (
        "SELECT 1 % 2 WHERE a = ? AND b = ? AND c = ? AND d LIKE '%(z)s'", ["x", "y", "x"],
    )  # fmt: skip
    assert sql.in_style(statement, "@") == (
        "SELECT 1 % 2 WHERE a = @p0 AND b = @p1 AND c = @p0 AND d LIKE '%(z)s'", ["x", "y"],
    )  # fmt: skip


@given(st.text(alphabet="ab%(s)[]'x _", max_size=30))
def test_any_text_survives_its_doubled_percent_signs(text: str) -> None:
    assert sql.in_style(text.replace("%", "%%"), "?") == (text, [])


def test_variables_are_declared_by_their_values() -> None:
    day = dt.date(2024, 1, 1)
    time = dt.datetime.combine(day, dt.time())
    values = {"a": 1, "b": True, "c": "x", "d": Decimal("1.5"), "e": day, "f": time}
    assert sql.declared(values, list(values)) == (
        "@p0 bigint, @p1 bit, @p2 nvarchar(4000), @p3 decimal(38, 1), @p4 date, @p5 datetime2(7)"
    )
    assert sql.declared({"a": 2**63, "b": "x" * 2001, "c": Decimal("1E+3")}, ["a", "b", "c"]) == (
        "@p0 decimal(38, 0), @p1 nvarchar(max), @p2 decimal(38, 0)"
    )

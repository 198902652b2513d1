from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg2
import pyarrow as pa
import pytest

from icebridge_provider.engines.dbapi.database import DbApi, named, translated
from icebridge_provider.engines.dbapi.types import arrow_type, filter_value, reader_of, sqlite_value
from icebridge_provider.exceptions import ConfigurationError, TransientError


@pytest.mark.parametrize(
    ("declared", "dialect", "kind"),
    [
        ("INTEGER", "sqlite", pa.int64()),
        ("integer", "postgres", pa.int32()),
        ("smallint", "postgres", pa.int16()),
        ("REAL", "sqlite", pa.float64()),
        ("real", "postgres", pa.float32()),
        ("numeric(38,10)", "postgres", pa.decimal128(38, 10)),
        ("DECIMAL(5)", "sqlite", pa.decimal128(5, 0)),
        ("numeric", "postgres", pa.string()),
        ("character varying(10)", "postgres", pa.string()),
        ("NVARCHAR(10)", "sqlite", pa.string()),
        ("timestamp(3) without time zone", "postgres", pa.timestamp("us")),
        ("timestamp with time zone", "postgres", pa.timestamp("us", tz="UTC")),
        ("bytea", "postgres", pa.binary()),
        ("boolean", "postgres", pa.bool_()),
        ("uuid", "postgres", pa.string()),
        ("date", "sqlite", pa.date32()),
    ],
)
def test_a_declared_type_has_one_arrow_type(declared: str, dialect: str, kind: Any) -> None:
    assert arrow_type(declared, "s", "c", dialect) == kind


@pytest.mark.parametrize("declared", ["", "interval", "integer[]", "numeric(50,2)", "point", "user_defined", "money"])
def test_a_type_without_an_exact_counterpart_is_refused_by_its_column(declared: str) -> None:
    with pytest.raises(ConfigurationError, match=r"IB-858.*'c' of s"):
        arrow_type(declared, "s", "c", "postgres")


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("7", pa.int64(), 7),
        ("-0.10", pa.decimal128(5, 2), Decimal("-0.10")),
        ("x' OR 1", pa.string(), "x' OR 1"),
        ("true", pa.bool_(), True),
        ("0", pa.bool_(), False),
        ("1.5", pa.float64(), 1.5),
        ("2024-02-29", pa.date32(), date(2024, 2, 29)),
        ("2024-02-29T01:02:03.000004", pa.timestamp("us"), datetime(2024, 2, 29, 1, 2, 3, 4)),  # noqa: DTZ001
        ("2024-02-29T01:00:00+01:00", pa.timestamp("us", tz="UTC"), datetime(2024, 2, 29, tzinfo=UTC)),
    ],
)
def test_a_filter_is_read_as_its_columns_type(text: str, kind: Any, value: Any) -> None:
    assert filter_value(text, kind, "c") == value


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1.0", pa.int64()),
        ("", pa.int64()),
        ("NaN", pa.decimal128(5, 2)),
        ("abc", pa.decimal128(5, 2)),
        ("a\0b", pa.string()),
        ("\ud800", pa.string()),
        ("yes", pa.bool_()),
        ("2024-02-30", pa.date32()),
        ("2024-02-28T00:00:00+00:00", pa.timestamp("us")),
        ("2024-02-28T00:00:00", pa.timestamp("us", tz="UTC")),
        ("00", pa.binary()),
    ],
)
def test_a_filter_that_is_none_is_refused_by_its_column(text: str, kind: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"IB-847.*'c'"):
        filter_value(text, kind, "c")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1.5, pa.int64()),
        ("1", pa.int64()),
        (2**60 + 1, pa.float64()),
        (b"x", pa.string()),
        ("x", pa.binary()),
        (2, pa.bool_()),
        ("soon", pa.date32()),
        ({"a": 1}, pa.string()),
        ("1,5", pa.decimal128(5, 2)),
    ],
)
def test_a_value_that_is_not_of_its_type_is_refused(value: Any, kind: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        reader_of(kind)(value)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (Decimal("12.50"), 12.5),
        (Decimal("1E+3"), 1000),
        (Decimal(2**63 - 1), 2**63 - 1),
        (True, 1),
        (date(1, 1, 1), "0001-01-01"),
        (datetime(9999, 12, 31, 23, 59, 59, 999999), "9999-12-31 23:59:59.999999"),  # noqa: DTZ001
        ("text", "text"),
    ],
)
def test_sqlite_keeps_a_value_exactly(value: Any, kept: Any) -> None:
    assert sqlite_value(value) == kept


@pytest.mark.parametrize("value", [Decimal("0.1234567890123456"), Decimal(2**63) + Decimal("0.5")])
def test_a_number_that_sqlite_would_round_is_refused(value: Decimal) -> None:
    with pytest.raises(ValueError, match="round"):
        sqlite_value(value)


def _sqlite_error(code: int) -> Exception:
    error = sqlite3.OperationalError("what SQLite says\nand more")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "dialect", "passes"),
    [
        (_sqlite_error(sqlite3.SQLITE_BUSY), "sqlite", True),
        (_sqlite_error(sqlite3.SQLITE_ERROR), "sqlite", False),
        (psycopg2.OperationalError("server closed the connection"), "postgres", True),
        (psycopg2.InterfaceError("connection already closed"), "postgres", True),
        (psycopg2.IntegrityError("no code"), "postgres", False),
    ],
)
def test_only_what_may_pass_is_tried_again(error: Exception, dialect: str, passes: bool) -> None:
    found = translated(error, dialect)
    assert isinstance(found, TransientError if passes else ConfigurationError)
    assert "and more" not in str(found)


def test_errors_of_ours_and_of_python_stay_as_they_are() -> None:
    for error in (KeyError("x"), TransientError("IB-850", "x", remedy="y")):
        assert translated(error, "sqlite") is error


def test_a_database_that_cannot_be_opened_says_so_without_its_address() -> None:
    def connect() -> Any:
        raise psycopg2.OperationalError("password=hunter2 is wrong for host db.example")

    with pytest.raises(TransientError, match="IB-850") as refused:
        DbApi(connect, "postgres").query("SELECT 1")
    assert "hunter2" not in str(refused.value)


def test_a_name_has_so_many_parts() -> None:
    assert named("a.`b.c`", 2) == ["a", "b.c"]
    for text in ("a.b.c", "a.", ""):
        with pytest.raises(ConfigurationError, match="IB-856"):
            named(text, 2)

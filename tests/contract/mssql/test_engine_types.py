"""Every type, the edges of each: through literals, parameters, bulk load and columns."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from typing import Any

import pytest

from tests.peers.mssql.interface import (
    BulkOptions,
    DateTime2,
    DateTimeOffset,
    Parameter,
    SqlError,
    Time,
)
from tests.peers.mssql.translate.types import declared
from tests.support.mssql_engine import Client, client, world

__all__ = ["client", "world"]

D, DAY = Decimal, 864_000_000_000
EDGES: list[tuple[str, list[int], list[Any]]] = [
    ("bit", [], [True, False]),
    ("tinyint", [], [0, 255]),
    ("smallint", [], [-(2**15), 2**15 - 1]),
    ("int", [], [-(2**31), 2**31 - 1]),
    ("bigint", [], [-(2**63), 2**63 - 1]),
    ("decimal", [38, 0], [D("9" * 38), D("-" + "9" * 38)]),
    ("decimal", [38, 38], [D("0." + "9" * 38), D("-0." + "0" * 37 + "1")]),
    ("numeric", [5, 2], [D("999.99"), D("-0.01")]),
    ("money", [], [D("922337203685477.5807"), D("-922337203685477.5808")]),
    ("smallmoney", [], [D("214748.3647"), D("-214748.3648")]),
    ("real", [], [1.5, -3.4028234663852886e38]),
    ("float", [], [1.7976931348623157e308, 5e-324, -0.1]),
    ("date", [], [datetime.date(1, 1, 1), datetime.date(9999, 12, 31)]),
    ("time", [7], [Time(0), Time(DAY - 1)]),
    ("datetime2", [7], [DateTime2(0, 0), DateTime2(3_652_058, DAY - 1), DateTime2(737_424, 1)]),
    ("datetime2", [3], [DateTime2(737_424, 1_230_000)]),
    ("datetimeoffset", [7], [DateTimeOffset(0, DAY // 2, 840), DateTimeOffset(3_652_058, 1, -840)]),
    ("datetime", [], [datetime.datetime(1753, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59, 997_000)]),  # noqa: DTZ001
    ("smalldatetime", [], [datetime.datetime(1900, 1, 1), datetime.datetime(2079, 6, 6, 23, 59)]),  # noqa: DTZ001
    ("uniqueidentifier", [], [uuid.UUID(int=0), uuid.UUID("0e984725-c51c-4bf4-9960-e1c80e27aba0")]),
    ("char", [3], ["a  ", "abc"]),
    ("varchar", [10], ["", "é€ ", "x" * 10]),
    ("nchar", [2], ["日 "]),
    ("nvarchar", [10], ["", " ", "\0", "\ud800", "\U0001f600" * 5, "'\"\\\t\n\r", "NULL", "\\N"]),
    ("nvarchar", [-1], ["y" * 100_000, "\0" * 9000]),
    ("ntext", [], ["t"]),
    ("text", [], ["t"]),
    ("xml", [], ["<a/>"]),
    ("binary", [3], [b"\0\1\2"]),
    ("varbinary", [8], [b"", b"\0", bytes(range(8))]),
    ("varbinary", [-1], [bytes(range(256)) * 300]),
    ("image", [], [b"i"]),
    ("sql_variant", [], [5, "text", D("1.50")]),
]  # fmt: skip
PAIRS = [(name, arguments, value) for name, arguments, values in EDGES for value in values]


def test_every_type_comes_back_as_it_went_in(client: Client) -> None:
    kinds = [declared(name, arguments) for name, arguments, _ in EDGES]
    spelled = [
        f"{name}({', '.join('max' if item == -1 else str(item) for item in args)})" if args else name
        for name, args, _ in EDGES
    ]
    client.run(
        "CREATE TABLE every (id int IDENTITY PRIMARY KEY, "
        + ", ".join(f"c{n} {text} NULL" for n, text in enumerate(spelled))
        + ")"
    )
    for number, (_, _, values) in enumerate(EDGES):
        bulk = client.session.bulk_columns("every", [f"c{number}"])
        assert bulk[0].type.name == kinds[number].name
        for value in [*values, None]:
            client.run("TRUNCATE TABLE every")
            client.rows(
                f"INSERT INTO every (c{number}) VALUES (@v)", Parameter(name="@v", type=kinds[number], value=value)
            )
            client.session.bulk_insert("every", bulk, [(value,)], BulkOptions())
            client.run(f"INSERT INTO every (c{number}) SELECT c{number} FROM every WHERE id = 1")
            assert [row[0] for row in client.rows(f"SELECT c{number} FROM every ORDER BY id")] == [value] * 3, spelled[
                number
            ]
    shown = client.columns("SELECT * FROM every")[1:]
    assert [item.type for item in shown] == kinds


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("10:00:00.001", 0),
        ("10:00:00.002", 3),
        ("10:00:00.005", 7),
        ("10:00:00.009", 10),
        ("23:59:59.999", 86_400_000 - 36_000_000),
    ],
)
def test_datetime_keeps_three_hundredths(client: Client, given: str, kept: int) -> None:
    found = client.value(f"SELECT CAST('2020-01-01 {given}' AS datetime)")
    assert found == datetime.datetime(2020, 1, 1, 10) + datetime.timedelta(milliseconds=kept)  # noqa: DTZ001


def test_precision_is_cut_by_rounding(client: Client) -> None:
    assert client.value("SELECT CAST('2020-01-01 00:00:00.1234567' AS datetime2(3))") == DateTime2(737_424, 1_230_000)
    assert client.value("SELECT CAST('2020-01-01 23:59:59.9999999' AS datetime2(0))") == DateTime2(737_425, 0)
    assert client.value("SELECT CAST('2020-01-01 10:00:31' AS smalldatetime)").minute == 1
    assert client.value("SELECT CAST(1.005 AS decimal(5,2))") == D("1.01")
    assert client.value("SELECT CAST('2020-01-01 01:00 +02:00' AS datetimeoffset)") == DateTimeOffset(
        737_423, 23 * 36 * 10**9, 120
    )
    assert (
        client.value(
            "SELECT CASE WHEN CAST('2020-01-01 01:00 +02:00' AS datetimeoffset) = CAST('2019-12-31 23:00Z' AS "
            "datetimeoffset) THEN 1 END"
        )
        == 1
    )


def test_keys_are_equal_as_the_column_s_collation_says(client: Client) -> None:
    client.run(
        "CREATE TABLE ci (k nvarchar(9) PRIMARY KEY)",
        "CREATE TABLE bin (k nvarchar(9) COLLATE Latin1_General_100_BIN2 PRIMARY KEY)",
    )
    client.run("INSERT INTO ci VALUES (N'Ä'), (N'strasse'), (N'a\0')", "INSERT INTO bin VALUES (N'a'), (N'A')")
    for twin in ("ä", "ä  ", "STRASSE"):
        assert client.error(f"INSERT INTO ci VALUES (N'{twin}')").number == 2627, twin
    client.run("INSERT INTO ci VALUES (N'A'), (N'á')")
    assert client.error("INSERT INTO bin VALUES (N'a ')").number == 2627
    assert client.rows("SELECT c.k FROM ci c JOIN bin b ON b.k = c.k COLLATE Latin1_General_100_BIN2") == [("A",)]
    assert client.error("SELECT 1 FROM ci c JOIN bin b ON b.k = c.k").number == 468
    client.run(
        "CREATE TABLE moment (k datetimeoffset(0) PRIMARY KEY)", "INSERT INTO moment VALUES ('2020-01-01 01:00 +02:00')"
    )
    assert client.error("INSERT INTO moment VALUES ('2019-12-31 23:00 +00:00')").number == 2627


def test_what_text_it_cannot_keep_is_refused(client: Client) -> None:
    with pytest.raises(SqlError, match="U\\+10F123"):
        client.rows("SELECT @v", Parameter(name="@v", type=declared("nvarchar", [5]), value="\U0010f123"))


def test_text_functions_count_utf_16_units(client: Client) -> None:
    fruit = "N'Pi\u00f1a \U0001f34dx'"
    found = client.rows(
        f"SELECT LEN({fruit}), LEFT({fruit}, LEN({fruit}) - 1), LEFT({fruit}, 6), RIGHT({fruit}, 3), "
        f"SUBSTRING({fruit}, 6, 2), "
        f"CHARINDEX(N'x', {fruit}), STUFF({fruit}, 8, 1, N'!'), CAST({fruit} AS nvarchar(7)), "
        f"UNICODE(SUBSTRING({fruit}, 7, 1)), "
        f"LEFT({fruit}, 6) + SUBSTRING({fruit}, 7, 2)"
    )
    pine = "Pi\u00f1a \U0001f34d"
    assert found == [
        (8, pine, "Pi\u00f1a \ud83c", "\U0001f34dx", "\U0001f34d", 8, pine + "!", pine, 0xDF4D, pine + "x")
    ]
    assert client.error("SELECT LEFT(N'a', -1)").number == 536


def test_text_as_bytes_and_back(client: Client) -> None:
    assert client.value("SELECT CAST(N'\U0001f600' AS varbinary(8))") == b"\x3d\xd8\x00\xde"
    assert client.value("SELECT CAST(NCHAR(55296) + NCHAR(0) AS varbinary(8))") == b"\x00\xd8\x00\x00"
    assert client.value("SELECT CAST(0x3dd800de00d8 AS nvarchar(8))") == "\U0001f600\ud800"
    assert client.value("SELECT CAST('\u20ac' AS varbinary(8))") == b"\x80"


def test_varchar_is_a_code_page(client: Client) -> None:
    client.run("CREATE TABLE ansi (a varchar(9))", "INSERT INTO ansi VALUES (N'é日€')")
    assert client.value("SELECT a FROM ansi") == "é?€"
    assert client.value("SELECT DATALENGTH(a) FROM ansi") == 3


def test_types_of_expressions(client: Client) -> None:
    columns = client.columns(
        "SELECT 1 AS a, 2147483648 AS b, 1.50 AS c, 'ab' AS d, N'ab' AS e, 1e0 AS f, 0x0102 AS g, CAST(1 AS "
        "decimal(10,2)) * CAST(1 AS "
        "decimal(5,3)) AS h, CAST(1 AS decimal(10,2)) / CAST(1 AS decimal(5,3)) AS i, N'a' + 'bc' AS j, COUNT(*) "
        "AS k, SUM(CAST(1 AS "
        "decimal(10,2))) AS l, GETDATE() AS m, NULL AS n"
    )
    found = [(item.type.name, item.type.length, item.type.precision, item.type.scale) for item in columns]
    assert found == [
        ("int", 0, 0, 0), ("decimal", 0, 10, 0), ("decimal", 0, 3, 2), ("varchar", 2, 0, 0), ("nvarchar", 2, 0, 0),
        ("float", 0, 0, 0),
        ("varbinary", 2, 0, 0), ("decimal", 0, 16, 5), ("decimal", 0, 19, 8), ("nvarchar", 3, 0, 0), ("int", 0, 0, 0),
        ("decimal", 0, 38, 2), ("datetime", 0, 0, 0), ("int", 0, 0, 0),
    ]  # fmt: skip

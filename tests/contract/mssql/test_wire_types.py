"""Every type between the stand-in's wire and unmodified clients, and the codecs against the specification's bytes."""

# ruff: noqa: DTZ001 - these moments have no zone on the server either
from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.peers.mssql.decode import read_type
from tests.peers.mssql.interface import MAX, DateTime2, DateTimeOffset, SqlType, Time
from tests.peers.mssql.types import collation_bytes, encode_text, encoder, type_info
from tests.support.mssql import SqlServer

BIG = Decimal(12345678901234567890123456789012345678)
MOMENT = datetime.datetime(2024, 2, 29, 23, 59, 59, 997000)


def kind(name: str, **more: Any) -> SqlType:
    return SqlType(name=name, **more)


# type, what the engine gives, what a client must see
SEEN: list[tuple[SqlType, Any, Any]] = [
    (kind("bit"), True, True),
    (kind("tinyint"), 255, 255),
    (kind("smallint"), -32768, -32768),
    (kind("int"), -(2**31), -(2**31)),
    (kind("bigint"), 2**63 - 1, 2**63 - 1),
    (kind("decimal", precision=38, scale=0), -BIG, -BIG),
    (kind("numeric", precision=38, scale=38), BIG.scaleb(-38), BIG.scaleb(-38)),
    (kind("decimal", precision=9, scale=2), Decimal("-1234567.89"), Decimal("-1234567.89")),
    (kind("money"), Decimal("-922337203685477.5808"), Decimal("-922337203685477.5808")),
    (kind("smallmoney"), Decimal("214748.3647"), Decimal("214748.3647")),
    (kind("real"), 0.5, 0.5),
    (kind("float"), 1e300, 1e300),
    (kind("nvarchar", length=20), "é😀\x00\r\n", "é😀\x00\r\n"),
    (kind("nvarchar", length=MAX), "漢" * 70_000, "漢" * 70_000),
    (kind("nvarchar", length=MAX), "", ""),
    (kind("varchar", length=20), "é€", "é€"),
    (kind("varchar", length=MAX), "x" * 100_000, "x" * 100_000),
    (kind("char", length=5), "ab   ", "ab   "),
    (kind("nchar", length=5), "é    ", "é    "),
    (kind("text"), "old", "old"),
    (kind("ntext"), "öld", "öld"),
    (kind("xml"), "<a>é</a>", "<a>é</a>"),
    (kind("sysname"), "a_name", "a_name"),
    (kind("varbinary", length=10), b"\x00\xff", b"\x00\xff"),
    (kind("varbinary", length=MAX), b"\x01" * 100_000, b"\x01" * 100_000),
    (kind("binary", length=4), b"ab\0\0", b"ab\0\0"),
    (kind("image"), b"\x00old", b"\x00old"),
    (kind("rowversion"), bytes(7) + b"\x2a", bytes(7) + b"\x2a"),
    (kind("uniqueidentifier"), uuid.UUID("00112233-4455-6677-8899-aabbccddeeff"),
     uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")),
    (kind("date"), datetime.date(1, 1, 1), datetime.date(1, 1, 1)),
    (kind("datetime"), MOMENT, MOMENT),
    (kind("datetime"), datetime.datetime(1753, 1, 1), datetime.datetime(1753, 1, 1)),
    (kind("smalldatetime"), datetime.datetime(2079, 6, 6, 23, 59), datetime.datetime(2079, 6, 6, 23, 59)),
]  # fmt: skip
SCALED: list[tuple[SqlType, Any, Any]] = [
    (kind("time", scale=6), Time(37_230_000_040), datetime.time(1, 2, 3, 4)),
    (kind("time", scale=0), Time(864_000_000_000 - 10_000_000), datetime.time(23, 59, 59)),
    (kind("datetime2", scale=6), DateTime2(0, 10), datetime.datetime(1, 1, 1, 0, 0, 0, 1)),
    (kind("datetime2", scale=3), DateTime2(738944, 0), datetime.datetime(2024, 2, 29)),
    (kind("datetimeoffset", scale=7), DateTimeOffset(738944, 0, 330),
     datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC)),
]  # fmt: skip
VARIANTS: list[Any] = [1, 2**40, 1.5, True, "é", b"\x00\x01", Decimal("1.25"), datetime.date(2024, 2, 29)]


def shown(found: SqlType, value: Any) -> str:
    column = f"Column(name='a', type={found!r})"
    return f"EVAL [ResultSet(columns=[{column}], rows=[[{value!r}], [None]]), Count(rows=2)]"


def label(entry: Any) -> str:
    return entry.name if isinstance(entry, SqlType) else "-"


@pytest.mark.parametrize(("declared", "given_value", "expected"), SEEN, ids=label)
def test_pymssql_sees_the_value(mssql_wire: SqlServer, declared: SqlType, given_value: Any, expected: Any) -> None:
    with mssql_wire.pymssql() as connection, connection.cursor() as cursor:
        cursor.execute(shown(declared, given_value))
        assert cursor.fetchall() == [(expected,), (None,)]


@pytest.mark.parametrize(("declared", "given_value", "expected"), SEEN + SCALED, ids=label)
def test_mssql_python_sees_the_value(mssql_wire: SqlServer, declared: SqlType, given_value: Any, expected: Any) -> None:
    with mssql_wire.mssql_python() as connection, connection.cursor() as cursor:
        found = cursor.execute(shown(declared, given_value)).fetchall()
        assert [tuple(row) for row in found] == [(expected,), (None,)]


@pytest.mark.parametrize(("declared", "given_value", "expected"), SEEN + SCALED, ids=label)
def test_arrow_sees_the_value(mssql_wire: SqlServer, declared: SqlType, given_value: Any, expected: Any) -> None:
    with mssql_wire.mssql_python() as connection, connection.cursor() as cursor:
        cursor.execute(shown(declared, given_value))
        found = cursor.arrow().column(0).to_pylist()
    wanted = str(expected).upper() if isinstance(expected, uuid.UUID) else expected
    assert found == [wanted, None]


@pytest.mark.parametrize("value", VARIANTS, ids=lambda value: type(value).__name__)
def test_a_variant_carries_its_own_type(mssql_wire: SqlServer, value: Any) -> None:
    with mssql_wire.mssql_python() as connection, connection.cursor() as cursor:
        found = cursor.execute(shown(SqlType(name="sql_variant"), value)).fetchall()
        assert [tuple(row) for row in found] == [(value,), (None,)]


# Bytes as [MS-TDS] 2.2.5.5 says them, worked out by hand.
GOLDEN: list[tuple[SqlType, Any, str]] = [
    (kind("money"), Decimal("-1.2345"), "08 ffffffff c7cfffff"),
    (kind("decimal", precision=10, scale=2), Decimal("-123.45"), "09 00 3930000000000000"),
    (kind("datetime"), datetime.datetime(1900, 1, 2, 0, 0, 1), "08 01000000 2c010000"),
    (kind("datetime"), datetime.datetime(1900, 1, 1, 0, 0, 0, 3000), "08 00000000 01000000"),
    (kind("smalldatetime"), datetime.datetime(1900, 1, 2, 1, 1), "04 0100 3d00"),
    (kind("date"), datetime.date(2024, 2, 29), "03 80460b"),
    (kind("time", scale=7), Time(1), "05 0100000000"),
    (kind("time", scale=3), Time(10_000), "04 01000000"),
    (kind("datetime2", scale=7), DateTime2(1, 864_000_000_000 - 1), "08 ffbf692ac9 010000"),
    (kind("datetimeoffset", scale=7), DateTimeOffset(1, 256, -60), "0a 0001000000 010000 c4ff"),
    (kind("uniqueidentifier"), uuid.UUID("00112233-4455-6677-8899-aabbccddeeff"),
     "10 33221100 5544 7766 8899aabbccddeeff"),
    (kind("nvarchar", length=5), "a\ud800", "0400 6100 00d8"),
    (kind("nvarchar", length=MAX), "a", "0200000000000000 02000000 6100 00000000"),
    (kind("varbinary", length=MAX), None, "ffffffffffffffff"),
    (kind("varchar", length=5), None, "ffff"),
    (kind("int"), None, "00"),
]  # fmt: skip


@pytest.mark.parametrize(("declared", "value", "expected"), GOLDEN, ids=label)
def test_values_have_the_specification_s_bytes(declared: SqlType, value: Any, expected: str) -> None:
    assert encoder(declared)(value) == bytes.fromhex(expected)


def test_collations_have_the_specification_s_bytes() -> None:
    assert collation_bytes("SQL_Latin1_General_CP1_CI_AS").hex() == "0904d00034"
    assert collation_bytes("Latin1_General_CI_AS").hex() == "0904d00000"
    assert collation_bytes("Latin1_General_100_BIN2").hex() == "0904002200"
    assert collation_bytes("Latin1_General_100_CI_AS_SC_UTF8").hex() == "0904d02400"


def test_a_code_page_keeps_the_five_bytes_that_windows_keeps() -> None:
    assert encode_text("\x81€漢", "cp1252") == b"\x81\x80?"


def back(declared: SqlType, value: Any) -> Any:
    """Encode a value and read it as a server reads a parameter."""
    data = type_info(declared)[1] + encoder(declared)(value)
    read, decode, at = read_type(data, 0)
    found, end = decode(data, at)
    assert end == len(data)
    assert read.name == {"sysname": "nvarchar", "rowversion": "binary"}.get(declared.name, declared.name)
    return found


TICKS = st.integers(0, 864_000_000_000 - 1)
DAYS = st.integers(0, 3_652_058)
VALUES = st.one_of(
    st.tuples(st.just(kind("tinyint")), st.integers(0, 255)),
    st.tuples(st.just(kind("bigint")), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just(kind("decimal", precision=38, scale=10)),
              st.integers(-(10**38) + 1, 10**38 - 1).map(lambda n: Decimal(f"{n}E-10"))),
    st.tuples(st.just(kind("money")), st.integers(-(2**63), 2**63 - 1).map(lambda n: Decimal(f"{n}E-4"))),
    st.tuples(st.just(kind("float")), st.floats(allow_nan=False)),
    st.tuples(st.sampled_from([kind("nvarchar", length=4000), kind("nvarchar", length=MAX), kind("xml")]),
              st.text().filter(lambda text: not text.startswith("\ufeff"))),
    st.tuples(st.sampled_from([kind("varbinary", length=8000), kind("varbinary", length=MAX)]), st.binary()),
    st.tuples(st.just(kind("time", scale=7)), TICKS.map(Time)),
    st.tuples(st.just(kind("datetime2", scale=7)), st.builds(DateTime2, DAYS, TICKS)),
    st.tuples(st.just(kind("datetimeoffset", scale=7)), st.builds(DateTimeOffset, DAYS, TICKS, st.integers(-840, 840))),
    st.tuples(st.just(kind("date")), st.dates()),
    st.tuples(st.just(kind("uniqueidentifier")), st.uuids()),
    st.tuples(st.just(kind("bit")), st.booleans()),
)  # fmt: skip


@given(VALUES)
def test_what_is_encoded_is_decoded(entry: tuple[SqlType, Any]) -> None:
    declared, value = entry
    assert back(declared, value) == value
    assert back(declared, None) is None


@given(st.integers(0, 25_920_000 - 1), st.integers(-53690, 2958463))
def test_datetime_keeps_its_three_hundredths(ticks: int, days: int) -> None:
    data = b"\x6f\x08\x08" + days.to_bytes(4, "little", signed=True) + ticks.to_bytes(4, "little")
    _, decode, at = read_type(data, 0)
    value, _ = decode(data, at)
    assert encoder(kind("datetime"))(value) == data[2:]

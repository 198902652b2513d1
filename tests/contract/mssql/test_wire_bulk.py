"""INSERT BULK over the stand-in's wire: both clients' bulk loads, streamed, broken off and refused."""

# ruff: noqa: DTZ001 - these moments have no zone on the server either
from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pymssql
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.peers.mssql import load
from tests.peers.mssql.interface import MAX, Column, SqlError, SqlType
from tests.peers.mssql.tokens import columns_described, done
from tests.peers.mssql.types import encoder
from tests.support.mssql import SqlServer

ALL = (
    "a int, b nvarchar(20), d datetime2(7), e decimal(38,10), f date, g time(7), i uniqueidentifier, j varbinary(max), "
    "k nvarchar(max), l money, m bit, n float, o real, p tinyint, q bigint, r varchar(10), s smallint, t char(3), "
    "u binary(4), v datetime, w smalldatetime, x xml"
)
ROW = (
    1, "é😀", datetime.datetime(2024, 1, 2, 3, 4, 5, 123456), Decimal("1234567890123456789012345678.0123456789"),
    datetime.date(1, 1, 1), datetime.time(1, 2, 3, 4), uuid.UUID(int=5), b"\0\1" * 5000, "x" * 9000,
    Decimal("-1.2345"), True, 1.5, 2.5, 255, 2**62, "é", -5, "abc", b"1234",
    datetime.datetime(2024, 1, 2, 3, 4, 5, 3000), datetime.datetime(2024, 1, 2, 3, 4), "<a>é</a>",
)  # fmt: skip
PLAIN = "a int, b nvarchar(20), c varchar(20), d datetime, e decimal(18,4), f float, g bit, h varbinary(10)"
MOMENT = datetime.datetime(2024, 2, 29, 23, 59, 59, 997000)


BULK_ERROR = (pymssql.Error, pymssql._mssql.MSSQLException)  # bulk_copy does not turn its errors into DB-API's


def make(server: SqlServer, name: str, columns: str) -> None:
    with server.pymssql() as connection, connection.cursor() as cursor:
        cursor.execute(f"TABLE {name} ({columns})")


def read(server: SqlServer, name: str) -> list[tuple[Any, ...]]:
    with server.mssql_python() as connection, connection.cursor() as cursor:
        return [tuple(row) for row in cursor.execute(f"READ {name}").fetchall()]


def resident(server: SqlServer) -> int:
    """Memory of the server's process, in MiB."""
    pages = int(Path(f"/proc/{server.process_id}/statm").read_text().split()[1])
    return pages * 4096 // 1024**2


@pytest.mark.parametrize("table", ["plain", "#staged"])
def test_pymssql_loads_values_and_nulls(mssql_wire: SqlServer, table: str) -> None:
    make(mssql_wire, table, PLAIN)
    rows = [(1, "é😀", "ascii", MOMENT, Decimal("-12345678901234.5678"), 1.5, True, b"\x00\xff"), (None,) * 8]
    with mssql_wire.pymssql() as connection:
        connection.bulk_copy(table, rows)
    assert read(mssql_wire, table) == rows


def test_pymssql_writes_utf_8_into_varchar_columns(mssql_wire: SqlServer) -> None:
    """A fault of the client (2.4.6), kept in mind here: text is staged as nvarchar."""
    make(mssql_wire, "ansi", "a varchar(20), b nvarchar(20)")
    with mssql_wire.pymssql() as connection:
        connection.bulk_copy("ansi", [("é", "é")])
    assert read(mssql_wire, "ansi") == [("Ã©", "é")]


def test_pymssql_loads_in_batches_of_its_own(mssql_wire: SqlServer) -> None:
    make(mssql_wire, "batches", "a int, b nvarchar(20)")
    mssql_wire.forget_statements()
    rows = [(number, f"row {number}") for number in range(250)]
    with mssql_wire.pymssql() as connection:
        connection.bulk_copy("batches", rows, batch_size=100, tablock=True)
    assert read(mssql_wire, "batches") == rows
    assert len(mssql_wire.statements("rows of batches")) == 3
    assert "TABLOCK" in mssql_wire.statements("insert bulk")[0]["text"]


def test_pymssql_loads_some_columns_in_another_order(mssql_wire: SqlServer) -> None:
    make(mssql_wire, "some", "a int, b nvarchar(20), c int")
    with mssql_wire.pymssql() as connection:
        connection.bulk_copy("some", [("x", 7)], column_ids=[2, 3])
    assert read(mssql_wire, "some")[0][-2:] == ("x", 7)


def test_mssql_python_loads_every_type(mssql_wire: SqlServer) -> None:
    make(mssql_wire, "everything", ALL)
    with mssql_wire.mssql_python() as connection, connection.cursor() as cursor:
        found = cursor.bulkcopy("everything", [ROW, (None,) * len(ROW)])
    assert found["rows_copied"] == 2
    assert read(mssql_wire, "everything") == [ROW, (None,) * len(ROW)]


def test_mssql_python_loads_arrow(mssql_wire: SqlServer) -> None:
    make(mssql_wire, "arrow", "a int, b nvarchar(20), d datetime2(6), e decimal(18,2), f date")
    table = pa.table({
        "a": pa.array([1, None], pa.int32()), "b": ["é😀", None],
        "d": pa.array([MOMENT, None], pa.timestamp("us")), "e": pa.array([Decimal("1.20"), None], pa.decimal128(18, 2)),
        "f": pa.array([MOMENT.date(), None]),
    })  # fmt: skip
    with mssql_wire.mssql_python() as connection, connection.cursor() as cursor:
        cursor.bulkcopy_arrow("arrow", table)
    assert read(mssql_wire, "arrow") == [tuple(row.values()) for row in table.to_pylist()]


def test_a_refused_row_ends_the_load_and_the_connection_goes_on(mssql_wire: SqlServer) -> None:
    make(mssql_wire, "keys", "a int, b nvarchar(20)")
    rows = [(number if number != 3 else -1, "x" * 20) for number in range(50_000)]
    with mssql_wire.pymssql() as connection:
        with pytest.raises(BULK_ERROR, match="Violation of PRIMARY KEY"):
            connection.bulk_copy("keys", rows, batch_size=len(rows) + 1)
        with connection.cursor() as cursor:
            cursor.execute("READ keys")
            assert len(cursor.fetchall()) == 3


def test_a_table_that_is_not_there_is_208(mssql_wire: SqlServer) -> None:
    with (
        mssql_wire.mssql_python() as connection,
        connection.cursor() as cursor,
        pytest.raises(Exception, match=r"(?i)metadata|invalid object"),
    ):
        cursor.bulkcopy("nowhere", [(1,)])


@pytest.mark.parametrize("fault", [1205, "drop", "drop_after"])
def test_faults_meet_the_rows_of_a_load(mssql_wire: SqlServer, fault: int | str) -> None:
    make(mssql_wire, "faulty", "a int, b nvarchar(20)")
    connection = mssql_wire.pymssql()
    mssql_wire.fail(fault, "rows of faulty")
    with pytest.raises(BULK_ERROR):
        connection.bulk_copy("faulty", [(number, "x") for number in range(1000)], batch_size=10_000)
    assert len(read(mssql_wire, "faulty")) == (1000 if fault == "drop_after" else 0)
    if fault == 1205:
        connection.bulk_copy("faulty", [(1, "x")])
        assert len(read(mssql_wire, "faulty")) == 1


def test_a_value_of_many_packets(mssql_wire: SqlServer) -> None:
    make(mssql_wire, "big", "a int, b varbinary(max)")
    value = bytes(range(256)) * 40_000
    with mssql_wire.mssql_python() as connection, connection.cursor() as cursor:
        cursor.bulkcopy("big", [(1, value), (2, b"")])
    assert read(mssql_wire, "big") == [(1, value), (2, b"")]


COLUMNS = [
    Column(name="a", type=SqlType(name="int")), Column(name="b", type=SqlType(name="nvarchar", length=50)),
    Column(name="c", type=SqlType(name="tinyint")), Column(name="d", type=SqlType(name="varbinary", length=MAX)),
    Column(name="e", type=SqlType(name="decimal", precision=9, scale=2)), Column(name="f", type=SqlType(name="date")),
]  # fmt: skip
ROWS = st.lists(st.tuples(
    st.none() | st.integers(-(2**31), 2**31 - 1), st.none() | st.text(max_size=8), st.none() | st.integers(0, 255),
    st.none() | st.binary(max_size=8), st.none() | st.decimals(-9999, 9999, places=2), st.none() | st.dates(),
), max_size=6)  # fmt: skip


class Pieces:
    """A channel whose packets are cut as it is told."""

    attention = False

    def __init__(self, data: bytes, size: int) -> None:
        self._data, self._size = data, size

    def packets(self) -> Iterator[tuple[int, bytes]]:
        for at in range(0, len(self._data), self._size):
            yield 0, self._data[at : at + self._size]


def bulk_row(row: tuple[Any, ...], *, short: bool) -> bytes:
    """A row token, or (``short``) one whose nulls stand in a bitmap."""
    values = [(value, encoder(column.type)(value)) for value, column in zip(row, COLUMNS, strict=True)]
    if not short:
        return b"\xd1" + b"".join(raw for _, raw in values)
    nulls = sum(1 << place for place, value in enumerate(row) if value is None)
    return b"\xd2" + bytes([nulls]) + b"".join(raw for value, raw in values if value is not None)


@given(ROWS, st.integers(1, 64), st.randoms(use_true_random=False))
def test_rows_are_the_same_however_the_packets_are_cut(rows: list[tuple[Any, ...]], size: int, dice: Any) -> None:
    data = columns_described(COLUMNS) + b"".join(bulk_row(row, short=dice.random() < 0.5) for row in rows)
    for end in (done(0xFD, 0), b""):
        stream = load.Stream(Pieces(data + end, size))  # type: ignore[arg-type]
        gathered, load.GATHERED = load.GATHERED, size
        try:
            wired = load.read_columns(stream)
            assert [tuple(row) for row in load.rows(stream, wired, COLUMNS)] == rows
        finally:
            load.GATHERED = gathered


def test_a_load_that_ends_within_a_row_is_4804() -> None:
    data = columns_described(COLUMNS) + bulk_row((1, "x", 2, b"y", Decimal(1), None), short=False)
    stream = load.Stream(Pieces(data[:-3], 7))  # type: ignore[arg-type]
    with pytest.raises(SqlError, match="Premature end-of-message"):
        list(load.rows(stream, load.read_columns(stream), COLUMNS))


def test_rows_stream_both_ways_in_bounded_memory(mssql_wire: SqlServer) -> None:
    make(mssql_wire, "many", "id bigint, name nvarchar(50), amount float, day date")
    count = 150_000
    with mssql_wire.mssql_python() as connection, connection.cursor() as cursor:
        cursor.execute(f"MANY {count}")
        table = cursor.arrow()
        before = resident(mssql_wire)
        cursor.execute(f"MANY {count}")
        assert sum(batch.num_rows for batch in cursor.arrow_reader(batch_size=8192)) == count
        assert cursor.bulkcopy_arrow("many", table, batch_size=0)["rows_copied"] == count
    assert resident(mssql_wire) - before < 40  # the rows are 10 MiB on the wire, about 60 as objects

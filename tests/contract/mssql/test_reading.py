"""Reading by both clients: what the server sent is what arrives, or the reading fails."""

from __future__ import annotations

import datetime as dt
import logging
import time
from decimal import Decimal
from typing import Any

import pytest

from icebridge_provider.engines.mssql import reading
from icebridge_provider.engines.mssql.reading import Client, SqlServerReader
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, TransientError
from tests.support.mssql import SqlServer
from tests.support.mssql_reading import login, reader, run

CLIENTS: tuple[Client, ...] = ("odbc", "pymssql")
SELECTED = r"(?s)^SELECT.*FROM dbo\.many"  # in whatever shape, and not where it is only described
MANY = "SELECT id, name, amount, made FROM dbo.many"


@pytest.fixture(scope="session")
def database(mssql: SqlServer) -> str:
    """A database with 5,000 rows."""
    name = mssql.database(allow_snapshot=True)
    rows = [
        ", ".join(
            f"({n}, N'näme {n}', {n}.2500, '2024-01-01T00:00:00.{n % 1000:03d}')" for n in range(start, start + 500)
        )
        for start in range(0, 5000, 500)
    ]
    run(
        mssql, name,
        "CREATE TABLE dbo.many (id int NOT NULL PRIMARY KEY, name nvarchar(50), amount decimal(20,4),"
        " made datetime2(3))",
        *(f"INSERT INTO dbo.many VALUES {item}" for item in rows),
    )  # fmt: skip
    return name


@pytest.fixture(params=CLIENTS)
def source(request: pytest.FixtureRequest, mssql: SqlServer, database: str) -> SqlServerReader:
    return reader(mssql, database, request.param)


def rows_of(source: SqlServerReader, statement: str, values: dict[str, Any] | None = None, **more: Any) -> list[Any]:
    return source.read(statement, values or {}, 1000, **more).read_all().to_pylist()


def test_rows_arrive_in_batches(source: SqlServerReader) -> None:
    batches = list(source.read(MANY, {}, 700))
    assert max(batch.num_rows for batch in batches) <= 700
    assert len(batches) >= 8
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert sorted(row["id"] for row in rows) == list(range(5000))
    assert next(row for row in rows if row["id"] == 1234) == {
        "id": 1234, "name": "näme 1234", "amount": Decimal("1234.2500"),
        "made": dt.datetime.fromisoformat("2024-01-01T00:00:00.234"),
    }  # fmt: skip


def test_columns_are_described_without_running_the_query(mssql: SqlServer, source: SqlServerReader) -> None:
    mssql.forget_statements()
    assert source.describe(f"{MANY} WHERE id > %(low)s AND name LIKE '%%5'", {"low": 1}) == [
        ("id", "int", False), ("name", "nvarchar(50)", True), ("amount", "decimal(20,4)", True),
        ("made", "datetime2(3)", True),
    ]  # fmt: skip
    with pytest.raises(ConfigurationError, match=r"IB-829.*nope"):
        source.describe("SELECT id FROM dbo.nope", {})


def test_values_are_bound(source: SqlServerReader) -> None:
    statement = f"{MANY} WHERE id BETWEEN %(low)s AND %(high)s AND RIGHT(name, 1) = %(end)s"
    assert [row["id"] for row in rows_of(source, statement, {"low": 10, "high": 30, "end": "5"})] == [15, 25]
    assert rows_of(source, statement, {"low": 10, "high": 30, "end": "'; DROP TABLE dbo.many; --"}) == []
    assert len(rows_of(source, MANY)) == 5000
    for value in (Decimal("7.2500"), 7.25):
        assert [row["id"] for row in rows_of(source, f"{MANY} WHERE amount = %(v)s", {"v": value})] == [7]
    odd = "SELECT '50%%' AS a, %(v)s AS b WHERE N'a super %%s b' LIKE '%%super%%' AND 1 = %(one)s"
    assert rows_of(source, odd, {"v": "%s ü 🍍'", "one": 1}) == [{"a": "50%", "b": "%s ü 🍍'"}]
    day = dt.date(2024, 1, 1)
    assert len(rows_of(source, f"{MANY} WHERE made < %(v)s", {"v": day})) == 0
    moment = dt.datetime.combine(day, dt.time(0, 0, 0, 2000))
    assert len(rows_of(source, f"{MANY} WHERE made < %(v)s", {"v": moment})) == 10


def test_snapshots_are_asked_for_only_where_they_are_allowed(mssql: SqlServer, source: SqlServerReader) -> None:
    assert source.consistent()
    mssql.forget_statements()
    assert len(rows_of(source, MANY, consistent=True)) == 5000
    assert mssql.statements("ISOLATION LEVEL SNAPSHOT")
    other = mssql.database()
    run(mssql, other, "CREATE TABLE dbo.t (a int)")
    closed = reader(mssql, other, source.client)
    assert not closed.consistent()
    with pytest.raises(IceBridgeError) as error:
        rows_of(closed, "SELECT a FROM dbo.t", consistent=True)
    assert error.value.facts["number"] == 3952
    assert rows_of(closed, "SELECT a FROM dbo.t") == []


@pytest.mark.parametrize("rows", [1, 700, 4999])
def test_a_connection_lost_among_the_rows_is_never_taken_for_their_end(
    mssql: SqlServer, source: SqlServerReader, rows: int
) -> None:
    found = source.describe(MANY, {})
    assert len(found) == 4
    mssql.fail("cut", SELECTED, rows=rows)
    with pytest.raises(TransientError) as error:
        reading_only(source, MANY)
    assert error.value.code in {"IB-820", "IB-834"}
    mssql.calm()


def reading_only(source: SqlServerReader, statement: str) -> int:
    """Read with the columns described before: the fault is for the rows."""
    return sum(batch.num_rows for batch in source.read(statement, {}, 500))


def test_a_deadlock_and_a_refused_right_are_told_apart(mssql: SqlServer, source: SqlServerReader) -> None:
    mssql.fail(1205, SELECTED, times=3)
    with pytest.raises(TransientError, match=r"IB-820.*1205"):
        rows_of(source, MANY)
    mssql.calm()
    mssql.fail(229, SELECTED)
    with pytest.raises(ConfigurationError, match="IB-822"):
        rows_of(source, MANY)
    mssql.calm()


def test_leaving_early_ends_the_connection(mssql: SqlServer, database: str) -> None:
    source = reader(mssql, database, "pymssql")
    for leave in (False, True):
        mssql.kill()
        found = source.read(MANY, {}, 10)
        assert found.read_next_batch().num_rows == 10
        if leave:
            found.close()
            del found
            time.sleep(0.5)  # the server notices in its own time
        assert mssql.kill() == (0 if leave else 1)


def test_without_the_driver_pymssql_reads_and_the_log_says_so(
    mssql: SqlServer, database: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "odbc_missing", lambda: "libltdl.so.7: cannot open shared object file")
    source = SqlServerReader(login=login(mssql, database))
    with caplog.at_level(logging.WARNING):
        assert len(rows_of(source, MANY)) == 5000
        assert len(rows_of(source, MANY)) == 5000
    assert [record.message.count("read by pymssql") for record in caplog.records] == [1]
    assert "libltdl.so.7" in caplog.text

"""Both clients through the wire into the engine and back: what the product does with a SQL Server."""

from __future__ import annotations

import datetime
import threading
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pymssql
import pytest

from tests.support.mssql import SqlServer

COLUMNS = {
    "id": "int NOT NULL PRIMARY KEY", "small": "smallint", "tiny": "tinyint", "big": "bigint", "flag": "bit",
    "amount": "decimal(38,10)", "price": "money", "ratio": "float", "part": "real", "name": "nvarchar(50)",
    "code": "varchar(20)", "fixed": "nchar(5)", "note": "nvarchar(max)", "raw": "varbinary(20)",
    "blob": "varbinary(max)", "guid": "uniqueidentifier", "day": "date", "clock": "time(6)", "stamp": "datetime",
    "minute": "smalldatetime", "moment": "datetime2(6)",
}  # fmt: skip
ROW = (
    1, -32768, 255, 2**62, True, Decimal("-1234567890123456789012345678.0123456789"), Decimal("-1.2345"), 1.5, 0.25,
    "é😀 '", "é€", "é    ", "x" * 9000, b"\x00\xff", b"\x01" * 20_000, uuid.UUID(int=5), datetime.date(1753, 1, 1),
    datetime.time(1, 2, 3, 4), datetime.datetime(2024, 2, 29, 23, 59, 59, 997000),  # noqa: DTZ001 - no zone there
    datetime.datetime(2024, 2, 29, 23, 59), datetime.datetime(2024, 2, 29, 23, 59, 59, 999999),  # noqa: DTZ001
)  # fmt: skip
EMPTY = (2, *(None,) * (len(ROW) - 1))


@pytest.fixture(scope="module")
def database(mssql: SqlServer) -> Iterator[str]:
    name = mssql.database()
    yield name
    mssql.drop(name)


def run(connection: Any, sql: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, *parameters)


def rows(connection: Any, sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return [tuple(row) for row in cursor.fetchall()]


def create(connection: Any, table: str) -> None:
    run(connection, f"CREATE TABLE {table} ({', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())})")


def test_every_type_goes_in_by_parameters_and_comes_out_of_both_clients(mssql: SqlServer, database: str) -> None:
    with mssql.mssql_python(database) as connection:
        create(connection, "by_parameters")
        places = ", ".join("?" * len(ROW))
        run(connection, f"INSERT INTO by_parameters VALUES ({places})", *ROW)
        run(connection, "INSERT INTO by_parameters (id) VALUES (?)", 2)
        connection.commit()
        assert rows(connection, "SELECT * FROM by_parameters ORDER BY id") == [ROW, EMPTY]
    with mssql.pymssql(database) as connection:
        found = rows(connection, "SELECT * FROM by_parameters ORDER BY id")
    # Moments with more than milliseconds reach pymssql as text or cut off: it is asked for the others only.
    assert [row[:17] + row[18:20] for row in found] == [row[:17] + row[18:20] for row in (ROW, EMPTY)]


def test_every_type_goes_in_by_mssql_python_s_bulk_load(mssql: SqlServer, database: str) -> None:
    with mssql.mssql_python(database, autocommit=True) as connection:
        create(connection, "by_bulk")
        with connection.cursor() as cursor:
            assert cursor.bulkcopy("by_bulk", [ROW, EMPTY])["rows_copied"] == 2
        assert rows(connection, "SELECT * FROM by_bulk ORDER BY id") == [ROW, EMPTY]


def test_pymssql_stages_in_a_temporary_table_and_writes_in_one_transaction(mssql: SqlServer, database: str) -> None:
    with mssql.pymssql(database) as connection:
        run(connection, "CREATE TABLE target (id int NOT NULL PRIMARY KEY, name nvarchar(50), amount decimal(18,4))")
        run(connection, "INSERT INTO target VALUES (1, N'old', 1), (3, N'kept', 3)")
        connection.commit()
        run(connection, "CREATE TABLE #stage (id int NOT NULL, name nvarchar(50), amount decimal(18,4))")
        connection.bulk_copy("#stage", [(1, "né😀w", Decimal("2.5")), (2, None, None)], batch_size=10)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE t SET t.name = s.name, t.amount = s.amount FROM target AS t JOIN #stage AS s ON t.id = s.id"
            )
            assert cursor.rowcount == 1
            cursor.execute(
                "INSERT INTO target (id, name, amount) SELECT s.id, s.name, s.amount FROM #stage AS s "
                "WHERE NOT EXISTS (SELECT 1 FROM target AS t WHERE t.id = s.id)"
            )
            assert cursor.rowcount == 1
        expected = [(1, "né😀w", Decimal("2.5000")), (2, None, None), (3, "kept", Decimal("3.0000"))]
        assert rows(connection, "SELECT id, name, amount FROM target ORDER BY id") == expected
        connection.rollback()
        assert rows(connection, "SELECT id FROM target WHERE name = N'old' OR id = 3 ORDER BY id") == [(1,), (3,)]


def test_rows_come_by_arrow_in_batches(mssql: SqlServer, database: str) -> None:
    count = 20_000
    table = pa.table({"id": pa.array(range(count), pa.int32()), "name": [f"name {number}" for number in range(count)]})
    with mssql.mssql_python(database, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE many (id int NOT NULL PRIMARY KEY, name nvarchar(50))")
        cursor.bulkcopy_arrow("many", table)
        cursor.execute("SELECT id, name FROM many ORDER BY id")
        batches = list(cursor.arrow_reader(batch_size=4096))
        found = pa.Table.from_batches(batches)
        assert len(batches) > 1
        assert found.column("id").equals(table.column("id"))
        assert found.column("name").to_pylist() == table.column("name").to_pylist()
        assert rows(connection, "SELECT COUNT(*) FROM many") == [(count,)]


def test_a_bulk_load_that_breaks_off_leaves_nothing(mssql: SqlServer, database: str) -> None:
    with mssql.pymssql(database, autocommit=True) as connection:
        run(connection, "CREATE TABLE broken (id int NOT NULL PRIMARY KEY)")
        with pytest.raises(pymssql._mssql.MSSQLException) as caught:
            connection.bulk_copy("broken", [(number % 900,) for number in range(1000)], batch_size=2000)
        assert caught.value.args[0][0] == 2627
        assert rows(connection, "SELECT COUNT(*) FROM broken") == [(0,)]


def test_a_client_that_dies_in_the_middle_of_a_load_leaves_nothing(mssql: SqlServer, database: str) -> None:
    def rows_until_death() -> Iterator[tuple[int, str]]:
        yield from ((number, "x" * 30) for number in range(20_000))
        raise KeyboardInterrupt

    with mssql.pymssql(database, autocommit=True) as connection:
        run(connection, "CREATE TABLE unfinished (id int NOT NULL PRIMARY KEY, name nvarchar(50))")
    dying = mssql.pymssql(database)
    with pytest.raises(KeyboardInterrupt):
        dying.bulk_copy("unfinished", rows_until_death(), batch_size=100_000)
    dying.close()
    with mssql.pymssql(database, autocommit=True) as connection:
        assert rows(connection, "SELECT COUNT(*) FROM unfinished") == [(0,)]
        connection.bulk_copy("unfinished", [(1, "x")])
        assert rows(connection, "SELECT id FROM unfinished") == [(1,)]


def test_a_lost_answer_of_a_commit_and_a_commit_that_never_came(mssql: SqlServer, database: str) -> None:
    with mssql.pymssql(database, autocommit=True) as connection:
        run(connection, "CREATE TABLE ledger (id int NOT NULL PRIMARY KEY)")
    for number, fault in ((1, "drop_before_commit"), (2, "drop_after_commit")):
        connection = mssql.pymssql(database)
        run(connection, f"INSERT INTO ledger VALUES ({number})")
        mssql.fail(fault, database=database)
        with pytest.raises(pymssql.Error):
            connection.commit()
    with mssql.pymssql(database) as connection:
        assert rows(connection, "SELECT id FROM ledger") == [(2,)]


def test_two_writers_that_wait_for_each_other_are_a_deadlock(mssql: SqlServer, database: str) -> None:
    with mssql.pymssql(database, autocommit=True) as connection:
        run(connection, "CREATE TABLE locks (id int NOT NULL PRIMARY KEY, n int)")
        run(connection, "INSERT INTO locks VALUES (1, 0), (2, 0)")
    met, numbers = threading.Barrier(2, timeout=20), []

    def write(first: int, second: int) -> None:
        with mssql.pymssql(database) as one:
            run(one, f"UPDATE locks SET n = n + 1 WHERE id = {first}")
            met.wait()
            try:
                run(one, f"UPDATE locks SET n = n + 1 WHERE id = {second}")
                one.commit()
            except pymssql.Error as error:
                numbers.append(error.args[0])

    threads = [threading.Thread(target=write, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert numbers == [1205]
    with mssql.pymssql(database) as connection:
        assert rows(connection, "SELECT n FROM locks ORDER BY id") == [(1,), (1,)]


def test_a_statement_that_waits_for_a_lock_ends_when_its_client_goes(mssql: SqlServer, database: str) -> None:
    with mssql.pymssql(database, autocommit=True) as connection:
        run(connection, "CREATE TABLE waits (id int NOT NULL PRIMARY KEY, n int)")
        run(connection, "INSERT INTO waits VALUES (1, 0)")
    with mssql.pymssql(database) as holder:
        run(holder, "UPDATE waits SET n = 1")
        impatient = mssql.pymssql(database, timeout=1)
        with pytest.raises(pymssql.Error):
            run(impatient, "UPDATE waits SET n = 2")
        holder.commit()
    with mssql.pymssql(database) as connection:
        assert rows(connection, "SELECT n FROM waits") == [(1,)]


def test_a_pooled_connection_forgets_its_temporary_tables(mssql: SqlServer, database: str) -> None:
    connection = mssql.mssql_python(database, ConnectRetryCount="0")
    run(connection, "CREATE TABLE #mine (id int)")
    connection.commit()
    connection.close()
    with mssql.mssql_python(database, ConnectRetryCount="0") as connection, pytest.raises(Exception, match="#mine"):
        rows(connection, "SELECT * FROM #mine")

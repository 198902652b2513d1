"""Errors, and what they do to batches and transactions; isolation, locks, temporary tables."""

from __future__ import annotations

import threading
import time

import pytest

from tests.peers.mssql.interface import BulkOptions, SqlError
from tests.support.mssql_engine import Client, World, client, world

__all__ = ["client", "world"]


@pytest.fixture(scope="module")
def tables(world: World) -> World:
    world.login().run(
        "CREATE TABLE parent (a int PRIMARY KEY)", "INSERT INTO parent VALUES (1), (2)",
        "CREATE TABLE t (a int CONSTRAINT pk_t PRIMARY KEY, b nvarchar(5) NOT NULL CONSTRAINT uq_t UNIQUE, c tinyint "
        "CONSTRAINT ck_t CHECK (c < 100), d decimal(5,2), p int CONSTRAINT fk_t REFERENCES parent(a), e datetime)",
        "CREATE TABLE ix (a nvarchar(9) NULL)", "CREATE UNIQUE INDEX ux ON ix (a)", "INSERT INTO ix VALUES "
            "(NULL), (N'A')",
        "INSERT INTO t (a, b, p) VALUES (1, N'one', 1)",
    )  # fmt: skip
    return world


ERRORS = [
    ("INSERT INTO t (a, b) VALUES (1, N'x')", 2627, True, "'pk_t'. Cannot insert duplicate key in object "
        "'dbo.t'. The duplicate key value is (1)"),
    ("INSERT INTO t (a, b) VALUES (2, N'ONE ')", 2627, True, "UNIQUE KEY constraint 'uq_t'"),
    ("INSERT INTO ix VALUES (N'a ')", 2601, True, "with unique index 'ux'"),
    ("INSERT INTO ix VALUES (NULL)", 2601, True, "(<NULL>)"),
    ("INSERT INTO t (a) VALUES (3)", 515, True, "column 'b', table 'world"),
    ("UPDATE t SET b = NULL", 515, True, "UPDATE fails"),
    ("INSERT INTO t (a, b, c) VALUES (3, N'x', 100)", 547, True, 'CHECK constraint "ck_t"'),
    ("INSERT INTO t (a, b, p) VALUES (3, N'x', 9)", 547, True, 'FOREIGN KEY constraint "fk_t"'),
    ("DELETE FROM parent WHERE a = 1", 547, True, 'REFERENCE constraint "fk_t"'),
    ("INSERT INTO t (a, b) VALUES (3, N'sixsix')", 2628, True, "column 'b'. Truncated value: 'sixsi'"),
    ("INSERT INTO t (a, b, c) VALUES (3, N'x', 256)", 220, True, "tinyint, value = 256"),
    ("INSERT INTO t (a, b, d) VALUES (3, N'x', 1000)", 8115, True, "numeric"),
    ("SELECT 2147483647 + 1", 8115, True, "data type int"),
    ("SELECT 1 / 0", 8134, True, "Divide by zero"),
    ("SELECT (SELECT a FROM parent)", 512, True, "more than 1 value"),
    ("INSERT INTO t (a, b, e) VALUES (3, N'x', '1700-01-01')", 242, False, "out-of-range"),
    ("SELECT CAST('x' AS int)", 245, False, "varchar value 'x' to data type int"),
    ("SELECT CAST('x' AS decimal(5,2))", 8114, False, "varchar to numeric"),
    ("SELECT CAST('x' AS date)", 241, False, "date and/or time"),
    ("SELECT CAST('x' AS uniqueidentifier)", 8169, False, "uniqueidentifier"),
    ("SELECT * FROM nosuch", 208, None, "'nosuch'"),
    ("SELECT nosuch FROM t", 207, None, "'nosuch'"),
    ("SELECT x.a FROM t", 4104, None, '"x.a"'),
    ("SELECT a FROM t, parent", 209, None, "'a'"),
    ("SELECT a, COUNT(*) FROM t", 8120, None, "GROUP BY"),
    ("SELECT 1 WHERE 1", 4145, None, "non-boolean"),
    ("SELECT NOSUCH(1)", 195, None, "NOSUCH"),
    ("EXEC nosuch", 2812, None, "'nosuch'"),
    ("SELECT @x", 137, None, "@x"),
    ("INSERT INTO t (a, b) VALUES (1)", 109, None, "VALUES"),
    ("SELECT N'a' COLLATE Latin1_General_BIN2 + b FROM t WHERE b COLLATE Latin1_General_BIN2 = b COLLATE "
        "Latin1_General_CI_AS", 468, None, "conflict"),
    ("CREATE TABLE t (a int)", 2714, True, "'t'"),
    ("DROP TABLE nosuch", 3701, True, "'nosuch'"),
    ("CREATE TABLE x (a nosuch)", 2715, None, "nosuch"),
    ("SELECT CAST(GETDATE() AS date) + 1", 206, None, "clash"),
    ("RAISERROR('a %s', 16, 1, 'b')", 50000, True, "a b"),
    ("THROW 50005, 'thrown', 1", 50005, None, "thrown"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("sql", "number", "goes_on", "words"), ERRORS, ids=[f"{item[1]} {item[0][:50]}" for item in ERRORS]
)
def test_an_error_has_its_number_and_its_consequence(
    tables: World, client: Client, sql: str, number: int, goes_on: bool | None, words: str
) -> None:
    client.session.begin()
    client.run("INSERT INTO parent VALUES (77)")
    try:
        found = client.all(f"{sql}; SELECT 'after' AS here")
        went_on = found[-2] == [("after",)]
        error = next(item for item in found if isinstance(item, SqlError))
    except SqlError as raised:
        went_on, error = False, raised
    assert error.number == number
    assert words in error.message
    assert went_on is bool(goes_on)
    # Errors of conversion take the transaction with them; the others leave it open with all it did before.
    assert client.session.trancount == (0 if goes_on is False else 1)
    kept = client.value("SELECT COUNT(*) FROM parent WHERE a = 77")
    assert kept == client.session.trancount
    client.session.abandon()


def test_syntax_errors_run_nothing(tables: World, client: Client) -> None:
    assert client.error("INSERT INTO parent VALUES (50); SELEKT 1").number == 102
    assert client.error("SELECT 1 FROM t WHERE").number == 102
    assert client.error("SELECT 'open").number == 105
    assert client.value("SELECT COUNT(*) FROM parent WHERE a = 50") == 0


def test_xact_abort_takes_everything_back_and_ends_the_batch(tables: World, client: Client) -> None:
    with pytest.raises(SqlError, match="pk_t"):
        client.all(
            "SET XACT_ABORT ON; BEGIN TRAN; INSERT INTO parent VALUES (60); INSERT INTO t (a, b) VALUES (1, "
            "N'x'); SELECT 1"
        )
    assert client.session.trancount == 0
    assert client.value("SELECT COUNT(*) FROM parent WHERE a = 60") == 0
    head = "BEGIN TRAN; BEGIN TRY INSERT INTO t (a, b) VALUES (1, N'x') END TRY BEGIN CATCH "
    assert client.rows(head + "SELECT XACT_STATE(), @@TRANCOUNT, ERROR_NUMBER(); ROLLBACK END CATCH") == [(-1, 1, 2627)]
    assert client.error(head + "INSERT INTO parent VALUES (61) END CATCH").number == 3930
    assert client.error(head + "COMMIT END CATCH").number == 3930
    assert client.error(head + "PRINT 'no rollback' END CATCH").number == 3998
    assert client.session.trancount == 0


def test_commit_and_rollback_without_a_transaction(client: Client) -> None:
    assert client.error("COMMIT").number == 3902
    assert client.error("ROLLBACK").number == 3903
    assert client.value("BEGIN TRAN; BEGIN TRAN; COMMIT; SELECT @@TRANCOUNT") == 1
    assert client.value("ROLLBACK; SELECT @@TRANCOUNT") == 0


def test_a_savepoint(tables: World, client: Client) -> None:
    client.run(
        "BEGIN TRAN; INSERT INTO parent VALUES (70); SAVE TRAN s; INSERT INTO parent VALUES (71); ROLLBACK TRAN "
        "s; COMMIT"
    )
    assert client.rows("SELECT a FROM parent WHERE a >= 70") == [(70,)]
    client.run("DELETE FROM parent WHERE a = 70")


def test_a_failed_statement_undoes_itself_only(client: Client) -> None:
    client.run("CREATE TABLE whole (a int PRIMARY KEY)")
    client.session.begin()
    client.run("INSERT INTO whole VALUES (1)")
    assert client.error("INSERT INTO whole VALUES (2), (1)").number == 2627
    client.run("INSERT INTO whole VALUES (3)")
    client.session.commit()
    assert client.rows("SELECT a FROM whole ORDER BY a") == [(1,), (3,)]


def test_two_writers_that_wait_for_each_other(world: World, client: Client) -> None:
    client.run("CREATE TABLE crossed (a int PRIMARY KEY, b int)", "INSERT INTO crossed VALUES (1, 0), (2, 0)")
    together, found = threading.Barrier(2), []

    def write(first: int, second: int) -> None:
        other = world.login()
        other.session.begin()
        other.run(f"UPDATE crossed SET b += 1 WHERE a = {first}")
        together.wait(10)
        try:
            other.run(f"UPDATE crossed SET b += 1 WHERE a = {second}")
            other.session.commit()
            found.append(0)
        except SqlError as error:
            found.append(error.number)
            assert other.session.trancount == 0

    threads = [threading.Thread(target=write, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(found) == [0, 1205]
    assert client.rows("SELECT b FROM crossed") == [(1,), (1,)]


def test_waiting_ends_by_lock_timeout_or_cancel(world: World, client: Client) -> None:
    client.run("CREATE TABLE held (a int PRIMARY KEY, b int)", "INSERT INTO held VALUES (1, 0)")
    other = world.login()
    other.session.begin()
    other.run("UPDATE held SET b = 1")
    found = client.all("SET LOCK_TIMEOUT 50; UPDATE held SET b = 2; SELECT @@LOCK_TIMEOUT; SET LOCK_TIMEOUT -1")
    assert [item.number for item in found if isinstance(item, SqlError)] == [1222]
    threading.Timer(0.3, client.session.cancel).start()
    started = time.monotonic()
    with pytest.raises(SqlError, match="cancelled"):
        client.all("UPDATE held SET b = 2")
    assert time.monotonic() - started < 5
    threading.Timer(0.2, client.session.cancel).start()
    with pytest.raises(SqlError, match="cancelled"):
        client.all("WAITFOR DELAY '00:00:20'")
    other.session.commit()
    assert client.value("SELECT b FROM held") == 1


def test_snapshot_isolation(world: World, client: Client) -> None:
    client.run("CREATE TABLE seen (a int PRIMARY KEY, b int)", "INSERT INTO seen VALUES (1, 0)")
    other = world.login()
    client.run("SET TRANSACTION ISOLATION LEVEL SNAPSHOT")
    assert client.error("SELECT * FROM seen").number == 3952
    other.run(f"ALTER DATABASE {world.name} SET ALLOW_SNAPSHOT_ISOLATION ON")
    assert client.value("SELECT snapshot_isolation_state FROM sys.databases WHERE name = DB_NAME()") == 1
    client.session.begin()
    assert client.value("SELECT b FROM seen") == 0
    other.run("UPDATE seen SET b = 5")
    assert client.value("SELECT b FROM seen") == 0
    assert client.error("UPDATE seen SET b = 6").number == 3960
    assert client.session.trancount == 0
    assert client.value("SELECT b FROM seen") == 5


def test_upserts_under_holdlock_never_meet(world: World, client: Client) -> None:
    client.run("CREATE TABLE up (k int PRIMARY KEY, n int)")
    errors: list[int] = []

    def work() -> None:
        other = world.login()
        for key in range(15):
            sql = (f"MERGE up WITH (HOLDLOCK) AS t USING (SELECT {key} AS k) AS s ON s.k = t.k WHEN MATCHED THEN "
                f"UPDATE SET n = n + 1 "
                   "WHEN NOT MATCHED THEN INSERT (k, n) VALUES (s.k, 1);")  # fmt: skip
            try:
                other.run(sql)
            except SqlError as error:
                errors.append(error.number)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert client.rows("SELECT COUNT(*), SUM(n) FROM up") == [(15, 60)]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE counted SET n = n + 1 FROM counted LEFT JOIN (SELECT 1 AS k) s ON s.k = counted.k",
        "UPDATE TOP (1) counted SET n = n + 1",
        "UPDATE counted SET n = n + 1 OUTPUT deleted.n WHERE k = 1",
        "UPDATE counted SET n = counted.n + s.one FROM counted JOIN (SELECT 1 AS k, 1 AS one) s ON s.k = counted.k",
    ],
)
def test_no_update_is_lost_among_writers(world: World, client: Client, sql: str) -> None:
    client.run(
        "DROP TABLE IF EXISTS counted", "CREATE TABLE counted (k int, n int)", "INSERT INTO counted VALUES (1, 0)"
    )

    def work() -> None:
        other = world.login()
        for _ in range(15):
            other.run(sql)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert client.rows("SELECT n FROM counted") == [(60,)]


def test_application_locks(world: World, client: Client) -> None:
    other = world.login()
    client.session.begin()
    take = (
        "DECLARE @r int; EXEC @r = sp_getapplock @Resource = 'x', @LockMode = 'Exclusive', @LockOwner = "
        "'Transaction', @LockTimeout = 0; SELECT @r"
    )
    assert client.value(take) == 0
    other.session.begin()
    assert other.value(take) == -1
    client.session.commit()
    assert other.value(take) == 0
    other.session.rollback()


def test_temporary_tables_are_the_session_s_and_roll_back(world: World, client: Client) -> None:
    client.run(
        "CREATE TABLE #t (a int PRIMARY KEY, b nvarchar(5) COLLATE Latin1_General_BIN2)",
        "INSERT INTO #t VALUES (1, N'x')",
    )
    other = world.login()
    assert other.error("SELECT * FROM #t").number == 208
    other.run("CREATE TABLE #t (z int)")
    assert client.error("CREATE TABLE #t (a int)").number == 2714
    assert client.error("INSERT INTO #t VALUES (1, N'y')").number == 2627
    assert client.value("SELECT OBJECT_ID('tempdb..#t')") < 0
    sql = (
        "SELECT name, collation_name FROM tempdb.sys.columns WHERE object_id = OBJECT_ID('tempdb..#t') ORDER "
        "BY column_id"
    )
    assert client.rows(sql) == [("a", None), ("b", "Latin1_General_BIN2")]
    client.session.begin()
    client.run("DROP TABLE #t", "CREATE TABLE #u (a int)")
    client.session.rollback()
    assert client.rows("SELECT a, b FROM #t") == [(1, "x")]
    assert client.error("SELECT * FROM #u").number == 208
    client.session.reset()
    assert client.error("SELECT * FROM #t").number == 208


def test_bulk_load_is_part_of_the_transaction(client: Client) -> None:
    client.run("CREATE TABLE loaded (id int IDENTITY PRIMARY KEY, a nvarchar(3) NOT NULL, b int DEFAULT 7)")
    columns = client.session.bulk_columns("dbo.loaded", ["a", "b"])
    assert [(item.name, item.type.name, item.identity) for item in columns] == [
        ("a", "nvarchar", False),
        ("b", "int", False),
    ]
    client.session.begin()
    assert client.session.bulk_insert("loaded", columns, [("x\t\\", 1), ("y\n", None)], BulkOptions()) == 2
    assert client.rows("SELECT a, b FROM loaded ORDER BY id") == [("x\t\\", 1), ("y\n", 7)]
    with pytest.raises(SqlError, match="truncation") as caught:
        client.session.bulk_insert("loaded", columns, [("ok", 1), ("toolong", 2)], BulkOptions())
    assert caught.value.number == 4863
    with pytest.raises(SqlError, match="column 'a'"):
        client.session.bulk_insert("loaded", columns, [(None, 1)], BulkOptions())
    assert client.value("SELECT COUNT(*) FROM loaded") == 2
    client.session.rollback()
    assert client.value("SELECT COUNT(*) FROM loaded") == 0
    every = client.session.bulk_columns("loaded", [])
    client.session.bulk_insert("loaded", every, [(50, "k", 1)], BulkOptions(keep_identity=True))
    client.run("INSERT INTO loaded (a) VALUES (N'n')")
    assert client.rows("SELECT id FROM loaded ORDER BY id") == [(50,), (51,)]


def test_a_result_that_is_left_unread_does_no_harm(client: Client) -> None:
    client.run("CREATE TABLE many (a int)", "INSERT INTO many SELECT value FROM GENERATE_SERIES(1, 6000)")
    batch = client.session.batch("SELECT a FROM many")
    result = next(batch)
    assert next(iter(result.rows)) is not None  # type: ignore[union-attr]
    batch.close()
    assert client.value("SELECT COUNT(*) FROM many") == 6000
    batch = client.session.batch("SELECT a, 10 / (a - 5900) FROM many; SELECT 1")
    result = next(batch)
    with pytest.raises(SqlError, match="Divide by zero"):
        list(result.rows)  # type: ignore[union-attr]
    batch.close()
    assert client.value("SELECT 1") == 1

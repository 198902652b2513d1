"""What a transaction holds together, and what breaks it: DDL, failures, locks, other sessions."""

from __future__ import annotations

import contextlib
import threading

import pytest

from tests.contract.snowflake.conftest import Sql
from tests.support.snowflake import Account


def rows(sql: Sql, table: str = "t") -> list[tuple[int, ...]]:
    return sql(f"SELECT * FROM {table} ORDER BY 1")


@pytest.mark.parametrize(
    "ddl",
    [
        "CREATE TABLE u (a INT)",
        "CREATE TABLE t (a INT)",  # fails, and has committed all the same
        "DROP TABLE IF EXISTS nope",
        "ALTER TABLE t ADD COLUMN b INT",
        "COMMENT ON TABLE t IS 'x'",
        "CREATE SCHEMA s2",
    ],
)
def test_ddl_commits_what_is_open(sql: Sql, ddl: str) -> None:
    sql("CREATE TABLE t (a INT)")
    sql("BEGIN")
    sql("INSERT INTO t VALUES (1)")
    if ddl.startswith("CREATE TABLE t"):
        sql.error(ddl)
    else:
        sql(ddl)
    sql("ROLLBACK")
    assert sql.one(f"SELECT COUNT(*) FROM {sql.database}.PUBLIC.t") == 1


def test_a_failed_statement_undoes_itself_only(sql: Sql, other: Sql) -> None:
    sql("CREATE TABLE t (a INT)")
    sql("BEGIN")
    sql("INSERT INTO t VALUES (1)")
    sql.error("INSERT INTO t SELECT 'x'")
    sql.error("SELECT * FROM nope")
    sql.error("SELECT nofunction(1)")
    sql("INSERT INTO t VALUES (2)")
    assert rows(other) == []
    sql("COMMIT")
    assert rows(other) == [(1,), (2,)]


def test_an_uncommitted_transaction_ends_with_its_session(account: Account, sql: Sql) -> None:
    sql("CREATE TABLE t (a INT)")
    with contextlib.closing(Sql(account, sql.database)) as gone:
        gone("BEGIN")
        gone("DELETE FROM t")
        gone("INSERT INTO t VALUES (1)")
    assert rows(sql) == []
    sql("DELETE FROM t")  # and so does its lock


def test_autocommit_off_begins_by_itself(account: Account, sql: Sql) -> None:
    sql("CREATE TABLE t (a INT)")
    sql.connection.autocommit(False)
    sql("INSERT INTO t VALUES (1)")
    sql.connection.rollback()
    sql("INSERT INTO t VALUES (2)")
    sql.connection.commit()
    assert rows(sql) == [(2,)]


def test_writers_of_one_table_wait_for_each_other(account: Account, sql: Sql, other: Sql) -> None:
    sql("CREATE TABLE t (id INT, n INT)")
    sql("INSERT INTO t VALUES (1, 0)")
    sql("BEGIN")
    sql("UPDATE t SET n = n + 1 WHERE id = 1")
    waiting = threading.Thread(target=other, args=("UPDATE t SET n = n + 10 WHERE id = 1",))
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    sql("COMMIT")
    waiting.join(20)
    assert rows(sql) == [(1, 11)]


def test_a_lock_that_does_not_come_free(account: Account, sql: Sql, other: Sql) -> None:
    sql("CREATE TABLE t (a INT)")
    sql("BEGIN")
    sql("DELETE FROM t")
    account.order("POST", "/settings", {"lock_timeout_seconds": 0.3})
    assert other.error("DELETE FROM t") == 625
    other("INSERT INTO t VALUES (7)")  # inserts wait for nobody
    account.order("POST", "/settings", {"lock_timeout_seconds": 20, "idle_abort_seconds": 0})
    other("DELETE FROM t")  # an idle transaction that blocks is ended …
    assert sql.error("COMMIT") == 90143  # … and its session hears of it


def test_many_writers_lose_nothing(account: Account, sql: Sql) -> None:
    sql("CREATE TABLE t (id INT, n INT)")
    sql("INSERT INTO t VALUES (1, 0)")

    def add() -> None:
        with contextlib.closing(Sql(account, sql.database)) as own:
            for _ in range(5):
                own("BEGIN")
                own("MERGE INTO t USING (SELECT 1 AS id) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = t.n + 1")
                own("COMMIT")

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows(sql) == [(1, 20)]


def test_merge(sql: Sql) -> None:
    sql("CREATE TABLE t (id INT, n INT)")
    sql("CREATE TABLE s (id INT, n INT)")
    sql("INSERT INTO t VALUES (1, 1), (2, 2)")
    sql("INSERT INTO s VALUES (2, 20), (3, 30)")
    merge = (
        "MERGE INTO t USING s AS x ON t.id = x.id WHEN MATCHED THEN UPDATE SET t.n = x.n "
        "WHEN NOT MATCHED THEN INSERT (id, n) VALUES (x.id, x.n)"
    )
    assert sql(merge) == [(1, 1)]
    assert [column.name for column in sql.cursor.description] == ["number of rows inserted", "number of rows updated"]
    assert sql.cursor.rowcount == 2
    assert rows(sql) == [(1, 1), (2, 20), (3, 30)]
    sql("INSERT INTO s VALUES (3, 31)")
    assert sql.error(merge) == 100090
    assert rows(sql) == [(1, 1), (2, 20), (3, 30)]


def test_keys_are_noted_and_not_enforced(sql: Sql) -> None:
    sql("CREATE TABLE t (a INT PRIMARY KEY, b INT UNIQUE)")
    sql("INSERT INTO t VALUES (1, 1), (1, 1)")
    assert sql.one("SELECT COUNT(*) FROM t") == 2
    sql.error("INSERT INTO t VALUES (NULL, 1)")
    assert [row[4:6] for row in sql("SHOW PRIMARY KEYS IN TABLE t")] == [("A", 1)]

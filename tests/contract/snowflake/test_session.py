"""Logins, roles, query tags and history, asynchronous statements, names."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
import snowflake.connector
from snowflake.connector.constants import QueryStatus
from snowflake.connector.errors import Error

from tests.contract.snowflake.conftest import Sql
from tests.support.snowflake import Account


def wait(sql: Sql, query: str, *, seconds: float = 20) -> QueryStatus:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        status = sql.connection.get_query_status(query)
        if not sql.connection.is_still_running(status):
            return status
        time.sleep(0.02)
    raise AssertionError("still running")


def test_login_wants_the_password_and_the_authority(account: Account, database: str, monkeypatch: Any) -> None:
    with pytest.raises(Error, match="Incorrect username or password"):
        account.connect(database, password="wrong")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(Error):
        account.connect(database, login_timeout=2)


def test_the_session_knows_itself(account: Account, sql: Sql) -> None:
    found = sql("SELECT CURRENT_USER(), CURRENT_ROLE(), CURRENT_WAREHOUSE(), CURRENT_DATABASE(), CURRENT_SCHEMA()")
    assert found == [(account.started["user"], "ACCOUNTADMIN", "WH", sql.database, "PUBLIC")]
    account.advance(days=65)
    moved = sql.one("SELECT CURRENT_TIMESTAMP()").timestamp() - time.time()
    assert moved == pytest.approx(65 * 86400, abs=60)


def test_roles(account: Account, sql: Sql) -> None:
    password = account.user("LOADER", "LOADER_ROLE")
    sql("CREATE TABLE t (a INT)")
    sql("GRANT SELECT ON TABLE t TO ROLE LOADER_ROLE")
    sql("GRANT USAGE ON WAREHOUSE WH TO ROLE LOADER_ROLE")
    account.stage(sql.database)
    with contextlib.closing(Sql(account, sql.database, user="LOADER", password=password)) as loader:
        assert loader("SELECT * FROM t") == []
        assert loader.error("INSERT INTO t VALUES (1)") == 3001
        assert loader.error("CREATE TABLE u (a INT)") == 3001
        assert loader.error("LIST @land") == 2003
        copy = "COPY INTO t FROM @land FILE_FORMAT = (TYPE = PARQUET) MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE"
        sql("GRANT USAGE ON STAGE land TO ROLE LOADER_ROLE")
        assert loader.error(copy) == 3001
        assert loader.error("USE ROLE ACCOUNTADMIN") == 3013
        assert loader.error("ALTER TABLE t SWAP WITH t") == 3001
        sql("GRANT INSERT ON TABLE t TO ROLE LOADER_ROLE")
        loader("INSERT INTO t VALUES (1)")
        sql("REVOKE SELECT ON TABLE t FROM ROLE LOADER_ROLE")
        assert loader.error("SELECT * FROM t") == 3001
    assert sql.one("SELECT COUNT(*) FROM t") == 1


def test_statements_are_found_by_their_tag(account: Account, sql: Sql, other: Sql) -> None:
    sql("ALTER SESSION SET QUERY_TAG = 'icebridge:run-1'")
    sql("SELECT 41 + 1")
    sql.error("SELECT * FROM nope")
    sql("ALTER SESSION UNSET QUERY_TAG")
    sql.cursor.execute("SELECT 43", _statement_params={"QUERY_TAG": "icebridge:run-2"})
    found = other(
        "SELECT query_text, execution_status, error_code FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY("
        "RESULT_LIMIT => 1000)) WHERE query_tag LIKE 'icebridge:run-%' AND query_text LIKE 'SELECT%' "
        "ORDER BY start_time"
    )
    expected = [("SELECT 41 + 1", "SUCCESS", None), ("SELECT * FROM nope", "FAILED_WITH_ERROR", "002003")]
    assert found == [*expected, ("SELECT 43", "SUCCESS", None)]


def test_asynchronous_statements(account: Account, sql: Sql) -> None:
    sql("CREATE TABLE t (a INT)")
    account.fail("slow", "INSERT INTO t", seconds=1)
    sql.cursor.execute_async("INSERT INTO t VALUES (1)")
    query = sql.cursor.sfqid
    assert sql.connection.get_query_status(query) == QueryStatus.RUNNING
    assert wait(sql, query) == QueryStatus.SUCCESS
    sql.cursor.get_results_from_sfqid(query)
    assert sql.cursor.fetchall() == [(1,)]
    sql.cursor.execute_async("SELECT * FROM nope")
    assert wait(sql, sql.cursor.sfqid) == QueryStatus.FAILED_WITH_ERROR
    with pytest.raises(Error, match="does not exist"):
        sql.connection.get_query_status_throw_if_error(sql.cursor.sfqid)
    unknown = sql.connection.get_query_status("00000000-0000-0000-0000-000000000000")
    assert unknown == QueryStatus.NO_DATA


@pytest.mark.parametrize("by", ["driver", "sql"])
def test_a_canceled_statement_does_nothing(account: Account, sql: Sql, other: Sql, by: str) -> None:
    sql("CREATE TABLE t (a INT)")
    account.fail("slow", "INSERT INTO t", seconds=30)
    sql.cursor.execute_async("INSERT INTO t VALUES (1)")
    query = sql.cursor.sfqid
    if by == "driver":
        assert sql.cursor.abort_query(query)
    else:
        assert "terminated" in other.one(f"SELECT SYSTEM$CANCEL_QUERY('{query}')")
    assert wait(sql, query) == QueryStatus.FAILED_WITH_ERROR
    assert sql("SELECT * FROM t") == []
    ((code,),) = other(
        "SELECT error_code FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY_BY_USER(RESULT_LIMIT => 50)) "
        f"WHERE query_id = '{query}'"
    )
    assert code == "000604"


def test_a_running_query_is_interrupted(account: Account, sql: Sql) -> None:
    sql("CREATE TABLE n AS SELECT 1 AS a")
    for _ in range(14):
        sql("INSERT INTO n SELECT a + (SELECT COUNT(*) FROM n) FROM n")
    sql.cursor.execute_async("SELECT COUNT(*) FROM n a, n b, n c WHERE MOD(a.a * b.a + c.a, 7) = 3")
    time.sleep(0.3)
    sql.cursor.abort_query(sql.cursor.sfqid)
    assert wait(sql, sql.cursor.sfqid) == QueryStatus.FAILED_WITH_ERROR


def test_a_long_statement_is_waited_for(account: Account, sql: Sql) -> None:
    account.order("POST", "/settings", {"answer_within_seconds": 0.2})
    account.fail("slow", "SELECT 5", seconds=0.7)
    assert sql.one("SELECT 5") == 5


NAMES = [
    "t", "T", "Mixed Case", 'two " quotes', "it's", "ü-ß-日本", "a.b", "select", "100%", "back\\slash",
    "; DROP TABLE x", "--c", "/*c*/", "$1", "a$b", "a\tb", " ", "é" * 255,
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_odd_names(account: Account, sql: Sql, name: str) -> None:
    given = '"' + name.replace('"', '""') + '"'
    column = given if name != "T" else '"x"'
    sql(f"CREATE TABLE {given} ({column} INT, \"other\" VARCHAR(3)) COMMENT = 'c'")
    sql(f"INSERT INTO {given} ({column}) VALUES (1)")
    merge = f"MERGE INTO {given} t USING {given} s ON t.{column} = s.{column} WHEN MATCHED THEN UPDATE SET {column} = 2"
    assert sql(merge) == [(1,)]
    assert sql(f"SELECT {column} FROM {given}") == [(2,)]
    assert sql.cursor.description[0].name == (name if name != "T" else "x")
    assert sql(f"DESC TABLE {given}")[0][0] == (name if name != "T" else "x")
    assert (name, "c") in sql("SELECT table_name, comment FROM information_schema.tables")
    sql(f"CREATE TABLE swapped LIKE {given}")
    sql(f"ALTER TABLE {given} SWAP WITH swapped")
    assert sql(f"SELECT * FROM {given}") == []


def test_names_are_exact(sql: Sql) -> None:
    sql('CREATE TABLE t ("id" INT, N INT)')
    assert sql.error('SELECT * FROM "t"') == 2003
    assert sql.error("SELECT id FROM t") == 904
    assert sql.error('INSERT INTO t ("n") VALUES (1)') == 904
    sql('INSERT INTO t ("id", n) VALUES (1, 2)')
    assert sql('SELECT "id", N AS "n" FROM T WHERE n = 2 ORDER BY "n"') == [(1, 2)]
    assert sql.error('CREATE TABLE "t" (a INT)') == 2  # the stand-in cannot, and says so


def test_errors_are_snowflakes(sql: Sql) -> None:
    sql("CREATE TABLE t (a INT, s VARCHAR(5))")
    codes = {
        "SELEC 1": 1003, "SELECT nofunction(1)": 2140, "SELECT 1; SELECT 2": 8, "ALTER SESSION SET NONSENSE = 1": 1006,
        "CREATE TABLE t (a INT)": 2002, "CREATE WAREHOUSE w": 2, "SET x = 1": 2,
        "ALTER TABLE t ALTER COLUMN s SET DATA TYPE VARCHAR(3)": 2108,
        "ALTER TABLE t ALTER COLUMN a TYPE VARCHAR": 2108,
    }  # fmt: skip
    assert {text: sql.error(text) for text in codes} == codes
    sql("ALTER TABLE t ALTER COLUMN s SET DATA TYPE VARCHAR(30)")


def test_values_are_bound(account: Account, database: str) -> None:
    with contextlib.closing(Sql(account, database, paramstyle="qmark")) as bound:
        bound("CREATE TABLE t (a INT, b VARCHAR)")
        bound.cursor.executemany("INSERT INTO t VALUES (?, ?)", [(1, "x'); DROP TABLE t; --"), (2, None)])
        assert bound.cursor.rowcount == 2
        assert bound("SELECT * FROM t WHERE a = ?", (1,)) == [(1, "x'); DROP TABLE t; --")]


def test_hash_agg(sql: Sql) -> None:
    sql("CREATE TABLE t (a INT, b VARCHAR)")
    sql("CREATE TABLE u (a INT, b VARCHAR)")
    assert sql.one("SELECT HASH_AGG(*) FROM t") == 0
    sql("INSERT INTO t VALUES (1, 'x'), (2, NULL), (2, NULL)")
    sql("INSERT INTO u VALUES (2, NULL), (1, 'x'), (2, NULL)")
    assert sql.one("SELECT HASH_AGG(*) FROM t") == sql.one("SELECT HASH_AGG(a, b) FROM u")
    sql("DELETE FROM u WHERE a = 1")
    assert sql.one("SELECT HASH_AGG(*) FROM t") != sql.one("SELECT HASH_AGG(*) FROM u")


def test_no_secret_is_told(account: Account, sql: Sql) -> None:
    with pytest.raises(Error) as raised:
        snowflake.connector.connect(**account.arguments(sql.database, user="NOBODY"))
    told = json.dumps(account.order("GET", "/requests")) + str(raised.value)
    assert account.started["password"] not in told

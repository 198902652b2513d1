"""Faults on order: what the client sees, and that nothing is done twice."""

from __future__ import annotations

import contextlib

import pytest
from snowflake.connector.errors import Error

from tests.contract.snowflake.conftest import Sql
from tests.support.snowflake import Account


@pytest.fixture
def table(sql: Sql) -> None:
    sql("CREATE TABLE t (a INT)")


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("fault", ["lost", "cut", 500, 503])
def test_the_driver_asks_again_and_nothing_happens_twice(account: Account, sql: Sql, fault: int | str) -> None:
    account.fail(fault, "INSERT INTO t")
    sql("INSERT INTO t VALUES (1)")
    assert sql("SELECT * FROM t") == [(1,)]
    assert len(account.queries("INSERT INTO t VALUES (1)")) >= 1


@pytest.mark.usefixtures("table")
def test_an_answer_that_never_comes(account: Account, sql: Sql) -> None:
    sql("ALTER SESSION SET QUERY_TAG = 'gone-1'")
    account.fail("gone", "INSERT INTO t")
    with pytest.raises(Error):
        sql("INSERT INTO t VALUES (1)")
    tag = "SELECT execution_status FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY()) WHERE query_tag = 'gone-1' "
    with contextlib.closing(Sql(account, sql.database)) as looker:
        assert looker(tag + "AND query_text LIKE 'INSERT%'") == [("SUCCESS",)]
        assert looker("SELECT * FROM t") == [(1,)]


@pytest.mark.usefixtures("table")
def test_a_commit_whose_answer_is_lost_has_happened(account: Account, sql: Sql, other: Sql) -> None:
    sql("BEGIN")
    sql("INSERT INTO t VALUES (1)")
    account.fail("gone", "^COMMIT")
    with pytest.raises(Error):
        sql("COMMIT")
    assert other("SELECT * FROM t") == [(1,)]


@pytest.mark.usefixtures("table")
def test_an_ordered_error_does_nothing(account: Account, sql: Sql) -> None:
    account.fail("error", "INSERT INTO t", code=604, skip=1)
    sql("INSERT INTO t VALUES (1)")
    assert sql.error("INSERT INTO t VALUES (2)") == 604
    sql("INSERT INTO t VALUES (3)")
    assert sql("SELECT * FROM t ORDER BY a") == [(1,), (3,)]


def test_orders_are_checked_and_want_the_credential(account: Account) -> None:
    assert account.admin.post("/faults", json=[{"fault": "nonsense"}]).status_code == 400
    assert account.admin.post("/faults", json=[{"fault": 500, "typo": 1}]).status_code == 400
    assert account.admin.get("/queries", headers={"Authorization": "Bearer no"}).status_code == 401


def test_a_killed_session_must_log_in_again(account: Account, sql: Sql) -> None:
    account.order("POST", "/sessions/kill")
    with pytest.raises(Error):
        sql("SELECT 1")

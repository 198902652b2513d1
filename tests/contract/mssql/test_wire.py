"""The stand-in's wire, spoken to by unmodified clients: logins, statements, transactions, faults."""

# ruff: noqa: DTZ001 - these moments have no zone on the server either
from __future__ import annotations

import datetime
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pymssql
import pytest

from tests.support.mssql import SqlServer

ONE = "EVAL [ResultSet(columns=[Column(name='a', type=SqlType(name='int'))], rows=[[1]]), Count(rows=1)]"


def failing(number: int, severity: int = 14) -> str:
    return f"EVAL (_ for _ in ()).throw(SqlError({number}, 'said by a test', severity={severity}))"


def python_rows(connection: Any, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        return [tuple(row) for row in cursor.execute(sql, *parameters).fetchall()]


def commits(server: SqlServer) -> int:
    with server.pymssql(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("COMMITS")
        return int(cursor.fetchall()[0][0])


@pytest.mark.parametrize("encryption", ["off", "request", "require"])
def test_pymssql_logs_in_with_and_without_tls(mssql_wire: SqlServer, encryption: str) -> None:
    with mssql_wire.pymssql(encryption=encryption) as connection, connection.cursor() as cursor:
        cursor.execute(ONE)
        assert cursor.fetchall() == [(1,)]


@pytest.mark.parametrize("encrypt", ["no", "optional", "yes", "strict"])
def test_mssql_python_logs_in_with_and_without_tls(mssql_wire: SqlServer, encrypt: str) -> None:
    pinned = str(Path(mssql_wire.ca_file).with_name("server.pem"))  # minded by strict only
    with mssql_wire.mssql_python(Encrypt=encrypt, ServerCertificate=pinned) as connection:
        assert python_rows(connection, ONE) == [(1,)]


@pytest.mark.parametrize("encrypt", ["yes", "strict"])
def test_a_certificate_that_nobody_vouches_for_is_refused(mssql_wire: SqlServer, encrypt: str) -> None:
    with pytest.raises(Exception, match="certificate verify failed"):
        mssql_wire.mssql_python(Encrypt=encrypt, TrustServerCertificate="no")


def test_a_wrong_password_is_18456(mssql_wire: SqlServer) -> None:
    with pytest.raises(pymssql.OperationalError, match="Login failed for user 'sa'") as caught:
        mssql_wire.pymssql(password="wrong")
    assert caught.value.args[0][0] == 18456
    with pytest.raises(Exception, match="Login failed for user 'sa'"):
        mssql_wire.mssql_python(PWD="wrong")


def test_errors_carry_their_number_and_leave_the_connection_open(mssql_wire: SqlServer) -> None:
    with mssql_wire.pymssql() as connection, connection.cursor() as cursor:
        with pytest.raises(pymssql.IntegrityError) as caught:
            cursor.execute(failing(2627))
        assert caught.value.args[0] == 2627
        cursor.execute(ONE)
        assert cursor.fetchall() == [(1,)]
    with mssql_wire.mssql_python() as connection:
        with pytest.raises(Exception, match="said by a test"):
            python_rows(connection, failing(2627) + " # ?", 1)
        assert python_rows(connection, ONE) == [(1,)]


def test_an_error_after_rows_is_raised_not_swallowed(mssql_wire: SqlServer) -> None:
    rows = "((i if i < 70000 else (_ for _ in ()).throw(SqlError(8134, 'Divide by zero')),) for i in range(90000))"
    text = f"EVAL [ResultSet(columns=[Column(name='a', type=SqlType(name='int'))], rows={rows})]"
    with mssql_wire.pymssql() as connection, connection.cursor() as cursor:
        cursor.execute(text)
        with pytest.raises(pymssql.Error, match="Divide by zero"):
            cursor.fetchall()
    with mssql_wire.mssql_python() as connection, connection.cursor() as cursor:
        cursor.execute(text)
        with pytest.raises(Exception, match="Divide by zero"):
            sum(batch.num_rows for batch in cursor.arrow_reader(batch_size=1000))


def test_an_error_of_severity_20_ends_the_connection(mssql_wire: SqlServer) -> None:
    connection = mssql_wire.pymssql()
    cursor = connection.cursor()
    with pytest.raises(pymssql.Error):
        cursor.execute(failing(40197, 20))
    with pytest.raises(pymssql.Error):
        cursor.execute(ONE)


def test_counts_reach_both_clients_for_plain_and_prepared_statements(mssql_wire: SqlServer) -> None:
    with mssql_wire.pymssql() as connection, connection.cursor() as cursor:
        cursor.execute("EVAL [Count(rows=7)]")
        assert cursor.rowcount == 7
    with mssql_wire.mssql_python() as connection, connection.cursor() as cursor:
        assert cursor.execute("EVAL [Count(rows=7)]").rowcount == 7
        assert cursor.execute("EVAL [Count(rows=8)] # ?", 1).rowcount == 8


def test_several_results_and_messages_of_one_batch(mssql_wire: SqlServer) -> None:
    text = ONE.replace("EVAL [", "EVAL [Message(number=0, text='hello'), ")[:-1] + f", Count(rows=3), *{ONE[5:]}]"
    with mssql_wire.pymssql() as connection, connection.cursor() as cursor:
        cursor.execute(text)
        first = cursor.fetchall()
        cursor.nextset()
        assert (first, cursor.fetchall()) == ([(1,)], [(1,)])
    with mssql_wire.mssql_python() as connection, connection.cursor() as cursor:
        cursor.execute(text)
        first = cursor.fetchall()
        assert cursor.nextset()
        cursor.nextset()
        assert (len(first), len(cursor.fetchall())) == (1, 1)


def test_transactions_of_both_clients(mssql_wire: SqlServer) -> None:
    mssql_wire.forget_statements()
    with mssql_wire.mssql_python() as connection:
        python_rows(connection, ONE)
        connection.commit()
        python_rows(connection, ONE)
        connection.rollback()
    spoken = [one["text"] for one in mssql_wire.statements(kind="transaction")]
    assert spoken[:1] == ["BEGIN TRAN"] and [one for one in spoken if one != "BEGIN TRAN"][:2] == [
        "COMMIT TRAN", "ROLLBACK TRAN"]  # fmt: skip
    with mssql_wire.pymssql() as connection, connection.cursor() as cursor:
        cursor.execute(ONE)
        connection.commit()
        assert len(mssql_wire.statements("COMMIT TRAN", kind="batch")) == 1


def test_parameters_of_prepared_statements_keep_type_and_value(mssql_wire: SqlServer) -> None:
    moment = datetime.datetime(2024, 2, 29, 23, 59, 59, 999999)
    given = (1, -(2**40), "é😀\x00", Decimal("-12345678901234567890.0123456789"), 1.5, True, b"\x00\xff", moment,
             datetime.date(1753, 1, 1), datetime.time(1, 2, 3, 4), "x" * 5000, b"y" * 9000)  # fmt: skip
    places = ", ".join("?" * len(given))
    with mssql_wire.mssql_python() as connection:
        assert python_rows(connection, f"ECHO {places}", *given) == [given]
        zone = datetime.timezone(datetime.timedelta(hours=-9, minutes=-30))
        assert python_rows(connection, "ECHO ?", moment.replace(tzinfo=zone)) == [(moment.replace(tzinfo=zone),)]


def test_executemany_calls_the_prepared_statement_for_each_row(mssql_wire: SqlServer) -> None:
    mssql_wire.forget_statements()
    with mssql_wire.mssql_python() as connection, connection.cursor() as cursor:
        cursor.executemany("EVAL [Count(rows=1)] # ?, ?", [(1, "a"), (2, "b"), (3, "c")])
        assert cursor.rowcount == 3


def test_a_pooled_connection_is_reset_before_it_is_used_again(mssql_wire: SqlServer) -> None:
    for _ in range(2):
        mssql_wire.forget_statements()
        connection = mssql_wire.mssql_python(ConnectRetryCount="0")
        assert python_rows(connection, ONE) == [(1,)]
        connection.close()
    assert [one["kind"] for one in mssql_wire.statements()][:1] == ["reset"]


def test_output_parameters_of_a_procedure(mssql_wire: SqlServer) -> None:
    with mssql_wire.pymssql() as connection, connection.cursor() as cursor:
        found = cursor.callproc("some_procedure", (5, pymssql.output(int, 21)))
        assert tuple(found) == (5, 42)


def test_attention_stops_a_statement_and_the_connection_goes_on(mssql_wire: SqlServer) -> None:
    connection = mssql_wire.mssql_python()
    connection.timeout = 1
    started = time.monotonic()
    with pytest.raises(Exception, match="timeout expired"):
        python_rows(connection, "SLEEP 30")
    assert 0.5 < time.monotonic() - started < 5
    assert python_rows(connection, ONE) == [(1,)]


def test_a_big_result_may_be_left_in_the_middle(mssql_wire: SqlServer) -> None:
    with mssql_wire.mssql_python() as connection:
        with connection.cursor() as cursor:
            assert len(cursor.execute("MANY 100000000").fetchmany(10)) == 10
        assert python_rows(connection, ONE) == [(1,)]
    with mssql_wire.pymssql() as connection, connection.cursor() as cursor:
        cursor.execute("MANY 100000000")
        assert len(cursor.fetchmany(10)) == 10
        connection._conn.cancel()
        cursor.execute(ONE)
        assert cursor.fetchall() == [(1,)]


def test_a_client_that_goes_away_is_noticed_while_its_statement_runs(mssql_wire: SqlServer) -> None:
    connection = mssql_wire.pymssql(timeout=1)
    with pytest.raises(pymssql.Error):
        connection.cursor().execute("SLEEP 60")
    deadline = time.monotonic() + 10
    while any(one["busy"] for one in mssql_wire.order("GET", "/connections")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(one["busy"] for one in mssql_wire.order("GET", "/connections"))


def test_ordered_errors_meet_the_statement_they_name(mssql_wire: SqlServer) -> None:
    with mssql_wire.pymssql() as connection, connection.cursor() as cursor:
        mssql_wire.fail(1205, "EVAL", skip=1)
        cursor.execute(ONE)
        cursor.fetchall()
        with pytest.raises(pymssql.OperationalError) as caught:
            cursor.execute(ONE)
        assert caught.value.args[0] == 1205
        cursor.execute(ONE)
        assert cursor.fetchall() == [(1,)]
    assert mssql_wire.waiting_faults() == []


def test_faults_meet_logins_only_when_they_are_told_to(mssql_wire: SqlServer) -> None:
    mssql_wire.fail(40613, kind="login")
    with pytest.raises(pymssql.OperationalError, match="not currently available"):
        mssql_wire.pymssql()
    mssql_wire.fail(1205, "login|EVAL")
    with mssql_wire.pymssql() as connection, connection.cursor() as cursor, pytest.raises(pymssql.Error) as caught:
        cursor.execute(ONE)
    assert caught.value.args[0] == 1205


@pytest.mark.parametrize(("fault", "committed"), [("drop_before_commit", False), ("drop_after_commit", True)])
@pytest.mark.parametrize("client", ["pymssql", "mssql_python"])
def test_the_connection_breaks_around_a_commit(mssql_wire: SqlServer, fault: str, committed: bool, client: str) -> None:
    before = commits(mssql_wire)
    connection = getattr(mssql_wire, client)()
    with connection.cursor() as cursor:
        cursor.execute("EVAL [Count(rows=1)]")
        mssql_wire.fail(fault)
        with pytest.raises(Exception, match=r"dead|link failure"):
            connection.commit()
    assert commits(mssql_wire) - before == committed


def test_a_result_that_is_cut_off_is_an_error_for_pymssql(mssql_wire: SqlServer) -> None:
    mssql_wire.fail("cut", "MANY", rows=5000)
    with mssql_wire.pymssql() as connection, connection.cursor() as cursor:
        cursor.execute("MANY 100000")
        with pytest.raises(pymssql.OperationalError, match="Unexpected EOF"):
            cursor.fetchall()


def test_mssql_python_ends_quietly_when_a_result_is_cut_off(mssql_wire: SqlServer) -> None:
    """Seen in mssql-python 1.16: the next statement fails, the reader does not. Readers must ask whether all came."""
    mssql_wire.fail("cut", "MANY", rows=5000)
    connection = mssql_wire.mssql_python()
    with connection.cursor() as cursor:
        cursor.execute("MANY 100000")
        assert sum(batch.num_rows for batch in cursor.arrow_reader(batch_size=1000)) == 5000
    with pytest.raises(Exception, match="link failure"):
        python_rows(connection, ONE)


def test_latency_and_freezing_hold_statements_back(mssql_wire: SqlServer) -> None:
    with mssql_wire.pymssql() as connection, connection.cursor() as cursor:
        mssql_wire.fail("latency_ms", "EVAL", milliseconds=300)
        started = time.monotonic()
        cursor.execute(ONE)
        cursor.fetchall()
        assert time.monotonic() - started >= 0.3
        mssql_wire.limits(frozen=True)
        threading.Timer(0.3, lambda: mssql_wire.limits(frozen=False)).start()
        started = time.monotonic()
        cursor.execute(ONE)
        assert time.monotonic() - started >= 0.25


def test_connections_over_the_limit_and_killed_ones(mssql_wire: SqlServer) -> None:
    with mssql_wire.pymssql() as first:
        held = len(mssql_wire.order("GET", "/connections"))
        mssql_wire.limits(max_connections=held)
        with pytest.raises(pymssql.OperationalError):
            mssql_wire.pymssql(login_timeout=2)
        mssql_wire.limits(max_connections=0)
        assert mssql_wire.kill() >= 1
        with pytest.raises(pymssql.Error):
            first.cursor().execute(ONE)


def test_admin_wants_its_bearer_and_known_orders(mssql_wire: SqlServer) -> None:
    assert mssql_wire.admin.get("/faults", headers={"Authorization": "Bearer x"}).status_code == 401
    assert mssql_wire.admin.post("/faults", json=[{"fault": "explode"}]).status_code == 400
    assert mssql_wire.admin.post("/faults", json=[{"fault": 1205, "tables": "x"}]).status_code == 400
    assert mssql_wire.admin.get("/nothing").status_code == 404
    assert mssql_wire.waiting_faults() == []

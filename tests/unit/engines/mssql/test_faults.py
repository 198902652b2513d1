"""What the clients raise, as errors that say what to do next: numbers, words, and nothing secret."""

from __future__ import annotations

import pytest

from icebridge_provider.engines.mssql.connect import SqlServerLogin, freetds_conf, told
from icebridge_provider.engines.mssql.faults import (
    RETRYABLE,
    Attempt,
    connection_lost,
    error_for,
    is_retryable,
    number_of,
    said,
)
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, TransientError

pymssql = pytest.importorskip("pymssql")
odbc = pytest.importorskip("mssql_python.exceptions")
ATTEMPT = Attempt(server="db:1433/sales", what="read dbo.t", conn_id="erp", right="SELECT ON dbo.t")
UNREACHED = b"DB-Lib error message 20009, severity 9:\nUnable to connect\n"
DEAD = "x DB-Lib error message 20047, severity 9:\nDBPROCESS is dead or not enabled\n"
DEADLOCK = (1205, b"Transaction (Process ID 5) was deadlocked.DB-Lib error message 20018, severity 13:\nGeneral\n")


def pymssql_error(number: int, text: str) -> Exception:
    return pymssql.OperationalError(number, text.encode())


def odbc_error(sqlstate: str, text: str) -> Exception:
    found = odbc.sqlstate_to_exception(sqlstate, f"[Microsoft][ODBC Driver 18 for SQL Server][SQL Server]{text}")
    return found or odbc.DatabaseError(driver_error="An error occurred", ddbc_error=f"[Microsoft][x][SQL Server]{text}")


@pytest.mark.parametrize(
    ("error", "number", "code"),
    [
        (pymssql.OperationalError(*DEADLOCK), 1205, "IB-820"),
        (pymssql.OperationalError(DEADLOCK), 1205, "IB-820"),  # as connect gives it
        (pymssql_error(1222, "Lock request time out period exceeded."), 1222, "IB-820"),
        (pymssql_error(40613, "Database 'x' on server 'y' is not currently available."), 40613, "IB-820"),
        (pymssql_error(0, DEAD), 20047, "IB-820"),
        (pymssql.OperationalError((20002, UNREACHED)), 20002, "IB-820"),
        # pymssql tells the number of the failed login before
        (pymssql.OperationalError((18456, UNREACHED)), 20009, "IB-820"),
        (pymssql_error(18456, "Login failed for user 'sa'.DB-Lib error message 20018"), 18456, "IB-821"),
        (pymssql_error(4060, "Cannot open database"), 4060, "IB-821"),
        (pymssql_error(229, "The SELECT permission was denied on the object 't'"), 229, "IB-822"),
        (pymssql_error(208, "Invalid object name 'nope'."), 208, "IB-824"),
        (pymssql_error(2627, "Violation of PRIMARY KEY constraint"), 2627, "IB-824"),
        (odbc_error("40001", "Transaction (Process ID 5) was deadlocked on lock resources"), 1205, "IB-820"),
        (odbc_error("08S01", "TCP Provider: Error code 0x68"), 10054, "IB-820"),
        (odbc_error("HYT00", "Lock request time out period exceeded."), 1222, "IB-820"),
        (odbc_error("28000", "Login failed for user 'sa'."), 18456, "IB-821"),
        (odbc_error("42S02", "Invalid object name 'nope'."), 208, "IB-824"),
        (odbc_error("42S02", "Invalid object name 'deadlocks'."), 208, "IB-824"),
        (odbc_error("42000", "The SELECT permission was denied on the object 't'"), 229, "IB-822"),
        (odbc_error("08001", "SSL Provider: [error:0A000086:SSL routines::certificate verify failed]"), 0, "IB-823"),
        (odbc_error("42000", "Snapshot isolation transaction failed accessing database 'x' because snapshot isolation "
                             "is not allowed in this database."), 3952, "IB-824"),
        (ConnectionResetError("x"), None, "IB-820"),
        (ValueError("x"), None, "IB-824"),
    ],
)  # fmt: skip
def test_an_error_is_known_by_its_number_or_its_words(error: Exception, number: int | None, code: str) -> None:
    assert number_of(error) == number
    found = error_for(error, ATTEMPT)
    assert (found.code, found.retryable) == (code, code == "IB-820")
    assert "db:1433/sales" in found.message
    assert is_retryable(error) is (number in RETRYABLE)


@pytest.mark.parametrize(
    "number", [1205, 1222, 3960, 40197, 40501, 40613, 49918, 10928, 10054, 233, 64, 20, -2, 20017, 20047]
)
def test_what_may_work_later_is_tried_again(number: int) -> None:
    assert isinstance(error_for(pymssql_error(number, "x"), ATTEMPT), TransientError)


@pytest.mark.parametrize("number", [2627, 2601, 547, 515, 8152, 2628, 245, 8114, 208, 229, 18456, 102])
def test_what_stays_wrong_is_not(number: int) -> None:
    assert isinstance(error_for(pymssql_error(number, "x"), ATTEMPT), ConfigurationError)


def test_an_unknown_outcome_is_told_from_a_rolled_back_one() -> None:
    assert all(connection_lost(pymssql_error(number, "x")) for number in (10054, 20047, 20003, -2, 233))
    assert connection_lost(odbc_error("08S01", "Communication link failure"))
    assert not any(connection_lost(pymssql_error(number, "x")) for number in (1205, 1222, 2627, 3960))


def test_errors_of_ours_go_through() -> None:
    error = ConfigurationError("IB-829", "x", remedy="y")
    assert error_for(error, ATTEMPT) is error


def test_what_the_server_says_is_one_line_without_the_clients_wrapping() -> None:
    assert said(pymssql.OperationalError(*DEADLOCK)) == "Transaction (Process ID 5) was deadlocked"
    assert said(odbc_error("42S02", "Invalid object name 'a\nb'.")) == "Invalid object name 'a b'"
    assert said(pymssql_error(50000, "could not open with password=hunter2 today")).find("hunter2") == -1


def login(**more: object) -> SqlServerLogin:
    given = {"host": "db", "database": "sales", "user": "me", "secret": "hunter2", **more}
    return SqlServerLogin(**given)  # type: ignore[arg-type]


def test_a_login_never_shows_its_secret() -> None:
    assert "hunter2" not in repr(login())
    assert login().server == "db:1433/sales"
    with pytest.raises(IceBridgeError) as found, told(login(conn_id="erp"), "connect"):
        raise pymssql_error(18456, "Login failed for user 'me'.")
    assert "hunter2" not in f"{found.value!s} {found.value.facts} {found.value.to_json()}"
    assert found.value.__cause__ is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("host", ""), ("host", "db;PWD=x"), ("host", "db,1433"), ("host", "db\\instance"), ("host", "db\n"),
        ("database", ""), ("database", "a\0b"), ("user", ""), ("port", 0), ("port", 70000), ("encrypt", "maybe"),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=rf"IB-826.*{field}"):
        login(**{field: value})


def test_freetds_checks_the_certificate_unless_it_is_told_not_to() -> None:
    checked = freetds_conf(login(ca_file="/ca.pem", certificate_host="sql.example.com"))
    assert "encryption = require" in checked
    assert "ca file = /ca.pem" in checked
    assert "check certificate hostname = yes" in checked
    assert "certificate hostname = sql.example.com" in checked
    assert "ca file = " in freetds_conf(login()), "the system's authorities"
    assert "ca file" not in freetds_conf(login(trust_certificate=True))
    assert "ca file" in freetds_conf(login(trust_certificate=True, encrypt="strict")), "strict trusts nobody unseen"

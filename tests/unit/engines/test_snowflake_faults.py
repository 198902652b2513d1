"""Errors of Snowflake's connector, as it builds them from real answers."""

from __future__ import annotations

import pytest
from snowflake.connector.errors import (
    DatabaseError,
    Error,
    ForbiddenError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    ServiceUnavailableError,
)

from icebridge_provider.engines.snowflake import faults
from icebridge_provider.engines.snowflake.describing import as_exported
from icebridge_provider.engines.snowflake.faults import Attempt
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, TransientError

ATTEMPT = Attempt(account="ACME", what="load it", conn_id="snow", statement="INSERT INTO t SELECT 1", role="LOADER")
LOCKED = (
    "Statement '01b6c04c-0108-5374-0008-50d700010052' has locked table 'LINEITEM' in transaction 1725239781553000000"
    " and this lock has not yet been released.\nYour statement '01b6c04c-0108-5374-0008-50d700010056' was aborted"
    " because the number of waiters for this lock exceeds the 20 statements limit."
)


def raised(number: int, text: str, state: str = "42000") -> IceBridgeError:
    error = ProgrammingError(msg=text, errno=number, sqlstate=state, sfqid="01b6c04c-0108-5374-0008-50d700010052")
    found = faults.error_for(error, ATTEMPT)
    assert isinstance(found, IceBridgeError)
    return found


@pytest.mark.parametrize(
    ("number", "text", "code", "shown"),
    [
        (625, LOCKED, "IB-935", "LINEITEM"),
        (2003, "SQL compilation error:\nTable 'D.S.T' does not exist or not authorized.", "IB-933", "table D.S.T"),
        (2003, "SQL compilation error:\nStage 'D.S.X' does not exist or not authorized.", "IB-933", "stage D.S.X"),
        (3001, "SQL access control error:\nInsufficient privileges to operate on stage 'LAND'", "IB-932", "LAND"),
        (606, "No active warehouse selected in the current session.", "IB-936", "warehouse"),
        (90105, "Cannot perform operation. This session does not have a current database.", "IB-936", "database"),
        (904, "SQL compilation error: error line 1 at position 7\ninvalid identifier 'X'", "IB-934", "'X'"),
        (100038, "Numeric value 'abc' is not recognized", "IB-934", "abc"),
        (630, "Statement reached its statement or warehouse timeout of 60 second(s) and was canceled.", "IB-930", "60"),
        (999_999, "what nobody has seen", "IB-934", "what nobody has seen"),
    ],
)  # fmt: skip
def test_what_snowflake_says_is_shown_in_one_line(number: int, text: str, code: str, shown: str) -> None:
    found = raised(number, text)
    assert found.code == code
    assert shown in found.message
    assert "\n" not in str(found)
    assert "01b6c04c-0108-5374-0008-50d700010052:" not in str(found)
    assert found.retryable == (code in {"IB-930", "IB-935"})


@pytest.mark.parametrize(
    ("kind", "statement", "grant"),
    [
        ("table 'T'", "INSERT INTO t …", "GRANT INSERT ON TABLE T TO ROLE LOADER"),
        ("table 'T'", "merge into t …", "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE T TO ROLE LOADER"),
        ("table 'T'", "ALTER TABLE t …", "GRANT OWNERSHIP ON TABLE T TO ROLE LOADER"),
        ("schema 'PUBLIC'", "CREATE TABLE t …", "GRANT CREATE TABLE ON SCHEMA PUBLIC TO ROLE LOADER"),
        ("stage 'LAND'", "COPY INTO t …", "GRANT USAGE ON STAGE LAND TO ROLE LOADER"),
        ("integration 'S3'", "COPY INTO t …", "GRANT USAGE ON INTEGRATION S3 TO ROLE LOADER"),
        ("warehouse 'WH'", "SELECT 1", "GRANT USAGE ON WAREHOUSE WH TO ROLE LOADER"),
        ("something new", "SELECT 1", "Grant the role what the message names"),
    ],
)
def test_a_missing_right_names_the_grant(kind: str, statement: str, grant: str) -> None:
    error = ProgrammingError(msg=f"Insufficient privileges to operate on {kind}", errno=3001, sqlstate="42501")
    attempt = Attempt(account="ACME", what="load it", conn_id="snow", statement=statement, role="LOADER")
    found = faults.error_for(error, attempt)
    assert isinstance(found, ConfigurationError)
    assert found.remedy.startswith(grant)


@pytest.mark.parametrize(
    "error",
    [
        InterfaceError(msg="404 Not Found: post https://acme.example:443/queries?token=abcdef", errno=290404),
        OperationalError(msg="250003: Failed to execute request: HTTPSConnectionPool(host='acme')", errno=250003),
        ServiceUnavailableError(errno=503),
        ProgrammingError(msg="Session no longer exists.  New login required.", errno=390111),
        DatabaseError(msg="250002: Connection is closed", errno=250002),
        ConnectionResetError(104, "Connection reset by peer"),
        TimeoutError("timed out"),
    ],
)
def test_no_answer_is_told_without_the_noise(error: Exception) -> None:
    found = faults.error_for(error, ATTEMPT)
    assert isinstance(found, TransientError)
    assert found.code == "IB-930"
    assert faults.lost(error)
    assert not any(word in str(found) for word in ("https", "host=", "abcdef", "Pool", "errno", "250003"))


def test_a_mistake_of_ours_is_not_hidden() -> None:
    mistake = AttributeError("no such thing")
    assert faults.error_for(mistake, ATTEMPT) is mistake
    assert not faults.lost(mistake)


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (DatabaseError(msg="Failed to connect to DB: acme.example:443. JWT token is invalid.", errno=250001),
         "IB-931", "JWT token is invalid"),
        (ForbiddenError(msg="Failed to connect to DB. Verify the account name is correct: acme.example:443.",
                        errno=250001), "IB-931", "ForbiddenError"),
        (OperationalError(msg="Could not connect to Snowflake backend after 2 attempt(s)", errno=250001), "IB-930", ""),
        (ConnectionRefusedError(111, "refused"), "IB-930", ""),
        (PermissionError(13, "Permission denied: key.p8"), "IB-931", "PermissionError"),
        (ValueError("Could not deserialize key data."), "IB-931", "deserialize"),
        (RuntimeError("password=hunter2"), "IB-931", "RuntimeError"),
    ],
)  # fmt: skip
def test_what_connecting_raises(error: Exception, code: str, shown: str) -> None:
    found = faults.refused_login(error, ATTEMPT)
    assert found.code == code
    assert shown in found.message
    assert "hunter2" not in str(found)


def test_credentials_in_a_text_are_hidden() -> None:
    found = raised(1003, "syntax error: CREDENTIALS = (AWS_KEY_ID='AKIAIOSFODNN7EXAMPLE' password='hunter2')")
    assert "hunter2" not in str(found)
    assert "AKIAIOSFODNN7EXAMPLE" not in str(found)


def test_an_error_without_a_number_is_no_answer() -> None:
    assert faults.number_of(Error(msg="?")) == 0
    assert faults.lost(Error(msg="?"))


@pytest.mark.parametrize(
    ("url", "spelled"),
    [
        ("s3://bucket/folder/", "s3://bucket/folder/"),
        ("gcs://bucket/folder/", "gs://bucket/folder/"),
        ("azure://acc.blob.core.windows.net/box/folder/", "abfss://box@acc.dfs.core.windows.net/folder/"),
        ("azure://acc.blob.core.windows.net/box", "abfss://box@acc.dfs.core.windows.net"),
    ],
)
def test_a_stages_url_as_databricks_spells_it(url: str, spelled: str) -> None:
    assert as_exported(url) == spelled

"""Who may log in and do what: errors of the engine for Snowflake that a person mends."""

from __future__ import annotations

import socket
from typing import Any

import certifi
import pytest

from icebridge_provider.engines.snowflake.describing import comment, describe, stage_url
from icebridge_provider.engines.snowflake.target import SnowflakeTarget
from icebridge_provider.exceptions import ConfigurationError, TransientError
from icebridge_provider.model.snowflake import SnowflakeColumn, Statement
from tests.contract.snowflake.conftest import Sql
from tests.support.snowflake import Account

SELECT = Statement(text="SELECT 1")
NOISE = ("http://", "https://", "127.0.0.1", "requestId", "250001", "Traceback")


def target_of(account: Account, database: str | None, **more: Any) -> SnowflakeTarget:
    return SnowflakeTarget(lambda: account.connect(database, **more), name="snow", account="ACME.eu-west-1")


def test_a_wrong_password_is_told_without_it(account: Account, database: str) -> None:
    with pytest.raises(ConfigurationError, match=r"IB-931.*ACME.*'snow'.*Incorrect username or password") as raised:
        target_of(account, database, password="nobody-knows-this").run("look", SELECT)
    assert "nobody-knows-this" not in str(raised.value)
    assert not any(noise in str(raised.value) for noise in NOISE)


def test_an_untrusted_certificate_is_told(account: Account, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    with pytest.raises(ConfigurationError, match=r"IB-931.*certificate.*REQUESTS_CA_BUNDLE") as raised:
        target_of(account, database).run("look", SELECT)
    assert not any(noise in str(raised.value) for noise in NOISE)


def test_nobody_there_may_be_tried_again(account: Account, database: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(TransientError, match=r"IB-930.*ACME.*no answer to: look at a statement") as raised:
        target_of(account, database, port=port, login_timeout=1).look("01234567-89ab-cdef-0123-456789abcdef")
    assert not any(noise in str(raised.value) for noise in NOISE)


def test_what_is_no_fault_of_snowflakes_is_told(database: str) -> None:
    def connect() -> Any:
        raise ValueError("The private_key_file path points to an empty or invalid file.")

    with pytest.raises(ConfigurationError, match=r"IB-931.*private_key_file path"):
        SnowflakeTarget(connect, name="snow").run(f"look at {database}", SELECT)


def test_a_session_without_a_database_has_no_history(account: Account) -> None:
    with (
        target_of(account, None, schema=None) as target,
        pytest.raises(ConfigurationError, match=r'IB-936.*no database.*"database"'),
    ):
        target.start("look", SELECT, "icebridge:login:1")


@pytest.fixture
def loader(account: Account, database: str, sql: Sql) -> SnowflakeTarget:
    """A target whose role may do nothing yet; the table T is there."""
    password = account.user(f"LOADER_{database}", f"LOADING_{database}")
    sql("CREATE TABLE t (a INT)")
    sql(f"GRANT USAGE ON WAREHOUSE WH TO ROLE LOADING_{database}")
    return target_of(account, database, user=f"LOADER_{database}", password=password)


@pytest.mark.parametrize(
    ("statement", "right"),
    [
        ("INSERT INTO t VALUES (1)", "GRANT INSERT ON TABLE"),
        ("MERGE INTO t USING t AS s ON t.a = s.a WHEN MATCHED THEN UPDATE SET a = 1", "GRANT SELECT, INSERT, UPDATE,"),
        ("CREATE TABLE mine (a INT)", "GRANT CREATE TABLE ON SCHEMA"),
    ],
)
def test_a_missing_right_is_told_as_the_grant_to_type(
    loader: SnowflakeTarget, sql: Sql, statement: str, right: str
) -> None:
    sql(f"GRANT SELECT ON TABLE t TO ROLE LOADING_{sql.database}")
    with loader, pytest.raises(ConfigurationError) as raised:
        loader.run("write", Statement(text=statement))
    assert raised.value.code == "IB-932"
    assert right in raised.value.remedy
    assert f"TO ROLE LOADING_{sql.database}" in raised.value.remedy


def test_what_only_an_owner_may_do_is_told(account: Account, database: str) -> None:
    denied = "SQL access control error:\nInsufficient privileges to operate on table 'T'"
    account.fail("error", "^COMMENT", code=3001, message=denied)
    with target_of(account, database) as target, pytest.raises(ConfigurationError, match="IB-932") as raised:
        target.run("label the table", Statement(text="COMMENT ON TABLE t IS 'x'"))
    assert raised.value.remedy.startswith("GRANT OWNERSHIP ON TABLE T TO ROLE ACCOUNTADMIN")


def test_a_granted_right_is_enough(loader: SnowflakeTarget, sql: Sql) -> None:
    with loader:
        sql(f"GRANT INSERT ON TABLE t TO ROLE LOADING_{sql.database}")
        assert loader.run("write", Statement(text="INSERT INTO t VALUES (1)")).affected == 1


def test_a_table_is_described(account: Account, database: str, sql: Sql) -> None:
    sql('CREATE TABLE "Odd ""t""" (ID NUMBER(10,2) NOT NULL, "na me" VARCHAR(20) DEFAULT \'x\', d DOUBLE)')
    sql('COMMENT ON TABLE "Odd ""t""" IS \'about 100% of it\'')
    table = (database, "PUBLIC", 'Odd "t"')
    with target_of(account, database) as target:
        assert describe(target, table) == [
            SnowflakeColumn(name="ID", type="NUMBER(10,2)", nullable=False),
            SnowflakeColumn(name="na me", type="VARCHAR(20)", has_default=True),
            SnowflakeColumn(name="D", type="FLOAT"),
        ]
        assert comment(target, table) == "about 100% of it"
        missing = (database, "PUBLIC", "ODD")
        assert describe(target, missing) is None
        assert comment(target, missing) is None


def test_a_stage_tells_where_it_points(account: Account, database: str) -> None:
    account.stage(database, "LAND", prefix="share/data/")
    with target_of(account, database) as target:
        assert stage_url(target, (database, "PUBLIC", "LAND")) == "s3://bucket/share/data/"
        with pytest.raises(ConfigurationError, match=r"IB-933.*NOWHERE"):
            stage_url(target, (database, "PUBLIC", "NOWHERE"))


def test_a_missing_schema_is_not_taken_for_a_missing_table(account: Account, database: str) -> None:
    account.fail("error", "^DESCRIBE", code=2003, message=f"Schema '{database}.NO' does not exist or not authorized.")
    with target_of(account, database) as target, pytest.raises(ConfigurationError, match=r"IB-933.*schema") as raised:
        describe(target, (database, "NO", "T"))
    assert raised.value.facts["object"] == f"{database}.NO"

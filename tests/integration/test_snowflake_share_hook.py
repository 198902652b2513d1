"""The hook for shares: Airflow's own SnowflakeHook, unmodified, behind a load's target."""

from __future__ import annotations

import json
from typing import Any

import pytest

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.hooks.snowflake import SnowflakeShareHook
from icebridge_provider.model.snowflake import Statement
from tests.support.snowflake import Account

pytestmark = pytest.mark.airflow
NAME = "AIRFLOW_CONN_SHARE_SNOW"


@pytest.fixture
def hook(snowflake: Account, monkeypatch: pytest.MonkeyPatch) -> SnowflakeShareHook:
    monkeypatch.setenv(NAME, snowflake.airflow_uri(snowflake.database(), region="eu-west-1", lock_timeout=77))
    return SnowflakeShareHook("share_snow")


def test_a_target_runs_statements(hook: SnowflakeShareHook) -> None:
    assert hook.database.startswith("DB")
    assert hook.account.endswith(".eu-west-1")
    with hook.target() as target:
        assert target.name == "share_snow"
        asked = Statement(text="SELECT CURRENT_DATABASE(), %(x)s", values={"x": "a'b"})
        assert target.run("look", asked).rows == ((hook.database, "a'b"),)
        found = target.start("look", Statement(text="SELECT 1"), "icebridge:hook:1")
        assert target.find("icebridge:hook:1") == found
    assert hook.test_connection() == (True, "Snowflake answers.")


def test_a_connection_has_our_timeouts_and_no_heartbeat(hook: SnowflakeShareHook, snowflake: Account) -> None:
    opened = hook.get_conn()
    try:
        assert (opened.login_timeout, opened.network_timeout) == (60, 120)
        assert opened.client_session_keep_alive is False
        assert opened.application == "IceBridge"
    finally:
        opened.close()
    with hook.target() as target:
        target.run("look", Statement(text="SELECT 1"))
    assert "LOCK_TIMEOUT = 77" in snowflake.queries("ALTER SESSION")[-1]["text"]


@pytest.mark.parametrize("key", ["lock_timeout", "login_timeout", "network_timeout"])
def test_a_timeout_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    extra = {"account": "a", key: "soon"}
    monkeypatch.setenv(
        NAME, json.dumps({"conn_type": "snowflake", "login": "u", "password": "secret-9", "extra": extra})
    )
    with pytest.raises(ConfigurationError, match=rf"IB-936.*{key}.*'soon'") as raised:
        SnowflakeShareHook("share_snow").target()
    assert "secret-9" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "code"), [(None, "IB-102"), ({"conn_type": "mssql", "host": "h"}, "IB-103")]
)  # fmt: skip
def test_a_connection_that_does_not_fit_is_told(monkeypatch: pytest.MonkeyPatch, given: Any, code: str) -> None:
    monkeypatch.delenv(NAME, raising=False)
    if given:
        monkeypatch.setenv(NAME, json.dumps(given))
    with pytest.raises(ConfigurationError, match=code):
        SnowflakeShareHook("share_snow").target()


def test_a_key_that_cannot_be_read_is_told_at_the_first_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"account": "a", "private_key_file": "/nowhere/key.p8"}
    monkeypatch.setenv(NAME, json.dumps({"conn_type": "snowflake", "login": "u", "extra": extra}))
    answered, told = SnowflakeShareHook("share_snow").test_connection()
    assert not answered
    assert "IB-931" in told
    assert "private_key_file path points to an empty or invalid file" in told


def test_key_pairs_and_tokens_go_through_as_airflow_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from icebridge_provider.hooks.snowflake import _parameters, _provider_hook

    token = {"conn_type": "snowflake", "login": "u", "password": "pat-1",
             "extra": {"account": "a", "authenticator": "programmatic_access_token"}}  # fmt: skip
    monkeypatch.setenv(NAME, json.dumps(token))
    given = _parameters(_provider_hook("share_snow"))
    assert (given["authenticator"], given["token"]) == ("programmatic_access_token", "pat-1")
    assert "pat-1" not in repr(SnowflakeShareHook("share_snow").target())


@pytest.mark.parametrize(("given", "name"), [("sales", "SALES"), ('"Sales ""x"""', 'Sales "x"'), ("", "")])
def test_the_database_is_named_as_snowflake_reads_it(monkeypatch: pytest.MonkeyPatch, given: str, name: str) -> None:
    extra = {"account": "a", "database": given}
    monkeypatch.setenv(NAME, json.dumps({"conn_type": "snowflake", "login": "u", "extra": extra}))
    assert SnowflakeShareHook("share_snow").database == name

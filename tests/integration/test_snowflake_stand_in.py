"""Airflow's own SnowflakeHook, unmodified, against the local account."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.snowflake import Account

pytestmark = pytest.mark.airflow


@pytest.fixture
def hook(snowflake: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    from airflow.providers.snowflake.hooks.snowflake import SnowflakeHook

    monkeypatch.setenv("AIRFLOW_CONN_SNOW", snowflake.airflow_uri(snowflake.database()))
    yield SnowflakeHook(snowflake_conn_id="snow", session_parameters={"QUERY_TAG": "from-airflow"})
    assert "AIRFLOW_CONN_SNOW" in os.environ


def test_the_hook_runs_statements(hook, snowflake: Account) -> None:
    hook.run(
        "CREATE TABLE tagged (a INT, b VARCHAR); INSERT INTO tagged VALUES (1, 'x'), (2, NULL);", split_statements=True
    )
    assert hook.get_records("SELECT * FROM tagged ORDER BY a") == [(1, "x"), (2, None)]
    assert hook.get_first("SELECT COUNT(*) FROM tagged WHERE b = %(b)s", parameters={"b": "x"}) == (1,)
    assert {query["tag"] for query in snowflake.queries("INSERT INTO tagged")} == {"from-airflow"}


def test_the_hook_rolls_back(hook, snowflake: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = type(hook)(snowflake_conn_id="snow")
    monkeypatch.setenv("AIRFLOW_CONN_SNOW", snowflake.airflow_uri(snowflake.database(), session_parameters=None))
    plain.run("CREATE TABLE t (a INT)")
    with pytest.raises(Exception, match="does not exist"):
        plain.run(["INSERT INTO t VALUES (1)", "INSERT INTO nope VALUES (1)"], autocommit=False)
    assert plain.get_records("SELECT * FROM t") == []


def test_with_session_parameters_only_a_written_begin_holds(hook) -> None:
    """The connector adds AUTOCOMMIT to the hook's own dict, and the hook takes it for the user's wish."""
    hook.run("CREATE TABLE t (a INT)")
    for begin, kept in (([], 1), (["BEGIN"], 1)):
        with pytest.raises(Exception, match="does not exist"):
            hook.run([*begin, "INSERT INTO t VALUES (1)", "INSERT INTO nope VALUES (1)"], autocommit=False)
        assert len(hook.get_records("SELECT * FROM t")) == kept


def test_the_hook_reads_a_frame(hook) -> None:
    hook.run(["CREATE TABLE t (a INT, b VARCHAR)", "INSERT INTO t VALUES (1, 'x')"], autocommit=True)
    frame = hook.get_df("SELECT * FROM t")
    assert frame.to_dict("records") == [{"A": 1, "B": "x"}]

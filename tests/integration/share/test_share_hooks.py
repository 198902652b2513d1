"""What the connections of a share give: pages, files, pace. Nothing is asked of either system."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from icebridge_provider.exceptions import ConfigurationError
from tests.support.airflow_cli import connection, environment

pytestmark = pytest.mark.airflow
KEYS = {"s3.endpoint": "http://127.0.0.1:1", "s3.access-key-id": "k", "s3.secret-access-key": "a-secret-key"}


def snowflake_connection(**extra: Any) -> str:
    return connection("snowflake", login="u", password="p", extra={"database": "ANALYTICS", **extra})


@pytest.fixture(autouse=True)
def home(airflow_cli_home: Path, tmp_path: Path) -> Iterator[None]:
    with environment(
        AIRFLOW_CONN_DBX=connection("databricks", host="https://dbc-1.cloud.databricks.com", password="dapi-x"),
        AIRFLOW_CONN_SNOW=snowflake_connection(account="acme-prod"),
        AIRFLOW_CONN_KEYS=connection("icebridge_catalog", extra=KEYS),
        AIRFLOW_CONN_CATALOG=connection("icebridge_catalog", extra={"type": "sql", "uri": "sqlite://", **KEYS}),
        AIRFLOW_CONN_ICEBRIDGE_LEDGER=connection("icebridge_ledger", schema=str(tmp_path / "ledger.db")),
    ):
        yield


def test_a_statement_has_a_page_in_the_workspace() -> None:
    from icebridge_provider.hooks.share import source_page

    assert source_page("dbx", "01f/?") == "https://dbc-1.cloud.databricks.com/sql/history?queryId=01f%2F%3F"
    assert source_page("dbx", "") == ""


@pytest.mark.parametrize(
    ("extra", "place"),
    [
        ({"account": "acme-prod"}, "acme/prod"),
        ({"account": "acme-prod", "host": "acme-prod.snowflakecomputing.com"}, "acme/prod"),
        ({"account": "xy12345.eu-central-1"}, "eu-central-1/xy12345"),
        ({"account": "xy12345", "region": "eu-central-1"}, "eu-central-1/xy12345"),
        ({"account": "xy12345"}, ""),
        ({"account": "acme-prod", "host": "127.0.0.1"}, ""),
        ({"account": "acme/..?-prod"}, ""),
    ],
)
def test_a_statement_has_a_page_in_snowsight_where_the_account_tells_it(extra: dict[str, Any], place: str) -> None:
    from icebridge_provider.hooks.share import target_page

    wanted = f"https://app.snowflake.com/{place}/#/compute/history/queries/01-a/detail" if place else ""
    with environment(AIRFLOW_CONN_SNOW=snowflake_connection(**extra)):
        assert target_page("snow", "01-a") == wanted


def test_files_are_reached_by_keys_without_a_catalog_and_by_a_catalogs_keys() -> None:
    from icebridge_provider.hooks.share import storage

    for name in ("keys", "catalog"):
        store: Any = storage(name)
        assert store._properties == KEYS, name
        assert "a-secret-key" not in repr(store)
    assert storage("")._properties == {}  # type: ignore[attr-defined] # the worker's own rights


@pytest.mark.parametrize(("conn_id", "code"), [("snow", "IB-889"), ("missing", "IB-889")])
def test_another_connection_is_no_storage(conn_id: str, code: str) -> None:
    from icebridge_provider.hooks.share import storage

    with pytest.raises(ConfigurationError, match=code):
        storage(conn_id)


def test_the_pace_is_the_presets_unless_the_configuration_says_otherwise() -> None:
    from icebridge_provider.hooks.share import paced

    assert paced("production").poll_seconds == 30
    with environment(AIRFLOW__ICEBRIDGE__SHARE_POLL_SECONDS="0.5"):
        assert paced("poc").poll_seconds == 0.5
    with pytest.raises(ConfigurationError, match="IB-908"):
        paced("fast")


def test_the_ends_must_be_what_they_are_named() -> None:
    from icebridge_provider.hooks.share import database_of, runner_of, workspace

    assert database_of("snow") == "ANALYTICS"
    with pytest.raises(ConfigurationError, match=r"IB-103.*snow"):
        workspace("snow")
    with pytest.raises(ConfigurationError, match=r"IB-103.*dbx"), runner_of("target", "dbx"):
        pass


def test_assets_and_datasets_are_named_apart_whatever_the_names_hold() -> None:
    from icebridge_provider.operators.share_tell import asset_uri

    assert asset_uri("snow", ("DB", "S", 'odd/"name é')) == "icebridge://snow/DB/S/odd%2F%22name%20%C3%A9"


def test_runs_of_two_dags_never_share_an_id_and_long_ones_fit() -> None:
    from types import SimpleNamespace

    from icebridge_provider.operators.share import run_of
    from icebridge_provider.steps.share_plan import refuse_unfit_run

    def made(dag_id: str, run_id: str) -> str:
        given: Any = {"dag_run": SimpleNamespace(dag_id=dag_id, run_id=run_id)}
        return run_of(given)

    names = [made("a", "x"), made("b", "x"), made("d" * 250, "r" * 249 + "1"), made("d" * 250, "r" * 249 + "2")]
    assert len(set(names)) == 4
    for name in names:
        refuse_unfit_run(name)

"""SQL over thrift: databricks-sql-connector as it is, and Airflow's DatabricksSqlHook on top of it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from databricks import sql
from databricks.sql.exc import Error

from tests.support.databricks import Workspace
from tests.support.sql_estate import WAREHOUSE, Estate, estate

PATH = f"/sql/1.0/warehouses/{WAREHOUSE}"


@pytest.fixture(scope="module")
def made(databricks: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Estate:
    found = estate(databricks, tmp_path_factory.mktemp("thrift"))
    assert found.sql("SELECT count(*) FROM {lake}.sales.orders") == [["3"]]  # the engine is up
    return found


@contextmanager
def cursor(made: Estate, principal: str = "admin", **more: Any) -> Iterator[Any]:
    given = {
        "server_hostname": made.workspace.host,
        "http_path": PATH,
        "access_token": made.workspace.token(principal),
        "_connection_uri": f"{made.workspace.url}{PATH}",
        "enable_telemetry": False,
        "use_cloud_fetch": False,
        **more,
    }
    with sql.connect(**given) as connection, connection.cursor() as found:
        yield found


def test_rows_have_their_types(made: Estate) -> None:
    with cursor(made) as found:
        found.execute(f"SELECT * FROM {made.lake}.sales.orders ORDER BY id")
        rows = found.fetchall()
        assert [column[1] for column in found.description] == ["bigint", "string", "decimal", "timestamp"]
    assert rows[0][:3] == (1, "city-1", Decimal("0.25"))
    assert rows[0][3] == datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC)
    assert rows[2][1] is None


def test_more_rows_than_one_fetch_and_none(made: Estate) -> None:
    with cursor(made) as found:
        found.arraysize = 10
        found.execute("SELECT id FROM range(25) ORDER BY id")
        assert [row[0] for row in found.fetchall()] == list(range(25))
        found.execute("SELECT id FROM range(25) WHERE id < 0")
        assert found.fetchall() == []


def test_parameters_namespace_and_use(made: Estate) -> None:
    with cursor(made, catalog=made.lake, schema="sales") as found:
        found.execute("SELECT count(*) FROM orders WHERE id < :n", {"n": 3})
        assert found.fetchone()[0] == 2
        found.execute(f"USE CATALOG {made.main}")
        with pytest.raises(Error, match="TABLE_OR_VIEW_NOT_FOUND"):
            found.execute("SELECT count(*) FROM orders")


def test_refusals_and_metadata(made: Estate) -> None:
    nobody = made.workspace.principal("nobody-thrift")
    with cursor(made, nobody) as found, pytest.raises(Error, match="INSUFFICIENT_PERMISSIONS"):
        found.execute(f"SELECT * FROM {made.lake}.sales.orders")
    with cursor(made) as found:
        names = [row[2] for row in found.tables(catalog_name=made.lake, schema_name="sales").fetchall()]
    assert sorted(names) == ["few", "orders"]
    with pytest.raises(Error), cursor(made, access_token="none"):
        pass


@pytest.mark.airflow
def test_airflows_hook_speaks_to_it(made: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    from airflow.providers.databricks.hooks.databricks_sql import DatabricksSqlHook

    extra = {
        "http_path": PATH,
        "_connection_uri": f"{made.workspace.url}{PATH}",
        "enable_telemetry": False,
        "use_cloud_fetch": False,
    }
    connection = {"conn_type": "databricks", "host": "127.0.0.1", "password": made.workspace.token("admin")}
    monkeypatch.setenv("AIRFLOW_CONN_DBX_SQL", json.dumps({**connection, "extra": extra}))
    hook = DatabricksSqlHook("dbx_sql")
    assert hook.get_first(f"SELECT count(*) FROM {made.lake}.sales.orders")[0] == 3

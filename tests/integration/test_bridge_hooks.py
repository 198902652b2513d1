"""Connections and the environment, as extraction and sync read them; no server is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from icebridge_provider.exceptions import ConfigurationError
from tests.support.airflow_cli import connection, environment

pytestmark = pytest.mark.airflow
SECRET = "hunter2-is-not-shown"
ENVIRONMENT = {
    "SQLSERVER_HOST": "erp.example.com", "SQLSERVER_DATABASE": "KWP", "SQLSERVER_USERNAME": "bridge",
    "SQLSERVER_PASSWORD": SECRET,
}  # fmt: skip
WORKSPACE = {"DATABRICKS_HOST": "https://dbc.example.com", "DATABRICKS_TOKEN": SECRET}


@pytest.fixture(autouse=True)
def _home(airflow_cli_home: Path) -> Iterator[None]:
    yield


def mssql(**extra: Any) -> Any:
    """The login of a connection with this extra."""
    from icebridge_provider.hooks.mssql import MsSqlBridgeHook

    text = connection(
        "mssql", host="erp.example.com", schema="KWP", login="bridge", password=SECRET, extra=extra or None
    )
    with environment(AIRFLOW_CONN_ERP=text):
        return MsSqlBridgeHook("erp").login()


def test_the_fields_mean_what_they_mean_to_airflows_own_hook() -> None:
    found = mssql()
    assert (found.host, found.port, found.database, found.user) == ("erp.example.com", 1433, "KWP", "bridge")
    assert (found.encrypt, found.trust_certificate, found.read_only) == ("yes", False, False)
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("extra", "encrypt"),
    [
        ({"encryption": "off"}, "no"), ({"encryption": "request"}, "optional"), ({"encryption": "require"}, "yes"),
        ({"encryption": "strict"}, "strict"), ({"encrypt": "Strict"}, "strict"),
        ({"encryption": "off", "encrypt": "yes"}, "yes"),
    ],
)  # fmt: skip
def test_encryption_is_said_in_either_language(extra: dict[str, str], encrypt: str) -> None:
    assert mssql(**extra).encrypt == encrypt


def test_the_extra_of_airflows_own_hook_is_taken() -> None:
    found = mssql(
        login_timeout="7", timeout=30, read_only="true", appname="month end", ca_file="/etc/ca.pem", charset="UTF-8",
        trust_server_certificate=True, host_name_in_certificate="erp", tds_version="7.4", sqlalchemy_scheme="mssql",
    )  # fmt: skip
    assert (found.login_seconds, found.query_seconds, found.read_only) == (7, 30, True)
    assert (found.application, found.ca_file, found.certificate_host) == ("month end", "/etc/ca.pem", "erp")
    assert found.trust_certificate


@pytest.mark.parametrize(
    ("extra", "code", "named"),
    [
        ({"encrpyt": "yes"}, "IB-884", "encrpyt"), ({"timeout": "soon"}, "IB-884", "timeout"),
        ({"encrypt": "sometimes"}, "IB-826", "encrypt"), ({"encryption": "maybe"}, "IB-826", "encrypt"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_by_name(extra: dict[str, str], code: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"{code}.*{named}") as met:
        mssql(**extra)
    assert SECRET not in str(met.value)


def test_without_a_connection_the_environment_says_where_the_server_is() -> None:
    from icebridge_provider.hooks.mssql import MsSqlBridgeHook

    with environment(**ENVIRONMENT, SQLSERVER_PORT="14330", SQLSERVER_ENCRYPT="strict"):
        found = MsSqlBridgeHook().login("KWP_Peru")
    assert (found.host, found.port, found.database, found.user, found.encrypt) == (
        "erp.example.com", 14330, "KWP_Peru", "bridge", "strict",
    )  # fmt: skip


@pytest.mark.parametrize("missing", sorted(ENVIRONMENT))
def test_the_missing_variable_is_named(missing: str) -> None:
    from icebridge_provider.hooks.mssql import login_of_environment

    with pytest.raises(ConfigurationError, match=rf"IB-883.*{missing}") as met:
        login_of_environment({name: value for name, value in ENVIRONMENT.items() if name != missing})
    assert SECRET not in str(met.value)


def test_a_connection_of_another_type_is_refused() -> None:
    from icebridge_provider.hooks.mssql import MsSqlBridgeHook

    with (
        environment(AIRFLOW_CONN_ERP=connection("postgres", host="x")),
        pytest.raises(ConfigurationError, match=r"IB-103.*mssql"),
    ):
        MsSqlBridgeHook("erp").login()


def test_the_test_button_says_what_is_wrong_and_no_secret() -> None:
    from icebridge_provider.hooks.mssql import MsSqlBridgeHook

    text = connection("mssql", host="127.0.0.1", port=1, schema="KWP", login="bridge", password=SECRET)
    with environment(AIRFLOW_CONN_ERP=text):
        well, said = MsSqlBridgeHook("erp").test_connection()
    assert not well
    assert "IB-820" in said
    assert SECRET not in said


def test_a_sync_without_connections_works_with_the_environment() -> None:
    from icebridge_provider.engines.databricks.bridge import WorkspaceEventQueue
    from icebridge_provider.engines.databricks.row_source import WorkspaceRowSource
    from icebridge_provider.engines.mssql.target import SqlServerTarget
    from icebridge_provider.hooks.bridge import queue_for, source_for, statements_of, target_for

    with environment(**ENVIRONMENT, **WORKSPACE, DATABRICKS_WAREHOUSE_ID="w1"):
        assert isinstance(queue_for("", "main.bridge.bridge_events"), WorkspaceEventQueue)
        assert isinstance(source_for(""), WorkspaceRowSource)
        assert isinstance(target_for(""), SqlServerTarget)
        assert statements_of(None).warehouse_id == "w1"
    for side in (lambda: queue_for("", "a.b.c"), lambda: source_for(""), lambda: target_for("")):
        with pytest.raises(ConfigurationError, match="IB-883"):
            side()


# Where files go


def test_a_location_that_is_given_wins_over_the_environment() -> None:
    from icebridge_provider.hooks.extraction import location_of

    volume = {"DATABRICKS_CATALOG": "main", "DATABRICKS_SCHEMA": "raw", "DATABRICKS_VOLUME": "landing"}
    assert location_of("", volume) == "/Volumes/main/raw/landing"
    assert location_of("s3://lake/raw/", volume) == "s3://lake/raw"
    with pytest.raises(ConfigurationError, match=r"IB-883.*DATABRICKS_SCHEMA"):
        location_of("", {**volume, "DATABRICKS_SCHEMA": ""})


@pytest.mark.parametrize(
    "given",
    [
        WORKSPACE,
        {"DATABRICKS_HOST": "dbc.example.com", "DATABRICKS_CLIENT_ID": "c", "DATABRICKS_CLIENT_SECRET": SECRET},
    ],
)
def test_a_workspace_of_the_environment(given: dict[str, str]) -> None:
    from icebridge_provider.hooks.extraction import workspace_of_environment

    found = workspace_of_environment(given)
    assert found.host == "dbc.example.com"
    assert SECRET not in repr(found)


@pytest.mark.parametrize("missing", ["DATABRICKS_HOST", "DATABRICKS_TOKEN"])
def test_half_a_workspace_is_refused(missing: str) -> None:
    from icebridge_provider.hooks.extraction import workspace_of_environment

    with pytest.raises(ConfigurationError, match=r"IB-883.*DATABRICKS_CLIENT_SECRET"):
        workspace_of_environment({name: value for name, value in WORKSPACE.items() if name != missing})


def test_each_kind_of_location_has_its_store(tmp_path: Path) -> None:
    from icebridge_provider.hooks.extraction import store_for
    from icebridge_provider.stores.object_store import ObjectStore
    from icebridge_provider.stores.volume import VolumeStore

    sql = {"type": "sql", "uri": f"sqlite:///{tmp_path}/catalog.db", "warehouse": f"file://{tmp_path}"}
    with environment(
        AIRFLOW_CONN_DBX=connection("databricks", host="https://dbc.example.com", password=SECRET),
        AIRFLOW_CONN_LAKE=connection("icebridge_catalog", extra=sql),
        **WORKSPACE,
    ):
        assert isinstance(store_for("dbx", "/Volumes/main/raw/landing"), VolumeStore)
        assert isinstance(store_for("", "/Volumes/main/raw/landing"), VolumeStore)
        assert isinstance(store_for("", str(tmp_path)), ObjectStore)
        assert isinstance(store_for("lake", "s3://lake/raw"), ObjectStore)
        for conn_id, location in (("lake", "/Volumes/main/raw/landing"), ("dbx", "s3://lake/raw"), ("gone", "/srv")):
            with pytest.raises(ConfigurationError, match="IB-889"):
                store_for(conn_id, location)
        with pytest.raises(ConfigurationError, match="IB-102"):
            store_for("gone", "/Volumes/main/raw/landing")


def test_the_folder_of_queries_must_be_named_somewhere(tmp_path: Path) -> None:
    from icebridge_provider.hooks.extraction import folder_of

    with pytest.raises(ConfigurationError, match="IB-888"):
        folder_of(" ")
    with environment(AIRFLOW__ICEBRIDGE__EXTRACTION_FOLDER=str(tmp_path)):
        assert folder_of("") == str(tmp_path)
        assert folder_of("/srv/other") == "/srv/other"

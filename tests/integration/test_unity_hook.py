"""What a connection of type ``databricks`` opens, and what it is told when it opens nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from icebridge_provider.catalogs.iceberg import IcebergCatalog
from icebridge_provider.catalogs.unity.catalog import UnityCatalog
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.hooks.catalog import catalog_for
from icebridge_provider.hooks.unity import UnityCatalogHook, warehouse_of

pytestmark = pytest.mark.airflow
SECRET = "dapi0123456789abcdefcanary"
HOST = {"conn_type": "databricks", "host": "https://dbc-1.cloud.databricks.com/", "password": SECRET}


def define(monkeypatch: pytest.MonkeyPatch, name: str = "dbx", extra: Any = None, **fields: Any) -> str:
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps({**HOST, "extra": extra or {}, **fields}))
    return name


def test_a_workspace_connection_is_a_unity_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"catalog": "Main", "http_path": "/sql/1.0/warehouses/abc123", "cluster": '{"num_workers": 2}'}
    found = catalog_for(define(monkeypatch, extra=extra))
    assert isinstance(found, UnityCatalog)
    assert (found.name, found.catalog, found.statements.warehouse_id) == ("dbx", "main", "abc123")
    assert found.workspace.url == "https://dbc-1.cloud.databricks.com"
    assert found.origin is None
    assert UnityCatalogHook("dbx").run_options() == {"cluster": {"num_workers": 2}}
    assert SECRET not in f"{found!r} {found.workspace!r} {vars(found.workspace)}"


def test_a_local_workspace_is_reached_by_schema_and_port(monkeypatch: pytest.MonkeyPatch) -> None:
    define(monkeypatch, extra={"catalog": "main"}, host="127.0.0.1", schema="http", port=8181)
    assert UnityCatalogHook("dbx").workspace().url == "http://127.0.0.1:8181"


def test_a_foreign_catalog_has_an_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    lake = {"conn_type": "icebridge_catalog", "extra": {"type": "rest", "uri": "http://h"}}
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(lake))
    found = UnityCatalogHook(define(monkeypatch, extra={"catalog": "f", "origin_conn_id": "lake"})).catalog()
    assert isinstance(found.origin, IcebergCatalog)
    assert found.origin.name == "lake"


def test_a_service_principal_signs_in_by_client_id_and_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"catalog": "main", "service_principal_oauth": True}
    workspace = UnityCatalogHook(define(monkeypatch, extra=extra, login="app-1")).workspace()
    assert workspace._login.kind == "oauth-m2m"
    assert SECRET not in repr(workspace._login)


@pytest.mark.parametrize(
    ("extra", "fields", "said"),
    [
        ({}, {}, "does not say which catalog"),
        ({"catalog": "main"}, {"password": ""}, "has no access token"),
        ({"catalog": "main"}, {"login": "me"}, "has no access token"),
        ({"catalog": "main"}, {"host": ""}, "has no host"),
        ({"catalog": "main", "service_principal_oauth": "true"}, {}, "without client id and secret"),
        ({"catalog": "main", "use_azure_managed_identity": True}, {}, "use_azure_managed_identity"),
        ({"catalog": "main", "predictive_optimization": "on"}, {}, "has predictive_optimization 'on'"),
    ],
)
def test_what_is_missing_is_named_and_nothing_secret(
    monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any], fields: dict[str, Any], said: str
) -> None:
    define(monkeypatch, extra=extra, **fields)
    with pytest.raises(ConfigurationError, match=said) as caught:
        catalog_for("dbx")
    assert caught.value.code == "IB-257"
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(("given", "enables"), [({}, False), ({"predictive_optimization": "Enable"}, True)])
def test_predictive_optimization_is_switched_on_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], *, enables: bool
) -> None:
    found = catalog_for(define(monkeypatch, extra={"catalog": "main", **given}))
    assert isinstance(found, UnityCatalog)
    assert found.enables_optimization is enables


def test_other_types_are_refused_with_those_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    define(monkeypatch, conn_type="http")
    with pytest.raises(ConfigurationError, match="icebridge_catalog or iceberg or databricks") as caught:
        catalog_for("dbx")
    assert caught.value.code == "IB-103"
    with pytest.raises(ConfigurationError) as caught:
        catalog_for("nobody_defined_this")
    assert caught.value.code == "IB-102"


def test_a_cluster_must_be_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    define(monkeypatch, extra={"catalog": "main", "cluster": "[1"})
    with pytest.raises(ConfigurationError, match="cluster"):
        UnityCatalogHook("dbx").run_options()


@pytest.mark.parametrize(
    ("extra", "found"),
    [
        ({"warehouse_id": "a"}, "a"),
        ({"http_path": "/sql/1.0/warehouses/b/"}, "b"),
        ({"http_path": "sql/protocolv1/o/1/2-3"}, ""),
        ({}, ""),
    ],
)
def test_the_warehouse_is_read_from_either_key(extra: dict[str, str], found: str) -> None:
    assert warehouse_of(extra) == found

"""``check-connection`` of a Unity catalog: each privilege that a migration takes, tried; the missing one named."""

from __future__ import annotations

import pytest

from icebridge_provider.catalogs.check import check_connection
from icebridge_provider.catalogs.iceberg import IcebergCatalog
from icebridge_provider.catalogs.unity.catalog import UnityCatalog
from icebridge_provider.catalogs.unity.workspace import Login
from icebridge_provider.catalogs.unity.workspace import Workspace as Client
from tests.support import tables as shapes
from tests.support.databricks import Workspace

WAREHOUSE = "0123456789abcdef"
CATALOG, FOREIGN = "unity_check", "unity_check_lake"
ALL = ("USE_CATALOG", "USE_SCHEMA", "SELECT", "MODIFY", "CREATE_TABLE", "EXTERNAL_USE_SCHEMA")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("origin")
    for name in ("plain", "secret"):
        shapes.plain(shapes.open_catalog(folder, FOREIGN), name)
    return shapes.catalog_properties(folder)


@pytest.fixture(scope="module")
def server(databricks: Workspace, lake: dict[str, str]) -> Workspace:
    workspace = databricks
    workspace.settings(external_access_enabled=True)
    workspace.api("POST", "/catalogs", {"name": CATALOG})
    workspace.api("POST", "/schemas", {"name": "s", "catalog_name": CATALOG})
    workspace.connection("conn_check", lake)
    workspace.api("POST", "/catalogs", {"name": FOREIGN, "connection_name": "conn_check"})
    workspace.order("POST", f"/refresh/{FOREIGN}")
    return workspace


def principal(server: Workspace, name: str, catalog: str, *privileges: str) -> Client:
    server.principal(name)
    body = {"changes": [{"principal": name, "add": list(privileges)}]}
    server.api("PATCH", f"/permissions/catalog/{catalog}", body)
    return Client("prod", server.url, Login(token=server.token(name)))


def managed(client: Client, **more: bool) -> UnityCatalog:
    return UnityCatalog("prod", client, CATALOG, warehouse_id=WAREHOUSE, **more)


def outcomes(catalog: UnityCatalog) -> dict[str, str]:
    return {row["check"]: row["outcome"] for row in check_connection(catalog)}


def failures(catalog: UnityCatalog) -> dict[str, str]:
    return {row["check"]: row["remedy"] for row in check_connection(catalog) if row["outcome"] == "failed"}


def test_a_principal_with_every_right_passes_and_leaves_nothing(server: Workspace) -> None:
    catalog = managed(principal(server, "full", CATALOG, *ALL))
    found = outcomes(catalog)
    assert set(found.values()) == {"passed", "skipped"}
    assert found["create a table"] == found["read it over Iceberg REST"] == found["rename it"] == "passed"
    assert found["read a table"] == "skipped"
    assert catalog.tables(("s",)) == []


@pytest.mark.parametrize(
    ("missing", "check"), [("CREATE_TABLE", "create a table"), ("EXTERNAL_USE_SCHEMA", "read it over Iceberg REST")]
)
def test_the_missing_right_is_named(server: Workspace, missing: str, check: str) -> None:
    given = [privilege for privilege in ALL if privilege != missing]
    catalog = managed(principal(server, f"without_{missing.lower()}", CATALOG, *given))
    found = failures(catalog)
    assert missing.replace("_", " ") in found[check]
    assert catalog.tables(("s",)) == []


def test_a_metastore_that_keeps_others_out_is_said(server: Workspace) -> None:
    catalog = managed(principal(server, "kept_out", CATALOG, *ALL))
    server.settings(external_access_enabled=False)
    try:
        found = failures(catalog)
    finally:
        server.settings(external_access_enabled=True)
    assert "metastore admin" in found["external data access"]


def test_a_read_only_connection_is_only_read(server: Workspace) -> None:
    catalog = managed(principal(server, "full", CATALOG, *ALL), read_only=True)
    server.forget_requests()
    assert outcomes(catalog)["create a table"] == "skipped"


def test_a_foreign_catalog_is_compared_with_its_origin(server: Workspace, lake: dict[str, str]) -> None:
    client = principal(server, "half_sighted", FOREIGN, "USE_CATALOG", "USE_SCHEMA")
    body = {"changes": [{"principal": "half_sighted", "add": ["SELECT"]}]}
    server.api("PATCH", f"/permissions/table/{FOREIGN}.lake.plain", body)
    catalog = UnityCatalog("prod", client, FOREIGN, warehouse_id=WAREHOUSE, origin=IcebergCatalog("origin", lake))
    rows = {row["check"]: row for row in check_connection(catalog)}
    assert rows["see all tables"]["outcome"] == "failed"
    assert "not shown: secret" in rows["see all tables"]["message"]
    assert rows["select"]["outcome"] == rows["read from its source"]["outcome"] == "passed"
    assert rows["create a table"]["outcome"] == "skipped"


def test_sql_and_rest_show_the_same_to_one_who_sees_all(server: Workspace, lake: dict[str, str]) -> None:
    client = Client("prod", server.url, Login(token=server.token("admin")))
    catalog = UnityCatalog("prod", client, FOREIGN, warehouse_id=WAREHOUSE, origin=IcebergCatalog("origin", lake))
    seen = catalog.visibility(("lake",))
    assert seen.in_sql == seen.listed == seen.in_origin == frozenset({"plain", "secret"})
    assert (seen.finding, seen.problem) == ("", "")

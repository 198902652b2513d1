"""Every answer of the workspace goes through the SDK's own dataclasses without losing a key or an enum's value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from databricks.sdk.errors import PermissionDenied
from databricks.sdk.service import catalog as uc
from databricks.sdk.service import iam, sql

from tests.support.databricks import Workspace
from tests.support.unity_world import Estate, estate, guard

UC = "/api/2.1/unity-catalog"


@pytest.fixture(scope="module")
def made(databricks_uc: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Estate:
    found = estate(databricks_uc, tmp_path_factory.mktemp("origin"))
    guard(found)
    found.reader(f"{found.main}.sales.plain", f"r-{found.mark}")
    found.grant("CATALOG", found.main, "account users", "ALL_PRIVILEGES", "BROWSE")
    return found


def answers(made: Estate) -> Iterator[tuple[str, type[Any]]]:
    main, fed, mark = made.main, made.fed, made.mark
    metastore = made.workspace.sdk().metastores.summary().metastore_id
    warehouse = made.workspace.api("GET", "/../../2.0/sql/warehouses")["warehouses"][0]["id"]
    tables = f"{UC}/tables?catalog_name={main}&schema_name=sales"
    yield from {
        "/api/2.0/preview/scim/v2/Me": iam.User,
        "/api/2.0/sql/warehouses": sql.ListWarehousesResponse,
        f"/api/2.0/sql/warehouses/{warehouse}": sql.GetWarehouseResponse,
        f"{UC}/metastore_summary": uc.GetMetastoreSummaryResponse,
        f"{UC}/current-metastore-assignment": uc.MetastoreAssignment,
        f"{UC}/metastores": uc.ListMetastoresResponse,
        f"{UC}/metastores/{metastore}": uc.MetastoreInfo,
        f"{UC}/catalogs": uc.ListCatalogsResponse,
        f"{UC}/catalogs/{main}": uc.CatalogInfo,
        f"{UC}/catalogs/{fed}": uc.CatalogInfo,
        f"{UC}/schemas?catalog_name={main}": uc.ListSchemasResponse,
        f"{UC}/schemas/{fed}.lake": uc.SchemaInfo,
        tables: uc.ListTablesResponse,
        f"{tables}&omit_columns=true&omit_properties=true&omit_username=true": uc.ListTablesResponse,
        f"{tables}&include_manifest_capabilities=true": uc.ListTablesResponse,
        f"{UC}/table-summaries?catalog_name={main}&table_name_pattern=o%25": uc.ListTableSummariesResponse,
        **{f"{UC}/tables/{main}.sales.{name}": uc.TableInfo for name in ("orders", "plain", "delta", "seen")},
        **{f"{UC}/tables/{fed}.lake.{name}": uc.TableInfo for name in ("events", "wide")},
        f"{UC}/tables/{main}.sales.orders/exists": uc.TableExistsResponse,
        f"{UC}/functions?catalog_name={main}&schema_name=sales": uc.ListFunctionsResponse,
        f"{UC}/functions/{main}.sales.hidden": uc.FunctionInfo,
        f"{UC}/volumes?catalog_name={main}&schema_name=sales": uc.ListVolumesResponseContent,
        f"{UC}/volumes/{main}.sales.files": uc.VolumeInfo,
        f"{UC}/connections": uc.ListConnectionsResponse,
        f"{UC}/connections/hms_{mark}": uc.ConnectionInfo,
        f"{UC}/storage-credentials": uc.ListStorageCredentialsResponse,
        f"{UC}/storage-credentials/role_{mark}": uc.StorageCredentialInfo,
        f"{UC}/external-locations": uc.ListExternalLocationsResponse,
        f"{UC}/external-locations/lake_{mark}": uc.ExternalLocationInfo,
        f"{UC}/permissions/catalog/{main}": uc.GetPermissionsResponse,
        f"{UC}/permissions/TABLE/{main}.sales.plain": uc.GetPermissionsResponse,
        f"{UC}/effective-permissions/table/{main}.sales.plain": uc.EffectivePermissionsList,
        f"{UC}/policies/SCHEMA/{main}.sales": uc.ListPoliciesResponse,
        f"{UC}/policies/TABLE/{main}.sales.orders?include_inherited=true": uc.ListPoliciesResponse,
        f"{UC}/policies/SCHEMA/{main}.sales/rows": uc.PolicyInfo,
        f"{UC}/entity-tag-assignments/tables/{main}.sales.orders/tags": uc.ListEntityTagAssignmentsResponse,
        f"{UC}/entity-tag-assignments/columns/{main}.sales.orders.city/tags/place": uc.EntityTagAssignment,
        f"{UC}/resource-quotas/SCHEMA/{main}.sales/table-quota": uc.GetQuotaResponse,
        f"{UC}/resource-quotas/all-resource-quotas": uc.ListQuotasResponse,
    }.items()


def test_the_sdk_loses_no_key_and_knows_every_word(made: Estate) -> None:
    for path, kind in answers(made):
        told = made.workspace.api("GET", path.removeprefix(UC) if path.startswith(UC) else f"/../..{path[4:]}")
        assert told, path
        assert kind.from_dict(told).as_dict() == told, path


def test_browsing_shows_names_only(made: Estate) -> None:
    stranger = made.workspace.principal(f"stranger-{made.mark}")
    main = made.main
    made.grant("CATALOG", main, stranger, "BROWSE")
    made.revoke("CATALOG", main, "account users", "ALL_PRIVILEGES", "BROWSE")
    with pytest.raises(PermissionDenied, match="USE CATALOG"):
        made.workspace.sdk(stranger).tables.get(f"{main}.sales.plain")
    told = made.workspace.api("GET", f"/tables/{main}.sales.plain?include_browse=true", principal=stranger)
    assert uc.TableInfo.from_dict(told).as_dict() == told
    assert told["browse_only"] is True
    assert not {"columns", "storage_location", "properties"} & set(told)


def test_types_are_shown_in_the_platforms_words(made: Estate) -> None:
    columns = {one.name: one for one in made.workspace.sdk().tables.get(f"{made.fed}.lake.wide").columns or []}
    assert {name: one.type_text for name, one in columns.items()} == {
        "id": "string",
        "t": "time",
        "local": "timestamp_ntz",
        "days": "array<date>",
        "pairs": "map<string,bigint>",
        "deep": "struct<a:bigint,B:string>",
        "at": "timestamp",
    }
    assert columns["at"].partition_index == 0
    assert columns["id"].nullable is False


def test_a_connection_keeps_its_secrets(made: Estate) -> None:
    options = made.workspace.sdk().connections.get(f"hms_{made.mark}").options or {}
    assert "uri" in options
    assert not [key for key in options if "secret" in key]


def test_bodies_are_checked(made: Estate) -> None:
    bearer = {"Authorization": f"Bearer {made.workspace.token('admin')}"}
    for method, path, body, code in (
        ("POST", "/catalogs", {"name": "x", "colour": "red"}, "INVALID_PARAMETER_VALUE"),
        ("POST", "/catalogs", {"name": 1}, "MALFORMED_REQUEST"),
        ("POST", "/catalogs", {}, "INVALID_PARAMETER_VALUE"),
        ("POST", "/schemas", {"name": "a b", "catalog_name": made.main}, "INVALID_PARAMETER_VALUE"),
        ("PATCH", f"/permissions/table/{made.main}.sales.plain", {"changes": {}}, "MALFORMED_REQUEST"),
        ("PATCH", f"/catalogs/{made.main}", {"enable_predictive_optimization": "ON"}, "INVALID_PARAMETER_VALUE"),
        ("GET", f"/tables?catalog_name={made.main}&schema_name=sales&page_token=x", None, "INVALID_PARAMETER_VALUE"),
        ("GET", "/tables?catalog_name=c", None, "INVALID_PARAMETER_VALUE"),
        ("POST", "/tables", {}, "ENDPOINT_NOT_FOUND"),
    ):
        told = httpx.request(method, f"{made.workspace.url}{UC}{path}", json=body, headers=bearer)
        assert (told.status_code in {400, 404}, told.json()["error_code"]) == (True, code), (path, told.text)
    told = httpx.post(f"{made.workspace.url}{UC}/catalogs", content=b"{", headers=bearer)
    assert told.json()["error_code"] == "MALFORMED_REQUEST"

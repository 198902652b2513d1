"""The Unity adapter against a workspace without its engine: lists, metadata, privileges, credentials, lost answers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pyiceberg.catalog import load_catalog

from icebridge_provider.catalogs.iceberg import IcebergCatalog
from icebridge_provider.catalogs.unity.catalog import UnityCatalog
from icebridge_provider.catalogs.unity.workspace import Login
from icebridge_provider.catalogs.unity.workspace import Workspace as Client
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, TransientError
from icebridge_provider.model.access import Grant, GrantChange, PolicyKind
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.protection import Limit
from icebridge_provider.ports import Catalog
from tests.support import tables as shapes
from tests.support.databricks import Workspace

MANAGED, FOREIGN = "unity_main", "unity_lake"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The catalog behind the foreign one: ``lake.plain``, ``lake.Mixed`` and one that nobody may see."""
    folder = tmp_path_factory.mktemp("origin")
    source = shapes.open_catalog(folder, FOREIGN)
    for name in ("plain", "Mixed", "secret"):
        shapes.plain(source, name)
    return shapes.catalog_properties(folder)


@pytest.fixture(scope="module")
def server(databricks_uc: Workspace, lake: dict[str, str]) -> Workspace:
    workspace = databricks_uc
    workspace.api("POST", "/catalogs", {"name": MANAGED})
    for schema in ("s", "odd"):
        workspace.api("POST", "/schemas", {"name": schema, "catalog_name": MANAGED})
    workspace.connection("conn_lake", lake)
    workspace.api("POST", "/catalogs", {"name": FOREIGN, "connection_name": "conn_lake"})
    workspace.order("POST", f"/refresh/{FOREIGN}")
    workspace.settings(external_access_enabled=True)
    grant(workspace, "catalog", MANAGED, "admin", "EXTERNAL_USE_SCHEMA")
    native = rest(workspace, "admin")
    for name in ("first", "second"):
        native.create_table(("s", name), shapes.rows(0, 1).schema).append(shapes.rows(0, 5))
    workspace.order(
        "POST", "/tables", {"full_name": f"{MANAGED}.s.delta", "data_source_format": "DELTA", "columns": [["a", "int"]]}
    )
    workspace.order(
        "POST",
        "/tables",
        {"full_name": f"{MANAGED}.s.uniform", "data_source_format": "DELTA_UNIFORM_ICEBERG", "columns": [["a", "int"]]},
    )
    return workspace


@pytest.fixture(autouse=True)
def calm(server: Workspace) -> Iterator[None]:
    yield
    server.calm()


def rest(server: Workspace, principal: str) -> Any:
    uri = f"{server.url}/api/2.1/unity-catalog/iceberg-rest"
    return load_catalog("rest", type="rest", uri=uri, warehouse=MANAGED, token=server.token(principal))


def grant(server: Workspace, kind: str, name: str, principal: str, *privileges: str) -> None:
    server.principal(principal)
    body = {"changes": [{"principal": principal, "add": list(privileges)}]}
    server.api("PATCH", f"/permissions/{kind}/{name}", body)


def client(server: Workspace, principal: str = "admin") -> Client:
    return Client("prod", server.url, Login(token=server.token(principal)))


def managed(server: Workspace, principal: str = "admin", **more: Any) -> UnityCatalog:
    return UnityCatalog("prod", client(server, principal), MANAGED, **more)


def foreign(server: Workspace, lake: dict[str, str], principal: str = "admin", **more: Any) -> UnityCatalog:
    return UnityCatalog("prod", client(server, principal), FOREIGN, origin=IcebergCatalog("origin", lake), **more)


def ident(name: str, namespace: str = "s") -> TableIdentifier:
    return TableIdentifier(catalog="prod", namespace=(namespace,), name=name)


# Reading


def test_a_managed_catalog_is_a_catalog(server: Workspace) -> None:
    found: Catalog = managed(server)
    assert found.name == "prod"
    assert found.writable()
    assert found.kind == "unity"  # type: ignore[attr-defined]
    assert not managed(server, read_only=True).writable()
    assert found.namespaces() == [("odd",), ("s",)]
    assert found.tables(("s",)) == [ident("first"), ident("second")]
    assert found.tables(("nowhere",)) == []
    assert found.tables(("a", "b")) == []
    assert found.location_for(ident("x"), "p") == ""


def test_what_is_no_iceberg_table_is_left_out_and_counted(server: Workspace) -> None:
    left = managed(server).others(("s",))
    assert [(item.name, item.format) for item in left] == [("delta", "DELTA"), ("uniform", "DELTA_UNIFORM_ICEBERG")]


def test_metadata_comes_over_iceberg_rest_with_our_name(server: Workspace) -> None:
    loaded = managed(server).load(ident("first"))
    assert loaded is not None
    assert loaded.identifier == ident("first")
    assert loaded.metadata["current-snapshot-id"] == loaded.current_snapshot_id
    upper = managed(server).load(ident("FIRST", "S"))
    assert upper is not None
    assert upper.metadata_location == loaded.metadata_location
    assert managed(server).load(ident("none")) is None
    assert managed(server).load(ident("with.dot")) is None


def test_a_foreign_catalog_is_listed_here_and_read_where_it_comes_from(server: Workspace, lake: dict[str, str]) -> None:
    found = foreign(server, lake)
    assert found.kind == "unity-foreign"
    assert not found.writable()
    assert found.tables(("lake",)) == [ident(name, "lake") for name in ("mixed", "plain", "secret")]
    native = shapes.load_catalog(FOREIGN, **lake).load_table("lake.Mixed")
    loaded = found.load(ident("mixed", "lake"))
    assert loaded is not None
    assert loaded.identifier == ident("mixed", "lake")
    assert loaded.metadata_location == native.metadata_location
    assert found.load(ident("none", "lake")) is None
    assert server.requests("/iceberg-rest/v1/config") == [] or all(
        FOREIGN not in entry["query"] for entry in server.requests("/iceberg-rest")
    )


def test_a_foreign_catalog_without_its_origin_says_so(server: Workspace) -> None:
    found = UnityCatalog("prod", client(server), FOREIGN)
    assert len(found.tables(("lake",))) == 3
    with pytest.raises(ConfigurationError, match="origin_conn_id") as caught:
        found.load(ident("plain", "lake"))
    assert caught.value.code == "IB-253"


def test_lists_are_read_to_the_last_page_in_few_requests(server: Workspace) -> None:
    for number in range(23):
        body = {"full_name": f"{MANAGED}.odd.v{number}", "data_source_format": "DELTA", "columns": [["a", "int"]]}
        server.order("POST", "/tables", body)
    server.settings(page_size=7)
    server.forget_requests()
    try:
        assert len(managed(server).listed(("odd",))) == 23
    finally:
        server.settings(page_size=50)
    assert len(server.requests("/unity-catalog/tables")) == 4


def test_a_stale_foreign_entry_is_noticed(server: Workspace, lake: dict[str, str]) -> None:
    found = foreign(server, lake)
    assert found.foreign_is_stale(ident("plain", "lake"))  # written within the last minute: to be on the safe side
    assert found.foreign_is_stale(ident("none", "lake"))


# What one is shown


def test_a_principal_that_sees_less_is_told(server: Workspace, lake: dict[str, str]) -> None:
    grant(server, "catalog", FOREIGN, "half", "USE_CATALOG", "USE_SCHEMA")
    grant(server, "table", f"{FOREIGN}.lake.plain", "half", "SELECT")
    seen = foreign(server, lake, "half")
    assert seen.tables(("lake",)) == [ident("plain", "lake")]
    assert seen.hidden(("lake",)) == [ident("mixed", "lake"), ident("secret", "lake")]
    finding = seen.visibility(("lake",)).finding
    assert "shows 1 of the 3 tables" in finding
    assert "mixed, secret" in finding
    assert foreign(server, lake).visibility(("lake",)).finding == ""


def test_a_table_that_may_only_be_browsed_is_listed(server: Workspace, lake: dict[str, str]) -> None:
    grant(server, "catalog", FOREIGN, "browser", "USE_CATALOG", "USE_SCHEMA", "BROWSE")
    assert len(foreign(server, lake, "browser").tables(("lake",))) == 3


def test_the_missing_privilege_is_named(server: Workspace) -> None:
    grant(server, "catalog", MANAGED, "reader", "USE_CATALOG", "USE_SCHEMA", "SELECT")
    with pytest.raises(ConfigurationError) as caught:
        managed(server, "reader").load(ident("first"))
    assert caught.value.code == "IB-241"
    assert "EXTERNAL USE SCHEMA" in caught.value.remedy
    with pytest.raises(ConfigurationError) as caught:
        managed(server, "reader").create_namespace(("new",))
    assert caught.value.code == "IB-241"
    assert "CREATE SCHEMA" in caught.value.remedy


def test_who_sees_no_catalog_is_not_told_there_are_no_tables(server: Workspace) -> None:
    server.principal("nobody")
    with pytest.raises(ConfigurationError) as caught:
        managed(server, "nobody").namespaces()
    assert caught.value.code == "IB-243"
    assert "BROWSE" in caught.value.remedy


# Changing


def test_a_namespace_is_made_once_and_its_answer_may_be_lost(server: Workspace) -> None:
    catalog = managed(server)
    server.fail("lost", path="/unity-catalog/schemas", method="POST")
    catalog.create_namespace(("Made",))
    catalog.create_namespace(("made",))
    assert ("made",) in catalog.namespaces()
    with pytest.raises(ConfigurationError) as caught:
        catalog.create_namespace(("a", "b"))
    assert caught.value.code == "IB-250"


@pytest.mark.parametrize("change", ["create_namespace", "rename", "drop_entry", "set_properties"])
def test_read_only_and_foreign_catalogs_are_not_changed(server: Workspace, lake: dict[str, str], change: str) -> None:
    def act(catalog: UnityCatalog) -> None:
        arguments: dict[str, tuple[Any, ...]] = {
            "create_namespace": (("x",),),
            "rename": (ident("plain", "lake"), "y"),
            "drop_entry": (ident("plain", "lake"),),
            "set_properties": (ident("plain", "lake"), {"a": "b"}),
        }
        getattr(catalog, change)(*arguments[change])

    for catalog, code in ((managed(server, read_only=True), "IB-207"), (foreign(server, lake), "IB-252")):
        with pytest.raises(ConfigurationError) as caught:
            act(catalog)
        assert caught.value.code == code
        assert caught.value.changed == "Nothing changed."


def test_what_unity_catalog_cannot_do_is_refused_by_name(server: Workspace) -> None:
    catalog = managed(server)
    with pytest.raises(ConfigurationError) as caught:
        catalog.register(ident("x"), "s3://b/m.json")
    assert caught.value.code == "IB-251"
    with pytest.raises(ConfigurationError) as caught:
        catalog.rename(ident("first"), "free")
    assert caught.value.code == "IB-249"
    with pytest.raises(ConfigurationError) as caught:
        catalog.drop_entry(ident("delta"))
    assert caught.value.code == "IB-255"
    for wrong, code in (("missing", "IB-208"), ("first", "IB-206")):
        with pytest.raises(ConfigurationError) as caught:
            catalog.rename(ident(wrong), "second")
        assert caught.value.code == code
    catalog.drop_entry(ident("missing"))


# Privileges


def test_access_is_read_whole(server: Workspace) -> None:
    table = f"{MANAGED}.s.second"
    grant(server, "catalog", MANAGED, "analysts", "USE_CATALOG", "USE_SCHEMA", "SELECT")
    grant(server, "table", table, "bob", "SELECT", "MODIFY")
    server.order(
        "POST", "/functions", {"full_name": f"{MANAGED}.s.f", "parameters": [["x", "bigint"]], "body_sql": "x"}
    )
    changes = {"row_filter": [f"{MANAGED}.s.f", "id"], "masks": {"name": [f"{MANAGED}.s.f"]}, "comment": "hers"}
    server.order("PATCH", f"/tables/{table}", {**changes, "tags": {"pii": "yes"}})
    policy = {
        "name": "no-bob", "on_securable_type": "CATALOG", "on_securable_fullname": MANAGED,
        "for_securable_type": "TABLE", "policy_type": "POLICY_TYPE_DENY", "to_principals": ["bob"],
        "deny": {"privileges": ["SELECT"]},
    }  # fmt: skip
    server.api("POST", "/policies", policy)
    try:
        found = managed(server).access.access_of(ident("second"), [""])
        untagged = managed(server).access.access_of(ident("second"))
    finally:
        server.order("PATCH", f"/tables/{table}", {"row_filter": None, "masks": {"name": None}})
        server.api("DELETE", f"/policies/CATALOG/{MANAGED}/no-bob")
    assert found.owner == "admin"
    assert Grant(principal="bob", privilege="SELECT") in found.grants
    inherited = {"inherited_from_type": "CATALOG", "inherited_from_name": MANAGED}
    assert Grant(principal="analysts", privilege="SELECT", **inherited) in found.grants
    assert found.row_filter == Limit(function=f"{MANAGED}.s.f", columns=("id",))
    assert found.masks == {"name": Limit(function=f"{MANAGED}.s.f")}
    assert (found.comment, found.tags) == ("hers", {"pii": "yes"})
    assert untagged == replace(found, tags={}), "tags cost a request each"
    (policy_found,) = found.policies
    assert (policy_found.kind, policy_found.privileges) == (PolicyKind.DENY, ("SELECT",))
    assert policy_found.on == f"CATALOG {MANAGED}"


def test_access_is_read_to_the_last_page(server: Workspace) -> None:
    for number in range(12):
        grant(server, "table", f"{MANAGED}.s.first", f"reader{number}", "SELECT")
    server.settings(page_size=5)
    try:
        found = managed(server).access.access_of(ident("first"))
    finally:
        server.settings(page_size=50)
    readers = {grant.principal for grant in found.grants if grant.principal.startswith("reader")}
    assert readers >= {f"reader{number}" for number in range(12)}


def test_who_is_shown_its_own_grants_only_does_not_take_them_for_all(server: Workspace) -> None:
    grant(server, "catalog", MANAGED, "eve", "USE_CATALOG", "USE_SCHEMA", "SELECT")
    with pytest.raises(ConfigurationError, match="MANAGE") as caught:
        managed(server, "eve").access.access_of(ident("first"))
    assert caught.value.code == "IB-258"
    grant(server, "table", f"{MANAGED}.s.first", "eve", "MANAGE")
    assert managed(server, "eve").access.access_of(ident("first")).owner == "admin"


def test_changes_are_one_call_atomic_and_may_lose_their_answer(server: Workspace) -> None:
    access = managed(server).access
    for name in ("carl", "dora"):
        server.principal(name)
    server.forget_requests()
    server.fail("lost", path="/permissions/", method="PATCH")
    changes = [GrantChange(principal="carl", add=("SELECT",)), GrantChange(principal="dora", add=("SELECT", "MODIFY"))]
    access.change(ident("second"), changes)
    assert len(server.requests("/permissions/")) == 2
    access.change(ident("second"), changes)
    held = {(grant.principal, grant.privilege) for grant in access.access_of(ident("second")).grants}
    assert {("carl", "SELECT"), ("dora", "MODIFY")} <= held
    with pytest.raises(ConfigurationError) as caught:
        access.change(ident("second"), [GrantChange(principal="carl", remove=("SELECT",)),
                                        GrantChange(principal="ghost", add=("SELECT",))])  # fmt: skip
    assert caught.value.code == "IB-634"
    assert caught.value.facts["principal"] == "ghost"
    again = {(grant.principal, grant.privilege) for grant in access.access_of(ident("second")).grants}
    assert again == held


def test_changes_are_refused_by_name(server: Workspace) -> None:
    change = [GrantChange(principal="admin", add=("SELECT",))]
    for access, table, code in (
        (managed(server).access, "gone", "IB-208"),
        (managed(server, read_only=True).access, "first", "IB-207"),
        (managed(server, "eve2").access, "first", "IB-241"),
    ):
        if code == "IB-241":
            grant(server, "catalog", MANAGED, "eve2", "USE_CATALOG", "USE_SCHEMA", "SELECT")
        with pytest.raises(ConfigurationError) as caught:
            access.change(ident(table), change)
        assert caught.value.code == code
    managed(server).access.change(ident("first"), [])
    with pytest.raises(ConfigurationError) as caught:
        managed(server).access.access_of(ident("gone"))
    assert caught.value.code == "IB-208"


# Signing in, and calls that fail


def test_a_service_principal_signs_in(server: Workspace) -> None:
    client_id, secret = server.client("robot", lifetime_seconds=90)
    grant(server, "catalog", MANAGED, "robot", "USE_CATALOG", "USE_SCHEMA", "SELECT", "EXTERNAL_USE_SCHEMA")
    workspace = Client("prod", server.url, Login(client_id=client_id, client_secret=secret))
    catalog = UnityCatalog("prod", workspace, MANAGED)
    assert catalog.tables(("s",)) == [ident("first"), ident("second")]
    assert catalog.load(ident("first")) is not None
    for text in (repr(workspace), repr(catalog), str(vars(catalog))):
        assert secret not in text


def test_a_credential_that_expires_is_renewed_for_both_doors(server: Workspace) -> None:
    client_id, secret = server.client("brief", lifetime_seconds=2)
    grant(server, "catalog", MANAGED, "brief", "USE_CATALOG", "USE_SCHEMA", "SELECT", "EXTERNAL_USE_SCHEMA")
    catalog = UnityCatalog(
        "prod", Client("prod", server.url, Login(client_id=client_id, client_secret=secret)), MANAGED
    )
    server.forget_requests()
    for _ in range(2):
        assert catalog.tables(("s",)) == [ident("first"), ident("second")]
        assert catalog.load(ident("first")) is not None
        time.sleep(2.2)
    assert len(server.requests("/oidc/v1/token")) >= 2


@pytest.mark.parametrize("login", [Login(token="dapi-wrong-canary"), Login(client_id="x", client_secret="canary")])
def test_wrong_credentials_are_said_without_showing_them(server: Workspace, login: Login) -> None:
    catalog = UnityCatalog("prod", Client("prod", server.url, login), MANAGED)
    for ask in (catalog.namespaces, lambda: catalog._rest.load(ident("first"))):
        with pytest.raises(ConfigurationError) as caught:
            ask()
        assert caught.value.code in {"IB-242", "IB-209"}
        assert "canary" not in json.dumps(caught.value.to_json())


def test_expired_credentials_are_said(server: Workspace) -> None:
    catalog = managed(server, "soon")
    grant(server, "catalog", MANAGED, "soon", "USE_CATALOG")
    catalog.namespaces()
    server.expire("soon")
    with pytest.raises(ConfigurationError) as caught:
        catalog.namespaces()
    assert caught.value.code == "IB-242"


@pytest.mark.parametrize("fault", [429, 500, 503, 504, "cut", "lost"])
def test_reads_are_retried_and_given_up_in_bounds(server: Workspace, fault: int | str) -> None:
    catalog = managed(server)
    catalog.namespaces()
    server.fail(fault, path="/unity-catalog/schemas", times=2, retry_after=0)
    assert ("s",) in catalog.namespaces()
    server.forget_requests()
    server.fail(fault, path="/unity-catalog/schemas", times=-1, retry_after=0)
    with pytest.raises(TransientError) as caught:
        catalog.namespaces()
    assert caught.value.code == "IB-240"
    assert len(server.requests("/unity-catalog/schemas")) == 3


def test_the_asked_pause_is_made(server: Workspace) -> None:
    with pytest.raises(TransientError) as caught:
        server.fail(429, path="/unity-catalog/schemas", retry_after=7)
        managed(server).workspace.call("x", lambda: managed(server).workspace.client.schemas.get(f"{MANAGED}.s"))
    assert caught.value.facts["retry_after"] == 7.0


def test_the_sdk_sends_nothing_twice_by_itself(server: Workspace) -> None:
    workspace = client(server)
    workspace.client  # noqa: B018 - connects
    server.forget_requests()
    server.fail("lost", path="/unity-catalog/schemas", method="POST")
    with pytest.raises(TransientError):
        workspace.call("create", lambda: workspace.client.schemas.create("once", MANAGED))
    assert len(server.requests("/unity-catalog/schemas")) == 1


def test_who_asks_is_in_the_log(server: Workspace) -> None:
    server.forget_requests()
    managed(server).namespaces()
    agents = {entry["user_agent"].split(" ")[0].split("/")[0] for entry in server.requests("/unity-catalog/schemas")}
    assert agents == {"icebridge"}


def test_an_unreachable_workspace_is_said_without_noise() -> None:
    catalog = UnityCatalog("prod", Client("prod", "http://127.0.0.1:9", Login(token="x")), MANAGED)
    with pytest.raises(IceBridgeError) as caught:
        catalog.namespaces()
    assert caught.value.code == "IB-240"
    assert "Connection refused" in caught.value.message
    assert "HTTPConnectionPool" not in caught.value.message

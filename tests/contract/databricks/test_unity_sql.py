"""Changes of the Unity adapter, which are SQL: made once, found after lost answers, cancelled when interrupted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pyiceberg.catalog import load_catalog

from icebridge_provider.catalogs.iceberg import IcebergCatalog
from icebridge_provider.catalogs.unity.catalog import UnityCatalog
from icebridge_provider.catalogs.unity.statements import Statements, error_class
from icebridge_provider.catalogs.unity.workspace import Login
from icebridge_provider.catalogs.unity.workspace import Workspace as Client
from icebridge_provider.exceptions import ConfigurationError, TransientError
from icebridge_provider.model.identifier import TableIdentifier
from tests.support import tables as shapes
from tests.support.databricks import Workspace

WAREHOUSE = "0123456789abcdef"
STATEMENTS = "/api/2.0/sql/statements"
START = f"{STATEMENTS}/?$"
CATALOG, FOREIGN = "unity_sql", "unity_sql_lake"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("origin")
    shapes.plain(shapes.open_catalog(folder, FOREIGN))
    return shapes.catalog_properties(folder)


@pytest.fixture(scope="module")
def server(databricks_uc: Workspace, lake: dict[str, str]) -> Workspace:
    workspace = databricks_uc
    workspace.api("POST", "/catalogs", {"name": CATALOG})
    workspace.api("POST", "/schemas", {"name": "s", "catalog_name": CATALOG})
    workspace.settings(external_access_enabled=True)
    workspace.connection("conn_sql", lake)
    workspace.api("POST", "/catalogs", {"name": FOREIGN, "connection_name": "conn_sql"})
    grant(workspace, "catalog", CATALOG, "admin", "EXTERNAL_USE_SCHEMA")
    return workspace


@pytest.fixture(autouse=True)
def calm(server: Workspace) -> Iterator[None]:
    server.forget_requests()
    yield
    server.calm()


@pytest.fixture
def table(server: Workspace, request: pytest.FixtureRequest) -> TableIdentifier:
    """A managed table with rows, named after the test."""
    name = request.node.name.replace("[", "_").replace("]", "").replace("-", "_")[-60:]
    uri = f"{server.url}/api/2.1/unity-catalog/iceberg-rest"
    native = load_catalog("rest", type="rest", uri=uri, warehouse=CATALOG, token=server.token("admin"))
    native.create_table(("s", name), shapes.rows(0, 1).schema).append(shapes.rows(0, 5))
    server.forget_requests()
    return ident(name)


def grant(server: Workspace, kind: str, name: str, principal: str, *privileges: str) -> None:
    server.principal(principal)
    server.api("PATCH", f"/permissions/{kind}/{name}", {"changes": [{"principal": principal, "add": list(privileges)}]})


def client(server: Workspace, principal: str = "admin") -> Client:
    return Client("prod", server.url, Login(token=server.token(principal)))


def catalog(server: Workspace, principal: str = "admin") -> UnityCatalog:
    return UnityCatalog("prod", client(server, principal), CATALOG, warehouse_id=WAREHOUSE)


def ident(name: str, namespace: str = "s") -> TableIdentifier:
    return TableIdentifier(catalog="prod", namespace=(namespace,), name=name)


def started(server: Workspace) -> int:
    return sum(entry["method"] == "POST" and entry["path"].rstrip("/") == STATEMENTS for entry in server.requests())


# Changes


def test_a_table_is_renamed_marked_and_dropped(server: Workspace, table: TableIdentifier) -> None:
    unity = catalog(server)
    before = unity.load(table)
    assert before is not None
    new = table.named(f"{table.name}_new")
    unity.rename(table, new.name)
    after = unity.load(new)
    assert after is not None
    assert after.metadata["table-uuid"] == before.metadata["table-uuid"]
    assert unity.load(table) is None
    odd = {"icebridge.plan-id": 'it\'s \\ "p" ;--', "icebridge.token": "0" * 48, "näme": "multi\nline"}
    unity.set_properties(new, odd)
    marked = unity.load(new)
    assert marked is not None
    assert {key: marked.properties[key] for key in odd} == odd
    server.forget_requests()
    unity.set_properties(new, odd)
    assert started(server) == 0
    unity.drop_entry(new)
    unity.drop_entry(new)
    assert unity.load(new) is None


def test_two_tables_never_get_one_name(server: Workspace, table: TableIdentifier) -> None:
    unity = catalog(server)
    with pytest.raises(ConfigurationError) as caught:
        unity.rename(table, table.name.upper())
    assert caught.value.code == "IB-206"
    with pytest.raises(ConfigurationError) as caught:
        unity.set_properties(table.named("nobody"), {"a": "b"})
    assert caught.value.code == "IB-208"
    assert started(server) == 0


@pytest.mark.parametrize("fault", ["lost", "cut", 503, 429])
@pytest.mark.parametrize("change", ["rename", "set", "drop"])
def test_a_change_is_made_exactly_once_whatever_happens_to_its_answer(
    server: Workspace, table: TableIdentifier, change: str, fault: int | str
) -> None:
    unity = catalog(server)
    unity.kind  # noqa: B018 - asked beforehand
    server.fail(fault, path=START, method="POST", retry_after=0)
    server.forget_requests()
    if change == "rename":
        unity.rename(table, f"{table.name}_x")
        assert unity.load(table.named(f"{table.name}_x")) is not None
        assert unity.load(table) is None
    elif change == "set":
        unity.set_properties(table, {"icebridge.plan-id": "p"})
        loaded = unity.load(table)
        assert loaded is not None
        assert loaded.properties["icebridge.plan-id"] == "p"
    else:
        unity.drop_entry(table)
        assert unity.load(table) is None
    assert started(server) == (1 if fault == "lost" else 2)


def test_a_warehouse_that_stays_away_is_given_up_in_bounds(server: Workspace, table: TableIdentifier) -> None:
    unity = catalog(server)
    server.fail(503, path=START, method="POST", times=-1, retry_after=0)
    with pytest.raises(TransientError) as caught:
        unity.rename(table, "elsewhere")
    assert caught.value.code == "IB-248"
    assert "trying again is safe" in caught.value.changed
    assert started(server) <= 9
    server.calm()
    assert unity.load(table) is not None


def test_the_missing_privilege_is_named(server: Workspace, table: TableIdentifier) -> None:
    grant(server, "catalog", CATALOG, "clerk", "USE_CATALOG", "USE_SCHEMA", "SELECT", "EXTERNAL_USE_SCHEMA")
    unity = catalog(server, "clerk")
    for act in (lambda: unity.rename(table, "mine"), lambda: unity.drop_entry(table)):
        with pytest.raises(ConfigurationError) as caught:
            act()
        assert caught.value.code == "IB-241"
        assert "MANAGE" in caught.value.remedy
    with pytest.raises(ConfigurationError) as caught:
        unity.set_properties(table, {"a": "b"})
    assert caught.value.code == "IB-241"
    assert "MODIFY" in caught.value.remedy
    assert catalog(server).load(table) is not None


# Foreign tables


def test_a_foreign_table_is_brought_up_to_date(server: Workspace, lake: dict[str, str]) -> None:
    origin = IcebergCatalog("origin", lake)
    unity = UnityCatalog("prod", client(server), FOREIGN, warehouse_id=WAREHOUSE, origin=origin)
    server.order("POST", f"/refresh/{FOREIGN}")
    shapes.plain(load_catalog(FOREIGN, **lake), "young")
    young = ident("young", "lake")
    assert unity.look(young) is None
    assert unity.load(young) is not None  # its own catalog knows it
    assert unity.foreign_is_stale(young)
    assert unity.hidden(("lake",)) == [young]
    unity.refresh(young)
    assert unity.look(young) is not None
    assert unity.hidden(("lake",)) == []
    unity.refresh(young)


# Statements


def test_a_failed_statement_says_what_databricks_said(server: Workspace) -> None:
    statements = Statements(client(server), WAREHOUSE)
    with pytest.raises(ConfigurationError) as caught:
        statements.run("do nonsense", "SELEKT 1")
    assert caught.value.code == "IB-247"
    assert error_class(caught.value) == "PARSE_SYNTAX_ERROR"
    with pytest.raises(ConfigurationError) as caught:
        statements.run("rename nothing", f"ALTER TABLE `{CATALOG}`.`s`.`nothing` RENAME TO `{CATALOG}`.`s`.`x`")
    assert caught.value.code == "IB-243"


def test_without_a_warehouse_nothing_is_sent(server: Workspace) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Statements(client(server), "").run("look", "SELECT 1")
    assert caught.value.code == "IB-249"
    assert started(server) == 0
    with pytest.raises(ConfigurationError) as caught:
        Statements(client(server), "ffffffffffffffff").run("look", "SHOW CATALOGS")
    assert caught.value.code in {"IB-243", "IB-244"}


def test_every_statement_bears_a_tag_of_its_own(server: Workspace) -> None:
    statements = Statements(client(server), WAREHOUSE)
    for _ in range(2):
        statements.run("list catalogs", "SHOW CATALOGS")
    query = {"filter_by.warehouse_ids": [WAREHOUSE]}
    found = client(server).pages("history", "/api/2.0/sql/history/queries", "res", query)
    tags = [tag["value"] for item in found for tag in item.get("query_tags") or () if tag["key"] == "icebridge"]
    assert len(tags) == len(set(tags)) >= 2


def test_results_come_whole_in_chunks(server: Workspace) -> None:
    found = Statements(client(server), WAREHOUSE).run("list catalogs", "SHOW CATALOGS")
    assert len(found.columns) == 1
    assert (CATALOG,) in found.rows


class Interrupted(BaseException):
    """What a task's timeout looks like."""


def test_an_interrupted_statement_is_cancelled(server: Workspace) -> None:
    """The server is told, whether its answer had come already or not."""
    workspace = client(server)

    class Impatient(Statements):
        def _followed(self, *_: Any) -> dict[str, Any]:
            raise Interrupted

    with pytest.raises(Interrupted):
        Impatient(workspace, WAREHOUSE).run("wait", "SHOW CATALOGS")
    assert [entry for entry in server.requests("/cancel") if entry["method"] == "POST"]


def test_many_threads_share_one_catalog(server: Workspace, table: TableIdentifier) -> None:
    unity = catalog(server)
    problems: list[BaseException] = []

    def work(number: int) -> None:
        try:
            assert unity.load(table) is not None
            unity.statements.run("list", "SHOW CATALOGS")
            assert unity.look(table) is not None
        except BaseException as error:  # noqa: BLE001 - told to the test
            problems.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []

"""One behaviour of every catalog: SQL, REST over a stand-in server, and Unity Catalog as far as it can."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from icebridge_provider.catalogs.iceberg import IcebergCatalog, catalog_from
from icebridge_provider.catalogs.unity.catalog import UnityCatalog
from icebridge_provider.catalogs.unity.workspace import Login
from icebridge_provider.catalogs.unity.workspace import Workspace as Client
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.ports import Catalog
from icebridge_provider.steps.inventory import read_inventory
from tests.peers import rest_catalog
from tests.support import tables as shapes
from tests.support.databricks import Workspace, databricks_uc  # noqa: F401 - a fixture

EVERY = pytest.mark.parametrize("world", ["sql", "rest", "unity"], indirect=True)


@dataclass
class World:
    """One catalog under test, and the properties that reach it."""

    kind: str
    properties: dict[str, str]
    folder: Path
    peer: rest_catalog.Peer | None = None

    def catalog(self, **more: str) -> IcebergCatalog:
        return catalog_from("prod", {**self.properties, **more})

    def ident(self, name: str, *namespace: str) -> TableIdentifier:
        return TableIdentifier(catalog="prod", namespace=namespace or ("lake",), name=name)


@dataclass
class UnityWorld(World):
    """A managed catalog of a workspace."""

    workspace: Workspace | None = None

    def catalog(self, **more: str) -> Any:
        assert self.workspace is not None
        client = Client("prod", self.workspace.url, Login(token=self.workspace.token("admin")))
        read_only = more.get("read_only") == "true"
        return UnityCatalog("prod", client, self.folder.name, warehouse_id="0123456789abcdef", read_only=read_only)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, rest_catalog.Peer]]:
    with rest_catalog.running(tmp_path_factory.mktemp("rest")) as peer:
        yield {"rest": peer}


@pytest.fixture(params=["sql", "rest"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    if request.param == "sql":
        return World("sql", shapes.catalog_properties(tmp_path), tmp_path)
    if request.param == "unity":
        return unity_world(request.getfixturevalue("databricks_uc"))
    peer = request.getfixturevalue("servers")["rest"]
    peer.order()
    peer.deny()
    clear = catalog_from("prod", peer.properties())
    for namespace in sorted(clear.namespaces(), key=len, reverse=True):
        for table in clear.tables(namespace):
            clear.drop_entry(table)
        clear.native.drop_namespace(namespace)
    return World("rest", peer.properties(), Path(peer.warehouse.removeprefix("file://")).parent, peer)


def unity_world(workspace: Workspace) -> UnityWorld:
    name = f"contract_{secrets.token_hex(4)}"
    workspace.settings(external_access_enabled=True)
    workspace.api("POST", "/catalogs", {"name": name})
    changes = [{"principal": "admin", "add": ["EXTERNAL_USE_SCHEMA"]}]
    workspace.api("PATCH", f"/permissions/catalog/{name}", {"changes": changes})
    return UnityWorld("unity", {}, Path(name), workspace=workspace)


def make(catalog: IcebergCatalog | UnityCatalog, *names: str) -> None:
    catalog.create_namespace(("lake",))
    native = catalog._inner.native if isinstance(catalog, UnityCatalog) else catalog.native
    for name in names:
        native.create_table(("lake", name), shapes.rows(0, 1).schema).append(shapes.rows(0, 5))


def metadata_of(catalog: Catalog, table: TableIdentifier) -> str:
    loaded = catalog.load(table)
    assert loaded is not None
    return loaded.metadata_location


def copy_of(catalog: Catalog, table: TableIdentifier, folder: Path) -> str:
    source = Path(metadata_of(catalog, table).removeprefix("file://"))
    copied = folder / f"copy-{source.name}"
    shutil.copy(source, copied)
    return f"file://{copied}"


@EVERY
def test_it_is_a_catalog(world: World) -> None:
    catalog: Catalog = world.catalog()
    assert catalog.name == "prod"
    assert catalog.writable()
    assert not world.catalog(read_only="true").writable()


def test_namespaces_are_listed_to_the_last_level(world: World) -> None:
    catalog = world.catalog()
    catalog.create_namespace(("a b", "ü%", "x"))
    catalog.create_namespace(("plain",))
    catalog.create_namespace(("plain",))
    assert catalog.namespaces() == [("a b",), ("a b", "ü%"), ("a b", "ü%", "x"), ("plain",)]


def test_a_dotted_namespace_is_kept_or_refused_by_name(world: World) -> None:
    catalog = world.catalog()
    if world.kind == "rest":
        catalog.create_namespace(("a.b",))
        catalog.create_namespace(("a", "b"))
        assert catalog.namespaces() == [("a",), ("a", "b"), ("a.b",)]
        return
    with pytest.raises(ConfigurationError) as caught:
        catalog.create_namespace(("a.b",))
    assert caught.value.code == "IB-213"
    assert catalog.namespaces() == []


def test_odd_names_are_listed_loaded_renamed_and_dropped(world: World) -> None:
    catalog = world.catalog()
    odd = ["with.dot", "with blank", "naïve表", "100%", "a/b", 'it\'s "quoted"', "UPPER", "upper", "semi;colon--"]
    make(catalog, "seed")
    location = metadata_of(catalog, world.ident("seed"))
    for name in odd:
        catalog.register(world.ident(name), location)
    assert [table.name for table in catalog.tables(("lake",))] == sorted([*odd, "seed"])
    for name in odd:
        assert metadata_of(catalog, world.ident(name)) == location
        catalog.rename(world.ident(name), name + "!")
        assert catalog.load(world.ident(name)) is None
        catalog.drop_entry(world.ident(name + "!"))
    assert [table.name for table in catalog.tables(("lake",))] == ["seed"]


@EVERY
def test_tables_of_a_missing_namespace_are_none(world: World) -> None:
    assert world.catalog().tables(("nowhere",)) == []


@EVERY
def test_load_returns_the_whole_metadata_file(world: World) -> None:
    catalog = world.catalog()
    make(catalog, "t")
    path = Path(metadata_of(catalog, world.ident("t")).removeprefix("file://"))
    metadata = json.loads(path.read_text())
    path.write_text(json.dumps({**metadata, "x-vendor-field": {"kept": True}}))
    loaded = catalog.load(world.ident("t"))
    assert loaded is not None
    assert loaded.metadata["x-vendor-field"] == {"kept": True}
    assert loaded.current_snapshot_id == metadata["current-snapshot-id"]
    assert catalog.load(world.ident("absent")) is None
    assert catalog.load(world.ident("t", "absent")) is None


def test_io_properties_hold_nothing_of_the_catalog_itself(world: World) -> None:
    catalog = world.catalog(**{"s3.endpoint": "http://127.0.0.1:1", "credential": "id:canary", "token": ""})
    if world.kind == "sql":
        make(catalog, "t")
        loaded = catalog.load(world.ident("t"))
        assert loaded is not None
        assert loaded.io_properties == {"s3.endpoint": "http://127.0.0.1:1"}
        assert "canary" not in repr(catalog) + repr(loaded)


def test_register_twice_is_success_and_another_table_is_refused(world: World) -> None:
    catalog = world.catalog()
    make(catalog, "one", "two")
    location = metadata_of(catalog, world.ident("one"))
    catalog.register(world.ident("copy"), location)
    catalog.register(world.ident("copy"), location)
    with pytest.raises(ConfigurationError) as caught:
        catalog.register(world.ident("two"), location)
    assert caught.value.code == "IB-206"
    assert "prod.lake.two" in caught.value.message
    assert metadata_of(catalog, world.ident("two")) != location


def test_register_refuses_a_file_that_is_not_there(world: World) -> None:
    catalog = world.catalog()
    make(catalog, "one")
    missing = metadata_of(catalog, world.ident("one")).replace("metadata.json", "gone.metadata.json")
    with pytest.raises(IceBridgeError):
        catalog.register(world.ident("broken"), missing)
    assert [table.name for table in catalog.tables(("lake",))] == ["one"]


@EVERY
def test_rename_refuses_a_taken_name_and_a_missing_table(world: World) -> None:
    catalog = world.catalog()
    make(catalog, "one", "two")
    with pytest.raises(ConfigurationError) as taken:
        catalog.rename(world.ident("one"), "two")
    with pytest.raises(ConfigurationError) as gone:
        catalog.rename(world.ident("nobody"), "somebody")
    assert (taken.value.code, gone.value.code) == ("IB-206", "IB-208")
    assert [table.name for table in catalog.tables(("lake",))] == ["one", "two"]


@EVERY
def test_a_dropped_table_is_gone_and_its_files_are_not(world: World) -> None:
    catalog = world.catalog()
    make(catalog, "t")
    location = metadata_of(catalog, world.ident("t"))
    catalog.drop_entry(world.ident("t"))
    catalog.drop_entry(world.ident("t"))
    assert catalog.load(world.ident("t")) is None
    assert catalog.tables(("lake",)) == []
    assert catalog.store().size(location)


def test_drop_entry_keeps_the_files_and_forgives_a_missing_one(world: World) -> None:
    catalog = world.catalog()
    make(catalog, "t")
    location = metadata_of(catalog, world.ident("t"))
    catalog.drop_entry(world.ident("t"))
    catalog.drop_entry(world.ident("t"))
    assert catalog.load(world.ident("t")) is None
    assert catalog.store().size(location)
    catalog.register(world.ident("t"), location)
    assert metadata_of(catalog, world.ident("t")) == location


@EVERY
def test_set_properties_commits_once(world: World) -> None:
    catalog = world.catalog()
    make(catalog, "t")
    before = metadata_of(catalog, world.ident("t"))
    catalog.set_properties(world.ident("t"), {"icebridge.state": "staged", "a.b": "ü"})
    after = catalog.load(world.ident("t"))
    assert after is not None
    assert after.metadata_location != before
    assert after.properties["icebridge.state"] == "staged"
    assert after.properties["a.b"] == "ü"
    catalog.set_properties(world.ident("t"), {"icebridge.state": "staged"})
    assert metadata_of(catalog, world.ident("t")) == after.metadata_location
    with pytest.raises(ConfigurationError) as caught:
        catalog.set_properties(world.ident("absent"), {"a": "b"})
    assert caught.value.code == "IB-208"


@EVERY
def test_read_only_refuses_every_change(world: World) -> None:
    make(world.catalog(), "t")
    catalog = world.catalog(read_only="true")
    table = world.ident("t")
    location = metadata_of(catalog, table)
    changes = [
        lambda: catalog.create_namespace(("new",)),
        lambda: catalog.register(world.ident("u"), location),
        lambda: catalog.rename(table, "u"),
        lambda: catalog.drop_entry(table),
        lambda: catalog.set_properties(table, {"a": "b"}),
    ]
    for change in changes:
        with pytest.raises(ConfigurationError) as caught:
            change()
        assert caught.value.code == "IB-207"
    assert metadata_of(world.catalog(), table) == location
    assert world.catalog().namespaces() == [("lake",)]


def test_new_tables_get_folders_that_never_meet(world: World) -> None:
    catalog = world.catalog()
    catalog.create_namespace(("lake",))
    pairs = [(("lake",), "t"), (("lake",), "a b"), (("lake",), "a_b"), (("lake",), "a.b"), (("lake", "a"), "b"),
             (("lake.a",), "b"), (("lake", "t-x"), "t"), (("lake",), "../up"), (("lake",), "ä" * 300)]  # fmt: skip
    folders = [
        catalog.location_for(TableIdentifier(catalog="prod", namespace=ns, name=name), "x") for ns, name in pairs
    ]
    assert len(set(folders)) == len(pairs)
    for folder in folders:
        assert folder.startswith(world.properties["warehouse"] + "/")
        assert ".." not in folder.split("/")
        assert max(len(part.encode()) for part in folder.split("/")) <= 255
        assert not any(other.startswith(folder + "/") for other in folders)
    assert folders[0] == world.properties["warehouse"] + "/lake/t-x"
    assert catalog.location_for(world.ident("t"), "y") != folders[0]


def test_the_namespace_may_say_where_its_tables_go(world: World) -> None:
    catalog = world.catalog()
    catalog.native.create_namespace(("lake",), {"location": "s3://elsewhere/lake"})
    assert catalog.location_for(world.ident("t"), "x") == "s3://elsewhere/lake/t-x"


def test_a_broken_table_is_named_and_stops_nothing(world: World) -> None:
    catalog = world.catalog()
    make(catalog, "fine", "gone", "torn")
    Path(metadata_of(catalog, world.ident("gone")).removeprefix("file://")).unlink()
    Path(metadata_of(catalog, world.ident("torn")).removeprefix("file://")).write_text('{"format-version": 2, ')
    with pytest.raises(IceBridgeError) as caught:
        catalog.load(world.ident("gone"))
    assert caught.value.code == "IB-204"
    found = read_inventory(catalog)
    assert [table.identifier.name for table in found.tables] == ["fine", "gone", "torn"]
    assert [table.identifier.name for table in found.problems] == ["gone", "torn"]
    assert [finding.rule for finding in found.findings] == ["SRC-001", "SRC-001"]
    assert found.tables[0].facts is not None


def test_two_at_once_conflict_and_both_land(world: World) -> None:
    first, second = world.catalog(), world.catalog()
    make(first, "t")
    stale = second.native.load_table(("lake", "t"))
    first.set_properties(world.ident("t"), {"one": "1"})
    stale.transaction().set_properties({"two": "2"}).commit_transaction()
    loaded = first.load(world.ident("t"))
    assert loaded is not None
    assert loaded.properties["one"] == "1"
    assert loaded.properties["two"] == "2"

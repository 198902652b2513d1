"""What only a server can do to us: refuse, be busy, hang, and lose its answer after the change was made."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from icebridge_provider.catalogs.check import check_connection
from icebridge_provider.catalogs.iceberg import IcebergCatalog, catalog_from
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, TransientError
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.steps.inventory import read_inventory
from tests.peers import rest_catalog
from tests.support import tables as shapes

RIGHTS = {
    "rights": {"reader": "read", "writer": "write", "boss": "admin"},
    "clients": {"robot:s3cr3t-canary": "boss"},
}
Change = Callable[[IcebergCatalog, str], None]


def ident(name: str) -> TableIdentifier:
    return TableIdentifier(catalog="prod", namespace=("lake",), name=name)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rest_catalog.Peer]:
    with rest_catalog.running(tmp_path_factory.mktemp("guarded"), RIGHTS) as peer:
        yield peer


@pytest.fixture
def peer(server: rest_catalog.Peer) -> rest_catalog.Peer:
    server.order()
    server.deny()
    boss = catalog_from("prod", server.properties(token="boss"))
    boss.create_namespace(("lake",))
    for table in boss.tables(("lake",)):
        boss.drop_entry(table)
    boss.native.create_table(("lake", "t"), shapes.rows(0, 1).schema).append(shapes.rows(0, 5))
    server.order()
    return server


def boss(peer: rest_catalog.Peer, **more: str) -> IcebergCatalog:
    return catalog_from("prod", peer.properties(token="boss", **more))


def location(peer: rest_catalog.Peer) -> str:
    loaded = boss(peer).load(ident("t"))
    assert loaded is not None
    return loaded.metadata_location


CHANGES: dict[str, tuple[str, str, Change]] = {
    "register": ("POST", "/register", lambda catalog, at: catalog.register(ident("new"), at)),
    "rename": ("POST", "/rename", lambda catalog, _: catalog.rename(ident("t"), "new")),
    "drop": ("DELETE", "/tables/t", lambda catalog, _: catalog.drop_entry(ident("t"))),
    "properties": ("POST", "/tables/t", lambda catalog, _: catalog.set_properties(ident("t"), {"a": "1"})),
    "namespace": ("POST", "/namespaces", lambda catalog, _: catalog.create_namespace(("fresh",))),
}


def outcome(catalog: IcebergCatalog) -> tuple[list[str], str | None, bool]:
    loaded = catalog.load(ident("t"))
    names = [table.name for table in catalog.tables(("lake",))]
    return names, loaded.properties.get("a") if loaded else None, ("fresh",) in catalog.namespaces()


EXPECTED = {
    "register": (["new", "t"], None, False),
    "rename": (["new"], None, False),
    "drop": ([], None, False),
    "properties": (["t"], "1", False),
    "namespace": (["t"], None, True),
}


@pytest.mark.parametrize("fault", ["lost", "cut", 503, 500])
@pytest.mark.parametrize("change", sorted(CHANGES))
def test_a_change_happens_once_whatever_becomes_of_the_answer(
    peer: rest_catalog.Peer, change: str, fault: object
) -> None:
    method, path, make = CHANGES[change]
    at = location(peer)
    catalog = boss(peer)
    peer.order({"method": method, "path": path, "fault": fault})
    try:
        make(catalog, at)
        applied = [entry for entry in peer.log() if entry["method"] == method and path in entry["path"]]
        assert outcome(catalog) == EXPECTED[change]
        # A lost answer to a change that was made is found by looking, not by asking for the change again.
        assert len(applied) == (1 if fault == "lost" else 2)
    finally:
        if ("fresh",) in catalog.namespaces():
            catalog.native.drop_namespace(("fresh",))


def test_a_change_that_nobody_can_be_asked_about_says_so(peer: rest_catalog.Peer) -> None:
    catalog = boss(peer)
    catalog.namespaces()
    lost = {"method": "DELETE", "path": "/tables/t", "fault": "lost"}
    silent = {"method": "GET", "path": "/tables/t", "fault": 503, "times": 99}
    peer.order({**lost, "times": 99}, silent)
    with pytest.raises(TransientError) as caught:
        catalog.drop_entry(ident("t"))
    assert caught.value.changed.startswith("Whether it could drop the entry lake.t is not known")


def test_a_lost_answer_to_a_rename_is_no_success_when_somebody_else_took_the_name(peer: rest_catalog.Peer) -> None:
    catalog = boss(peer)
    catalog.native.create_table(("lake", "other"), shapes.rows(0, 1).schema)
    with pytest.raises(ConfigurationError) as caught:
        catalog.rename(ident("t"), "other")
    assert caught.value.code == "IB-206"
    assert outcome(catalog)[0] == ["other", "t"]


def test_a_server_that_asks_to_wait_is_waited_for(peer: rest_catalog.Peer) -> None:
    catalog = boss(peer)
    catalog.namespaces()
    peer.order({"method": "GET", "path": "/namespaces", "fault": 429, "retry_after": 1})
    started = time.monotonic()
    assert catalog.namespaces() == [("lake",)]
    assert time.monotonic() - started >= 1


def test_a_server_that_hangs_is_given_up(peer: rest_catalog.Peer) -> None:
    catalog = boss(peer, **{"rest.timeout-seconds": "0.2"})
    catalog.namespaces()
    peer.order({"method": "GET", "path": "/namespaces", "fault": "slow", "seconds": 1, "times": 1})
    assert catalog.namespaces() == [("lake",)]
    assert len([entry for entry in peer.log() if entry["path"].endswith("/namespaces")]) >= 2


def test_an_unreachable_server_is_named_without_its_credentials() -> None:
    catalog = catalog_from("prod", {"type": "rest", "uri": "http://user:canary@127.0.0.1:9/x", "token": "canary"})
    with pytest.raises(TransientError) as caught:
        catalog.namespaces()
    assert caught.value.code == "IB-201"
    assert "127.0.0.1:9" in caught.value.message
    assert "canary" not in str(caught.value)


def test_wrong_credentials_are_told_apart_from_missing_rights(peer: rest_catalog.Peer) -> None:
    with pytest.raises(ConfigurationError) as login:
        catalog_from("prod", peer.properties(token="stranger-canary")).namespaces()
    with pytest.raises(ConfigurationError) as right:
        catalog_from("prod", peer.properties(token="reader")).rename(ident("t"), "u")
    assert (login.value.code, right.value.code) == ("IB-209", "IB-202")
    assert "canary" not in str(login.value)
    assert right.value.facts["right"] == "rename tables in lake"
    assert "TABLE_RENAME" in right.value.message


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_client_with_a_secret_logs_in(peer: rest_catalog.Peer) -> None:
    catalog = catalog_from("prod", peer.properties(credential="robot:s3cr3t-canary"))
    assert catalog.namespaces() == [("lake",)]
    loaded = catalog.load(ident("t"))
    assert loaded is not None
    assert not any("canary" in value or "boss" in value for value in loaded.io_properties.values())


def test_a_table_that_may_not_be_read_does_not_stop_the_inventory(peer: rest_catalog.Peer) -> None:
    catalog = boss(peer)
    catalog.register(ident("secret"), location(peer))
    peer.deny("lake.secret")
    found = read_inventory(catalog)
    assert [table.identifier.name for table in found.problems] == ["secret"]
    assert "TABLE_READ_DATA" in found.problems[0].problem
    assert found.tables[1].facts is not None


def test_a_table_that_always_fails_is_noted_and_a_dead_catalog_ends_the_inventory(peer: rest_catalog.Peer) -> None:
    catalog = boss(peer)
    peer.order({"method": "GET", "path": "/tables/t", "fault": 500, "times": 99})
    assert [table.identifier.name for table in read_inventory(catalog).problems] == ["t"]
    peer.order({"method": "GET", "path": "/tables", "fault": 500, "times": 99})
    with pytest.raises(IceBridgeError) as caught:
        read_inventory(catalog)
    assert caught.value.code == "IB-201"


def test_pages_are_followed_to_the_end(peer: rest_catalog.Peer) -> None:
    catalog = boss(peer, **{"rest-page-size": "2"})
    for number in range(5):
        catalog.register(ident(f"n{number}"), location(peer))
    assert [table.name for table in catalog.tables(("lake",))] == ["n0", "n1", "n2", "n3", "n4", "t"]


def checks(peer: rest_catalog.Peer, bearer: str, **more: str) -> dict[str, str]:
    catalog = catalog_from("prod", peer.properties(token=bearer, **more))
    return {item["check"]: item["outcome"] for item in check_connection(catalog)}


def test_check_connection_names_the_missing_right(peer: rest_catalog.Peer) -> None:
    assert set(checks(peer, "boss").values()) == {"passed"}
    told = check_connection(catalog_from("prod", peer.properties(token="reader")))
    failed = [item for item in told if item["outcome"] == "failed"]
    assert [item["check"] for item in failed] == ["create a table"]
    assert "TABLE_CREATE" in failed[0]["message"]
    assert "create tables in lake" in failed[0]["remedy"]
    assert [table.name for table in boss(peer).tables(("lake",))] == ["t"]


def test_check_connection_of_a_read_only_connection_writes_nothing(peer: rest_catalog.Peer) -> None:
    outcomes = checks(peer, "boss", read_only="true")
    assert outcomes["write and delete a file"] == "skipped"
    assert outcomes["create a table"] == "skipped"
    assert {entry["method"] for entry in peer.log()} <= {"GET", "HEAD"}


def test_check_connection_cleans_up_what_it_wrote(peer: rest_catalog.Peer) -> None:
    folder = Path(peer.warehouse.removeprefix("file://"))
    before = sorted(folder.rglob("*"))
    assert set(checks(peer, "boss").values()) == {"passed"}
    assert sorted(folder.rglob("*")) == before

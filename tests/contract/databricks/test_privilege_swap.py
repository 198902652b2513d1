"""Readers are moved from a foreign table to its copy through the real adapter, against enforced privileges."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from icebridge_provider.catalogs.iceberg import IcebergCatalog
from icebridge_provider.catalogs.unity.catalog import UnityCatalog
from icebridge_provider.catalogs.unity.workspace import Login
from icebridge_provider.catalogs.unity.workspace import Workspace as Client
from icebridge_provider.exceptions import ValidationFailed
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.planning.privileges import inverse
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.access import certified_access, check_access, swap_of
from icebridge_provider.steps.site import Site
from tests.crash.privileges import TABLE as PLANNED
from tests.support import tables as shapes
from tests.support.databricks import Workspace


class Swapped:
    """One foreign table, one copy of it, and the people around them."""

    def __init__(self, server: Workspace, folder: Path) -> None:
        mark = uuid.uuid4().hex[:6]
        self.server, self.old, self.new = server, f"swap_old_{mark}", f"swap_new_{mark}"
        shapes.plain(shapes.open_catalog(folder), "t")
        properties = shapes.catalog_properties(folder)
        server.connection(f"swap_{mark}", properties)
        server.api("POST", "/catalogs", {"name": self.old, "connection_name": f"swap_{mark}"})
        server.order("POST", f"/refresh/{self.old}")
        server.api("POST", "/catalogs", {"name": self.new})
        server.api("POST", "/schemas", {"name": "lake", "catalog_name": self.new})
        columns = [["id", "bigint"]]
        copy = {"full_name": f"{self.new}.lake.t__icebridge_p", "data_source_format": "ICEBERG", "columns": columns}
        server.order("POST", "/tables", copy)
        client = Client("prod", server.url, Login(token=server.token("admin")))
        self.site = Site(
            source=UnityCatalog("old", client, self.old, origin=IcebergCatalog("origin", properties)),
            target=UnityCatalog("new", client, self.new),
            ledger=SqlLedger(f"sqlite:///{folder}/ledger.db"),
            engine=lambda _: pytest.fail("nothing is copied here"),
        )
        self.table = replace(
            PLANNED,
            source=TableIdentifier(catalog="old", namespace=("lake",), name="t"),
            staged=TableIdentifier(catalog="new", namespace=("lake",), name="t__icebridge_p"),
        )

    def grant(self, kind: str, name: str, principal: str, *privileges: str, take: bool = False) -> None:
        self.server.principal(principal)
        change = {"principal": principal, "remove" if take else "add": list(privileges)}
        self.server.api("PATCH", f"/permissions/{kind}/{name}", {"changes": [change]})

    def let_in(self, principal: str) -> None:
        for catalog in (self.old, self.new):
            self.grant("catalog", catalog, principal, "USE_CATALOG", "USE_SCHEMA")

    def reads(self, principal: str) -> tuple[bool, bool]:
        """Whether the workspace shows the principal the old and the new table."""
        seen = {
            table["full_name"]
            for catalog in (self.old, self.new)
            for table in self._tables(catalog, principal).get("tables", ())
        }
        return f"{self.old}.lake.t" in seen, f"{self.new}.lake.t__icebridge_p" in seen

    def _tables(self, catalog: str, principal: str) -> dict[str, Any]:
        path = f"/tables?catalog_name={catalog}&schema_name=lake"
        found: dict[str, Any] = self.server.api("GET", path, principal=principal)
        return found


@pytest.fixture
def swapped(databricks_uc: Workspace, tmp_path: Path) -> Swapped:
    return Swapped(databricks_uc, tmp_path)


def test_readers_are_moved_and_moved_back(swapped: Swapped) -> None:
    site, table = swapped.site, swapped.table
    swapped.let_in("swap-ann")
    swapped.let_in("swap-eve")
    swapped.grant("table", f"{swapped.old}.lake.t", "swap-ann", "SELECT")
    certified = certified_access(site, table)
    moves = swap_of(site, table, certified)
    assert moves is not None
    assert site.target.access is not None
    assert site.source.access is not None
    seen = [swapped.reads("swap-ann")]
    for access, name, changes in (
        (site.target.access, table.staged, moves.grants),
        (site.source.access, table.source, moves.revokes),
        (site.source.access, table.source, inverse(moves.revokes)),
        (site.target.access, table.staged, inverse(moves.grants)),
    ):
        access.change(name, changes)
        seen.append(swapped.reads("swap-ann"))
        assert swapped.reads("swap-eve") == (False, False)
    assert seen == [(True, False), (True, True), (False, True), (True, True), (True, False)]
    check_access(site, table, certified)


def test_what_is_inherited_stops_it_with_the_statement_to_run(swapped: Swapped) -> None:
    swapped.let_in("swap-bob")
    swapped.grant("schema", f"{swapped.old}.lake", "swap-bob", "SELECT")
    with pytest.raises(ValidationFailed, match="IB-631") as caught:
        certified_access(swapped.site, swapped.table)
    assert f"REVOKE SELECT ON SCHEMA `{swapped.old}`.`lake` FROM `swap-bob`" in str(caught.value)


def test_who_may_not_enter_is_named_with_the_statement_to_run(swapped: Swapped) -> None:
    swapped.grant("catalog", swapped.old, "swap-cy", "USE_CATALOG", "USE_SCHEMA")
    swapped.grant("table", f"{swapped.old}.lake.t", "swap-cy", "SELECT")
    with pytest.raises(ValidationFailed, match="IB-631") as caught:
        certified_access(swapped.site, swapped.table)
    assert caught.value.facts["refusals"] == 2
    assert f"GRANT USE CATALOG ON CATALOG `{swapped.new}` TO `swap-cy`" in str(caught.value)


def test_somebody_else_s_grant_is_noticed(swapped: Swapped) -> None:
    certified = certified_access(swapped.site, swapped.table)
    swapped.grant("table", f"{swapped.old}.lake.t", "swap-eve", "SELECT")
    with pytest.raises(ValidationFailed, match=r"IB-632.*grant SELECT to swap-eve is new"):
        check_access(swapped.site, swapped.table, certified)


def test_a_tag_that_a_policy_looks_at_goes_along_unless_the_copy_has_another_value(swapped: Swapped) -> None:
    for catalog in (swapped.old, swapped.new):
        policy = {
            "name": "secrets", "on_securable_type": "CATALOG", "on_securable_fullname": catalog,
            "for_securable_type": "TABLE", "policy_type": "POLICY_TYPE_DENY", "to_principals": ["account users"],
            "deny": {"privileges": ["SELECT"]}, "when_condition": "hasTag('secret')",
        }  # fmt: skip
        swapped.server.api("POST", "/policies", policy)
    swapped.server.order("PATCH", f"/tables/{swapped.old}.lake.t", {"tags": {"secret": "yes"}})
    certified = certified_access(swapped.site, swapped.table)
    assert certified is not None
    assert certified["before"]["target"]["tags"] == []
    assert certified["after"]["target"]["tags"] == [{"name": "secret", "is": "yes"}]
    swapped.server.order("PATCH", f"/tables/{swapped.new}.lake.t__icebridge_p", {"tags": {"secret": "no"}})
    with pytest.raises(ValidationFailed, match=r"IB-631.*differ in secret=no, secret=yes"):
        certified_access(swapped.site, swapped.table)

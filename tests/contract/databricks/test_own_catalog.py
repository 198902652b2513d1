"""Credentials of the source's own catalog reach a run by its scope, and nothing else of us."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from databricks.sdk.service.workspace import AclPermission

from icebridge_provider.catalogs.unity.workspace import Login
from icebridge_provider.catalogs.unity.workspace import Workspace as Client
from icebridge_provider.engines.databricks.own_catalog import PREFIX, OwnCatalogTables, prove_readable, spark_conf
from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.table import LoadedTable
from tests.support.databricks import Workspace
from tests.support.databricks_runs import Programs
from tests.support.run_tables import Tables

WHO = "own@example.com"
VALUE = "c4n4ry-of-the-origin"
PROPERTIES = {"type": "rest", "uri": "https://catalog.example.com", "credential": "id:never-sent"}


@dataclass(frozen=True, kw_only=True)
class Scope:
    server: Workspace
    name: str

    def put(self, key: str) -> None:
        self.server.sdk().secrets.put_secret(self.name, key, string_value=VALUE)

    def let_in(self) -> None:
        self.server.sdk().secrets.put_acl(self.name, WHO, AclPermission.READ)

    @property
    def client(self) -> Client:
        return Client("dbx", self.server.url, Login(token=self.server.token(WHO)))


@pytest.fixture
def scope(databricks_uc: Workspace) -> Iterator[Scope]:
    name = f"icebridge-{secrets.token_hex(3)}"
    databricks_uc.principal(WHO)
    databricks_uc.sdk().secrets.create_scope(name)
    yield Scope(server=databricks_uc, name=name)


def refused(scope: Scope, *keys: str) -> str:
    with pytest.raises(IceBridgeError) as caught:
        prove_readable(scope.client, scope.name, keys)
    return caught.value.code


def test_a_scope_is_proven_before_anything_starts(scope: Scope) -> None:
    assert refused(scope, "origin.credential") == "IB-455", "the principal may not read it"
    scope.let_in()
    assert refused(scope, "origin.credential") == "IB-456"
    scope.put("origin.credential")
    scope.server.forget_requests()
    prove_readable(scope.client, scope.name, ["origin.credential"])
    assert [request["path"] for request in scope.server.requests("/secrets/")] == ["/api/2.0/secrets/list"]


def test_a_scope_that_is_not_there_is_named(scope: Scope) -> None:
    with pytest.raises(IceBridgeError, match=r"IB-455.*nowhere"):
        prove_readable(scope.client, "nowhere", [])


def test_the_run_gets_the_value_and_nobody_else_sees_it(scope: Scope) -> None:
    scope.let_in()
    scope.put("origin.credential")
    conf = spark_conf("origin", PROPERTIES, scope.name)
    program = (
        "from pyspark.sql import SparkSession\n"
        f"found = SparkSession.builder.getOrCreate().conf.get('{PREFIX}.credential')\n"
        f"print('whole:', len(found), found)"
    )
    programs = Programs(scope.server, WHO)
    run = programs.run(program, cluster={"spark_conf": conf})
    said = str(programs.output(run).logs)
    assert f"whole: {len(VALUE)}" in said, "the cluster has it"
    assert VALUE not in said + str(run.as_dict())
    assert "never-sent" not in str(run.as_dict())


def test_the_cluster_reads_the_origins_own_names(scope: Scope) -> None:
    class Origin:
        def load(self, table: TableIdentifier) -> LoadedTable:
            own = TableIdentifier(catalog="origin", namespace=("Sales",), name="Orders")
            return LoadedTable(identifier=own, metadata_location="m", metadata={})

    shown = TableIdentifier(catalog="foreign", namespace=("sales",), name="orders")
    tables = OwnCatalogTables(Tables("lake", is_foreign=True), Origin())  # type: ignore[arg-type]  # as far as used
    assert tables.parts(shown) == ("icebridge_origin", "Sales", "Orders")
    assert not tables.is_foreign

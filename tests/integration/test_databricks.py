"""Foreign tables of a local Databricks workspace become managed ones: real DAG runs, real Spark, real privileges."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from databricks.sdk.service.catalog import PermissionsChange, Privilege, VolumeType
from pyiceberg.catalog import Catalog

from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.status import status
from tests.support import tables
from tests.support.airflow_cli import connection, environment
from tests.support.cli import icebridge
from tests.support.dag_runs import _pool, load_dags, run
from tests.support.databricks import Workspace, databricks  # noqa: F401 - a fixture

pytestmark = pytest.mark.airflow
CLUSTER = {"spark_version": "17.3.x-scala2.13", "node_type_id": "i3.xlarge", "num_workers": 1}
COPIER = "icebridge"
LOSSES = ["history", "refs", "old_schemas", "old_specs", "old_sort_orders", "format_version"]


@dataclass(frozen=True, kw_only=True)
class Estate:
    """A lake behind the foreign catalog ``lake``, the managed catalog ``main``, a copier and two readers."""

    workspace: Workspace
    folder: Path

    @property
    def origin(self) -> Catalog:
        return tables.open_catalog(self.folder / "origin", "origin")

    @property
    def ledger(self) -> SqlLedger:
        return SqlLedger(f"sqlite:///{self.folder / 'ledger.db'}")

    def grant(self, kind: str, name: str, principal: str, *privileges: str) -> None:
        change = PermissionsChange(principal=principal, add=[Privilege(one) for one in privileges])
        self.workspace.sdk().grants.update(kind, name, changes=[change])

    def federate(self) -> None:
        """Show the origin's tables as the foreign catalog, and let people read some of them."""
        workspace, client = self.workspace, self.workspace.sdk()
        for name in (COPIER, "ada", "bob"):
            workspace.principal(name)
        workspace.settings(external_access_enabled=True)
        workspace.connection("hms", dict(tables.catalog_properties(self.folder / "origin")))
        client.catalogs.create("lake", connection_name="hms", options={"authorized_paths": f"file://{self.folder}"})
        client.catalogs.create("main")
        client.schemas.create("lake", "main")
        client.schemas.create("icebridge", "main")
        client.volumes.create("main", "icebridge", "jobs", VolumeType.MANAGED)
        self.grant("CATALOG", "lake", COPIER, "USE_CATALOG", "USE_SCHEMA", "SELECT", "MANAGE")
        rights = ("USE_SCHEMA", "CREATE_TABLE", "SELECT", "MODIFY", "MANAGE", "EXTERNAL_USE_SCHEMA")
        self.grant("CATALOG", "main", COPIER, "USE_CATALOG")
        self.grant("SCHEMA", "main.lake", COPIER, *rights)
        self.grant("SCHEMA", "main.icebridge", COPIER, "USE_SCHEMA", "READ_VOLUME", "WRITE_VOLUME")

    def reader(self, name: str, table: str) -> None:
        self.grant("CATALOG", "lake", name, "USE_CATALOG", "USE_SCHEMA")
        self.grant("CATALOG", "main", name, "USE_CATALOG", "USE_SCHEMA")
        self.grant("TABLE", f"lake.lake.{table}", name, "SELECT")

    def rows(self, plan_id: str) -> dict[str, dict[str, Any]]:
        return {row["source"].removeprefix("foreign.lake."): row for row in status(self.ledger, plan_id)}

    def read(self, who: str, table: str) -> Any:
        """What somebody gets who selects from a table in SQL: rows, or the refusal's code."""
        answer = self.workspace.sdk(who).statement_execution.execute_statement(
            f"SELECT * FROM {table} ORDER BY 1", self.warehouse, wait_timeout="30s"
        )
        return answer.result.data_array if answer.status.error is None else answer.status.error.message

    @property
    def warehouse(self) -> str:
        return str(next(iter(self.workspace.sdk().warehouses.list())).id)

    def connections(self) -> dict[str, str]:
        """The connections as Airflow reads them from the environment."""
        shared = {"host": "127.0.0.1", "schema": "http", "port": self.workspace.port}
        login = {"password": self.workspace.token(COPIER)}
        target = {
            "catalog": "main",
            "warehouse_id": self.warehouse,
            "cluster": CLUSTER,
            "volume": "main.icebridge.jobs",
            "cost_center": "data platform",
            "rates": {"price_per_dbu": 0.2},
        }
        source = {"catalog": "lake", "warehouse_id": self.warehouse, "origin_conn_id": "origin"}
        origin = {**tables.catalog_properties(self.folder / "origin"), "read_only": True}
        return {
            "AIRFLOW_CONN_FOREIGN": connection("databricks", **shared, **login, extra=source),
            "AIRFLOW_CONN_MANAGED": connection("databricks", **shared, **login, extra=target),
            "AIRFLOW_CONN_ORIGIN": connection("icebridge_catalog", extra=origin),
            "AIRFLOW_CONN_ICEBRIDGE_LEDGER": connection("icebridge_ledger", schema=str(self.folder / "ledger.db")),
        }


@pytest.fixture(scope="module")
def dags(airflow_cli_home: Path) -> dict[str, Any]:
    return load_dags()


@pytest.fixture(scope="module")
def estate(airflow_cli_home: Path, databricks: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:  # noqa: F811
    made = Estate(workspace=databricks, folder=tmp_path_factory.mktemp("estate"))
    tables.evolved_schema(made.origin, "orders")
    tables.plain(made.origin, "plain")
    tables.partitioned(made.origin, "by_month")
    tables.nested(made.origin, "nested")
    tables.position_deletes(made.origin, "deleted")
    tables.missing_file(made.origin, "broken")
    made.federate()
    tables.plain(made.origin, "unseen")  # made after Unity Catalog last looked
    made.reader("ada", "orders")
    options = {"AIRFLOW__ICEBRIDGE__ALLOW_UNAPPROVED_CUTOVER": "True"}
    with environment(**made.connections(), **options):
        made.ledger.migrate()
        _pool()
        yield made


def request(**more: Any) -> dict[str, Any]:
    given = {"source_conn_id": "foreign", "target_conn_id": "managed", "approval": "none", "accept_losses": LOSSES}
    return {**given, "plan_id": "d1", **more}


def sorted_rows(table: pa.Table) -> list[dict[str, Any]]:
    return sorted(table.to_pylist(), key=str)


def test_foreign_tables_become_managed_ones(dags: dict[str, Any], estate: Estate) -> None:
    ran = run(dags["icebridge_migrate"], request(tables=["lake.*", "!lake.deleted"]))
    rows = estate.rows("d1")
    assert ran.state == "success", (ran, rows)
    assert {name: row["state"] for name, row in rows.items()} == {
        "orders": "cut over", "plain": "cut over", "by_month": "refused", "nested": "refused", "broken": "refused",
        "unseen": "refused",
    }  # fmt: skip
    assert rows["orders"]["method"] == "deep_clone"
    expected = estate.origin.load_table("lake.orders").scan().to_arrow().num_rows
    assert len(estate.read("ada", "main.lake.orders")) == expected
    assert isinstance(estate.read("ada", "lake.lake.orders"), str), "she reads one of the two, the new one"
    assert isinstance(estate.read("bob", "main.lake.orders"), str), "he could read neither"


def test_and_back(dags: dict[str, Any], estate: Estate) -> None:
    ran = run(dags["icebridge_rollback"], {"plan_id": "d1", "tables": ["foreign.lake.orders"]})
    assert ran.state == "success", ran
    assert estate.rows("d1")["orders"]["state"] == "rolled back"
    assert isinstance(estate.read("ada", "lake.lake.orders"), list)


def test_deletes_that_its_engine_does_not_apply_are_caught_before_anybody_reads_the_copy(
    dags: dict[str, Any], estate: Estate
) -> None:
    estate.workspace.order("PATCH", "/catalogs/lake", {"deletes_ignored": True})
    wrong = run(dags["icebridge_migrate"], request(plan_id="d2", tables=["lake.deleted"]))
    assert wrong.state == "failed"
    row = estate.rows("d2")["deleted"]
    assert (row["state"], "IB-603" in row["problem"]) == ("copied", True)
    estate.workspace.order("PATCH", "/catalogs/lake", {"deletes_ignored": False})
    assert run(dags["icebridge_rollback"], {"plan_id": "d2", "tables": ["foreign.lake.deleted"]}).state == "success"
    right = run(dags["icebridge_migrate"], request(plan_id="d2", tables=["lake.deleted"]))
    assert right.state == "success"
    expected = estate.origin.load_table("lake.deleted").scan().to_arrow().num_rows
    assert estate.rows("d2")["deleted"]["rows"] == expected


def test_the_days_bill_is_filled_in(dags: dict[str, Any], estate: Estate) -> None:
    denied = run(dags["icebridge_costs"], {})
    assert denied.state == "failed", "nobody may read the bill yet"
    admin = estate.workspace.sdk()
    admin.system_schemas.enable(str(admin.metastores.current().metastore_id), "billing")
    estate.grant("CATALOG", "system", COPIER, "USE_CATALOG")
    estate.grant("SCHEMA", "system.billing", COPIER, "USE_SCHEMA", "SELECT")
    assert run(dags["icebridge_costs"], {}).state == "success"
    told = icebridge("costs", "d1", "--json").json
    actual, made = told["actual"], told["estimate"]["cluster"]
    assert actual["runs"] == actual["arrived"] > 0, actual
    assert (actual["dbus"] > 0, made["runs"], told["estimate"]["rates"]["cluster"]["price_per_dbu"]) == (True, 1, 0.2)
    assert {row["table"] for row in told["tables"]} == {"foreign.lake.orders", "foreign.lake.plain"}
    assert "1 of 1 runs are billed" in icebridge("costs", "d1", "--refresh").out
    tags = [task.new_cluster.custom_tags for found in admin.jobs.list_runs(expand_tasks=True) for task in found.tasks]
    assert {one["cost_center"] for one in tags if one.get("icebridge_plan") == "d1"} == {"data platform"}


def test_progress_is_in_a_table_of_the_users_own(dags: dict[str, Any], estate: Estate) -> None:
    managed = json.loads(estate.connections()["AIRFLOW_CONN_MANAGED"])
    managed["extra"]["jobs_table"] = "main.lake.migration_iceberg_jobs"
    with environment(AIRFLOW_CONN_MANAGED=json.dumps(managed)):
        ran = run(dags["icebridge_rollback"], {"plan_id": "d1", "tables": ["foreign.lake.plain"]})
    assert ran.state == "success", ran
    admin = estate.workspace.sdk().grants
    admin.update("SCHEMA", "main.lake", changes=[PermissionsChange(principal="admin", add=[Privilege.SELECT])])
    [row] = estate.read("admin", "main.lake.migration_iceberg_jobs")
    assert row[:2] + row[5:6] == ["d1", "foreign.lake.plain", "rolled back"]

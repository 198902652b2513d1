"""One table of a foreign catalog on its way to a managed one of a local workspace: real steps, one principal."""

from __future__ import annotations

import time
import uuid
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
from databricks.sdk.service.catalog import VolumeType
from pyiceberg.catalog import Catalog as Native
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import DateType, LongType, NestedField, StringType

from icebridge_provider.catalogs.iceberg import IcebergCatalog
from icebridge_provider.catalogs.unity.catalog import UnityCatalog
from icebridge_provider.catalogs.unity.workspace import Login
from icebridge_provider.catalogs.unity.workspace import Workspace as Client
from icebridge_provider.engines.databricks.engine import DatabricksEngine
from icebridge_provider.exceptions import TransientError
from icebridge_provider.model.event import Actor, TableState
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import CopyMethod, Estimate, MigrationPlan, MigrationRequest, Rates, TablePlan, Wave
from icebridge_provider.model.settings import Settings
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.copy import copy_table
from icebridge_provider.steps.site import Site
from icebridge_provider.steps.sync import sync_table
from icebridge_provider.steps.validate import validate_table
from tests.support import tables as shapes
from tests.support.databricks import Workspace
from tests.support.run_tables import CLUSTER
from tests.support.sql_estate import PATIENT, WAREHOUSE

REGIONS = Schema(
    NestedField(1, "id", LongType()),
    NestedField(2, "Region", StringType()),
    NestedField(3, "day", DateType()),
    NestedField(4, "name", StringType()),
)
BY_REGION = PartitionSpec(
    PartitionField(2, 1000, IdentityTransform(), "Region"), PartitionField(3, 1001, IdentityTransform(), "day")
)


class Proof:
    """``lake.t`` behind a foreign catalog; what is done with it is done as ``copier``."""

    def __init__(self, server: Workspace, folder: Path, *, settings: Settings | None = None) -> None:
        self.server, self.folder, self.settings = server, folder, settings or Settings()
        mark = uuid.uuid4().hex[:6]
        self.lake, self.main, self.copier = f"pl_{mark}", f"pm_{mark}", f"copier_{mark}"

    @cached_property
    def native(self) -> Native:
        return shapes.open_catalog(self.folder / "origin", "origin")

    def by_region(self, rows: list[dict[str, Any]]) -> Table:
        """Make ``lake.t``, partitioned by region and day."""
        self.native.create_namespace_if_not_exists("lake")
        made = self.native.create_table("lake.t", REGIONS, partition_spec=BY_REGION)
        made.append(pa.Table.from_pylist(rows, made.schema().as_arrow()))
        return made

    def federate(self) -> Proof:
        """Show the origin in the workspace and give the copier what it needs."""
        server, client = self.server, self.server.sdk(**PATIENT)
        server.principal(self.copier)
        server.settings(external_access_enabled=True)
        server.connection(f"hms_{self.lake}", dict(shapes.catalog_properties(self.folder / "origin")))
        authorised = {"authorized_paths": f"file://{self.folder}"}
        client.catalogs.create(self.lake, connection_name=f"hms_{self.lake}", options=authorised)
        client.catalogs.create(self.main)
        client.schemas.create("lake", self.main)
        client.volumes.create(self.main, "lake", "jobs", VolumeType.MANAGED)
        server.order("POST", f"/refresh/{self.lake}")
        self.grant("catalog", self.lake, "USE_CATALOG", "USE_SCHEMA", "SELECT")
        self.grant("catalog", self.main, "USE_CATALOG", "USE_SCHEMA", "EXTERNAL_USE_SCHEMA", "CREATE_TABLE")
        self.grant("volume", f"{self.main}.lake.jobs", "READ_VOLUME", "WRITE_VOLUME")
        return self

    def grant(self, kind: str, name: str, *privileges: str) -> None:
        change = {"principal": self.copier, "add": list(privileges)}
        self.server.api("PATCH", f"/permissions/{kind}/{name}", {"changes": [change]})

    @cached_property
    def source(self) -> UnityCatalog:
        behind = IcebergCatalog("origin", shapes.catalog_properties(self.folder / "origin"))
        return UnityCatalog("src", self._client(), self.lake, origin=behind, warehouse_id=WAREHOUSE)

    @cached_property
    def target(self) -> UnityCatalog:
        return UnityCatalog("dst", self._client(), self.main, warehouse_id=WAREHOUSE)

    def _client(self) -> Client:
        return Client("dbx", self.server.url, Login(token=self.server.token(self.copier)))

    @cached_property
    def ledger(self) -> SqlLedger:
        ledger = SqlLedger(f"sqlite:///{self.folder}/ledger.db")
        ledger.migrate()
        return ledger

    @property
    def engine(self) -> DatabricksEngine:
        options = {"cluster": CLUSTER, "volume": f"{self.main}.lake.jobs"}
        return DatabricksEngine(self._client(), self.source, self.target, options)

    @property
    def site(self) -> Site:
        """A process of its own."""

        def here(_: object) -> Any:
            raise AssertionError("nothing is copied by this process")

        return Site(
            source=self.source,
            target=self.target,
            ledger=self.ledger,
            engine=here,
            settings=self.settings,
            actor=Actor(who="tests"),
            remote=self.engine,
        )

    @cached_property
    def plan(self) -> MigrationPlan:
        table = self._planned()
        request = MigrationRequest(source_conn_id="src", target_conn_id="dst", method=table.method.value)
        made = MigrationPlan(
            plan_id="p1",
            created_at="2026-01-01T00:00:00+00:00",
            request=request,
            tables=(table,),
            waves=(Wave(number=0, tables=1, bytes=1),),
            findings=(),
            estimate=Estimate(bytes=1, seconds=1, cost=0, throughput_mb_s=1, rates=Rates()),
        ).sealed()
        self.ledger.save_plan(made)
        return made

    def _planned(self) -> TablePlan:
        loaded = self.source.load(TableIdentifier(catalog="src", namespace=("lake",), name="t"))
        assert loaded is not None
        return TablePlan(
            source=loaded.identifier,
            target=TableIdentifier(catalog="dst", namespace=("lake",), name="t"),
            staged=TableIdentifier(catalog="dst", namespace=("lake",), name="t__icebridge_p1"),
            method=CopyMethod.INSERT_SELECT,
            table_uuid=str(loaded.metadata["table-uuid"]),
            metadata_location=loaded.metadata_location,
            snapshot_id=loaded.current_snapshot_id,
            location="",
            files=1,
            bytes=1,
            rows=1,
        )

    @property
    def table(self) -> TablePlan:
        return self.plan.tables[0]

    @property
    def state(self) -> TableState:
        return self.ledger.state("p1", str(self.table.source))

    def copied(self) -> Proof:
        self.until_over(lambda: copy_table(self.site, self.plan, self.table))
        return self

    def synced(self) -> dict[str, Any]:
        return self.until_over(lambda: sync_table(self.site, self.plan, self.table))

    def proven(self) -> dict[str, Any]:
        return validate_table(self.site, self.plan, self.table)

    def until_over(self, step: Any) -> dict[str, Any]:
        """Do a step again until its run is over."""
        until = time.monotonic() + 300
        while True:
            try:
                return dict(step())
            except TransientError as error:
                assert error.code == "IB-608", error
                assert time.monotonic() < until, error
                time.sleep(0.2)

    def sql(self, statement: str) -> list[list[Any]]:
        """Say something as the copier, who owns the copy; ``{staged}``, ``{main}`` and ``{lake}`` are put in."""
        staged = f"{self.main}.lake.t__icebridge_p1"
        text = statement.format(staged=staged, main=self.main, lake=self.lake)
        client = self.server.sdk(self.copier, **PATIENT).statement_execution
        answer = client.execute_statement(text, WAREHOUSE, wait_timeout="50s")
        assert answer.status is not None and answer.status.error is None, answer.status
        return (answer.result.data_array if answer.result else None) or []

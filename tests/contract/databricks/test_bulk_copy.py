"""The shipped program on a workspace with its engine: foreign tables become managed ones, row for row."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from databricks.sdk.service.catalog import VolumeType

from icebridge_provider.catalogs.iceberg import IcebergCatalog
from icebridge_provider.catalogs.unity.catalog import UnityCatalog
from icebridge_provider.catalogs.unity.workspace import Login
from icebridge_provider.catalogs.unity.workspace import Workspace as Client
from icebridge_provider.engines.databricks.engine import DatabricksEngine
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.job import JobRef, JobSpec, JobState, JobStatus
from icebridge_provider.model.plan import CopyMethod
from tests.support import tables as shapes
from tests.support.databricks import Workspace

MANAGED, FOREIGN, WHO = "copies", "copy_lake", "bulk@example.com"


def deep(catalog: Any, name: str) -> None:
    """Types within types, names that need quoting, and values at the edges of their types."""
    rows = [
        {
            "order": 2**63 - 1,
            "it's `here`": Decimal("1.00"),
            "tags": ["a", None],
            "more": {"x y": [("k", 1)], "z": None},
        },
        {"order": -(2**63), "it's `here`": None, "tags": [], "more": {"x y": [], "z": NOON}},
        {"order": 0, "it's `here`": Decimal("-99999999.99"), "tags": None, "more": None},
    ]
    inner = pa.struct([("x y", pa.map_(pa.string(), pa.int32())), ("z", pa.timestamp("us"))])
    schema = pa.schema(
        [
            pa.field("order", pa.int64(), nullable=False),
            ("it's `here`", pa.decimal128(10, 2)),
            ("tags", pa.list_(pa.string())),
            ("more", inner),
        ]
    )
    shapes.create(catalog, name, pa.Table.from_pylist(rows, schema)).append(pa.Table.from_pylist(rows, schema))


NOON = datetime(1969, 12, 31, 12, 0, 0, 1)  # noqa: DTZ001 - Iceberg's timestamp has no zone
SHAPES = (shapes.plain, deep, shapes.empty, shapes.evolved_schema, shapes.partitioned)
CLUSTER = {"spark_version": "16.4.x-scala2.12", "node_type_id": "m5d.xlarge", "num_workers": 1}


@dataclass
class Lake:
    """A foreign catalog with its origin, a managed one, and the engine of a principal that may do just enough."""

    server: Workspace
    folder: Path

    @property
    def origin(self) -> Any:
        return shapes.open_catalog(self.folder, FOREIGN)

    def client(self) -> Client:
        return Client("dbx", self.server.url, Login(token=self.server.token(WHO)))

    def source(self) -> UnityCatalog:
        behind = IcebergCatalog("origin", shapes.catalog_properties(self.folder))
        return UnityCatalog("src", self.client(), FOREIGN, origin=behind)

    def target(self) -> UnityCatalog:
        return UnityCatalog("dst", self.client(), MANAGED, warehouse_id="none")

    def engine(self, **more: Any) -> DatabricksEngine:
        options = {"cluster": CLUSTER, "volume": f"{MANAGED}.s.runs", **more}
        return DatabricksEngine(self.client(), self.source(), self.target(), options)

    def job(self, name: str, method: CopyMethod, **more: Any) -> tuple[JobSpec, str]:
        source = TableIdentifier(catalog="src", namespace=("lake",), name=name)
        loaded = self.source().load(source)
        assert loaded is not None
        staged = TableIdentifier(catalog="dst", namespace=("s",), name=f"{name}_{method.value}__icebridge_p1")
        spec = JobSpec(
            plan_id="p1",
            method=method,
            source=source,
            staged=staged,
            metadata_location=loaded.metadata_location,
            snapshot_id=loaded.current_snapshot_id,
            location="",
            **more,
        )
        return spec, f"{name}-{method.value}-{time.monotonic_ns()}"

    def run(self, *jobs: tuple[JobSpec, str], **options: Any) -> list[JobStatus]:
        engine = self.engine(**options)
        run = engine.submit_all(jobs)
        until = time.monotonic() + 100
        while engine.poll(run).state is JobState.RUNNING:
            assert time.monotonic() < until
            time.sleep(0.2)
        refs = [JobRef(engine="databricks", token=token, run_id=run.run_id) for _, token in jobs]
        return [engine.result_of(spec, ref) for (spec, _), ref in zip(jobs, refs, strict=True)]

    def rows(self, spec: JobSpec) -> pa.Table:
        """What an independent reader finds in the copy, over Iceberg REST."""
        loaded = self.target().load(spec.staged)
        assert loaded is not None
        native = shapes.load_catalog(
            "rest",
            type="rest",
            uri=f"{self.server.url}/api/2.1/unity-catalog/iceberg-rest",
            warehouse=MANAGED,
            token=self.server.token(WHO),
        )
        found: pa.Table = native.load_table(("s", spec.staged.name)).scan().to_arrow()
        return found


@pytest.fixture(scope="module")
def lake(databricks: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    server, made = databricks, Lake(databricks, tmp_path_factory.mktemp("copy-origin"))
    server.principal(WHO)
    for make in SHAPES:
        make(made.origin, make.__name__)
    server.api("POST", "/catalogs", {"name": MANAGED})
    server.api("POST", "/schemas", {"name": "s", "catalog_name": MANAGED})
    server.sdk().volumes.create(MANAGED, "s", "runs", VolumeType.MANAGED)
    server.connection("conn_copy_lake", shapes.catalog_properties(made.folder))
    server.api("POST", "/catalogs", {"name": FOREIGN, "connection_name": "conn_copy_lake"})
    server.order("POST", f"/refresh/{FOREIGN}")
    server.settings(external_access_enabled=True)
    grant(server, "catalog", FOREIGN, "USE_CATALOG", "USE_SCHEMA", "SELECT")
    grant(server, "catalog", MANAGED, "USE_CATALOG", "EXTERNAL_USE_SCHEMA")
    grant(server, "schema", f"{MANAGED}.s", "USE_SCHEMA", "CREATE_TABLE")
    grant(server, "volume", f"{MANAGED}.s.runs", "READ_VOLUME", "WRITE_VOLUME")
    yield made
    server.calm()


def grant(server: Workspace, kind: str, name: str, *privileges: str) -> None:
    server.api("PATCH", f"/permissions/{kind}/{name}", {"changes": [{"principal": WHO, "add": list(privileges)}]})


def same_rows(copied: pa.Table, lake: Lake, name: str) -> bool:
    wanted = lake.origin.load_table(f"lake.{name}").scan().to_arrow()
    key = wanted.column_names[0]
    return bool(copied.select(wanted.column_names).sort_by(key).to_pylist() == wanted.sort_by(key).to_pylist())


@pytest.mark.parametrize("method", [CopyMethod.DEEP_CLONE, CopyMethod.INSERT_SELECT])
def test_a_foreign_table_becomes_a_managed_one(lake: Lake, method: CopyMethod) -> None:
    job = spec, token = lake.job("plain", method)
    [status] = lake.run(job)
    assert status.state is JobState.SUCCEEDED, status
    assert same_rows(lake.rows(spec), lake, "plain")
    loaded = lake.target().load(spec.staged)
    assert loaded is not None
    marks = {key: value for key, value in loaded.properties.items() if key.startswith("icebridge.")}
    assert marks["icebridge.token"] == token
    assert marks["icebridge.plan-id"] == "p1"
    assert marks["icebridge.source-metadata-location"] == spec.metadata_location
    assert status.result is not None
    assert status.result.rows == lake.rows(spec).num_rows
    [again] = lake.run(job)
    assert again.result == status.result


@pytest.mark.parametrize("method", [CopyMethod.DEEP_CLONE, CopyMethod.INSERT_SELECT])
def test_one_run_copies_tables_of_all_shapes(lake: Lake, method: CopyMethod) -> None:
    copied = [make for make in SHAPES if make is not shapes.partitioned or method is CopyMethod.INSERT_SELECT]
    jobs = [lake.job(make.__name__, method) for make in copied]
    for make, (spec, _), status in zip(copied, jobs, lake.run(*jobs), strict=True):
        assert status.state is JobState.SUCCEEDED, (make.__name__, status)
        assert same_rows(lake.rows(spec), lake, make.__name__), make.__name__


def test_a_large_table_is_written_by_partitions_and_gone_on_with(lake: Lake) -> None:
    rows = pa.table({"id": pa.array(range(90)), "carrier": [f"it's {number % 3}" for number in range(90)]})
    table = shapes.create(lake.origin, "by_carrier", rows)
    with table.update_spec() as spec:
        spec.add_identity("carrier")
    table.append(rows)
    lake.server.order("POST", f"/refresh/{FOREIGN}")
    given = {"columns": ("id", "carrier"), "partition_by": ("carrier",)}
    job, token = lake.job("by_carrier", CopyMethod.INSERT_SELECT, **given)
    [whole] = lake.run((job, token), chunk_bytes=1)
    assert (whole.state, whole.result and whole.result.rows) == (JobState.SUCCEEDED, 90), whole
    made = lake.target().load(job.staged)
    assert made is not None
    layout, _, count = made.properties["icebridge.chunks"].partition(" ")
    assert count == "3", "a partition is a chunk"
    staged, owner = lake.target().sql_name(job.staged), lake.server.sdk(WHO).statement_execution
    for statement in (
        f"DELETE FROM {staged} WHERE carrier <> 'it\\'s 0'",
        f"ALTER TABLE {staged} UNSET TBLPROPERTIES ('icebridge.token')",
        f"ALTER TABLE {staged} SET TBLPROPERTIES ('icebridge.chunks' = '{layout} 1')",
    ):
        answer = owner.execute_statement(statement, next(iter(lake.server.sdk().warehouses.list())).id)
        assert answer.status is not None
        assert answer.status.error is None, answer.status
    head = lake.target().load(job.staged)
    assert head is not None
    [rest] = lake.run((job, f"{token}-2"), chunk_bytes=1)
    assert rest.state is JobState.SUCCEEDED, rest
    assert same_rows(lake.rows(job), lake, "by_carrier")
    after = lake.target().load(job.staged)
    assert after is not None
    assert after.metadata["table-uuid"] == made.metadata["table-uuid"], "the half-filled table was gone on with"
    kept = [snapshot["snapshot-id"] for snapshot in after.metadata["snapshots"]]
    assert len(kept) - kept.index(head.current_snapshot_id) - 1 == 3, "one DELETE, and two chunks that were left"


def test_a_clone_cannot_carry_partition_transforms(lake: Lake) -> None:
    [status] = lake.run(lake.job("partitioned", CopyMethod.DEEP_CLONE))
    assert (status.state, status.facts["retryable"]) == (JobState.FAILED, False)
    assert "MANAGED_ICEBERG_OPERATION_NOT_SUPPORTED" in status.problem


def test_a_copy_is_partitioned_by_columns(lake: Lake) -> None:
    spec, token = lake.job("plain", CopyMethod.INSERT_SELECT)
    column = lake.origin.load_table("lake.plain").schema().column_names[0]
    [status] = lake.run((replace(spec, partition_by=(column,)), token))
    assert status.state is JobState.SUCCEEDED, status
    assert same_rows(lake.rows(spec), lake, "plain")


def test_one_table_fails_and_the_others_come(lake: Lake) -> None:
    good = lake.job("plain", CopyMethod.INSERT_SELECT)
    bad, token = lake.job("plain", CopyMethod.DEEP_CLONE)
    missing = TableIdentifier(catalog="dst", namespace=("nowhere",), name=bad.staged.name)
    first, second = lake.run(good, (replace(bad, staged=missing), token))
    assert first.state is JobState.SUCCEEDED, first
    assert (second.state, second.facts["retryable"]) == (JobState.FAILED, False)
    assert "nowhere" in second.problem


def test_a_moved_source_is_copied_as_it_stands_now(lake: Lake) -> None:
    lake.origin.load_table("lake.plain").append(shapes.rows(900, 3))
    job = lake.job("plain", CopyMethod.INSERT_SELECT)
    [status] = lake.run(job)
    assert status.state is JobState.SUCCEEDED, status
    assert same_rows(lake.rows(job[0]), lake, "plain")

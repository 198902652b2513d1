"""Two SQL catalogs and a ledger on disk, and a shorthand to copy a table from one to the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from icebridge_provider.catalogs.iceberg import IcebergCatalog
from icebridge_provider.engines.local.byte_proof import prove_bytes
from icebridge_provider.engines.local.engine import LocalEngine
from icebridge_provider.model.codec import to_json
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.job import CopyResult, JobSpec
from icebridge_provider.model.plan import CopyMethod, TablePlan
from icebridge_provider.model.report import Check
from icebridge_provider.ports import Ledger
from icebridge_provider.state.ledger import SqlLedger
from tests.support import tables

PLAN = "plan1"


def quiet(_: Mapping[str, Any]) -> None:
    """Progress that nobody watches."""


@dataclass(kw_only=True)
class CopyLake:
    """A foreign and a managed lake below one folder."""

    folder: Path
    properties: dict[str, str] = field(default_factory=dict)
    source_io: dict[str, str] = field(default_factory=dict)
    target_io: dict[str, str] = field(default_factory=dict)

    @cached_property
    def native(self) -> Catalog:
        """The foreign catalog, as its owner writes to it."""
        return tables.open_catalog(self.folder / "source", options=self.source_io)

    @cached_property
    def source(self) -> IcebergCatalog:
        return IcebergCatalog("foreign", {**tables.catalog_properties(self.folder / "source"), **self.source_io})

    @cached_property
    def target(self) -> IcebergCatalog:
        return IcebergCatalog("managed", {**tables.catalog_properties(self.folder / "target"), **self.target_io})

    @cached_property
    def ledger(self) -> Ledger:
        ledger = SqlLedger(f"sqlite:///{self.folder}/ledger.db")
        ledger.migrate()
        return ledger

    def plan(self, name: str, method: CopyMethod = CopyMethod.COPY_FILES) -> TablePlan:
        source = TableIdentifier(catalog="foreign", namespace=(tables.NAMESPACE,), name=name)
        final = TableIdentifier(catalog="managed", namespace=("new",), name=name)
        staged = final.named(f"{name}__icebridge_{PLAN}")
        loaded = self.source.load(source)
        if loaded is None:
            raise LookupError(name)
        return TablePlan(
            source=source,
            target=final,
            staged=staged,
            method=method,
            table_uuid=str(loaded.metadata["table-uuid"]),
            metadata_location=loaded.metadata_location,
            snapshot_id=loaded.current_snapshot_id,
            location=f"{self.target_io.get('warehouse', f'file://{self.folder}/target/warehouse')}/new/{name}-{PLAN}",
            files=0,
            bytes=0,
            rows=0,
            properties=self.properties,
        )

    def job(self, name: str, method: CopyMethod = CopyMethod.COPY_FILES, previous: str = "") -> JobSpec:
        """Return the job that brings ``name`` to the source's head of now."""
        plan = self.plan(name, method)
        return JobSpec(
            plan_id=PLAN,
            method=method,
            source=plan.source,
            staged=plan.staged,
            metadata_location=plan.metadata_location,
            snapshot_id=plan.snapshot_id,
            location=plan.location,
            properties=plan.properties,
            previous_metadata_location=previous,
        )

    def run(
        self,
        job: JobSpec,
        token: str = "token",
        progress: Callable[[Mapping[str, Any]], None] = quiet,
    ) -> CopyResult:
        """Run a job by an engine of its own, as a new process would."""
        engine = LocalEngine(self.source, self.target, self.ledger, progress, threads=3)
        status = engine.poll(engine.submit(job, token))
        if status.result is None:
            raise AssertionError(status.problem)
        return status.result

    def copied(self, job: JobSpec) -> Table:
        """Return the staged table as a reader of the new catalog sees it."""
        return self.target.native.load_table((*job.staged.namespace, job.staged.name))

    def proof(
        self, name: str, job: JobSpec, result: CopyResult
    ) -> tuple[tuple[Check, ...], tuple[dict[str, Any], ...]]:
        """Run the byte proof over a finished copy."""
        copy = {**to_json(result), "source_metadata_location": job.metadata_location}
        return prove_bytes(self.source, self.target, self.ledger, self.plan(name, job.method), copy)


def content(table: Table, snapshot_id: int | None = None) -> list[str]:
    """Return the rows of a snapshot as sorted text: NaN equals NaN, and every type compares."""
    scan = table.scan(snapshot_id=snapshot_id)
    return sorted(str(row) for row in scan.to_arrow().to_pylist())


def duckdb_content(table: Table) -> list[tuple[Any, ...]]:
    """Return rows by another reader: DuckDB over the planned Parquet files, position deletes taken out by hand."""
    names = [field.name for field in table.schema().fields]
    rows: list[tuple[Any, ...]] = []
    for task in table.scan().plan_files():
        gone = _deleted(task)
        path = task.file.file_path.removeprefix("file://")
        query = f"SELECT CAST(COLUMNS(*) AS VARCHAR) FROM read_parquet('{path}', file_row_number=true)"
        found = duckdb.sql(query)
        columns = found.columns
        for row in found.fetchall():
            value = dict(zip(columns, row, strict=True))
            if int(value["file_row_number"]) not in gone:
                rows.append(tuple(str(value.get(name)) for name in names))
    return sorted(rows)


def _deleted(task: Any) -> set[int]:
    gone: set[int] = set()
    for delete in task.delete_files:
        path = delete.file_path.removeprefix("file://")
        query = f"SELECT pos FROM read_parquet('{path}') WHERE file_path = ?"
        gone |= {position for (position,) in duckdb.execute(query, [task.file.file_path]).fetchall()}
    return gone


def local(location: str) -> Path:
    """Return the path of a ``file://`` location."""
    return Path(location.removeprefix("file://"))

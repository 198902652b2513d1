"""Catalogs as the Databricks engine sees them, and a process that submits one batch: for tests that kill it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

from icebridge_provider.catalogs.unity.workspace import Login, Workspace
from icebridge_provider.engines.databricks.engine import DatabricksEngine
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.job import JobSpec
from icebridge_provider.model.plan import CopyMethod
from icebridge_provider.model.table import LoadedTable

CLUSTER = {"spark_version": "16.4.x-scala2.12", "node_type_id": "m5d.xlarge", "num_workers": 1}


@dataclass
class Tables:
    """Names, and tables that a test puts there."""

    name: str
    is_foreign: bool = False
    known: dict[str, LoadedTable] = field(default_factory=dict)

    def parts(self, table: TableIdentifier) -> tuple[str, str, str]:
        return self.name, table.namespace[0], table.name

    def load(self, table: TableIdentifier) -> LoadedTable | None:
        return self.known.get(str(table))

    def put(self, table: TableIdentifier, properties: dict[str, str]) -> None:
        summary = {"total-records": "7", "total-data-files": "2", "total-files-size": "99"}
        snapshot = {"snapshot-id": 3, "summary": summary}
        metadata = {"table-uuid": "u", "current-snapshot-id": 3, "snapshots": [snapshot], "properties": properties}
        self.known[str(table)] = LoadedTable(identifier=table, metadata_location="m9", metadata=metadata)


def job_of(source: Tables, name: str, plan: str = "p1", method: CopyMethod = CopyMethod.DEEP_CLONE) -> JobSpec:
    """A copy of a table that is put into the source first."""
    table = TableIdentifier(catalog="src", namespace=("flights",), name=name)
    source.put(table, {})
    return JobSpec(
        plan_id=plan,
        method=method,
        source=table,
        staged=TableIdentifier(catalog="dst", namespace=("flights",), name=f"{name}__icebridge_{plan}"),
        metadata_location="m1",
        snapshot_id=3,
        location="",
    )


def engine_of(url: str, bearer: str, source: Tables, target: Tables, **options: Any) -> DatabricksEngine:
    """An engine over such catalogs."""
    workspace = Workspace("dbx", url, Login(token=bearer))
    return DatabricksEngine(workspace, source, target, {"cluster": CLUSTER, **options})  # type: ignore[arg-type]  # as far as used


def main(url: str, bearer: str, *names: str) -> None:
    """Submit one batch and print the run's id."""
    source = Tables("lake", is_foreign=True)
    jobs = [(job_of(source, name), f"token-{name}") for name in names]
    print(engine_of(url, bearer, source, Tables("main")).submit_all(jobs).run_id)


if __name__ == "__main__":
    main(*sys.argv[1:])

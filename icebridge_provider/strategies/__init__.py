"""How a table plan becomes work for an engine: one function a copy method, in one dictionary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from icebridge_provider.model.job import JobSpec, token
from icebridge_provider.model.plan import CopyMethod, MigrationPlan, TablePlan
from icebridge_provider.model.table import LoadedTable

Strategy = Callable[[TablePlan, LoadedTable], JobSpec]


def copy_files(table: TablePlan, loaded: LoadedTable) -> JobSpec:
    """Copy every file byte for byte and rewrite only the paths in the metadata: history and ids stay."""
    return _job(CopyMethod.COPY_FILES, table, loaded)


def insert_select(table: TablePlan, loaded: LoadedTable) -> JobSpec:
    """Read the rows of the pinned snapshot and write them anew: history and delete files go, rows stay."""
    return _job(CopyMethod.INSERT_SELECT, table, loaded)


def register(table: TablePlan, loaded: LoadedTable) -> JobSpec:
    """Share the source's files: only a metadata file is written."""
    return _job(CopyMethod.REGISTER, table, loaded)


def deep_clone(table: TablePlan, loaded: LoadedTable) -> JobSpec:
    """Let Databricks copy the table as it stands: rows and schema, no history."""
    return _job(CopyMethod.DEEP_CLONE, table, loaded)


STRATEGIES: dict[CopyMethod, Strategy] = {
    CopyMethod.COPY_FILES: copy_files,
    CopyMethod.INSERT_SELECT: insert_select,
    CopyMethod.REGISTER: register,
    CopyMethod.DEEP_CLONE: deep_clone,
}


def job_for(
    plan: MigrationPlan, table: TablePlan, loaded: LoadedTable, generation: int, previous: str = ""
) -> tuple[JobSpec, str]:
    """Return the job that brings ``table`` to the head of ``loaded``, and its token.

    Each head of the source has a token of its own, and so has each generation of a failing copy: what a token stands
    for never changes, and neither does the metadata file that is named after it.

    :param previous: target metadata file of an earlier copy that is to be brought up to date.
    """
    job = replace(STRATEGIES[table.method](table, loaded), plan_id=plan.plan_id, previous_metadata_location=previous)
    step = f"{'sync' if previous else 'copy'} {loaded.metadata_location}"
    return job, token(plan.digest, table.source, step, generation)


def _job(method: CopyMethod, table: TablePlan, loaded: LoadedTable) -> JobSpec:
    return JobSpec(
        plan_id="",
        method=method,
        source=table.source,
        staged=table.staged,
        metadata_location=loaded.metadata_location,
        snapshot_id=loaded.current_snapshot_id,
        location=table.location,
        properties=table.properties,
        columns=_columns(loaded),
        partition_by=_partition_columns(loaded),
        wave=table.wave,
    )


def _schema(loaded: LoadedTable) -> Mapping[str, Any]:
    """Return the current schema of a metadata file; version 1 may hold a single one (Iceberg spec, appendix C)."""
    metadata = loaded.metadata
    current = metadata.get("current-schema-id", 0)
    found = [schema for schema in metadata.get("schemas", ()) if schema.get("schema-id", 0) == current]
    return dict(found[0] if found else metadata.get("schema", {}))


def _columns(loaded: LoadedTable) -> tuple[str, ...]:
    return tuple(str(field["name"]) for field in _schema(loaded).get("fields", ()))


def _partition_columns(loaded: LoadedTable) -> tuple[str, ...]:
    """Return the plain columns by which the current spec partitions."""
    names = {field["id"]: str(field["name"]) for field in _schema(loaded).get("fields", ())}
    specs = loaded.metadata.get("partition-specs", ())
    default = loaded.metadata.get("default-spec-id", 0)
    fields = next((spec["fields"] for spec in specs if spec.get("spec-id", 0) == default), ())
    return tuple(names[item["source-id"]] for item in fields if item["transform"] == "identity")

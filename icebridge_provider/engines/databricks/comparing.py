"""Jobs as ``spark_apps/gx_runner.py`` reads them: a source and its copy, each added up by the cluster's own SQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from icebridge_provider.engines.databricks import faults
from icebridge_provider.engines.databricks.peer import UnityTables
from icebridge_provider.engines.fingerprint.warehouse import BUCKETS, fields_of
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.job import JobSpec
from icebridge_provider.sql import databricks, fingerprint


def comparison_document(jobs: Sequence[tuple[JobSpec, str]], source: UnityTables, target: UnityTables) -> bytes:
    """Return the job file of a run that compares: the same bytes for the same jobs.

    :raises PreflightFailed: IB-451 when a table is gone.
    :raises ConfigurationError: IB-552 for a type that SQL cannot express.
    """
    listed = [_entry(job, token, source, target) for job, token in sorted(jobs, key=lambda item: item[1])]
    return json.dumps(listed, sort_keys=True).encode()


def _entry(job: JobSpec, token: str, source: UnityTables, target: UnityTables) -> dict[str, Any]:
    parts = source.parts(job.source)
    return {
        "token": token,
        "table": str(job.source),
        "staged": list(target.parts(job.staged)),
        "refresh": databricks.refresh_foreign("TABLE", parts) if source.is_foreign else "",
        "source": _sums(source, job.source),
        "target": _sums(target, job.staged),
    }


def _sums(catalog: UnityTables, table: TableIdentifier) -> str:
    loaded = catalog.load(table)
    if loaded is None:
        raise faults.source_gone(table)
    fields = fields_of(loaded.metadata, str(table))
    reason = fingerprint.unsayable(fields)
    if reason:
        raise ConfigurationError(
            "IB-552",
            f"{table} cannot be compared on a cluster: {reason}.",
            remedy="Leave it out; ValidateTablesOperator proves it from its files.",
            changed="Nothing was started.",
            table=str(table),
        )
    return fingerprint.fingerprint(catalog.parts(table), fields, BUCKETS)

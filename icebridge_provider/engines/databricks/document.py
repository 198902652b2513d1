"""Jobs as ``spark_apps/bulk_copy.py`` reads them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from icebridge_provider.engines.databricks import faults
from icebridge_provider.engines.databricks.chunks import chunked
from icebridge_provider.engines.databricks.peer import UnityTables
from icebridge_provider.engines.local.metadata import marks
from icebridge_provider.model.job import JobSpec
from icebridge_provider.model.plan import CopyMethod
from icebridge_provider.planning.build import short_id

METHODS = (CopyMethod.DEEP_CLONE, CopyMethod.INSERT_SELECT)


def run_token(tokens: Iterable[str]) -> str:
    """Return the ``idempotency_token`` of the run that does just these jobs."""
    return hashlib.sha256("\n".join(sorted(tokens)).encode()).hexdigest()[:48]


def refuse_unknown(jobs: Iterable[tuple[JobSpec, str]]) -> None:
    """Make sure that Databricks runs all methods.

    :raises ConfigurationError: IB-450.
    """
    for job, _ in jobs:
        if job.method not in METHODS:
            raise faults.unsupported_method(job.source, job.method.value, tuple(method.value for method in METHODS))


def document_of(
    jobs: Sequence[tuple[JobSpec, str]], source: UnityTables, target: UnityTables, chunk_bytes: int
) -> bytes:
    """Return the job file: the same bytes for the same jobs.

    :param chunk_bytes: see :func:`icebridge_provider.engines.databricks.chunks.chunked`.
    :raises PreflightFailed: IB-451 when a source table is gone.
    """
    ordered = sorted(jobs, key=lambda item: item[1])
    listed = [_entry(job, token, source, target, chunk_bytes) for job, token in ordered]
    return json.dumps(listed, sort_keys=True).encode()


def tokens_in(document: bytes) -> set[str]:
    """Return the tokens of a job file; none for a file that is none."""
    try:
        return {str(item["token"]) for item in json.loads(document)}
    except (ValueError, TypeError, KeyError):
        return set()


def _entry(job: JobSpec, token: str, source: UnityTables, target: UnityTables, chunk_bytes: int) -> dict[str, Any]:
    from icebridge_provider.engines.local.engine import store_of

    loaded = source.load(job.source)
    if loaded is None:
        raise faults.source_gone(job.source)
    pinned = {"table-uuid": loaded.metadata.get("table-uuid", ""), "current-snapshot-id": job.snapshot_id}
    read, staged = source.parts(job.source), target.parts(job.staged)
    return {
        "token": token,
        "method": job.method.value,
        "source": list(read),
        "staged": list(staged),
        "columns": list(job.columns),
        "partition_by": list(job.partition_by),
        "properties": {**job.properties, **marks(job, token, pinned)},
        "suffix": f"__icebridge_{short_id(job.plan_id)}",
        "refresh": source.is_foreign,
        **chunked(job, loaded, lambda: store_of(source, loaded), staged, read, chunk_bytes),
    }

"""Work handed to an engine."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import CopyMethod


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """One copy of one table, wholly described. Holds no credential.

    ``snapshot_id`` pins the source snapshot; ``metadata_location`` the source metadata file it was read from.
    ``previous_metadata_location`` is the target metadata of an earlier copy that is only to be brought up to date.
    ``columns`` and ``partition_by`` are for engines that write the table by SQL: names in the table's order.
    ``wave`` is told with what the run costs.
    """

    plan_id: str
    method: CopyMethod
    source: TableIdentifier
    staged: TableIdentifier
    metadata_location: str
    snapshot_id: int | None
    location: str
    properties: Mapping[str, str] = field(default_factory=dict)
    previous_metadata_location: str = ""
    columns: tuple[str, ...] = ()
    partition_by: tuple[str, ...] = ()
    wave: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRef:
    """How to find a submitted job again: the engine's own id and our token."""

    engine: str
    token: str
    run_id: str = ""


class JobState(StrEnum):
    """Where a job is."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyResult:
    """What a copy did. ``files_copied`` were written by this run, ``files_reused`` by an earlier one."""

    metadata_location: str
    snapshot_id: int | None
    target_snapshot_id: int | None
    files_copied: int = 0
    files_reused: int = 0
    bytes_copied: int = 0
    rows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """State of a job; ``result`` is set when it succeeded, ``problem`` when it failed."""

    state: JobState
    result: CopyResult | None = None
    problem: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def token(plan_digest: str, table: TableIdentifier, step: str, generation: int = 0) -> str:
    """Return the name of one side effect: the same for every try, new after a terminal failure.

    48 hexadecimal digits, within every peer's limit (Databricks ``idempotency_token`` takes 64).
    """
    text = "\x1f".join((plan_digest, str(table), step, str(generation)))
    return hashlib.sha256(text.encode()).hexdigest()[:48]

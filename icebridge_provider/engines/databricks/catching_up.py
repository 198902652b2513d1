"""Jobs as ``spark_apps/incremental_sync.py`` reads them: copies that are caught up by their changed partitions."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from icebridge_provider.engines.databricks.changes import Changes, changes_between
from icebridge_provider.engines.databricks.peer import UnityTables
from icebridge_provider.engines.local.metadata import marks, read_metadata
from icebridge_provider.model.job import JobSpec
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.ports import FileStore
from icebridge_provider.sql import databricks, sync

STATE, TOKEN = "icebridge.state", "icebridge.token"
BASE = "icebridge.source-metadata-location"
SYNCING = "syncing"
log = logging.getLogger(__name__)


def sync_document(jobs: Sequence[tuple[JobSpec, str]], source: UnityTables, target: UnityTables) -> bytes | None:
    """Return the job file of a run that replaces changed partitions; None when the tables are to be copied anew.

    That is so for a first copy, and for whatever partitions cannot tell; the task's log says why.
    """
    if not jobs or not all(job.previous_metadata_location for job, _ in jobs):
        return None
    entries = [_entry(job, token, source, target) for job, token in sorted(jobs, key=lambda item: item[1])]
    found = [entry for entry in entries if entry is not None]
    return json.dumps(found, sort_keys=True).encode() if len(found) == len(entries) else None


def _entry(job: JobSpec, token: str, source: UnityTables, target: UnityTables) -> dict[str, Any] | None:
    copy, head = target.load(job.staged), source.load(job.source)
    if copy is None or head is None:
        return None
    changes = _changes(job, token, copy, head, source)
    if changes.reason:
        log.info("%s is copied anew: %s.", job.source, changes.reason)
        return None
    log.info("%s is caught up: %d partitions are replaced.", job.source, len(changes.partitions))
    pinned = {"table-uuid": head.metadata.get("table-uuid", ""), "current-snapshot-id": job.snapshot_id}
    staged, read = target.parts(job.staged), source.parts(job.source)
    return {
        "token": token,
        "staged": list(staged),
        "based_on": copy.properties.get(TOKEN, ""),
        "properties": sync.show_properties(staged),
        "begin": databricks.set_properties(staged, {STATE: _state(token)}),
        "refresh": databricks.refresh_foreign("TABLE", read) if source.is_foreign else "",
        "replace": list(_statements(job, changes, staged, read)),
        "finish": databricks.set_properties(staged, {**job.properties, **marks(job, token, pinned)}),
    }


def _changes(job: JobSpec, token: str, copy: LoadedTable, head: LoadedTable, source: UnityTables) -> Changes:
    """Compare what the copy was made of with what it is to become.

    A copy that is not as it was when its last run ended is no ground to build on, unless this very job left it so.
    """
    from icebridge_provider.engines.local.engine import store_of

    begun = copy.properties.get(STATE) == _state(token)
    if copy.metadata_location != job.previous_metadata_location and not begun:
        return Changes(reason="the copy is not as its last run left it")
    store, base = store_of(source, head), copy.properties.get(BASE, "")
    if not base:
        return Changes(reason="the copy does not say what it was made of")
    before = _pinned(head, base, store)
    return changes_between(before, _pinned(head, job.metadata_location, store), store)


def _pinned(head: LoadedTable, location: str, store: FileStore) -> LoadedTable:
    if head.metadata_location == location:
        return head
    return replace(head, metadata_location=location, metadata=read_metadata(store, location, head.identifier))


def _state(token: str) -> str:
    return f"{SYNCING} {token}"


def _statements(job: JobSpec, changes: Changes, staged: Sequence[str], read: Sequence[str]) -> Iterator[dict[str, Any]]:
    for start in range(0, len(changes.partitions), sync.AT_ONCE):
        chunk = changes.partitions[start : start + sync.AT_ONCE]
        yield sync.replacement(staged, read, job.columns, changes.columns, chunk)

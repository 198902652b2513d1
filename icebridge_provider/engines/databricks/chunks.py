"""Cuts the copy of a large table into statements over whole partitions: a lost run loses one of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from icebridge_provider.engines.databricks.changes import Partition, named_by
from icebridge_provider.engines.fingerprint.snapshot import read_snapshot
from icebridge_provider.engines.fingerprint.warehouse import fields_of
from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.model.job import JobSpec
from icebridge_provider.model.plan import CopyMethod
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.ports import FileStore
from icebridge_provider.sql import sync

Columns = tuple[tuple[str, str], ...]


def chunked(
    job: JobSpec,
    loaded: LoadedTable,
    store: Callable[[], FileStore],
    staged: Sequence[str],
    source: Sequence[str],
    most: int,
) -> dict[str, Any]:
    """Return the keys ``chunks`` and ``layout`` of a job; nothing for a table that is written by one statement.

    Chunks are made for ``insert_select`` of more than ``most`` bytes that identity partitions cut. The same pinned
    source and limit always give the same chunks; ``layout`` names them, so that a later run may go on with them.

    :param store: opens the source's files; not called for a table that is small.
    :param most: bytes of data files of a chunk; a larger partition is a chunk of its own.
    """
    if job.method is not CopyMethod.INSERT_SELECT or _bytes(loaded, job.snapshot_id) <= most:
        return {}
    try:
        found = _partitions(loaded, store(), job.snapshot_id)
    except IceBridgeError:
        return {}  # what cannot be told is copied by one statement; the proof decides as ever
    if found is None:
        return {}
    columns, sizes = found
    chunks = [sync.replacement(staged, source, job.columns, columns, group) for group in _groups(sizes, most)]
    text = json.dumps([job.metadata_location, chunks], sort_keys=True)
    return {"chunks": chunks, "layout": hashlib.sha256(text.encode()).hexdigest()[:16]}


def _bytes(loaded: LoadedTable, snapshot_id: int | None) -> int:
    snapshots = loaded.metadata.get("snapshots", ())
    found: Mapping[str, Any] = next((one for one in snapshots if one["snapshot-id"] == snapshot_id), {})
    return int((found.get("summary") or {}).get("total-files-size", 0))


def _partitions(
    loaded: LoadedTable, store: FileStore, snapshot_id: int | None
) -> tuple[Columns, dict[Partition, int]] | None:
    files = read_snapshot(loaded, store, snapshot_id).data
    named = named_by(files, fields_of(loaded.metadata, str(loaded.identifier))) if files else ""
    if isinstance(named, str):
        return None
    columns, partitions = named
    sizes: dict[Partition, int] = {}
    for partition, file in zip(partitions, files, strict=True):
        sizes[partition] = sizes.get(partition, 0) + file.size
    return columns, sizes


def _groups(sizes: Mapping[Partition, int], most: int) -> Iterator[list[Partition]]:
    group: list[Partition] = []
    held = 0
    for partition, size in sorted(sizes.items(), key=str):
        if group and (held + size > most or len(group) == sync.AT_ONCE):
            yield group
            group, held = [], 0
        group.append(partition)
        held += size
    if group:
        yield group

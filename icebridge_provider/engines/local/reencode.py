"""``insert_select``: the rows of the pinned snapshot, read with deletes applied and written anew.

Rows stream through in pieces of bounded size. Source files are taken in groups; what a group became is kept in a
checkpoint manifest, so a killed run goes on with the first group that has none. All groups enter the table in one
snapshot whose summary carries ``icebridge.token``, by one metadata file that is registered under the staged name.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from icebridge_provider.crash import side_effect
from icebridge_provider.engines.local import faults, metadata
from icebridge_provider.engines.local.checkpoint import Group, group_files, read_checkpoint, write_checkpoint
from icebridge_provider.engines.local.manifests import DATA, ManifestEntry, read_manifest, read_manifest_list
from icebridge_provider.engines.local.offline import OfflineTable
from icebridge_provider.engines.local.refusals import refuse_entries, refuse_hidden, refuse_metadata
from icebridge_provider.engines.local.work import Work, publish_staged, write_metadata
from icebridge_provider.exceptions import IceBridgeError, PreflightFailed
from icebridge_provider.model.job import CopyResult

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import FileScanTask

PIECE_BYTES = 128 * 1024 * 1024  # Arrow bytes in memory before they become files; about three times that at the peak
_UNWANTED = ("write.py-location-provider.impl", "write.format.default")


def insert_select(work: Work) -> CopyResult:
    """Re-encode the pinned snapshot, or only what was appended since an earlier copy where that is all there is.

    :raises PreflightFailed: IB-400 to IB-406 when the table holds what this method cannot do right; IB-410 to IB-412
        when files are missing or broken.
    :raises LimitExceeded: IB-420 when the target has no room.
    """
    refuse_metadata(work.table, work.job.method, work.metadata)
    metadata.own_location(work.job, work.metadata)
    _refuse_files(work)
    source = OfflineTable(work.metadata, work.source)
    previous = _previous(work)
    tasks = source.appended_since(_pinned(previous)) if previous and _only_appends(work, previous) else None
    base = previous if previous is not None and tasks is not None else _new_table(work)
    scanned = source.tasks() if tasks is None else tasks
    files, fresh = _write_groups(work, source, OfflineTable(_for_writing(base), work.target), scanned)
    location = write_metadata(work, _committed(work, base, files))
    publish_staged(work, location)
    return _result(work, location, files, fresh)


def _refuse_files(work: Work) -> None:
    """Check the live files of the pinned snapshot; older ones are not read."""
    for manifest in _manifests(work, metadata.current_snapshot_id(work.metadata)):
        entries = work.parsed(manifest.path, read_manifest)
        refuse_entries(work.table, work.job.method, entries)
        for entry in entries:
            refuse_hidden(work.table, str(work.metadata["location"]), entry.path)


def _manifests(work: Work, snapshot_id: int | None) -> list[ManifestEntry]:
    snapshot = metadata.snapshot_of(work.metadata, snapshot_id) or {}
    if snapshot.get("manifest-list"):
        return work.parsed(snapshot["manifest-list"], read_manifest_list)
    return [
        ManifestEntry(path=path, length=0, content=DATA, rows=None, encrypted=False)
        for path in snapshot.get("manifests") or ()
    ]


# What an earlier copy left


def _previous(work: Work) -> metadata.Metadata | None:
    location = work.job.previous_metadata_location
    if not location:
        return None
    try:
        return metadata.read_metadata(work.target, location, work.job.staged)
    except PreflightFailed:
        return None  # then everything is copied


def _pinned(previous: metadata.Metadata) -> int | None:
    found = previous["properties"].get("icebridge.source-snapshot-id", "")
    return int(found) if found else None


def _only_appends(work: Work, previous: metadata.Metadata) -> bool:
    """Say whether the source only appended data files since the earlier copy, under the same schema and spec."""
    if previous["properties"].get("icebridge.method") != work.job.method.value:
        return False
    if _shape(previous) != _shape(_new_table(work)):
        return False
    pinned, head = _pinned(previous), metadata.current_snapshot_id(work.metadata)
    operations = _operations_since(work.metadata, pinned)
    if operations is None or operations - {"append"}:
        return False
    return _delete_manifests(work, head) <= _delete_manifests(work, pinned)  # a summary may say append all the same


def _shape(found: metadata.Metadata) -> tuple[Any, ...]:
    schema = next(item for item in found["schemas"] if item["schema-id"] == found["current-schema-id"])
    spec = next(item for item in found["partition-specs"] if item["spec-id"] == found["default-spec-id"])
    return schema["fields"], schema.get("identifier-field-ids") or [], spec["fields"]


def _operations_since(source: metadata.Metadata, pinned: int | None) -> set[str] | None:
    """Return what was done between ``pinned`` and the head; None when the head does not descend from it."""
    found: set[str] = set()
    at = metadata.current_snapshot_id(source)
    while at != pinned:
        snapshot = metadata.snapshot_of(source, at)
        if snapshot is None:
            return None
        found.add(str((snapshot.get("summary") or {}).get("operation")))
        at = snapshot.get("parent-snapshot-id")
    return found if pinned is None or metadata.snapshot_of(source, pinned) else None


def _delete_manifests(work: Work, snapshot_id: int | None) -> set[str]:
    return {entry.path for entry in _manifests(work, snapshot_id) if entry.content != DATA}


# The new table


def _new_table(work: Work) -> metadata.Metadata:
    """Return the metadata of an empty table with the source's current schema (ids kept), spec and sort order."""
    source = work.metadata
    schema = _chosen(source, "schemas", "schema-id", "current-schema-id", "schema")
    spec = _chosen(source, "partition-specs", "spec-id", "default-spec-id", "partition-spec")
    order = _chosen(source, "sort-orders", "order-id", "default-sort-order-id", "sort-order")
    if isinstance(spec, list):
        spec = {"spec-id": 0, "fields": spec}
    fields = [field["field-id"] for field in spec["fields"]]
    return {
        "format-version": 2,
        "table-uuid": metadata.table_uuid(work.job.location),
        "location": work.job.location,
        "last-sequence-number": 0,
        "last-updated-ms": int(time.time() * 1000),
        "last-column-id": source["last-column-id"],
        "schemas": [{**schema, "schema-id": schema.get("schema-id", 0)}],
        "current-schema-id": schema.get("schema-id", 0),
        "partition-specs": [spec],
        "default-spec-id": spec["spec-id"],
        "last-partition-id": max([*fields, source.get("last-partition-id", 999)]),
        "sort-orders": [order],
        "default-sort-order-id": order["order-id"],
        "properties": metadata.properties_for(work.job, work.token, source),
        "snapshots": [],
        "snapshot-log": [],
        "metadata-log": [],
        "refs": {},
    }


def _chosen(source: metadata.Metadata, plural: str, key: str, default: str, singular: str) -> Any:
    """Return the current one of several schemas, specs or orders; old files of version 1 hold just one."""
    for item in source.get(plural) or ():
        if item[key] == source.get(default, 0):
            return item
    return source.get(singular, {"order-id": 0, "fields": []})


def _for_writing(base: metadata.Metadata) -> metadata.Metadata:
    """Return metadata whose properties cannot make the writer load foreign code or write another format."""
    properties = {key: value for key, value in base["properties"].items() if key not in _UNWANTED}
    return {**base, "properties": properties}


# Rows


def _write_groups(
    work: Work, source: OfflineTable, target: OfflineTable, tasks: Sequence[FileScanTask]
) -> tuple[list[DataFile], int]:
    """Write every group that has no checkpoint yet; return all data files and how many are new."""
    groups = group_files(tasks, work.job)
    present = dict(work.target.list(work.job.location))
    total = sum(task.file.file_size_in_bytes for task in tasks)
    done, files, fresh = 0, list[Any](), 0
    faults.check_space(work.table, work.job.location, [total])
    for group in groups:
        written = read_checkpoint(target, group, present)
        if written is None:
            written = _write_group(work, source, target, group)
            fresh += len(written)
        files += written
        done += sum(task.file.file_size_in_bytes for task in group.tasks)
        rows = sum(file.record_count for file in files)
        work.progress({"files": len(files), "bytes": done, "bytes_total": total, "rows": rows})
    return files, fresh


def _write_group(work: Work, source: OfflineTable, target: OfflineTable, group: Group) -> list[DataFile]:
    files: list[DataFile] = []
    numbers = itertools.count()
    try:
        for piece in _pieces(source.batches(group.tasks)):
            with side_effect("copy.write_rows"):
                files += target.write_rows(piece, group.uuid, numbers)
            work.progress({"rows": sum(file.record_count for file in files)})
        write_checkpoint(work, target, group, files)
    except IceBridgeError:
        raise
    except FileNotFoundError as error:
        raise faults.source_missing(work.table, str(error.filename or error)) from None
    except OSError as error:
        raise faults.from_os(work.table, work.job.location, error) from None
    except (ValueError, TypeError, NotImplementedError) as error:
        raise PreflightFailed(
            "IB-408",
            f"Rows of {work.table} cannot be re-encoded: {type(error).__name__}, {error}.",
            remedy="Use copy_files, which keeps the files as they are.",
            changed="Files written so far stay in the new table's folder; the catalog was not changed.",
            table=work.table,
        ) from error
    return files


def _pieces(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Gather batches to tables of about PIECE_BYTES."""
    import pyarrow as pa

    gathered: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        gathered.append(batch)
        size += batch.nbytes
        if size >= PIECE_BYTES:
            yield _table(pa, gathered)
            gathered, size = [], 0
    if gathered:
        yield _table(pa, gathered)


def _table(pa: Any, batches: list[Any]) -> Any:
    return pa.concat_tables([pa.Table.from_batches([batch]) for batch in batches], promote_options="permissive")


# Commit


def _committed(work: Work, base: metadata.Metadata, files: list[DataFile]) -> metadata.Metadata:
    """Return ``base`` with one more snapshot that adds ``files``; a source without snapshots leaves it as it is."""
    marked = {**base, "properties": metadata.properties_for(work.job, work.token, work.metadata)}
    if metadata.current_snapshot_id(work.metadata) is None:
        return marked
    summary = {"icebridge.token": work.token, "icebridge.files": str(len(files))}
    with side_effect("copy.snapshot"):
        new = OfflineTable(_for_writing(base), work.target).appended(files, work.token, summary)
    return {**new, "properties": marked["properties"], "metadata-log": []}


def _result(work: Work, location: str, files: list[DataFile], fresh: int) -> CopyResult:
    new = metadata.read_metadata(work.target, location, work.job.staged)
    return CopyResult(
        metadata_location=location,
        snapshot_id=metadata.current_snapshot_id(work.metadata),
        target_snapshot_id=metadata.current_snapshot_id(new),
        files_copied=fresh,
        files_reused=len(files) - fresh,
        bytes_copied=sum(file.file_size_in_bytes for file in files),
        rows=work.target_rows(new),
    )

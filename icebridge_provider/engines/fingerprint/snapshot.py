"""The live files of a pinned snapshot, read from its manifests without pyiceberg; refuses what it cannot read right."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from icebridge_provider.exceptions import PreflightFailed, ValidationFailed
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.ports import FileStore


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """One live data file. ``constants`` holds identity-partition values by source field id; ``sequence`` its age."""

    path: str
    rows: int
    size: int
    sequence: int
    constants: Mapping[int, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteFile:
    """One position-delete file; it acts on data files of its own partition, no younger than itself."""

    path: str
    size: int
    sequence: int
    constants: Mapping[int, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotFiles:
    """What one snapshot consists of, and the schema that reads it."""

    snapshot_id: int | None
    schema: Mapping[str, Any]
    data: tuple[DataFile, ...] = ()
    deletes: tuple[DeleteFile, ...] = ()


def read_snapshot(table: LoadedTable, store: FileStore, snapshot_id: int | None) -> SnapshotFiles:
    """Read the manifests of a snapshot; None means the head of main, which an empty table does not have.

    The head is read with the table's current schema, an older snapshot with the schema it was written under.

    :raises PreflightFailed: IB-501 format version, IB-502 equality deletes, deletion vectors, other file formats.
    :raises ValidationFailed: IB-503 when the snapshot is gone.
    """
    version = int(table.metadata.get("format-version", 1))
    if version > 2:
        raise _refused(table, "IB-501", f"is of Iceberg format v{version}; the checking reader knows v1 and v2.")
    head = table.current_snapshot_id
    snapshot_id = head if snapshot_id is None else snapshot_id
    if snapshot_id is None:
        return SnapshotFiles(snapshot_id=None, schema=_schema(table, None))
    snapshot = _snapshot(table, snapshot_id)
    schema = _schema(table, None if snapshot_id == head else snapshot.get("schema-id"))
    data: list[DataFile] = []
    deletes: list[DeleteFile] = []
    for entry, partition_sources in _entries(snapshot, store):
        _sort_in(table, entry, partition_sources, data, deletes)
    return SnapshotFiles(snapshot_id=snapshot_id, schema=schema, data=tuple(data), deletes=tuple(deletes))


def _snapshot(table: LoadedTable, snapshot_id: int) -> Mapping[str, Any]:
    for snapshot in table.metadata.get("snapshots", ()):
        if int(snapshot["snapshot-id"]) == snapshot_id:
            found: Mapping[str, Any] = snapshot
            return found
    raise ValidationFailed(
        "IB-503",
        f"Snapshot {snapshot_id} of {table.identifier} is no longer in its metadata (expired or rolled back).",
        remedy="Sync the table, so that the copy is pinned to a snapshot that is still there, and validate again.",
        table=table.identifier,
        snapshot_id=snapshot_id,
    )


def _schema(table: LoadedTable, schema_id: int | None) -> Mapping[str, Any]:
    metadata = table.metadata
    wanted = metadata.get("current-schema-id", 0) if schema_id is None else schema_id
    for schema in metadata.get("schemas", ()):
        if schema.get("schema-id") == wanted:
            return dict(schema)
    return dict(metadata["schema"]) if "schema" in metadata else dict(metadata["schemas"][-1])


def _entries(snapshot: Mapping[str, Any], store: FileStore) -> Iterator[tuple[dict[str, Any], dict[str, int]]]:
    """Yield live manifest entries with inherited sequence numbers, and the identity sources of their partition."""
    for manifest in _manifests(snapshot, store):
        header, records = _avro(store.read(manifest["manifest_path"]))
        sources = _identity_sources(header)
        for entry in records:
            if entry["status"] == 2:
                continue
            entry["sequence"] = _sequence(entry, manifest)
            entry["content"] = manifest.get("content", 0)
            yield entry, sources


def _manifests(snapshot: Mapping[str, Any], store: FileStore) -> list[dict[str, Any]]:
    if "manifest-list" in snapshot:
        return _avro(store.read(snapshot["manifest-list"]))[1]
    return [{"manifest_path": path, "sequence_number": 0} for path in snapshot.get("manifests", ())]


def _sequence(entry: Mapping[str, Any], manifest: Mapping[str, Any]) -> int:
    """Return the data sequence number: an entry without one takes its manifest's (Iceberg spec, inheritance)."""
    own = entry.get("sequence_number")
    return int(manifest.get("sequence_number") or 0) if own is None else int(own)


def _avro(content: bytes) -> tuple[Any, list[dict[str, Any]]]:
    import fastavro

    reader = fastavro.reader(io.BytesIO(content))
    records: Any = list(reader)
    return reader, records


def _identity_sources(reader: Any) -> dict[str, int]:
    """Map the partition record's member names to source field ids, identity transforms only.

    Members are found by their Avro ``field-id``: a name that Avro cannot spell is written differently.
    """
    import json

    spec = json.loads(reader.metadata.get("partition-spec", "[]"))
    parts = spec["fields"] if isinstance(spec, dict) else spec
    by_id = {part.get("field-id", 1000 + number): part for number, part in enumerate(parts)}
    members = _partition_members(reader.writer_schema)
    return {
        member["name"]: int(by_id[member["field-id"]]["source-id"])
        for member in members
        if by_id.get(member.get("field-id"), {}).get("transform") == "identity"
    }


def _partition_members(schema: Any) -> list[Any]:
    data_file = next(item["type"] for item in schema["fields"] if item["name"] == "data_file")
    partition = next(item["type"] for item in data_file["fields"] if item["name"] == "partition")
    return list(partition["fields"])


def _sort_in(
    table: LoadedTable,
    entry: dict[str, Any],
    sources: Mapping[str, int],
    data: list[DataFile],
    deletes: list[DeleteFile],
) -> None:
    file, path = entry["data_file"], entry["data_file"]["file_path"]
    content = int(file.get("content") or 0)
    form = str(file["file_format"]).upper()
    if content == 2:
        raise _refused(table, "IB-502", f"has equality deletes ({path}).")
    if form == "PUFFIN":
        raise _refused(table, "IB-502", f"has deletion vectors ({path}).")
    if form != "PARQUET":
        raise _refused(table, "IB-502", f"has a file of format {form} ({path}).")
    if file.get("key_metadata"):
        raise _refused(table, "IB-502", f"has an encrypted file ({path}).")
    size, age = int(file["file_size_in_bytes"]), int(entry["sequence"])
    partition = file.get("partition") or {}
    constants = {source: partition.get(name) for name, source in sources.items()}
    if content == 1:
        deletes.append(DeleteFile(path=path, size=size, sequence=age, constants=constants))
        return
    data.append(DataFile(path=path, rows=int(file["record_count"]), size=size, sequence=age, constants=constants))


def _refused(table: LoadedTable, code: str, what: str) -> PreflightFailed:
    return PreflightFailed(
        code,
        f"Table {table.identifier} {what}",
        remedy="Copy it with copy_files or register, which are proved byte by byte, "
        "or rewrite its files at the source (rewrite_data_files) and plan again.",
        table=table.identifier,
    )

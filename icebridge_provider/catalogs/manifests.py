"""Reads manifest lists and manifests: what is alive in the current snapshot and in the retained history.

Manifests are Avro and are read generically, so that every format version and unknown fields are taken
(Iceberg spec, "Manifests" and "Manifest Lists").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from icebridge_provider.catalogs.facts import current_snapshot
from icebridge_provider.model.inventory import BadFile
from icebridge_provider.model.table import FileTotals
from icebridge_provider.ports import FileStore

DELETED = 2
DATA, POSITION_DELETES, EQUALITY_DELETES = 0, 1, 2
_KINDS = {DATA: "data", POSITION_DELETES: "position deletes", EQUALITY_DELETES: "equality deletes"}
FILE_PATH_FIELD = 2147483546  # reserved field id of file_path in position delete files


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFile:
    """A data or delete file that a snapshot needs. ``refers_to`` is the one data file a delete file speaks of."""

    path: str
    content: int
    format: str
    rows: int
    size: int
    vector_size: int = 0
    refers_to: str = ""

    @property
    def kind(self) -> str:
        """``data``, ``position deletes``, ``equality deletes`` or ``deletion vector``."""
        return "deletion vector" if self.is_vector else _KINDS.get(self.content, f"content {self.content}")

    @property
    def is_vector(self) -> bool:
        """Whether this is one deletion vector inside a Puffin file, which may hold several."""
        return self.content == POSITION_DELETES and self.format == "PUFFIN"


@dataclass(slots=True, kw_only=True)
class Reading:
    """What was read of one table: ``current`` files one entry each, ``history`` sizes by path, and bad metadata."""

    current: list[LiveFile] = field(default_factory=list)
    history: dict[str, tuple[int, str]] = field(default_factory=dict)
    bad: list[BadFile] = field(default_factory=list)

    def totals(self) -> FileTotals:
        """Sum up the files of the current snapshot."""
        return totals_of(self.current)


def read_table(store: FileStore, metadata: Mapping[str, Any]) -> Reading:
    """Read every manifest of every retained snapshot once. What cannot be read is noted in ``bad``, never skipped."""
    reading = Reading()
    head = current_snapshot(metadata)
    seen: dict[str, list[LiveFile] | None] = {}
    snapshots = sorted(metadata.get("snapshots") or (), key=lambda item: item is not head)  # the head comes first
    for snapshot in snapshots:
        current = snapshot is head
        for path, length in _manifests(store, snapshot, reading, current=current):
            if path not in seen:
                seen[path] = _read_manifest(store, path, length, reading, current=current)
                _remember(reading, seen[path])
            if current:
                reading.current.extend(seen[path] or ())
    return reading


def totals_of(files: list[LiveFile]) -> FileTotals:
    """Return counts, bytes and rows of ``files`` by kind."""
    data = [item for item in files if item.content == DATA]
    vectors = [item for item in files if item.is_vector]
    positions = [item for item in files if item.content == POSITION_DELETES and not item.is_vector]
    equality = [item for item in files if item.content == EQUALITY_DELETES]
    return FileTotals(
        data_files=len(data),
        data_bytes=sum(item.size for item in data),
        rows=sum(item.rows for item in data),
        position_delete_files=len(positions),
        equality_delete_files=len(equality),
        deletion_vectors=len(vectors),
        delete_bytes=sum(item.size for item in (*positions, *equality)) + sum(item.vector_size for item in vectors),
        delete_rows=sum(item.rows for item in (*positions, *equality, *vectors)),
        formats=tuple(sorted({item.format for item in files})),
    )


def _remember(reading: Reading, files: list[LiveFile] | None) -> None:
    for item in files or ():
        reading.history.setdefault(item.path, (item.size, item.kind))


def _manifests(
    store: FileStore, snapshot: Mapping[str, Any], reading: Reading, *, current: bool
) -> Iterator[tuple[str, int | None]]:
    """Manifest paths and lengths of one snapshot. Format version 1 may list the paths in the snapshot itself."""
    location = snapshot.get("manifest-list")
    if not location:
        yield from ((path, None) for path in snapshot.get("manifests") or ())
        return
    records = _records(store, location, "manifest list", None, reading, current=current)
    if records is not None:
        yield from ((record["manifest_path"], record["manifest_length"]) for record in records)


def _read_manifest(
    store: FileStore, path: str, length: int | None, reading: Reading, *, current: bool
) -> list[LiveFile] | None:
    records = _records(store, path, "manifest", length, reading, current=current)
    if records is None:
        return None
    return [_live_file(record["data_file"]) for record in records if record["status"] != DELETED]


def _records(
    store: FileStore, path: str, kind: str, expected: int | None, reading: Reading, *, current: bool
) -> list[dict[str, Any]] | None:
    """Return the records of an Avro file; None, and a note in ``reading.bad``, when it is missing or broken."""
    try:
        data = store.read(path)
    except FileNotFoundError:
        reading.bad.append(BadFile(path=path, kind=kind, expected=expected, current=current))
        return None
    try:
        records = list(_avro(data))
    except Exception as error:  # noqa: BLE001 - a broken Avro file raises anything, and all of it is the finding
        reason = f"{type(error).__name__}: {error}"[:200]
        reading.bad.append(
            BadFile(path=path, kind=kind, expected=expected, actual=len(data), current=current, reason=reason)
        )
        return None
    if expected is not None and len(data) != expected:
        reading.bad.append(BadFile(path=path, kind=kind, expected=expected, actual=len(data), current=current))
    return records


def _avro(data: bytes) -> Iterator[dict[str, Any]]:
    import io

    import fastavro

    yield from cast("Iterator[dict[str, Any]]", fastavro.reader(io.BytesIO(data)))


def _live_file(entry: Mapping[str, Any]) -> LiveFile:
    content = int(entry.get("content") or DATA)
    return LiveFile(
        path=entry["file_path"],
        content=content,
        format=str(entry["file_format"]).upper(),
        rows=int(entry["record_count"]),
        size=int(entry["file_size_in_bytes"]),
        vector_size=int(entry.get("content_size_in_bytes") or 0),
        refers_to=_refers_to(entry) if content == POSITION_DELETES else "",
    )


def _refers_to(entry: Mapping[str, Any]) -> str:
    """Return the data file that a position delete file names, by its own field or by equal bounds of file_path."""
    named = entry.get("referenced_data_file")
    if named:
        return str(named)
    lower, upper = _bound(entry, "lower_bounds"), _bound(entry, "upper_bounds")
    return lower.decode(errors="replace") if lower and lower == upper else ""


def _bound(entry: Mapping[str, Any], which: str) -> bytes:
    bounds = entry.get(which) or ()
    return next((bytes(item["value"]) for item in bounds if item["key"] == FILE_PATH_FIELD), b"")

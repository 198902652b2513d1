"""Looks at one source table as deep as asked and notes what it saw; planning/inspection.py judges it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from icebridge_provider.catalogs import manifests
from icebridge_provider.catalogs.facts import claimed, facts_of, with_history
from icebridge_provider.catalogs.manifests import DATA, LiveFile, Reading
from icebridge_provider.model.inventory import BadFile, Evidence
from icebridge_provider.model.table import LoadedTable, TableFacts
from icebridge_provider.ports import FileStore

METADATA, MANIFESTS, FILES = "metadata", "manifests", "files"
LEVELS = (METADATA, MANIFESTS, FILES)
EXAMPLES = 20
LIST_FROM = 32  # from this many files on, one listing costs less than a question per file
DELETES_READ = 64
LARGEST_DELETE = 64 * 1000**2


def survey(loaded: LoadedTable, store: FileStore, level: str) -> tuple[TableFacts, Evidence]:
    """Return facts and evidence of one table.

    ``metadata`` costs nothing more than the metadata file; ``manifests`` reads each manifest of the retained history
    once; ``files`` also compares every file's size with storage.
    """
    facts = facts_of(loaded.metadata_location, loaded.metadata)
    snapshot_ids = frozenset(int(item["snapshot-id"]) for item in loaded.metadata.get("snapshots") or ())
    evidence: dict[str, Any] = {"claimed": claimed(loaded.metadata), "refs": facts.refs, "snapshot_ids": snapshot_ids}
    if level == METADATA:
        return facts, Evidence(**evidence)
    reading = manifests.read_table(store, loaded.metadata)
    whole = not any(bad.current and (bad.reason or bad.actual is None) for bad in reading.bad)
    if whole:
        size = sum(size for size, _ in reading.history.values())
        facts = with_history(facts, reading.totals(), len(reading.history), size)
    bad = list(reading.bad)
    if level == FILES:
        bad += _compare(store, facts.location, reading, loaded.metadata)
        evidence["files_checked"] = len(reading.history)
        evidence["dangling_deletes"], evidence["deletes_not_read"] = _dangling(store, reading)
    elif whole:
        evidence["dangling_deletes"] = tuple(_dangling_by_name(reading.current))[:EXAMPLES]
    evidence.update(_sorted(bad))
    evidence.update(_paths(facts.location, reading))
    return facts, Evidence(**evidence)


def _sorted(bad: Iterable[BadFile]) -> dict[str, tuple[BadFile, ...]]:
    found = list(bad)
    return {
        "unreadable": tuple(item for item in found if item.reason),
        "missing": tuple(item for item in found if item.actual is None and not item.reason),
        "short": tuple(item for item in found if item.actual is not None and not item.reason),
    }


def _paths(location: str, reading: Reading) -> dict[str, Any]:
    root = plain(location).rstrip("/") + "/"
    outside = [path for path in reading.history if not plain(path).startswith(root)]
    counted = Counter(item.path for item in reading.current if not item.is_vector)
    twice = sorted(path for path, count in counted.items() if count > 1)
    return {
        "outside": tuple(sorted(outside)[:EXAMPLES]),
        "outside_count": len(outside),
        "duplicates": tuple(twice[:EXAMPLES]),
    }


def plain(path: str) -> str:
    """Return a location without the spellings that mean the same place (``file:///x`` is ``/x``, s3a is s3)."""
    if path.startswith("file:"):
        return "/" + path.removeprefix("file:").lstrip("/")
    for alias in ("s3a://", "s3n://"):
        if path.startswith(alias):
            return "s3://" + path.removeprefix(alias)
    return path


# Sizes


def _compare(store: FileStore, location: str, reading: Reading, metadata: Mapping[str, Any]) -> list[BadFile]:
    current = {item.path for item in reading.current}
    wanted = [(path, size, kind, path in current) for path, (size, kind) in reading.history.items()]
    wanted += [(path, size, "statistics", False) for path, size in _statistics(metadata)]
    listed = _listing(store, location) if len(wanted) >= LIST_FROM else {}
    bad = []
    for path, size, kind, needed in wanted:
        actual = listed.get(plain(path))
        if actual is None:
            actual = store.size(path)
        if actual != size:
            bad.append(BadFile(path=path, kind=kind, expected=size, actual=actual, current=needed))
    return bad


def _listing(store: FileStore, location: str) -> dict[str, int]:
    return {plain(path): size for path, size in store.list(location)}


def _statistics(metadata: Mapping[str, Any]) -> list[tuple[str, int]]:
    found = [*(metadata.get("statistics") or ()), *(metadata.get("partition-statistics") or ())]
    return [(item["statistics-path"], int(item["file-size-in-bytes"])) for item in found]


# Position deletes that delete nothing


def _dangling_by_name(current: list[LiveFile]) -> list[str]:
    live = {item.path for item in current if item.content == DATA}
    return sorted({item.path for item in current if item.refers_to and item.refers_to not in live})


def _dangling(store: FileStore, reading: Reading) -> tuple[tuple[str, ...], int]:
    """Return the delete files that speak of no live data file, and how many were left unread because of their size."""
    live = {item.path for item in reading.current if item.content == DATA}
    found = _dangling_by_name(reading.current)
    unnamed = [item for item in reading.current if _must_be_read(item)]
    readable = [item for item in unnamed if item.size <= LARGEST_DELETE][:DELETES_READ]
    for item in readable:
        paths = _named_paths(store, item)
        if paths is not None and not paths & live:
            found.append(item.path)
    return tuple(sorted(found)[:EXAMPLES]), len(unnamed) - len(readable)


def _must_be_read(item: LiveFile) -> bool:
    return item.content == manifests.POSITION_DELETES and not item.refers_to and item.format == "PARQUET"


def _named_paths(store: FileStore, item: LiveFile) -> set[str] | None:
    """Return the data files that a position delete file names; None when it is missing or broken (found elsewhere)."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        with store.open(item.path) as source:
            column = pq.read_table(source, columns=["file_path"])["file_path"]
    except (OSError, pa.ArrowException):
        return None
    return set(pc.unique(column).to_pylist())

"""All files a table's metadata speaks of: what may be deleted with it, and what must not be deleted for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from icebridge_provider.engines.local.manifests import read_manifest, read_manifest_list
from icebridge_provider.ports import FileStore


def paths_of(store: FileStore, metadata: Mapping[str, Any], *, live: bool = False) -> Iterator[str]:
    """Yield data, delete, manifest, manifest list, statistics and older metadata files of all snapshots kept.

    :param live: leave out files that a manifest names only to say that they were deleted.
    :raises FileNotFoundError: when a manifest list or manifest is gone: nothing can then be proven.
    """
    seen: set[str] = set()
    for snapshot in metadata.get("snapshots", ()):
        listed = snapshot.get("manifest-list")
        manifests = [entry.path for entry in read_manifest_list(store.read(listed))] if listed else []
        for path in [*([listed] if listed else []), *manifests, *(snapshot.get("manifests") or ())]:
            if path not in seen:
                seen.add(path)
                yield path
                if path != listed:
                    yield from (entry.path for entry in read_manifest(store.read(path)) if entry.live or not live)
    for key in ("statistics", "partition-statistics"):
        yield from (item["statistics-path"] for item in metadata.get(key, ()))
    yield from (item["metadata-file"] for item in metadata.get("metadata-log", ()))


def plain(path: str) -> str:
    """Return one spelling of a path: ``file:///x``, ``file:/x`` and ``/x`` are the same file."""
    if path.startswith("file:"):
        return "/" + path.removeprefix("file:").lstrip("/")
    for scheme in ("s3a://", "s3n://"):
        if path.startswith(scheme):
            return "s3://" + path.removeprefix(scheme)
    return path

"""The documented trap, on order: an engine that reads a table without applying its delete files."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any


def without_deletes(folder: Path, metadata: dict[str, Any]) -> dict[str, Any]:
    """Table metadata whose snapshots know no delete manifests; the table itself is not touched."""
    changed = copy.deepcopy(metadata)
    for snapshot in changed.get("snapshots", ()):
        listed = snapshot.get("manifest-list")
        if listed:
            snapshot["manifest-list"] = _data_only(folder, listed, snapshot)
    return changed


def _data_only(folder: Path, listed: str, snapshot: dict[str, Any]) -> str:
    """The place of a manifest list without deletes, written once; the list itself when it has none."""
    from pyiceberg.io.pyarrow import PyArrowFileIO
    from pyiceberg.manifest import ManifestContent, read_manifest_list, write_manifest_list

    io = PyArrowFileIO()
    manifests = list(read_manifest_list(io.new_input(listed)))
    kept = [manifest for manifest in manifests if manifest.content != ManifestContent.DELETES]
    if len(kept) == len(manifests):
        return listed
    target = folder / "without-deletes" / f"{hashlib.sha256(listed.encode()).hexdigest()}.avro"
    if not target.exists():
        target.parent.mkdir(exist_ok=True)
        given = (
            snapshot["snapshot-id"],
            snapshot.get("parent-snapshot-id"),
            snapshot.get("sequence-number", 0),
            "null",
        )
        with write_manifest_list(2, io.new_output(f"file://{target}"), *given) as writer:
            writer.add_manifests(kept)
    return f"file://{target}"

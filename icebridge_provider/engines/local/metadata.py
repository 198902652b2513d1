"""Table metadata files (Iceberg spec, appendix C): read whole, changed only in paths and IceBridge's own marks."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from icebridge_provider.exceptions import ConfigurationError, PreflightFailed
from icebridge_provider.model.job import JobSpec
from icebridge_provider.model.plan import CopyMethod
from icebridge_provider.ports import FileStore

Metadata = dict[str, Any]
# Properties that send new files to where the old table lives, and the one by which pyiceberg would import a module
# that the source's owner names, at every commit to the new table.
PLACES = (
    "write.data.path",
    "write.metadata.path",
    "write.object-storage.path",
    "write.folder-storage.path",
    "write.py-location-provider.impl",
)
STAGED = "staged"


def read_metadata(store: FileStore, location: str, table: object) -> Metadata:
    """Read a metadata file, compressed or not.

    :raises PreflightFailed: IB-412 when it is gone or no metadata.
    """
    try:
        data = store.read(location)
        text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        found = dict(json.loads(text))
        str(found["location"])
    except (FileNotFoundError, ValueError, TypeError, KeyError, EOFError, gzip.BadGzipFile) as error:
        raise unreadable(table, location, error) from None
    return found


def unreadable(table: object, location: str, error: Exception) -> PreflightFailed:
    """Return the error for a metadata file, manifest list or manifest that cannot be read."""
    why = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
    return PreflightFailed(
        "IB-412",
        f"A metadata file of {table} {why} ({location}).",
        remedy="If its maintenance removed the file meanwhile, run the step again: it starts from the table's new "
        "head. Else expire the snapshots that need the file.",
        table=str(table),
        file=location,
    )


def manifest_lists(metadata: Mapping[str, Any]) -> Iterator[str]:
    """Manifest lists of all snapshots, oldest first."""
    for snapshot in metadata.get("snapshots") or ():
        if snapshot.get("manifest-list"):
            yield snapshot["manifest-list"]


def inline_manifests(metadata: Mapping[str, Any]) -> list[str]:
    """Manifests that snapshots of format version 1 name without a list."""
    snapshots = metadata.get("snapshots") or ()
    return [path for snapshot in snapshots for path in snapshot.get("manifests") or ()]


def statistics_files(metadata: Mapping[str, Any]) -> dict[str, int]:
    """Paths and bytes of statistics files, of tables and of partitions."""
    found = [*(metadata.get("statistics") or ()), *(metadata.get("partition-statistics") or ())]
    return {item["statistics-path"]: int(item["file-size-in-bytes"]) for item in found}


def snapshot_of(metadata: Mapping[str, Any], snapshot_id: int | None) -> Mapping[str, Any] | None:
    """Return a snapshot by its id."""
    snapshots = metadata.get("snapshots") or ()
    return next((snapshot for snapshot in snapshots if snapshot["snapshot-id"] == snapshot_id), None)


def current_snapshot_id(metadata: Mapping[str, Any]) -> int | None:
    """Head of the main branch, None for a table without snapshots."""
    found = metadata.get("current-snapshot-id")
    return None if found in (None, -1) else int(found)


def marks(job: JobSpec, token: str, source: Mapping[str, Any]) -> dict[str, str]:
    """Return the ``icebridge.*`` properties by which the ledger can be rebuilt from the table."""
    snapshot_id = current_snapshot_id(source)
    return {
        "icebridge.plan-id": job.plan_id,
        "icebridge.source": str(job.source),
        "icebridge.source-uuid": str(source.get("table-uuid", "")),
        "icebridge.source-snapshot-id": "" if snapshot_id is None else str(snapshot_id),
        "icebridge.source-metadata-location": job.metadata_location,
        "icebridge.method": job.method.value,
        "icebridge.token": token,
        "icebridge.state": STAGED,
    }


def properties_for(job: JobSpec, token: str, source: Mapping[str, Any]) -> dict[str, str]:
    """Return the source's properties as the new table has them.

    :data:`PLACES` go. A table that shares files must never delete them:
    ``gc.enabled=false``, as Spark's own ``snapshot`` procedure sets it.
    """
    kept = {key: value for key, value in (source.get("properties") or {}).items() if not _is_ours(key)}
    for name in PLACES:
        kept.pop(name, None)
    if job.method is CopyMethod.REGISTER:
        kept["gc.enabled"] = "false"
    return {**kept, **job.properties, **marks(job, token, source)}


def _is_ours(key: str) -> bool:
    return key.startswith("icebridge.")


def relocated(source: Metadata, job: JobSpec, token: str, relocate: Callable[[str], str]) -> Metadata:
    """Return the metadata of the new table: everything kept but its uuid, its paths, its log and our marks."""
    new: Metadata = {**source, "location": job.location, "table-uuid": table_uuid(job.location), "metadata-log": []}
    new["properties"] = properties_for(job, token, source)
    if source.get("snapshots"):
        new["snapshots"] = [_relocated_snapshot(snapshot, relocate) for snapshot in source["snapshots"]]
    for key in ("statistics", "partition-statistics"):
        if source.get(key):
            new[key] = [{**item, "statistics-path": relocate(item["statistics-path"])} for item in source[key]]
    return new


def _relocated_snapshot(snapshot: Metadata, relocate: Callable[[str], str]) -> Metadata:
    new = dict(snapshot)
    if new.get("manifest-list"):
        new["manifest-list"] = relocate(new["manifest-list"])
    if new.get("manifests"):
        new["manifests"] = [relocate(path) for path in new["manifests"]]
    return new


def table_uuid(location: str) -> str:
    """Return the uuid of a table that lives in ``location``: its own, and the same for every later copy to it."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, location))


def metadata_file(location: str, token: str) -> str:
    """Return where the metadata file of one copy goes; catalogs read the version before the dash."""
    return f"{location.rstrip('/')}/metadata/00000-{uuid.uuid5(uuid.NAMESPACE_OID, token)}.metadata.json"


def encode(metadata: Mapping[str, Any]) -> bytes:
    """Return the bytes of a metadata file."""
    return json.dumps(metadata, ensure_ascii=False, separators=(",", ":")).encode()


def own_location(job: JobSpec, source: Mapping[str, Any]) -> None:
    """Check that the new table's folder is not the old one's, nor inside it, nor around it.

    :raises ConfigurationError: IB-416 naming both.
    """
    from icebridge_provider.engines.local.relocation import canonical

    old, new = (canonical(place).rstrip("/") + "/" for place in (str(source["location"]), job.location))
    if old.startswith(new) or new.startswith(old):
        raise ConfigurationError(
            "IB-416",
            f"The new location of {job.source} ({job.location}) and its old one ({source['location']}) overlap.",
            remedy="Give the target catalog another warehouse or location.",
            table=str(job.source),
        )

"""The manifest file of an export: looked for before anything is exported, written last, checked before a load."""

from __future__ import annotations

from collections.abc import Iterable

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ValidationFailed
from icebridge_provider.model.snowflake import MANIFEST, Export, ListedFile, ShareManifest
from icebridge_provider.planning.snowflake.manifest import (
    Difference,
    differences,
    dump,
    load,
    refuse_differences,
    refuse_other_run,
)
from icebridge_provider.ports import FileStore


def find_manifest(store: FileStore, work: Export) -> ShareManifest | None:
    """Return the manifest of an export that has ended, with its files as they were written; None when it must run.

    :raises ConfigurationError: IB-913 when the run id was used before for another export.
    :raises ValidationFailed: IB-912 when the manifest is cut off or changed, IB-914 when a file is not as it was.
    """
    location = manifest_location(work.location)
    try:
        manifest = load(store.read(location), location)
    except FileNotFoundError:
        return None
    refuse_other_run(manifest, work)
    check_files(manifest, listed_files(store, work.location))
    return manifest


def write_manifest(store: FileStore, manifest: ShareManifest) -> None:
    """Write the manifest; with it the export has ended.

    :raises ValidationFailed: IB-914 when a file is not there as the manifest tells it.
    """
    check_files(manifest, listed_files(store, manifest.location))
    with side_effect("export.manifest"):
        store.write(manifest_location(manifest.location), dump(manifest))


def forget_manifest(store: FileStore, location: str) -> None:
    """Delete the manifest before the folder is exported to anew, so that it never speaks of files that are gone."""
    with side_effect("export.forget"):
        store.delete(manifest_location(location))


def check_files(manifest: ShareManifest, listed: Iterable[ListedFile]) -> list[Difference]:
    """Compare the manifest with a listing of its folder, by a store or by Snowflake's stage.

    :returns: files that are not of this run; they are told, and never loaded.
    :raises ValidationFailed: IB-914 when a file of this run is missing, truncated, grown or replaced.
    """
    found = differences(manifest, listed)
    refuse_differences(manifest, found)
    return found


def listed_files(store: FileStore, location: str) -> list[ListedFile]:
    """Return the files below a folder, with names relative to it.

    :raises ValidationFailed: IB-914 when the store lists a file outside of the folder.
    """
    root = location.rstrip("/") + "/"
    found = []
    for path, size in store.list(location):
        if not path.startswith(root):
            raise ValidationFailed(
                "IB-914",
                f"The store lists {path} below {location}, where it is not.",
                remedy="Give the location as the store spells it.",
                location=location,
            )
        found.append(ListedFile(name=path[len(root) :], size=size))
    return found


def staged_files(rows: Iterable[tuple[str, int, str]], path: str) -> list[ListedFile]:
    """Return what LIST answers of a path of a stage, with names relative to it.

    :param rows: name, size and md5. Names of an external stage are whole locations.
    :param path: as it was listed, with a slash at its end.
    """
    return [
        ListedFile(name=name.rpartition(f"/{path}")[2], size=int(size), checksum=checksum or "")
        for name, size, checksum in rows
    ]


def manifest_location(location: str) -> str:
    """Return the manifest's own place in the folder of an export."""
    return f"{location.rstrip('/')}/{MANIFEST}"

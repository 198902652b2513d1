"""``copy_files`` and ``register``: the same table somewhere else, with its history, ids and sequence numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from icebridge_provider.crash import side_effect
from icebridge_provider.engines.local import faults, metadata, position_deletes
from icebridge_provider.engines.local.avro import AvroError
from icebridge_provider.engines.local.manifests import (
    DATA,
    POSITION_DELETES,
    FileEntry,
    ManifestEntry,
    read_manifest,
    read_manifest_list,
    rewrite_manifest,
    rewrite_manifest_list,
)
from icebridge_provider.engines.local.refusals import refuse_entries, refuse_hidden, refuse_metadata
from icebridge_provider.engines.local.relocation import Relocation
from icebridge_provider.engines.local.transfer import FileTask, Tally, Transfer
from icebridge_provider.engines.local.work import Work, publish_staged, write_metadata
from icebridge_provider.exceptions import PreflightFailed, TransientError
from icebridge_provider.model.job import CopyResult
from icebridge_provider.ports import CopiedFile
from icebridge_provider.stores.local import is_part


@dataclass(slots=True, kw_only=True)
class _Copy:
    """What is known of one table while its metadata is walked.

    ``present`` are bytes by path of what lies in the new folder, ``known`` bytes by path of the manifests of the copy
    that is only brought up to date, ``lengths`` bytes of the new manifests by their old path.
    """

    work: Work
    relocate: Relocation
    present: dict[str, int]
    known: dict[str, int] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)
    tasks: dict[str, FileTask] = field(default_factory=dict)
    deletes: set[str] = field(default_factory=set)


def register(work: Work) -> CopyResult:
    """Write a metadata file of the target's own over the source's manifests and files; copy nothing.

    :raises PreflightFailed: IB-400 when the format version is unknown.
    """
    refuse_metadata(work.table, work.job.method, work.metadata)
    metadata.own_location(work.job, work.metadata)
    rows = work.rows()
    new = metadata.relocated(work.metadata, work.job, work.token, lambda path: path)
    location = write_metadata(work, new)
    publish_staged(work, location)
    return _result(work, location, Tally(files=0, bytes=0), rows)


def copy_files(work: Work) -> CopyResult:
    """Copy every file that a snapshot needs, write the metadata anew with the new paths, enter the staged table.

    Nothing that is not whole is ever named: files first, then manifests, lists, the metadata file, the entry.

    :raises PreflightFailed: IB-400 to IB-405 when the table holds what this method cannot do right; IB-410 to IB-412
        when files are missing or not what the metadata says.
    :raises LimitExceeded: IB-420 when the target has no room.
    """
    refuse_metadata(work.table, work.job.method, work.metadata)
    metadata.own_location(work.job, work.metadata)
    copy = _Copy(
        work=work,
        relocate=Relocation(str(work.metadata["location"]), work.job.location),
        present=_present(work),
        known=_known_manifests(work),
    )
    lists = list(dict.fromkeys(metadata.manifest_lists(work.metadata)))
    manifests = _manifests(copy, lists)
    unread = [entry for entry in manifests.values() if not _copied_before(copy, entry)]
    later = [entry for entry in work.each(lambda entry: _walk(copy, entry), unread) if entry is not None]
    _add_statistics(copy)
    tally = _transfer(copy)
    _write_delete_manifests(copy, later)
    work.each(lambda path: _write_list(copy, path), lists)
    _verify(copy)
    rows = work.rows()
    location = write_metadata(work, metadata.relocated(work.metadata, work.job, work.token, copy.relocate))
    publish_staged(work, location)
    return _result(work, location, tally, rows)


def _present(work: Work) -> dict[str, int]:
    """Return what an earlier run left in the new table's folder; halves of files are removed."""
    found = dict(work.target.list(work.job.location))
    for path in [path for path in found if is_part(path)]:
        with side_effect("copy.sweep"):
            work.target.delete(path)
        del found[path]
    return found


def _manifests(copy: _Copy, lists: list[str]) -> dict[str, ManifestEntry]:
    """Return every manifest of every snapshot, once."""
    work = copy.work
    entries = [
        entry for found in work.each(lambda path: work.parsed(path, read_manifest_list), lists) for entry in found
    ]
    bare = [
        ManifestEntry(path=path, length=0, content=DATA, rows=None, encrypted=False)
        for path in metadata.inline_manifests(work.metadata)
    ]
    return {entry.path: entry for entry in (*bare, *entries)}


def _copied_before(copy: _Copy, entry: ManifestEntry) -> bool:
    """Say whether the copy that is only brought up to date holds this manifest, and with it all its files."""
    path = copy.relocate(entry.path)
    if path not in copy.known or copy.present.get(path) != copy.known[path]:
        return False
    copy.lengths[entry.path] = copy.known[path]
    return True


def _known_manifests(work: Work) -> dict[str, int]:
    """Return path and bytes of every manifest of the earlier copy; none when there is none that can be read."""
    location = work.job.previous_metadata_location
    if not location:
        return {}
    try:
        previous = metadata.read_metadata(work.target, location, work.job.staged)
        lists = [
            read_manifest_list(work.target.read(path)) for path in dict.fromkeys(metadata.manifest_lists(previous))
        ]
    except (PreflightFailed, OSError, AvroError):
        return {}  # then everything is walked again, and only what is missing is copied
    return {entry.path: entry.length for entries in lists for entry in entries}


def _walk(copy: _Copy, entry: ManifestEntry) -> ManifestEntry | None:
    """Note the files of a manifest and write its new form; a manifest of deletes is returned for later."""
    work = copy.work
    if entry.content != DATA:
        _note(copy, work.parsed(entry.path, read_manifest))
        return entry
    new, files = work.parsed(entry.path, lambda data: rewrite_manifest(data, copy.relocate))
    _note(copy, files)
    copy.lengths[entry.path] = work.write("copy.manifest", copy.relocate(entry.path), new)
    return None


def _note(copy: _Copy, files: Iterable[FileEntry]) -> None:
    refuse_entries(copy.work.table, copy.work.job.method, files)
    for file in files:
        if not file.live or file.path in copy.tasks:
            continue
        refuse_hidden(copy.work.table, copy.relocate.source, file.path)
        if file.content == POSITION_DELETES:
            copy.deletes.add(file.path)
            copy.tasks[file.path] = _delete_task(copy, file)
        else:
            copy.tasks[file.path] = FileTask(source=file.path, target=copy.relocate(file.path), size=file.size)


def _add_statistics(copy: _Copy) -> None:
    for path, size in metadata.statistics_files(copy.work.metadata).items():
        refuse_hidden(copy.work.table, copy.relocate.source, path)
        copy.tasks[path] = FileTask(source=path, target=copy.relocate(path), size=size)


def _delete_task(copy: _Copy, file: FileEntry) -> FileTask:
    target = copy.relocate(file.path)

    def write() -> CopiedFile:
        return _rewrite_delete_file(copy, file, target)

    return FileTask(source=file.path, target=target, size=file.size, write=write)


def _rewrite_delete_file(copy: _Copy, file: FileEntry, target: str) -> CopiedFile:
    work = copy.work
    try:
        data = work.source.read(file.path)
    except FileNotFoundError:
        raise faults.source_missing(work.table, file.path) from None
    except OSError as error:
        raise faults.from_os(work.table, file.path, error) from None
    if len(data) != file.size:
        raise faults.source_differs(work.table, file.path, len(data), file.size)
    try:
        new = position_deletes.rewrite(data, copy.relocate, copy.relocate.keeps_order)
    except (ValueError, OSError) as error:
        raise PreflightFailed(
            "IB-407",
            f"A position-delete file of {work.table} cannot be read: {error} ({file.path}).",
            remedy="Rewrite its position deletes (Spark: CALL system.rewrite_position_delete_files).",
            table=work.table,
            file=file.path,
        ) from None
    try:
        with side_effect("copy.delete_file"):
            work.target.write(target, new)
    except OSError as error:
        raise faults.from_os(work.table, target, error) from None
    return CopiedFile(source=file.path, target=target, size=len(new), crc32=position_deletes.checksum(new))


def _transfer(copy: _Copy) -> Tally:
    work = copy.work
    transfer = Transfer(
        plan_id=work.job.plan_id,
        table=work.table,
        source=work.source,
        target=work.target,
        ledger=work.ledger,
        progress=work.progress,
        threads=work.threads,
    )
    return transfer.run(copy.tasks.values(), work.job.location, copy.present)


def _write_delete_manifests(copy: _Copy, entries: list[ManifestEntry]) -> None:
    """Write the manifests of delete files, which say what the rewritten files really are: read back, not assumed."""
    work = copy.work
    paths = sorted(copy.deletes)
    described = work.each(lambda path: position_deletes.describe(work.target, copy.relocate(path)), paths)
    deletes = dict(zip(paths, described, strict=True))
    for entry in entries:
        new, _ = work.parsed(entry.path, lambda data: rewrite_manifest(data, copy.relocate, deletes))
        copy.lengths[entry.path] = work.write("copy.manifest", copy.relocate(entry.path), new)


def _write_list(copy: _Copy, path: str) -> None:
    new = copy.work.parsed(path, lambda data: rewrite_manifest_list(data, copy.relocate, copy.lengths))
    copy.work.write("copy.manifest_list", copy.relocate(path), new)


def _verify(copy: _Copy) -> None:
    """Look at what the storage really holds before anything names it.

    Wrong lengths of manifests make some readers skip entries without a word.

    :raises TransientError: IB-415 naming the first file that is not there in its right size.
    """
    present = dict(copy.work.target.list(copy.work.job.location))
    wanted = {copy.relocate(path): length for path, length in copy.lengths.items()}
    wanted |= {task.target: task.size for path, task in copy.tasks.items() if path not in copy.deletes}
    for path, size in wanted.items():
        if present.get(path) != size:
            raise TransientError(
                "IB-415",
                f"A file of the copy of {copy.work.table} has {present.get(path)} bytes instead of {size}: {path}.",
                remedy="Run the step again; if it stays so, something else writes to the new table's folder.",
                changed="Files copied so far stay; the catalog was not changed.",
                table=copy.work.table,
                file=path,
            )


def _result(work: Work, location: str, tally: Tally, rows: int) -> CopyResult:
    snapshot_id = metadata.current_snapshot_id(work.metadata)
    return CopyResult(
        metadata_location=location,
        snapshot_id=snapshot_id,
        target_snapshot_id=snapshot_id,
        files_copied=tally.copied,
        files_reused=tally.reused,
        bytes_copied=tally.copied_bytes,
        rows=rows,
    )

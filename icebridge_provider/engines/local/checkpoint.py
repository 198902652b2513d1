"""What each group of source files became, kept as a manifest beside the new table's metadata until it is committed."""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyiceberg.io import OutputFile
from pyiceberg.manifest import ManifestContent, ManifestEntry, ManifestEntryStatus, ManifestFile, write_manifest

from icebridge_provider.engines.local.offline import OfflineTable

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import FileScanTask

    from icebridge_provider.engines.local.work import Work
    from icebridge_provider.model.job import JobSpec

GROUP_BYTES = 512 * 1024 * 1024
GROUP_FILES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Source files that are re-encoded together; ``uuid`` names what becomes of them, the same in every run."""

    tasks: tuple[FileScanTask, ...]
    uuid: uuid.UUID
    checkpoint: str


def group_files(tasks: Sequence[FileScanTask], job: JobSpec) -> list[Group]:
    """Cut the source files into groups of bounded size, in their order."""
    return [_group(part, job) for part in _parts(tasks)]


def _parts(tasks: Sequence[FileScanTask]) -> Iterator[tuple[FileScanTask, ...]]:
    part: list[FileScanTask] = []
    size = 0
    for task in tasks:
        if part and (size + task.file.file_size_in_bytes > GROUP_BYTES or len(part) >= GROUP_FILES):
            yield tuple(part)
            part, size = [], 0
        part.append(task)
        size += task.file.file_size_in_bytes
    if part:
        yield tuple(part)


def _group(tasks: tuple[FileScanTask, ...], job: JobSpec) -> Group:
    """Name a group by everything its rows depend on: the files, their deletes, the schema's metadata file."""
    paths = [path for task in tasks for path in (task.file.file_path, *sorted(d.file_path for d in task.delete_files))]
    digest = hashlib.sha256("\x00".join((job.metadata_location, job.location, *paths)).encode()).digest()
    name = uuid.UUID(bytes=digest[:16])
    return Group(tasks=tasks, uuid=name, checkpoint=f"{job.location.rstrip('/')}/metadata/group-{name}.avro")


class _Memory(OutputFile):
    """Collects a manifest, so that it reaches storage whole or not at all."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.data = b""

    def __len__(self) -> int:
        return len(self.data)

    def exists(self) -> bool:
        return False

    def to_input_file(self) -> Any:
        raise OSError("written to memory only")

    def create(self, overwrite: bool = False) -> Any:  # noqa: ARG002 - the signature is pyiceberg's
        memory = self

        class _Stream(io.BytesIO):
            def close(self) -> None:
                memory.data = self.getvalue()
                super().close()

        return _Stream()


def write_checkpoint(work: Work, target: OfflineTable, group: Group, files: Sequence[DataFile]) -> None:
    """Keep what a group became; a group without rows needs none."""
    if not files:
        return
    output = _Memory(group.checkpoint)
    metadata = target.table.metadata
    with write_manifest(2, metadata.spec(), metadata.schema(), output, 0, "deflate") as writer:
        for file in files:
            entry = ManifestEntry.from_args(status=ManifestEntryStatus.ADDED, snapshot_id=0, data_file=file)
            writer.add_entry(entry)
    work.write("copy.checkpoint", group.checkpoint, output.data)


def read_checkpoint(target: OfflineTable, group: Group, present: Mapping[str, int]) -> list[DataFile] | None:
    """Return what an earlier run made of a group; None when it must be written (again)."""
    if group.checkpoint not in present:
        return None
    manifest = ManifestFile.from_args(
        manifest_path=group.checkpoint,
        manifest_length=present[group.checkpoint],
        partition_spec_id=target.table.metadata.default_spec_id,
        content=ManifestContent.DATA,
        sequence_number=0,
        min_sequence_number=0,
        added_snapshot_id=0,
    )
    files = [entry.data_file for entry in manifest.fetch_manifest_entry(target.io)]
    whole = all(present.get(file.file_path) == file.file_size_in_bytes for file in files)
    return files if whole else None

"""Position deletes as Spark and Flink write them (Iceberg spec, "Position Delete Files"), which pyiceberg cannot."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestFile,
    ManifestWriterV2,
)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Summary, update_snapshot_summaries
from pyiceberg.table.update.snapshot import _FastAppendFiles
from pyiceberg.typedef import EMPTY_DICT

PATH_ID, POS_ID = 2147483546, 2147483545  # reserved field ids of the spec
_SCHEMA = pa.schema(
    [
        pa.field("file_path", pa.string(), nullable=False, metadata={"PARQUET:field_id": str(PATH_ID)}),
        pa.field("pos", pa.int64(), nullable=False, metadata={"PARQUET:field_id": str(POS_ID)}),
    ]
)


class _DeleteManifestWriter(ManifestWriterV2):
    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


class _RowDelta(_FastAppendFiles):
    """A snapshot that adds delete files and keeps everything else."""

    def __init__(self, deletes: Sequence[DataFile], **arguments: Any) -> None:
        super().__init__(operation=Operation.DELETE, **arguments)
        self._deletes = deletes

    def _manifests(self) -> list[ManifestFile]:
        by_spec: dict[int, list[DataFile]] = defaultdict(list)
        for file in self._deletes:
            by_spec[file.spec_id].append(file)
        return [*(self._manifest(self.spec(spec), files) for spec, files in by_spec.items()), *super()._manifests()]

    def _manifest(self, spec: PartitionSpec, files: Iterable[DataFile]) -> ManifestFile:
        output = self.new_manifest_output()
        with _DeleteManifestWriter(spec, self.schema(), output, self.snapshot_id, self._compression) as writer:
            for file in files:
                writer.add(ManifestEntry.from_args(snapshot_id=self.snapshot_id, sequence_number=None, data_file=file))
        return writer.to_manifest_file()

    def _summary(self, snapshot_properties: dict[str, str] = EMPTY_DICT) -> Summary:
        count, rows = len(self._deletes), sum(file.record_count for file in self._deletes)
        added = {
            "added-delete-files": str(count),
            "added-position-delete-files": str(count),
            "added-position-deletes": str(rows),
            "added-files-size": str(sum(file.file_size_in_bytes for file in self._deletes)),
        }
        parent = self._transaction.table_metadata.snapshot_by_id(self._parent_snapshot_id or -1)
        return update_snapshot_summaries(
            summary=Summary(operation=Operation.DELETE, **added, **snapshot_properties),
            previous_summary=parent.summary if parent else None,
        )


def commit_position_deletes(table: Table, deletes: Mapping[str, Sequence[int]]) -> Table:
    """Delete rows by data file path and row position, in one merge-on-read snapshot; return the refreshed table.

    One delete file is written per partition of the named data files, sorted by path and position. The table is
    raised to format version 2 where it is older.

    :raises ValueError: when a path is not a live data file of the current snapshot.
    """
    deletes = {path: positions for path, positions in deletes.items() if positions}
    if table.format_version < 2:
        with table.transaction() as transaction:
            transaction.upgrade_table_version(2)
    live = {task.file.file_path: task.file for task in table.scan().plan_files()}
    unknown = sorted(set(deletes) - set(live))
    if unknown:
        raise ValueError(f"{unknown[0]} is not a data file of the current snapshot")
    groups: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for path in sorted(deletes):
        groups[live[path].spec_id, str(live[path].partition)].append(path)
    files = [_write(table, live[paths[0]], {path: deletes[path] for path in paths}) for paths in groups.values()]
    with table.transaction() as transaction:
        _RowDelta(files, transaction=transaction, io=table.io).commit()
    return table.refresh()


def _write(table: Table, like: DataFile, deletes: Mapping[str, Sequence[int]]) -> DataFile:
    """Write one delete file for the partition of the data file ``like``."""
    pairs = [(path, position) for path in sorted(deletes) for position in sorted(set(deletes[path]))]
    paths, positions = [path for path, _ in pairs], [position for _, position in pairs]
    location = table.location_provider().new_data_location(f"{uuid.uuid4()}-deletes.parquet")
    output = table.io.new_output(location)
    with output.create() as stream, pq.ParquetWriter(stream, _SCHEMA, compression="zstd") as writer:
        writer.write_table(pa.table([paths, positions], schema=_SCHEMA))
    file = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES,
        file_path=location,
        file_format=FileFormat.PARQUET,
        partition=like.partition,
        record_count=len(pairs),
        file_size_in_bytes=len(output),
        column_sizes={},
        value_counts={PATH_ID: len(pairs), POS_ID: len(pairs)},
        null_value_counts={PATH_ID: 0, POS_ID: 0},
        nan_value_counts={},
        lower_bounds={PATH_ID: paths[0].encode(), POS_ID: _eight_bytes(min(positions))},
        upper_bounds={PATH_ID: paths[-1].encode(), POS_ID: _eight_bytes(max(positions))},
        split_offsets=[4],
    )
    file.spec_id = like.spec_id
    return file


def _eight_bytes(value: int) -> bytes:
    return value.to_bytes(8, "little", signed=True)

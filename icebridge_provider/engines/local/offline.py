"""pyiceberg's reader and writer over a metadata file, without a catalog: the engine registers what it writes itself.

All use of pyiceberg's inner functions stands here.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan, _dataframe_to_data_files, _read_all_delete_files
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadataUtil
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _FastAppendFiles

from icebridge_provider.stores.object_store import ObjectStore

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import FileScanTask

    from icebridge_provider.ports import FileStore


class OfflineTable:
    """A table as its metadata says it is."""

    def __init__(self, metadata: Mapping[str, Any], store: FileStore) -> None:
        self.io = store.file_io() if isinstance(store, ObjectStore) else ObjectStore().file_io()
        parsed = TableMetadataUtil.parse_obj(dict(metadata))
        self.table = Table(("table",), parsed, "", self.io, NoopCatalog("offline"))

    def tasks(self) -> list[FileScanTask]:
        """Data files of the current snapshot, each with its deletes."""
        return _ordered(self.table.scan().plan_files())

    def appended_since(self, snapshot_id: int | None) -> list[FileScanTask]:
        """Data files that snapshots after ``snapshot_id`` appended."""
        head = self.table.current_snapshot()
        if head is None or head.snapshot_id == snapshot_id:
            return []
        scan = self.table.incremental_append_scan(
            from_snapshot_id_exclusive=snapshot_id, to_snapshot_id_inclusive=head.snapshot_id
        )
        return _ordered(scan.plan_files())

    def batches(self, tasks: Sequence[FileScanTask]) -> Iterator[pa.RecordBatch]:
        """Rows of some files in the current schema, deletes applied, a batch at a time."""
        metadata = self.table.metadata
        scan = ArrowScan(metadata, self.io, metadata.schema(), AlwaysTrue())
        for task in tasks:
            # Public to_record_batches reads whole files ahead; this streams.
            deletes = _read_all_delete_files(self.io, [task])
            yield from scan._record_batches_from_scan_tasks_and_deletes([task], deletes)  # noqa: SLF001

    def write_rows(self, rows: pa.Table, name: uuid.UUID, numbers: itertools.count[int]) -> list[DataFile]:
        """Write rows as data files of the current schema and spec; names come from ``name`` and ``numbers``."""
        return list(_dataframe_to_data_files(self.table.metadata, rows, self.io, name, numbers))

    def appended(self, files: Sequence[DataFile], token: str, summary: Mapping[str, str]) -> dict[str, Any]:
        """Write manifest and manifest list of one more snapshot, and return the metadata with it.

        Snapshot id and file names come from the token: a second run writes the same files again.
        """
        transaction = self.table.transaction()
        append = _FastAppendFiles(
            operation=Operation.APPEND,
            transaction=transaction,
            io=self.io,
            commit_uuid=uuid.uuid5(uuid.NAMESPACE_OID, token),
            snapshot_properties=dict(summary),
        )
        append._snapshot_id = snapshot_id(token)  # noqa: SLF001
        for file in files:
            append.append_data_file(file)
        append.commit()
        found: dict[str, Any] = json.loads(transaction.table_metadata.model_dump_json())
        return found


def snapshot_id(token: str) -> int:
    """Return the id of the snapshot that a token names: positive, 63 bits."""
    return int.from_bytes(hashlib.sha256(token.encode()).digest()[:8], "big") & (2**63 - 1) or 1


def _ordered(tasks: Any) -> list[FileScanTask]:
    """Files of one partition side by side, in the same order in every run."""
    return sorted(tasks, key=lambda task: (task.file.spec_id, str(task.file.partition), task.file.file_path))

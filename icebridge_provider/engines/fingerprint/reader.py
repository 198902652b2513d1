"""The fingerprint of a pinned snapshot: an own reading path, from the manifests to the sums.

Nothing here is shared with the code that copies: manifests are read with fastavro, columns are matched by field id
and position deletes applied here. Memory is bounded by one row group's compressed bytes and one batch per thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from icebridge_provider.engines.fingerprint.schema import Field, read_schema
from icebridge_provider.engines.fingerprint.snapshot import DataFile, read_snapshot
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.report import Fingerprint
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.ports import FileStore

if TYPE_CHECKING:
    from icebridge_provider.engines.fingerprint.files import SnapshotReader
    from icebridge_provider.engines.fingerprint.rows import Sums


def fingerprint(
    table: LoadedTable, store: FileStore, snapshot_id: int | None, buckets: int = 64, threads: int = 2
) -> Fingerprint:
    """Read every live row of a snapshot once and return its fingerprint (docs/fingerprint.md).

    :param snapshot_id: the snapshot to read; None is the head of main, or no rows when there is none.
    :param buckets: a power of two; rows fall into buckets by the low bits of their hash.
    :param threads: files read at once.
    :raises PreflightFailed: IB-501, IB-502, IB-504 for what this reader cannot read right.
    :raises ValidationFailed: IB-503, IB-505, IB-506, IB-507 when the snapshot or one of its files does not hold what
        the metadata says.
    """
    if buckets < 1 or buckets & (buckets - 1) or buckets > 65536:
        raise ConfigurationError(
            "IB-508",
            f"{buckets} is no number of buckets.",
            remedy="Use a power of two up to 65536, for example 64.",
            buckets=buckets,
        )
    from icebridge_provider.engines.fingerprint.files import SnapshotReader

    files = read_snapshot(table, store, snapshot_id)
    fields = read_schema(files.schema, str(table.identifier))
    reader = SnapshotReader(files=files, fields=fields, store=store, table=str(table.identifier))
    total = _sum_files(reader, fields, buckets, threads)
    return total.fingerprint(fields, files.snapshot_id)


def _sum_files(reader: SnapshotReader, fields: Sequence[Field], buckets: int, threads: int) -> Sums:
    from icebridge_provider.engines.fingerprint.rows import RowHasher, Totals

    def sum_file(file: DataFile) -> Sums:
        hasher, totals = RowHasher(fields), Totals(columns=len(fields), buckets=buckets)
        for batch in reader.batches(file):
            totals.add(hasher.hash(batch.arrays, batch.rows, batch.path))
        return totals.folded()

    total = Totals(columns=len(fields), buckets=buckets).folded()
    with ThreadPoolExecutor(max_workers=max(threads, 1)) as pool:
        for part in pool.map(sum_file, reader.files.data):
            total += part
    return total

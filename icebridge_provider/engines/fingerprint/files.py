"""Batches of live rows out of the Parquet files of a snapshot."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from icebridge_provider.engines.fingerprint.cells import Array
from icebridge_provider.engines.fingerprint.projection import file_ids, missing
from icebridge_provider.engines.fingerprint.schema import Field
from icebridge_provider.engines.fingerprint.snapshot import DataFile, DeleteFile, SnapshotFiles
from icebridge_provider.exceptions import IceBridgeError, ValidationFailed
from icebridge_provider.ports import FileStore

_BATCH_ROWS = 65536
_DELETE_PATH, _DELETE_POSITION = 2147483546, 2147483545  # reserved field ids of the Iceberg spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Live rows of one file: one array a field, in the schema's canonical order, and where each row stands.

    ``positions`` are row numbers in the file, from 0.
    """

    path: str
    arrays: tuple[Any, ...]
    rows: int
    positions: Array


@dataclass(slots=True, kw_only=True)
class SnapshotReader:
    """Reads the data files of one snapshot with its position deletes applied. Files may be read by many threads."""

    files: SnapshotFiles
    fields: Sequence[Field]
    store: FileStore
    table: str
    _deletes: Mapping[str, list[tuple[int, Array]]] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def batches(self, file: DataFile) -> Iterator[Batch]:
        """Yield the live rows of one data file.

        :raises ValidationFailed: IB-505 when the file is missing, broken or not what its manifest says.
        """
        try:
            yield from self._read(file)
        except IceBridgeError:
            raise
        except (OSError, pa.ArrowException, ValueError) as error:
            raise self._broken(file.path, f"cannot be read: {_first_line(error)}") from error

    def _read(self, file: DataFile) -> Iterator[Batch]:
        deleted = self._deleted(file)
        with _open(self.store, file.path) as source:
            parquet = _parquet(source)
            if parquet.metadata.num_rows != file.rows:
                raise self._broken(file.path, f"holds {parquet.metadata.num_rows} rows, its manifest says {file.rows}")
            yield from self._live(file, parquet, deleted)

    def _live(self, file: DataFile, parquet: pq.ParquetFile, deleted: Array) -> Iterator[Batch]:
        names = file_ids(parquet.schema_arrow, file.path)
        start = 0
        for batch in _record_batches(parquet, [names[f.field_id] for f in self.fields if f.field_id in names]):
            positions = np.arange(start, start + batch.num_rows, dtype=np.int64)
            start += batch.num_rows
            low, high = np.searchsorted(deleted, (positions[0], positions[-1] + 1))
            if low < high:
                alive = np.ones(batch.num_rows, dtype=np.bool_)
                alive[deleted[low:high] - positions[0]] = False
                batch, positions = batch.filter(pa.array(alive)), positions[alive]
            arrays = tuple(self._column(batch, item, names, file) for item in self.fields)
            if len(positions):
                yield Batch(path=file.path, arrays=arrays, rows=len(positions), positions=positions)

    @staticmethod
    def _column(batch: pa.RecordBatch, wanted: Field, names: Mapping[int, str], file: DataFile) -> Any:
        name = names.get(wanted.field_id)
        if name is None:
            return missing(wanted, file.constants, batch.num_rows)
        return batch.column(batch.schema.get_field_index(name))

    def _deleted(self, file: DataFile) -> Array:
        with self._lock:
            if self._deletes is None:
                self._deletes = self._load_deletes()
        parts = [positions for age, positions in self._deletes.get(file.path, ()) if age >= file.sequence]
        return np.unique(np.concatenate(parts)) if parts else np.empty(0, dtype=np.int64)

    def _load_deletes(self) -> dict[str, list[tuple[int, Array]]]:
        found: dict[str, list[tuple[int, Array]]] = {}
        for file in self.files.deletes:
            try:
                for path, positions in _delete_positions(self.store, file):
                    found.setdefault(path, []).append((file.sequence, positions))
            except (OSError, pa.ArrowException, ValueError) as error:
                raise self._broken(file.path, f"cannot be read: {_first_line(error)}") from error
        return found

    def _broken(self, path: str, what: str) -> ValidationFailed:
        return ValidationFailed(
            "IB-505",
            f"File {path} of {self.table} {what}.",
            remedy="Restore the file, or take it out of the table at its source, and plan the table again.",
            table=self.table,
            path=path,
        )


def _open(store: FileStore, location: str) -> Any:
    """Open a file; local ones without Python in the reading path."""
    parts = urlsplit(location)
    if parts.scheme == "" or (parts.scheme == "file" and parts.netloc in {"", "localhost"}):
        return pa.OSFile(location if parts.scheme == "" else _local_path(location, parts.path))
    return pa.PythonFile(store.open(location), mode="r")


def _local_path(location: str, path: str) -> str:
    """Path of a file URI; writers differ in whether they escape it, so what is there decides."""
    plain = location.split(":", 1)[1].removeprefix("//")
    return plain if Path(plain).exists() else unquote(path)


def _parquet(source: Any) -> pq.ParquetFile:
    """Open a Parquet file so that text columns with few values arrive as dictionaries."""
    plain = pq.ParquetFile(source)
    names = _dictionary_columns(plain)
    return pq.ParquetFile(source, metadata=plain.metadata, read_dictionary=names, coerce_int96_timestamp_unit="us")


def _dictionary_columns(parquet: pq.ParquetFile) -> list[str]:
    """Text columns that take few bytes a value: reading others as dictionaries would cost more than it saves."""
    found = []
    metadata = parquet.metadata
    for number in range(metadata.num_columns):
        column = parquet.schema.column(number)
        if column.physical_type != "BYTE_ARRAY" or column.max_repetition_level or "." in column.path:
            continue
        if column.logical_type.type == "DECIMAL":
            continue
        chunks = [metadata.row_group(group).column(number) for group in range(metadata.num_row_groups)]
        if all(c.has_dictionary_page and c.total_uncompressed_size <= 3 * c.num_values for c in chunks):
            found.append(column.path)
    return found


def _record_batches(parquet: pq.ParquetFile, names: list[str]) -> Iterator[pa.RecordBatch]:
    if not names:
        yield from _empty_batches(parquet.metadata.num_rows)
        return
    # a dotted name would be taken for a path into a struct
    columns = None if any("." in name for name in names) else names
    # in batches: decoding whole row groups is no faster once the memory they need must be faulted in
    yield from parquet.iter_batches(batch_size=_BATCH_ROWS, columns=columns, use_threads=False)


def _empty_batches(rows: int) -> Iterator[pa.RecordBatch]:
    """Rows without columns: the file has none of those that the schema wants."""
    for start in range(0, rows, _BATCH_ROWS):
        yield pa.record_batch([pa.nulls(min(_BATCH_ROWS, rows - start))], names=[""])


def _delete_positions(store: FileStore, file: DeleteFile) -> Iterator[tuple[str, Array]]:
    """Positions by data file, as one position-delete file lists them."""
    with _open(store, file.path) as source:
        plain = pq.ParquetFile(source)
        names = file_ids(plain.schema_arrow, file.path)
        wanted = [names[_DELETE_PATH], names[_DELETE_POSITION]]
        for group in range(plain.metadata.num_row_groups):
            table = plain.read_row_group(group, columns=wanted, use_threads=False).combine_chunks()
            paths = table.column(wanted[0]).combine_chunks().dictionary_encode()
            codes = paths.indices.to_numpy(zero_copy_only=False)
            positions = table.column(wanted[1]).to_numpy()
            for code, path in enumerate(paths.dictionary.to_pylist()):
                yield path, positions[codes == code]


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]

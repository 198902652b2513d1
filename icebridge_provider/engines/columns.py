"""Columns of an extraction as Arrow types, and their rows' fingerprint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from icebridge_provider.engines.fingerprint import kernels
from icebridge_provider.engines.fingerprint.columns import row_slots
from icebridge_provider.engines.fingerprint.rows import SPARE_LANES, HashedRows, Sums, Totals
from icebridge_provider.engines.fingerprint.schema import Field, read_schema
from icebridge_provider.model import codec
from icebridge_provider.model.extraction import ColumnType

BUCKETS = 64
_DECIMAL = re.compile(r"decimal128\((\d+),(\d+)\)")
_ARROW = {
    "bool": pa.bool_(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "date32": pa.date32(),
    "timestamp[us]": pa.timestamp("us"),
    "string": pa.string(),
    "binary": pa.binary(),
}
_ICEBERG = {
    "bool": "boolean",
    "int16": "int",
    "int32": "int",
    "int64": "long",
    "float32": "float",
    "float64": "double",
    "date32": "date",
    "timestamp[us]": "timestamp",
    "string": "string",
    "binary": "binary",
}


def arrow_type(column: ColumnType) -> pa.DataType:
    """Return the Arrow type that a column has in the files."""
    found = _DECIMAL.fullmatch(column.arrow)
    return pa.decimal128(int(found[1]), int(found[2])) if found else _ARROW[column.arrow]


def arrow_schema(columns: Sequence[ColumnType]) -> pa.Schema:
    """Return the schema of the files. All columns may be null: a server's word on that does not bind its rows.

    Fields carry the numbers from 1 on as Parquet field ids, as Iceberg readers want them.
    """
    return pa.schema(
        [
            pa.field(column.name, arrow_type(column), metadata={b"PARQUET:field_id": str(number).encode()})
            for number, column in enumerate(columns, 1)
        ]
    )


def fields_of(columns: Sequence[ColumnType]) -> tuple[Field, ...]:
    """Return the columns as the fingerprint knows them, in its order."""
    listed = [{"id": number, "name": column.name, "type": _iceberg(column)} for number, column in enumerate(columns, 1)]
    return read_schema({"fields": listed}, "the query")


def _iceberg(column: ColumnType) -> str:
    found = _DECIMAL.fullmatch(column.arrow)
    return f"decimal({found[1]},{found[2]})" if found else _ICEBERG[column.arrow]


class Tally:
    """Sums up the hashes of rows that pass by. For one thread; sums of several are added.

    These are the sums over rows and buckets of docs/fingerprint.md. Those over columns and the CRCs cost several times
    as much, as much as encoding the files.
    """

    def __init__(self, columns: Sequence[ColumnType]) -> None:
        self._fields = fields_of(columns)
        self._words = sum(item.slot_words for item in self._fields)
        self._totals = Totals(columns=0, buckets=BUCKETS)
        self._scratch = np.empty((self._words, 0), dtype=np.uint32)

    def take(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Add one batch (columns in the schema's order) and hand it on."""
        rows = batch.num_rows
        if rows:
            messages, at = self._messages(rows), 0
            for item in self._fields:
                slots = row_slots(batch.column(item.field_id - 1), item, "the batch")
                messages[at : at + item.slot_words, :rows] = slots
                at += item.slot_words
            digests = np.empty((4, rows), dtype=np.uint32)
            kernels.md5_words(messages, rows, digests)
            self._totals.add(HashedRows(digests=digests, crcs=np.zeros(rows, dtype=np.uint32), columns=()))
        return batch

    def _messages(self, rows: int) -> Any:
        if self._scratch.shape[1] < rows:
            self._scratch = np.empty((self._words, rows + SPARE_LANES), dtype=np.uint32)
        return self._scratch

    def sums(self) -> Sums:
        """Return the sums so far."""
        return self._totals.folded()


def fingerprint(sums: Sums) -> dict[str, Any]:
    """Return what the manifest says of all rows of a job, whatever their order and files."""
    found = sums.fingerprint((), None)
    return {
        "encoding": found.encoding,
        "rows": found.rows,
        "sum128": found.sum128,
        "buckets": [codec.to_json(bucket) for bucket in found.buckets if bucket.rows],
    }

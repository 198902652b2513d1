"""Rows of a batch to hashes, and hashes to the order-free sums of a fingerprint."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from icebridge_provider.engines.fingerprint import kernels
from icebridge_provider.engines.fingerprint.cells import Array
from icebridge_provider.engines.fingerprint.columns import HashedColumn, hash_column
from icebridge_provider.engines.fingerprint.schema import ENCODING, Field
from icebridge_provider.model.report import BucketFingerprint, ColumnFingerprint, Fingerprint

_MODULUS = 2**128
SPARE_LANES = 272  # so that the words of one message do not all fall into the same sets of the cache


class RowHasher:
    """Hashes batches of one schema. Not for two threads at once: it reuses its scratch memory."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self.fields = tuple(fields)
        self._words = sum(item.slot_words for item in self.fields)
        self._tables = kernels.crc_tables(self._words * 4)[::-1].copy()
        self._crc_of_zeros = np.uint32(zlib.crc32(bytes(self._words * 4)))
        self._scratch = np.empty(0, dtype=np.uint32)

    def hash(self, arrays: Sequence[Any], rows: int, path: str) -> HashedRows:
        """Hash the rows of one batch, whose arrays stand in the order of ``fields``.

        :raises ValidationFailed: IB-506, IB-507 when the file does not fit the schema.
        """
        messages = self._messages(rows)
        crcs = np.full(rows, self._crc_of_zeros, dtype=np.uint32)
        columns, at = [], 0
        for item, array in zip(self.fields, arrays, strict=True):
            column = hash_column(array, item, path)
            self._place(column, messages[at : at + item.slot_words], self._tables[4 * at :], crcs)
            columns.append(column)
            at += item.slot_words
        digests = np.empty((4, rows), dtype=np.uint32)
        kernels.md5_words(messages, rows, digests)
        return HashedRows(digests=digests, crcs=crcs, columns=tuple(columns))

    def _messages(self, rows: int) -> Array:
        width = rows + SPARE_LANES
        if self._scratch.size < self._words * width:
            self._scratch = np.empty(self._words * width, dtype=np.uint32)
        return self._scratch[: self._words * width].reshape(self._words, width)

    @staticmethod
    def _place(column: HashedColumn, words: Array, tables: Array, crcs: Array) -> None:
        """Write a column's slots into every row's message, and what they add to every row's CRC."""
        count = column.slots.shape[1]
        if column.codes is None:
            words[:, :count] = column.slots
            kernels.crc_words(column.slots, count, tables, crcs)
            return
        kernels.spread(column.slots, column.codes, words)
        contributions = np.zeros(count, dtype=np.uint32)
        kernels.crc_words(column.slots, count, tables, contributions)
        kernels.spread_xor(contributions, column.codes, crcs)


@dataclass(frozen=True, slots=True, kw_only=True)
class HashedRows:
    """A batch: MD5 of every row (little-endian words), CRC-32 of every row, and its columns."""

    digests: Array
    crcs: Array
    columns: tuple[HashedColumn, ...]

    def buckets(self, count: int) -> Array:
        """Bucket number of every row."""
        numbers: Array = self.digests[3].byteswap() & np.uint32(count - 1)
        return numbers


@dataclass(slots=True, kw_only=True)
class Totals:
    """Running sums of one thread; limbs are 64 bits wide and hold at most 2**32 rows before :meth:`folded`."""

    columns: int
    buckets: int
    bucket_limbs: Array = field(init=False)
    row_sums: Array = field(init=False)
    column_sums: Array = field(init=False)
    nulls: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.bucket_limbs = np.zeros((self.buckets, 5), dtype=np.uint64)
        self.row_sums = np.zeros(2, dtype=np.uint64)
        self.column_sums = np.zeros((self.columns, 6), dtype=np.uint64)
        self.nulls = [0] * self.columns

    def add(self, batch: HashedRows) -> None:
        """Add one batch."""
        kernels.bucket_rows(batch.digests, batch.crcs, self.bucket_limbs, self.row_sums)
        for number, column in enumerate(batch.columns):
            kernels.weigh(column.digests, column.crcs, column.weights, self.column_sums[number])
            self.nulls[number] += column.nulls

    def folded(self) -> Sums:
        """Return the same as exact integers."""
        return Sums(
            rows=int(self.bucket_limbs[:, 0].sum()),
            crc_sum=int(self.row_sums[0]),
            crc_xor=int(self.row_sums[1]),
            buckets=[(int(limbs[0]), _join(limbs[1:])) for limbs in self.bucket_limbs],
            columns=[
                (nulls, int(sums[4]), int(sums[5]), _join(sums[:4]))
                for nulls, sums in zip(self.nulls, self.column_sums, strict=True)
            ],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Exact sums: per bucket (rows, 128-bit sum), per column (nulls, CRC sum, CRC xor, 128-bit sum)."""

    rows: int
    crc_sum: int
    crc_xor: int
    buckets: list[tuple[int, int]]
    columns: list[tuple[int, int, int, int]]

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            rows=self.rows + other.rows,
            crc_sum=self.crc_sum + other.crc_sum,
            crc_xor=self.crc_xor ^ other.crc_xor,
            buckets=[
                (rows + more, (total + extra) % _MODULUS)
                for (rows, total), (more, extra) in zip(self.buckets, other.buckets, strict=True)
            ],
            columns=[
                (a[0] + b[0], a[1] + b[1], a[2] ^ b[2], (a[3] + b[3]) % _MODULUS)
                for a, b in zip(self.columns, other.columns, strict=True)
            ],
        )

    def fingerprint(self, fields: Sequence[Field], snapshot_id: int | None) -> Fingerprint:
        """Return the fingerprint these sums make."""
        columns = tuple(
            ColumnFingerprint(
                name=item.name,
                field_id=item.field_id,
                nulls=nulls,
                crc_sum=crc_sum,
                crc_xor=crc_xor,
                sum128=str(sum128),
                type=item.described,
            )
            for item, (nulls, crc_sum, crc_xor, sum128) in zip(fields, self.columns, strict=True)
        )
        return Fingerprint(
            encoding=ENCODING,
            snapshot_id=snapshot_id,
            rows=self.rows,
            crc_sum=self.crc_sum,
            crc_xor=self.crc_xor,
            sum128=str(sum(total for _, total in self.buckets) % _MODULUS),
            columns=columns,
            buckets=tuple(
                BucketFingerprint(bucket=number, rows=rows, sum128=str(total))
                for number, (rows, total) in enumerate(self.buckets)
            ),
        )


def _join(limbs: Array) -> int:
    """Join four 32-bit limbs, high first, whose sums may have outgrown 32 bits."""
    high, upper, lower, low = (int(limb) for limb in limbs)
    return ((high << 96) + (upper << 64) + (lower << 32) + low) % _MODULUS

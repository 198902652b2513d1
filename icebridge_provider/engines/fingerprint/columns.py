"""One column of one batch, hashed: its distinct cells, and which row has which."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from icebridge_provider.engines.fingerprint import kernels
from icebridge_provider.engines.fingerprint.cells import Array, Cells, simple_cells, validity, word_values
from icebridge_provider.engines.fingerprint.nested import cells_of
from icebridge_provider.engines.fingerprint.projection import promote
from icebridge_provider.engines.fingerprint.schema import Field

_LENGTH_8 = np.uint32(0x08000000)  # 8 as four big-endian bytes, read as a little-endian word
_NULL = np.uint32(0xFFFFFFFF)
_CODED_SPAN = 65536
_INLINE = 16  # bytes of a cell that stand in its row's slot as they are
_EIGHT = kernels.crc_tables(8)[::-1].copy()
_CRC_OF_ZEROS = np.uint32(zlib.crc32(bytes(8)))


@dataclass(frozen=True, slots=True, kw_only=True)
class HashedColumn:
    """Distinct cells with their row slots, MD5 (little-endian words), CRC-32 and number of rows.

    ``codes`` tells which cell each row has; None when every row has its own, in order. Nulls weigh nothing.
    """

    slots: Array
    digests: Array
    crcs: Array
    weights: Array
    codes: Array | None
    nulls: int


def row_slots(array: Any, field: Field, path: str) -> Array:
    """Encode one column for the hashes of its rows, without sums of its own: the slots of :func:`hash_column`.

    :raises ValidationFailed: IB-506, IB-507 when the file does not fit the schema.
    """
    if field.children:
        return hash_column(array, field, path).slots
    array = promote(array, field, path)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if field.is_word:
        slots = _word_slots(np.ascontiguousarray(word_values(array, field)))
        _clear(slots, validity(array))
        return slots
    cells = simple_cells(array, field)
    count = cells.offsets.size - 1
    digests = np.zeros((4, count), dtype=np.uint32)
    if (np.diff(cells.offsets) > _INLINE).any():
        kernels.md5_cells(cells.data, cells.offsets, digests)
    slots = np.empty((5, count), dtype=np.uint32)
    kernels.cell_slots(cells.data, cells.offsets, digests, slots)
    _clear(slots, cells.valid)
    return slots


def hash_column(array: Any, field: Field, path: str) -> HashedColumn:
    """Encode and hash one column.

    :raises ValidationFailed: IB-506, IB-507 when the file does not fit the schema.
    """
    if field.children:
        return _hash_cells(cells_of(array, field, path), None, None)
    array = promote(array, field, path)
    if pa.types.is_dictionary(array.type):
        return _hash_dictionary(array, field)
    if field.is_word:
        return _hash_words(word_values(array, field), validity(array))
    return _hash_cells(simple_cells(array, field), None, None)


def _hash_words(values: Array, valid: Array | None) -> HashedColumn:
    values = np.ascontiguousarray(values)
    if values.size:
        least, most = kernels.extent(values)
        if most - least < min(values.size // 4, _CODED_SPAN):
            return _hash_coded(values, least, most, valid)
    weights = np.ones(values.size, dtype=np.int64) if valid is None else valid.astype(np.int64)
    return _finish(_word_slots(values), weights, None, valid)


def _hash_coded(values: Array, least: int, most: int, valid: Array | None) -> HashedColumn:
    """Hash every number of a small span once; nulls get an entry of their own at the end."""
    distinct = np.arange(least, most + 1, dtype=np.int64)
    codes, counts = np.empty(values.size, dtype=np.int32), np.zeros(distinct.size, dtype=np.int64)
    kernels.number_values(values, least, codes, counts)
    if valid is None:
        return _finish(_word_slots(distinct), counts, codes, None)
    gone = ~valid
    counts = np.append(counts - np.bincount(codes[gone], minlength=distinct.size), 0)
    codes[gone] = distinct.size
    present = np.ones(distinct.size + 1, dtype=np.bool_)
    present[-1] = False
    column = _finish(_word_slots(np.append(distinct, 0)), counts, codes, present)
    return replace(column, nulls=int(gone.sum()))


def _word_slots(values: Array) -> Array:
    slots = np.empty((3, values.size), dtype=np.uint32)
    slots[0] = _LENGTH_8
    kernels.big_endian_words(np.ascontiguousarray(values), slots[1:])
    return slots


def _finish(slots: Array, weights: Array, codes: Array | None, valid: Array | None) -> HashedColumn:
    count = slots.shape[1]
    digests = np.empty((4, count), dtype=np.uint32)
    kernels.md5_words(slots[1:], count, digests)
    crcs = np.full(count, _CRC_OF_ZEROS, dtype=np.uint32)
    kernels.crc_words(slots[1:], count, _EIGHT, crcs)
    nulls = _clear(slots, valid)
    return HashedColumn(slots=slots, digests=digests, crcs=crcs, weights=weights, codes=codes, nulls=nulls)


def _clear(slots: Array, valid: Array | None) -> int:
    """Make the slots of nulls what the encoding says: length -1, zeros. Returns how many there are."""
    if valid is None:
        return 0
    gone = ~valid
    slots[0, gone] = _NULL
    slots[1:, gone] = 0
    return int(gone.sum())


def _hash_dictionary(array: Any, field: Field) -> HashedColumn:
    """Hash each dictionary entry once; nulls get an entry of their own at the end."""
    cells = simple_cells(array.dictionary, field)
    codes = array.indices.to_numpy(zero_copy_only=False) if array.indices.null_count == 0 else None
    valid = validity(array.indices)
    if codes is None:
        codes = array.indices.fill_null(0).to_numpy(zero_copy_only=False)
    codes = codes.astype(np.int32)
    return _hash_cells(_with_null_entry(cells), codes, valid)


def _with_null_entry(cells: Cells) -> Cells:
    count = cells.offsets.size - 1
    valid = np.ones(count + 1, dtype=np.bool_)
    if cells.valid is not None:
        valid[:count] = cells.valid
    valid[count] = False
    return Cells(data=cells.data, offsets=np.append(cells.offsets, cells.offsets[-1]), valid=valid)


def _hash_cells(cells: Cells, codes: Array | None, valid: Array | None) -> HashedColumn:
    count = cells.offsets.size - 1
    digests, crcs = np.empty((4, count), dtype=np.uint32), np.empty(count, dtype=np.uint32)
    kernels.md5_cells(cells.data, cells.offsets, digests)
    kernels.crc_cells(cells.data, cells.offsets, crcs)
    slots = np.empty((5, count), dtype=np.uint32)
    kernels.cell_slots(cells.data, cells.offsets, digests, slots)
    nulls = _clear(slots, cells.valid)
    if codes is None:
        weights = np.ones(count, dtype=np.int64) if cells.valid is None else cells.valid.astype(np.int64)
        return HashedColumn(slots=slots, digests=digests, crcs=crcs, weights=weights, codes=None, nulls=nulls)
    if valid is not None:
        codes[~valid] = count - 1
    weights = np.bincount(codes, minlength=count)
    if cells.valid is not None:
        weights[~cells.valid] = 0
    nulls = codes.size - int(weights.sum())
    return HashedColumn(slots=slots, digests=digests, crcs=crcs, weights=weights, codes=codes, nulls=nulls)

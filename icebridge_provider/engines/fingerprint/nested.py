"""Structs, lists and maps to cells: every member is a length and its bytes, so nothing runs together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from icebridge_provider.engines.fingerprint.cells import (
    Array,
    Cells,
    empty_cells,
    padded,
    simple_cells,
    validity,
    word_cells,
    word_values,
)
from icebridge_provider.engines.fingerprint.nested_kernels import append_cells, copy_ranges, put_counts, sort_entries
from icebridge_provider.engines.fingerprint.projection import field_id_of, missing, promote, wrong_type
from icebridge_provider.engines.fingerprint.schema import Field


def cells_of(array: Any, wanted: Field, path: str) -> Cells:
    """Encode any array as cells, projecting nested fields by their ids.

    :raises ValidationFailed: IB-506, IB-507 as in ``projection``.
    """
    if pa.types.is_null(array.type):
        return empty_cells(len(array))
    if wanted.kind == "struct":
        return _struct_cells(array, wanted, path)
    if wanted.kind == "list":
        return _list_cells(array, wanted, path)
    if wanted.kind == "map":
        return _map_cells(array, wanted, path)
    array = promote(array, wanted, path)
    if wanted.is_word:
        return word_cells(word_values(array, wanted), validity(array))
    return simple_cells(array, wanted)


def _struct_cells(array: Any, wanted: Field, path: str) -> Cells:
    if not pa.types.is_struct(array.type):
        raise wrong_type(path, wanted, array.type)
    rows = len(array)
    found = {field_id_of(array.type.field(number), path): number for number in range(array.type.num_fields)}
    children = []
    for child in wanted.children:
        number = found.get(child.field_id)
        values = missing(child, {}, rows) if number is None else array.field(number)
        children.append(cells_of(values, child, path))
    sizes = np.sum([_sizes(child) for child in children], axis=0) if children else np.zeros(rows, dtype=np.int64)
    offsets = _offsets(sizes)
    out = np.zeros(int(offsets[-1]), dtype=np.uint8)
    cursor = offsets[:-1].copy()
    for part in children:
        append_cells(out, cursor, part.bytes, part.offsets, _all_or(part.valid, rows))
    return Cells(data=padded(out), offsets=offsets, valid=validity(array))


def _list_cells(array: Any, wanted: Field, path: str) -> Cells:
    if not (pa.types.is_list(array.type) or pa.types.is_large_list(array.type)):
        raise wrong_type(path, wanted, array.type)
    bounds = _bounds(array)
    elements = _stream([cells_of(array.values, wanted.children[0], path)], None)
    return _counted(bounds, elements, validity(array))


def _map_cells(array: Any, wanted: Field, path: str) -> Cells:
    if not pa.types.is_map(array.type):
        raise wrong_type(path, wanted, array.type)
    bounds = _bounds(array)
    keys = cells_of(array.keys, wanted.children[0], path)
    values = cells_of(array.items, wanted.children[1], path)
    order = np.arange(keys.offsets.size - 1, dtype=np.int64)
    sort_entries(bounds, keys.bytes, keys.offsets, order)
    return _counted(bounds, _stream([keys, values], order), validity(array))


def _bounds(array: Any) -> Array:
    """Offsets of a list array into its values, its own slice honoured."""
    wide = pa.types.is_large_list(array.type)
    offsets = np.frombuffer(array.buffers()[1], dtype=np.int64 if wide else np.int32)
    return offsets[array.offset : array.offset + len(array) + 1].astype(np.int64)


def _stream(parts: list[Cells], order: Array | None) -> Cells:
    """Length and bytes of each part, entry after entry; ``offsets`` tell where each entry starts."""
    count = parts[0].offsets.size - 1
    if order is not None:
        parts = [_reordered(part, order) for part in parts]
    offsets = _offsets(np.sum([_sizes(part) for part in parts], axis=0))
    out = np.zeros(int(offsets[-1]), dtype=np.uint8)
    cursor = offsets[:-1].copy()
    for part in parts:
        append_cells(out, cursor, part.bytes, part.offsets, _all_or(part.valid, count))
    return Cells(data=padded(out), offsets=offsets, valid=None)


def _reordered(cells: Cells, order: Array) -> Cells:
    starts, lengths = cells.offsets[:-1][order], np.diff(cells.offsets)[order]
    offsets = _offsets(lengths)
    out = np.zeros(int(offsets[-1]), dtype=np.uint8)
    copy_ranges(out, offsets[:-1].copy(), cells.bytes, starts, lengths)
    valid = None if cells.valid is None else cells.valid[order]
    return Cells(data=padded(out), offsets=offsets, valid=valid)


def _counted(bounds: Array, entries: Cells, valid: Array | None) -> Cells:
    """One cell a row: the number of entries, then the entries."""
    starts = entries.offsets[bounds[:-1]]
    lengths = entries.offsets[bounds[1:]] - starts
    offsets = _offsets(lengths + 4)
    out = np.zeros(int(offsets[-1]), dtype=np.uint8)
    put_counts(out, offsets[:-1].copy(), np.diff(bounds))
    copy_ranges(out, offsets[:-1] + 4, entries.bytes, starts, lengths)
    return Cells(data=padded(out), offsets=offsets, valid=valid)


def _sizes(cells: Cells) -> Array:
    lengths = np.diff(cells.offsets)
    if cells.valid is not None:
        lengths = np.where(cells.valid, lengths, 0)
    return lengths + 4


def _offsets(sizes: Array) -> Array:
    offsets = np.zeros(sizes.size + 1, dtype=np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return offsets


def _all_or(valid: Array | None, count: int) -> Array:
    return np.ones(count, dtype=np.bool_) if valid is None else valid

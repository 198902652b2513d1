"""Compiled loops that lay cells of nested values one after another."""

from __future__ import annotations

from typing import Any

import numpy as np

from icebridge_provider.engines.fingerprint.compiled import kernel


@kernel("void(uint8[::1], int64, int64)")
def _put_number(out: Any, at: Any, number: Any) -> None:
    for k in range(4):
        out[at + k] = np.uint8((number >> (24 - 8 * k)) & 0xFF)


@kernel("void(uint8[::1], int64[::1], uint8[::1], int64[::1], boolean[::1])")
def append_cells(out: Any, cursor: Any, data: Any, offsets: Any, valid: Any) -> None:
    """Write length and bytes of each cell at its cursor and move the cursor on; a null is the length -1."""
    for i in range(cursor.size):
        at = cursor[i]
        if not valid[i]:
            _put_number(out, at, -1)
            cursor[i] = at + 4
            continue
        start, length = offsets[i], offsets[i + 1] - offsets[i]
        _put_number(out, at, length)
        for k in range(length):
            out[at + 4 + k] = data[start + k]
        cursor[i] = at + 4 + length


@kernel("void(uint8[::1], int64[::1], uint8[::1], int64[::1], int64[::1])")
def copy_ranges(out: Any, targets: Any, data: Any, starts: Any, lengths: Any) -> None:
    """Copy byte ranges to their places."""
    for i in range(targets.size):
        for k in range(lengths[i]):
            out[targets[i] + k] = data[starts[i] + k]


@kernel("void(uint8[::1], int64[::1], int64[::1])")
def put_counts(out: Any, targets: Any, counts: Any) -> None:
    """Write four-byte numbers at their places."""
    for i in range(targets.size):
        _put_number(out, targets[i], counts[i])


@kernel("boolean(uint8[::1], int64[::1], int64, int64)")
def _before(data: Any, offsets: Any, left: Any, right: Any) -> Any:
    """Whether one cell's bytes sort before another's; a prefix sorts first."""
    length_left, length_right = offsets[left + 1] - offsets[left], offsets[right + 1] - offsets[right]
    for k in range(min(length_left, length_right)):
        a, b = data[offsets[left] + k], data[offsets[right] + k]
        if a != b:
            return a < b
    return length_left < length_right


@kernel("void(int64[::1], uint8[::1], int64[::1], int64[::1])")
def sort_entries(bounds: Any, data: Any, offsets: Any, order: Any) -> None:
    """Sort the entries of each map by their key's bytes, in place in ``order`` (insertion sort: maps are small)."""
    for row in range(bounds.size - 1):
        for i in range(bounds[row] + 1, bounds[row + 1]):
            entry, k = order[i], i
            while k > bounds[row] and _before(data, offsets, entry, order[k - 1]):
                order[k] = order[k - 1]
                k -= 1
            order[k] = entry

"""Compiled inner loops beside MD5: CRC-32 (zlib's) of many messages, row slots, and order-free sums.

Messages lie across the arrays, as in ``md5``. Importing this module compiles it once per machine (numba keeps the
result on disk).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from icebridge_provider.engines.fingerprint.compiled import fill, kernel, load, load_tail, swap
from icebridge_provider.engines.fingerprint.md5 import md5_cells, md5_words

__all__ = [
    "big_endian_words",
    "bucket_rows",
    "cell_slots",
    "crc_cells",
    "crc_tables",
    "crc_words",
    "extent",
    "md5_cells",
    "md5_words",
    "number_values",
    "spread",
    "spread_xor",
    "weigh",
]


def crc_tables(count: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """Row ``d`` holds what a byte adds to the CRC-32 of a message that has ``d`` more bytes after it."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0xEDB88320), table >> 1).astype(np.uint32)
    tables = np.empty((max(count, 1), 256), dtype=np.uint32)
    tables[0] = table
    for distance in range(1, count):
        tables[distance] = (tables[distance - 1] >> 8) ^ table[tables[distance - 1] & 0xFF]
    return tables


_SLICES = crc_tables(8)


@kernel("void(uint64[::1], int64[::1], uint32[::1])")
def crc_cells(data: Any, offsets: Any, crcs: Any) -> None:
    """CRC-32 of messages of any length."""
    for i in range(offsets.size - 1):
        at, end = offsets[i], offsets[i + 1]
        crc = np.uint32(0xFFFFFFFF)
        while end - at >= 8:
            word = load(data, at) ^ np.uint64(crc)
            crc = np.uint32(0)
            for k in range(8):
                crc ^= _SLICES[7 - k, (word >> np.uint64(8 * k)) & np.uint64(0xFF)]
            at += 8
        left = end - at
        word = load_tail(data, at, left) ^ np.uint64(crc)
        crc = np.uint32(np.uint64(crc) >> np.uint64(8 * left))
        for k in range(left):
            crc ^= _SLICES[left - 1 - k, (word >> np.uint64(8 * k)) & np.uint64(0xFF)]
        crcs[i] = crc ^ np.uint32(0xFFFFFFFF)


@kernel("void(uint32[:,::1], int64, uint32[:,::1], uint32[::1])")
def crc_words(messages: Any, count: Any, tables: Any, crcs: Any) -> None:
    """Add to ``crcs`` what messages of equal length contribute, byte by byte, by the tables of their positions.

    CRC-32 is affine: the CRC of a message is that of as many zero bytes, xor one table entry per byte. Bytes that are
    the same in all messages (lengths, high bytes of small numbers) cost nothing per message.
    """
    for low in range(0, count, 1024):
        crc = crcs[low : min(low + 1024, count)]
        lanes = crc.size
        constant = np.uint32(0)
        for k in range(messages.shape[0]):
            word = messages[k, low : low + lanes]
            first = word[0]
            differing = np.uint32(0)
            for i in range(lanes):
                differing |= np.uint32(word[i] ^ first)
            for j in range(4):
                shift = np.uint32(8 * j)
                table = tables[4 * k + j]
                if (differing >> shift) & np.uint32(0xFF):
                    for i in range(lanes):
                        crc[i] ^= table[(word[i] >> shift) & np.uint32(0xFF)]
                else:
                    constant ^= table[(first >> shift) & np.uint32(0xFF)]
        for i in range(lanes):
            crc[i] ^= constant


_VALUES = types.Array(types.int64, 1, "C", readonly=True)  # Arrow's own buffers are read-only


@kernel(types.void(_VALUES, types.uint32[:, ::1]))
def big_endian_words(values: Any, words: Any) -> None:
    """Write 64-bit integers as the two message words of their eight big-endian bytes."""
    for i in range(values.size):
        words[0, i] = swap(np.uint32(np.uint64(values[i]) >> np.uint64(32)))
        words[1, i] = swap(np.uint32(np.uint64(values[i]) & np.uint64(0xFFFFFFFF)))


@kernel("void(uint64[::1], int64[::1], uint32[:,::1], uint32[:,::1])")
def cell_slots(data: Any, offsets: Any, digests: Any, slots: Any) -> None:
    """Write the 20-byte row slots of variable cells: length, then up to 16 bytes as they are, else their MD5."""
    for i in range(offsets.size - 1):
        start = offsets[i]
        length = offsets[i + 1] - start
        slots[0, i] = swap(np.uint32(length))
        if length <= 16:
            low, high = load_tail(data, start, length), load_tail(data, start + 8, length - 8)
            slots[1, i], slots[2, i] = np.uint32(low & np.uint64(0xFFFFFFFF)), np.uint32(low >> np.uint64(32))
            slots[3, i], slots[4, i] = np.uint32(high & np.uint64(0xFFFFFFFF)), np.uint32(high >> np.uint64(32))
        else:
            for part in range(4):
                slots[part + 1, i] = digests[part, i]


@kernel(types.Tuple((types.int64, types.int64))(_VALUES))  # type: ignore[no-untyped-call]
def extent(values: Any) -> Any:
    """Least and greatest of some values (at least one)."""
    least, most = values[0], values[0]
    for i in range(values.size):
        least, most = min(least, values[i]), max(most, values[i])
    return least, most


@kernel(types.void(_VALUES, types.int64, types.int32[::1], types.int64[::1]))
def number_values(values: Any, least: Any, codes: Any, counts: Any) -> None:
    """Number values by their distance from the least, and count each number."""
    for i in range(values.size):
        code = np.uint64(values[i] - least)
        codes[i] = np.int32(code)
        counts[code] += 1


@kernel("void(uint32[:,::1], int32[::1], uint32[:,::1])")
def spread(distinct: Any, codes: Any, words: Any) -> None:
    """Write to every row the words of the distinct cell its code names."""
    for k in range(distinct.shape[0]):
        source, target = distinct[k], words[k]
        differing = np.uint32(0)
        for i in range(source.size):
            differing |= np.uint32(source[i] ^ source[0])
        if differing == np.uint32(0):
            fill(target, source[0])  # lengths, and the high halves of small numbers
        else:
            for i in range(codes.size):
                target[i] = source[np.uint32(codes[i])]


@kernel("void(uint32[::1], int32[::1], uint32[::1])")
def spread_xor(distinct: Any, codes: Any, crcs: Any) -> None:
    """Xor to every row what the distinct cell its code names contributes to the row's CRC."""
    for i in range(codes.size):
        crcs[i] ^= distinct[np.uint32(codes[i])]


@kernel("void(uint32[:,::1], uint32[::1], int64[::1], uint64[::1])")
def weigh(digests: Any, crcs: Any, weights: Any, sums: Any) -> None:
    """Add weighted messages to ``sums``: four 32-bit limbs of the 128-bit sum (high first), CRC sum, CRC xor.

    The weights of one call add up to less than 2**31, so no limb overflows.
    """
    for part in range(4):
        limb = np.uint64(0)
        for i in range(weights.size):
            limb += np.uint64(swap(digests[part, i])) * np.uint64(weights[i])
        sums[part] += limb
    total, xor = np.uint64(0), np.uint32(0)
    for i in range(weights.size):
        total += np.uint64(crcs[i]) * np.uint64(weights[i])
        xor ^= np.uint32(crcs[i] * np.uint32(weights[i] & 1))
    sums[4] += total
    sums[5] ^= np.uint64(xor)


@kernel("void(uint32[:,::1], uint32[::1], uint64[:,::1], uint64[::1])")
def bucket_rows(digests: Any, crcs: Any, buckets: Any, sums: Any) -> None:
    """Add rows to their buckets (count, four limbs) and their CRCs to ``sums`` (sum, xor)."""
    mask = np.uint32(buckets.shape[0] - 1)
    for i in range(crcs.size):
        low = swap(digests[3, i])
        bucket = buckets[low & mask]
        bucket[0] += np.uint64(1)
        bucket[1] += np.uint64(swap(digests[0, i]))
        bucket[2] += np.uint64(swap(digests[1, i]))
        bucket[3] += np.uint64(swap(digests[2, i]))
        bucket[4] += np.uint64(low)
        sums[0] += np.uint64(crcs[i])
        sums[1] ^= np.uint64(crcs[i])

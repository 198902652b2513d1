"""Compiled inner loops: MD5 and CRC-32 of many small messages at once, and order-free sums.

Messages lie *across* the arrays: row ``k`` of a matrix holds the ``k``-th 32-bit little-endian word of every message,
so that the compiler works on 8 or 16 messages per instruction. MD5 follows RFC 1321, CRC-32 is that of zlib.
Importing this module compiles it once per machine (numba keeps the result on disk).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

_LANES = 256
_SINES = np.array([int(abs(math.sin(i + 1)) * 2**32) for i in range(64)], dtype=np.uint32)
_START = np.array([0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476], dtype=np.uint32)


def _crc_tables(count: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """Row ``d`` holds what a byte adds to the CRC-32 of a message that has ``d`` more bytes after it."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0xEDB88320), table >> 1).astype(np.uint32)
    tables = np.empty((max(count, 1), 256), dtype=np.uint32)
    tables[0] = table
    for distance in range(1, count):
        tables[distance] = (tables[distance - 1] >> 8) ^ table[tables[distance - 1] & 0xFF]
    return tables


_SLICES = _crc_tables(8)


@intrinsic  # type: ignore[untyped-decorator]
def _rotate(_context: Any, _value: Any, _count: Any) -> Any:
    """Rotate a 32-bit word left: numba has no operator for it and would widen the shifts to 64 bits."""

    def generate(_codegen: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        word = ir.IntType(32)
        rotate = builder.module.declare_intrinsic("llvm.fshl", (word,), ir.FunctionType(word, [word] * 3))
        return builder.call(rotate, [arguments[0], arguments[0], arguments[1]])

    return types.uint32(types.uint32, types.uint32), generate


@njit("uint32(uint32, uint32, uint32, uint32, uint32, uint32, uint32)", inline="always")  # type: ignore[untyped-decorator]
def _f(a: int, b: int, c: int, d: int, word: int, sine: int, shift: int) -> int:
    return np.uint32(b + _rotate(np.uint32(a + np.uint32(d ^ (b & (c ^ d))) + sine + word), shift))


@njit("uint32(uint32, uint32, uint32, uint32, uint32, uint32, uint32)", inline="always")  # type: ignore[untyped-decorator]
def _g(a: int, b: int, c: int, d: int, word: int, sine: int, shift: int) -> int:
    return np.uint32(b + _rotate(np.uint32(a + np.uint32(c ^ (d & (b ^ c))) + sine + word), shift))


@njit("uint32(uint32, uint32, uint32, uint32, uint32, uint32, uint32)", inline="always")  # type: ignore[untyped-decorator]
def _h(a: int, b: int, c: int, d: int, word: int, sine: int, shift: int) -> int:
    return np.uint32(b + _rotate(np.uint32(a + np.uint32(b ^ c ^ d) + sine + word), shift))


@njit("uint32(uint32, uint32, uint32, uint32, uint32, uint32, uint32)", inline="always")  # type: ignore[untyped-decorator]
def _i(a: int, b: int, c: int, d: int, word: int, sine: int, shift: int) -> int:
    return np.uint32(b + _rotate(np.uint32(a + np.uint32(c ^ (b | np.uint32(~d))) + sine + word), shift))


@njit("void(uint32[:,::1], uint32[:,::1], int64)", nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _round_f(state: Any, words: Any, lanes: int) -> None:
    """Steps 0 to 15, four at a time so that the state stays in registers."""
    a, b, c, d = state[0], state[1], state[2], state[3]
    for step in range(0, 16, 4):
        one, two, three, four = _SINES[step], _SINES[step + 1], _SINES[step + 2], _SINES[step + 3]
        w, x, y, z = words[(step) & 15], words[(step + 1) & 15], words[(step + 2) & 15], words[(step + 3) & 15]
        for i in range(lanes):
            p, q, r, s = a[i], b[i], c[i], d[i]
            p = _f(p, q, r, s, w[i], one, np.uint32(7))
            s = _f(s, p, q, r, x[i], two, np.uint32(12))
            r = _f(r, s, p, q, y[i], three, np.uint32(17))
            q = _f(q, r, s, p, z[i], four, np.uint32(22))
            a[i], b[i], c[i], d[i] = p, q, r, s


@njit("void(uint32[:,::1], uint32[:,::1], int64)", nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _round_g(state: Any, words: Any, lanes: int) -> None:
    """Steps 16 to 31, four at a time so that the state stays in registers."""
    a, b, c, d = state[0], state[1], state[2], state[3]
    for step in range(16, 32, 4):
        one, two, three, four = _SINES[step], _SINES[step + 1], _SINES[step + 2], _SINES[step + 3]
        w, x, y, z = words[(5 * step + 1) & 15], words[(5 * step + 6) & 15], words[(5 * step + 11) & 15], words[(5 * step + 16) & 15]
        for i in range(lanes):
            p, q, r, s = a[i], b[i], c[i], d[i]
            p = _g(p, q, r, s, w[i], one, np.uint32(5))
            s = _g(s, p, q, r, x[i], two, np.uint32(9))
            r = _g(r, s, p, q, y[i], three, np.uint32(14))
            q = _g(q, r, s, p, z[i], four, np.uint32(20))
            a[i], b[i], c[i], d[i] = p, q, r, s


@njit("void(uint32[:,::1], uint32[:,::1], int64)", nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _round_h(state: Any, words: Any, lanes: int) -> None:
    """Steps 32 to 47, four at a time so that the state stays in registers."""
    a, b, c, d = state[0], state[1], state[2], state[3]
    for step in range(32, 48, 4):
        one, two, three, four = _SINES[step], _SINES[step + 1], _SINES[step + 2], _SINES[step + 3]
        w, x, y, z = words[(3 * step + 5) & 15], words[(3 * step + 8) & 15], words[(3 * step + 11) & 15], words[(3 * step + 14) & 15]
        for i in range(lanes):
            p, q, r, s = a[i], b[i], c[i], d[i]
            p = _h(p, q, r, s, w[i], one, np.uint32(4))
            s = _h(s, p, q, r, x[i], two, np.uint32(11))
            r = _h(r, s, p, q, y[i], three, np.uint32(16))
            q = _h(q, r, s, p, z[i], four, np.uint32(23))
            a[i], b[i], c[i], d[i] = p, q, r, s


@njit("void(uint32[:,::1], uint32[:,::1], int64)", nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _round_i(state: Any, words: Any, lanes: int) -> None:
    """Steps 48 to 63, four at a time so that the state stays in registers."""
    a, b, c, d = state[0], state[1], state[2], state[3]
    for step in range(48, 64, 4):
        one, two, three, four = _SINES[step], _SINES[step + 1], _SINES[step + 2], _SINES[step + 3]
        w, x, y, z = words[(7 * step + 0) & 15], words[(7 * step + 7) & 15], words[(7 * step + 14) & 15], words[(7 * step + 21) & 15]
        for i in range(lanes):
            p, q, r, s = a[i], b[i], c[i], d[i]
            p = _i(p, q, r, s, w[i], one, np.uint32(6))
            s = _i(s, p, q, r, x[i], two, np.uint32(10))
            r = _i(r, s, p, q, y[i], three, np.uint32(15))
            q = _i(q, r, s, p, z[i], four, np.uint32(21))
            a[i], b[i], c[i], d[i] = p, q, r, s


@njit("void(uint32[:,::1], uint32[:,::1], int64)", nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _compress(state: Any, words: Any, lanes: int) -> None:
    """Run MD5 on one block of up to ``_LANES`` messages; ``state`` gains the result."""
    scratch = state.copy()
    _round_f(scratch, words, lanes)
    _round_g(scratch, words, lanes)
    _round_h(scratch, words, lanes)
    _round_i(scratch, words, lanes)
    for part in range(4):
        for i in range(lanes):
            state[part, i] = np.uint32(state[part, i] + scratch[part, i])


@njit("void(uint32[::1], uint32)", nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _fill(words: Any, value: int) -> None:
    for i in range(words.size):
        words[i] = value


@njit("void(uint32[:,::1], int64, int64, int64, uint32[:,::1])", nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _take_block(messages: Any, low: int, lanes: int, block: int, words: Any) -> None:
    """Copy one padded 64-byte block of messages that are all of one length."""
    length = messages.shape[0]
    last = (length * 4 + 9 + 63) // 64 * 16 - 2
    for k in range(16):
        at, row = block * 16 + k, words[k]
        if at < length:
            message = messages[at, low : low + lanes]
            for i in range(lanes):
                row[i] = message[i]
        elif at == length:
            _fill(row, np.uint32(0x80))
        elif at == last:
            _fill(row, np.uint32(length * 32))
        else:
            _fill(row, np.uint32(0))


@njit("void(uint32[:,::1], int64, uint32[:,::1])", nogil=True, cache=True)  # type: ignore[untyped-decorator]
def md5_words(messages: Any, count: int, digests: Any) -> None:
    """Hash ``count`` messages of equal length (a multiple of 4 bytes) into the columns of ``digests``."""
    blocks = (messages.shape[0] * 4 + 9 + 63) // 64
    state = np.empty((4, _LANES), dtype=np.uint32)
    words = np.empty((16, _LANES), dtype=np.uint32)
    for low in range(0, count, _LANES):
        lanes = min(_LANES, count - low)
        for part in range(4):
            _fill(state[part], _START[part])
        for block in range(blocks):
            _take_block(messages, low, lanes, block, words)
            _compress(state, words, lanes)
        for part in range(4):
            digest = digests[part, low : low + lanes]
            for i in range(lanes):
                digest[i] = state[part, i]


@njit("uint64(uint64[::1], int64)", nogil=True, cache=True, inline="always")  # type: ignore[untyped-decorator]
def _load(data: Any, at: int) -> int:
    """Eight bytes from any byte position; ``data`` has a spare word at its end."""
    shift = np.uint64((at & 7) * 8)
    low = data[at >> 3] >> shift
    if shift == np.uint64(0):
        return low
    return low | (data[(at >> 3) + 1] << (np.uint64(64) - shift))


@njit("uint64(uint64[::1], int64, int64)", nogil=True, cache=True, inline="always")  # type: ignore[untyped-decorator]
def _load_tail(data: Any, at: int, left: int) -> int:
    """Up to eight bytes, zero where the message has ended (``left`` bytes remain)."""
    if left >= 8:
        return _load(data, at)
    if left <= 0:
        return np.uint64(0)
    return _load(data, at) & ((np.uint64(1) << np.uint64(8 * left)) - np.uint64(1))


@njit("void(uint64[::1], int64, int64, int64, uint32[:,::1], int64)", nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _fill_block(data: Any, start: int, length: int, block: int, words: Any, lane: int) -> None:
    """Write one padded 64-byte block of one message into a column of ``words``."""
    for k in range(8):
        left = length - block * 64 - k * 8
        word = _load_tail(data, start + block * 64 + k * 8, left)
        if 0 <= left < 8:
            word |= np.uint64(0x80) << np.uint64(8 * left)
        words[2 * k, lane] = np.uint32(word & np.uint64(0xFFFFFFFF))
        words[2 * k + 1, lane] = np.uint32(word >> np.uint64(32))
    if block == (length + 8) // 64:
        bits = np.uint64(length * 8)
        words[14, lane] = np.uint32(bits & np.uint64(0xFFFFFFFF))
        words[15, lane] = np.uint32(bits >> np.uint64(32))


@njit("void(uint64[::1], int64[::1], uint32[:,::1])", nogil=True, cache=True)  # type: ignore[untyped-decorator]
def md5_cells(data: Any, offsets: Any, digests: Any) -> None:
    """Hash messages of any length, given as bytes and offsets, into the columns of ``digests``."""
    count = offsets.size - 1
    state = np.empty((4, _LANES), dtype=np.uint32)
    words = np.empty((16, _LANES), dtype=np.uint32)
    lanes_of = np.empty(_LANES, dtype=np.int64)
    for low in range(0, count, _LANES):
        high = min(low + _LANES, count)
        for part in range(4):
            for i in range(low, high):
                digests[part, i] = _START[part]
        block, lanes = 0, 1
        while lanes > 0:
            lanes = 0
            for i in range(low, high):
                length = offsets[i + 1] - offsets[i]
                if block <= (length + 8) // 64:
                    _fill_block(data, offsets[i], length, block, words, lanes)
                    lanes_of[lanes] = i
                    for part in range(4):
                        state[part, lanes] = digests[part, i]
                    lanes += 1
            if lanes > 0:
                _compress(state, words, lanes)
            for lane in range(lanes):
                for part in range(4):
                    digests[part, lanes_of[lane]] = state[part, lane]
            block += 1


@njit("void(uint64[::1], int64[::1], uint32[::1])", nogil=True, cache=True)  # type: ignore[untyped-decorator]
def crc_cells(data: Any, offsets: Any, crcs: Any) -> None:
    """CRC-32 of messages of any length."""
    for i in range(offsets.size - 1):
        at, end = offsets[i], offsets[i + 1]
        crc = np.uint32(0xFFFFFFFF)
        while end - at >= 8:
            word = _load(data, at) ^ np.uint64(crc)
            crc = np.uint32(0)
            for k in range(8):
                crc ^= _SLICES[7 - k, (word >> np.uint64(8 * k)) & np.uint64(0xFF)]
            at += 8
        left = end - at
        word = _load_tail(data, at, left) ^ np.uint64(crc)
        crc = np.uint32(np.uint64(crc) >> np.uint64(8 * left))
        for k in range(left):
            crc ^= _SLICES[left - 1 - k, (word >> np.uint64(8 * k)) & np.uint64(0xFF)]
        crcs[i] = crc ^ np.uint32(0xFFFFFFFF)


@njit("void(uint32[:,::1], int64, uint32[:,::1], uint32[::1])", nogil=True, cache=True)  # type: ignore[untyped-decorator]
def crc_words(messages: Any, count: int, tables: Any, crcs: Any) -> None:
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


@njit("uint32(uint32)", nogil=True, cache=True, inline="always")  # type: ignore[untyped-decorator]
def _swap(word: int) -> int:
    """Reverse the four bytes of a word."""
    return np.uint32(
        (word << np.uint32(24))
        | ((word & np.uint32(0xFF00)) << np.uint32(8))
        | ((word >> np.uint32(8)) & np.uint32(0xFF00))
        | (word >> np.uint32(24))
    )


_VALUES = types.Array(types.int64, 1, "C", readonly=True)  # Arrow's own buffers are read-only


@njit(types.void(_VALUES, types.uint32[:, ::1]), nogil=True, cache=True)  # type: ignore[untyped-decorator]
def big_endian_words(values: Any, words: Any) -> None:
    """Write 64-bit integers as the two message words of their eight big-endian bytes."""
    for i in range(values.size):
        words[0, i] = _swap(np.uint32(np.uint64(values[i]) >> np.uint64(32)))
        words[1, i] = _swap(np.uint32(np.uint64(values[i]) & np.uint64(0xFFFFFFFF)))


@njit("void(uint64[::1], int64[::1], uint32[:,::1], uint32[:,::1])", nogil=True, cache=True)  # type: ignore[untyped-decorator]
def cell_slots(data: Any, offsets: Any, digests: Any, slots: Any) -> None:
    """Write the 20-byte row slots of variable cells: length, then up to 16 bytes as they are, else their MD5."""
    for i in range(offsets.size - 1):
        start = offsets[i]
        length = offsets[i + 1] - start
        slots[0, i] = _swap(np.uint32(length))
        if length <= 16:
            low, high = _load_tail(data, start, length), _load_tail(data, start + 8, length - 8)
            slots[1, i], slots[2, i] = np.uint32(low & np.uint64(0xFFFFFFFF)), np.uint32(low >> np.uint64(32))
            slots[3, i], slots[4, i] = np.uint32(high & np.uint64(0xFFFFFFFF)), np.uint32(high >> np.uint64(32))
        else:
            for part in range(4):
                slots[part + 1, i] = digests[part, i]


@njit("void(uint32[:,::1], int32[::1], uint32[:,::1])", nogil=True, cache=True)  # type: ignore[untyped-decorator]
def spread(distinct: Any, codes: Any, words: Any) -> None:
    """Write to every row the words of the distinct cell its code names."""
    for k in range(distinct.shape[0]):
        source, target = distinct[k], words[k]
        differing = np.uint32(0)
        for i in range(source.size):
            differing |= np.uint32(source[i] ^ source[0])
        if differing == np.uint32(0):
            _fill(target, source[0])  # lengths, and the high halves of small numbers
        else:
            for i in range(codes.size):
                target[i] = source[np.uint32(codes[i])]


@njit("void(uint32[::1], int32[::1], uint32[::1])", nogil=True, cache=True)  # type: ignore[untyped-decorator]
def spread_xor(distinct: Any, codes: Any, crcs: Any) -> None:
    """Xor to every row what the distinct cell its code names contributes to the row's CRC."""
    for i in range(codes.size):
        crcs[i] ^= distinct[np.uint32(codes[i])]


@njit("void(uint32[:,::1], uint32[::1], int64[::1], uint64[::1])", nogil=True, cache=True)  # type: ignore[untyped-decorator]
def weigh(digests: Any, crcs: Any, weights: Any, sums: Any) -> None:
    """Add weighted messages to ``sums``: four 32-bit limbs of the 128-bit sum (high first), CRC sum, CRC xor.

    The weights of one call add up to less than 2**31, so no limb overflows.
    """
    for part in range(4):
        limb = np.uint64(0)
        for i in range(weights.size):
            limb += np.uint64(_swap(digests[part, i])) * np.uint64(weights[i])
        sums[part] += limb
    total, xor = np.uint64(0), np.uint32(0)
    for i in range(weights.size):
        total += np.uint64(crcs[i]) * np.uint64(weights[i])
        xor ^= np.uint32(crcs[i] * np.uint32(weights[i] & 1))
    sums[4] += total
    sums[5] ^= np.uint64(xor)


@njit("void(uint32[:,::1], uint32[::1], uint64[:,::1], uint64[::1])", nogil=True, cache=True)  # type: ignore[untyped-decorator]
def bucket_rows(digests: Any, crcs: Any, buckets: Any, sums: Any) -> None:
    """Add rows to their buckets (count, four limbs) and their CRCs to ``sums`` (sum, xor)."""
    mask = np.uint32(buckets.shape[0] - 1)
    for i in range(crcs.size):
        low = _swap(digests[3, i])
        bucket = buckets[low & mask]
        bucket[0] += np.uint64(1)
        bucket[1] += np.uint64(_swap(digests[0, i]))
        bucket[2] += np.uint64(_swap(digests[1, i]))
        bucket[3] += np.uint64(_swap(digests[2, i]))
        bucket[4] += np.uint64(low)
        sums[0] += np.uint64(crcs[i])
        sums[1] ^= np.uint64(crcs[i])


crc_tables = _crc_tables

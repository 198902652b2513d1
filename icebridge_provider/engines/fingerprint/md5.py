"""MD5 (RFC 1321) of many small messages at once.

Messages lie *across* the arrays: row ``k`` of a matrix holds the ``k``-th 32-bit little-endian word of every message,
so that the compiler works on 8 or 16 messages per instruction.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from icebridge_provider.engines.fingerprint.compiled import fill, kernel, load_tail

_LANES = 256
_SINES = np.array([int(abs(math.sin(i + 1)) * 2**32) for i in range(64)], dtype=np.uint32)
_START = np.array([0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476], dtype=np.uint32)


def _rotate_word(_context: Any, _value: Any, _count: Any) -> Any:
    """Rotate a 32-bit word left: numba has no operator for it and would widen the shifts to 64 bits."""

    def generate(_codegen: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        word = ir.IntType(32)
        rotate = builder.module.declare_intrinsic("llvm.fshl", (word,), ir.FunctionType(word, [word] * 3))
        return builder.call(rotate, [arguments[0], arguments[0], arguments[1]])

    return types.uint32(types.uint32, types.uint32), generate


_rotate: Any = intrinsic(_rotate_word)


@kernel("uint32(uint32, uint32, uint32, uint32, uint32, uint32, uint32)", inline=True)
def _f(a: Any, b: Any, c: Any, d: Any, word: Any, sine: Any, shift: Any) -> Any:
    return np.uint32(b + _rotate(np.uint32(a + np.uint32(d ^ (b & (c ^ d))) + sine + word), shift))


@kernel("uint32(uint32, uint32, uint32, uint32, uint32, uint32, uint32)", inline=True)
def _g(a: Any, b: Any, c: Any, d: Any, word: Any, sine: Any, shift: Any) -> Any:
    return np.uint32(b + _rotate(np.uint32(a + np.uint32(c ^ (d & (b ^ c))) + sine + word), shift))


@kernel("uint32(uint32, uint32, uint32, uint32, uint32, uint32, uint32)", inline=True)
def _h(a: Any, b: Any, c: Any, d: Any, word: Any, sine: Any, shift: Any) -> Any:
    return np.uint32(b + _rotate(np.uint32(a + np.uint32(b ^ c ^ d) + sine + word), shift))


@kernel("uint32(uint32, uint32, uint32, uint32, uint32, uint32, uint32)", inline=True)
def _i(a: Any, b: Any, c: Any, d: Any, word: Any, sine: Any, shift: Any) -> Any:
    return np.uint32(b + _rotate(np.uint32(a + np.uint32(c ^ (b | np.uint32(~d))) + sine + word), shift))


@kernel("void(uint32[:,::1], uint32[:,::1], int64)")
def _round_f(state: Any, words: Any, lanes: Any) -> None:
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


@kernel("void(uint32[:,::1], uint32[:,::1], int64)")
def _round_g(state: Any, words: Any, lanes: Any) -> None:
    """Steps 16 to 31, four at a time so that the state stays in registers."""
    a, b, c, d = state[0], state[1], state[2], state[3]
    for step in range(16, 32, 4):
        one, two, three, four = _SINES[step], _SINES[step + 1], _SINES[step + 2], _SINES[step + 3]
        at = 5 * step + 1
        w, x, y, z = words[at & 15], words[(at + 5) & 15], words[(at + 10) & 15], words[(at + 15) & 15]
        for i in range(lanes):
            p, q, r, s = a[i], b[i], c[i], d[i]
            p = _g(p, q, r, s, w[i], one, np.uint32(5))
            s = _g(s, p, q, r, x[i], two, np.uint32(9))
            r = _g(r, s, p, q, y[i], three, np.uint32(14))
            q = _g(q, r, s, p, z[i], four, np.uint32(20))
            a[i], b[i], c[i], d[i] = p, q, r, s


@kernel("void(uint32[:,::1], uint32[:,::1], int64)")
def _round_h(state: Any, words: Any, lanes: Any) -> None:
    """Steps 32 to 47, four at a time so that the state stays in registers."""
    a, b, c, d = state[0], state[1], state[2], state[3]
    for step in range(32, 48, 4):
        one, two, three, four = _SINES[step], _SINES[step + 1], _SINES[step + 2], _SINES[step + 3]
        at = 3 * step + 5
        w, x, y, z = words[at & 15], words[(at + 3) & 15], words[(at + 6) & 15], words[(at + 9) & 15]
        for i in range(lanes):
            p, q, r, s = a[i], b[i], c[i], d[i]
            p = _h(p, q, r, s, w[i], one, np.uint32(4))
            s = _h(s, p, q, r, x[i], two, np.uint32(11))
            r = _h(r, s, p, q, y[i], three, np.uint32(16))
            q = _h(q, r, s, p, z[i], four, np.uint32(23))
            a[i], b[i], c[i], d[i] = p, q, r, s


@kernel("void(uint32[:,::1], uint32[:,::1], int64)")
def _round_i(state: Any, words: Any, lanes: Any) -> None:
    """Steps 48 to 63, four at a time so that the state stays in registers."""
    a, b, c, d = state[0], state[1], state[2], state[3]
    for step in range(48, 64, 4):
        one, two, three, four = _SINES[step], _SINES[step + 1], _SINES[step + 2], _SINES[step + 3]
        at = 7 * step
        w, x, y, z = words[at & 15], words[(at + 7) & 15], words[(at + 14) & 15], words[(at + 21) & 15]
        for i in range(lanes):
            p, q, r, s = a[i], b[i], c[i], d[i]
            p = _i(p, q, r, s, w[i], one, np.uint32(6))
            s = _i(s, p, q, r, x[i], two, np.uint32(10))
            r = _i(r, s, p, q, y[i], three, np.uint32(15))
            q = _i(q, r, s, p, z[i], four, np.uint32(21))
            a[i], b[i], c[i], d[i] = p, q, r, s


@kernel("void(uint32[:,::1], uint32[:,::1], int64)")
def _compress(state: Any, words: Any, lanes: Any) -> None:
    """Run MD5 on one block of up to ``_LANES`` messages; ``state`` gains the result."""
    scratch = state.copy()
    _round_f(scratch, words, lanes)
    _round_g(scratch, words, lanes)
    _round_h(scratch, words, lanes)
    _round_i(scratch, words, lanes)
    for part in range(4):
        for i in range(lanes):
            state[part, i] = np.uint32(state[part, i] + scratch[part, i])


@kernel("void(uint32[:,::1], int64, int64, int64, uint32[:,::1])")
def _take_block(messages: Any, low: Any, lanes: Any, block: Any, words: Any) -> None:
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
            fill(row, np.uint32(0x80))
        elif at == last:
            fill(row, np.uint32(length * 32))
        else:
            fill(row, np.uint32(0))


@kernel("void(uint32[:,::1], int64, uint32[:,::1])")
def md5_words(messages: Any, count: Any, digests: Any) -> None:
    """Hash ``count`` messages of equal length (a multiple of 4 bytes) into the columns of ``digests``."""
    blocks = (messages.shape[0] * 4 + 9 + 63) // 64
    state = np.empty((4, _LANES), dtype=np.uint32)
    words = np.empty((16, _LANES), dtype=np.uint32)
    for low in range(0, count, _LANES):
        lanes = min(_LANES, count - low)
        for part in range(4):
            fill(state[part], _START[part])
        for block in range(blocks):
            _take_block(messages, low, lanes, block, words)
            _compress(state, words, lanes)
        for part in range(4):
            digest = digests[part, low : low + lanes]
            for i in range(lanes):
                digest[i] = state[part, i]


@kernel("void(uint64[::1], int64[::1], uint32[::1], int64, int64, uint32[:,::1])")
def _fill_blocks(data: Any, offsets: Any, active: Any, lanes: Any, block: Any, words: Any) -> None:
    """Write one padded 64-byte block of each active message into its column of ``words``.

    Reads up to 8 bytes past the end of the data, which the spare words behind it allow.
    """
    for lane in range(lanes):
        start, end = offsets[active[lane]], offsets[active[lane] + np.uint32(1)]
        for k in range(8):
            at = start + block * 64 + k * 8
            left = end - at
            word = load_tail(data, min(at, end), left)
            stop = np.uint64(0x80) << np.uint64(8 * (left & 7))
            word |= stop if 0 <= left < 8 else np.uint64(0)
            words[2 * k, lane] = np.uint32(word & np.uint64(0xFFFFFFFF))
            words[2 * k + 1, lane] = np.uint32(word >> np.uint64(32))
        if end - start < block * 64 + 56:
            bits = np.uint64((end - start) * 8)
            words[14, lane] = np.uint32(bits & np.uint64(0xFFFFFFFF))
            words[15, lane] = np.uint32(bits >> np.uint64(32))


@kernel("int64(int64[::1], int64, int64, int64, uint32[::1])")
def _still_active(offsets: Any, low: Any, high: Any, block: Any, active: Any) -> Any:
    """List the messages that have a block of this number; a message of n bytes has (n + 8) // 64 + 1."""
    bounds = offsets[low : high + 1]
    lanes = np.uint64(0)
    for i in range(high - low):
        active[lanes] = np.uint32(low + i)
        lanes += np.uint64(bounds[i + 1] - bounds[i] + 8 >= block * 64)
    return np.int64(lanes)


@kernel("void(uint64[::1], int64[::1], uint32[:,::1])")
def md5_cells(data: Any, offsets: Any, digests: Any) -> None:
    """Hash messages of any length, given as bytes and offsets, into the columns of ``digests``."""
    count = offsets.size - 1
    state = np.empty((4, _LANES), dtype=np.uint32)
    words = np.empty((16, _LANES), dtype=np.uint32)
    active = np.empty(_LANES + 1, dtype=np.uint32)
    for part in range(4):
        fill(digests[part], _START[part])
    for low in range(0, count, _LANES):
        high, block = min(low + _LANES, count), 0
        lanes = _still_active(offsets, low, high, block, active)
        while lanes > 0:
            _fill_blocks(data, offsets, active, lanes, block, words)
            for part in range(4):
                of_part, digest = state[part], digests[part]
                for lane in range(lanes):
                    of_part[lane] = digest[active[lane]]
            _compress(state, words, lanes)
            for part in range(4):
                of_part, digest = state[part], digests[part]
                for lane in range(lanes):
                    digest[active[lane]] = of_part[lane]
            block += 1
            lanes = _still_active(offsets, low, high, block, active)

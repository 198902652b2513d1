"""How inner loops are compiled, and the words they share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

Compiled = TypeVar("Compiled", bound=Callable[..., Any])


def kernel(signature: Any, *, inline: bool = False) -> Callable[[Compiled], Compiled]:
    """Compile a function for one signature, free of the interpreter's lock, kept on disk between processes.

    The signature types what the function takes; its annotations do not.
    """
    compile_now = njit(signature, nogil=True, cache=True, inline="always" if inline else "never")
    return cast("Callable[[Compiled], Compiled]", compile_now)


@kernel("void(uint32[::1], uint32)")
def fill(words: Any, value: Any) -> None:
    """Set all words to one value."""
    for i in range(words.size):
        words[i] = value


@kernel("uint64(uint64[::1], int64)", inline=True)
def load(data: Any, at: Any) -> Any:
    """Eight bytes from any byte position, without a branch."""
    shift = np.uint64(at & 7) << np.uint64(3)
    place = np.uint64(at) >> np.uint64(3)
    return (data[place] >> shift) | ((data[place + np.uint64(1)] << np.uint64(1)) << (np.uint64(63) - shift))


@kernel("uint64(int64)", inline=True)
def _mask(left: Any) -> Any:
    """All ones for the first ``left`` bytes of a word; ``left`` may be below 0 or above 8."""
    missing = np.uint64(8 * min(max(8 - left, 0), 7))
    ones = np.uint64(0xFFFFFFFFFFFFFFFF) >> missing
    return ones if left > 0 else np.uint64(0)


@kernel("uint64(uint64[::1], int64, int64)", inline=True)
def load_tail(data: Any, at: Any, left: Any) -> Any:
    """Up to eight bytes, zero where the message has ended (``left`` bytes remain)."""
    return load(data, at) & _mask(left)


@kernel("uint32(uint32)", inline=True)
def swap(word: Any) -> Any:
    """Reverse the four bytes of a word."""
    return np.uint32(
        (word << np.uint32(24))
        | ((word & np.uint32(0xFF00)) << np.uint32(8))
        | ((word >> np.uint32(8)) & np.uint32(0xFF00))
        | (word >> np.uint32(24))
    )

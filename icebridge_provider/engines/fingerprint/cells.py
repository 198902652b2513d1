"""Arrow arrays to canonical bytes: eight-byte words, or cells of any length (docs/fingerprint.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from icebridge_provider.engines.fingerprint.schema import Field

Array = np.ndarray[Any, np.dtype[Any]]
_NAN = np.int64(0x7FF8000000000000)
_HEX = np.frombuffer(b"".join(b"%02x" % value for value in range(256)), dtype=np.uint8).reshape(256, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Encoded values one after another. ``data`` has two spare words at its end; ``valid`` is None without nulls."""

    data: Array
    offsets: Array
    valid: Array | None

    @property
    def bytes(self) -> Array:
        """The same data, byte by byte."""
        return self.data.view(np.uint8)


def validity(array: Any) -> Array | None:
    """Return which values of an array are there, None when all are."""
    if pa.types.is_null(array.type):
        return np.zeros(len(array), dtype=np.bool_)
    if array.null_count == 0:
        return None
    bits = np.frombuffer(array.buffers()[0], dtype=np.uint8)
    return np.unpackbits(bits, bitorder="little", count=array.offset + len(array))[array.offset :].astype(np.bool_)


def word_values(array: Any, field: Field) -> Array:
    """Return values of a fixed-width kind as 64-bit integers, 0 where there is none."""
    if pa.types.is_null(array.type):
        return np.zeros(len(array), dtype=np.int64)
    values = _raw_words(array, field.kind)
    valid = validity(array)
    if valid is not None:
        values = np.where(valid, values, np.int64(0))
    return values


def _raw_words(array: Any, kind: str) -> Array:
    if kind == "boolean":
        return _integers(array.cast(pa.uint8()), np.dtype(np.uint8)).astype(np.int64)
    if kind == "real":
        width = np.dtype(np.float32 if pa.types.is_float32(array.type) else np.float64)
        return _float_bits(_integers(array, width).astype(np.float64))
    if kind.startswith("decimal"):
        return np.ascontiguousarray(_integers(array, np.dtype(np.int64), parts=2)[::2])
    width = np.dtype(np.int32 if array.type.bit_width == 32 else np.int64)
    return _integers(array, width).astype(np.int64, copy=False)


def _integers(array: Any, width: np.dtype[Any], parts: int = 1) -> Array:
    """View an array's value buffer, ``parts`` numbers a value."""
    start = array.offset * parts
    return np.frombuffer(array.buffers()[1], dtype=width)[start : start + len(array) * parts]


def _float_bits(values: Array) -> Array:
    """Bits of IEEE binary64, with one zero and one NaN."""
    bits = (values + 0.0).view(np.int64)  # -0.0 + 0.0 is 0.0
    return np.where(np.isnan(values), _NAN, bits)


def simple_cells(array: Any, field: Field) -> Cells:
    """Encode strings, UUIDs, binary, fixed and wide decimals."""
    if pa.types.is_null(array.type):
        return empty_cells(len(array))
    if pa.types.is_decimal(array.type):
        array = _unscaled(array).cast(pa.string())
    if pa.types.is_fixed_size_binary(array.type):
        return _fixed_cells(array, field)
    if pa.types.is_string_view(array.type) or pa.types.is_binary_view(array.type):
        array = array.cast(pa.large_binary())
    wide = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    _, positions, data = array.buffers()
    if len(array) == 0:
        return empty_cells(0)
    bounds = np.frombuffer(positions, dtype=np.int64 if wide else np.int32)
    offsets = bounds[array.offset : array.offset + len(array) + 1]
    first, last = int(offsets[0]), int(offsets[-1])
    content = np.frombuffer(data, dtype=np.uint8)[first:last] if last > first else np.empty(0, dtype=np.uint8)
    return Cells(data=padded(content), offsets=offsets.astype(np.int64) - first, valid=validity(array))


def _unscaled(array: Any) -> Any:
    """Read a decimal's unscaled integer as a decimal of scale 0."""
    return pa.Array.from_buffers(pa.decimal128(38, 0), len(array), array.buffers(), offset=array.offset)


def _fixed_cells(array: Any, field: Field) -> Cells:
    width = array.type.byte_width
    rows = _integers(array, np.dtype(np.uint8), parts=width).reshape(len(array), width)
    if field.type == "uuid":
        rows = _uuid_text(rows)
    offsets = np.arange(len(array) + 1, dtype=np.int64) * rows.shape[1]
    return Cells(data=padded(rows.ravel()), offsets=offsets, valid=validity(array))


def _uuid_text(rows: Array) -> Array:
    """Lower-case text of RFC 9562 for rows of 16 bytes."""
    digits = _HEX[rows].reshape(len(rows), 32)
    text = np.insert(digits, (8, 12, 16, 20), ord("-"), axis=1)
    return np.ascontiguousarray(text)


def word_cells(values: Array, valid: Array | None) -> Cells:
    """Eight big-endian bytes a value, as cells inside nested values."""
    offsets = np.arange(values.size + 1, dtype=np.int64) * 8
    return Cells(data=padded(values.astype(">i8").view(np.uint8)), offsets=offsets, valid=valid)


def empty_cells(count: int) -> Cells:
    """Return nothing but nulls."""
    return Cells(
        data=np.zeros(3, dtype=np.uint64),
        offsets=np.zeros(count + 1, dtype=np.int64),
        valid=np.zeros(count, dtype=np.bool_),
    )


def padded(content: Array) -> Array:
    """Copy bytes into 64-bit words with two spare words at the end."""
    data = np.zeros((content.size >> 3) + 3, dtype=np.uint64)
    data.view(np.uint8)[: content.size] = content
    return data

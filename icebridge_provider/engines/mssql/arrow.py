"""What the clients give, as the exact Arrow types of the files; a value that does not fit is refused by its column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from icebridge_provider.engines.columns import arrow_type
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.extraction import ColumnType

_REPLACEMENT = "\ufffd"
_MICROSECOND_TEXT = 26  # characters of 2024-01-31 10:00:00.123456


def exact_batch(batch: pa.RecordBatch, columns: Sequence[ColumnType], schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch in the types of the files.

    :raises ConfigurationError: IB-831 naming the column and what does not fit.
    """
    arrays = [exact(array, column) for array, column in zip(batch.columns, columns, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def exact(array: Any, column: ColumnType) -> Any:
    """Return an array in its column's type.

    :raises ConfigurationError: IB-831 as :func:`exact_batch`.
    """
    wanted = arrow_type(column)
    found = array.type
    if found == wanted:
        return array
    try:
        if pa.types.is_timestamp(wanted) and _is_text(found):
            return _timestamps(array, column)
        if pa.types.is_string(wanted) and _is_bytes(found):
            return texts_of_utf16(array, column)
        return array.cast(wanted, safe=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise unfit(column, str(error).splitlines()[0][:200]) from None


def _timestamps(array: Any, column: ColumnType) -> Any:
    """Read the server's text of a datetime2; the seventh digit must be a zero."""
    if pc.max(pc.utf8_length(array)).as_py() or 0:
        rest = pc.utf8_slice_codeunits(array, _MICROSECOND_TEXT)
        finer = pc.not_equal(pc.utf8_rtrim(rest, "0"), "")
        if pc.any(finer).as_py():
            first = array.filter(finer)[0].as_py()
            raise unfit(column, f"{first} is finer than a microsecond, which Parquet's readers do not keep")
        array = pc.utf8_slice_codeunits(array, 0, _MICROSECOND_TEXT)
    return array.cast(pa.timestamp("us"))


def texts_of_utf16(array: Any, column: ColumnType) -> Any:
    """Read UTF-16 bytes of the server as text.

    :raises ConfigurationError: IB-831 for half a surrogate pair, which no UTF-8 file can hold.
    """
    return pa.array([_text(value, column) for value in array.to_pylist()], pa.string())


def _text(value: bytes | None, column: ColumnType) -> str | None:
    if value is None:
        return None
    try:
        return value.decode("utf-16-le")
    except UnicodeDecodeError as error:
        raise unfit(column, f"a text holds half a surrogate pair at character {error.start // 2 + 1}") from None


def replaced(array: Any) -> bool:
    """Say whether a text holds U+FFFD, by which clients replace what they cannot decode."""
    return bool(pc.any(pc.match_substring(array, _REPLACEMENT)).as_py())


def batch_of_rows(
    rows: Sequence[Sequence[Any]], columns: Sequence[ColumnType], schema: pa.Schema
) -> pa.RecordBatch:  # fmt: skip
    """Return Python rows as a batch."""
    arrays = []
    for values, column in zip(zip(*rows, strict=True), columns, strict=True):
        try:
            arrays.append(exact(_array(values, column), column))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, ValueError) as error:
            raise unfit(column, str(error).splitlines()[0][:200]) from None
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(values: Sequence[Any], column: ColumnType) -> Any:
    """Return values as an array: in the file's type, or as the text or bytes that the server sent instead."""
    first = next((value for value in values if value is not None), None)
    if isinstance(first, str):
        return pa.array(values, pa.string())
    if isinstance(first, bytes):
        return pa.array(values, pa.binary())
    return pa.array(values, arrow_type(column))


def unfit(column: ColumnType, why: str) -> ConfigurationError:
    """Return the refusal of a column whose rows hold what the files cannot keep exactly."""
    return ConfigurationError(
        "IB-831",
        f"Column {column.name!r} ({column.sql_type}) holds what a file of {column.arrow} cannot keep: {why}.",
        remedy=f"CAST it in the query to what you need, for example CAST({column.name[:60]} AS nvarchar(4000)), and "
        "run the job again.",
        changed="The rows read so far are in no manifest; the next run replaces them.",
        column=column.name,
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

"""Position-delete files name data files by path, inside: they are written anew with the new paths."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import Any

from icebridge_provider.engines.local.manifests import FILE_PATH_ID, DeleteFile
from icebridge_provider.ports import FileStore

_FIELD_ID = b"PARQUET:field_id"


def rewrite(data: bytes, relocate: Callable[[str], str], keeps_order: Callable[[list[str]], bool]) -> bytes:
    """Return a Parquet position-delete file with relocated paths.

    Rows keep their order, schema its field ids, row groups their bounds. Only where the new paths sort otherwise than
    the old ones are the rows sorted again, by path and position, as the Iceberg spec wants them.
    """
    import pyarrow.parquet as pq

    file = pq.ParquetFile(io.BytesIO(data))
    column = path_column(file.schema_arrow)
    groups = [file.read_row_group(number) for number in range(file.num_row_groups)]
    if not keeps_order(sorted({path for group in groups for path in group.column(column).unique().to_pylist()})):
        groups = _sorted(groups, column, relocate)
    else:
        groups = [_relocated(group, column, relocate) for group in groups]
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, file.schema_arrow, compression=_codec(file), store_schema=False) as writer:
        writer.add_key_value_metadata(_own_metadata(file))
        for group in groups:
            writer.write_table(group, row_group_size=max(group.num_rows, 1))
    return sink.getvalue()


def path_column(schema: Any) -> int:
    """Return the index of the file_path column, by field id or by name.

    :raises ValueError: when there is none.
    """
    for number, field in enumerate(schema):
        if (field.metadata or {}).get(_FIELD_ID, b"").decode() == str(FILE_PATH_ID) or field.name == "file_path":
            return number
    raise ValueError("it has no column file_path")


def _own_metadata(file: Any) -> dict[str, str]:
    """Key-value metadata of the file, without the Arrow schema that describes the old writer's types."""
    found = file.metadata.metadata or {}
    return {key.decode(): value.decode() for key, value in found.items() if key != b"ARROW:schema"}


def _codec(file: Any) -> str:
    if file.metadata.num_row_groups == 0:
        return "zstd"
    used = str(file.metadata.row_group(0).column(0).compression)
    return "none" if used == "UNCOMPRESSED" else used.lower()


def _relocated(group: Any, column: int, relocate: Callable[[str], str]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    field = group.schema.field(column)
    paths = group.column(column).combine_chunks()
    encoded = paths if pa.types.is_dictionary(paths.type) else pc.dictionary_encode(paths)
    moved = pa.array([relocate(path) for path in encoded.dictionary.to_pylist()], pa.string())
    values = moved.take(encoded.indices).cast(field.type)
    return group.set_column(column, field, values)


def _sorted(groups: list[Any], column: int, relocate: Callable[[str], str]) -> list[Any]:
    import pyarrow as pa

    whole = pa.concat_tables([_relocated(group, column, relocate) for group in groups])
    order = [(whole.column_names[column], "ascending"), ("pos", "ascending")]
    return [whole.sort_by(order)]


def describe(store: FileStore, location: str) -> DeleteFile:
    """Return what the manifest entry of a position-delete file must say, read from the file.

    :raises FileNotFoundError: when there is none.
    """
    import pyarrow.parquet as pq

    with store.open(location) as stream:
        return _described(pq.ParquetFile(stream), store.size(location) or 0)


def describe_bytes(data: bytes) -> DeleteFile:
    """Return the same for a file in memory."""
    import pyarrow.parquet as pq

    return _described(pq.ParquetFile(io.BytesIO(data)), len(data))


def _described(file: Any, size: int) -> DeleteFile:
    footer = file.metadata
    paths = {path.encode() for group in _path_columns(file) for path in group.unique().to_pylist()}
    return DeleteFile(
        size=size,
        column_sizes=_column_sizes(file),
        offsets=tuple(_offset(footer.row_group(number)) for number in range(footer.num_row_groups)),
        lowest=min(paths).decode() if paths else None,
        highest=max(paths).decode() if paths else None,
    )


def _path_columns(file: Any) -> list[Any]:
    name = file.schema_arrow.names[path_column(file.schema_arrow)]
    return [file.read_row_group(number, columns=[name]).column(0) for number in range(file.num_row_groups)]


def _offset(group: Any) -> int:
    first = group.column(0)
    return int(first.dictionary_page_offset or first.data_page_offset)


def _column_sizes(file: Any) -> dict[int, int]:
    """Bytes by field id; columns inside a deleted ``row`` count for their own ids, as far as the file has any."""
    ids = {field.name: (field.metadata or {}).get(_FIELD_ID) for field in file.schema_arrow}
    sizes: dict[int, int] = {}
    for number in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(number)
        for index in range(group.num_columns):
            column = group.column(index)
            found = ids.get(column.path_in_schema)
            if found is not None:
                sizes[int(found)] = sizes.get(int(found), 0) + column.total_compressed_size
    return sizes


def checksum(data: bytes) -> int:
    """CRC-32 of a file in memory."""
    return zlib.crc32(data)

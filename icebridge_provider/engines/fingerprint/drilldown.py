"""Which rows and columns differ, once two fingerprints do: only the buckets that differ are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from icebridge_provider.engines.fingerprint.schema import Field, column_order, read_schema
from icebridge_provider.engines.fingerprint.snapshot import SnapshotFiles, read_snapshot
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.ports import FileStore

_ROWS_HELD = 4_000_000


def differing_rows(
    source: LoadedTable,
    source_store: FileStore,
    source_snapshot: int | None,
    target: LoadedTable,
    target_store: FileStore,
    target_snapshot: int | None,
    buckets: Sequence[int],
    limit: int = 100,
    key: Sequence[str] = (),
    show_values: bool = False,
    bucket_count: int = 64,
) -> tuple[dict[str, Any], ...]:
    """Name up to ``limit`` differing rows by key and the columns in which they differ.

    Rows are named by the schema's identifier fields, else by ``key``, else by the hash of all their columns. Values of
    key columns are always shown, others only with ``show_values``. Reads each side two or three times and holds hashes
    of at most four million rows: of a large table with many differing buckets, only the first of them are looked at.

    :param buckets: numbers that ``validation.differing_buckets`` returned.
    :param bucket_count: into how many buckets the fingerprints were cut.
    :returns: dicts with ``kind`` (``changed``, ``lost``, ``duplicated``, ``phantom``; ``columns`` when the tables have
        different columns), ``key``, ``row`` (its hash), ``columns``, ``copies``, ``source`` and ``target`` (file and
        row number in it), and ``values`` by column when asked for.
    :raises ConfigurationError: IB-509 when ``key`` names no column.
    """
    from icebridge_provider.engines.fingerprint.rowdiff import Side, match

    left = read_snapshot(source, source_store, source_snapshot)
    right = read_snapshot(target, target_store, target_snapshot)
    fields = read_schema(left.schema, str(source.identifier)), read_schema(right.schema, str(target.identifier))
    shapes = [[(field.name, field.described) for field in side] for side in fields]
    if shapes[0] != shapes[1]:
        return (_column_difference(shapes[0], shapes[1]),)
    names = _key_names(left, fields[0], key)
    chosen = _affordable(buckets, bucket_count, left, right)
    sides = [
        Side(files=files, fields=columns, store=store, table=str(table.identifier), key=names, values=show_values)
        for files, columns, store, table in (
            (left, fields[0], source_store, source),
            (right, fields[1], target_store, target),
        )
    ]
    return tuple(match(sides[0], sides[1], chosen, bucket_count, limit))


def _column_difference(left: list[tuple[str, str]], right: list[tuple[str, str]]) -> dict[str, Any]:
    differing = sorted({name for name, _ in set(left) ^ set(right)}, key=column_order)
    return {
        "kind": "columns",
        "columns": differing,
        "source": {name: kind for name, kind in left if name in differing},
        "target": {name: kind for name, kind in right if name in differing},
    }


def _key_names(files: SnapshotFiles, fields: Sequence[Field], key: Sequence[str]) -> tuple[str, ...]:
    identifiers = set(files.schema.get("identifier-field-ids") or ())
    declared = tuple(field.name for field in fields if field.field_id in identifiers)
    if len(declared) == len(identifiers) > 0:
        return declared
    names = {field.name for field in fields}
    for name in key:
        if name not in names:
            raise ConfigurationError(
                "IB-509",
                f"Key column {name!r} is not a column of the table.",
                remedy=f"Name one of: {', '.join(sorted(names))}.",
                column=name,
            )
    return tuple(key)


def _affordable(buckets: Sequence[int], count: int, left: SnapshotFiles, right: SnapshotFiles) -> tuple[int, ...]:
    rows = max(sum(file.rows for file in side.data) for side in (left, right))
    return tuple(buckets[: max(1, _ROWS_HELD * count // max(rows, 1))])

"""Which partitions of a source changed between two of its metadata files, told by their manifests alone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from icebridge_provider.engines.fingerprint.schema import Field
from icebridge_provider.engines.fingerprint.snapshot import DataFile, DeleteFile, SnapshotFiles, read_snapshot
from icebridge_provider.engines.fingerprint.warehouse import fields_of
from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.ports import FileStore

MOST = 1000  # changed partitions; copying anew is quicker then
_TYPES = {
    "boolean": "BOOLEAN",
    "int": "INT",
    "long": "BIGINT",
    "string": "STRING",
    "date": "DATE",
    "timestamp": "TIMESTAMP_NTZ",
    "timestamptz": "TIMESTAMP",
}
_PYTHON: dict[str, type] = {
    "boolean": bool,
    "int": int,
    "long": int,
    "string": str,
    "date": dt.date,
    "timestamp": dt.datetime,
    "timestamptz": dt.datetime,
}
Partition = tuple[str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The partitions to replace: columns with Databricks types, and the values of each partition as texts.

    ``reason`` says why the table cannot be brought up to date by partitions; then there are none.
    """

    columns: tuple[tuple[str, str], ...] = ()
    partitions: tuple[Partition, ...] = ()
    reason: str = ""


def changes_between(before: LoadedTable, after: LoadedTable, store: FileStore) -> Changes:
    """Compare the heads of two states of one table.

    Rows of a partition are the same when its data files and delete files are. A partition is named by the columns
    that every changed file is partitioned by unchanged (identity); files of other specs may hold its rows too, they
    are found by the columns' values like all others.
    """
    name = str(after.identifier)
    if before.metadata.get("default-spec-id") != after.metadata.get("default-spec-id"):
        return Changes(reason="its partitioning changed")
    try:
        fields = fields_of(after.metadata, name)
        if fields != fields_of(before.metadata, name):
            return Changes(reason="its columns changed")
        changed = _changed_files(read_snapshot(before, store, None), read_snapshot(after, store, None))
    except IceBridgeError as error:
        return Changes(reason=f"what changed cannot be told ({error.code})")
    except FileNotFoundError:
        return Changes(reason="the snapshot it was copied from has expired")
    return _partitions(changed, fields) if changed else Changes()


def _changed_files(before: SnapshotFiles, after: SnapshotFiles) -> list[DataFile | DeleteFile]:
    """Return the live files that only one of the snapshots has, delete files among them."""
    left, right = _by_name(before), _by_name(after)
    return [file for key, file in (left | right).items() if (key in left) is not (key in right)]


def _by_name(files: SnapshotFiles) -> dict[tuple[str, int], DataFile | DeleteFile]:
    live: list[DataFile | DeleteFile] = [*files.data, *files.deletes]
    return {(file.path, file.sequence): file for file in live}


def _partitions(changed: Iterable[DataFile | DeleteFile], fields: tuple[Field, ...]) -> Changes:
    named = named_by(changed, fields)
    if isinstance(named, str):
        return Changes(reason=named)
    columns, found = named
    if len(set(found)) > MOST:
        return Changes(reason=f"{len(set(found))} partitions changed")
    return Changes(columns=columns, partitions=tuple(sorted(set(found), key=str)))


def named_by(
    files: Iterable[DataFile | DeleteFile], fields: tuple[Field, ...]
) -> tuple[tuple[tuple[str, str], ...], list[Partition]] | str:
    """Return the columns by which all files are partitioned unchanged, and each file's partition, in order.

    :returns: a text that says why there are none, where there are none.
    """
    listed = [file.constants for file in files]
    shared = set(listed[0]).intersection(*listed[1:])
    columns = [field for field in fields if field.field_id in shared and _databricks_type(field)]
    if not columns:
        return "not every changed file belongs to a partition by plain columns"
    found = [_values(columns, constants) for constants in listed]
    named = [one for one in found if one is not None]
    if len(named) < len(found):
        return "a partition's value cannot be written in SQL"
    return tuple((column.name, _databricks_type(column)) for column in columns), named


def _databricks_type(field: Field) -> str:
    """Return the SQL type of a partition column; empty for a type whose values no text gives exactly."""
    return field.type.upper() if field.type.startswith("decimal") else _TYPES.get(field.type, "")


def _values(columns: Iterable[Field], constants: Mapping[int, Any]) -> Partition | None:
    texts = []
    for column in columns:
        value = constants[column.field_id]
        text = None if value is None else _text(value, column.type)
        if value is not None and text is None:
            return None
        texts.append(text)
    return tuple(texts)


def _text(value: Any, kind: str) -> str | None:
    """Return a value as SQL's CAST reads it, None when a manifest gave something else than its type."""
    wanted = Decimal if kind.startswith("decimal") else _PYTHON[kind]
    if not isinstance(value, wanted):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        naive = value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
        return naive.isoformat(sep=" ") + ("+00:00" if kind == "timestamptz" else "")
    if isinstance(value, dt.date):
        return value.isoformat()
    return f"{value:f}" if isinstance(value, Decimal) else str(value)

"""Reads catalogs, tables and the ledger's database with nothing of the code under test, and without pyiceberg."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pyarrow.parquet as pq

Content = Counter[tuple[tuple[str, str], ...]]
FIELD_ID = b"PARQUET:field_id"


class UnreadableError(Exception):
    """A table entry whose files cannot be read."""


def entries(folder: Path) -> dict[str, str]:
    """Return ``namespace.table`` to metadata location of an SQL catalog; nothing when it is not made yet."""
    database = folder / "catalog.db"
    if not database.exists():
        return {}
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        there = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'iceberg_tables'").fetchone()
        query = "SELECT table_namespace, table_name, metadata_location FROM iceberg_tables"
        found = connection.execute(query).fetchall() if there else []
    connection.close()
    return {f"{namespace}.{name}": location for namespace, name, location in found}


def metadata_at(location: str) -> dict[str, Any]:
    """Read a metadata file."""
    try:
        return dict(json.loads(path_of(location).read_bytes()))
    except (OSError, ValueError) as error:
        raise UnreadableError(f"{location}: {error}") from error


def path_of(location: str) -> Path:
    """Return the path behind a ``file://`` location."""
    return Path(location.removeprefix("file://"))


@dataclass(kw_only=True)
class Files:
    """All files that a table's metadata speaks of: of every snapshot, and those live in the current one."""

    reached: set[str] = field(default_factory=set)
    data: list[tuple[str, int]] = field(default_factory=list)
    deletes: list[tuple[str, int]] = field(default_factory=list)


def files_of(metadata: Mapping[str, Any], snapshot_id: int | None) -> Files:
    """Walk manifest lists and manifests of all snapshots; live files are those of ``snapshot_id``."""
    found = Files()
    for snapshot in metadata.get("snapshots", ()):
        listed = snapshot["manifest-list"]
        found.reached.add(listed)
        for manifest in _avro(listed):
            found.reached.add(manifest["manifest_path"])
            if path_of(manifest["manifest_path"]).stat().st_size != manifest["manifest_length"]:
                raise UnreadableError(f"{manifest['manifest_path']} is not as long as its list says")
            for entry in _avro(manifest["manifest_path"]):
                if entry["status"] == 2:
                    continue
                file = entry["data_file"]
                found.reached.add(file["file_path"])
                if snapshot["snapshot-id"] == snapshot_id:
                    sequence = entry.get("sequence_number")
                    sequence = manifest["sequence_number"] if sequence is None else sequence
                    kind = found.deletes if file.get("content", 0) else found.data
                    kind.append((file["file_path"], sequence))
    return found


def _avro(location: str) -> list[dict[str, Any]]:
    try:
        with path_of(location).open("rb") as stream:
            return list(fastavro.reader(stream))
    except (OSError, ValueError) as error:
        raise UnreadableError(f"{location}: {error}") from error


def content(metadata: Mapping[str, Any], snapshot_id: int | None = None) -> Content:
    """Return the rows of a snapshot (the current one by default) as a multiset of column and text."""
    chosen = metadata.get("current-snapshot-id") if snapshot_id is None else snapshot_id
    found: Content = Counter()
    if chosen in (None, -1):
        return found
    try:
        files = files_of(metadata, chosen)
        gone = _gone(files)
        names = _names(metadata)
        for path, sequence in files.data:
            for position, values in enumerate(_parquet(path, names)):
                if (path, position) not in gone or gone[path, position] < sequence:
                    found[values] += 1
    except (OSError, KeyError) as error:
        raise UnreadableError(str(error)) from error
    return found


def _gone(files: Files) -> dict[tuple[str, int], int]:
    gone: dict[tuple[str, int], int] = {}
    for path, sequence in files.deletes:
        table = pq.ParquetFile(path_of(path)).read()
        for where, position in zip(table["file_path"].to_pylist(), table["pos"].to_pylist(), strict=True):
            gone[where, position] = max(sequence, gone.get((where, position), 0))
    return gone


def _names(metadata: Mapping[str, Any]) -> dict[int, str]:
    schema = next(item for item in metadata["schemas"] if item["schema-id"] == metadata["current-schema-id"])
    return {column["id"]: column["name"] for column in schema["fields"]}


def _parquet(location: str, names: Mapping[int, str]) -> Iterator[tuple[tuple[str, str], ...]]:
    """Yield rows with the current columns, matched by field id; absent ones are null."""
    table = pq.ParquetFile(path_of(location)).read()
    by_id = {int((item.metadata or {})[FIELD_ID]): number for number, item in enumerate(table.schema)}
    columns = {
        name: table.column(by_id[number]).to_pylist() if number in by_id else [None] * table.num_rows
        for number, name in names.items()
    }
    for position in range(table.num_rows):
        yield as_row({name: values[position] for name, values in columns.items()})


def as_row(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return a row in the one form in which rows are compared."""
    return tuple(sorted((name, _text(value)) for name, value in values.items()))


def _text(value: Any) -> str:
    match value:
        case None:
            return "null"
        case Decimal():
            return f"{value:.2f}"
        case dt.date():
            return value.isoformat()
        case str():
            return f"'{value}'"
        case _:
            return str(value)


def expected(rows: list[dict[str, Any]]) -> Content:
    """Return known rows in the form in which rows are compared."""
    return Counter(as_row(row) for row in rows)


def ledger_rows(home: Path, query: str) -> list[dict[str, Any]]:
    """Ask the ledger's database; nothing when its tables are not made yet."""
    database = home / "ledger.db"
    if not database.exists():
        return []
    connection = sqlite3.connect(database)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(query)]
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return []
        raise
    finally:
        connection.close()


def events(home: Path) -> list[dict[str, Any]]:
    """Return all events of the ledger, oldest first, with their data read."""
    found = ledger_rows(home, "SELECT * FROM icebridge_events ORDER BY seq")
    return [{**event, "data": json.loads(event["data"])} for event in found]

"""A reader over SQLite for the steps of the extraction: real SQL, no server."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from icebridge_provider.engines.columns import arrow_schema
from icebridge_provider.engines.parquet import Layout
from icebridge_provider.model.extraction import Extraction, Manifest, Partition
from icebridge_provider.planning.column_types import column_types
from icebridge_provider.sql.extraction import in_style
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.extract import ExtractionSite
from icebridge_provider.stores.object_store import ObjectStore

TYPES = {"id": "int", "name": "nvarchar(50)", "amount": "decimal(20,4)", "low": "int", "high": "int"}
SMALL = Layout(part_bytes=2_000, group_bytes=4_000, group_rows=100)


@dataclass(kw_only=True)
class SqliteReader:
    """``SqlReader`` of a table ``orders``. ``before`` is called with the number of each batch and may raise."""

    path: Path
    snapshots: bool = True
    before: Callable[[int], None] = lambda _: None
    refuse_snapshot: Exception | None = None
    rows_a_batch: int = 50
    read_statements: list[str] = field(default_factory=list)

    def describe(self, statement: str, values: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
        cursor = self._run(f"SELECT * FROM ({statement}) LIMIT 0", values)
        return [(item[0], TYPES.get(item[0], "int"), True) for item in cursor.description]

    def consistent(self) -> bool:
        return self.snapshots

    def read(self, statement: str, values: Mapping[str, Any], rows_a_batch: int, consistent: bool = False) -> Any:
        if consistent and self.refuse_snapshot is not None:
            raise self.refuse_snapshot
        self.read_statements.append(statement)
        columns = column_types(self.describe(statement, values))
        schema = arrow_schema(columns)
        return pa.RecordBatchReader.from_batches(schema, self._batches(self._run(statement, values), schema))

    def _batches(self, cursor: sqlite3.Cursor, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        number = 0
        while rows := cursor.fetchmany(self.rows_a_batch):
            self.before(number)
            number += 1
            yield pa.RecordBatch.from_arrays(
                [_array(values, item.type) for values, item in zip(zip(*rows, strict=True), schema, strict=True)],
                schema=schema,
            )

    def _run(self, statement: str, values: Mapping[str, Any]) -> sqlite3.Cursor:
        text, names = in_style(statement, "?")
        connection = sqlite3.connect(self.path, check_same_thread=False)
        return connection.execute(text, [values[name] for name in names])


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_decimal(kind):
        return pa.array([None if value is None else str(value) for value in values]).cast(kind)
    return pa.array(values, kind)


def row(number: int) -> tuple[Any, ...]:
    """One row of the table ``orders``: keys without gaps, so that ranges meet at rows."""
    return number, f"näme {number}", f"{number}.2500"


def orders(path: Path, count: int, nulls: int = 0) -> list[tuple[Any, ...]]:
    """Fill the table ``orders`` and return its rows as the files should hold them."""
    rows: list[tuple[Any, ...]] = [row(number) for number in range(count)]
    rows += [(None, "no key", None)] * nulls
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")  # readers that were left half-way block nobody
        connection.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER, name TEXT, amount TEXT)")
        connection.execute("DELETE FROM orders")
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
    return rows


def job(ranges: int = 0, **more: Any) -> Extraction:
    found = Extraction(
        job_id="run-1",
        country="co",
        query="orders",
        statement="SELECT id, name, amount FROM orders WHERE name <> %(unwanted)s",
        values={"unwanted": "50%"},
        parameters={"unwanted": "50%"},
        digest="d1",
        partition=Partition(column="ID", count=ranges) if ranges else None,
    )
    return replace(found, **more)


def site(folder: Path, reader: Any, **more: Any) -> ExtractionSite:
    ledger = SqlLedger(f"sqlite:///{folder}/ledger.db")
    if not (folder / "ledger.db").exists():
        ledger.migrate()
    given: dict[str, Any] = {"store": ObjectStore(), "root": f"{folder}/out", "layout": SMALL, "threads": 1, **more}
    return ExtractionSite(reader=lambda _database: reader, ledger=ledger, **given)


def rows_in(folder: Path, manifest: Manifest | None = None) -> list[tuple[Any, ...]]:
    """Rows of the files that a manifest names, or of all Parquet files of a folder."""
    names = (
        [part.name for part in manifest.parts] if manifest else sorted(item.name for item in folder.glob("*.parquet"))
    )
    found = [pq.ParquetFile(folder / name).read(use_threads=False) for name in names]
    return [
        (row["id"], row["name"], None if row["amount"] is None else str(row["amount"]))
        for table in found
        for row in table.to_pylist()
    ]

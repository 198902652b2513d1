"""A tiny foreign lake whose rows are known beforehand, and the writer that changes it while it is migrated."""

from __future__ import annotations

import datetime as dt
import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform, IdentityTransform
from pyiceberg.types import LongType, StringType

from icebridge_provider.demo.position_deletes import commit_position_deletes

NAMESPACE = "lake"
TABLES = ("deletes", "parted", "evolved")
NEIGHBOUR = "neighbour"
VERSION = "harness.version"
Row = dict[str, Any]
SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string()), ("amount", pa.decimal128(12, 2)), ("day", pa.date32())])


def properties(home: Path, side: str) -> dict[str, str]:
    """Return the properties of the catalog ``side`` (``source`` or ``target``)."""
    folder = home / side
    return {"type": "sql", "uri": f"sqlite:///{folder}/catalog.db", "warehouse": f"file://{folder}/warehouse"}


def row(number: int) -> Row:
    """Return the row with id ``number``: nulls, empty strings, letters beyond ASCII."""
    name = None if number % 7 == 0 else "" if number % 7 == 1 else f"näme {number}"
    amount = Decimal(number) / 4 if number % 5 else None
    return {"id": number, "name": name, "amount": amount, "day": dt.date(2024, 1, 1) + dt.timedelta(days=number % 3)}


def rows(start: int, count: int) -> list[Row]:
    """Return ``count`` rows from id ``start`` on."""
    return [row(number) for number in range(start, start + count)]


def truth(seed: int) -> dict[str, list[list[Row]]]:
    """Return what each table holds before and after its writer's change, from the seed alone."""
    random_ = random.Random(seed)
    size = random_.randint(20, 60)
    gone = set(random_.sample(range(size), 4))
    base = rows(0, size)
    parted = [base + rows(size, 20), []]
    parted[1] = [r for r in parted[0] if r["id"] >= 6] if deleting(seed) else parted[0] + rows(500, 9)
    kept = [r for r in base if r["id"] not in gone] + rows(size, 5)
    old = [_evolved(r, None, r["id"]) for r in base]
    new = [_evolved(r, f"w{r['id']}", r["id"]) for r in rows(size, 8)]
    return {
        "deletes": [kept, kept + rows(600, 7)],
        "parted": parted,
        "evolved": [old + new, old + new],
        NEIGHBOUR: [rows(0, 3), rows(0, 3)],
    }


def deleting(seed: int) -> bool:
    """Whether this seed's writer deletes from ``parted`` instead of appending to it."""
    return seed % 3 == 1


def _evolved(value: Row, word: str | None, old: int) -> Row:
    return {"w": word, "id": value["id"], "price": value["amount"], "day": value["day"], "old": old}


def build(home: Path, seed: int) -> None:
    """Make the foreign lake and the folder of the managed one."""
    (home / "source").mkdir(parents=True)
    (home / "target").mkdir()
    catalog = load_catalog("foreign", **properties(home, "source"))
    catalog.create_namespace(NAMESPACE)
    expected = truth(seed)
    size = len(expected["parted"][0]) - 20
    _deletes(catalog, expected["deletes"][0], size)
    _parted(catalog, size)
    _evolved_table(catalog, size)
    neighbour = catalog.create_table(f"{NAMESPACE}.{NEIGHBOUR}", SCHEMA)
    neighbour.append(arrow(rows(0, 3)))
    _note_snapshots(home, catalog)


def share_files(home: Path) -> None:
    """Let the neighbour use a data file of ``evolved``'s twin: the same files under two entries of the catalog."""
    catalog = load_catalog("foreign", **properties(home, "source"))
    twin = catalog.load_table(f"{NAMESPACE}.evolved")
    catalog.register_table(f"{NAMESPACE}.twin", twin.metadata_location)


def change(home: Path, seed: int, name: str) -> None:
    """Let the foreign writer make its one change to a table; one that is made already is left alone."""
    catalog = load_catalog("foreign", **properties(home, "source"))
    table = catalog.load_table(f"{NAMESPACE}.{name}")
    if any(_version(snapshot) == "1" for snapshot in table.metadata.snapshots):
        return
    before, after = truth(seed)[name]
    mark = {VERSION: "1"}
    if len(after) < len(before):
        table.delete("id < 6", snapshot_properties=mark)
    elif len(after) > len(before):
        table.append(arrow(after[len(before) :]), snapshot_properties=mark)
    _note_snapshots(home, catalog)


def arrow(values: list[Row], schema: pa.Schema = SCHEMA) -> pa.Table:
    """Return rows as an Arrow table."""
    return pa.Table.from_pylist(values, schema=schema)


def _deletes(catalog: Catalog, kept: list[Row], size: int) -> None:
    table = catalog.create_table(f"{NAMESPACE}.deletes", SCHEMA)
    half = size // 2
    table.append(arrow(rows(0, half)))
    with table.update_spec() as spec:
        spec.add_field("day", IdentityTransform(), "day")
    table.append(arrow(rows(half, size - half)))
    ids = {value["id"] for value in kept}
    doomed: dict[str, list[int]] = {}
    for task in table.scan().plan_files():
        found = pq.ParquetFile(task.file.file_path.removeprefix("file://")).read(columns=["id"])["id"].to_pylist()
        positions = [position for position, number in enumerate(found) if number not in ids]
        if positions:
            doomed[task.file.file_path] = positions
    table = commit_position_deletes(table, doomed)
    table.append(arrow(rows(size, 5)), snapshot_properties={VERSION: "0"})


def _parted(catalog: Catalog, size: int) -> None:
    table = catalog.create_table(f"{NAMESPACE}.parted", SCHEMA)
    with table.update_spec() as spec:
        spec.add_field("day", IdentityTransform(), "day")
        spec.add_field("id", BucketTransform(2), "id_bucket")
    table.append(arrow(rows(0, size)))
    table.append(arrow(rows(size, 20)), snapshot_properties={VERSION: "0"})


def _evolved_table(catalog: Catalog, size: int) -> None:
    start = SCHEMA.append(pa.field("old", pa.int32()))
    table = catalog.create_table(f"{NAMESPACE}.evolved", start)
    table.append(arrow([{**value, "old": value["id"]} for value in rows(0, size)], start))
    with table.update_schema() as schema:
        schema.delete_column("name")
        schema.rename_column("amount", "price")
        schema.update_column("old", LongType())
        schema.add_column("w", StringType())
        schema.move_first("w")
    new = [_evolved(value, f"w{value['id']}", value["id"]) for value in rows(size, 8)]
    table.append(arrow(new, table.schema().as_arrow()), snapshot_properties={VERSION: "0"})


def _version(snapshot: Any) -> str | None:
    return snapshot.summary.additional_properties.get(VERSION) if snapshot.summary else None


def _note_snapshots(home: Path, catalog: Catalog) -> None:
    """Write down which snapshot holds which version of a table, for the oracle."""
    noted = {name: _marked(catalog.load_table(f"{NAMESPACE}.{name}")) for name in TABLES}
    path = home / "snapshots.json"
    path.with_suffix(".part").write_text(json.dumps(noted))
    path.with_suffix(".part").replace(path)


def _marked(table: Table) -> dict[str, int]:
    found = {str(item.snapshot_id): _version(item) for item in table.metadata.snapshots}
    return {snapshot: int(version) for snapshot, version in found.items() if version is not None}

"""Two lakes that a workspace federates: one as AWS Glue keeps it, one as a Hive metastore does."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import MonthTransform
from pyiceberg.types import DateType, NestedField

from icebridge_provider.demo import data
from icebridge_provider.demo.lake import properties
from icebridge_provider.demo.position_deletes import commit_position_deletes

GLUE, HMS = "glue", "hms"
UNSEEN = "shop.unseen"
BROKEN = "flights.broken"
STALE = "flights.stale"
BY_MONTH = "shop.by_month"
WIDTH = 150
CUSTOMERS = 500


def build_glue(folder: Path) -> Catalog:
    """Customers with secrets, a wide table, a deep one, and one partitioned by a transform."""
    catalog = _open(folder)
    catalog.create_namespace("shop")
    catalog.create_namespace("open")
    _create(catalog, "shop.customers", _customers())
    _create(catalog, "shop.wide", _wide())
    _create(catalog, "shop.deep", _deep())
    _by_month(catalog)
    _create(catalog, "open.airports", data.flights("airports"))
    _create(catalog, "open.airlines", data.flights("airlines"))
    return catalog


def build_hms(folder: Path, scale: float) -> Catalog:
    """Flights by carrier, TPC-H with deleted rows, a table that lost a file and one whose summary is wrong."""
    catalog = _open(folder)
    for name in ("flights", "tpch"):
        catalog.create_namespace(name)
    rows = data.flights("flights").slice(0, 40_000)
    table = catalog.create_table("flights.flights", rows.schema)
    with table.update_spec() as spec:
        spec.add_identity("carrier")
    for month in (1, 2):
        table.append(rows.filter(pc.equal(rows["month"], month)))
    _create(catalog, "flights.planes", data.flights("planes"))
    for name, found in data.tpch(scale).items():
        made = _create(catalog, f"tpch.{name}", found)
        if name == "orders":
            paths = [task.file.file_path for task in made.scan().plan_files()]
            commit_position_deletes(made, {path: range(0, 1000, 10) for path in paths})
    _broken(catalog)
    _stale(catalog)
    return catalog


def hide(catalog: Catalog) -> None:
    """Add a table after the workspace has looked: it does not show it to anybody."""
    _create(catalog, UNSEEN, pa.table({"id": [1, 2, 3]}))


def _open(folder: Path) -> Catalog:
    folder.mkdir(parents=True)
    return load_catalog("demo", **properties(folder))


def _create(catalog: Catalog, name: str, rows: pa.Table) -> Any:
    table = catalog.create_table(name, rows.schema)
    table.append(rows)
    return table


def _customers() -> pa.Table:
    numbers = range(CUSTOMERS)
    return pa.table(
        {
            "id": pa.array(numbers, pa.int64()),
            "region": ["EU" if number % 5 else "US" for number in numbers],
            "email": [f"person{number}@example.org" for number in numbers],
            "credit": pa.array([Decimal(number) for number in numbers], pa.decimal128(18, 2)),
        }
    )


def _wide() -> pa.Table:
    return pa.table({f"measure_{number:03}": pa.array(range(number, number + 200)) for number in range(WIDTH)})


def _deep() -> pa.Table:
    prices = [("eur", 1.5), ("usd", 1.65)]
    rows = [
        {
            "id": number,
            "cart": {
                "placed": datetime(2026, 1, 1 + number % 28, 12, tzinfo=UTC),
                "items": [{"sku": f"s{item}", "prices": prices} for item in range(number % 4)],
                "ship": {"to": {"city": "Kyōto" if number % 2 else "Łódź", "on": date(2026, 2, 1)}},
            },
        }
        for number in range(300)
    ]
    item = pa.struct([("sku", pa.string()), ("prices", pa.map_(pa.string(), pa.float64()))])
    ship = pa.struct([("to", pa.struct([("city", pa.string()), ("on", pa.date32())]))])
    cart = pa.struct([("placed", pa.timestamp("us", "UTC")), ("items", pa.list_(item)), ("ship", ship)])
    return pa.Table.from_pylist(rows, pa.schema([("id", pa.int64()), ("cart", cart)]))


def _by_month(catalog: Catalog) -> None:
    schema = Schema(NestedField(1, "day", DateType()))
    spec = PartitionSpec(PartitionField(1, 1000, MonthTransform(), "day_month"))
    days = pa.table({"day": [date(2026, month, 1) for month in range(1, 13)]})
    catalog.create_table(BY_MONTH, schema, partition_spec=spec).append(days)


def _broken(catalog: Catalog) -> None:
    table = _create(catalog, BROKEN, pa.table({"id": [1, 2, 3]}))
    lost = next(iter(table.scan().plan_files())).file.file_path
    Path(lost.removeprefix("file://")).unlink()


def _stale(catalog: Catalog) -> None:
    """The head's summary counts files that its manifests do not: Unity Catalog refuses to read such a table."""
    table = _create(catalog, STALE, pa.table({"id": [1, 2, 3]}))
    path = Path(table.metadata_location.removeprefix("file://"))
    metadata = json.loads(path.read_text())
    metadata["snapshots"][-1]["summary"]["total-data-files"] = "7"
    path.write_text(json.dumps(metadata))

"""Real Iceberg tables of every shape that matters, built by pyiceberg in an SQL catalog."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform, TruncateTransform
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from icebridge_provider.demo.position_deletes import commit_position_deletes

NAMESPACE = "lake"


def catalog_properties(folder: Path) -> dict[str, str]:
    """Return the properties of an SQL catalog whose database and files lie in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    return {"type": "sql", "uri": f"sqlite:///{folder}/catalog.db", "warehouse": f"file://{folder}/warehouse"}


def open_catalog(folder: Path, name: str = "source", options: Mapping[str, str] | None = None) -> Catalog:
    """Open (and make) the SQL catalog in ``folder``; ``options`` may put its files elsewhere."""
    catalog = load_catalog(name, **{**catalog_properties(folder), **(options or {})})
    catalog.create_namespace_if_not_exists(NAMESPACE)
    return catalog


def rows(start: int, count: int) -> pa.Table:
    """Return rows of (id, name, amount, day) with some nulls, empty strings and non-ASCII names."""
    numbers = range(start, start + count)
    return pa.table(
        {
            "id": pa.array(numbers, pa.int64()),
            "name": pa.array([None if n % 7 == 0 else "" if n % 7 == 1 else f"näme {n}" for n in numbers], pa.string()),
            "amount": pa.array([Decimal(n) / 4 if n % 5 else None for n in numbers], pa.decimal128(12, 2)),
            "day": pa.array([dt.date(2024, 1, 1) + dt.timedelta(days=n % 3) for n in numbers], pa.date32()),
        }
    )


def create(catalog: Catalog, name: str, like: pa.Table | Schema, **arguments: Any) -> Table:
    """Create an empty table ``lake.<name>``."""
    schema = like.schema if isinstance(like, pa.Table) else like
    return catalog.create_table(f"{NAMESPACE}.{name}", schema, **arguments)


def plain(catalog: Catalog, name: str = "plain") -> Table:
    """One snapshot of 100 rows."""
    table = create(catalog, name, rows(0, 1), properties={"owner": "tests", "commit.retry.num-retries": "7"})
    table.append(rows(0, 100))
    return table


def empty(catalog: Catalog, name: str = "empty") -> Table:
    """A snapshot without rows: everything appended was deleted again."""
    table = plain(catalog, name)
    table.delete("id >= 0")
    return table


def without_snapshots(catalog: Catalog, name: str = "no_snapshots") -> Table:
    """Created and never written."""
    return create(catalog, name, rows(0, 1))


def evolved_schema(catalog: Catalog, name: str = "evolved") -> Table:
    """A column dropped, one added, one renamed, one promoted, between two snapshots."""
    table = create(catalog, name, rows(0, 1).append_column("old", pa.array([0], pa.int32())))
    table.append(rows(0, 50).append_column("old", pa.array(range(50), pa.int32())))
    with table.update_schema() as schema:
        schema.delete_column("name")
        schema.rename_column("amount", "price")
        schema.update_column("old", LongType())
        schema.add_column("w", StringType())
        schema.move_first("w")
    part = rows(50, 50).drop_columns(["name"]).rename_columns(["id", "price", "day"])
    part = part.append_column("w", pa.array([f"w{n}" for n in range(50)])).append_column("old", pa.array(range(50)))
    table.append(part.select(table.schema().as_arrow().names).cast(table.schema().as_arrow()))
    return table


def partitioned(catalog: Catalog, name: str = "partitioned") -> Table:
    """Partitioned by identity, bucket and truncate; sorted."""
    table = plain(catalog, name)
    table.delete("id >= 0")
    with table.update_spec() as spec:
        spec.add_field("day", IdentityTransform(), "day")
        spec.add_field("id", BucketTransform(2), "id_bucket")
        spec.add_field("name", TruncateTransform(1), "name_start")
    with table.update_sort_order() as order:
        order.asc("id", IdentityTransform())
    table.append(rows(0, 60))
    table.append(rows(60, 40))
    return table


def evolved_spec(catalog: Catalog, name: str = "evolved_spec") -> Table:
    """Unpartitioned first, then by day, then by day and name."""
    table = plain(catalog, name)
    with table.update_spec() as spec:
        spec.add_field("day", DayTransform(), "day_day")
    table.append(rows(100, 30))
    with table.update_spec() as spec:
        spec.add_field("name", IdentityTransform(), "name")
    table.append(rows(130, 20))
    return table


def position_deletes(catalog: Catalog, name: str = "deletes") -> Table:
    """Two delete snapshots over partitioned data; a third append after them."""
    table = create(catalog, name, rows(0, 1))
    table.append(rows(0, 30))
    with table.update_spec() as spec:
        spec.add_field("day", IdentityTransform(), "day")
    table.append(rows(30, 30))
    for position in (0, 3):
        paths = [task.file.file_path for task in table.scan().plan_files()]
        table = commit_position_deletes(table, {path: [position, position + 1] for path in paths})
    table.append(rows(60, 10))
    return table


def history(catalog: Catalog, name: str = "history") -> Table:
    """Appends, an overwrite, a delete; a tag, a branch and a snapshot that only the branch reaches."""
    table = plain(catalog, name)
    first = _head(table)
    table.append(rows(100, 20))
    table.manage_snapshots().create_tag(first, "first").commit()
    table.manage_snapshots().create_branch(_head(table), "audit").commit()
    table.append(rows(500, 5), branch="audit")
    table.delete("id < 10")
    table.overwrite(rows(1000, 3), "id > 110")
    return table


def _head(table: Table) -> int:
    snapshot = table.current_snapshot()
    if snapshot is None:
        raise ValueError(f"{table.name()} has no snapshot")
    return snapshot.snapshot_id


ALL_TYPES = Schema(
    NestedField(1, "b", BooleanType()),
    NestedField(2, "i", IntegerType()),
    NestedField(3, "l", LongType()),
    NestedField(4, "f", FloatType()),
    NestedField(5, "d", DoubleType()),
    NestedField(6, "dec", DecimalType(38, 9)),
    NestedField(7, "date", DateType()),
    NestedField(8, "time", TimeType()),
    NestedField(9, "ts", TimestampType()),
    NestedField(10, "tsz", TimestamptzType()),
    NestedField(11, "s", StringType()),
    NestedField(12, "u", UUIDType()),
    NestedField(13, "fx", FixedType(4)),
    NestedField(14, "bin", BinaryType()),
    NestedField(15, "li", ListType(16, IntegerType(), element_required=False)),
    NestedField(17, "m", MapType(18, StringType(), 19, LongType(), value_required=False)),
    NestedField(
        20,
        "st",
        StructType(
            NestedField(21, "x", IntegerType()),
            NestedField(22, "in", StructType(NestedField(23, "y", StringType()))),
        ),
    ),
)


def nested(catalog: Catalog, name: str = "nested") -> Table:
    """Every type of format version 2, flat and nested, with nulls and odd values."""
    table = create(catalog, name, ALL_TYPES)
    full = {
        "b": True, "i": -1, "l": 2**60, "f": float("nan"), "d": -0.0, "dec": Decimal("12345.678900000"),
        "date": dt.date(1969, 12, 31), "time": dt.time(23, 59, 59, 999999), "ts": dt.datetime(1960, 1, 1, 0, 0, 0, 1),  # noqa: DTZ001
        "tsz": dt.datetime(2024, 3, 31, 1, 30, tzinfo=dt.UTC), "s": " trailing  ", "u": UUID(int=7).bytes,
        "fx": b"\x00\x01\x02\x03", "bin": b"\xff\x00", "li": [1, None, 3], "m": [("a", 1), ("b", None)],
        "st": {"x": 1, "in": {"y": None}},
    }  # fmt: skip
    nothing: dict[str, Any] = dict.fromkeys(full)
    hollow = {**nothing, "s": "", "bin": b"", "li": [], "m": [], "st": {"x": None, "in": None}}
    schema = table.schema().as_arrow()
    columns = [pa.array([row[field.name] for row in (full, nothing, hollow)], _storage(field.type)) for field in schema]
    table.append(pa.table([_typed(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema))
    return table


def _storage(kind: pa.DataType) -> pa.DataType:
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _typed(column: pa.Array, kind: pa.DataType) -> pa.Array:
    return pa.ExtensionArray.from_storage(kind, column) if isinstance(kind, pa.BaseExtensionType) else column


def format_one(catalog: Catalog, name: str = "format_one") -> Table:
    """Format version 1, two snapshots, partitioned."""
    table = create(catalog, name, rows(0, 1), properties={"format-version": "1"})
    table.append(rows(0, 30))
    with table.update_spec() as spec:
        spec.add_field("day", IdentityTransform(), "day")
    table.append(rows(30, 30))
    return table


def missing_file(catalog: Catalog, name: str = "missing_file") -> Table:
    """A live data file that is gone."""
    table = plain(catalog, name)
    table.append(rows(100, 10))
    _local(next(iter(table.scan().plan_files())).file.file_path).unlink()
    return table


def broken_summary(catalog: Catalog, name: str = "broken_summary") -> Table:
    """A current snapshot whose summary claims totals of zero, as ``add_files`` has left them."""
    table = plain(catalog, name)
    path = _local(table.metadata_location)
    metadata = json.loads(path.read_text())
    for snapshot in metadata["snapshots"]:
        snapshot["summary"].update({"total-files-size": "0", "total-data-files": "0", "total-records": "0"})
    path.write_text(json.dumps(metadata))
    return catalog.load_table(f"{NAMESPACE}.{name}")


def dangling_deletes(catalog: Catalog, name: str = "dangling") -> Table:
    """Position deletes whose data file has been rewritten since."""
    table = position_deletes(catalog, name)
    table.overwrite(rows(900, 5), "id < 20")
    return table


HEALTHY: dict[str, Callable[..., Table]] = {
    "plain": plain,
    "empty": empty,
    "no_snapshots": without_snapshots,
    "evolved": evolved_schema,
    "partitioned": partitioned,
    "evolved_spec": evolved_spec,
    "deletes": position_deletes,
    "dangling": dangling_deletes,
    "history": history,
    "nested": nested,
    "format_one": format_one,
    "broken_summary": broken_summary,
}
UNSORTED = SortOrder(order_id=0)
SORTED_BY_ID = SortOrder(SortField(source_id=1, transform=IdentityTransform()))


def build_all(catalog: Catalog) -> dict[str, Table]:
    """Build one table of every readable shape."""
    return {name: factory(catalog) for name, factory in HEALTHY.items()}


def _local(location: str) -> Path:
    return Path(location.removeprefix("file://"))

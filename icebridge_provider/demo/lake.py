"""Builds the demo's foreign catalog: what real lakes look like, with one broken table and one name taken twice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import DoubleType

from icebridge_provider.demo import data
from icebridge_provider.demo.position_deletes import commit_position_deletes

BROKEN = "legacy.broken_trips"


def properties(folder: Path) -> dict[str, str]:
    """Return the pyiceberg properties of an SQL catalog kept in ``folder``."""
    return {"type": "sql", "uri": f"sqlite:///{folder}/catalog.db", "warehouse": f"file://{folder}/warehouse"}


def build(folder: Path, scale: float) -> int:
    """Create the foreign lake in ``folder`` and return how many tables it has; a finished one is left as it is."""
    done = folder / "built"
    catalog = _open(folder)
    if not done.exists():
        _flights(catalog)
        _weather(catalog)
        for name in ("airports", "airlines", "planes"):
            _create(catalog, f"flights.{name}", data.flights(name))
        _tpch(catalog, scale)
        _legacy(catalog)
        done.touch()
    return sum(len(catalog.list_tables(namespace)) for namespace in catalog.list_namespaces())


def prepare_target(folder: Path) -> None:
    """Create the empty catalog that the tables move to."""
    _open(folder).create_namespace_if_not_exists("flights")


def _open(folder: Path) -> Catalog:
    folder.mkdir(parents=True, exist_ok=True)
    return load_catalog("demo", **properties(folder))


def _create(catalog: Catalog, name: str, rows: pa.Table, options: Mapping[str, str] | None = None) -> Table:
    catalog.create_namespace_if_not_exists(name.rsplit(".", 1)[0])
    if catalog.table_exists(name):
        catalog.drop_table(name)  # half-built by a run that was stopped
    table = catalog.create_table(name, rows.schema, properties=dict(options or {}))
    table.append(rows)
    return table


def _flights(catalog: Catalog) -> None:
    """Four quarterly snapshots; partitioned by carrier from the third on; a tag on the first."""
    rows = data.flights("flights")
    quarter = pc.divide(pc.subtract(rows["month"], 1), 3)
    parts = [rows.filter(pc.equal(quarter, number)) for number in range(4)]
    options = {"owner": "aviation", "write.parquet.compression-codec": "zstd"}
    table = _create(catalog, "flights.flights", parts[0], options)
    first = table.current_snapshot()
    if first is not None:
        table.manage_snapshots().create_tag(first.snapshot_id, "first_quarter").commit()
    table.append(parts[1])
    with table.update_spec() as spec:
        spec.add_field("carrier", IdentityTransform(), "carrier")
    for part in parts[2:]:
        table.append(part)


def _weather(catalog: Catalog) -> None:
    """A schema that lost a column, gained one and renamed one between snapshots."""
    rows = data.flights("weather")
    half = rows.num_rows // 2
    table = _create(catalog, "flights.weather", rows.slice(0, half))
    with table.update_schema() as schema:
        schema.delete_column("wind_gust")
        schema.rename_column("precip", "precipitation")
        schema.add_column("dew_spread", DoubleType())
    rest = rows.slice(half).drop_columns(["wind_gust"])
    names = ["precipitation" if name == "precip" else name for name in rest.column_names]
    rest = rest.rename_columns(names)
    spread = pc.subtract(rest["temp"].cast(pa.float64()), rest["dewp"].cast(pa.float64()))
    table.append(rest.append_column("dew_spread", spread).cast(table.schema().as_arrow()))


def _tpch(catalog: Catalog, scale: float) -> None:
    """TPC-H, two snapshots each; rows of lineitem and orders removed by position deletes, as Spark and Flink do."""
    for name, rows in data.tpch(scale).items():
        half = rows.num_rows // 2
        table = _create(catalog, f"tpch.{name}", rows.slice(0, half))
        table.append(rows.slice(half))
        if name in {"lineitem", "orders"}:
            paths = [task.file.file_path for task in table.scan().plan_files()]
            commit_position_deletes(table, {path: range(0, 1000, 10) for path in paths})


def _legacy(catalog: Catalog) -> None:
    """A name that another namespace has too, and a table of which a file was lost."""
    _create(catalog, "legacy.airlines", data.flights("airlines"))
    rows = data.flights("planes")
    broken = _create(catalog, BROKEN, rows.slice(0, 1000))
    broken.append(rows.slice(1000))
    lost = next(iter(broken.scan().plan_files())).file.file_path
    Path(lost.removeprefix("file://")).unlink()

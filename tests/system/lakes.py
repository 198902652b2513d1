"""Lakes for the system tests, and an Airflow that knows them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog, load_catalog

from icebridge_provider.demo import lake
from icebridge_provider.demo.components import AirflowHome, prepare

SOURCE, TARGET = "foreign", "managed"


def catalog_of(folder: Path, name: str) -> Catalog:
    folder.mkdir(parents=True, exist_ok=True)
    return load_catalog(name, **lake.properties(folder))


def connections(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        name: {"conn_type": "icebridge_catalog", "extra": lake.properties(folder / name)} for name in (SOURCE, TARGET)
    }


def airflow(folder: Path, settings: dict[str, str] | None = None) -> AirflowHome:
    catalog_of(folder / TARGET, TARGET)
    return prepare(folder / "airflow", connections(folder), settings or {})


def rows(start: int, count: int) -> pa.Table:
    numbers = range(start, start + count)
    return pa.table({"id": pa.array(numbers, pa.int64()), "name": [f"row {number}" for number in numbers]})


def small_tables(folder: Path, *names: str) -> Catalog:
    source = catalog_of(folder / SOURCE, SOURCE)
    source.create_namespace_if_not_exists("shop")
    for number, name in enumerate(names):
        table = source.create_table(f"shop.{name}", rows(0, 1).schema)
        table.append(rows(number * 1000, 100))
        table.append(rows(number * 1000 + 100, 50))
    return source


def table_of_many_files(folder: Path, name: str, files: int) -> Catalog:
    """One data file, copied under many names and added: quick to build, slow enough to copy that it can be killed."""
    source = small_tables(folder, name)
    table = source.load_table(f"shop.{name}")
    first = next(iter(table.scan().plan_files())).file.file_path.removeprefix("file://")
    copies = [Path(first).with_name(f"copy-{number:05}.parquet") for number in range(files)]
    for path in copies:
        shutil.copyfile(first, path)
    table.add_files([f"file://{path}" for path in copies])
    return source

"""A catalog of thousands of tables, written row by row and file by file: building it takes seconds, not hours."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from pyiceberg.catalog.sql import SqlCatalog
from sqlalchemy import text

from tests.support import tables as shapes


def build(folder: Path, count: int, per_namespace: int = 500, *, bare: bool = False) -> dict[str, str]:
    """Register ``count`` copies of one small real table, each with files of its own, and return the properties.

    Every copy has two data files, a position delete file, three snapshots and a metadata file in its own folder; a
    ``bare`` one only the metadata file.
    """
    properties = shapes.catalog_properties(folder)
    native = shapes.open_catalog(folder)
    pattern = shapes.create(native, "pattern", shapes.rows(0, 1))
    pattern.append(shapes.rows(0, 30))
    pattern.append(shapes.rows(30, 30))
    from icebridge_provider.demo.position_deletes import commit_position_deletes

    paths = [task.file.file_path for task in pattern.scan().plan_files()]
    pattern = commit_position_deletes(pattern, {paths[0]: [0]})
    home = Path(pattern.location().removeprefix("file://"))
    current = Path(pattern.metadata_location.removeprefix("file://"))
    files = [(path.relative_to(home), path.read_bytes()) for path in home.rglob("*") if path.is_file()]
    wanted = [item for item in files if not item[0].name.endswith(".json") or item[0].name == current.name]
    if bare:
        wanted = [item for item in wanted if item[0].name == current.name]
    rows = []
    for number in range(count):
        namespace = f"ns{number // per_namespace:03d}"
        name = f"t{number:05d}"
        target = folder / "many" / namespace / name
        _write(target, wanted, str(home), str(target))
        rows.append({"n": namespace, "t": name, "m": f"file://{target}/metadata/{current.name}"})
    native.drop_table("lake.pattern")
    _insert(native, rows)
    return properties


def _write(target: Path, files: list[tuple[Path, bytes]], home: str, new: str) -> None:
    """Copy the files with the paths inside them moved, where they have any."""
    lengths: dict[str, int] = {}
    for relative, data in sorted(files, key=lambda item: _order(item[0])):
        path = target / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        moved = _moved(relative, data, home, new, lengths)
        lengths[str(path)] = len(moved)
        path.write_bytes(moved)


def _order(path: Path) -> int:
    return 2 if path.name.startswith("snap-") else 1 if path.suffix == ".avro" else 0


def _moved(relative: Path, data: bytes, home: str, new: str, lengths: dict[str, int]) -> bytes:
    if relative.suffix == ".json":
        return data.replace(home.encode(), new.encode())
    if relative.suffix != ".avro":
        return data
    import fastavro

    reader = fastavro.reader(io.BytesIO(data))
    records = [_renamed(record, home, new) for record in reader]
    for record in records:
        if "manifest_length" in record:
            record["manifest_length"] = lengths[record["manifest_path"].removeprefix("file://")]
    out = io.BytesIO()
    fastavro.writer(out, reader.writer_schema, records)
    return out.getvalue()


def _renamed(value: Any, home: str, new: str) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(item, home, new) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, home, new) for item in value]
    if isinstance(value, bytes):  # bounds of file_path in manifests of delete files
        return value.replace(home.encode(), new.encode())
    return value.replace(home, new) if isinstance(value, str) else value


def _insert(native: SqlCatalog, rows: list[dict[str, str]]) -> None:  # type: ignore[type-arg]
    statement = text(
        "INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, iceberg_type)"
        f" VALUES ('{native.name}', :n, :t, :m, 'TABLE')"
    )
    with native.engine.begin() as connection:
        connection.execute(statement, rows)

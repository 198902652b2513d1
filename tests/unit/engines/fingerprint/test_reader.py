"""The reader on real Iceberg tables, against pyiceberg's own scan and the reference encoding."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import DateType, DecimalType, LongType, NestedField, StringType

from icebridge_provider.demo.position_deletes import commit_position_deletes
from icebridge_provider.engines.fingerprint.reader import fingerprint
from icebridge_provider.exceptions import ConfigurationError, PreflightFailed, ValidationFailed
from icebridge_provider.model.report import Fingerprint
from icebridge_provider.stores.object_store import ObjectStore
from icebridge_provider.validation import compare_fingerprints
from tests.support import fingerprint_reference as reference
from tests.support import tables
from tests.support.hashing import loaded, plain


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return tables.open_catalog(tmp_path / "lake")


def read(table: Table, snapshot_id: int | None = None, **options: Any) -> Fingerprint:
    return fingerprint(loaded(table), ObjectStore({}), snapshot_id, **options)


def expected(table: Table, snapshot_id: int | None = None, buckets: int = 64) -> dict[str, Any]:
    """The reference's fingerprint of what pyiceberg's scan returns."""
    scan = table.scan(snapshot_id=snapshot_id)
    fields = scan.projection().model_dump(mode="json", by_alias=True)["fields"]
    return reference.fingerprint(scan.to_arrow().to_pylist(), fields, buckets)


@pytest.mark.parametrize("shape", tables.HEALTHY)
def test_every_shape_of_table_reads_as_pyiceberg_reads_it(catalog: Catalog, shape: str) -> None:
    table = tables.HEALTHY[shape](catalog)
    found = read(table)
    assert plain(found) == expected(table)
    head = table.refresh().current_snapshot()
    assert found.snapshot_id == (head.snapshot_id if head else None)


def test_an_older_snapshot_is_read_as_it_was(catalog: Catalog) -> None:
    table = tables.evolved_schema(catalog)
    first = table.snapshots()[0].snapshot_id
    found = read(table, first)
    assert plain(found) == expected(table, first)
    assert [column.name for column in found.columns] == ["amount", "day", "id", "name", "old"]


def test_position_deletes_are_applied(catalog: Catalog) -> None:
    table = tables.plain(catalog)
    path = next(iter(table.scan().plan_files())).file.file_path
    before = read(table)
    after = read(commit_position_deletes(table, {path: [0, 99]}))
    assert (before.rows, after.rows) == (100, 98)
    assert not all(check.passed for check in compare_fingerprints(before, after))


def test_a_position_delete_acts_on_files_of_its_own_age_and_older_ones(catalog: Catalog) -> None:
    """Iceberg spec, scan planning: a data file's sequence number is at most that of the position delete file."""
    table = tables.position_deletes(catalog)
    raw = loaded(table)
    from icebridge_provider.engines.fingerprint.files import SnapshotReader
    from icebridge_provider.engines.fingerprint.schema import read_schema
    from icebridge_provider.engines.fingerprint.snapshot import read_snapshot

    store = ObjectStore({})
    files = read_snapshot(raw, store, None)
    fields = read_schema(files.schema, "t")

    def rows(of: Any) -> int:
        reader = SnapshotReader(files=of, fields=fields, store=store, table="t")
        return sum(batch.rows for file in of.data for batch in reader.batches(file))

    def aged(data: int, deletes: int) -> Any:
        return replace(
            files,
            data=tuple(replace(file, sequence=data) for file in files.data),
            deletes=tuple(replace(file, sequence=deletes) for file in files.deletes),
        )

    everything = sum(file.rows for file in files.data)
    assert rows(aged(data=6, deletes=5)) == everything
    assert rows(aged(data=5, deletes=5)) == rows(files) < everything


def test_files_are_read_through_the_store(catalog: Catalog) -> None:
    """Whatever is not a local path is opened by the store."""
    import io

    from icebridge_provider.engines.fingerprint.files import SnapshotReader
    from icebridge_provider.engines.fingerprint.schema import read_schema
    from icebridge_provider.engines.fingerprint.snapshot import read_snapshot

    raw = loaded(tables.plain(catalog))
    files = read_snapshot(raw, ObjectStore({}), None)
    (file,) = files.data
    content = Path(file.path.removeprefix("file://")).read_bytes()

    class Bucket(ObjectStore):
        def open(self, location: str) -> Any:
            assert location == "s3://bucket/a.parquet"
            return io.BytesIO(content)

    reader = SnapshotReader(files=files, fields=read_schema(files.schema, "t"), store=Bucket({}), table="t")
    assert sum(batch.rows for batch in reader.batches(replace(file, path="s3://bucket/a.parquet"))) == 100


def test_the_layout_of_files_does_not_count(catalog: Catalog) -> None:
    content = tables.rows(0, 500)
    one = tables.create(catalog, "one", content)
    one.append(content)
    many = tables.create(catalog, "many", content)
    with many.update_spec() as spec:
        spec.add_field("day", IdentityTransform(), "day")
    order = list(range(500))
    random.Random(7).shuffle(order)
    for start in range(0, 500, 125):
        many.append(content.take(pa.array(order[start : start + 125])))
    assert len(list(many.scan().plan_files())) > len(list(one.scan().plan_files()))
    left, right = read(one), read(many, threads=3)
    assert all(check.passed for check in compare_fingerprints(left, right))
    assert replace(left, snapshot_id=None) == replace(right, snapshot_id=None)


@pytest.mark.parametrize("change", ["cell", "null", "blank", "swap", "lost", "twice"])
def test_one_change_in_a_real_table_is_caught(catalog: Catalog, change: str) -> None:
    content = tables.rows(0, 300)
    rows = content.to_pylist()
    if change == "cell":
        rows[151]["amount"] += 1
    elif change == "null":
        rows[141]["name"] = None if rows[141]["name"] == "" else ""
    elif change == "blank":
        rows[9]["name"] += " "
    elif change == "swap":
        rows[10]["name"], rows[12]["name"] = rows[12]["name"], rows[10]["name"]
    elif change == "lost":
        del rows[299]
    else:
        rows.append(rows[5])
    source, target = tables.create(catalog, "source", content), tables.create(catalog, "target", content)
    source.append(content)
    target.append(pa.Table.from_pylist(rows, content.schema))
    checks = compare_fingerprints(read(source), read(target))
    failed = {check.name for check in checks if not check.passed}
    assert "sum128" in failed
    assert ("rows" in failed) is (change in {"lost", "twice"})
    columns = {name for name in failed if name.startswith("column ")}
    wanted = {"cell": {"column amount"}, "null": {"column name"}, "blank": {"column name"}, "swap": set()}
    assert columns == wanted.get(change, columns)


def test_identity_partition_columns_missing_from_the_files_come_from_the_manifest(catalog: Catalog) -> None:
    """Hive-style files do not hold their partition columns (reliability finding 7)."""
    schema = Schema(
        NestedField(1, "id", LongType()),
        NestedField(2, "day", DateType()),
        NestedField(3, "odd name", StringType()),
        NestedField(4, "price", DecimalType(9, 2)),
    )
    spec = PartitionSpec(
        PartitionField(2, 1000, IdentityTransform(), "day"),
        PartitionField(3, 1001, IdentityTransform(), "odd name"),
        PartitionField(4, 1002, IdentityTransform(), "price"),
    )
    table = catalog.create_table("lake.hive", schema, partition_spec=spec)
    from decimal import Decimal

    whole = pa.table(
        {
            "id": pa.array([1, 2, 3, 4], pa.int64()),
            "day": pa.array([dt.date(2024, 1, 1), dt.date(1950, 1, 1), None, dt.date(2024, 1, 1)], pa.date32()),
            "odd name": pa.array(["ü", "", "x", "ü"]),
            "price": pa.array([Decimal("-1.50"), None, Decimal("7.00"), Decimal("-1.50")], pa.decimal128(9, 2)),
        }
    )
    table.append(whole)
    before = read(table)
    for task in table.scan().plan_files():
        path = task.file.file_path.removeprefix("file://")
        pq.write_table(pq.read_table(path, partitioning=None).select(["id"]), path)
    assert before.rows == 4
    assert read(table) == before


def test_dotted_and_odd_column_names(catalog: Catalog) -> None:
    content = pa.table({"a.b": [1, 2], "a": ["x", None], "<script>": ["", "y"], "ä ö": [1.5, float("nan")]})
    table = tables.create(catalog, "odd", content)
    table.append(content)
    assert plain(read(table)) == expected(table)


def test_a_file_with_other_rows_than_its_manifest_says_is_named(catalog: Catalog) -> None:
    table = tables.plain(catalog)
    path = next(iter(table.scan().plan_files())).file.file_path.removeprefix("file://")
    pq.write_table(pq.read_table(path).slice(0, 99), path)
    with pytest.raises(ValidationFailed, match=r"IB-505.*holds 99 rows, its manifest says 100") as caught:
        read(table)
    assert path in str(caught.value)


@pytest.mark.parametrize("damage", ["gone", "cut", "garbage"])
def test_a_broken_file_is_named(catalog: Catalog, damage: str) -> None:
    table = tables.plain(catalog)
    path = Path(next(iter(table.scan().plan_files())).file.file_path.removeprefix("file://"))
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-20] if damage == "cut" else b"\0" * len(content))
    with pytest.raises(ValidationFailed, match="IB-505") as caught:
        read(table)
    assert path.name in str(caught.value)


def test_a_file_without_field_ids_is_refused(catalog: Catalog) -> None:
    table = tables.plain(catalog)
    path = next(iter(table.scan().plan_files())).file.file_path.removeprefix("file://")
    found = pq.read_table(path)
    pq.write_table(found.cast(pa.schema([pa.field(field.name, field.type) for field in found.schema])), path)
    with pytest.raises(ValidationFailed, match="IB-506"):
        read(table)


def test_a_column_that_cannot_be_promoted_is_refused(catalog: Catalog) -> None:
    table = tables.plain(catalog)
    path = next(iter(table.scan().plan_files())).file.file_path.removeprefix("file://")
    found = pq.read_table(path)
    at = found.schema.get_field_index("id")
    texts = found.column("id").cast(pa.string())
    pq.write_table(found.set_column(at, found.schema.field(at).with_type(pa.string()), texts), path)
    with pytest.raises(ValidationFailed, match="IB-507"):
        read(table)


def test_what_the_reader_cannot_read_right_it_refuses(catalog: Catalog) -> None:
    table = tables.plain(catalog)
    raw = loaded(table)
    third = replace(raw, metadata={**raw.metadata, "format-version": 3})
    with pytest.raises(PreflightFailed, match="IB-501"):
        fingerprint(third, ObjectStore({}), None)
    variant = {"id": 9, "name": "v", "type": "variant", "required": False}
    schemas = [{**schema, "fields": [*schema["fields"], variant]} for schema in raw.metadata["schemas"]]
    with pytest.raises(PreflightFailed, match=r"IB-504.*variant"):
        fingerprint(replace(raw, metadata={**raw.metadata, "schemas": schemas}), ObjectStore({}), None)
    with pytest.raises(ValidationFailed, match="IB-503"):
        read(table, 12345)
    with pytest.raises(ConfigurationError, match="IB-508"):
        read(table, buckets=65)


@pytest.mark.parametrize(
    ("content", "form", "what"),
    [(2, "PARQUET", "equality deletes"), (1, "PUFFIN", "deletion vectors"), (0, "ORC", "format ORC")],
)
def test_files_of_other_kinds_are_refused_by_name(catalog: Catalog, content: int, form: str, what: str) -> None:
    from icebridge_provider.engines.fingerprint.snapshot import _sort_in

    raw = loaded(tables.plain(catalog))
    file = {
        "content": content,
        "file_format": form,
        "file_path": "s3://b/x",
        "file_size_in_bytes": 1,
        "record_count": 1,
    }
    with pytest.raises(PreflightFailed, match=f"IB-502.*{what}.*s3://b/x"):
        _sort_in(raw, {"data_file": file, "sequence": 1}, {}, [], [])

"""Which partitions changed between two states of a real table, told from its manifests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform, IdentityTransform, Transform
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    IcebergType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
)

from icebridge_provider.demo.position_deletes import commit_position_deletes
from icebridge_provider.engines.databricks.changes import Changes, changes_between
from icebridge_provider.stores.object_store import ObjectStore
from tests.support import tables as shapes
from tests.support.hashing import loaded


def table_by(folder: Path, kind: IcebergType, values: list[Any], transform: Transform[Any, Any] | None = None) -> Table:
    """A table of ``id`` and ``part``, partitioned by ``part``, with a row for each value."""
    catalog = shapes.open_catalog(folder)
    catalog.create_namespace_if_not_exists("lake")
    schema = Schema(NestedField(1, "id", LongType()), NestedField(2, "part", kind))
    spec = PartitionSpec(PartitionField(2, 1000, transform or IdentityTransform(), "by"))
    table = catalog.create_table("lake.t", schema, partition_spec=spec)
    append(table, *values)
    return table


def append(table: Table, *values: Any) -> None:
    listed = [{"id": number, "part": value} for number, value in enumerate(values)]
    table.append(pa.Table.from_pylist(listed, table.schema().as_arrow()))


def changes(table: Table, act: Callable[[Table], object]) -> Changes:
    before = loaded(table)
    act(table)
    return changes_between(before, loaded(table.refresh()), ObjectStore({}))


CASES: list[tuple[IcebergType, Any, str, str]] = [
    (StringType(), "it's", "STRING", "it's"),
    (LongType(), -(2**63), "BIGINT", str(-(2**63))),
    (BooleanType(), True, "BOOLEAN", "true"),
    (DateType(), dt.date(1, 1, 1), "DATE", "0001-01-01"),
    (DecimalType(9, 3), Decimal("-0.001"), "DECIMAL(9, 3)", "-0.001"),
    (TimestampType(), dt.datetime(1969, 12, 31, 23, 59, 59, 1), "TIMESTAMP_NTZ", "1969-12-31 23:59:59.000001"),  # noqa: DTZ001
    (TimestamptzType(), dt.datetime(2024, 1, 1, tzinfo=dt.UTC), "TIMESTAMP", "2024-01-01 00:00:00+00:00"),
]


@pytest.mark.parametrize(("kind", "value", "databricks", "text"), CASES)
def test_a_value_is_written_as_its_type_reads_it(
    tmp_path: Path, kind: IcebergType, value: Any, databricks: str, text: str
) -> None:
    found = changes(table_by(tmp_path, kind, [None]), lambda table: append(table, value))
    assert found == Changes(columns=(("part", databricks),), partitions=((text,),))


def test_appended_deleted_and_null_partitions_are_named_and_no_other(tmp_path: Path) -> None:
    def act(table: Table) -> None:
        append(table, "new", None)
        table.delete("part = 'gone'")

    found = changes(table_by(tmp_path, StringType(), ["kept", "gone", None]), act)
    assert sorted(found.partitions, key=str) == sorted([("new",), (None,), ("gone",)], key=str)


def test_a_delete_file_changes_its_partition(tmp_path: Path) -> None:
    def act(table: Table) -> None:
        path = next(task.file for task in table.scan(row_filter="part = 'a'").plan_files()).file_path
        commit_position_deletes(table, {path: [0]})

    found = changes(table_by(tmp_path, StringType(), ["a", "b"]), act)
    assert found == Changes(columns=(("part", "STRING"),), partitions=(("a",),))


def test_nothing_changed_is_nothing_to_do(tmp_path: Path) -> None:
    assert changes(table_by(tmp_path, StringType(), ["a"]), lambda _: None) == Changes()


def _widen(table: Table) -> None:
    with table.update_schema() as schema:
        schema.add_column("more", StringType())


def _repartition(table: Table) -> None:
    with table.update_spec() as spec:
        spec.add_identity("id")
    append(table, "c")


@pytest.mark.parametrize(
    ("kind", "transform", "act", "said"),
    [
        (StringType(), None, _widen, "columns changed"),
        (StringType(), None, _repartition, "partitioning changed"),
        (StringType(), BucketTransform(4), lambda table: append(table, "b"), "not every changed file"),
        (DoubleType(), None, lambda table: append(table, 0.5), "not every changed file"),
        (LongType(), None, lambda table: append(table, *range(100, 1200)), "1100 partitions changed"),
    ],
)
def test_what_partitions_cannot_tell_has_a_reason(
    tmp_path: Path, kind: IcebergType, transform: Any, act: Callable[[Table], None], said: str
) -> None:
    first = {"string": "a", "double": 1.5, "long": 1}[str(kind)]
    found = changes(table_by(tmp_path, kind, [first], transform), act)
    assert said in found.reason
    assert found.partitions == ()


def test_a_snapshot_that_expired_is_a_reason(tmp_path: Path) -> None:
    table = table_by(tmp_path, StringType(), ["a"])
    before = loaded(table)
    head = table.current_snapshot()
    assert head is not None
    Path(head.manifest_list.removeprefix("file://")).unlink()
    assert "expired" in changes_between(before, loaded(table), ObjectStore({})).reason

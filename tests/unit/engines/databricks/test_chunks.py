"""How the copy of a large table is cut: whole identity partitions, every row in just one chunk, the same each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyiceberg.types import DoubleType, StringType

from icebridge_provider.engines.databricks.chunks import chunked
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.job import JobSpec
from icebridge_provider.model.plan import CopyMethod
from icebridge_provider.stores.object_store import ObjectStore
from tests.support.hashing import loaded
from tests.unit.engines.databricks.test_changes import append, table_by

STAGED, SOURCE = ("main", "s", "t__icebridge_p1"), ("lake", "s", "t")


def cut(table: Any, most: int, method: CopyMethod = CopyMethod.INSERT_SELECT) -> dict[str, Any]:
    found = loaded(table)
    name = TableIdentifier(catalog="lake", namespace=("s",), name="t")
    job = JobSpec(
        plan_id="p1", method=method, source=name, staged=name, metadata_location=found.metadata_location,
        snapshot_id=found.current_snapshot_id, location="", columns=("id", "part"), partition_by=("part",),
    )  # fmt: skip
    return chunked(job, found, lambda: ObjectStore({}), STAGED, SOURCE, most)


def test_every_partition_is_in_one_chunk(tmp_path: Path) -> None:
    table = table_by(tmp_path, StringType(), ["a", "b", None, "it's"])
    append(table, "a", "c")
    found = cut(table.refresh(), 1)
    named = [value for chunk in found["chunks"] for value in chunk["values"].values()]
    assert sorted(named, key=str) == [None, "a", "b", "c", "it's"]
    assert len(found["chunks"]) == 5
    assert found == cut(table, 1), "another process finds the same chunks"
    assert all("'" not in chunk["insert"] for chunk in found["chunks"]), "values are bound"


def test_small_partitions_share_a_chunk_up_to_the_limit(tmp_path: Path) -> None:
    table = table_by(tmp_path, StringType(), [f"p{number}" for number in range(8)])
    files = [task.file.file_size_in_bytes for task in table.scan().plan_files()]
    found = cut(table, 3 * max(files))
    assert [len(chunk["values"]) for chunk in found["chunks"]] == [3, 3, 2]


def test_what_is_small_cloned_or_not_cut_by_plain_columns_is_one_statement(tmp_path: Path) -> None:
    table = table_by(tmp_path / "a", StringType(), ["a", "b"])
    assert cut(table, 10**9) == {}
    assert cut(table, 1, CopyMethod.DEEP_CLONE) == {}
    assert cut(table_by(tmp_path / "b", DoubleType(), [0.1, 0.2]), 1) == {}


def test_another_snapshot_is_another_layout(tmp_path: Path) -> None:
    table = table_by(tmp_path, StringType(), ["a", "b"])
    before = cut(table, 1)["layout"]
    append(table, "c")
    assert cut(table.refresh(), 1)["layout"] != before

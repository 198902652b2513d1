"""The demo's position deletes are what the Iceberg spec says they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from icebridge_provider.demo.position_deletes import commit_position_deletes
from tests.support import tables


def test_named_rows_are_gone_and_the_files_stay(tmp_path: Path) -> None:
    table = tables.plain(tables.open_catalog(tmp_path))
    path = next(iter(table.scan().plan_files())).file.file_path
    before = table.scan().to_arrow()["id"].to_pylist()
    table = commit_position_deletes(table, {path: [5, 0, 5]})
    assert table.scan().to_arrow()["id"].to_pylist() == [n for place, n in enumerate(before) if place not in {0, 5}]
    assert [task.file.file_path for task in table.scan().plan_files()] == [path]
    summary = table.current_snapshot().summary
    assert (summary.operation.value, summary["total-position-deletes"], summary["total-delete-files"]) == (
        "delete",
        "2",
        "1",
    )


def test_one_delete_file_for_each_partition(tmp_path: Path) -> None:
    table = tables.evolved_spec(tables.open_catalog(tmp_path))
    paths = [task.file.file_path for task in table.scan().plan_files()]
    partitions = {(task.file.spec_id, str(task.file.partition)) for task in table.scan().plan_files()}
    count = table.scan().count()
    table = commit_position_deletes(table, {path: [0] for path in paths})
    deletes = {delete.file_path for task in table.scan().plan_files() for delete in task.delete_files}
    assert len(deletes) == len(partitions)
    assert table.scan().count() == count - len(paths)


def test_a_version_one_table_is_raised_to_two(tmp_path: Path) -> None:
    table = tables.format_one(tables.open_catalog(tmp_path))
    paths = [task.file.file_path for task in table.scan().plan_files()]
    table = commit_position_deletes(table, {paths[0]: [0]})
    assert table.format_version == 2
    assert table.scan().count() == 59


def test_a_file_that_is_not_live_is_refused(tmp_path: Path) -> None:
    table = tables.plain(tables.open_catalog(tmp_path))
    with pytest.raises(ValueError, match="nowhere"):
        commit_position_deletes(table, {"s3://nowhere": [0]})


def test_files_without_positions_are_left_out(tmp_path: Path) -> None:
    table = tables.plain(tables.open_catalog(tmp_path))
    paths = [task.file.file_path for task in table.scan().plan_files()]
    table = commit_position_deletes(table, {path: [] for path in paths})
    assert not any(task.delete_files for task in table.scan().plan_files())
    assert table.scan().count() == 100

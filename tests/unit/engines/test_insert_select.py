"""``insert_select``: the rows of one snapshot, written anew under the same schema."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.table import Table
from pyiceberg.types import StringType

from icebridge_provider.demo.position_deletes import commit_position_deletes
from icebridge_provider.engines.local import checkpoint, reencode
from icebridge_provider.exceptions import PreflightFailed
from icebridge_provider.model.plan import CopyMethod
from tests.support import tables
from tests.support.copying import CopyLake, content, duckdb_content, local

INSERT = CopyMethod.INSERT_SELECT


class Stopped(Exception):
    """What a killed step looks like from inside."""


@pytest.mark.parametrize("shape", sorted(tables.HEALTHY))
def test_rows_schema_spec_and_order_are_those_of_the_source(lake: CopyLake, shape: str) -> None:
    old = tables.HEALTHY[shape](lake.native)
    before = content(old) if old.current_snapshot() else []
    job = lake.job(shape, INSERT)
    result = lake.run(job)
    shutil.rmtree(local(old.location()))
    new = lake.copied(job)
    assert (content(new) if new.current_snapshot() else []) == before
    assert new.schema().fields == old.schema().fields  # ids, names, order, docs
    assert new.spec() == old.spec()
    assert new.sort_order() == old.sort_order()
    assert result.rows == len(before)
    assert result.target_snapshot_id == (new.current_snapshot().snapshot_id if new.current_snapshot() else None)
    assert not any(task.delete_files for task in new.scan().plan_files())


@pytest.mark.parametrize("shape", ["plain", "nested", "deletes", "partitioned"])
def test_an_independent_reader_sees_the_same_rows(lake: CopyLake, shape: str) -> None:
    old = tables.HEALTHY[shape](lake.native)
    job = lake.job(shape, INSERT)
    lake.run(job)
    assert duckdb_content(lake.copied(job)) == duckdb_content(old)


def test_one_snapshot_carries_the_token(lake: CopyLake) -> None:
    tables.history(lake.native)
    job = lake.job("history", INSERT)
    lake.run(job, "abc")
    new = lake.copied(job)
    assert [snapshot.summary["icebridge.token"] for snapshot in new.metadata.snapshots] == ["abc"]
    assert new.properties["icebridge.token"] == "abc"
    assert new.properties["icebridge.method"] == "insert_select"


def test_the_same_job_again_finds_the_result_and_writes_nothing(lake: CopyLake) -> None:
    tables.partitioned(lake.native)
    job = lake.job("partitioned", INSERT)
    first = lake.run(job)
    before = {path: path.stat().st_mtime_ns for path in local(job.location).rglob("*")}
    again = lake.run(job)
    assert {path: path.stat().st_mtime_ns for path in local(job.location).rglob("*")} == before
    assert (again.metadata_location, again.rows) == (first.metadata_location, first.rows)


def test_a_stopped_run_writes_only_the_groups_that_are_missing(lake: CopyLake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "GROUP_FILES", 3)
    old = tables.partitioned(lake.native)
    job = lake.job("partitioned", INSERT)
    done: list[Mapping[str, Any]] = []

    def stop(report: Mapping[str, Any]) -> None:
        if "bytes" in report:
            done.append(report)
        if len(done) == 2:
            raise Stopped

    with pytest.raises(Stopped):
        lake.run(job, progress=stop)
    assert lake.target.load(job.staged) is None
    kept = {path: path.stat().st_mtime_ns for path in local(job.location).rglob("*.parquet")}
    result = lake.run(job)
    after = {path: path.stat().st_mtime_ns for path in local(job.location).rglob("*.parquet")}
    assert result.files_reused == len(kept) > 0
    assert {path: after[path] for path in kept} == kept
    assert len(after) == result.files_copied + result.files_reused  # no orphan
    assert content(lake.copied(job)) == content(old)


def test_rows_go_through_in_pieces(lake: CopyLake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reencode, "PIECE_BYTES", 1)
    old = tables.plain(lake.native)
    old.append(tables.rows(100, 50))
    job = lake.job("plain", INSERT)
    result = lake.run(job)
    assert result.files_copied == 2
    assert content(lake.copied(job)) == content(old)


def test_appends_since_the_copy_are_appended(lake: CopyLake) -> None:
    old = tables.position_deletes(lake.native)
    first = lake.run(lake.job("deletes", INSERT), "t1")
    old.refresh().append(tables.rows(800, 6))
    old.append(tables.rows(900, 6))
    job = lake.job("deletes", INSERT, previous=first.metadata_location)
    second = lake.run(job, "t2")
    new = lake.copied(job)
    assert [snapshot.summary["icebridge.token"] for snapshot in new.metadata.snapshots] == ["t1", "t2"]
    assert new.metadata.snapshots[1].summary["added-records"] == "12"
    assert content(new) == content(lake.native.load_table(("lake", "deletes")))
    assert second.rows == len(content(new))
    assert second.snapshot_id == job.snapshot_id


def _delete(table: Table) -> None:
    table.delete("id < 10")


def _merge_on_read(table: Table) -> None:
    path = next(iter(table.scan().plan_files())).file.file_path
    commit_position_deletes(table, {path: [0]})


def _deletes_that_say_append(table: Table) -> None:
    _merge_on_read(table)
    table.append(tables.rows(700, 3))
    path = local(table.refresh().metadata_location)
    metadata = json.loads(path.read_text())
    for snapshot in metadata["snapshots"]:
        snapshot["summary"] = {"operation": "append"}
    path.write_text(json.dumps(metadata))


def _expired(table: Table) -> None:
    """The copied snapshot is gone, and with it the knowledge of which deletes came after it."""
    copied = table.current_snapshot().snapshot_id
    table.append(tables.rows(700, 3))
    table.maintenance.expire_snapshots().by_id(copied).commit()


def _add_column(table: Table) -> None:
    with table.update_schema() as schema:
        schema.add_column("later", StringType())
    table.append(tables.rows(800, 6).append_column("later", pa.array(["x"] * 6)))


def _roll_back(table: Table) -> None:
    first = table.metadata.snapshots[0].snapshot_id
    table.manage_snapshots().set_current_snapshot(snapshot_id=first).commit()


@pytest.mark.parametrize(
    "change", [_delete, _merge_on_read, _deletes_that_say_append, _expired, _add_column, _roll_back]
)
def test_anything_but_appends_means_a_new_copy(lake: CopyLake, change: Any) -> None:
    table = tables.plain(lake.native)
    table.append(tables.rows(100, 20))
    first = lake.run(lake.job("plain", INSERT), "t1")
    change(table.refresh())
    job = lake.job("plain", INSERT, previous=first.metadata_location)
    lake.run(job, "t2")
    new = lake.copied(job)
    assert [snapshot.summary["icebridge.token"] for snapshot in new.metadata.snapshots] == ["t2"]
    assert content(new) == content(lake.native.load_table(("lake", "plain")))


def test_properties_cannot_make_the_writer_load_code_or_another_format(lake: CopyLake) -> None:
    table = tables.plain(lake.native)
    path = local(table.metadata_location)
    metadata = json.loads(path.read_text())
    metadata["properties"] |= {"write.py-location-provider.impl": "tests.no.Such", "write.format.default": "orc"}
    path.write_text(json.dumps(metadata))
    job = lake.job("plain", INSERT)
    lake.run(job)
    new = lake.target.load(job.staged)
    assert "write.py-location-provider.impl" not in new.properties
    assert new.properties["write.format.default"] == "orc"  # kept for the owner's own engines
    assert content(lake.copied(job)) == content(table)


def test_a_missing_file_is_named(lake: CopyLake) -> None:
    tables.missing_file(lake.native)
    with pytest.raises(PreflightFailed) as caught:
        lake.run(lake.job("missing_file", INSERT))
    assert caught.value.code == "IB-410"


def test_a_file_that_cannot_be_decoded_is_refused(lake: CopyLake) -> None:
    table = tables.plain(lake.native)
    path = local(next(iter(table.scan().plan_files())).file.file_path)
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(PreflightFailed) as caught:
        lake.run(lake.job("plain", INSERT))
    assert caught.value.code == "IB-408"

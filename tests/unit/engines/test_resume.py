"""Stopped copies go on; finished ones are found; moved sources cost only the difference."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest

from icebridge_provider.engines.local import transfer, work
from icebridge_provider.engines.local.transfer import FileTask, Transfer
from icebridge_provider.exceptions import ConfigurationError, FencedOut, PreflightFailed
from icebridge_provider.model.plan import CopyMethod
from icebridge_provider.ports import CopiedFile
from icebridge_provider.stores.local import PART
from icebridge_provider.stores.object_store import ObjectStore
from tests.support import tables
from tests.support.copying import PLAN, CopyLake, content, local, quiet


class Stopped(Exception):
    """What a killed step looks like from inside."""


def test_the_same_job_again_finds_the_result_and_writes_nothing(lake: CopyLake) -> None:
    tables.position_deletes(lake.native)
    job = lake.job("deletes")
    first = lake.run(job)
    before = {path: path.stat().st_mtime_ns for path in local(job.location).rglob("*")}
    again = lake.run(job)
    assert {path: path.stat().st_mtime_ns for path in local(job.location).rglob("*")} == before
    assert again.metadata_location == first.metadata_location
    assert (again.snapshot_id, again.rows) == (first.snapshot_id, first.rows)
    assert (again.files_copied, again.files_reused) == (0, first.files_copied)


def test_a_copy_that_lost_a_file_goes_on_where_it_stopped(lake: CopyLake) -> None:
    table = tables.partitioned(lake.native)
    paths = sorted(task.file.file_path for task in table.scan().plan_files())
    lost = local(paths[-1])
    kept = lost.read_bytes()
    lost.unlink()
    job = lake.job("partitioned")
    with pytest.raises(PreflightFailed):
        lake.run(job)
    assert lake.target.load(job.staged) is None
    whole = {path: path.stat().st_ino for path in local(job.location).rglob("*.parquet")}
    lost.write_bytes(kept)
    result = lake.run(job)
    after = {path: path.stat().st_ino for path in local(job.location).rglob("*.parquet")}
    assert {path: after[path] for path in whole} == whole  # none of them copied twice
    assert (result.files_copied, result.files_reused) == (len(after) - len(whole), len(whole))
    assert len(after) == len(_live(table))
    assert content(lake.copied(job)) == content(table)


def _live(table: Any) -> set[str]:
    return {
        task.file.file_path
        for snapshot in table.metadata.snapshots
        for task in table.scan(snapshot_id=snapshot.snapshot_id).plan_files()
    }


def test_a_recorded_file_that_is_gone_or_short_is_copied_again(lake: CopyLake) -> None:
    table = tables.history(lake.native)
    job = lake.job("history")
    lake.run(job)
    files = sorted(local(job.location).rglob("*.parquet"))
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:-1])
    lake.target.drop_entry(job.staged)
    result = lake.run(job)
    assert (result.files_copied, result.files_reused) == (2, len(files) - 2)
    assert content(lake.copied(job)) == content(table)


def test_a_rewritten_delete_file_counts_only_when_it_is_recorded(lake: CopyLake) -> None:
    """Its size is not known before, so what lies there may be anything."""
    table = tables.position_deletes(lake.native)
    job = lake.job("deletes")
    deletes = {delete.file_path for task in table.scan().plan_files() for delete in task.delete_files}
    for path in deletes:
        old = local(path)
        new = local(job.location) / "data" / old.relative_to(local(table.location()) / "data")
        new.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(old.read_bytes())
    result = lake.run(job)
    assert result.files_reused == 0
    checks, differences = lake.proof("deletes", job, result)
    assert all(check.passed for check in checks), differences


def test_halves_that_a_killed_process_left_are_removed(lake: CopyLake) -> None:
    tables.plain(lake.native)
    job = lake.job("plain")
    half = local(job.location) / "data" / f".abc-1{PART}"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    lake.run(job)
    assert not half.exists()
    assert not list(local(job.location).rglob(f"*{PART}"))


def test_an_owner_that_lost_its_lease_stops_and_enters_nothing(lake: CopyLake) -> None:
    tables.partitioned(lake.native)
    job = lake.job("partitioned")

    def fenced(_: Mapping[str, Any]) -> None:
        raise FencedOut("IB-110", "Somebody else holds the lease.", remedy="Stop.")

    with pytest.raises(FencedOut):
        lake.run(job, progress=fenced)
    assert lake.target.load(job.staged) is None


def test_progress_counts_up_to_all(lake: CopyLake) -> None:
    tables.partitioned(lake.native)
    told: list[Mapping[str, Any]] = []
    result = lake.run(lake.job("partitioned"), progress=told.append)
    counted = [each for each in told if "files" in each]
    assert counted[0]["files"] == 0
    assert counted[-1] == {
        "files": result.files_copied,
        "files_total": result.files_copied,
        "bytes": result.bytes_copied,
        "bytes_total": result.bytes_copied,
    }


class _Slow(ObjectStore):
    """A target whose uploads take their time."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self.running = threading.Event()

    def write(self, location: str, data: bytes) -> None:
        self.running.set()
        time.sleep(self._seconds)
        super().write(location, data)


def test_progress_is_told_while_one_large_file_is_under_way(lake: CopyLake) -> None:
    slow = _Slow(2.5 * transfer.CHECKPOINT_SECONDS)
    told: list[Mapping[str, Any]] = []
    target = f"file://{lake.folder}/slow"

    def write() -> CopiedFile:
        slow.write(target, b"x")
        return CopiedFile(source="a", target=target, size=1, crc32=0)

    _transfer(lake, slow, told.append).run([FileTask(source="a", target=target, size=1, write=write)], target, {})
    assert len(told) >= 4  # at the start, twice while waiting, at the end
    assert told[-1]["files"] == 1


def test_progress_is_told_while_metadata_is_read(lake: CopyLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of many manifests would lose its lease otherwise."""
    monkeypatch.setattr(work, "PROGRESS_SECONDS", 0)
    tables.history(lake.native)
    told: list[Mapping[str, Any]] = []
    lake.run(lake.job("history"), progress=told.append)
    assert any(report.get("metadata_files", 0) > 0 for report in told)


def _transfer(lake: CopyLake, target: ObjectStore, progress: Any = quiet) -> Transfer:
    return Transfer(
        plan_id=PLAN,
        table="t",
        source=ObjectStore(),
        target=target,
        ledger=lake.ledger,
        progress=progress,
        threads=2,
    )


def test_what_was_whole_when_it_stopped_is_recorded(lake: CopyLake) -> None:
    store = ObjectStore()
    names = [f"{lake.folder}/in/{number}" for number in range(200)]
    for name in names:
        store.write(name, b"data")
    tasks = [FileTask(source=name, target=name.replace("/in/", "/out/"), size=4) for name in names]
    told: list[Mapping[str, Any]] = []

    def stop(report: Mapping[str, Any]) -> None:
        told.append(report)
        if len(told) == 2:
            raise Stopped

    with pytest.raises(Stopped):
        _transfer(lake, store, stop).run(tasks, str(lake.folder), {})
    recorded = lake.ledger.copied_files(PLAN, "t")
    present = dict(store.list(f"{lake.folder}/out"))
    assert set(present) == {file.target for file in recorded.values()}  # also those that ended after the stop
    assert all(store.read(path) == b"data" for path in present)
    tally = _transfer(lake, store).run(tasks, str(lake.folder), present)
    assert (tally.reused, tally.copied) == (len(present), 200 - len(present))


def test_a_moved_source_costs_only_the_new_files(lake: CopyLake) -> None:
    table = tables.position_deletes(lake.native)
    first = lake.run(lake.job("deletes"), "t1")
    before = _live(table.refresh())
    table.append(tables.rows(700, 5))
    table = lake.native.load_table(("lake", "deletes"))
    job = lake.job("deletes", previous=first.metadata_location)
    manifests = {path: path.stat().st_mtime_ns for path in local(job.location).rglob("*-m*.avro")}
    second = lake.run(job, "t2")
    after = {path: path.stat().st_mtime_ns for path in local(job.location).rglob("*-m*.avro")}
    assert second.files_copied == len(_live(table) - before) == 3
    assert second.snapshot_id == table.current_snapshot().snapshot_id != first.snapshot_id
    assert {path: after[path] for path in manifests} == manifests  # not even written again
    assert content(lake.copied(job)) == content(table)
    checks, differences = lake.proof("deletes", job, second)
    assert all(check.passed for check in checks), differences


def test_a_source_that_moved_between_two_tries_is_brought_to_its_head(lake: CopyLake) -> None:
    table = tables.plain(lake.native)
    lake.run(lake.job("plain"), "same")
    table.append(tables.rows(700, 5))
    job = lake.job("plain")
    assert lake.run(job, "same").snapshot_id == job.snapshot_id
    assert content(lake.copied(job)) == content(table)


def test_a_copy_stays_at_the_head_it_was_given_while_the_source_moves(lake: CopyLake) -> None:
    table = tables.plain(lake.native)
    before = content(table)
    job = lake.job("plain")
    table.append(tables.rows(700, 5))
    lake.run(job)
    assert content(lake.copied(job)) == before


def test_a_source_that_was_dropped_is_named(lake: CopyLake) -> None:
    tables.plain(lake.native)
    job = lake.job("plain", CopyMethod.REGISTER)
    lake.native.drop_table(("lake", "plain"))
    with pytest.raises(ConfigurationError) as caught:
        lake.run(job)
    assert caught.value.code == "IB-417"

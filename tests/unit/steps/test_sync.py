"""Catching up: appends, everything else, a source that never rests, and what earlier rounds left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pyiceberg.table import Table
from pyiceberg.types import StringType

from icebridge_provider.engines.local.engine import LocalEngine
from icebridge_provider.exceptions import ConfigurationError, PreflightFailed, TransientError
from icebridge_provider.model.event import Outcome, State, Step
from icebridge_provider.model.job import JobRef, JobSpec, JobState, JobStatus
from icebridge_provider.ports import Progress
from icebridge_provider.steps.copy import copy_table
from icebridge_provider.steps.site import Site
from icebridge_provider.steps.sync import catch_up, sync_table
from icebridge_provider.stores.object_store import ObjectStore
from tests.support import tables as shapes
from tests.support.migration import Migration

STAGED = "t__icebridge_p1"


def _referenced(m: Migration) -> set[str]:
    """Files that the staged table needs, as pyiceberg sees them, relative to the warehouse."""
    table = m.target.native.load_table(("lake", STAGED))
    paths = {table.metadata_location}
    for snapshot in table.metadata.snapshots:
        paths.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            paths.add(manifest.manifest_path)
            entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
            paths |= {entry.data_file.file_path for entry in entries}
    base = f"file://{m.folder}/target/warehouse/"
    return {path.removeprefix(base) for path in paths}


def _append(table: Table) -> None:
    table.append(shapes.rows(1000, 5))


def _delete(table: Table) -> None:
    table.delete("id < 10")


def _widen(table: Table) -> None:
    with table.update_schema() as schema:
        schema.add_column("extra", StringType())
    table.append(shapes.rows(1000, 5))


@pytest.mark.parametrize("change", [_append, _delete, _widen])
@pytest.mark.parametrize("method", ["copy_files", "insert_select", "register"])
def test_a_change_is_brought_over_and_proven(tmp_path: Path, change: Callable[[Table], None], method: str) -> None:
    m = Migration(tmp_path, method=method).validated()
    change(m.native.load_table("lake.t"))
    assert catch_up(m.site, m.plan, m.table) == {"rounds": 1}
    assert m.rows("target", STAGED) == m.rows("source", "t")
    assert m.state.state is State.VALIDATED
    head = m.native.load_table("lake.t").current_snapshot()
    assert head is not None
    assert m.state.validation["source_snapshot_id"] == head.snapshot_id


@pytest.mark.parametrize("method", ["copy_files", "insert_select"])
def test_no_file_of_an_earlier_round_is_left(tmp_path: Path, method: str) -> None:
    m = Migration(tmp_path, method=method).validated()
    m.append(1000)
    catch_up(m.site, m.plan, m.table)
    m.native.load_table("lake.t").delete("id < 50")
    catch_up(m.site, m.plan, m.table)
    assert m.target_files() == _referenced(m)
    assert m.rows("target", STAGED) == m.rows("source", "t")


def test_files_of_a_copy_that_died_and_whose_source_moved_on_are_removed(tmp_path: Path) -> None:
    m = Migration(tmp_path)

    class Dies(LocalEngine):
        def submit(self, job: JobSpec, token: str) -> JobRef:
            super().submit(job, token)
            raise KeyboardInterrupt

    def engine(progress: Progress) -> LocalEngine:
        return Dies(m.source, m.target, m.ledger, progress)

    with pytest.raises(KeyboardInterrupt):
        copy_table(replace(m.site, engine=engine), m.plan, m.table)
    first = m.target_files()
    table = m.native.load_table("lake.t")
    table.overwrite(shapes.rows(0, 3))
    table.maintenance.expire_snapshots().by_id(table.metadata.snapshots[0].snapshot_id).commit()
    copy_table(m.site, m.plan, m.table)
    assert first - m.target_files()
    assert m.target_files() == _referenced(m)
    assert m.rows("target", STAGED) == m.rows("source", "t")


def test_an_appended_window_does_not_copy_the_rest_again(tmp_path: Path) -> None:
    m = Migration(tmp_path, method="insert_select").validated()
    m.append(1000, 5)
    found = sync_table(m.site, m.plan, m.table)
    assert found["moved"] is True
    table = m.target.native.load_table(("lake", STAGED))
    assert len(table.metadata.snapshots) == 2
    summary = table.metadata.snapshots[-1].summary
    assert summary is not None
    assert summary["added-records"] == "5"
    assert summary["icebridge.token"]


def test_an_unmoved_source_is_left_alone(tmp_path: Path) -> None:
    m = Migration(tmp_path).validated()
    before = m.target_files()
    assert sync_table(m.site, m.plan, m.table) == {"moved": False, "state": "validated"}
    assert m.target_files() == before
    assert m.events(Step.SYNC) == []


def test_what_is_not_copied_or_cut_over_already_is_left_alone(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    assert m.plan.tables
    assert sync_table(m.site, m.plan, m.table) == {"moved": False, "state": "planned"}
    m.switched()
    assert sync_table(m.site, m.plan, m.table) == {"moved": False, "state": "cut over"}


def _restless(m: Migration, times: int) -> Site:
    """A site whose source is written whenever it has been copied, so many times."""
    left = times

    class Restless(LocalEngine):
        def poll(self, job: JobRef) -> JobStatus:
            nonlocal left
            if left:
                left -= 1
                m.append(10_000 + left, 1)
            return super().poll(job)

    return replace(m.site, engine=lambda progress: Restless(m.source, m.target, m.ledger, progress))


def test_a_source_that_is_written_all_the_time_is_given_up_naming_how_often(tmp_path: Path) -> None:
    m = Migration(tmp_path).validated()
    m.append()
    with pytest.raises(TransientError, match="IB-610") as caught:
        catch_up(_restless(m, 10), m.plan, m.table, rounds=2)
    assert "was written 2 times" in str(caught.value)
    assert m.state.state is State.VALIDATED


def test_a_source_that_rests_after_the_last_round_is_caught_up(tmp_path: Path) -> None:
    m = Migration(tmp_path).validated()
    m.append()
    assert catch_up(_restless(m, 1), m.plan, m.table, rounds=2) == {"rounds": 2}
    assert m.rows("target", STAGED) == m.rows("source", "t")


def test_rows_that_somebody_wrote_to_the_copy_are_not_overwritten(tmp_path: Path) -> None:
    m = Migration(tmp_path).validated()
    m.target.native.load_table(("lake", STAGED)).append(shapes.rows(9000, 1))
    m.append()
    with pytest.raises(ConfigurationError, match="IB-606"):
        sync_table(m.site, m.plan, m.table)
    assert len(m.rows("target", STAGED)) == 101


def test_a_folder_that_holds_something_is_never_taken(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    folder = Path(m.table.location.removeprefix("file://"))
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "somebody.parquet").write_bytes(b"theirs")
    with pytest.raises(ConfigurationError, match="IB-607") as caught:
        copy_table(m.site, m.plan, m.table)
    assert "somebody.parquet" in str(caught.value)
    assert m.state.state is State.PLANNED
    assert m.target_files() == {str((folder / "data" / "somebody.parquet").relative_to(tmp_path / "target/warehouse"))}


def test_a_source_that_is_gone_is_named(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    assert m.plan.tables
    m.native.drop_table("lake.t")
    with pytest.raises(PreflightFailed, match="IB-601"):
        copy_table(m.site, m.plan, m.table)


class _Elsewhere:
    """An engine whose jobs run somewhere else and stand as given."""

    def __init__(self, status: JobStatus) -> None:
        self._status = status

    def submit(self, job: JobSpec, token: str) -> JobRef:
        return JobRef(engine="elsewhere", token=token, run_id=job.plan_id)

    def poll(self, job: JobRef) -> JobStatus:
        return self._status if job.token else JobStatus(state=JobState.RUNNING)

    def cancel(self, job: JobRef) -> None:
        """Nothing runs."""


def test_a_job_that_failed_is_not_taken_for_a_copy(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    status = JobStatus(state=JobState.FAILED, problem="out of memory")
    with pytest.raises(ConfigurationError, match=r"IB-609.*out of memory"):
        copy_table(replace(m.site, engine=lambda _: _Elsewhere(status)), m.plan, m.table)
    assert m.state.state is State.COPYING
    assert m.state.failures == {"copy": 1}
    assert m.events(Step.COPY, Outcome.DONE) == []


def test_a_job_that_still_runs_is_looked_at_again_later(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    running = _Elsewhere(JobStatus(state=JobState.RUNNING))
    with pytest.raises(TransientError, match="IB-608"):
        copy_table(replace(m.site, engine=lambda _: running), m.plan, m.table)
    assert m.state.failures == {}


def test_a_sweep_takes_metadata_before_the_files_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    m = Migration(tmp_path, method="insert_select").validated()
    m.native.load_table("lake.t").overwrite(shapes.rows(7000, 4))  # nothing of the old copy is of use any more
    deleted: list[str] = []
    delete = ObjectStore.delete
    monkeypatch.setattr(ObjectStore, "delete", lambda store, path: (deleted.append(path), delete(store, path))[1])
    sync_table(m.site, m.plan, m.table)
    is_metadata = [path.endswith(".metadata.json") for path in deleted]
    assert {True, False} == set(is_metadata)
    assert is_metadata == sorted(is_metadata, reverse=True)

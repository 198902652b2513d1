"""Copies that run elsewhere: one run a batch, found again after any crash, and only of a source that stood still."""

from __future__ import annotations

from pathlib import Path

import pytest

from icebridge_provider.exceptions import ConfigurationError, TransientError
from icebridge_provider.model.event import Outcome, State, Step
from icebridge_provider.model.plan import CopyMethod
from icebridge_provider.steps.copy import copy_table
from icebridge_provider.steps.remote_copy import start_copies
from icebridge_provider.steps.rollback import rollback_table
from icebridge_provider.steps.sync import catch_up
from icebridge_provider.steps.validate import validate_table
from tests.support import tables as shapes
from tests.support.elsewhere import RemoteMigration


@pytest.fixture
def migration(tmp_path: Path) -> RemoteMigration:
    return RemoteMigration(tmp_path)


def copy(migration: RemoteMigration, name: str = "t") -> dict[str, object]:
    return copy_table(migration.site, migration.plan, migration.plan.table(f"src.lake.{name}"))


def write(migration: RemoteMigration) -> None:
    """Somebody writes to the source."""
    migration.native.load_table("lake.t").append(shapes.rows(1000, 5))


def state(migration: RemoteMigration, name: str = "t") -> State:
    return migration.ledger.state(migration.plan.plan_id, f"src.lake.{name}").state


def test_a_table_is_cloned_elsewhere_proven_here_and_cut_over(migration: RemoteMigration) -> None:
    assert migration.table.method is CopyMethod.DEEP_CLONE
    assert migration.table.location == ""
    with pytest.raises(TransientError) as waiting:
        copy(migration)
    assert waiting.value.code == "IB-608"
    assert waiting.value.facts["run_id"] in migration.elsewhere.runs
    migration.elsewhere.work()
    result = copy(migration)
    assert result["rows"] == migration.native.load_table("lake.t").scan().to_arrow().num_rows
    verdict = validate_table(migration.site, migration.plan, migration.table)
    assert (verdict["passed"], verdict["kind"]) == (True, "fingerprint")
    migration.cut_over(migration.certify())
    assert state(migration) is State.CUT_OVER
    assert migration.target.native.table_exists("lake.t")


def test_a_batch_is_one_run(migration: RemoteMigration) -> None:
    for name in "abc":
        shapes.plain(migration.native, name)
    run_id = start_copies(migration.site, migration.plan, migration.plan.tables)
    assert {job.source.name for job, _ in migration.elsewhere.runs[run_id]} == {"a", "b", "c", "t"}
    migration.elsewhere.work()
    assert all(copy(migration, name)["run_id"] == run_id for name in "abct")
    assert migration.elsewhere.asked == 1
    assert start_copies(migration.site, migration.plan, migration.plan.tables) == ""


def test_whoever_comes_next_finds_the_run(migration: RemoteMigration) -> None:
    run_id = start_copies(migration.site, migration.plan, [migration.table])
    assert start_copies(migration.site, migration.plan, [migration.table]) == ""
    with pytest.raises(TransientError, match="IB-608"):
        copy(migration)
    assert list(migration.elsewhere.runs) == [run_id]
    assert len(migration.events(Step.COPY, Outcome.STARTED)) == 1


def test_a_crash_between_the_run_and_its_record_finds_it_by_its_name(migration: RemoteMigration) -> None:
    site = migration.site

    class Gone(Exception):
        pass

    class Dies:
        name = "elsewhere"

        def submit_all(self, jobs: object) -> None:
            migration.elsewhere.submit_all(jobs)  # type: ignore[arg-type]
            raise Gone

    object.__setattr__(site, "remote", Dies())
    with pytest.raises(Gone):
        start_copies(site, migration.plan, [migration.table])
    write(migration)
    run_id = start_copies(migration.site, migration.plan, [migration.table])
    assert list(migration.elsewhere.runs) == [run_id], "the pin of the first try names the run, not the new head"


def test_a_run_that_fails_is_told_and_tried_anew_by_another(migration: RemoteMigration) -> None:
    first = start_copies(migration.site, migration.plan, [migration.table])
    migration.elsewhere.work("no such privilege")
    with pytest.raises(ConfigurationError, match=r"IB-609.*no such privilege"):
        copy(migration)
    assert migration.state.failures == {"copy": 1}
    second = start_copies(migration.site, migration.plan, [migration.table])
    assert second not in {"", first}


def test_a_run_that_was_lost_is_tried_anew(migration: RemoteMigration) -> None:
    first = start_copies(migration.site, migration.plan, [migration.table])
    migration.elsewhere.work("spot instance lost", retryable=True)
    with pytest.raises(TransientError, match=r"IB-611.*spot instance lost"):
        copy(migration)
    assert migration.state.failures == {}, "a wave is not stopped by what is tried again by itself"
    assert "spot instance lost" in migration.state.problem
    second = start_copies(migration.site, migration.plan, [migration.table])
    assert second not in {"", first}
    migration.elsewhere.work()
    assert copy(migration)["run_id"] == second


def test_a_source_that_moved_while_it_was_copied_is_copied_again(migration: RemoteMigration) -> None:
    start_copies(migration.site, migration.plan, [migration.table])
    write(migration)
    migration.elsewhere.work()
    with pytest.raises(TransientError, match="IB-612"):
        copy(migration)
    start_copies(migration.site, migration.plan, [migration.table])
    migration.elsewhere.work()
    head = migration.native.load_table("lake.t").metadata.current_snapshot_id
    assert copy(migration)["source_snapshot_id"] == head
    assert validate_table(migration.site, migration.plan, migration.table)["passed"]


def test_a_source_that_moves_later_is_caught_up_by_a_run(migration: RemoteMigration) -> None:
    start_copies(migration.site, migration.plan, [migration.table])
    migration.elsewhere.work()
    copy(migration)
    write(migration)
    with pytest.raises(TransientError, match="IB-608"):
        catch_up(migration.site, migration.plan, migration.table)
    migration.elsewhere.work()
    assert catch_up(migration.site, migration.plan, migration.table) == {"rounds": 1}
    assert state(migration) is State.VALIDATED


def test_it_is_rolled_back_from_every_state(migration: RemoteMigration) -> None:
    start_copies(migration.site, migration.plan, [migration.table])
    migration.elsewhere.work()
    steps = [lambda: copy(migration), lambda: validate_table(migration.site, migration.plan, migration.table)]
    for reached in range(3):
        for step in steps[:reached]:
            step()
        rollback_table(migration.site, migration.plan, migration.table)
        assert state(migration) is State.ROLLED_BACK
        assert not migration.target.native.table_exists(("lake", migration.table.staged.name))
        start_copies(migration.site, migration.plan, [migration.table])
        migration.elsewhere.work()


def test_a_copy_that_was_used_is_not_overwritten(migration: RemoteMigration) -> None:
    start_copies(migration.site, migration.plan, [migration.table])
    migration.elsewhere.work()
    copy(migration)
    validate_table(migration.site, migration.plan, migration.table)
    migration.cut_over(migration.certify())
    used = migration.target.native.load_table("lake.t")
    used.append(used.scan().to_arrow())
    rollback_table(migration.site, migration.plan, migration.table)
    with pytest.raises(ConfigurationError, match="IB-606"):
        copy(migration)
    assert start_copies(migration.site, migration.plan, [migration.table]) == ""


def test_a_table_goes_back_and_forth(migration: RemoteMigration) -> None:
    for _ in range(2):
        start_copies(migration.site, migration.plan, [migration.table])
        with pytest.raises(TransientError, match="IB-608"):
            copy(migration)
        migration.elsewhere.work()
        copy(migration)
        write(migration)
        with pytest.raises(TransientError, match="IB-608"):
            catch_up(migration.site, migration.plan, migration.table)
        migration.elsewhere.work()
        assert catch_up(migration.site, migration.plan, migration.table) == {"rounds": 1}
        migration.cut_over(migration.certify())
        assert rollback_table(migration.site, migration.plan, migration.table)["kept"]

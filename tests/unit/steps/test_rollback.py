"""Rollback from every state, what it keeps, and what a new copy must not overwrite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from icebridge_provider.exceptions import ConfigurationError, PreflightFailed
from icebridge_provider.model.event import Outcome, State, Step
from icebridge_provider.planning.cutover import actions, bound
from icebridge_provider.steps.copy import copy_table
from icebridge_provider.steps.purge import purge_table
from icebridge_provider.steps.rollback import rollback_table
from icebridge_provider.steps.sync import sync_table
from tests.support import tables as shapes
from tests.support.migration import EVENTS, PLAN, Migration, Stopped, StoppingLedger, dies_before

ARCHIVED, STAGED = "t__archived_20260110", "t__icebridge_p1"


def _planned(m: Migration) -> None:
    assert m.plan.tables


def _copied(m: Migration) -> None:
    m.copied()


def _synced(m: Migration) -> None:
    m.copied()
    m.append()
    sync_table(m.site, m.plan, m.table)


def _validated(m: Migration) -> None:
    m.validated()


def _certified(m: Migration) -> None:
    m.certified()


@pytest.mark.parametrize("reach", [_copied, _synced, _validated, _certified])
@pytest.mark.parametrize("method", ["copy_files", "insert_select", "register"])
def test_before_the_cut_over_nothing_of_the_copy_is_left(
    tmp_path: Path, reach: Callable[[Migration], None], method: str
) -> None:
    m = Migration(tmp_path, method=method)
    reach(m)
    before = m.rows("source", "t")
    assert m.entries("target") == {STAGED}
    done = rollback_table(m.site, m.plan, m.table)
    assert done == {"undone": [], "kept": "", "already": False}
    assert m.state.state is State.ROLLED_BACK
    assert m.entries("target") == set()
    assert m.target_files() == set()
    assert m.rows("source", "t") == before


def test_there_is_nothing_to_undo_before_the_copy(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    _planned(m)
    head = m.ledger.head()
    assert rollback_table(m.site, m.plan, m.table) == {"undone": [], "already": True}
    assert m.state.state is State.PLANNED
    assert m.ledger.head()[1] == head[1]


def test_after_the_cut_over_the_source_is_back_and_the_used_copy_is_kept(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    before = m.rows("source", "t")
    m.switched()
    m.target.native.load_table("lake.t").append(shapes.rows(5000, 3))
    done = rollback_table(m.site, m.plan, m.table)
    assert done == {"undone": ["pointer", "archive", "publish"], "kept": f"dst.lake.{STAGED}", "already": False}
    assert m.entries("source") == {"t"}
    assert m.rows("source", "t") == before
    assert len(m.rows("target", STAGED)) == 103
    assert m.native.load_table("lake.t").properties["icebridge.moved-to"] == ""


def test_a_second_rollback_does_nothing(tmp_path: Path) -> None:
    m = Migration(tmp_path).switched()
    rollback_table(m.site, m.plan, m.table)
    assert rollback_table(m.site, m.plan, m.table) == {"undone": [], "already": True}
    assert m.entries("target") == {STAGED}


def test_a_copy_that_was_written_in_use_is_not_overwritten_by_a_new_one(tmp_path: Path) -> None:
    m = Migration(tmp_path).switched()
    m.target.native.load_table("lake.t").append(shapes.rows(5000, 3))
    rollback_table(m.site, m.plan, m.table)
    with pytest.raises(ConfigurationError, match="IB-606"):
        copy_table(m.site, m.plan, m.table)
    assert len(m.rows("target", STAGED)) == 103


def test_a_copy_that_nobody_wrote_makes_way_for_a_new_one(tmp_path: Path) -> None:
    m = Migration(tmp_path).switched()
    rollback_table(m.site, m.plan, m.table)
    m.append()
    assert copy_table(m.site, m.plan, m.table)["already"] is False
    assert m.rows("target", STAGED) == m.rows("source", "t")


@pytest.mark.parametrize("number", range(EVENTS))
def test_a_cut_over_that_died_anywhere_can_be_rolled_back(tmp_path: Path, number: int) -> None:
    m = Migration(tmp_path)
    digest, before = m.certified(), m.rows("source", "t")
    assert dies_before(m, digest, number)
    rollback_table(m.site, m.plan, m.table)
    assert m.state.state is State.ROLLED_BACK
    assert m.entries("source") == {"t"}
    assert m.rows("source", "t") == before
    assert m.entries("target") <= {STAGED}
    assert m.state.applied == ()


@pytest.mark.parametrize("number", range(5))  # started, three undone, done
def test_a_rollback_that_died_anywhere_keeps_what_was_in_use(tmp_path: Path, number: int) -> None:
    m = Migration(tmp_path).switched()
    before = m.rows("target", "t")
    site = replace(m.site, ledger=StoppingLedger(m.ledger, number))  # type: ignore[arg-type]
    with pytest.raises(Stopped):
        rollback_table(site, m.plan, m.table)
    done = rollback_table(m.site, m.plan, m.table)
    assert done["kept"] == f"dst.lake.{STAGED}"
    assert m.rows("target", STAGED) == before
    assert m.rows("source", "t") == before


def test_rows_written_before_the_ledger_knew_of_the_publication_are_kept(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    assert dies_before(m, m.certified(), 2)  # published, and the ledger was not told
    m.target.native.load_table("lake.t").append(shapes.rows(5000, 3))
    done = rollback_table(m.site, m.plan, m.table)
    assert done["kept"] == f"dst.lake.{STAGED}"
    assert len(m.rows("target", STAGED)) == 103


@pytest.mark.parametrize("dropped", [False, True])
def test_rolling_back_a_begun_publication_leaves_somebody_elses_table_alone(tmp_path: Path, dropped: bool) -> None:
    m = Migration(tmp_path)
    assert dies_before(m, m.certified(), 1)
    staged = m.target.load(m.table.staged)
    assert staged is not None
    publish = bound(actions(m.table, source_writable=True, date="20260110")[0], str(staged.metadata["table-uuid"]))
    m.site.record(PLAN, "src.lake.t", Step.CUT_OVER, Outcome.INTENT, publish)
    m.occupy("target", "t")
    if dropped:
        m.target.drop_entry(m.table.staged)
    rollback_table(m.site, m.plan, m.table)
    assert m.state.state is State.ROLLED_BACK
    assert m.entries("target") == {"t"}
    assert len(m.rows("target", "t")) == 2
    assert not any("t-p1" in path for path in m.target_files())


def test_a_copy_that_somebody_renamed_keeps_its_files(tmp_path: Path) -> None:
    m = Migration(tmp_path).validated()
    m.target.rename(m.table.staged, "mine")
    rollback_table(m.site, m.plan, m.table)
    assert m.entries("target") == {"mine"}
    assert len(m.rows("target", "mine")) == 100


def test_a_new_table_that_somebody_dropped_does_not_stop_the_source_from_coming_back(tmp_path: Path) -> None:
    m = Migration(tmp_path).switched()
    m.target.drop_entry(m.table.target)
    rollback_table(m.site, m.plan, m.table)
    assert m.entries("source") == {"t"}
    assert m.state.state is State.ROLLED_BACK


def test_a_name_that_was_taken_meanwhile_stops_the_rollback_with_both_tables_whole(tmp_path: Path) -> None:
    m = Migration(tmp_path).switched()
    m.occupy("source", "t")
    with pytest.raises(ConfigurationError, match="IB-206"):
        rollback_table(m.site, m.plan, m.table)
    assert m.entries("source") == {"t", ARCHIVED}
    assert len(m.rows("source", ARCHIVED)) == 100 == len(m.rows("target", "t"))
    m.native.drop_table("lake.t")
    assert rollback_table(m.site, m.plan, m.table)["undone"] == ["archive", "publish"]
    assert len(m.rows("source", "t")) == 100


def test_a_refused_copy_can_be_cleared_away_and_tried_again(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    assert m.plan.tables
    [task] = m.native.load_table("lake.t").scan().plan_files()
    data = Path(task.file.file_path.removeprefix("file://"))
    content = data.read_bytes()
    data.unlink()
    with pytest.raises(PreflightFailed):
        copy_table(m.site, m.plan, m.table)
    assert m.state.state is State.REFUSED
    rollback_table(m.site, m.plan, m.table)
    assert m.target_files() == set()
    data.write_bytes(content)
    copy_table(m.site, m.plan, m.table)
    assert m.rows("target", STAGED) == m.rows("source", "t")


def test_what_was_purged_cannot_be_rolled_back(tmp_path: Path) -> None:
    m = Migration(tmp_path).switched().later(days=40)
    purge_table(m.site, m.plan, m.table, "ada")
    with pytest.raises(ConfigurationError, match="IB-630"):
        rollback_table(m.site, m.plan, m.table)
    assert m.entries("target") == {"t"}


def test_what_is_being_purged_cannot_be_rolled_back(tmp_path: Path) -> None:
    m = Migration(tmp_path).switched().later(days=40)
    site = replace(m.site, ledger=StoppingLedger(m.ledger, 1))  # type: ignore[arg-type]
    with pytest.raises(Stopped):
        purge_table(site, m.plan, m.table, "ada")
    with pytest.raises(ConfigurationError, match="IB-630"):
        rollback_table(m.site, m.plan, m.table)
    assert m.events(Step.ROLLBACK) == []
    assert len(m.rows("target", "t")) == 100
    assert m.events(Step.PURGE, Outcome.STARTED)

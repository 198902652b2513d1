"""The ledger is lost; the tables themselves still say what they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from icebridge_provider.model.event import State
from icebridge_provider.state.rebuild import copies_in, rebuild
from icebridge_provider.steps.audit import verify_audit
from icebridge_provider.steps.rollback import rollback_table
from icebridge_provider.steps.status import status
from icebridge_provider.steps.validate import validate_table
from tests.support import tables
from tests.support.copying import CopyLake
from tests.support.ledgers import sqlite_ledger
from tests.support.migrations import Migration

SOURCE = "foreign.lake.plain"


def _two(lake: CopyLake) -> None:
    tables.plain(lake.native)
    tables.partitioned(lake.native)


@pytest.fixture
def made(tmp_path: Path) -> Migration:
    return Migration(folder=tmp_path, ledger=sqlite_ledger(tmp_path / "lost"), fill=_two)


def test_a_staged_copy_is_found_and_can_be_proven_again(made: Migration, tmp_path: Path) -> None:
    made.copied()
    ledger = sqlite_ledger(tmp_path / "new")
    assert rebuild(ledger, made.lake.target) == 2
    assert {state.table: state.state for state in ledger.states("move1")} == {
        "foreign.lake.partitioned": State.COPIED,
        SOURCE: State.COPIED,
    }
    plan = ledger.plan("move1")
    before = {str(table.source): table for table in made.plan.tables}
    for table in plan.tables:
        known = before[str(table.source)]
        same = ("source", "target", "staged", "method", "table_uuid", "metadata_location", "snapshot_id", "location")
        assert {name: getattr(table, name) for name in same} == {name: getattr(known, name) for name in same}
    site = replace(made.site, ledger=ledger)
    assert validate_table(site, plan, plan.table(SOURCE))["passed"]
    assert verify_audit(ledger, {})["ok"]


def test_a_published_copy_is_cut_over_and_can_go_back(made: Migration, tmp_path: Path) -> None:
    made.cut_over()
    ledger = sqlite_ledger(tmp_path / "new")
    assert rebuild(ledger, made.lake.target, made.lake.source) == 2
    assert {row["source"]: row["state"] for row in status(ledger, "move1")}[SOURCE] == "cut over"
    assert verify_audit(ledger, {})["problems"] == []
    plan = ledger.plan("move1")
    found = plan.table(SOURCE)
    assert made.lake.source.load(found.source) is None
    undone = rollback_table(replace(made.site, ledger=ledger), plan, found)["undone"]
    assert undone == ["pointer", "archive", "publish"]
    assert made.lake.source.load(found.source) is not None
    assert made.lake.target.load(found.target) is None


def test_what_is_recorded_is_left_alone(made: Migration) -> None:
    made.cut_over()
    head = made.ledger.head()
    assert rebuild(made.ledger, made.lake.target, made.lake.source) == 0
    assert made.ledger.head() == head
    assert made.ledger.plans() == ["move1"]


def test_twice_is_once(made: Migration, tmp_path: Path) -> None:
    made.copied()
    ledger = sqlite_ledger(tmp_path / "new")
    assert rebuild(ledger, made.lake.target) == 2
    head = ledger.head()
    assert rebuild(ledger, made.lake.target) == 0
    assert ledger.head() == head


def test_an_older_backup_is_brought_up_to_date(made: Migration, tmp_path: Path) -> None:
    from icebridge_provider.state.backup import backup, restore

    made.copied()
    backup(made.ledger, tmp_path / "file")
    made.cut_over()
    ledger = sqlite_ledger(tmp_path / "new")
    restore(ledger, tmp_path / "file")
    assert ledger.state("move1", SOURCE).state is State.COPIED
    assert rebuild(ledger, made.lake.target) == 2
    assert ledger.state("move1", SOURCE).state is State.CUT_OVER
    assert ledger.plan("move1") == made.plan


def test_a_table_somebody_works_on_is_left_alone(made: Migration, tmp_path: Path) -> None:
    made.copied()
    ledger = sqlite_ledger(tmp_path / "new")
    assert ledger.acquire("managed.lake.plain", "somebody", 600) is not None
    assert rebuild(ledger, made.lake.target) == 1
    assert ledger.state("move1", SOURCE).state is State.DISCOVERED


def test_other_people_s_tables_are_none_of_ours(made: Migration) -> None:
    made.copied()
    tables.plain(tables.open_catalog(made.folder / "target"), "theirs")
    odd = tables.plain(tables.open_catalog(made.folder / "target"), "odd")
    odd.transaction().set_properties(
        {"icebridge.plan-id": "x", "icebridge.source": "not three parts"}
    ).commit_transaction()
    assert {copy.table.target.name for copy in copies_in(made.lake.target)} == {"plain", "partitioned"}

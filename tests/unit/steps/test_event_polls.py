"""Poll after poll, over SQLite."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import cast

import pytest

from icebridge_provider.engines.dbapi.database import DbApi
from icebridge_provider.engines.dbapi.queue import DbApiEventQueue
from icebridge_provider.engines.dbapi.source import DbApiRowSource
from icebridge_provider.engines.dbapi.target import DbApiSyncTarget
from icebridge_provider.exceptions import TransientError
from icebridge_provider.model.bridge import Access, BridgeEvent, Grant, Rights, TargetTable
from icebridge_provider.ports import Ledger
from icebridge_provider.steps.event_polls import apply_waiting, lines
from icebridge_provider.steps.events import PollReport, SyncOptions, SyncSite
from tests.support.bridge import Recorded


class Everything:
    """Permissions of somebody who may do all."""

    def rights(self) -> Rights:
        return Rights(user="w", grants=(Grant(table="main.t", access=Access.READ_WRITE, max_delete_rows=0),))

    def audit(self, **_: str) -> None:
        return


class Away(DbApiSyncTarget):
    """A target that goes away once its inbox is there."""

    def table(self, name: str) -> TargetTable:
        raise TransientError("IB-820", "SQL Server does not answer.", remedy="Wait.")


def site(folder: Path, target: type[DbApiSyncTarget] = DbApiSyncTarget, most: int = 2) -> SyncSite:
    path = folder / "all.db"
    with sqlite3.connect(path) as opened:
        opened.execute("CREATE TABLE IF NOT EXISTS s (id INTEGER)")
        opened.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER)")
        opened.execute("INSERT INTO s VALUES (1)")
    database = DbApi(lambda: sqlite3.connect(path), "sqlite")
    made = SyncSite(
        queue=DbApiEventQueue(database),
        source=DbApiRowSource(database),
        target=target(database),
        permissions=Everything(),
        options=SyncOptions(name="x", max_events_per_poll=most),
        ledger=cast("Ledger", Recorded()),
        again=lambda call: call(),
    )
    made.queue.create()
    events = [
        BridgeEvent(event_id=f"e{number}", operation="INSERT", source_table="main.s", target_table="main.t")
        for number in range(5)
    ]
    made.queue.emit(events)
    return made


def test_it_polls_until_nothing_is_left_and_says_what_it_did(tmp_path: Path) -> None:
    said: list[str] = []
    done = apply_waiting(site(tmp_path), 100, say=said.append)
    assert (done["completed"], done["polls"], done["more"]) == (5, 3, False)
    assert said == ["x: 2 completed", "x: 2 completed", "x: 1 completed"]


def test_it_ends_after_the_poll_under_way_when_told_to(tmp_path: Path) -> None:
    made = site(tmp_path)
    told: list[str] = []
    done = apply_waiting(made, 100, lambda: bool(told), told.append)
    assert (done["completed"], done["polls"], done["more"]) == (2, 1, True)
    assert apply_waiting(made, 0)["polls"] == 0


def test_a_side_that_does_not_answer_ends_it_and_costs_no_attempt(tmp_path: Path) -> None:
    made = site(tmp_path, Away)
    with pytest.raises(TransientError, match=r"IB-893.*SQL Server does not answer"):
        apply_waiting(made, 100)
    assert {(event.status.value, event.attempt) for event in made.queue.events()} == {("pending", 0)}


def test_long_lists_are_cut_and_completed_events_only_counted() -> None:
    report = PollReport(completed=("a",), failed=tuple(f"f{number}" for number in range(30)), held={"h": "b"})
    assert lines("x", report)[0] == "x: 1 completed"
    assert lines("x", report)[1].endswith("f19 and 10 more")
    assert lines("x", report)[2] == "x: h waits for b"

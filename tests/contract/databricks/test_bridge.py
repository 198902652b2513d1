"""The events table and sources of the bridge in a local workspace. The whole suite: tests/contract/bridge."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from icebridge_provider.engines.databricks.bridge import WorkspaceEventQueue
from icebridge_provider.engines.databricks.row_source import WorkspaceRowSource
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.bridge import BridgeEvent, EventStatus, Settled
from tests.support.bridge import COLUMNS, an_event
from tests.support.bridge_databricks import DatabricksWorld, statements
from tests.support.databricks import Workspace


@pytest.fixture(scope="module")
def world(databricks: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatabricksWorld]:
    made = DatabricksWorld(databricks, tmp_path_factory.mktemp("bridge"))
    made.queue.create()
    made.make_source("s", COLUMNS, [(1, "one"), (2, "two"), (3, "O'Brien")])
    yield made
    made.close()


def ended(event: BridgeEvent, status: EventStatus) -> Settled:
    return Settled(
        event_id=event.event_id, payload=event.payload, attempt=event.attempt, status=status, rows_affected=2,
        discrepancy=1, warning="one is missing",
    )  # fmt: skip


def test_an_events_life(world: DatabricksWorld) -> None:
    event = an_event(
        world, "e'1", "DELETE", primary_keys=("id", "odd`key"), priority=4, rows_expected=3,
        filter_conditions={"naïve; --": "O'Brien :x ?"}, metadata={"requested_by": "maria"},
    )  # fmt: skip
    world.queue.emit([event, an_event(world, "b")])
    with pytest.raises(ConfigurationError, match="IB-843"):
        world.queue.emit([an_event(world, "e'1")])
    first, second = world.queue.waiting_events(10)
    assert (first.payload, first.metadata, first.priority) == (event.payload, event.metadata, 4)
    assert (second.event_id, second.created_at > first.created_at) == ("b", True)
    (mine,) = world.queue.claim([first], "me", 60)
    assert (mine.status, mine.attempt, mine.payload) == (EventStatus.PROCESSING, 1, event.payload)
    world.queue.finish([(mine, ended(mine, EventStatus.BLOCKED))])
    world.queue.release("e'1", 17)
    again = world.queue.event("e'1")
    assert again is not None
    assert (again.status, again.released_rows, again.rows_affected) == (EventStatus.PENDING, 17, 2)
    assert [item.event_id for item in world.queue.waiting_events(1)] == ["e'1"]


def test_of_two_workers_at_once_one_gets_an_event(world: DatabricksWorld) -> None:
    world.queue.emit([an_event(world, "raced")])
    event = world.queue.event("raced")
    assert event is not None
    with ThreadPoolExecutor(2) as pool:
        claims = list(pool.map(lambda owner: world.queue.claim([event], owner, 60), ["x", "y"]))
    assert sum(len(claim) for claim in claims) == 1
    after = world.queue.event("raced")
    assert after is not None
    assert after.attempt == 1


def test_a_row_that_an_analyst_inserted_by_hand_is_an_event(world: DatabricksWorld) -> None:
    world.run(
        f"INSERT INTO {world.events} (event_id, operation, source_table, target_table, filter_conditions)"
        " VALUES ('by hand', 'INSERT', 'c.s.t', 'dbo.Hand', map('country', NULL)),"
        " ('twice', 'INSERT', 'c.s.t', 'dbo.Hand', NULL), ('twice', 'DELETE', 'c.s.t', 'dbo.Hand', NULL)"
    )
    found = {event.event_id: event for event in world.queue.ahead(["dbo.Hand"], 10)}
    assert {name: event.status for name, event in found.items()} == dict.fromkeys(found, EventStatus.PENDING)
    assert "holds a NULL" in found["by hand"].unreadable
    assert "several rows" in found["twice"].unreadable
    claimed = world.queue.claim(list(found.values()), "hand", 60)
    assert sorted((event.event_id, event.attempt) for event in claimed) == [("by hand", 1), ("twice", 1)]
    world.queue.finish([(event, ended(event, EventStatus.FAILED)) for event in claimed])
    assert world.queue.ahead(["dbo.Hand"], 10) == []


def test_rows_come_from_one_version_whatever_is_written_meanwhile(world: DatabricksWorld) -> None:
    table = f"{world.origin}.s"
    pin = world.source.pin(table)
    world.add("s", [(4, "late")])
    assert pin
    assert sorted(world.source.read(table, pin, ["id"], {}).read_all()["id"].to_pylist()) == [1, 2, 3]
    assert world.source.read(table, "", ["id"], {}).read_all().num_rows == 4
    assert world.source.read(table, pin, ["name"], {"name": "O'Brien", "id": "3"}).read_all().num_rows == 1
    assert world.source.read(table, pin, ["name"], {"name": "' OR '1'='1"}).read_all().num_rows == 0


def test_every_chunk_of_an_answer_is_read_though_a_link_runs_out(world: DatabricksWorld) -> None:
    world.run(
        f"CREATE TABLE {world.origin}.many USING ICEBERG AS SELECT id, CAST(id AS STRING) AS name FROM range(2345)"
    )
    workspace = world.workspace
    workspace.order("PATCH", "/statements", {"chunk_rows": 500})
    try:
        found = world.source.read(f"{world.origin}.many", "", ["name", "id"], {}).read_all()
    finally:
        workspace.order("PATCH", "/statements", {"chunk_rows": 5000})
    assert found.schema.names == ["name", "id"]
    assert sorted(found["id"].to_pylist()) == list(range(2345))


def test_views_and_policed_tables_are_read_without_a_pin(world: DatabricksWorld) -> None:
    world.run(f"CREATE VIEW {world.origin}.v AS SELECT id, name FROM {world.origin}.s WHERE id < 3")
    table = f"{world.origin}.v"
    pin = world.source.pin(table)
    assert pin == ""
    assert world.source.columns(table) == ["id", "name"]
    assert world.source.read(table, pin, ["id"], {"name": "two"}).read_all().to_pylist() == [{"id": 2}]


def test_who_may_not_read_or_write_is_told_what_is_missing(world: DatabricksWorld) -> None:
    world.workspace.principal("stranger")
    theirs = statements(world.workspace, "stranger")
    for call in (
        lambda: WorkspaceRowSource(theirs).pin(f"{world.origin}.s"),
        lambda: WorkspaceEventQueue(theirs, world.events).emit([an_event(world, "x")]),
        lambda: world.source.pin(f"{world.origin}.nothing"),
    ):
        with pytest.raises(ConfigurationError, match=r"IB-24[13]"):
            call()

"""What every adapter of the events table must do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.bridge import BridgeEvent, EventStatus, Settled
from tests.support.bridge import World, an_event


def ids(events: list[BridgeEvent]) -> list[str]:
    return [event.event_id for event in events]


def ended(event: BridgeEvent, status: EventStatus = EventStatus.COMPLETED) -> Settled:
    return Settled(
        event_id=event.event_id, payload=event.payload, attempt=event.attempt, status=status, rows_expected=3,
        rows_affected=2, discrepancy=1, warning="one is missing", error_message="",
    )  # fmt: skip


def take(world: World, *names: str) -> list[BridgeEvent]:
    """Emit events and claim them."""
    world.queue.emit([an_event(world, name) for name in names])
    return world.queue.claim(world.queue.waiting_events(10), "one", 60)


def test_an_event_comes_back_as_it_was_emitted(bare_world: World) -> None:
    event = an_event(
        bare_world, "e'1", "UPDATE", primary_keys=("id", 'odd "key"'), priority=-7, rows_expected=12,
        filter_conditions={"naïve; --": "O'Brien %s ?"}, metadata={"requested_by": "maria"},
        created_at="2026-01-02T03:04:05.000006Z",
    )  # fmt: skip
    bare_world.queue.emit([event])
    assert bare_world.queue.event("e'1") == event
    assert bare_world.queue.event("e'1").payload == event.payload
    assert bare_world.queue.event("other") is None


def test_creating_again_keeps_the_events(bare_world: World) -> None:
    bare_world.queue.emit([an_event(bare_world, "a")])
    bare_world.queue.create()
    assert ids(bare_world.queue.events()) == ["a"]


def test_the_same_event_again_is_success_and_another_under_its_id_is_refused(bare_world: World) -> None:
    event = an_event(bare_world, "a")
    bare_world.queue.emit([event])
    bare_world.queue.emit([event])
    with pytest.raises(ConfigurationError, match="IB-843"):
        bare_world.queue.emit([an_event(bare_world, "b"), replace(event, operation="DELETE")])
    assert ids(bare_world.queue.events()) == ["a"], "all or none"


def test_events_of_one_emit_keep_their_order(bare_world: World) -> None:
    names = ["c", "a", "d", "b"]
    bare_world.queue.emit([an_event(bare_world, name) for name in names])
    bare_world.queue.emit([an_event(bare_world, "0")])
    assert ids(bare_world.queue.waiting_events(10)) == [*names, "0"]


def test_waiting_events_come_by_priority_time_and_id(bare_world: World) -> None:
    early, late = "2026-01-01T00:00:00.000000Z", "2026-01-02T00:00:00.000000Z"
    bare_world.queue.emit(
        [
            an_event(bare_world, "b", created_at=early),
            an_event(bare_world, "B", created_at=early),
            an_event(bare_world, "low", priority=-1, created_at=early),
            an_event(bare_world, "top", priority=5, created_at=late),
        ]
    )
    assert ids(bare_world.queue.waiting_events(10)) == ["top", "B", "b", "low"]
    assert ids(bare_world.queue.waiting_events(2)) == ["top", "B"]


def test_a_claim_is_one_owners_and_counts(bare_world: World) -> None:
    claimed = take(bare_world, "a", "b")
    assert sorted((event.event_id, event.attempt, event.claimed_by, event.status) for event in claimed) == [
        ("a", 1, "one", EventStatus.PROCESSING),
        ("b", 1, "one", EventStatus.PROCESSING),
    ]
    assert bare_world.queue.claim(claimed, "two", 60) == []
    assert sorted(ids(bare_world.queue.claim(claimed, "one", 60))) == ["a", "b"], "asked twice it answers the same"
    assert bare_world.queue.event("a").attempt == 1
    assert bare_world.queue.waiting_events(10) == []


def test_a_claim_whose_time_is_over_is_anybodys(bare_world: World) -> None:
    first = take(bare_world, "a")
    bare_world.expire("a")
    (waiting,) = bare_world.queue.waiting_events(10)
    assert (waiting.status, waiting.attempt) == (EventStatus.PENDING, 1)
    (second,) = bare_world.queue.claim([waiting], "two", 60)
    assert second.attempt == 2
    bare_world.queue.finish([(first[0], ended(first[0], EventStatus.FAILED))])
    bare_world.queue.give_back(first, "a zombie")
    found = bare_world.queue.event("a")
    assert (found.status, found.claimed_by, found.error_message) == (EventStatus.PROCESSING, "two", "")


def test_how_it_ended_is_written_and_the_question_stays(bare_world: World) -> None:
    (event,) = take(bare_world, "a")
    bare_world.queue.finish([(event, ended(event))])
    bare_world.queue.finish([(event, ended(event))])
    found = bare_world.queue.event("a")
    assert (found.status, found.rows_affected, found.discrepancy, found.warning) == (
        EventStatus.COMPLETED, 2, 1, "one is missing",
    )  # fmt: skip
    assert found.processed_at >= found.created_at
    assert found.payload == event.payload, "a redelivered event must be the same event"
    assert bare_world.queue.waiting()[0] == 0


def test_given_back_counts_only_where_it_was_tried(bare_world: World) -> None:
    claimed = {event.event_id: event for event in take(bare_world, "a", "b")}
    bare_world.queue.give_back([claimed["a"]], "a deadlock")
    bare_world.queue.give_back([claimed["b"]], "", tried=False)
    bare_world.queue.give_back([claimed["b"]], "again", tried=False)
    found = {event.event_id: event for event in bare_world.queue.waiting_events(10)}
    assert (found["a"].attempt, found["a"].error_message) == (1, "a deadlock")
    assert (found["b"].attempt, found["b"].error_message) == (0, "")


def test_the_mark_changes_with_what_can_be_claimed(bare_world: World) -> None:
    marks = [bare_world.queue.waiting()]
    (event,) = take(bare_world, "a")
    marks.append(bare_world.queue.waiting())
    bare_world.queue.give_back([event], "later")
    marks.append(bare_world.queue.waiting())
    bare_world.queue.emit([an_event(bare_world, "b")])
    marks.append(bare_world.queue.waiting())
    assert [count for count, _ in marks] == [0, 0, 1, 2]
    assert marks[0] == marks[1]
    assert len({mark for _, mark in marks}) == 3
    assert bare_world.queue.waiting() == marks[-1]


def test_ahead_shows_each_lane_from_its_beginning(bare_world: World) -> None:
    names = ["a", "b", "c", "d"]
    bare_world.queue.emit([an_event(bare_world, name, table="t") for name in names])
    bare_world.queue.emit([an_event(bare_world, "other", table="u"), an_event(bare_world, "far", table="T")])
    first, second = bare_world.queue.claim(bare_world.queue.waiting_events(2), "one", 60)
    assert {first.event_id, second.event_id} == {"a", "b"}
    bare_world.expire("b")
    found = bare_world.queue.ahead([f"{bare_world.schema}.t", f"{bare_world.schema}.u"], 3)
    assert sorted((event.event_id, event.status.value) for event in found) == [
        ("a", "processing"), ("b", "pending"), ("c", "pending"), ("other", "pending"),
    ]  # fmt: skip
    assert bare_world.queue.ahead([], 3) == []


def test_a_blocked_event_waits_for_a_person(bare_world: World) -> None:
    claimed = take(bare_world, "a", "b")
    bare_world.queue.finish([(event, ended(event, EventStatus.BLOCKED)) for event in claimed])
    assert bare_world.queue.waiting_events(10) == []
    assert len(bare_world.queue.ahead([f"{bare_world.schema}.t"], 10)) == 2
    bare_world.queue.release("a", 17)
    bare_world.queue.reject("b", "not that one")
    released, rejected = bare_world.queue.event("a"), bare_world.queue.event("b")
    assert (released.status, released.released_rows, released.attempt) == (EventStatus.PENDING, 17, 1)
    assert (rejected.status, rejected.error_message) == (EventStatus.REJECTED, "not that one")


def test_only_blocked_events_are_released_or_rejected(bare_world: World) -> None:
    bare_world.queue.emit([an_event(bare_world, "a")])
    for name in ("a", "none"):
        with pytest.raises(ConfigurationError, match="IB-8"):
            bare_world.queue.release(name, 1)
        with pytest.raises(ConfigurationError, match="IB-8"):
            bare_world.queue.reject(name, "no")
    assert bare_world.queue.event("a").status is EventStatus.PENDING


def test_a_warning_is_written_to_pending_events_only(bare_world: World) -> None:
    take(bare_world, "mine")
    bare_world.queue.emit([an_event(bare_world, "a")])
    bare_world.queue.note({"a": "waits for x", "mine": "waits for x"})
    assert bare_world.queue.event("a").warning == "waits for x"
    assert bare_world.queue.event("mine").warning == ""


def test_events_are_listed_newest_first(bare_world: World) -> None:
    claimed = take(bare_world, "a", "b")
    bare_world.queue.finish([(event, ended(event)) for event in claimed if event.event_id == "a"])
    assert ids(bare_world.queue.events()) == ["b", "a"]
    assert ids(bare_world.queue.events(status="completed")) == ["a"]
    assert ids(bare_world.queue.events(limit=1)) == ["b"]

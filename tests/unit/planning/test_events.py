from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icebridge_provider.model.bridge import BridgeEvent, EventStatus, TargetColumn, TargetTable
from icebridge_provider.planning.event_keys import key_values
from icebridge_provider.planning.events import boosts, order, stamped

LANE = "dbo.t"
BLOCKED, PROCESSING = EventStatus.BLOCKED, EventStatus.PROCESSING


def table(kind: str = "int", keys: tuple[tuple[str, ...], ...] = (("k",),)) -> TargetTable:
    columns = (TargetColumn(name="k", type=kind), TargetColumn(name="u", type="nvarchar(50)"))
    return TargetTable(schema="dbo", name="t", columns=columns, keys=keys)


def event(name: str, *, k: str | None = None, lane: str = LANE, **given: Any) -> BridgeEvent:
    filters = {} if k is None else {"k": k}
    created = given.pop("created_at", f"2026-01-01T00:00:00.{ord(name[0]):06}Z")
    return BridgeEvent(
        event_id=name, operation="UPDATE", source_table="s", target_table=lane, primary_keys=("k",),
        filter_conditions=filters, created_at=created, **given,
    )  # fmt: skip


def names(*events: BridgeEvent, tables: dict[str, TargetTable | None] | None = None, **given: Any) -> str:
    return "".join(found.event_id for found in order(events, tables or {LANE: table()}, **given).events)


def test_a_lane_runs_in_its_order_whatever_the_priorities() -> None:
    assert names(event("a"), event("b", priority=9), event("c", priority=5)) == "abc"


def test_lanes_go_by_priority_then_age_then_id() -> None:
    events = [event("a", lane="x"), event("b", lane="y", priority=1), event("c", lane="z", priority=1)]
    assert names(*events) == "bca"
    same = [replace(found, created_at="2026", priority=0) for found in events]
    assert names(*reversed(same)) == "abc"


def test_an_event_inherits_the_priority_of_those_that_wait_for_it() -> None:
    assert names(event("a"), event("b", lane="other", priority=4), event("c", priority=5)) == "acb"


def test_a_lane_inherits_the_priority_of_events_too_far_behind_to_be_seen() -> None:
    events = [event("a", lane="other", priority=1), event("b")]
    assert names(*events) == "ab"
    assert names(*events, boosts=boosts([*events, event("z", priority=7)])) == "ba"


def test_events_of_other_keys_overtake() -> None:
    assert names(event("a", k="1"), event("b", k="2", priority=9)) == "ba"
    assert names(event("a", k="1"), event("b", k="01", priority=9)) == "ab"
    assert names(event("a", k="1"), event("b", priority=9)) == "ab"


@pytest.mark.parametrize(
    ("kind", "one", "other", "commute"),
    [
        ("int", "1", "2", True),
        ("int", "1", " 1", False),
        ("int", "1", "1.0", False),
        ("int", "1", "x", False),
        ("nvarchar(20)", "CO", "BR", True),
        ("nvarchar(20)", "co", "CO", False),
        ("nvarchar(20)", "co", "co  ", False),
        ("nvarchar(20)", "café", "CAFE", False),
        ("nvarchar(20)", "co-op", "coop", False),
        ("nvarchar(20)", "strasse", "straße", False),
        ("nvarchar(20)", "\uff41", "a", False),
        ("nvarchar(20)", "日", "月", False),
        ("text", "a01", "a1", False),
        ("uniqueidentifier", "6F9619FF-8B86-D011-B42D-00C04FC964FF", "{6f9619ff-8b86-d011-b42d-00c04fc964ff}", False),
        ("uuid", "6f9619ff-8b86-d011-b42d-00c04fc964ff", "7f9619ff-8b86-d011-b42d-00c04fc964ff", True),
        ("datetime2(7)", "2024-01-01", "2024-01-02", False),
        ("float", "1", "2", False),
        ("decimal(10,2)", "1", "2", False),
    ],
)
def test_values_are_apart_only_where_no_collation_and_no_spelling_makes_them_one(
    kind: str, one: str, other: str, commute: bool
) -> None:
    found = names(event("a", k=one), event("b", k=other, priority=9), tables={LANE: table(kind)})
    assert found == ("ba" if commute else "ab")


@pytest.mark.parametrize(
    "keys", [(), (("u",),), (("k",), ("u",)), (("k", "u"), ("u",))], ids=["no key", "another", "two", "overlapping"]
)
def test_rows_that_could_meet_in_another_key_keep_their_order(keys: tuple[tuple[str, ...], ...]) -> None:
    found = names(event("a", k="1"), event("b", k="2", priority=9), tables={LANE: table(keys=keys)})
    assert found == "ab"


def test_a_table_that_cannot_be_described_keeps_its_order() -> None:
    assert names(event("a", k="1"), event("b", k="2", priority=9), tables={LANE: None}) == "ab"


def test_a_filter_on_a_column_that_is_no_key_of_the_event_makes_nothing_apart() -> None:
    other = replace(event("a", k="1"), primary_keys=("u",))
    assert key_values(other, table()) == {}


@pytest.mark.parametrize("status", [BLOCKED, PROCESSING])
def test_what_is_blocked_or_busy_holds_what_comes_after(status: EventStatus) -> None:
    found = order([event("a", k="1", status=status), event("b"), event("c", k="2"), event("d", k="1")], {LANE: table()})
    assert [each.event_id for each in found.events] == []
    assert found.held == {"b": "a", "c": "a", "d": "a"}
    apart = order([event("a", k="1", status=status), event("c", k="2"), event("d", k="1")], {LANE: table()})
    assert ([each.event_id for each in apart.events], apart.held) == (["c"], {"d": "a"})


def test_fresh_events_are_claimed_together_and_troubled_ones_alone() -> None:
    fresh = [event("a", lane="x"), event("b", lane="y")]
    troubled = [event("c", lane="z", attempt=1), event("d", lane="v", attempt=2)]
    found = order([*fresh, *troubled], {})
    assert [each.event_id for each in found.batch(10)] == ["a", "b"]
    assert [each.event_id for each in found.batch(1)] == ["a"]
    assert [each.event_id for each in found.batch(10, {"a", "b"})] == ["c"]
    assert [each.event_id for each in found.batch(10, {"a", "b", "c"})] == ["d"]


def test_what_waits_for_an_event_that_was_given_back_is_left_out() -> None:
    found = order([event("a"), event("b"), event("c"), event("x", lane="other")], {})
    assert [each.event_id for each in found.batch(10, {"a"})] == ["x"]


def test_times_are_a_microsecond_apart() -> None:
    given = [event("b", created_at=""), event("a", created_at="2020"), event("c", created_at="")]
    found = stamped(given, "2026-01-01T00:00:00.999999+01:00")
    assert [each.created_at for each in found] == [
        "2025-12-31T23:00:00.999999Z", "2020", "2025-12-31T23:00:01.000001Z",
    ]  # fmt: skip


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["x", "y"]), st.sampled_from([None, "1", "2", "3"]), st.integers(-2, 2),
        st.sampled_from([EventStatus.PENDING] * 4 + [BLOCKED, PROCESSING]),
    ),
    max_size=12,
)  # fmt: skip


@given(EVENTS)
def test_nothing_overtakes_what_it_must_wait_for(found: list[tuple[str, str | None, int, EventStatus]]) -> None:
    events = [
        event(chr(97 + place), k=k, lane=lane, priority=priority, status=status)
        for place, (lane, k, priority, status) in enumerate(found)
    ]
    result = order(events, {"x": table(), "y": table()})
    places = {each.event_id: place for place, each in enumerate(result.events)}
    for place, later in enumerate(events):
        for earlier in events[:place]:
            one, other = earlier.filter_conditions.get("k"), later.filter_conditions.get("k")
            if earlier.target_table == later.target_table and (one is None or other is None or one == other):
                assert later.event_id not in places or (
                    earlier.event_id in places and places[earlier.event_id] < places[later.event_id]
                )
    pending = {each.event_id for each in events if each.status is EventStatus.PENDING}
    assert set(places) == pending - set(result.held)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["k", "u"]), st.sampled_from(["1", "2", "x"]), max_size=2),
        max_size=9,
    )
)
def test_what_an_event_waits_for_is_what_it_does_not_commute_with(filters: list[dict[str, str]]) -> None:
    wide = table(keys=(("k", "u"),))
    events = [
        replace(event(chr(97 + place)), primary_keys=("k", "u"), filter_conditions=each)
        for place, each in enumerate(filters)
    ]
    found = order(events, {LANE: wide}).ahead
    values = [key_values(each, wide) for each in events]
    reached: dict[str, set[str]] = {}
    must: dict[str, set[str]] = {}
    for place, each in enumerate(events):
        pairs = [
            earlier.event_id
            for earlier, theirs in zip(events[:place], values, strict=False)
            if not any(theirs[name] != values[place][name] for name in theirs if name in values[place])
        ]
        must[each.event_id] = set(pairs).union(*(must[name] for name in pairs))
        waits = found[each.event_id]
        reached[each.event_id] = set(waits).union(*(reached[name] for name in waits))
    assert reached == must

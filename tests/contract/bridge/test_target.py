"""What every adapter of the target must do: one event, one transaction, one inbox row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from icebridge_provider.exceptions import IceBridgeError, TransientError
from icebridge_provider.model.bridge import BridgeEvent, EventStatus, Settled
from tests.support.bridge import COLUMNS, World, an_event, rows_of, work_of

COUNTED = [(1, "one"), (2, "two"), (3, "three")]


def apply(world: World, event: BridgeEvent, *, attempt: int = 1, most: int = 1000, strict: bool = False) -> Settled:
    work = work_of(world, replace(event, attempt=attempt), most_deleted=most, strict=strict)
    return world.target.apply(work, rows_of(world, work))


def failed(event: BridgeEvent, attempt: int, status: EventStatus = EventStatus.FAILED) -> Settled:
    return Settled(
        event_id=event.event_id, payload=event.payload, attempt=attempt, status=status, error_message="said so"
    )


def test_a_table_is_described_with_its_keys(world: World) -> None:
    found = world.target.table(f"{world.schema}.t")
    assert (found.path, [column.name for column in found.columns]) == (f"{world.schema}.t", ["id", "name"])
    assert found.keys == (("id",),)
    assert world.target.table(f"{world.schema}.T").name == "t", "found in any case, spelled as it is"
    with pytest.raises(IceBridgeError) as refused:
        world.target.table(f"{world.schema}.nothing")
    assert not refused.value.retryable


def test_rows_are_inserted_once(world: World) -> None:
    event = an_event(world, "a")
    first = apply(world, event)
    assert (first.status, first.rows_expected, first.rows_affected, first.discrepancy) == (
        EventStatus.COMPLETED, 3, 3, 0,
    )  # fmt: skip
    assert world.rows("t") == COUNTED
    world.add("s", [(4, "four")])
    assert apply(world, event, attempt=2) == first, "the first word stands"
    assert world.rows("t") == COUNTED
    assert world.target.settled(["a", "b"]) == {"a": first}


def test_rows_are_updated_by_the_whole_key(bare_world: World) -> None:
    columns = {"id": "int", "part": "text", "name": "text"}
    bare_world.make_source("s", columns, [(1, "x", "new"), (2, "y", "new")])
    bare_world.make_target("t", columns, ("id", "part"), [(1, "x", "old"), (1, "y", "old"), (2, "x", "old")])
    event = an_event(bare_world, "a", "UPDATE", primary_keys=("id", "part"))
    settled = apply(bare_world, event)
    assert (settled.rows_expected, settled.rows_affected, settled.discrepancy) == (2, 1, 1)
    assert "affected 1 rows, 2 were expected" in settled.warning
    assert bare_world.rows("t") == [(1, "x", "new"), (1, "y", "old"), (2, "x", "old")]


def test_rows_are_deleted_by_the_whole_key(bare_world: World) -> None:
    columns = {"id": "int", "part": "text"}
    bare_world.make_source("s", columns, [(1, "x"), (2, "y")])
    bare_world.make_target("t", columns, ("id", "part"), [(1, "x"), (1, "y"), (2, "x"), (2, "y")])
    settled = apply(bare_world, an_event(bare_world, "a", "DELETE", primary_keys=("part", "id")))
    assert settled.rows_affected == 2
    assert bare_world.rows("t") == [(1, "y"), (2, "x")]


def test_filters_choose_the_rows(world: World) -> None:
    settled = apply(world, an_event(world, "a", filter_conditions={"name": "two"}))
    assert settled.rows_affected == 1
    assert world.rows("t") == [(2, "two")]


def test_a_delete_over_its_limit_is_blocked_and_nothing_is_gone(world: World) -> None:
    apply(world, an_event(world, "a"))
    delete = an_event(world, "b", "DELETE")
    blocked = apply(world, delete, most=2)
    assert blocked.status is EventStatus.BLOCKED
    assert "would delete 3 rows, 2 are allowed" in blocked.error_message
    assert world.rows("t") == COUNTED
    assert apply(world, delete, attempt=1, most=99) == blocked, "the claim that was blocked, or a zombie, again"
    assert world.rows("t") == COUNTED
    released = apply(world, delete, attempt=2, most=3)
    assert (released.status, released.rows_affected) == (EventStatus.COMPLETED, 3)
    assert world.rows("t") == []


def test_a_delete_at_its_limit_goes_through(world: World) -> None:
    apply(world, an_event(world, "a"))
    assert apply(world, an_event(world, "b", "DELETE"), most=3).rows_affected == 3


def test_a_strict_sync_rolls_a_discrepancy_back(world: World) -> None:
    settled = apply(world, an_event(world, "a", rows_expected=4), strict=True)
    assert (settled.status, settled.rows_affected) == (EventStatus.FAILED, None)
    assert "IB-848" in settled.error_message
    assert world.rows("t") == []
    assert apply(world, an_event(world, "a", rows_expected=4), attempt=2) == settled


def test_the_database_refuses_and_all_rows_are_as_they_were(world: World) -> None:
    world.make_target("u", COLUMNS, rows=[(3, "here already")])
    with pytest.raises(IceBridgeError) as refused:
        apply(world, an_event(world, "a", table="u"))
    assert not refused.value.retryable
    assert world.rows("u") == [(3, "here already")]
    assert world.target.settled(["a"]) == {}, "whoever refuses says so by settle()"


@pytest.mark.parametrize(
    ("rows", "says"), [([(None, "x")], "NULL"), ([(7, "x"), (7, "y")], "more than once")], ids=["null", "twice"]
)
@pytest.mark.parametrize("operation", ["UPDATE", "DELETE"])
def test_keys_must_tell_rows_apart(world: World, operation: str, rows: list[tuple[object, str]], says: str) -> None:
    world.add("s", rows)
    with pytest.raises(IceBridgeError, match=f"IB-846.*{says}"):
        apply(world, an_event(world, "a", operation))
    assert world.target.settled(["a"]) == {}


def test_keys_are_equal_as_the_target_compares_them(bare_world: World) -> None:
    bare_world.make_source("s", {"id": "text", "name": "text"}, [("Key", "new")])
    bare_world.make_target("t", {"id": "ci_text", "name": "text"}, rows=[("KEY", "old")])
    assert apply(bare_world, an_event(bare_world, "a", "UPDATE")).rows_affected == 1
    assert bare_world.rows("t") == [("KEY", "new")]
    bare_world.add("s", [("kEY", "newer")])
    with pytest.raises(IceBridgeError, match="IB-846"):
        apply(bare_world, an_event(bare_world, "b", "DELETE"))


def test_an_ended_event_stays_ended(world: World) -> None:
    event = an_event(world, "a")
    first = world.target.settle(failed(event, 1))
    assert (first.status, first.error_message) == (EventStatus.FAILED, "said so")
    assert apply(world, event, attempt=9) == first
    assert world.target.settle(replace(failed(event, 9), status=EventStatus.REJECTED)) == first
    assert world.rows("t") == []


def test_a_completed_event_cannot_fail_afterwards(world: World) -> None:
    event = an_event(world, "a")
    first = apply(world, event)
    assert world.target.settle(failed(event, 5)) == first


def test_a_blocked_event_fails_only_by_a_later_claim_but_a_person_may_reject_it(world: World) -> None:
    apply(world, an_event(world, "a"))
    event = an_event(world, "b", "DELETE")
    blocked = apply(world, event, attempt=2, most=0)
    assert world.target.settle(failed(event, 2)) == blocked
    rejected = world.target.settle(failed(event, 2, EventStatus.REJECTED))
    assert rejected.status is EventStatus.REJECTED
    assert apply(world, event, attempt=3, most=99) == rejected
    assert world.rows("t") == COUNTED


def test_a_used_id_with_another_payload_is_refused(world: World) -> None:
    first = apply(world, an_event(world, "a", filter_conditions={"id": "1"}))
    with pytest.raises(IceBridgeError, match="IB-843"):
        apply(world, an_event(world, "a", filter_conditions={"id": "2"}))
    assert world.rows("t") == [(1, "one")]
    assert world.target.settled(["a"]) == {"a": first}


def test_a_source_that_stops_answering_leaves_no_trace(world: World) -> None:
    import pyarrow as pa

    schema = pa.schema([("id", pa.int64()), ("name", pa.string())])

    def broken() -> object:
        yield pa.RecordBatch.from_pylist([{"id": 1, "name": "one"}], schema=schema)
        raise TransientError("IB-850", "The source is gone.", remedy="Wait.")

    work = work_of(world, replace(an_event(world, "a"), attempt=1))
    with pytest.raises(TransientError):
        world.target.apply(work, pa.RecordBatchReader.from_batches(schema, broken()))
    assert (world.rows("t"), world.target.settled(["a"])) == ([], {})


def test_a_preview_shows_the_statement_and_changes_nothing(world: World) -> None:
    work = work_of(world, an_event(world, "a", rows_expected=5))
    shown = world.target.preview(work, rows_of(world, work))
    assert (shown.rows_expected, shown.rows_affected, shown.verdict) == (5, 3, EventStatus.COMPLETED)
    assert len(shown.statements) >= 1
    assert all("one" not in text for text in shown.statements), "values are bound"
    assert (world.rows("t"), world.target.settled(["a"])) == ([], {})
    assert apply(world, an_event(world, "a")).rows_affected == 3


def test_a_preview_says_what_would_be_blocked(world: World) -> None:
    apply(world, an_event(world, "a"))
    work = work_of(world, an_event(world, "b", "DELETE"), most_deleted=1)
    shown = world.target.preview(work, rows_of(world, work))
    assert (shown.verdict, shown.rows_affected) == (EventStatus.BLOCKED, 3)
    assert world.rows("t") == COUNTED


def test_no_rows_are_an_event_too(world: World) -> None:
    settled = apply(world, an_event(world, "a", filter_conditions={"id": "99"}))
    assert (settled.status, settled.rows_expected, settled.rows_affected) == (EventStatus.COMPLETED, 0, 0)


def test_values_arrive_as_they_were(bare_world: World) -> None:
    from decimal import Decimal

    columns = {"id": "int", "name": "text", "price": "number"}
    text = "O'Brien \"; DROP TABLE t; -- %s ? ü 😀\n"
    rows = [(-(2**63), text, None), (2**63 - 1, None, "0.01"), (0, "", "-12345678.90")]
    bare_world.make_source("s", columns, rows)
    bare_world.make_target("t", columns)
    apply(bare_world, an_event(bare_world, "a"))
    found = [(key, name, None if price is None else Decimal(str(price))) for key, name, price in bare_world.rows("t")]
    assert sorted(found) == sorted((key, name, None if price is None else Decimal(price)) for key, name, price in rows)


def test_odd_names_are_quoted(bare_world: World) -> None:
    columns = {"id": "int", 'a "name"; --': "text", "100%s ?": "text"}
    bare_world.make_source("s", columns, [(1, "x", "y")])
    bare_world.make_target("od'd", columns, rows=[(1, "", "")])
    event = an_event(bare_world, "a", "UPDATE", table="od'd", filter_conditions={"100%s ?": "y"})
    assert apply(bare_world, event).rows_affected == 1
    assert apply(bare_world, an_event(bare_world, "b", "DELETE", table="od'd")).rows_affected == 1

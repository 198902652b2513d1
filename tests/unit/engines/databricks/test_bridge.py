"""What the events table in a workspace does without a workspace: reading rows, and trying again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from icebridge_provider.catalogs.unity.statements import Rows
from icebridge_provider.engines.databricks.bridge import WorkspaceEventQueue, table_parts
from icebridge_provider.engines.databricks.row_source import WorkspaceRowSource, arrow_type
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, TransientError
from icebridge_provider.model.bridge import BridgeEvent, EventStatus
from icebridge_provider.planning.event_rules import check_shape
from icebridge_provider.sql.databricks_bridge import COLUMNS

NAMES = tuple(name for name, _ in COLUMNS)


class Script:
    """A warehouse that answers what a test says, and keeps what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), []

    def run(self, what: str, statement: str, values: Mapping[str, str] | None = None, *, right: str = "") -> Rows:
        self.asked.append((what, statement, dict(values or {}), right))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def row(**given: str | None) -> tuple[str | None, ...]:
    plain = {"event_id": "a", "operation": "INSERT", "source_table": "c.s.t", "target_table": "dbo.T"} | given
    return tuple(plain.get(name) for name in NAMES)


def answer(*rows: tuple[str | None, ...]) -> Rows:
    return Rows(columns=NAMES, rows=rows)


def read(*rows: tuple[str | None, ...]) -> list[BridgeEvent]:
    return WorkspaceEventQueue(Script(answer(*rows)), "main.a.bridge_events").waiting_events(10)


def clash(error_class: str = "DELTA_CONCURRENT_APPEND") -> ConfigurationError:
    return ConfigurationError("IB-247", "It failed.", remedy="", error_class=error_class)


def test_columns_that_an_analyst_left_null_take_their_defaults() -> None:
    (event,) = read(row(status="pending", priority="0", created_at="1767323045000006"))
    assert event == BridgeEvent(
        event_id="a", operation="INSERT", source_table="c.s.t", target_table="dbo.T",
        created_at="2026-01-02T03:04:05.000006Z",
    )  # fmt: skip
    check_shape(event)


def test_lists_and_maps_are_read_however_empty_ones_are_written() -> None:
    (event,) = read(row(status="pending", primary_keys='["id","Ü"]', filter_conditions='{"a":"x\\"y"}', metadata="[]"))
    assert (event.primary_keys, event.filter_conditions, event.metadata) == (("id", "Ü"), {"a": 'x"y'}, {})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"filter_conditions": '{"country":null}'}, "filter_conditions holds a NULL"),
        ({"primary_keys": '["id",null]'}, "primary_keys holds a NULL"),
        ({"status": "odd"}, "'odd'"),
    ],
)
def test_a_row_that_cannot_be_understood_is_an_event_that_fails(given: dict[str, str], says: str) -> None:
    (event,) = read(row(**({"status": "pending"} | given)))
    assert says in event.unreadable
    with pytest.raises(ConfigurationError, match="IB-840"):
        check_shape(event)


def test_two_rows_of_one_id_are_one_event_or_nobody_knows_which() -> None:
    same = row(status="pending", metadata='{"requested_by":"maria"}')
    assert [event.unreadable for event in read(row(status="pending"), same)] == [""]
    (event,) = read(row(status="pending"), row(status="pending", target_table="dbo.Other"))
    assert "several rows" in event.unreadable


def test_a_clash_is_tried_again_and_anything_else_is_not() -> None:
    event = BridgeEvent(event_id="a", operation="INSERT", source_table="c.s.t", target_table="dbo.T")
    script = Script(clash(), clash("COMMIT_CONFLICT"), answer(), answer(row(status="processing", claimed_by="me")))
    (mine,) = WorkspaceEventQueue(script, "main.a.b", pause_seconds=0).claim([event], "me", 1.5)
    assert mine.status is EventStatus.PROCESSING
    assert len({statement for _, statement, _, _ in script.asked[:3]}) == 1
    assert script.asked[0][2] == {"ids": '["a"]', "owner": "me", "micros": "1500000"}
    for error in (clash("DIVIDE_BY_ZERO"), TransientError("IB-248", "Conflict? Nobody knows.", remedy="")):
        with pytest.raises(IceBridgeError) as raised:
            WorkspaceEventQueue(Script(error), "main.a.b", pause_seconds=0).claim([event], "me", 1)
        assert raised.value is error


def test_a_clash_that_never_ends_is_told() -> None:
    event = BridgeEvent(event_id="a", operation="INSERT", source_table="c.s.t", target_table="dbo.T", attempt=1)
    script = Script(*[clash() for _ in range(6)])
    with pytest.raises(ConfigurationError, match="IB-247"):
        WorkspaceEventQueue(script, "main.a.b", pause_seconds=0).give_back([event], "later")
    assert script.answers == []


def test_the_seeds_table_gets_our_columns_and_another_table_is_refused() -> None:
    seed = [name for name in NAMES if name not in {"attempt", "claimed_by", "claimed_until", "released_rows"}]
    script = Script(Rows(columns=tuple(seed), rows=()), answer())
    WorkspaceEventQueue(script, "main.a.b").create()
    assert script.asked[1][1].startswith("ALTER TABLE `main`.`a`.`b` ADD COLUMNS (`attempt` INT, ")
    with pytest.raises(ConfigurationError, match=r"IB-870.*'operation'"):
        WorkspaceEventQueue(Script(Rows(columns=("event_id",), rows=())), "main.a.b").create()


def test_nothing_to_do_asks_nothing() -> None:
    queue = WorkspaceEventQueue(Script(), "main.a.b")
    queue.emit([])
    queue.finish([])
    queue.give_back([], "x")
    queue.note({})
    assert queue.claim([], "me", 1) == queue.ahead([], 5) == []


@pytest.mark.parametrize("name", ["", "t", "s.t", "a.b.c.d", "a..c", "`a.b.c"])
def test_what_is_no_name_of_a_table_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="IB-872"):
        table_parts(name)


@pytest.mark.parametrize(
    "kind", ["ARRAY<INT>", "MAP<STRING, INT>", "STRUCT<a: INT>", "VARIANT", "INTERVAL DAY", "VOID"]
)
def test_columns_that_cannot_be_brought_over_are_refused_by_name(kind: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"IB-873.*'odd'.*{kind[:5]}"):
        arrow_type({"odd": kind}, "c.s.t", "odd")
    with pytest.raises(ConfigurationError, match=r"IB-873.*'gone'"):
        arrow_type({"odd": kind}, "c.s.t", "gone")


@pytest.mark.parametrize(
    ("kind", "text"),
    [("DECIMAL(10,2)", "1.005"), ("INT", "1 OR 1=1"), ("DATE", "yesterday"), ("STRING", "a\0b"), ("BINARY", "x")],
)
def test_a_filter_that_the_warehouse_would_round_or_misread_is_refused(kind: str, text: str) -> None:
    class Streams:
        columns = (("c", kind),)

    class Warehouse(Script):
        def stream(self, *_: Any, **__: Any) -> Streams:
            return Streams()

    with pytest.raises(ConfigurationError, match=r"IB-847.*'c'"):
        WorkspaceRowSource(Warehouse()).read("c.s.t", "", ["c"], {"c": text})

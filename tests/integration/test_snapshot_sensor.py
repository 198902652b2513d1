"""The snapshot sensor and its trigger, over a real catalog and a real event loop."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from icebridge_provider.exceptions import ConfigurationError, TransientError
from tests.support import tables
from tests.support.dag_runs import Lakes, context, lakes

pytestmark = pytest.mark.airflow


@pytest.fixture
def lake(airflow_cli_home: Path, tmp_path: Path) -> Iterator[Lakes]:
    with lakes(tmp_path) as made:
        yield made


def sensor(**more: Any) -> Any:
    from icebridge_provider.sensors.snapshot import SnapshotSensor

    return SnapshotSensor(task_id="wait", conn_id="src", **{"table": "lake.a", **more})


def trigger(known: int | None, table: str = "lake.a") -> Any:
    from icebridge_provider.triggers.snapshot import SnapshotTrigger

    return SnapshotTrigger("src", table, known, seconds=0.05)


async def first(waiting: Any) -> dict[str, Any]:
    async for event in waiting.run():
        return dict(event.payload)
    raise AssertionError("the trigger ended without an event")


def head(lake: Lakes, name: str = "a") -> int:
    snapshot = lake.source.load_table(f"lake.{name}").current_snapshot()
    assert snapshot is not None
    return snapshot.snapshot_id


def test_another_head_than_the_known_one_ends_the_wait_at_once(lake: Lakes) -> None:
    tables.plain(lake.source, "a")
    assert sensor(known_snapshot_id=17).execute(context()) == head(lake)
    assert sensor(known_snapshot_id="").execute(context()) == head(lake)


@pytest.mark.parametrize("as_text", [True, False])
def test_the_known_head_is_waited_on_in_the_triggerer(lake: Lakes, as_text: bool) -> None:
    from airflow.sdk.exceptions import TaskDeferred

    tables.plain(lake.source, "a")
    known = str(head(lake)) if as_text else head(lake)
    with pytest.raises(TaskDeferred) as met:
        sensor(known_snapshot_id=known, poke_interval=5, timeout=90).execute(context())
    assert met.value.timeout == timedelta(seconds=90)
    assert met.value.method_name == "resume"
    assert met.value.trigger.serialize()[1] == {
        "conn_id": "src", "table": "lake.a", "known": head(lake), "seconds": 5,
    }  # fmt: skip


def test_a_table_without_a_snapshot_is_waited_on(lake: Lakes) -> None:
    from airflow.sdk.exceptions import TaskDeferred

    tables.without_snapshots(lake.source, "a")
    with pytest.raises(TaskDeferred):
        sensor().execute(context())


def test_the_trigger_survives_the_trip_to_the_triggerer(airflow_cli_home: Path) -> None:
    from airflow.sdk.serde import deserialize, serialize

    made = trigger(7)
    path, arguments = made.serialize()
    module, _, name = path.rpartition(".")
    again = getattr(importlib.import_module(module), name)(**deserialize(serialize(arguments)))
    assert again.serialize() == made.serialize()


def test_the_trigger_fires_when_somebody_writes_and_not_before(lake: Lakes) -> None:
    table = tables.plain(lake.source, "a")
    known = head(lake)

    async def scenario() -> dict[str, Any]:
        waiting = asyncio.create_task(first(trigger(known)))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        await asyncio.to_thread(table.append, tables.rows(200, 1))
        return await asyncio.wait_for(waiting, 20)

    assert asyncio.run(scenario()) == {"snapshot_id": head(lake)}
    assert head(lake) != known


def test_the_event_loop_goes_on_while_the_catalog_is_asked(lake: Lakes) -> None:
    tables.plain(lake.source, "a")

    async def scenario() -> float:
        waiting = asyncio.create_task(first(trigger(head(lake))))
        longest, loop = 0.0, asyncio.get_running_loop()
        for _ in range(50):
            before = loop.time()
            await asyncio.sleep(0.01)
            longest = max(longest, loop.time() - before)
        waiting.cancel()
        return longest

    asyncio.run(scenario())  # imports are paid for by the first look
    assert asyncio.run(scenario()) < 1.0


def test_what_the_trigger_met_is_raised_where_a_person_looks(lake: Lakes) -> None:
    event = asyncio.run(first(trigger(None, "lake.gone")))
    assert "IB-706" in event["problem"]
    with pytest.raises(ConfigurationError, match=r"IB-707.*IB-706"):
        sensor(table="lake.gone").resume(context(), event)
    with pytest.raises(TransientError, match="IB-707"):
        sensor().resume(context(), {"problem": "busy", "retryable": True})


@pytest.mark.parametrize("table", ["lake.gone", "nowhere.a", ""])
def test_a_table_that_is_not_there_is_named(lake: Lakes, table: str) -> None:
    with pytest.raises(ConfigurationError, match="IB-706"):
        sensor(table=table).execute(context())


def test_resuming_returns_the_new_head(airflow_cli_home: Path) -> None:
    assert sensor().resume(context(), {"snapshot_id": 5}) == 5

"""The watch of the events tables, in Airflow's own ack mode and over a real queue."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.bridge_home import BridgeHome, bridge_home

pytestmark = pytest.mark.airflow
SOON = 10.0
A_WHILE = 0.4  # several rounds of the watch


@pytest.fixture
def home(airflow_cli_home: Path, tmp_path: Path) -> Iterator[BridgeHome]:
    with bridge_home(tmp_path, ("orders", "stock")) as made:
        yield made


def trigger(sync: str = "", shared: bool = True) -> Any:
    from icebridge_provider.triggers.events import BridgeEventTrigger

    return BridgeEventTrigger(sync, shared)


class Triggerer:
    """Drives triggers as Airflow's triggerer does: subscribes, binds what they yield, and confirms it as kept."""

    def __init__(self, ack_timeout: float = 300.0) -> None:
        from airflow.triggers.shared_stream import SharedStreamManager

        self.manager = SharedStreamManager(ack_timeout=ack_timeout)
        self.told: dict[int, list[dict[str, Any]]] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}

    def start(self, number: int, made: Any, keeps: bool = True) -> None:
        self.told[number] = []
        self.tasks[number] = asyncio.create_task(self._drive(number, made, keeps))

    async def _drive(self, number: int, made: Any, keeps: bool) -> None:
        key = made.shared_stream_key()
        stream = self.manager.subscribe(trigger_id=number, trigger=made, key=key)
        try:
            async for event in made.filter_shared_stream(stream):
                seq = self.manager.bind_pending_event(trigger_id=number, key=key)
                self.told[number].append(dict(event.payload))
                if keeps and seq is not None:
                    self.manager.confirm_persisted([seq])
        finally:
            await self.manager.unsubscribe(number, key)

    async def until(self, number: int, count: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(SOON):
            while len(self.told[number]) < count:  # noqa: ASYNC110 - what it waits for is Airflow's, which sets no event
                await asyncio.sleep(0.01)
        return self.told[number]

    async def stop(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


def test_it_tells_once_of_each_change_and_claims_nothing(home: BridgeHome) -> None:
    async def scenario() -> list[dict[str, Any]]:
        airflow = Triggerer()
        airflow.start(1, trigger())
        await asyncio.sleep(A_WHILE)
        assert airflow.told[1] == []
        home.emit("e1")
        await airflow.until(1, 1)
        await asyncio.sleep(A_WHILE)
        home.emit("e2")
        told = await airflow.until(1, 2)
        await asyncio.sleep(A_WHILE)
        await airflow.stop()
        return told

    told = asyncio.run(scenario())
    assert [(item["sync"], item["waiting"], item["problem"]) for item in told] == [("orders", 1, ""), ("orders", 2, "")]
    assert told[0]["mark"] != told[1]["mark"]
    assert [(event.status.value, event.attempt) for event in home.queue().events()] == [("pending", 0)] * 2


def test_two_triggers_share_one_watch_and_each_hears_of_its_sync(home: BridgeHome) -> None:
    async def scenario() -> dict[int, list[str]]:
        airflow = Triggerer()
        airflow.start(1, trigger("orders"))
        airflow.start(2, trigger("stock"))
        airflow.start(3, trigger())
        home.emit("e1")
        home.emit("e2", sync="stock")
        await airflow.until(3, 2)
        await airflow.until(1, 1)
        await airflow.until(2, 1)
        groups = len(airflow.manager._groups)
        await airflow.stop()
        assert groups == 1
        return {number: sorted(item["sync"] for item in told) for number, told in airflow.told.items()}

    assert asyncio.run(scenario()) == {1: ["orders"], 2: ["stock"], 3: ["orders", "stock"]}


def test_what_airflow_did_not_keep_is_told_again(home: BridgeHome) -> None:
    """One of two triggers loses its event: the other is told again, instead of after minutes."""

    async def scenario() -> list[dict[str, Any]]:
        airflow = Triggerer(ack_timeout=0.3)
        airflow.start(1, trigger())
        airflow.start(2, trigger(), keeps=False)
        home.emit("e1")
        told = await airflow.until(1, 2)
        await airflow.stop()
        return told

    told = asyncio.run(scenario())
    assert told[0] == told[1]


def test_a_new_triggerer_tells_of_what_waits(home: BridgeHome) -> None:
    async def one() -> list[dict[str, Any]]:
        airflow = Triggerer()
        airflow.start(1, trigger(), keeps=False)
        told = await airflow.until(1, 1)
        await airflow.stop()  # it dies before Airflow has kept the event
        return told

    home.emit("e1")
    assert asyncio.run(one()) == asyncio.run(one())


def test_a_table_that_cannot_be_looked_at_stops_no_other_sync_and_is_on_record(home: BridgeHome) -> None:
    async def scenario() -> list[dict[str, Any]]:
        airflow = Triggerer()
        airflow.start(1, trigger())
        home.emit("e1", sync="stock")
        told = await airflow.until(1, 1)
        home.run(home.side, "ALTER TABLE away RENAME TO orders_events")
        home.emit("e2")
        await airflow.until(1, 2)
        await asyncio.sleep(A_WHILE)
        await airflow.stop()
        return told

    home.run(home.side, "ALTER TABLE orders_events RENAME TO away")
    told = asyncio.run(scenario())
    assert [item["sync"] for item in told] == ["stock", "orders"]
    kept = dict(home.ledger.documents("sync_health"))
    assert {name: (item["waiting"], item["problem"]) for name, item in kept.items()} == {
        "orders": (1, ""), "stock": (1, ""),
    }  # fmt: skip


def test_a_changed_file_of_syncs_is_taken_while_it_runs_and_a_broken_one_is_waited_out(home: BridgeHome) -> None:
    from icebridge_provider.hooks.watching import Watcher

    path = home.folder / "syncs.yaml"
    good = path.read_text()
    watcher = Watcher()
    assert sorted(look.sync for look in watcher.due()) == ["orders", "stock"]
    path.write_text("syncs: [")
    assert watcher.due() == []
    path.write_text(good.replace("name: stock", "name: renamed"))
    assert "renamed" in [look.sync for look in watcher.due()]


def test_a_task_that_waits_has_a_watch_of_its_own(home: BridgeHome) -> None:
    async def first() -> dict[str, Any]:
        async with asyncio.timeout(SOON):
            async for event in trigger("orders", shared=False).run():
                return dict(event.payload)
        raise AssertionError("the trigger ended without an event")

    home.emit("e1")
    assert asyncio.run(first())["sync"] == "orders"
    assert trigger("orders", shared=False).shared_stream_key() is None


def test_the_event_loop_goes_on_while_databases_are_asked(home: BridgeHome) -> None:
    async def scenario() -> float:
        airflow = Triggerer()
        airflow.start(1, trigger())
        loop, longest = asyncio.get_running_loop(), 0.0
        for _ in range(50):
            before = loop.time()
            await asyncio.sleep(0.01)
            longest = max(longest, loop.time() - before)
        await airflow.stop()
        return longest

    asyncio.run(scenario())  # imports are paid for by the first look
    assert asyncio.run(scenario()) < 1.0


@pytest.mark.parametrize("shared", [True, False])
def test_the_trigger_survives_the_trip_to_the_triggerer(airflow_cli_home: Path, shared: bool) -> None:
    from airflow.sdk.serde import deserialize, serialize

    path, arguments = trigger("orders", shared).serialize()
    module, _, name = path.rpartition(".")
    again = getattr(importlib.import_module(module), name)(**deserialize(serialize(arguments)))
    assert again.serialize() == (path, arguments)

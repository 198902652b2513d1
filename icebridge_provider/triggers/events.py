"""Watches the events tables of the syncs, for an asset watcher or for one waiting task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

if TYPE_CHECKING:
    from icebridge_provider.hooks.watching import Watcher
    from icebridge_provider.steps.event_watch import Bell, Look

STREAM = ("icebridge", "bridge_events")
SHORTEST_SLEEP = 0.05


class BridgeEventTrigger(BaseEventTrigger):
    """Fires when events of a sync wait; claims none, so that nothing is lost when a triggerer dies.

    The event is ``{"sync", "waiting", "mark", "problem"}``. All such triggers of a triggerer share one watch of all
    syncs, in Airflow's ack mode: what was told counts as told only when Airflow has kept it.

    :param sync: name of the sync; empty for all of ``[icebridge] syncs_file``, which is read anew at every round.
    :param shared: False for a task that waits: it gets a watch of its own, which tells at once what waits already.
    """

    def __init__(self, sync: str = "", shared: bool = True) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow has no type for it
        self.sync = sync
        self.shared = shared

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow needs to build this trigger in the triggerer."""
        return "icebridge_provider.triggers.events.BridgeEventTrigger", {"sync": self.sync, "shared": self.shared}

    def shared_stream_key(self) -> Hashable | None:
        """Return the one key of all watches, None for a watch of one's own."""
        return STREAM if self.shared else None

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:  # noqa: ARG003
        """Return what looks; kwargs may differ between those who share it, so none counts."""
        return EventStream()

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """Yield what is told of this trigger's sync."""
        async for told in shared_stream:
            if self.sync in {"", told["sync"]}:
                yield _event(told)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch alone."""
        stream = EventStream(self.sync)
        async for told, _ in stream.open_stream():
            yield _event(told)


class EventStream(SharedStreamProducer):
    """Looks at the syncs, each after its ``poll_seconds``, and tells what is new.

    Databases are asked in threads: the triggerer's event loop never waits. A look that fails is kept for the health
    probes and tried again; it never ends the stream.

    :param sync: name of the one sync to look at; empty for all.
    """

    def __init__(
        self, sync: str = "", watcher: Callable[[str], Watcher] | None = None, bell: Bell | None = None
    ) -> None:
        self._sync = sync
        self._open = watcher or _watcher
        self._bell = bell or _bell()

    async def open_stream(self) -> AsyncIterator[tuple[Any, Any]]:
        """Yield what to tell, and the name of its sync."""
        watcher = await asyncio.to_thread(self._open, self._sync)
        while True:
            for look in await asyncio.to_thread(watcher.due):
                if self._bell.rings(look, time.monotonic()):
                    yield look.to_json(), look.sync
            await asyncio.sleep(max(SHORTEST_SLEEP, watcher.seconds_left()))

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Note what Airflow did not keep: it is told again at the next look."""
        for item in batch:
            if item.outcome.failed or not item.outcome.acked:
                self._bell.unheard(str(item.broker_payload))


def _watcher(sync: str) -> Watcher:
    from icebridge_provider.hooks.watching import Watcher

    return Watcher(sync)


def _bell() -> Bell:
    from icebridge_provider.steps.event_watch import Bell

    return Bell()


def _event(told: dict[str, Any]) -> TriggerEvent:
    return TriggerEvent(told)  # type: ignore[no-untyped-call]  # Airflow has no type for it


def first_looks(sync: str) -> list[Look]:
    """Look once at a sync, or at all, without a triggerer.

    :raises ConfigurationError: IB-880, IB-881, or what is wrong with the file.
    """
    from icebridge_provider.hooks.watching import Watcher

    return Watcher(sync, strict=True).due(patience=None)

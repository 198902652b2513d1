"""Looks at the events tables of the configured syncs, each when it is due."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.model.redaction import scrubbed
from icebridge_provider.steps.event_watch import Journal, Look

if TYPE_CHECKING:
    from icebridge_provider.model.syncs import SyncConfig
    from icebridge_provider.ports import EventQueue

log = logging.getLogger(__name__)
FILE_SECONDS = 10.0  # how soon a changed file of syncs is noticed
LONGEST_PROBLEM = 500
AT_ONCE = 8
PATIENCE_SECONDS = 2.0


class Watcher:
    """Looks at one sync, or at all; the file of syncs is read at every round, so it may change meanwhile.

    :param sync: name of the one sync; empty for all.
    :param strict: whether a file that cannot be read is raised; else it is logged and tried again.
    """

    def __init__(self, sync: str = "", *, strict: bool = False) -> None:
        self._only = sync
        self._strict = strict
        self._next: dict[str, float] = {}
        self._journal: Journal | None = None
        self._told = ""
        self._queues: dict[SyncConfig, EventQueue] = {}
        self._running: dict[SyncConfig, Future[Look]] = {}
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="icebridge-look")

    def due(self, patience: float | None = PATIENCE_SECONDS) -> list[Look]:
        """Look at every sync that is due; return the looks that are over, and keep how they went.

        :param patience: seconds to wait; a database that needs longer holds up no other. None waits for all.
        """
        self._begin(time.monotonic())
        wait(self._running.values(), timeout=patience)
        over = [sync for sync, future in self._running.items() if future.done()]
        looks = [self._running.pop(sync).result() for sync in over]
        for sync in over:
            self._next[sync.name] = time.monotonic() + sync.poll_seconds
        for look in looks:
            self._keep(look)
        return looks

    def seconds_left(self) -> float:
        """Seconds until the next sync is due, a look may be over, or the file may have changed."""
        now = time.monotonic()
        resting = [when - now for when in self._next.values() if when > now]
        return 0.0 if self._running else min([FILE_SECONDS, *resting])

    def _begin(self, now: float) -> None:
        syncs = self._syncs()
        self._next = {sync.name: self._next.get(sync.name, now) for sync in syncs}
        busy = {sync.name for sync in self._running}
        for sync in syncs:
            if self._next[sync.name] <= now and sync.name not in busy:
                self._running[sync] = self._threads.submit(self._look, sync)

    def _syncs(self) -> list[SyncConfig]:
        from icebridge_provider.hooks.bridge import configured, named

        try:
            return [named(self._only)] if self._only else list(configured())
        except IceBridgeError as error:
            if self._strict:
                raise
            self._say(f"The syncs cannot be read: {error}")
            return []

    def _look(self, sync: SyncConfig) -> Look:
        """Look at one sync's events table; what goes wrong is in the look, and the next one connects anew."""
        from icebridge_provider.hooks.bridge import queue_of

        try:
            queue = self._queues[sync] = self._queues.get(sync) or queue_of(sync)
            waiting, mark = queue.waiting()
        except Exception as error:  # noqa: BLE001 - whatever it is, the apply task meets it where a person looks
            self._queues.pop(sync, None)
            return Look(sync=sync.name, problem=scrubbed(str(error))[:LONGEST_PROBLEM])
        return Look(sync=sync.name, waiting=waiting, mark=mark)

    def _keep(self, look: Look) -> None:
        """Keep a look; that it cannot be kept is said once and ends nothing."""
        if look.problem:
            self._say(f"The events of {look.sync} cannot be looked at: {look.problem}")
        try:
            self._kept().keep(look, time.monotonic())
        except Exception as error:  # noqa: BLE001 - the probes lack it, the events do not
            self._say(f"The ledger could not be told of it: {scrubbed(str(error))[:LONGEST_PROBLEM]}")

    def _kept(self) -> Journal:
        if self._journal is None:
            from icebridge_provider.hooks.ledger import LedgerHook

            self._journal = Journal(LedgerHook().ledger())
        return self._journal

    def _say(self, text: str) -> None:
        if text != self._told:
            self._told = text
            log.warning("%s", text)

"""Answers of the probes of the event syncs, from what the triggerer keeps in the ledger about its looks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from icebridge_provider.plugins.api.health import KEPT_SECONDS
from icebridge_provider.steps.event_watch import KIND, Watching, watching

Watched = list[tuple[str, float]]
"""Name and ``poll_seconds`` of each sync that a triggerer watches."""


class SyncHealth:
    """Whether the events of all watched syncs are looked at.

    ``live``: each within its time. ``ready``: and the last look met no problem. ``startup``: each was looked at ever.

    :param open_ledger: opens the ledger or raises.
    :param watched: reads which syncs are watched, or raises.
    """

    def __init__(
        self,
        open_ledger: Callable[[], Any],
        watched: Callable[[], Watched],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._open = open_ledger
        self._watched = watched
        self._clock = clock
        self._now = now
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._kept: list[Watching] | None = None

    def live(self) -> bool:
        """Whether somebody looks at every watched sync."""
        found = self._found()
        return found is not None and all(item.looked and not item.silent for item in found)

    def ready(self) -> bool:
        """Whether every watched sync was looked at in time and without a problem."""
        found = self._found()
        return found is not None and not any(item.wrong for item in found)

    def started(self) -> bool:
        """Whether every watched sync was ever looked at."""
        found = self._found()
        return found is not None and all(item.looked for item in found)

    def _found(self) -> list[Watching] | None:
        with self._lock:
            if self._clock() - self._asked_at >= KEPT_SECONDS:
                self._kept = self._ask()
                self._asked_at = self._clock()
            return self._kept

    def _ask(self) -> list[Watching] | None:
        try:
            syncs = self._watched()
            return watching(dict(self._open().documents(KIND)), syncs, self._now()) if syncs else []
        except Exception:  # noqa: BLE001 - whatever is wrong, the probe's answer is "not ok"; events status says what
            return None


def configured_syncs() -> Watched:
    """Return the syncs that the triggerer watches; none where another schedule, or no file, is configured.

    :raises ConfigurationError: what is wrong with the file.
    """
    from icebridge_provider.hooks.bridge import configured
    from icebridge_provider.hooks.settings import settings

    options = settings()
    if not options.syncs_file or options.events_schedule != "watch":
        return []
    return [(sync.name, sync.poll_seconds) for sync in configured()]

"""Answers of the probes. Each opens the ledger at most once in five seconds, however often it is asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

KEPT_SECONDS = 5.0


class Health:
    """Whether the ledger is there and of this version.

    :param open_ledger: opens the ledger or raises.
    """

    def __init__(self, open_ledger: Callable[[], Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._open = open_ledger
        self._clock = clock
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._ready = False
        self._started = False

    def ready(self) -> bool:
        """Whether the ledger answered within the last five seconds."""
        with self._lock:
            if self._clock() - self._asked_at >= KEPT_SECONDS:
                self._ready = self._ask()
                self._asked_at = self._clock()
                self._started = self._started or self._ready
            return self._ready

    def started(self) -> bool:
        """Whether the ledger has ever answered this process."""
        return self._started or self.ready()

    def _ask(self) -> bool:
        try:
            self._open().check_migrated()
        except Exception:  # noqa: BLE001 - whatever is wrong, the probe's answer is "not ok"; doctor says what
            return False
        return True

"""Caps how many tables one host copies at once, whatever the number of tasks and processes."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS_BETWEEN_LOOKS = 0.2


@contextmanager
def host_slot(limit: int, stop: Callable[[], None], folder: Path | None = None) -> Iterator[int]:
    """Hold one of the host's ``limit`` slots; wait while all are taken.

    A slot is an advisory lock on a file (``flock(2)``), so a killed process gives its slot back.

    :param stop: called before each look; raises to give up.
    """
    place = folder or Path(tempfile.gettempdir()) / f"icebridge-slots-{os.getuid()}"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        stop()
        for number in range(limit):
            with (place / f"{number}.lock").open("ab") as file:
                if _locked(file.fileno()):
                    yield number
                    return
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

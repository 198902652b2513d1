"""Processes of histories: begun by a fork, so that nothing is imported again, killed or stopped, and waited for."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from icebridge_provider import crash as points

LONGEST_SECONDS = 120
TOO_LONG = 124


def forked(log: Path, call: Callable[[], object]) -> int:
    """Begin a call in a process of its own and return its number; what it prints goes to ``log``.

    It ends with status 0, or with 1 when the call raised.
    """
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        call()
        status = 0
    except BaseException:  # noqa: BLE001 - it is reported, whatever it is
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def ended(child: int, seconds: float = LONGEST_SECONDS) -> int:
    """Wait for a process and return its exit status, or minus the signal that ended it; 124 when it took too long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return TOO_LONG


def stop_at(point: str, passage: int) -> None:
    """Have this process stop (SIGSTOP) at one passage of a crash point."""
    left = passage

    def stop(name: str) -> None:
        nonlocal left
        if name == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGSTOP)

    points.crash_point = stop

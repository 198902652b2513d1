"""Named crash points around every side effect, so that tests can kill the process at each of them.

``ICEBRIDGE_CRASH=copy.register.after#2`` kills the process with SIGKILL at the second passage of that point.
Without the variable a passage costs one comparison.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_TARGET, _, _COUNT = os.environ.get("ICEBRIDGE_CRASH", "").partition("#")
_left = int(_COUNT or 1)


def crash_point(name: str) -> None:
    """Kill this process if ``ICEBRIDGE_CRASH`` names this passage of the point ``name``."""
    if name != _TARGET:
        return
    global _left  # noqa: PLW0603 - the count of passages is the state of this module
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def side_effect(name: str) -> Iterator[None]:
    """Surround one side effect with the crash points ``<name>.before`` and ``<name>.after``."""
    crash_point(f"{name}.before")
    yield
    crash_point(f"{name}.after")

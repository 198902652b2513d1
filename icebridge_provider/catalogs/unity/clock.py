"""Turns the SDK's own retries off: it would send a POST again whose answer was lost.

There is no option for it, but retries wait by the clock that the SDK is given.
"""

from __future__ import annotations

import sys

from databricks.sdk.clock import RealClock


class NoWaiting(RealClock):
    """A clock that never waits: the error that a retry would wait for is raised instead."""

    def sleep(self, seconds: float) -> None:
        """Raise the error that is being dealt with."""
        error = sys.exc_info()[1]
        if error is not None:
            raise error
        super().sleep(seconds)

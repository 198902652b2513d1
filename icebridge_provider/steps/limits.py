"""Stops a wave that goes wrong before it goes on going wrong."""

from __future__ import annotations

from collections.abc import Iterable

from icebridge_provider.exceptions import LimitExceeded
from icebridge_provider.model.event import TableState
from icebridge_provider.model.settings import Settings

FEW = 10


def check_failures(states: Iterable[TableState], settings: Settings) -> None:
    """Make sure fewer than ``failure_limit`` tables failed and, of 10 or more, fewer than ``failure_percent``.

    :raises LimitExceeded: IB-650 naming the failed tables.
    """
    listed = list(states)
    failed = [state.table for state in listed if state.problem and state.failures]
    too_many = len(failed) >= settings.failure_limit
    share = len(listed) >= FEW and len(failed) * 100 >= settings.failure_percent * len(listed) and len(failed) > 1
    if too_many or share:
        raise LimitExceeded(
            "IB-650",
            f"{len(failed)} of {len(listed)} tables failed: {', '.join(failed[:5])}{' …' if len(failed) > 5 else ''}.",
            remedy="Look at them with `icebridge status`; then retry, or raise failure_limit or failure_percent.",
            changed="The wave stopped; finished tables keep their state, the rest was not begun.",
            failed=len(failed),
        )

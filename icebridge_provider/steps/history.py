"""What a table's events tell beyond its state: questions that a single fold does not answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from icebridge_provider.model.event import LedgerEvent, Outcome, Step
from icebridge_provider.planning.cutover import PUBLISH

COPYING = frozenset({Step.COPY, Step.SYNC})


def was_begun(events: Iterable[LedgerEvent]) -> bool:
    """Whether the table was copied before, or at least begun to be: its folder may hold files of that."""
    return any(event.step in COPYING and event.outcome in {Outcome.STARTED, Outcome.DONE} for event in events)


def begun_copy(events: Iterable[LedgerEvent]) -> dict[str, Any] | None:
    """Return the pin of a copy that was begun and has not ended, with the ``run_id`` of the run that does it."""
    found: dict[str, Any] | None = None
    for event in events:
        if event.step is Step.ROLLBACK:
            found = None
        elif event.step in COPYING and event.outcome is Outcome.STARTED:
            found = dict(event.data)
        elif event.step in COPYING and event.outcome is Outcome.PROGRESS:
            run = {key: event.data[key] for key in ("run_id",) if key in event.data}
            found = None if found is None else {**found, **run}
        elif event.step in COPYING:
            found = None
    return found


def last_run(events: Iterable[LedgerEvent]) -> str:
    """Return the id of the run that worked on the table last, empty when none did."""
    found = ""
    for event in events:
        if event.step in COPYING and event.data.get("run_id"):
            found = str(event.data["run_id"])
    return found


def attempts(events: Iterable[LedgerEvent]) -> int:
    """How often a copy (or sync) was begun anew: an attempt that is gone on with counts once."""
    return sum(event.step in COPYING and event.outcome is Outcome.STARTED for event in events)


def was_in_use(events: Iterable[LedgerEvent]) -> bool:
    """Whether the present copy has been the table under its final name; one that was undone at once has not."""
    used = False
    for event in events:
        if event.outcome is Outcome.APPLIED and event.data.get("action") == PUBLISH:
            used = True
        elif (event.outcome is Outcome.DONE and event.step in COPYING) or (
            event.outcome is Outcome.FAILED and event.step is Step.CUT_OVER
        ):
            used = False
    return used


def purge_begun(events: Iterable[LedgerEvent]) -> bool:
    """Whether files of the archived source may be deleted already."""
    begun = False
    for event in events:
        if event.step is Step.PURGE and event.outcome is Outcome.STARTED:
            begun = True
        elif event.step is Step.CUT_OVER and event.outcome is Outcome.DONE:
            begun = False
    return begun


def cut_over_at(events: Iterable[LedgerEvent]) -> str:
    """When the last cut-over ended, by the ledger's clock; empty when there was none."""
    found = ""
    for event in events:
        if event.step is Step.CUT_OVER and event.outcome is Outcome.DONE:
            found = event.at
    return found

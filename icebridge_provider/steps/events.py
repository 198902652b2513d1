"""The event sync: takes waiting events in order, does each exactly once, and writes down how it ended.

The target's inbox decides how an event ended; the queue's row and the ledger follow it. So a worker may die, lose an
answer or wake up late at any point: whoever comes next finds the inbox row and only marks the event.
"""

from __future__ import annotations

import secrets
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, TransientError
from icebridge_provider.model.bridge import (
    BridgeEvent,
    EventStatus,
    Operation,
    Preview,
    Settled,
    TargetTable,
)
from icebridge_provider.model.event import Outcome, Step
from icebridge_provider.planning import event_rules
from icebridge_provider.planning.events import Order, boosts, order
from icebridge_provider.ports import EventQueue
from icebridge_provider.steps import event_run
from icebridge_provider.steps.event_batch import Batch
from icebridge_provider.steps.event_run import Later
from icebridge_provider.steps.sync_site import Permissions, PollReport, SyncOptions, SyncSite

__all__ = [
    "Permissions", "PollReport", "SyncOptions", "SyncSite", "emit", "poll", "prepare", "preview", "reject", "release",
]  # fmt: skip

LANE_LENGTH = 200
FARTHEST_LOOK = 100


@dataclass(slots=True, kw_only=True)
class _Poll:
    """What one poll has found and done so far."""

    site: SyncSite
    tables: dict[str, TargetTable] = field(default_factory=dict)
    ended: dict[str, Settled] = field(default_factory=dict)
    tried: set[str] = field(default_factory=set)
    held: dict[str, str] = field(default_factory=dict)
    outage: str = ""
    more: bool = False
    moved: bool = False

    @property
    def left(self) -> int:
        return self.site.options.max_events_per_poll - len(self.ended) - len(self.tried)

    def take(self, batch: Batch) -> None:
        """Run a batch and keep what became of its events."""
        batch.run()
        pairs = batch.pairs()
        self.ended |= {event.event_id: result for event, result in pairs if isinstance(result, Settled)}
        self.tried |= {event.event_id for event, result in pairs if isinstance(result, Later) and result.tried}
        self.moved = any(isinstance(result, Settled) or result.tried for _, result in pairs)
        self.outage = batch.outage

    def report(self) -> PollReport:
        def of(status: EventStatus) -> tuple[str, ...]:
            return tuple(event_id for event_id, settled in self.ended.items() if settled.status is status)

        return PollReport(
            completed=of(EventStatus.COMPLETED),
            failed=of(EventStatus.FAILED),
            blocked=of(EventStatus.BLOCKED),
            rejected=of(EventStatus.REJECTED),
            retried=tuple(sorted(self.tried)),
            held=self.held,
            outage=self.outage,
            more=self.more,
        )


def prepare(site: SyncSite) -> None:
    """Make the events table and the target's inbox; those that are there stay as they are."""
    with side_effect("events.create"):
        site.queue.create()
    with side_effect("apply.prepare"):
        site.target.prepare()


def emit(queue: EventQueue, events: Sequence[BridgeEvent]) -> None:
    """Add events to a queue; those that are there already with the same payload are success.

    :raises ConfigurationError: IB-840 for a malformed event, IB-843 for an id that is used for another one.
    """
    for event in events:
        event_rules.check_shape(event)
    with side_effect("events.emit"):
        queue.emit(events)


def poll(site: SyncSite) -> PollReport:
    """Run waiting events in order, at most ``max_events_per_poll``, until none is left that can run.

    :raises IceBridgeError: when the queue, the ledger or the permissions do not answer; claimed events were given back
        or are free again when the claim's time is over.
    """
    site.permissions.rights()  # without them nothing is begun
    state = _Poll(site=site)
    while state.left > 0 and not state.outage and _round(state):
        pass
    return state.report()


def preview(site: SyncSite, event_id: str) -> Preview:
    """Say what an event would do now: its statements and counts, from a transaction that is rolled back.

    :raises ConfigurationError: IB-854 when there is no such event.
    """
    event = _found(site, event_id)
    try:
        job = event_run.job_of(site, event, {})
        with side_effect("apply.preview"):
            shown: Preview = site.again(lambda: site.target.preview(job.work, event_run.rows_of(site, job)))
    except TransientError:
        raise
    except IceBridgeError as error:
        return Preview(
            event_id=event_id,
            statements=(),
            rows_expected=event.rows_expected or 0,
            rows_affected=0,
            verdict=EventStatus.FAILED,
            message=str(error),
        )
    return shown


def release(site: SyncSite, event_id: str, rows: int) -> None:
    """Let a blocked DELETE run again with at most ``rows`` rows, in this actor's name.

    :raises ConfigurationError: IB-854 when there is no such blocked event, or ``rows`` is not positive.
    """
    event = _blocked(site, event_id)
    if rows < 1 or event.operation != Operation.DELETE:
        raise _not_blocked(event_id, f"{rows} rows is no limit that lets a DELETE through")
    approved = {"action": "release", "rows": rows, "payload": event.payload}
    site.record([site.line(event_id, Outcome.INTENT, approved, Step.APPROVE)])
    with side_effect("events.release"):
        site.queue.release(event_id, rows)
    event_run.audit(site, event, "event_released")
    site.record([site.line(event_id, Outcome.DONE, approved, Step.APPROVE)])


def reject(site: SyncSite, event_id: str, message: str) -> None:
    """End a blocked event for good, in this actor's name: in the inbox first, so that no worker can still do it.

    :raises ConfigurationError: IB-854 when there is no such blocked event.
    """
    event = _blocked(site, event_id)
    rejected = Settled(
        event_id=event_id,
        payload=event.payload,
        attempt=event.attempt,
        status=EventStatus.REJECTED,
        error_message=message,
    )
    with side_effect("apply.reject"):
        settled = site.again(lambda: site.target.settle(rejected))
    if settled.status is not EventStatus.REJECTED:
        raise _not_blocked(event_id, f"it is {settled.status.value}")
    with side_effect("events.reject"):
        site.queue.reject(event_id, message)
    event_run.audit(site, event, "event_rejected")
    site.record([site.line(event_id, Outcome.REFUSED, {"action": "reject", "message": message})])


def _round(state: _Poll) -> bool:
    """Claim one batch and run it; whether it was worth looking for another."""
    site = state.site
    look = _look(state)
    if look is None:
        return False
    state.take(
        Batch(
            site=site,
            ordered=look.ordered,
            claimed=_claim(site, look.batch),
            still_open={event.event_id for event in look.line},
            tables=state.tables,
        )
    )
    state.more = state.left <= 0 and (look.partial or len(look.ordered.events) > len(look.batch))
    return state.moved


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What a look into the queue found; ``partial``: more events can be claimed than were looked at."""

    line: Sequence[BridgeEvent]
    ordered: Order
    batch: list[BridgeEvent]
    partial: bool


def _look(state: _Poll) -> _Look | None:
    """Look for events that can run; farther where all of the first ones must wait, so that they starve nobody."""
    limit = most = state.site.options.max_events_per_poll
    while limit <= most * FARTHEST_LOOK and not state.outage:
        found = _look_at(state, limit)
        if found is None or found.batch or not found.partial:
            return found if found and found.batch else None
        limit *= 10
    return None


def _look_at(state: _Poll, limit: int) -> _Look | None:
    site = state.site
    candidates = site.again(lambda: site.queue.waiting_events(limit))
    if not candidates:
        return None
    lanes = sorted({event.target_table for event in candidates})
    line = site.again(lambda: site.queue.ahead(lanes, LANE_LENGTH))
    ordered = order(line, _described(state, line), boosts(candidates))
    _note_held(state, line, ordered)
    batch = [] if state.outage else ordered.batch(state.left, state.tried | state.ended.keys())
    return _Look(line=line, ordered=ordered, batch=batch, partial=len(candidates) >= limit)


def _described(state: _Poll, line: Sequence[BridgeEvent]) -> dict[str, TargetTable | None]:
    """Target tables of lanes in which more than one event waits; None for those that cannot be described."""
    found: dict[str, TargetTable | None] = {}
    lengths = Counter(event.target_table for event in line)
    for lane in sorted(lane for lane, length in lengths.items() if length > 1):
        try:
            found[lane] = _table(state, lane)
        except TransientError as error:
            state.outage = str(error)
            return found
        except IceBridgeError:
            found[lane] = None  # its events will say why
    return found


def _table(state: _Poll, lane: str) -> TargetTable:
    if lane not in state.tables:
        state.tables[lane] = state.site.again(lambda: state.site.target.table(lane))
    return state.tables[lane]


def _note_held(state: _Poll, line: Sequence[BridgeEvent], ordered: Order) -> None:
    """Say in the queue which events wait for a blocked one, once."""
    state.held = dict(ordered.held)
    by_id = {event.event_id: event for event in line}
    warnings = {
        event_id: f"Waits for event {other}, which is blocked: release or reject that one."
        for event_id, other in ordered.held.items()
        if by_id[other].status is EventStatus.BLOCKED and by_id[event_id].status is EventStatus.PENDING
    }
    new = {event_id: text for event_id, text in warnings.items() if by_id[event_id].warning != text}
    if new:
        with side_effect("events.note"):
            state.site.queue.note(new)


def _claim(site: SyncSite, batch: Sequence[BridgeEvent]) -> list[BridgeEvent]:
    owner = f"{socket.gethostname()}-{secrets.token_hex(8)}"  # of this claim alone: asked twice, it answers the same
    with side_effect("events.claim"):
        claimed = site.again(lambda: site.queue.claim(batch, owner, site.options.lease_seconds))
    places = {event.event_id: place for place, event in enumerate(batch)}
    return sorted(claimed, key=lambda event: places[event.event_id])


def _found(site: SyncSite, event_id: str) -> BridgeEvent:
    event: BridgeEvent | None = site.again(lambda: site.queue.event(event_id))
    if event is None:
        raise _not_blocked(event_id, "there is no such event")
    return event


def _blocked(site: SyncSite, event_id: str) -> BridgeEvent:
    event = _found(site, event_id)
    if event.status is not EventStatus.BLOCKED:
        raise _not_blocked(event_id, f"it is {event.status.value}")
    return event


def _not_blocked(event_id: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-854",
        f"Nothing can be done with event {event_id[:80]!r}: {why}.",
        remedy="List events with `icebridge events status`; only blocked ones are released or rejected.",
        event_id=event_id[:255],
    )

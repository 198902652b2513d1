"""In which order events run, and what an event may do. Pure: facts in, decisions out.

Events of one target table form a lane, in order of ``created_at`` and ``event_id``. None overtakes an earlier one of
its lane unless the two commute. Among lanes priority decides, and an earlier event inherits the highest priority of
those that wait for it.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from icebridge_provider.model.bridge import BridgeEvent, EventStatus, TargetTable
from icebridge_provider.planning.event_keys import KeyValue, KeyValues, apart, key_values


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Events that can run, in order, and for each open event the earlier ones that it must wait for."""

    events: tuple[BridgeEvent, ...]
    ahead: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)

    def blocker(self, event_id: str, still_open: Collection[str]) -> str | None:
        """Return the first event that must end before this one may run; None when it may run."""
        return next((earlier for earlier in self.ahead.get(event_id, ()) if earlier in still_open), None)

    def batch(self, limit: int, tried: Collection[str] = ()) -> list[BridgeEvent]:
        """Return what is claimed together: fresh events, or one event alone that an earlier claim did not end.

        An event that kills its worker must not count as a failure of those that were claimed with it.

        :param tried: events that had their turn in this poll; they and what waits for them are left out.
        """
        left_out = set(tried)
        chosen: list[BridgeEvent] = []
        for event in self.events:
            if event.event_id in left_out or self.blocker(event.event_id, left_out):
                left_out.add(event.event_id)
            elif event.attempt and not chosen:
                return [event]
            elif event.attempt or len(chosen) == limit:
                break
            else:
                chosen.append(event)
        return chosen


def order(
    line: Iterable[BridgeEvent], tables: Mapping[str, TargetTable | None], boosts: Mapping[str, int] | None = None
) -> Order:
    """Put open events in order.

    :param line: open events, of each lane the earliest ones, none left out between them.
    :param tables: target tables by lane; in a lane whose table is not known no events commute.
    :param boosts: highest priority of a lane's events that are too far behind to be in ``line``.
    """
    lanes: dict[str, dict[str, BridgeEvent]] = {}
    for event in line:
        lanes.setdefault(event.target_table, {}).setdefault(event.event_id, event)
    events: dict[str, BridgeEvent] = {}
    ahead: dict[str, tuple[str, ...]] = {}
    priorities: dict[str, int] = {}
    for lane, members in lanes.items():
        found = sorted(members.values(), key=_age)
        waits = _waits(found, tables.get(lane))
        events |= members
        ahead |= waits
        priorities |= _inherited(found, waits, (boosts or {}).get(lane))
    held = _held(events, ahead)
    free = [event for event in events.values() if event.event_id not in held and event.status is EventStatus.PENDING]
    return Order(events=tuple(_sequence(free, ahead, priorities)), ahead=ahead, held=held)


def boosts(candidates: Iterable[BridgeEvent]) -> dict[str, int]:
    """Return the highest priority that waits in each lane."""
    found: dict[str, int] = {}
    for event in candidates:
        found[event.target_table] = max(event.priority, found.get(event.target_table, event.priority))
    return found


def stamped(events: Iterable[BridgeEvent], first: str) -> list[BridgeEvent]:
    """Give events without ``created_at`` one each, a microsecond apart, so that they keep the order they came in.

    :param first: ISO 8601 in UTC; the first one's.
    """
    start = datetime.fromisoformat(first).astimezone(UTC)
    return [
        event if event.created_at else replace(event, created_at=_iso(start + timedelta(microseconds=place)))
        for place, event in enumerate(events)
    ]


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _age(event: BridgeEvent) -> tuple[str, str]:
    return event.created_at, event.event_id


def _waits(lane: Sequence[BridgeEvent], table: TargetTable | None) -> dict[str, tuple[str, ...]]:
    """Earlier events that do not commute with each event of a lane.

    Nothing passes an event that commutes with none, so nothing is asked beyond the last of those.
    """
    found: dict[str, tuple[str, ...]] = {}
    since = _Since()
    for event in lane:
        values = key_values(event, table)
        found[event.event_id] = tuple(since.waited_for(values))
        since = since if values else _Since()
        since.add(event.event_id, values)
    return found


class _Since:
    """Events since the last one that commutes with none, that one included."""

    def __init__(self) -> None:
        self._members: list[tuple[str, KeyValues]] = []
        self._by_value: dict[KeyValue, list[str]] = {}
        self._barrier: list[str] = []
        self._kinds: set[tuple[str, type]] = set()

    def add(self, event_id: str, values: KeyValues) -> None:
        self._members.append((event_id, values))
        if not values:
            self._barrier.append(event_id)
        for name, value in values.items():
            self._kinds.add((name, type(value)))
            self._by_value.setdefault(value, []).append(event_id)

    def waited_for(self, values: KeyValues) -> list[str]:
        """Ids of those that do not commute with an event of these values."""
        if not values:
            return [event_id for event_id, _ in self._members]
        if self._kinds <= {(name, type(value)) for name, value in values.items()} and len(values) == 1:
            return [*self._barrier, *self._by_value.get(next(iter(values.values())), ())]
        return [event_id for event_id, theirs in self._members if not _commute(theirs, values)]


def _commute(one: KeyValues, other: KeyValues) -> bool:
    return any(apart(value, other[name]) for name, value in one.items() if name in other)


def _inherited(lane: Sequence[BridgeEvent], waits: Mapping[str, Sequence[str]], boost: int | None) -> dict[str, int]:
    found = {event.event_id: event.priority if boost is None else max(event.priority, boost) for event in lane}
    for event in reversed(lane):
        for earlier in waits[event.event_id]:
            found[earlier] = max(found[earlier], found[event.event_id])
    return found


def _held(events: Mapping[str, BridgeEvent], ahead: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Events that cannot run now, each with the blocked or busy one it waits for."""
    held: dict[str, str] = {}
    for event_id, earlier in ahead.items():  # of each lane the earliest first
        for other in earlier:
            if other in held or events[other].status is not EventStatus.PENDING:
                held[event_id] = held.get(other, other)
                break
    return held


def _sequence(
    free: Sequence[BridgeEvent], ahead: Mapping[str, Sequence[str]], priorities: Mapping[str, int]
) -> Iterable[BridgeEvent]:
    """Highest priority first, an event only after all it waits for."""
    by_id = {event.event_id: event for event in free}
    missing = {event_id: {other for other in ahead[event_id] if other in by_id} for event_id in by_id}
    followers: dict[str, list[str]] = {event_id: [] for event_id in by_id}
    for event_id, others in missing.items():
        for other in others:
            followers[other].append(event_id)
    ready = [_rank(by_id[event_id], priorities) for event_id, others in missing.items() if not others]
    heapq.heapify(ready)
    while ready:
        event = by_id[heapq.heappop(ready)[-1]]
        yield event
        for follower in followers[event.event_id]:
            missing[follower].discard(event.event_id)
            if not missing[follower]:
                heapq.heappush(ready, _rank(by_id[follower], priorities))


def _rank(event: BridgeEvent, priorities: Mapping[str, int]) -> tuple[int, str, str]:
    return -priorities[event.event_id], event.created_at, event.event_id

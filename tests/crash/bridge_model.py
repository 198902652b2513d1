"""The reference model of the event sync: what must become of events and rows, whatever happens on the way.

Sources never change, so that one emission order has one right outcome; the oracle compares it with inbox, queue and
target. Events run on table ``t``/``u`` (id, name), from sources ``a`` (ids 0 to 5) and ``b`` (ids 3 to 8).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from icebridge_provider.model.bridge import BridgeEvent, EventStatus, Settled
from icebridge_provider.steps.events import SyncSite, emit, poll, prepare, preview, reject, release
from tests.support.bridge import COLUMNS, World, an_event

LIMIT = 1
RELEASED = 100
SOURCES = {
    "a": {number: f"a{number}" for number in range(6)},
    "b": {number: f"b{number}" for number in range(3, 9)},
}
TABLES = ("t", "u")
Rows = dict[int, str]
MOST_TURNS = 200


def build(world: World) -> None:
    """Make all tables; those that are there already stay."""
    for name, rows in SOURCES.items():
        world.make_source(name, COLUMNS, list(rows.items()))
    for name in TABLES:
        world.make_target(name, COLUMNS)


def random_event(world: World, random: Random, event_id: str) -> BridgeEvent:
    """An event of any operation, priority and breadth."""
    operation = random.choice(["INSERT", "INSERT", "UPDATE", "DELETE"])
    filters = {"id": str(random.randrange(9))} if random.random() < 0.5 else {}
    return an_event(
        world,
        event_id,
        operation,
        random.choice(TABLES),
        primary_keys=("id",),
        source_table=f"{world.origin}.{random.choice(sorted(SOURCES))}",
        filter_conditions=filters,
        priority=random.choice([0, 0, 0, 5, -5]),
    )


@dataclass(kw_only=True)
class Expected:
    """How one event ends."""

    status: EventStatus
    affected: int | None = None


@dataclass(kw_only=True)
class Model:
    """Emitted events in order, and what people decided about blocked ones."""

    events: list[BridgeEvent] = field(default_factory=list)
    released: dict[str, int] = field(default_factory=dict)
    rejected: set[str] = field(default_factory=set)

    def replay(
        self, ended: Mapping[str, EventStatus], given_up: Collection[str] = ()
    ) -> tuple[dict[str, Rows], dict[str, Expected]]:
        """Run, in order of emission, the events of which the inbox says how they ended; return tables and outcomes.

        :param given_up: events that were begun too often: nothing is done for them.
        """
        tables: dict[str, Rows] = {name: {} for name in TABLES}
        expected: dict[str, Expected] = {}
        for event in self.events:
            if event.event_id in given_up:
                expected[event.event_id] = Expected(status=EventStatus.FAILED)
            elif event.event_id in ended:
                table = tables[event.target_table.rsplit(".", 1)[-1]]
                expected[event.event_id] = self._run(event, table, ended[event.event_id])
        return tables, expected

    def _run(self, event: BridgeEvent, table: Rows, said: EventStatus) -> Expected:
        rows = staged(event)
        hit = [key for key in rows if key in table]
        if event.operation == "INSERT":
            if hit:
                return Expected(status=EventStatus.FAILED)
            table.update(rows)
            return Expected(status=EventStatus.COMPLETED, affected=len(rows))
        if event.operation == "UPDATE":
            table.update({key: rows[key] for key in hit})
        else:
            if len(hit) > LIMIT and not (said is EventStatus.COMPLETED and event.event_id in self.released):
                rejected = said is EventStatus.REJECTED and event.event_id in self.rejected
                return Expected(status=EventStatus.REJECTED if rejected else EventStatus.BLOCKED)
            for key in hit:
                del table[key]
        return Expected(status=EventStatus.COMPLETED, affected=len(hit))


def staged(event: BridgeEvent) -> Rows:
    """Rows that an event brings over."""
    rows = SOURCES[event.source_table.rsplit(".", 1)[-1]]
    wanted = event.filter_conditions.get("id")
    return {key: name for key, name in rows.items() if wanted is None or key == int(wanted)}


def violations(model: Model, world: World, *, over: bool = False) -> list[str]:
    """What is not as it must be now; ``over``: nothing runs any more and all must have come to its end."""
    inbox = world.target.settled([event.event_id for event in model.events])
    ended = {name: settled.status for name, settled in inbox.items()}
    tables, expected = model.replay(ended, {name for name, found in inbox.items() if "IB-853" in found.error_message})
    found = [*_wrong_rows(world, tables), *_wrong_ends(inbox, expected), *_wrong_order(model, inbox)]
    return [*found, *(_unfinished(model, world, inbox) if over else [])]


def _wrong_rows(world: World, tables: Mapping[str, Rows]) -> Iterable[str]:
    for name, rows in tables.items():
        is_there, must_be = sorted(world.rows(name)), sorted(rows.items())
        if is_there != must_be:
            yield f"table {name}: {is_there} is not {must_be}"


def _wrong_ends(inbox: Mapping[str, Settled], expected: Mapping[str, Expected]) -> Iterable[str]:
    for name, settled in inbox.items():
        must = expected[name]
        if (settled.status, settled.rows_affected) != (must.status, must.affected):
            said = f"{settled.status}, {settled.rows_affected} rows, {settled.error_message}"
            yield f"event {name}: {said} is not {must}"


def _wrong_order(model: Model, inbox: Mapping[str, Settled]) -> Iterable[str]:
    for place, event in enumerate(model.events):
        if event.event_id not in inbox:
            continue
        for earlier in model.events[:place]:
            ended = inbox.get(earlier.event_id)
            if not _commute(earlier, event) and (ended is None or ended.status is EventStatus.BLOCKED):
                yield f"event {event.event_id} overtook {earlier.event_id}"


def _commute(one: BridgeEvent, other: BridgeEvent) -> bool:
    values = one.filter_conditions.get("id"), other.filter_conditions.get("id")
    return one.target_table != other.target_table or (None not in values and values[0] != values[1])


def _unfinished(model: Model, world: World, inbox: Mapping[str, Settled]) -> Iterable[str]:
    for event in model.events:
        found, settled = world.queue.event(event.event_id), inbox.get(event.event_id)
        if found is None or settled is None or found.status is not settled.status:
            yield f"event {event.event_id}: the queue says {found and found.status}, the inbox {settled}"
        elif (found.rows_affected, found.discrepancy) != (settled.rows_affected, settled.discrepancy):
            yield f"event {event.event_id}: the queue's counts are not the inbox's: {found} {settled}"


@dataclass(kw_only=True)
class Story:
    """A seed's events, emitted in two parts, and a person who releases or rejects; it can be told again anywhere."""

    world: World
    seed: int
    length: int = 9

    @property
    def model(self) -> Model:
        random = Random(self.seed)
        events = [random_event(self.world, random, f"{self.seed}-{place:03}") for place in range(self.length)]
        for place, table in enumerate(TABLES):  # so that there is something to update and delete
            events[place] = replace(
                events[place], operation="INSERT", target_table=f"{self.world.schema}.{table}", filter_conditions={}
            )
        model = Model(events=[_at(event, place) for place, event in enumerate(events)])
        for event in events:
            if self._is_released(event):
                model.released[event.event_id] = RELEASED
        # whoever is not released is rejected as soon as it is blocked
        _, expected = model.replay({event.event_id: EventStatus.COMPLETED for event in events})
        model.rejected = {name for name, must in expected.items() if must.status is EventStatus.BLOCKED}
        return model

    def tell(self, site: SyncSite) -> None:
        """Do all of it, from wherever it is."""
        events = self.model.events
        half = len(events) // 2
        prepare(site)
        emit(site.queue, events[:half])
        preview(site, events[0].event_id)
        poll(site)
        emit(site.queue, events[half:])
        self.finish(site, events)

    def finish(self, site: SyncSite, events: Sequence[BridgeEvent], turns: int = MOST_TURNS) -> None:
        """Poll and decide until every event has ended.

        :raises RuntimeError: when it does not come to an end.
        """
        for _ in range(turns):
            poll(site)
            left = [site.queue.event(event.event_id) for event in events]
            statuses = {event.status for event in left if event is not None}
            if not statuses & {EventStatus.PENDING, EventStatus.PROCESSING, EventStatus.BLOCKED}:
                return
            for event in left:
                if event is not None and event.status is EventStatus.BLOCKED:
                    self._decide(site, event)
        raise RuntimeError(f"seed {self.seed} does not come to an end: {left}")

    def _decide(self, site: SyncSite, event: BridgeEvent) -> None:
        if self._is_released(event):
            release(site, event.event_id, RELEASED)
        else:
            reject(site, event.event_id, "too many")

    def _is_released(self, event: BridgeEvent) -> bool:
        return Random(event.event_id).random() < 0.5


def _at(event: BridgeEvent, place: int) -> BridgeEvent:
    return replace(event, created_at=f"2026-01-01T00:00:00.{place:06}Z")

"""A state machine over the event sync: whatever happens in whatever order, the target equals the model's."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from icebridge_provider import crash as points
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.bridge import EventStatus
from icebridge_provider.steps.events import SyncSite, emit, poll, reject, release
from tests.crash.bridge_model import LIMIT, RELEASED, TABLES, Model, build, random_event, violations
from tests.support.bridge import Between, World, lost, site_of

CALLS = ("apply", "settle", "settled", "claim", "finish", "give_back", "waiting_events", "ahead", "pin", "note")
SEEDS = st.integers(0, 10**6)
MOST_POLLS = 60


class Killed(BaseException):
    """This worker is dead: whatever it still tries to change does not happen."""


class BridgeMachine(RuleBasedStateMachine):
    """Emits, polls, kills, loses answers, redelivers, wakes zombies, releases and rejects."""

    worlds: Callable[[Path], World]

    def __init__(self) -> None:
        super().__init__()
        where = "/dev/shm" if Path("/dev/shm").is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix="ib-machine-", dir=where))
        self.model = Model()
        self.world: World

    @initialize()
    def begin(self) -> None:
        self.world = type(self).worlds(self.folder)
        self.world.queue.create()
        self.world.target.prepare()
        build(self.world)

    @rule(seed=SEEDS, count=st.integers(1, 4))
    def emit_events(self, seed: int, count: int) -> None:
        random = Random(seed)
        for _ in range(count):
            place = len(self.model.events)
            event = random_event(self.world, random, f"e{place:03}")
            event = replace(event, created_at=f"2026-01-01T00:00:00.{place:06}Z")
            emit(self.world.queue, [event])
            self.model.events.append(event)

    @rule(most=st.integers(1, 5))
    def poll_some(self, most: int) -> None:
        poll(self.site(max_events_per_poll=most))

    @rule(passage=st.integers(1, 40))
    def poll_and_die(self, passage: int) -> None:
        with dying(passage):
            poll(self.site())
        self.expire()

    @rule(name=st.sampled_from(CALLS), turn=st.integers(1, 4), before=st.booleans())
    def poll_and_lose_an_answer(self, name: str, turn: int, before: bool) -> None:
        left = [turn]

        def lose(called: str) -> None:
            if called == name:
                left[0] -= 1
                if left[0] == 0:
                    raise lost(called)

        given = {"before": lose} if before else {"after": lose}
        site = self.site()
        site = replace(site, queue=Between(site.queue, **given), target=Between(site.target, **given),
                       source=Between(site.source, **given))  # fmt: skip
        try:
            poll(site)
        except Exception as error:
            if "No answer" not in str(error):
                raise
        self.expire()

    @rule(
        at=st.sampled_from(["apply", "settle", "finish", "settled", "claim"]), turn=st.integers(1, 3),
        gives_up=st.sampled_from(["", "", "zombie", "other"]),
    )  # fmt: skip
    def a_zombie_sleeps_while_another_works(self, at: str, turn: int, gives_up: str) -> None:
        """One of them may find that the events were begun too often."""
        left = [turn]
        attempts = {who: 0 if who == gives_up else 10**6 for who in ("zombie", "other")}

        def sleep(called: str) -> None:
            if called == at:
                left[0] -= 1
                if left[0] == 0:
                    self.expire()
                    poll(self.site(max_attempts=attempts["other"]))

        site = self.site(max_attempts=attempts["zombie"])
        poll(replace(site, queue=Between(site.queue, sleep), target=Between(site.target, sleep)))

    @precondition(lambda self: self.model.events)
    @rule(seed=SEEDS)
    def deliver_again(self, seed: int) -> None:
        self.world.redeliver(Random(seed).choice(self.model.events).event_id)

    @precondition(lambda self: self.model.events)
    @rule(seed=SEEDS)
    def emit_again(self, seed: int) -> None:
        emit(self.world.queue, [Random(seed).choice(self.model.events)])

    @rule(let=st.booleans(), dies=st.integers(0, 6))
    def a_person_decides(self, let: bool, dies: int) -> None:
        for event in self.world.queue.events(status="blocked"):
            with dying(dies or 10**6):
                self.decide(event.event_id, let=let)

    @invariant()
    def nothing_is_wrong(self) -> None:
        if hasattr(self, "world"):
            assert violations(self.model, self.world) == []

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self.finish()
                assert violations(self.model, self.world, over=True) == []
                self.world.close()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def finish(self) -> None:
        for _ in range(MOST_POLLS):
            self.expire()
            poll(self.site())
            left = {event.event_id: event.status for event in self.world.queue.events(limit=10_000)}
            for event_id, status in left.items():
                if status is EventStatus.BLOCKED:
                    self.decide(event_id, let=True)
            if not set(left.values()) & {EventStatus.PENDING, EventStatus.PROCESSING, EventStatus.BLOCKED}:
                return
        raise AssertionError(f"it does not come to an end: {left}")

    def decide(self, event_id: str, *, let: bool) -> None:
        if event_id in self.model.rejected:
            let = False  # a person who was interrupted says the same again
        (self.model.released.setdefault(event_id, RELEASED) if let else self.model.rejected.add(event_id))
        try:
            (release(self.site(), event_id, RELEASED) if let else reject(self.site(), event_id, "no"))
        except ConfigurationError as error:
            if "IB-854" not in str(error):
                raise

    def site(self, **options: Any) -> SyncSite:
        return site_of(self.world, grants=dict.fromkeys(TABLES, LIMIT), **{"max_attempts": 10**6, **options})

    def expire(self) -> None:
        for event in self.world.queue.events(status="processing", limit=10_000):
            self.world.expire(event.event_id)


@contextmanager
def dying(passage: int) -> Iterator[None]:
    """Kill this worker at a passage of any crash point; from then on it changes nothing more."""
    before, left = points.crash_point, [passage]

    def die(_: str) -> None:
        left[0] -= 1
        if left[0] <= 0:
            raise Killed

    points.crash_point = die
    try:
        yield
    except Killed:
        pass
    finally:
        points.crash_point = before


def run(worlds: Callable[[Path], World], examples: int, steps: int = 30) -> None:
    """Run the machine over fresh random examples.

    :raises AssertionError: with the shortest way to what is wrong.
    """

    class Machine(BridgeMachine):
        pass

    Machine.worlds = staticmethod(worlds)
    wanted = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(Machine, settings=wanted)

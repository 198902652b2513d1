"""Lost answers, zombies, rows that arrive in between, and writers that deadlock with each other."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from icebridge_provider import crash as points
from icebridge_provider.engines.dbapi.database import DbApi
from icebridge_provider.engines.dbapi.queue import DbApiEventQueue
from icebridge_provider.engines.mssql.connect import connected
from icebridge_provider.exceptions import TransientError
from icebridge_provider.model.bridge import EventStatus
from icebridge_provider.steps.events import SyncSite, emit, poll
from tests.crash.bridge import Bench, History, begun, passages, recovered, time_passes
from tests.crash.bridge_model import LIMIT, TABLES, Story, violations
from tests.crash.forks import ended, stop_at
from tests.support.bridge import COLUMNS, Between, DbApiWorld, Row, World, an_event, site_of
from tests.support.mssql import SqlServer

LONGEST_SECONDS = 60
SHARED_ROWS = 6


@dataclass
class Losses:
    """How often an answer to COMMIT is lost, after it was done or before; and how often it was."""

    random: Random
    share: float = 0.3
    done: int = 0
    undone: int = 0

    @property
    def count(self) -> int:
        return self.done + self.undone


class Losing:
    """A connection some of whose COMMITs are not answered; half of them were done all the same."""

    def __init__(self, connection: Any, losses: Losses, error: Callable[[], Exception]) -> None:
        self._connection, self._losses, self._error = connection, losses, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def commit(self) -> None:
        if self._losses.random.random() >= self._losses.share:
            self._connection.commit()
            return
        if self._losses.random.random() < 0.5:
            self._losses.done += 1
            self._connection.commit()
        else:
            self._losses.undone += 1
        raise self._error()


def lost_answers(bench: Bench, wanted: int, first: int = 0) -> tuple[int, int, list[str]]:
    """Tell stories until so many answers to COMMIT were lost; return stories, losses and violations."""
    losses, found, seed = Losses(random=Random(first)), [], first
    while losses.count < wanted and not found:
        world = bench.fresh()
        story = Story(world=_losing(world, losses) if isinstance(world, DbApiWorld) else world, seed=seed)
        site = site_of(story.world, grants=dict.fromkeys(TABLES, LIMIT), max_attempts=10**6)
        _tell_in_spite(story, world, _hung_up(site, bench.sql_server, losses) if bench.sql_server else site)
        found = [f"seed {seed}: {text}" for text in violations(story.model, world, over=True)]
        story.world.close()
        world.close()
        bench.sweep()
        seed += 1
    return seed - first, losses.count, found


def haunted(bench: Bench, history: History) -> History:
    """Stop a worker at a point, let another do what it can, wake the first, let both finish; look in between."""
    world = bench.fresh(busy_seconds=1)
    story = Story(world=world, seed=history.seed)

    def tell() -> None:
        stop_at(history.point, history.passage)
        site = bench.site(world)
        story.tell(replace(site, target=world.target))

    child = begun(bench, tell)
    history.reached = os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1])
    if history.reached:
        time_passes(world, story)
        with suppress(RuntimeError, TransientError):
            story.finish(bench.site(world), story.model.events, turns=3)
        history.violations += violations(story.model, world)
        world.close()
        os.kill(child, signal.SIGCONT)
        ended(child, LONGEST_SECONDS)
    history.violations += violations(story.model, world)
    world.close()
    history.violations += recovered(bench, story)
    return history


def zombies(bench: Bench, seeds: int, share: tuple[int, int] = (0, 1)) -> list[History]:
    """A zombie at every point of every seed's story, but for the ledger's: its file would stay locked."""
    done = []
    for seed in range(seeds):
        if seed % share[1] == share[0]:
            for point, count in sorted(passages(bench, seed).items()):
                if not point.startswith("ledger"):
                    passage = Random(f"z{seed}{point}").randint(1, count)
                    done.append(haunted(bench, History(seed=seed, point=point, passage=passage)))
    return done


def rows_arrive(bench: Bench) -> list[str]:
    """Add rows just before a DELETE runs, over another connection: the limit holds for what is really hit."""
    world = bench.fresh()
    put(world, "t", [(0, "x"), (1, "y")])
    point = "mssql.rows.before" if bench.sql_server else "apply.change.before"
    event = an_event(world, "race", "DELETE", source_table=f"{world.origin}.a")
    emit(world.queue, [event])
    before = points.crash_point

    def arrive(name: str) -> None:
        if name == point:
            put(world, "t", [(number, "late") for number in range(2, 6)])

    points.crash_point = arrive
    try:
        report = poll(site_of(world, grants={"t": 2}))
    finally:
        points.crash_point = before
    left = len(world.rows("t"))
    world.close()
    return [] if (report.blocked, left) == (("race",), 6) else [f"{report}, {left} of 6 rows are left"]


def writers(bench: Bench, count: int = 8, events: int = 12) -> tuple[int, list[str]]:
    """Syncs that update the same rows at once, among people who lock them the other way round.

    Return how many events had to be begun again, and what is wrong.
    """
    world = bench.fresh()
    _impatient(world)
    _shared_rows(world, count, events)
    people = [begun(bench, lambda seed=seed: _person(world, seed)) for seed in range(3)]
    children = [begun(bench, lambda number=number: _writer(world, number, events)) for number in range(count)]
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    for person in people:
        os.kill(person, signal.SIGKILL)
        os.waitpid(person, 0)
    found = [
        f"a writer ended with {status}: {(bench.folder / 'log').read_text()[-800:]}" for status in statuses if status
    ]
    again, wrong = _written(world, count, events)
    world.close()
    return again, found + wrong


def _losing(world: DbApiWorld, losses: Losses) -> DbApiWorld:
    error = _postgres_gone if world.near.dialect == "postgres" else _sqlite_gone

    def over(database: DbApi) -> DbApi:
        def connect() -> Any:
            return Losing(database._connect(), losses, error)

        return DbApi(connect, database.dialect)

    return DbApiWorld(over(world.near), over(world.far), world.schema)


def _sqlite_gone() -> Exception:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    return error


def _postgres_gone() -> Exception:
    import psycopg2

    return psycopg2.OperationalError("server closed the connection unexpectedly")


def _hung_up(site: SyncSite, server: SqlServer, losses: Losses) -> SyncSite:
    """Let the server hang up around COMMITs of the target."""

    def arm(name: str) -> None:
        if name in {"apply", "settle"} and losses.random.random() < losses.share and not server.waiting_faults():
            done = losses.random.random() < 0.5
            losses.done += done
            losses.undone += not done
            server.fail("drop_after_commit" if done else "drop_before_commit")

    return replace(site, target=Between(site.target, arm))


def _tell_in_spite(story: Story, honest: World, site: SyncSite) -> None:
    for _ in range(2000):
        try:
            story.tell(site)
        except TransientError:
            time_passes(honest, story)
        else:
            return
    raise RuntimeError(f"seed {story.seed} does not come to an end")


def put(world: World, name: str, rows: list[Row]) -> None:
    """Insert rows into a target table, as somebody else would."""
    with _somebody(world) as (cursor, mark):
        for row in rows:
            cursor.execute(f"INSERT INTO {name} VALUES ({mark}, {mark})", row)


@contextmanager
def _somebody(world: World) -> Iterator[tuple[Any, str]]:
    """A transaction of somebody who knows nothing of events, and the mark of a bound value."""
    if isinstance(world, DbApiWorld):
        with world.far.transaction() as cursor:
            yield cursor, "?" if world.far.dialect == "sqlite" else "%s"
    else:
        with connected(world.login) as connection:
            yield connection.cursor(), "%s"
            connection.commit()


def _impatient(world: World) -> None:
    """Let PostgreSQL look for deadlocks at once."""
    if isinstance(world, DbApiWorld) and world.far.dialect == "postgres":
        name = world.far.query("SELECT current_database()")[0][0]
        with world.far.transaction() as cursor:
            cursor.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '20ms'")
        world.close()


def _shared_rows(world: World, count: int, events: int) -> None:
    """One source a writer and event: each sets all shared rows to its own mark, and adds a row of its own."""
    world.make_target("shared", COLUMNS, rows=[(number, "new") for number in range(SHARED_ROWS)])
    world.make_target("own", COLUMNS)
    for writer in range(count):
        for event in range(events):
            mark = f"{writer}-{event}"
            rows = [(number, mark) for number in range(SHARED_ROWS)]
            world.make_source(f"s{writer}_{event}", COLUMNS, rows if writer % 2 else rows[::-1])
            world.make_source(f"o{writer}_{event}", COLUMNS, [(writer * 1000 + event, mark)])
    world.close()


def _writer(world: World, number: int, events: int) -> None:
    queue = DbApiEventQueue(_near(world), f"events_{number}")
    queue.create()
    site = replace(site_of(world, grants={"shared": 0, "own": 0}, max_attempts=10**6), queue=queue)
    for event in range(events):
        name, source = f"{number}-{event}", f"{number}_{event}"
        update = an_event(world, f"{name}-u", "UPDATE", "shared", source_table=f"{world.origin}.s{source}")
        insert = an_event(world, f"{name}-i", "INSERT", "own", source_table=f"{world.origin}.o{source}")
        emit(queue, [update, insert])
    deadline = time.monotonic() + LONGEST_SECONDS
    while queue.waiting()[0]:
        poll(site)
        if time.monotonic() > deadline:
            raise RuntimeError(f"writer {number} does not come to an end: {queue.events('pending', 1)}")


def _person(world: World, seed: int) -> None:
    """Lock the shared rows one by one, from the last to the first, for ever."""
    random = Random(seed)
    while True:
        with suppress(Exception), _somebody(world) as (cursor, mark):
            for number in sorted(random.sample(range(SHARED_ROWS), 3), reverse=True):
                cursor.execute(f"UPDATE shared SET name = name WHERE id = {mark}", (number,))
                time.sleep(0.01)
        time.sleep(0.005)


def _near(world: World) -> DbApi:
    return world.near if isinstance(world, DbApiWorld) else world._near.near


def _written(world: World, count: int, events: int) -> tuple[int, list[str]]:
    """Every event once, each UPDATE whole: all shared rows carry one mark."""
    found, again = [], 0
    marks = {name for _, name in world.rows("shared")}
    if len(marks) != 1 or len(world.rows("shared")) != SHARED_ROWS:
        found.append(f"the shared rows are torn: {world.rows('shared')}")
    must = sorted((writer * 1000 + event, f"{writer}-{event}") for writer in range(count) for event in range(events))
    if sorted(world.rows("own")) != must:
        found.append(f"{len(world.rows('own'))} own rows, {len(must)} were written")
    for writer in range(count):
        for event in DbApiEventQueue(_near(world), f"events_{writer}").events(limit=10_000):
            again += event.attempt > 1
            affected = SHARED_ROWS if event.operation == "UPDATE" else 1
            if (event.status, event.rows_affected) != (EventStatus.COMPLETED, affected):
                found.append(f"{event}")
    return again, found

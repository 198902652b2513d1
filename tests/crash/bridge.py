"""``python -m tests.crash.bridge --seeds 20``: the event sync is killed at every crash point and told again.

``--lost 10000``: answers around COMMIT that do not come. ``--zombies``: two pollers, one stopped and woken up.
``--writers``: writers that deadlock with each other. ``--machine``: hypothesis decides what happens next.
``--teeth``: planted bugs, all of which must be caught.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from icebridge_provider import crash as points
from icebridge_provider.engines.dbapi.database import DbApi
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.sync_site import SyncSite
from tests.crash.bridge_model import LIMIT, TABLES, Story, build, violations
from tests.crash.forks import forked
from tests.support.bridge import Between, DbApiWorld, World, lost, postgres_world, site_of
from tests.support.bridge_mssql import MssqlWorld
from tests.support.mssql import SqlServer
from tests.support.postgres import PostgresServer, running

KILLED = -signal.SIGKILL


def fast_sqlite(folder: Path, busy_seconds: int = 10) -> DbApiWorld:
    """SQLite files without fsync: processes die here, machines do not."""

    def at(name: str) -> DbApi:
        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(folder / name, check_same_thread=False)
            connection.execute("PRAGMA synchronous = OFF")
            return connection

        return DbApi(connect, "sqlite", busy_seconds=busy_seconds)

    return DbApiWorld(at("near.db"), at("far.db"), "main")


@dataclass(kw_only=True)
class Bench:
    """Where stories are told: a fresh world for each."""

    folder: Path
    kind: str = "sqlite"
    server: PostgresServer | None = None
    sql_server: SqlServer | None = None
    address: str = ""
    plant: str = ""
    told: int = 0

    def fresh(self, *, busy_seconds: int = 10) -> World:
        """Make a world with empty target tables."""
        self.told += 1
        world = self._world(busy_seconds)
        world.queue.create()
        world.target.prepare()
        build(world)
        world.close()
        return world

    def site(self, world: World) -> SyncSite:
        """A sync over a world, with a ledger, that a worker process runs."""
        empty, own = self.folder / "ledger.db", self.folder / f"ledger-{self.told}.db"
        if not empty.exists():  # migrated once: the matrix makes hundreds
            made = SqlLedger(f"sqlite:///{empty}")
            made.migrate()
            made.close()
        if not own.exists():
            shutil.copy(empty, own)
        ledger = SqlLedger(f"sqlite:///{own}")
        grants = dict.fromkeys(TABLES, LIMIT)
        site = site_of(world, grants=grants, ledger=ledger, max_attempts=20, max_events_per_poll=5, lease_seconds=60)
        calls = itertools.count(1)

        def busy(name: str) -> None:
            if name == "apply" and next(calls) % 5 == 0:
                raise lost(name)

        return replace(site, target=Between(world.target, busy))

    def sweep(self) -> None:
        """Take the last world away; its violations were looked for."""
        shutil.rmtree(self.folder / f"story-{self.told}", ignore_errors=True)

    def _world(self, busy_seconds: int) -> World:
        if self.kind == "postgres":
            if not self.address and self.server:
                self.address = self.server.new_database()
            return postgres_world(self.address, f"story{os.getpid()}_{self.told}", busy_seconds)
        folder = self.folder / f"story-{self.told}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if self.sql_server:
            return MssqlWorld(self.sql_server, folder)
        return fast_sqlite(folder, busy_seconds)


@dataclass(kw_only=True)
class History:
    """One story that was disturbed, and what was wrong."""

    seed: int
    point: str = ""
    passage: int = 1
    reached: bool = False
    violations: list[str] = field(default_factory=list)


def killed(bench: Bench, history: History) -> History:
    """Tell a story, kill the process at a passage of a point, look, tell it again, look."""
    world = bench.fresh()
    story = Story(world=world, seed=history.seed)

    def tell() -> None:
        points._TARGET, points._left = history.point, history.passage
        story.tell(bench.site(world))

    ended = apart(bench, tell)
    history.reached = ended == KILLED
    if ended not in {0, KILLED}:
        history.violations.append(f"the first run failed: {_log(bench)}")
    history.violations += violations(story.model, world)
    world.close()
    history.violations += recovered(bench, story)
    return history


def recovered(bench: Bench, story: Story) -> list[str]:
    """Tell a story to its end from where it is, claims being over; what is wrong then."""
    time_passes(story.world, story)
    site = bench.site(story.world)
    try:
        story.tell(site)
    except RuntimeError as error:  # it does not come to an end
        return [str(error)]
    found = violations(story.model, story.world, over=True)
    found += _untold(site, story)
    story.world.close()
    site.ledger.close()
    return found


def time_passes(world: World, story: Story) -> None:
    """Make every claim's time be over."""
    for event in story.model.events:
        world.expire(event.event_id)


def passages(bench: Bench, seed: int) -> Counter[str]:
    """Tell a story undisturbed, and count the passages of crash points."""
    world = bench.fresh()
    story, where = Story(world=world, seed=seed), bench.folder / "passages.json"

    def tell() -> None:
        counts: Counter[str] = Counter()
        points.crash_point = lambda name: counts.update([name])
        story.tell(bench.site(world))
        where.write_text(json.dumps(counts))

    if apart(bench, tell) != 0:
        raise RuntimeError(f"seed {seed}, undisturbed: {_log(bench)}")
    if found := violations(story.model, world, over=True):
        raise RuntimeError(f"seed {seed}, undisturbed: {found}")
    world.close()
    return Counter(json.loads(where.read_text()))


def matrix(bench: Bench, seeds: int, *, first: int = 0, share: tuple[int, int] = (0, 1)) -> list[History]:
    """Every point of every seed's story at one random passage; ``share`` (n, of) takes every of-th seed."""
    done = []
    for seed in range(first, first + seeds):
        if seed % share[1] == share[0]:
            for point, count in sorted(passages(bench, seed).items()):
                passage = Random(f"{seed}{point}").randint(1, count)
                done.append(killed(bench, History(seed=seed, point=point, passage=passage)))
    return done


def apart(bench: Bench, call: Callable[[], object]) -> int:
    """Call in a forked process; return its exit status, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(begun(bench, call), 0)[1])


def begun(bench: Bench, call: Callable[[], object]) -> int:
    """Begin a call in a forked process, with the planted bug; return its number."""
    return forked(bench.folder / "log", call)


def hurry() -> None:
    """Let nobody wait before trying again: that takes most of the time where answers get lost."""
    from tenacity import wait_none

    from icebridge_provider import retry

    retry._full_jitter = wait_none()


def _log(bench: Bench) -> str:
    return (bench.folder / "log").read_text()[-2000:]


def _untold(site: SyncSite, story: Story) -> Iterator[str]:
    """Events of whose end the ledger knows nothing."""
    assert site.ledger is not None
    ended = {
        line.table for line in site.ledger.events("sync:orders") if line.outcome.value in {"done", "failed", "refused"}
    }
    for event in story.model.events:
        if event.event_id not in ended:
            yield f"event {event.event_id}: the ledger does not know how it ended"


@contextmanager
def benches(kinds: list[str]) -> Iterator[list[Bench]]:
    """A bench for each kind of world (``sqlite``, ``postgres``, ``mssql``), in a folder that goes away."""
    where = "/dev/shm" if Path("/dev/shm").is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="ib-bridge-", dir=where))
    made = [Bench(folder=folder / kind, kind=kind) for kind in kinds]
    try:
        with ExitStack() as servers:
            for bench in made:
                bench.folder.mkdir()
                if bench.kind == "postgres":
                    bench.server = servers.enter_context(running())
                elif bench.kind == "mssql":
                    bench.sql_server = servers.enter_context(SqlServer(bench.folder / "server"))
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments: list[str]) -> int:
    """Run what was asked for; 1 when something was violated."""
    from tests.crash import bridge_machine, bridge_race, bridge_teeth

    options = _options(arguments)
    if options.teeth:
        return bridge_teeth.main(options.teeth)
    if options.machine:
        bridge_machine.run(fast_sqlite, options.machine)
        print(f"sqlite: {options.machine} random runs of the state machine, 0 violations")
        return 0
    wrong = 0
    with benches(options.kinds.split(",")) as made:
        for bench in made:
            if bench.kind == "mssql":
                hurry()
            started = time.monotonic()
            if options.lost:
                told, count, found = bridge_race.lost_answers(bench, options.lost, options.first)
                said = f"{told} stories, {count} answers lost"
            elif options.writers:
                again, found = bridge_race.writers(bench, options.writers)
                said = f"{options.writers} writers, {again} events begun again"
            else:
                done = bridge_race.zombies(bench, options.zombies) if options.zombies else _matrix(bench, options)
                found = [f"seed {each.seed} {each.point}#{each.passage}: {each.violations[:3]}"
                         for each in done if each.violations]  # fmt: skip
                names = {history.point for history in done}
                said = f"{len(done)} histories at {len(names)} points, {sum(each.reached for each in done)} reached"
            print(f"{bench.kind}: {said}, {len(found)} violations, {time.monotonic() - started:.0f} s")
            print("".join(f"  {text}\n" for text in found[:5]), end="")
            wrong += len(found)
    return 1 if wrong else 0


def _matrix(bench: Bench, options: Any) -> list[History]:
    return matrix(bench, options.seeds, first=options.first)


def _options(arguments: list[str]) -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kinds", default="sqlite,postgres")
    parser.add_argument("--lost", type=int, default=0, help="answers to COMMIT that do not come, for each kind")
    parser.add_argument("--zombies", type=int, default=0, help="seeds")
    parser.add_argument("--writers", type=int, default=0, help="how many at once")
    parser.add_argument("--machine", type=int, default=0, help="random runs of the state machine, 30 steps each")
    parser.add_argument("--teeth", nargs="?", const="all", default="", help="plant bugs; all, or one by its name")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Where stories of shares are told: an account, an S3 server, a source, and processes that end in the middle."""

from __future__ import annotations

import itertools
import json
import pickle
import re
import shutil
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from icebridge_provider.engines.snowflake import target as target_module
from icebridge_provider.engines.snowflake.target import SnowflakeTarget
from icebridge_provider.model.event import Outcome, Step
from icebridge_provider.model.share import Share
from icebridge_provider.model.snowflake import LoadState
from icebridge_provider.planning.snowflake.names import run_key
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.share_site import ShareSite
from tests.crash.driver import time_passes
from tests.crash.forks import LONGEST_SECONDS, ended, forked
from tests.crash.share_story import COLUMNS, TARGET, Row, Story, differ, instants
from tests.support.ledgers import sqlite_ledger
from tests.support.s3 import BUCKET
from tests.support.share_world import SourceWorld, share_of, site_of
from tests.support.snowflake import ROOT, Account

MOST_STORIES = 100  # of one account, which keeps all that it has seen
CLEANED = 20  # tries
OURS = re.compile(r"^ICEBRIDGE_(?!LOADS$)")  # staging tables, and tables that are swapped
CHANGES = re.compile(r"\s*(COPY|INSERT|MERGE|DELETE|UPDATE|TRUNCATE|CREATE|ALTER TABLE|DROP|COMMENT)\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class World:
    """One story's surroundings: a folder with ledger and source, a database, a bucket."""

    folder: Path
    database: str
    account: Account
    s3: dict[str, str]
    story: Story

    def shares(self) -> list[Share]:
        """What every turn asks for."""
        source = self.source()
        return [
            share_of(
                source, _table(number), self.database,
                run_id=turn.run_id, mode=turn.mode, publish=turn.publish, keys=turn.keys, limit=turn.limit,
            )
            for number, turn in enumerate(self.story.turns)
        ]  # fmt: skip

    @property
    def target(self) -> tuple[str, str, str]:
        return (self.database, "PUBLIC", "T")

    def source(self) -> SourceWorld:
        return SourceWorld(self.folder / "source", self.s3)

    @contextmanager
    def site(self, **options: Any) -> Iterator[ShareSite]:
        """What a worker has: its own sessions and its own name."""
        with SnowflakeTarget(self._connect, name="snowflake") as target:
            site = site_of(self.folder, self.source(), target, **options)
            yield site
            site.ledger.close()  # type: ignore[attr-defined]

    def _connect(self) -> Any:
        """An unmodified connection, but for how long it waits before it sends something again."""
        return self.account.connect(self.database, backoff_policy=_at_once)

    def build(self) -> None:
        """Make source tables, stage and target."""
        source = self.source()
        for number, turn in enumerate(self.story.turns):
            source.table(_table(number), list(COLUMNS), turn.table(), files=turn.parts)
        self.account.stage(self.database, prefix=f"{self.database}/")
        if self.story.begins is not None:
            self._build_target(self.story.begins)

    def _build_target(self, rows: tuple[Row, ...]) -> None:
        with closing(self.account.connect(self.database)) as connection:
            cursor = connection.cursor()
            cursor.execute(f"CREATE TABLE T ({TARGET})")
            if rows:
                selects = ["SELECT %s, %s, TO_TIMESTAMP_LTZ(%s, 6), %s"] * len(rows)
                cursor.execute(f"INSERT INTO T {' UNION ALL '.join(selects)}", [value for row in rows for value in row])

    # What is there, read without the product

    def look(self) -> Seen:
        """Read everything that is looked at."""
        with closing(self.account.connect(self.database)) as connection:
            cursor = connection.cursor()
            cursor.execute("SHOW TABLES")
            names = [description.name for description in cursor.description]
            tables = {row[names.index("name")] for row in cursor.fetchall()}
            rows = _target_rows(cursor) if "T" in tables else Counter()
            loads = {}
            if "ICEBRIDGE_LOADS" in tables:
                cursor.execute("SELECT RUN_KEY, STATE, GENERATION, ROWS_LOADED FROM ICEBRIDGE_LOADS")
                found = cursor.fetchall()
                loads = {row[0]: (row[1], int(row[2]), row[3]) for row in found}
                assert len(loads) == len(found), "a run has two rows in ICEBRIDGE_LOADS"
        ledger = SqlLedger(f"sqlite:///{self.folder}/ledger.db")
        told = [_is_told(ledger, turn.run_id) for turn in self.story.turns]
        ledger.close()
        return Seen(rows=rows, loads=loads, tables={name for name in tables if OURS.match(name)}, told=told)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was there at one instant. ``told``: which turns the ledger has as loaded."""

    rows: Counter[Row]
    loads: dict[str, tuple[str, int, Any]]
    tables: set[str]
    told: list[bool]


def _table(number: int) -> str:
    return f"main.s.t{number}"


def _is_told(ledger: SqlLedger, run_id: str) -> bool:
    return any(event.step is Step.LOAD and event.outcome is Outcome.DONE for event in ledger.events(run_id))


def _target_rows(cursor: Any) -> Counter[Row]:
    cursor.execute("SELECT * FROM T")
    names = [description.name for description in cursor.description]
    wanted = ("id", "name", "at", "note")
    places = [names.index(name) if name in names else None for name in wanted]
    return Counter(instants(None if place is None else row[place] for place in places) for row in cursor.fetchall())  # type: ignore[arg-type]


def violations(world: World, seen: Seen, *, over: bool, tidy: bool = True) -> list[str]:
    """What is wrong at one instant: rows of no turn, of half a turn, or of another turn than is recorded.

    :param over: all turns are said to have ended.
    :param tidy: whether no table of ours may be left; a worker that was overtaken may make its own once more, and a
        DROP whose answers are lost is a warning.
    """
    states = [_state(seen, world, turn.run_id) for turn in world.story.turns]
    done = states.count(LoadState.LOADED.value)
    found = [f"the ledger says that turn {n} is loaded, its row says {states[n]!r}" for n, told in enumerate(seen.told)
             if told and states[n] != LoadState.LOADED]  # fmt: skip
    allowed = [world.story.rows_before(done)]
    if done < len(states) and states[done] == LoadState.SWAPPING:
        allowed.append(world.story.rows_before(done + 1))
    if states[:done] != [LoadState.LOADED.value] * done or (over and done < len(states)):
        found.append(f"turns are {states}")
    if over and not all(seen.told):
        found.append(f"the ledger knows of {seen.told}")
    if over and seen.tables and tidy and _few_tries(seen):
        found.append(f"tables are left: {sorted(seen.tables)}")
    if seen.rows not in allowed:
        found.append(f"after {done} turns ({states}): {differ(seen.rows, allowed[-1])}")
    return found


def _few_tries(seen: Seen) -> bool:
    """Whether all tries are cleaned up after: of many, the first ones' tables are left."""
    return all(generation <= CLEANED for _, generation, _ in seen.loads.values())


def _state(seen: Seen, world: World, run_id: str) -> str:
    return seen.loads.get(run_key(run_id, world.target), ("",))[0]


@dataclass(kw_only=True)
class Bench:
    """A folder, an S3 server and an account, in which one story is told after the other."""

    folder: Path
    s3: dict[str, str]
    plant: Callable[[], object] = lambda: None
    told: int = 0
    _account: Account | None = field(default=None, repr=False)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()[-2500:]

    def account(self) -> Account:
        """The account; another one after some stories."""
        if self._account is not None and self.told % MOST_STORIES == 0:
            self.close()
        if self._account is None:
            (self.folder / "account").mkdir(exist_ok=True)
            self._account = Account(self.folder / "account", self.s3)
            self._account.__enter__()
            self._account._databases = self.told  # no two stories of one bucket write into the same folders
            self._account.order("POST", "/settings", {"idle_abort_seconds": 1, "lock_timeout_seconds": 30})
        return self._account

    def close(self) -> None:
        if self._account is not None:
            self._account.__exit__()
            self._account = None

    def begin(self, story: Story) -> World:
        """Make the world of a story anew."""
        account = self.account()
        account.calm()
        self.told += 1
        shutil.rmtree(self.folder / "world", ignore_errors=True)
        (self.folder / "world").mkdir()
        shutil.copy(self._empty_ledger(), self.folder / "world" / "ledger.db")
        world = World(
            folder=self.folder / "world", database=account.database(), account=account, s3=self.s3, story=story
        )
        self.asked(world.build)
        return world

    def _empty_ledger(self) -> Path:
        """A ledger that is migrated once: there are thousands of stories."""
        if not (self.folder / "ledger.db").exists():
            self.asked(lambda: sqlite_ledger(self.folder).close())
        return self.folder / "ledger.db"

    def begun(self, call: Callable[[], object]) -> int:
        """Begin a call in a process of its own, with the planted bug; return its number."""

        def planted() -> None:
            hurry()
            self.plant()
            call()

        return forked(self.folder / "log", planted)

    def apart(self, call: Callable[[], object], seconds: float = LONGEST_SECONDS) -> int:
        """Call in a process of its own; its exit status, or minus the signal that ended it."""
        return ended(self.begun(call), seconds)

    def asked(self, call: Callable[[], Any], *, planted: bool = False) -> Any:
        """Ask in a process of its own: threads that are begun there are of no harm here.

        :param planted: with the planted bug.
        :raises RuntimeError: when it failed.
        """
        path = self.folder / "answer"

        def answer() -> None:
            path.write_bytes(pickle.dumps(call()))

        if ended(self.begun(answer) if planted else forked(self.folder / "log", answer), LONGEST_SECONDS) != 0:
            raise RuntimeError(self.log)
        return pickle.loads(path.read_bytes())

    def wrong(self, world: World, *, over: bool = False, tidy: bool = True) -> list[str]:
        """What is wrong with a world now."""
        return list(self.asked(lambda: violations(world, world.look(), over=over, tidy=tidy)))

    def time_passes(self, world: World, *, sessions: bool = True) -> None:
        """Let leases lapse and, if wanted, have the account end its sessions."""
        time_passes(world.folder)
        if sessions:
            world.account.order("POST", "/sessions/kill")


def _at_once() -> Iterator[int]:
    return itertools.repeat(0)


def hurry() -> None:
    """Let nobody wait before trying or looking again."""
    from tenacity import wait_none

    from icebridge_provider import retry

    retry._full_jitter = wait_none()
    target_module.TRY_SECONDS = target_module.LOOK_SECONDS = target_module.GONE_SECONDS = 0.0


def changes_since(world: World, call: Callable[[], object]) -> list[str]:
    """Statements that change something, sent to the account during a call."""
    ca = Path(world.account.started["ca_file"]).read_text()
    bearer = {"Authorization": f"Bearer {world.account.started['admin_token']}"}
    verify = ssl.create_default_context(cadata=ca)
    # A client of this process: a connection cannot be shared with the one that it was forked from.
    with httpx.Client(base_url=f"{world.account.url}/admin", headers=bearer, timeout=60, verify=verify) as admin:
        admin.delete("/requests").raise_for_status()
        call()
        sent = [item["statement"] for item in admin.get("/requests").raise_for_status().json()]
    return [text for text in sent if CHANGES.match(text)]


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """An S3 server in a process of its own: a process with threads is not forked from."""
    command = [sys.executable, "-m", "tests.peers.s3", "--bucket", BUCKET]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        yield {
            "s3.endpoint": told["endpoint"], "s3.access-key-id": told["key"],
            "s3.secret-access-key": told["secret"], "s3.region": told["region"],
        }  # fmt: skip
        process.stdin.close()

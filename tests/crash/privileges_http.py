"""``python -m tests.crash.privileges_http --worlds 1000``: I6 after every HTTP request of a cut-over and a rollback.

The real steps with the real adapter of Unity Catalog against the local workspace's own server. Each world is cut over
and rolled back undisturbed; then once more from every instant at which the process could have been killed: before a
request is served, and after it was, before its answer. Instants between which neither workspace nor ledger changed are
one (``--every`` takes each of them). What a killed process began is gone on with, or rolled back, by turns.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from icebridge_provider.catalogs.iceberg import IcebergCatalog
from icebridge_provider.catalogs.unity.catalog import UnityCatalog
from icebridge_provider.catalogs.unity.workspace import Login, Workspace
from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.model.event import Outcome, Step
from icebridge_provider.model.plan import MigrationPlan, TablePlan
from icebridge_provider.model.settings import Settings
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.certify import certify_wave
from icebridge_provider.steps.cut_over import cut_over_table
from icebridge_provider.steps.rollback import rollback_table
from icebridge_provider.steps.site import Site
from tests.crash import privileges as in_memory
from tests.crash.http_workspace import TOKEN, WAREHOUSE, HttpWorkspace, Kept, ledger_bytes, ledger_mark
from tests.crash.privilege_oracle import Oracle
from tests.crash.privilege_random import random_world
from tests.crash.privilege_world import SOURCE_NAME, STAGED_NAME, World
from tests.crash.share_worlds import shared

FORTH, BACK = "cut-over", "rollback"
NOT_ENDED = "it does not come to an end"


@dataclass(frozen=True, kw_only=True)
class Instant:
    """Where a process could have been killed: all that is left of it, and what the oracle knows by then."""

    label: str
    phase: str
    kept: Kept
    ledger: bytes
    oracle: Oracle


@dataclass(kw_only=True)
class Stage:
    """The workspace, the connections, the plan; one for all worlds of a process."""

    folder: Path
    workspace: HttpWorkspace
    every: bool = False
    plan: MigrationPlan = field(init=False)
    client: Workspace = field(init=False)

    def __post_init__(self) -> None:
        made = self.workspace
        table = replace(
            in_memory.TABLE,
            table_uuid=made.uuid_of(SOURCE_NAME),
            metadata_location=made.metadata_of(SOURCE_NAME),
        )
        self.plan = replace(in_memory.PLAN, tables=(table,), digest="").sealed()
        self.client = Workspace("prod", made.url, Login(token=TOKEN))

    @property
    def table(self) -> TablePlan:
        return self.plan.tables[0]

    def site(self, world: World, ledger: SqlLedger) -> Site:
        """What a fresh process works with; only the connection to the server outlives it."""
        origin = {"type": "sql", "uri": self.workspace.database, "warehouse": "file:///nowhere", "catalog-name": "f"}

        def no_engine(_: object) -> Any:
            raise AssertionError("nothing is copied here")

        return Site(
            source=UnityCatalog(
                "src", self.client, "f", warehouse_id=WAREHOUSE, read_only=world.read_only,
                origin=IcebergCatalog("origin", origin, read_only=True) if world.foreign else None,
            ),
            target=UnityCatalog("dst", self.client, "m", warehouse_id=WAREHOUSE),
            ledger=ledger,
            engine=no_engine,
            settings=Settings(),
            now=lambda: datetime(2026, 1, 10, 23, 30, tzinfo=UTC),
            owner="worlds",
        )  # fmt: skip

    def prove(self, path: Path) -> None:
        """Make a ledger that says the table is copied and proven."""
        ledger = SqlLedger(f"sqlite:///{path}")
        ledger.migrate()
        ledger.save_plan(self.plan)
        site = self.site(random_world(0), ledger)
        proof: dict[str, object] = {
            "passed": True,
            "source_snapshot_id": None,
            "source_metadata_location": self.workspace.metadata_of(SOURCE_NAME),
            "metadata_location": self.workspace.metadata_of(STAGED_NAME),
        }
        for step in (Step.PLAN, Step.COPY, Step.VALIDATE):
            site.record(self.plan.plan_id, str(self.table.source), step, Outcome.DONE, proof)
        ledger.close()


@dataclass(kw_only=True)
class History:
    """One run of the steps, watched: ``instants`` collects where it could be killed, if it is asked to."""

    stage: Stage
    world: World
    oracle: Oracle
    path: Path
    digest: str = ""
    phase: str = FORTH
    requests: int = 0
    instants: list[Instant] | None = None
    _seen: bytes = b""
    _met: set[object] = field(default_factory=set)

    def certify(self) -> None:
        """Bring the table to where a person would be asked."""
        with self._process() as site:
            self.digest = str(certify_wave(site, self.stage.plan, self.stage.plan.tables)["digest"])

    def cut_over(self) -> None:
        """Cut over, in a process of its own, to the end."""
        self.phase = FORTH
        with self._process() as site:
            cut_over_table(site, self.stage.plan, self.stage.table, self.digest, "ada", writers_stopped=True)
        self.stage.workspace.shown(self.world)
        self.oracle.cut_over()

    def roll_back(self) -> None:
        """Roll back, in a process of its own, to the end."""
        self.phase = BACK
        with self._process() as site:
            rollback_table(site, self.stage.plan, self.stage.table)
        self.stage.workspace.shown(self.world)
        self.oracle.rolled_back()

    @contextmanager
    def _process(self) -> Iterator[Site]:
        ledger = SqlLedger(f"sqlite:///{self.path}")
        self._seen = self.stage.workspace.mark()
        try:
            with self.stage.workspace.looked_at(self._before, self._after):
                yield self.stage.site(self.world, ledger)
        finally:
            ledger.close()

    def _before(self, line: str) -> None:
        self.requests += 1
        self._note(f"before {line}")

    def _after(self, line: str) -> None:
        """Evaluate I6; where nothing changed it holds as it did before."""
        mark = self.stage.workspace.mark()
        if mark != self._seen:
            self._seen = mark
            self.stage.workspace.shown(self.world)
            self.oracle.look()
        self._note(f"after {line}")

    def _note(self, label: str) -> None:
        if self.instants is None:
            return
        key = (self.phase, self._seen, ledger_mark(self.path))
        if key in self._met and not self.stage.every:
            return
        self._met.add(key)
        self.instants.append(
            Instant(
                label=f"{self.phase}, request {self.requests}, {label}",
                phase=self.phase,
                kept=self.stage.workspace.keep(),
                ledger=ledger_bytes(self.path),
                oracle=copy(self.oracle),
            )
        )


def watching(oracle: Oracle, world: World) -> Oracle:
    """The oracle, knowing what it knew, in front of another world."""
    found = copy(oracle)
    found._world, found.said = world, []
    return found


@dataclass(kw_only=True)
class Case:
    """One world and what was found in it."""

    seed: int
    stage: Stage
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def examine(self, troubles: int | None = None, *, kill: bool = True) -> Case:
        """Certify; if that is not refused cut over and roll back, then again from every instant of it."""
        world = random_world(self.seed, troubles)
        shown = self.stage.workspace.install(world)
        path = self._path(0)
        shutil.copyfile(self.stage.folder / "proven.db", path)
        history = History(stage=self.stage, world=shown, oracle=Oracle(shown), path=path)
        if self._certified(history):
            history.instants = [] if kill else None
            self._told(history, "undisturbed", lambda: self._undisturbed(history))
            for number, instant in enumerate(history.instants or ()):
                self._again(history, instant, number)
        return self

    def _certified(self, history: History) -> bool:
        before = self.stage.workspace.mark()
        try:
            history.certify()
        except IceBridgeError as error:
            self.counts[f"refused {error.code}"] += 1
            self.counts["refused"] += 1
            return False
        finally:
            if self.stage.workspace.mark() != before:
                self.violations.append(f"world {self.seed}: certifying changed something")
        self.counts["cut over"] += 1
        self.violations += [f"world {self.seed}: {text}" for text in history.oracle.should_have_been_refused()]
        return True

    def _undisturbed(self, history: History) -> None:
        history.requests = 0
        history.cut_over()
        forth = history.requests
        history.roll_back()
        self.counts["prefixes"] += 2 * history.requests
        self.counts["requests of a cut-over"] += forth
        self.counts["requests of a rollback"] += history.requests - forth

    def _again(self, first: History, instant: Instant, number: int) -> None:
        """Another process finds what the killed one left, and goes on or goes back."""
        self.stage.workspace.bring_back(instant.kept)
        path = self._path(1 + number)
        path.write_bytes(instant.ledger)
        world = copy(first.world)
        oracle = watching(instant.oracle, world)
        history = History(stage=self.stage, world=world, oracle=oracle, path=path, digest=first.digest)
        self.stage.workspace.shown(world)
        onward = instant.phase == FORTH and (number + self.seed) % 2 == 0
        what = f"killed at {instant.label}, {'run again' if onward else 'rolled back'}"
        self._told(history, what, history.cut_over if onward else history.roll_back)

    def _told(self, history: History, what: str, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - whatever stops it, it does not come to its end
            history.oracle.said.append(f"{NOT_ENDED}: {type(error).__name__} {error}")
        self.counts["histories"] += 1
        self.counts["requests"] += history.requests
        self.violations += [f"world {self.seed}, {what}: {text}" for text in history.oracle.said]

    def _path(self, number: int) -> Path:
        for old in self.stage.folder.glob("run-*"):
            old.unlink()
        return self.stage.folder / f"run-{self.seed}-{number}.db"


@contextmanager
def staged(folder: Path, *, every: bool = False) -> Iterator[Stage]:
    """A workspace with a proven copy, for worlds to be examined in."""
    with HttpWorkspace(folder) as workspace:
        stage = Stage(folder=folder, workspace=workspace, every=every)
        stage.prove(folder / "proven.db")
        yield stage


def examine_all(worlds: Sequence[int], folder: Path, *, every: bool) -> dict[str, Any]:
    """Examine worlds one after the other."""
    counts, violations = Counter[str](), []
    with staged(folder, every=every) as stage:
        for seed in worlds:
            case = Case(seed=seed, stage=stage).examine()
            counts += case.counts
            violations += case.violations
    return {"counts": dict(counts), "violations": violations}


def main(arguments: Sequence[str]) -> int:
    """Examine worlds, shared among processes; 0 when nothing was violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.privileges_http", description=__doc__)
    parser.add_argument("--worlds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first world")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--every", action="store_true", help="a history for every prefix, also where nothing changed")
    options = parser.parse_args(arguments)
    worlds = range(options.seed, options.seed + options.worlds)
    return shared(worlds, options.workers, partial(examine_all, every=options.every), most=10)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

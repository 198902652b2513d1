"""``python -m tests.crash.privileges --worlds 1000``: nobody reads less or more, at any instant of any cut-over.

Each world is cut over and rolled back by the real steps: undisturbed; killed once at every crash point and run again;
killed and rolled back from there; with every answer lost once; with somebody else changing privileges in between.
After every single change invariant I6 is evaluated for every user by what the local workspace enforces.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from icebridge_provider import crash
from icebridge_provider.exceptions import IceBridgeError, TransientError, ValidationFailed
from icebridge_provider.model.event import Outcome, State, Step
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import CopyMethod, Estimate, MigrationPlan, MigrationRequest, Rates, TablePlan
from icebridge_provider.model.settings import Settings
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.certify import certify_wave
from icebridge_provider.steps.cut_over import cut_over_table
from icebridge_provider.steps.rollback import rollback_table
from icebridge_provider.steps.site import Site
from tests.crash.privilege_oracle import Oracle
from tests.crash.privilege_random import UUIDS, human_change, make_change, random_world
from tests.crash.privilege_world import SOURCE_NAME, STAGED_NAME, TARGET_NAME, World, WorldCatalog
from tests.crash.share_worlds import shared

PLAN_ID, MOST_RUNS = "w", 4
LAST_LOOK = ("cut_over.archive", "cut_over.instruct")
KINDS = ("undisturbed", "killed", "aborted", "unanswered", "disturbed", "gone")
# Leases are the crash matrix's business, and before an effect the world is as it was after the one before it.
QUIET = re.compile(r"ledger\.(acquire|release|renew)\..*|.*\.before")


class Killed(BaseException):
    """This process is dead: whatever it still tries to change does not happen."""


def _identifier(name: str) -> TableIdentifier:
    catalog, schema, table = name.split(".")
    return TableIdentifier(catalog={"f": "src", "m": "dst"}[catalog], namespace=(schema,), name=table)


TABLE = TablePlan(
    source=_identifier(SOURCE_NAME),
    staged=_identifier(STAGED_NAME),
    target=_identifier(TARGET_NAME),
    method=CopyMethod.DEEP_CLONE,
    table_uuid=UUIDS[SOURCE_NAME],
    metadata_location=f"{UUIDS[SOURCE_NAME]}/0.metadata.json",
    snapshot_id=1,
    location="",
    files=1,
    bytes=1,
    rows=1,
)
PLAN = MigrationPlan(
    plan_id=PLAN_ID,
    created_at="2026-01-10T23:30:00+00:00",
    request=MigrationRequest(source_conn_id="src", target_conn_id="dst"),
    tables=(TABLE,),
    waves=(),
    findings=(),
    estimate=Estimate(bytes=1, seconds=1.0, cost=0.0, throughput_mb_s=1.0, rates=Rates()),
).sealed()


@dataclass(kw_only=True)
class Run:
    """One history of one world: its own copy of the world and of the ledger, and the oracle that watches."""

    world: World
    ledger: SqlLedger
    digest: str
    oracle: Oracle = field(init=False)

    def __post_init__(self) -> None:
        self.oracle = Oracle(self.world)
        self.world.changed = self.oracle.look

    @property
    def site(self) -> Site:
        def no_engine(_: object) -> Any:
            raise AssertionError("nothing is copied here")

        return Site(
            source=WorldCatalog(world=self.world, name="src"),  # type: ignore[arg-type]
            target=WorldCatalog(world=self.world, name="dst"),  # type: ignore[arg-type]
            ledger=self.ledger,
            engine=no_engine,
            settings=Settings(),
            now=lambda: datetime(2026, 1, 10, 23, 30, tzinfo=UTC),
            owner="worlds",
        )

    def cut_over(self) -> None:
        cut_over_table(self.site, PLAN, TABLE, self.digest, "ada", True)
        self.oracle.cut_over()

    def roll_back(self) -> None:
        rollback_table(self.site, PLAN, TABLE)
        self.oracle.rolled_back()


@dataclass(kw_only=True)
class Case:
    """A world with its certified table, from which histories begin."""

    seed: int
    folder: Path
    world: World
    digest: str = ""
    refusal: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def begin(self) -> Run:
        shutil.copyfile(self.folder / "certified.db", self.folder / "run.db")  # closed ledgers are single files
        return Run(world=deepcopy(self.world), ledger=SqlLedger(f"sqlite:///{self.folder}/run.db"), digest=self.digest)

    def tell(self, what: str, call: Callable[[Run], None]) -> None:
        """Run one history and keep what its oracle said."""
        run = self.begin()
        try:
            call(run)
        except IceBridgeError as error:
            run.oracle.said.append(f"it does not come to an end: {error}")
        finally:
            run.ledger.close()
        self.counts["histories"] += 1
        self.counts["instants"] += run.oracle.looks
        self.violations += [f"world {self.seed}, {what}: {text}" for text in run.oracle.said]


@contextmanager
def at(passage: int, act: Callable[[], None]) -> Iterator[list[str]]:
    """Call ``act`` at one passage of the crash points; yields the names of all that were passed."""
    passed: list[str] = []
    real = crash.crash_point

    def point(name: str) -> None:
        if not QUIET.fullmatch(name):
            passed.append(name)
            if len(passed) == passage:
                act()

    crash.crash_point = point  # type: ignore[assignment]
    try:
        yield passed
    finally:
        crash.crash_point = real


def killed_at(passage: int, call: Callable[[], None]) -> bool:
    """Call in a "process" that is killed at one passage; whatever it tries to change afterwards does not happen."""
    dead = False

    def kill() -> None:
        nonlocal dead
        dead = True
        raise Killed

    with at(passage, kill):
        real = crash.crash_point

        def point(name: str) -> None:
            if dead:
                raise Killed
            real(name)

        crash.crash_point = point  # type: ignore[assignment]
        try:
            call()
        except Killed:
            return True
    return False


def certified(seed: int, folder: Path, troubles: int | None = None) -> Case:
    """Bring a world's table to where a person would be asked, or to its refusal."""
    case = Case(seed=seed, folder=folder, world=random_world(seed, troubles))
    shutil.copyfile(folder / "empty.db", folder / "certified.db")
    run = Run(world=case.world, ledger=SqlLedger(f"sqlite:///{folder}/certified.db"), digest="")
    before = deepcopy(case.world.state)
    try:
        case.digest = str(certify_wave(run.site, PLAN, PLAN.tables)["digest"])
    except ValidationFailed as error:
        case.refusal = error.code
    run.ledger.close()
    if case.world.state != before:
        case.violations.append(f"world {seed}: certifying changed something")
    if not case.refusal:
        case.violations += [f"world {seed}: {text}" for text in run.oracle.should_have_been_refused()]
    return case


def empty_ledger(folder: Path) -> None:
    """A ledger that says the table is copied and proven."""
    ledger = SqlLedger(f"sqlite:///{folder}/empty.db")
    ledger.migrate()
    ledger.save_plan(PLAN)
    site = Run(world=random_world(0), ledger=ledger, digest="").site
    proof: dict[str, object] = {
        "passed": True,
        "source_snapshot_id": 1,
        "source_metadata_location": f"{UUIDS[SOURCE_NAME]}/0.metadata.json",
        "metadata_location": f"{UUIDS[STAGED_NAME]}/0.metadata.json",
    }
    for step in (Step.PLAN, Step.COPY, Step.VALIDATE):
        site.record(PLAN_ID, str(TABLE.source), step, Outcome.DONE, proof)
    ledger.close()


def examine(seed: int, folder: Path, kinds: Sequence[str] = KINDS, troubles: int | None = None) -> Case:
    """Run all histories of one world, or those of some kinds; undisturbed is always the first."""
    case = certified(seed, folder, troubles)
    if case.refusal:
        case.counts["refused"] += 1
        return case
    case.counts["cut over"] += 1
    forth, back = _undisturbed(case)
    rng = Random(seed)
    for number in range(1, 1 + forth):
        if "killed" in kinds:
            case.tell(f"killed at {number}, run again", lambda run, n=number: _killed(run, n, 1 + n % back))
        if "aborted" in kinds:
            case.tell(f"killed at {number}, rolled back", lambda run, n=number: _aborted(run, n))
    if "unanswered" in kinds:
        for number in range(1, 1 + case.counts["changes"]):
            case.tell(f"answer {number} lost", lambda run, n=number: _unanswered(run, n))
    if "disturbed" in kinds:
        for _ in range(4 if forth else 0):
            number, chance = rng.randint(1, forth), rng.randrange(10**9)
            case.tell(f"somebody else at {number} ({chance})", lambda run, n=number, c=chance: _disturbed(run, n, c))
    if "gone" in kinds:
        case.tell("a principal is gone", lambda run: _principal_gone(run, rng))
    return case


def _undisturbed(case: Case) -> tuple[int, int]:
    counted = []

    def both(run: Run) -> None:
        for call in (run.cut_over, run.roll_back):
            with at(0, lambda: None) as passed:
                call()
            counted.append(len(passed))
            if not case.counts["changes"]:
                case.counts["changes"] = run.oracle.looks

    case.tell("undisturbed", both)
    return (counted[0], counted[1]) if len(counted) == 2 else (0, 1)


def _killed(run: Run, passage: int, later: int) -> None:
    for number, call in ((passage, run.cut_over), (later, run.roll_back)):
        if killed_at(number, call):
            run.oracle.look()
            call()


def _aborted(run: Run, passage: int) -> None:
    if killed_at(passage, run.cut_over):
        run.oracle.look()
    run.roll_back()


def _unanswered(run: Run, number: int) -> None:
    run.world.loses_answer = number
    for call in (run.cut_over, run.roll_back):
        for _ in range(MOST_RUNS):
            try:
                call()
                break
            except TransientError:
                run.oracle.look()


def _disturbed(run: Run, passage: int, chance: int) -> None:
    """Somebody changes privileges in between: it stops and takes its own changes back, or it was too late to matter."""
    change, bears = ("nothing",), False

    def somebody() -> None:
        nonlocal change, bears
        change, before = human_change(run.world, Random(chance)), deepcopy(run.world.state)
        run.oracle.somebody(lambda: make_change(run.world, change))
        bears = before != run.world.state

    passed: list[str] = []
    try:
        with at(passage, somebody) as passed:
            cut_over_table(run.site, PLAN, TABLE, run.digest, "ada", True)
    except IceBridgeError as error:
        run.oracle.taken_back(change, error)
        state = run.ledger.state(PLAN_ID, str(TABLE.source))
        if state.applied or state.intent or state.state not in {State.VALIDATED, State.AWAITING_APPROVAL}:
            run.oracle.said.append(f"the ledger is left {state.state}: {state.applied}")
        return
    # The last look is before the intent of the archive or the instruction, which stands right before the effect.
    last = next(number for number, name in enumerate(passed) if name.startswith(LAST_LOOK)) - 1
    same = passed[passage : passage + 1] == [f"cut_over.{change[0]}.after"]  # what we were just about to do as well
    if bears and passage <= last and not same:
        run.oracle.said.append(f"nobody noticed that somebody else did {change}")


def _principal_gone(run: Run, rng: Random) -> None:
    """Somebody who was a reader does not exist any more when the table is rolled back."""
    run.cut_over()
    readers = sorted(run.oracle.granted_before(SOURCE_NAME))
    if readers:
        run.oracle.gone(rng.choice(readers))
    rollback_table(run.site, PLAN, TABLE)
    run.oracle.rolled_back()


def examine_all(worlds: Sequence[int], folder: Path) -> dict[str, Any]:
    """Examine worlds one after the other."""
    empty_ledger(folder)
    counts, violations = Counter[str](), []
    for seed in worlds:
        case = examine(seed, folder)
        case.counts.pop("changes", None)
        counts += case.counts
        violations += case.violations
    return {"counts": dict(counts), "violations": violations}


def main(arguments: Sequence[str]) -> int:
    """Examine worlds, shared among processes; 0 when nothing was violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.privileges", description=__doc__)
    parser.add_argument("--worlds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args(arguments)
    worlds = range(options.first, options.first + options.worlds)
    return shared(worlds, options.workers, examine_all, most=20, indent=1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

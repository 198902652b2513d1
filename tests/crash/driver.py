"""Runs histories: each in a process of its own that is killed at one passage of one crash point, then run to its end.

A history's process is forked from one that has imported everything and done nothing: importing costs seconds, and a
matrix has thousands of histories. ``--fresh`` starts a new interpreter for each instead.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash.forks import LONGEST_SECONDS, ended, forked
from tests.crash.scenario import VARIANTS, Case

KILLED = -signal.SIGKILL
MOST_RUNS = 4
ROOT = Path(__file__).resolve().parents[2]


@dataclass(kw_only=True)
class History:
    """One history and what came of it."""

    point: str
    passage: int
    seed: int
    variant: str
    second: str = ""
    reached: bool = False
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(kw_only=True)
class Bench:
    """A folder in which histories run one after the other, from the same beginnings."""

    folder: Path
    fresh: bool = False
    plant: str = ""
    beginnings: set[str] = field(default_factory=set)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def begin(self, seed: int, variant: str) -> Case:
        """Put the foreign lake of a seed back to its beginning."""
        shared = VARIANTS[variant].shared
        kept = self.folder / f"beginning-{seed}{'-shared' if shared else ''}"
        shutil.rmtree(self.home, ignore_errors=True)
        if kept.name not in self.beginnings:
            self.home.mkdir(parents=True)
            if self.apart(lambda: _build(self.home, seed, shared=shared)) != 0:
                raise RuntimeError((self.folder / "log").read_text())
            shutil.copytree(self.home, kept)
            self.beginnings.add(kept.name)
        else:
            shutil.copytree(kept, self.home)
        return Case(home=self.home, seed=seed, variant=variant)

    def apart(self, call: Callable[[], object], before: Callable[[], None] = lambda: None) -> int:
        """Call in a forked process; return its exit status, or minus the signal that ended it."""
        return ended(self.begun(call, before))

    def begun(self, call: Callable[[], object], before: Callable[[], None]) -> int:
        """Begin a call in a forked process, after ``before``; return its number."""

        def both() -> None:
            before()
            call()

        return forked(self.folder / "log", both)

    def run(self, case: Case, *, crashed: bool, crash: str = "") -> int:
        """Run a history's commands in their own process, killed at ``crash`` (point#passage)."""
        from tests.crash import plants, scenario

        if self.fresh:
            return self._interpreter(case, crashed=crashed, crash=crash)
        return self.apart(
            lambda: scenario.run(case, crashed=crashed), lambda: (_arm(crash), plants.plant(self.plant))[0]
        )

    def _interpreter(self, case: Case, *, crashed: bool, crash: str) -> int:
        command = [sys.executable, "-m", "tests.crash.scenario", str(case.home), str(case.seed), case.variant]
        environment = {**os.environ, "ICEBRIDGE_CRASH": crash, "ICEBRIDGE_PLANT": self.plant}
        with (self.folder / "log").open("w") as log:
            return subprocess.run(
                [*command, *(["crashed"] if crashed else [])],
                env=environment, stdout=log, stderr=log, timeout=LONGEST_SECONDS, check=False, cwd=ROOT,
            ).returncode  # fmt: skip

    def passages(self, seed: int, variant: str) -> Counter[str]:
        """Run a history undisturbed and count the passages of every crash point."""
        from tests.crash import scenario

        case = self.begin(seed, variant)
        where = self.folder / "passages.json"

        def counted() -> None:
            counts = _counting()
            scenario.run(case)
            where.write_text(json.dumps(counts))

        if self.apart(counted) != 0:
            raise RuntimeError(f"{variant}, seed {seed}, undisturbed: {(self.folder / 'log').read_text()}")
        when = "at_every_instant" if case.kind.then else "at_the_end"
        if problems := self.judge(case, when):
            raise RuntimeError(f"{variant}, seed {seed}, undisturbed: {problems}")
        return Counter(json.loads(where.read_text()))

    def judge(self, case: Case, when: str) -> list[str]:
        """Ask the oracle, in a process of its own: readers start threads, and threads do not survive forks."""
        from tests.crash import oracle

        where = self.folder / "verdict.json"
        if self.apart(lambda: where.write_text(json.dumps(getattr(oracle, when)(case)))) != 0:
            return [f"the oracle failed: {(self.folder / 'log').read_text()[-2000:]}"]
        return list(json.loads(where.read_text()))

    def history(self, history: History) -> History:
        """Kill, look, run again to the end, look."""
        started = time.monotonic()
        case = self.begin(history.seed, history.variant)
        ended = self.run(case, crashed=False, crash=f"{history.point}#{history.passage}")
        history.reached = ended == KILLED
        if ended not in {0, KILLED}:
            history.violations.append(f"the first run failed: {(self.folder / 'log').read_text()[-1500:]}")
        if history.reached:
            self._recover(case, history)
        history.seconds = time.monotonic() - started
        return history

    def _recover(self, case: Case, history: History) -> None:
        history.violations += self.judge(case, "at_every_instant")
        before = files_made(case.home)
        second = history.second
        for _ in range(MOST_RUNS):
            time_passes(case.home)
            ended = self.run(case, crashed=True, crash=second)
            if ended == 0:
                history.violations += self.judge(case, "at_the_end")
                history.violations += made_twice(case, before)
                return
            if ended != KILLED:
                break
            history.violations += self.judge(case, "at_every_instant")
            second = ""
        log = (self.folder / "log").read_text()[-1500:]
        history.violations.append(f"I10 it does not come to an end ({ended}): {log}")


def _build(home: Path, seed: int, *, shared: bool) -> None:
    from tests.crash import lake

    lake.build(home, seed)
    if shared:
        lake.share_files(home)


def _arm(crash: str) -> None:
    from icebridge_provider import crash as points

    points._TARGET, _, count = crash.partition("#")
    points._left = int(count or 1)


def _counting() -> Counter[str]:
    """Count passages from now on."""
    from icebridge_provider import crash as points

    counts: Counter[str] = Counter()

    def count(name: str) -> None:
        counts[name] += 1

    points.crash_point = count
    return counts


def time_passes(home: Path) -> None:
    """Let all leases lapse, as they would if one waited."""
    if (home / "ledger.db").exists():
        connection = sqlite3.connect(home / "ledger.db")
        there = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'icebridge_leases'").fetchone()
        if there:
            connection.execute("UPDATE icebridge_leases SET expires_at = 0")
            connection.commit()
        connection.close()


def files_made(home: Path) -> dict[str, tuple[int, int]]:
    """Return inode and time of every file that the ledger has as copied, and that is there."""
    from tests.crash import reader

    found = {}
    for row in reader.ledger_rows(home, "SELECT target FROM icebridge_copy_chunks"):
        path = reader.path_of(row["target"])
        if path.exists():
            found[str(path)] = (path.stat().st_ino, path.stat().st_mtime_ns)
    return found


def made_twice(case: Case, before: dict[str, tuple[int, int]]) -> Iterator[str]:
    """Say whether a file that was recorded as whole was copied again; a table that was given up starts over."""
    if "rollback" in (*case.kind.first, *case.kind.then):
        return
    after = files_made(case.home)
    again = sorted(path for path, made in before.items() if path in after and after[path] != made)
    if again:
        yield f"I10 {len(again)} whole files were copied again, such as {again[0]}"


def plan_histories(counts: dict[tuple[int, str], Counter[str]], seeds: int, only: str = "") -> list[History]:
    """Return one history for every point and seed: variant and passage differ from seed to seed."""
    points = sorted({point for found in counts.values() for point in found if point.startswith(only)})
    return [history for seed in range(seeds) for point in points if (history := _history(counts, point, seed))]


def _history(counts: dict[tuple[int, str], Counter[str]], point: str, seed: int) -> History | None:
    chosen = random.Random(f"{point} {seed}")
    reaching = [variant for (of, variant), found in counts.items() if of == seed and found[point]]
    if not reaching:
        return None
    variant = reaching[seed % len(reaching)] if seed else reaching[0]
    last = counts[seed, variant][point]
    passage = 1 if seed == 0 else last if seed == 1 else chosen.randint(1, last)
    second = ""
    if seed % 4 == 3:  # some are killed once more while they recover
        other = chosen.choice(sorted(counts[seed, variant]))
        second = f"{other}#{chosen.randint(1, counts[seed, variant][other])}"
    return History(point=point, passage=passage, seed=seed, variant=variant, second=second)


def summary(histories: list[History]) -> dict[str, Any]:
    """Return the matrix's result as JSON: per point, how many histories, and every violation."""
    points: dict[str, dict[str, Any]] = {}
    for history in histories:
        found = points.setdefault(history.point, {"histories": 0, "killed": 0, "violations": []})
        found["histories"] += 1
        found["killed"] += history.reached
        name = f"{history.variant}, seed {history.seed}, passage {history.passage}"
        found["violations"] += [f"{name}: {text}" for text in history.violations]
    return {
        "points": points,
        "histories": len(histories),
        "killed": sum(history.reached for history in histories),
        "violations": sum(len(history.violations) for history in histories),
        "seconds": round(sum(history.seconds for history in histories), 1),
        "holds": bool(points) and all(found["killed"] and not found["violations"] for found in points.values()),
    }

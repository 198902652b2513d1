"""Stops a process instead of killing it, lets another one do its work, and wakes it up: it must do no harm (I4)."""

from __future__ import annotations

import os
import signal
import time

from tests.crash import reader
from tests.crash.driver import Bench, History, time_passes
from tests.crash.forks import ended, stop_at
from tests.crash.scenario import Case

LEASE_SECONDS = 1  # a process that slept longer must look before it goes on


def haunt(bench: Bench, history: History) -> History:
    """Stop the first process at the history's point, run a second to the end, wake the first, look at both ends."""
    started = time.monotonic()
    case = bench.begin(history.seed, history.variant)
    child = bench.begun(lambda: _run(case), lambda: _arm(bench, history))
    history.reached = _stops(child)
    if history.reached:
        history.violations += _overtaken(bench, case, child)
    history.seconds = time.monotonic() - started
    return history


def _overtaken(bench: Bench, case: Case, child: int) -> list[str]:
    time.sleep(LEASE_SECONDS + 0.05)
    time_passes(case.home)
    log = bench.folder / "log"
    if bench.run(case, crashed=True) != 0:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return [f"I10 the second process does not come to an end: {log.read_text()[-1500:]}"]
    found = bench.judge(case, "at_the_end")
    before = _entries(case)
    os.kill(child, signal.SIGCONT)
    ended(child)
    # No store knows of leases: the one file that was being written when the process was stopped arrives late, unused.
    found += [f"awake: {text}" for text in bench.judge(case, "at_the_end") if "belong to nothing" not in text]
    if "rollback" not in (*case.kind.first, *case.kind.then) and _entries(case) != before:
        changed = sorted(set(_entries(case)) ^ set(before))
        found.append(f"I4 the process that was overtaken changed a catalog: {changed}")
    return found


def _entries(case: Case) -> list[tuple[str, str]]:
    return sorted([*reader.entries(case.home / "source").items(), *reader.entries(case.home / "target").items()])


def _run(case: Case) -> None:
    from tests.crash import scenario

    scenario.run(case, lease_seconds=LEASE_SECONDS)


def _arm(bench: Bench, history: History) -> None:
    from tests.crash import plants

    plants.plant(bench.plant)
    stop_at(history.point, history.passage)


def _stops(child: int) -> bool:
    """Wait until the process stops; False when it ends instead."""
    _, status = os.waitpid(child, os.WUNTRACED)
    return os.WIFSTOPPED(status)

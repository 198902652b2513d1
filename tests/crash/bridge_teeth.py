"""Does the suite bite? Each planted bug runs in a process of its own until something catches it."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import time
from pathlib import Path
from random import Random

from tests.crash.bridge import Bench, History, begun, benches, fast_sqlite, killed, passages
from tests.crash.bridge_plants import TEETH

CONTRACT = Path(__file__).parents[1] / "contract" / "bridge"
MOST_SEEDS = 12
LONGEST_SECONDS = 90
CAUGHT, MISSED = 7, 0


def main(which: str) -> int:
    """Plant all bugs, or one; 1 when one was not caught."""
    missed = 0
    with benches(["sqlite", "postgres"]) as (sqlite, postgres):
        for name in TEETH if which == "all" else [which]:
            caught, seconds = bite(postgres if TEETH[name].caught_by == "race" else sqlite, name)
            missed += not caught
            print(f"{'caught' if caught else 'MISSED'} in {seconds:5.1f} s by {TEETH[name].caught_by}: {name}")
    print(f"{len(TEETH) if which == 'all' else 1} bugs, {missed} missed")
    return 1 if missed else 0


def bite(bench: Bench, name: str) -> tuple[bool, float]:
    """Plant one bug; whether it was caught, and after how many seconds."""
    started = time.monotonic()
    child = begun(bench, lambda: _planted(bench, name))
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if ended not in {CAUGHT, MISSED}:
        raise RuntimeError(f"{name}: {(bench.folder / 'log').read_text()[-2000:]}")
    return ended == CAUGHT, time.monotonic() - started


def _planted(bench: Bench, name: str) -> None:
    signal.alarm(LONGEST_SECONDS)
    TEETH[name].plant()
    by = TEETH[name].caught_by
    catch = {"machine": _machine, "matrix": _matrix, "race": _race}.get(by)
    if catch(bench) if catch else _contract(by):
        os._exit(CAUGHT)


def _machine(_: Bench) -> bool:
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis.stateful import run_state_machine_as_test

    from tests.crash.bridge_machine import BridgeMachine

    class Machine(BridgeMachine):
        worlds = staticmethod(fast_sqlite)

    quick = settings(
        max_examples=300, stateful_step_count=20, deadline=None, database=None, derandomize=True,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            run_state_machine_as_test(Machine, settings=quick)
    except (AssertionError, BaseExceptionGroup):
        return True
    return False


def _matrix(bench: Bench) -> bool:
    for seed in range(MOST_SEEDS):
        try:
            counts = passages(bench, seed)
        except RuntimeError as error:
            if "undisturbed" not in str(error):
                raise
            return True
        for point, count in sorted(counts.items()):
            if point.startswith("ledger"):
                continue
            passage = Random(f"{seed}{point}").randint(1, count)
            if killed(bench, History(seed=seed, point=point, passage=passage)).violations:
                return True
    return False


def _race(bench: Bench) -> bool:
    from tests.crash.bridge_race import rows_arrive

    return bool(rows_arrive(bench))


def _contract(test: str) -> bool:
    import pytest

    return int(pytest.main(["-q", "-p", "no:cacheprovider", "-k", "sqlite", str(CONTRACT / test)])) == 1

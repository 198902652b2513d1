"""Does the suite bite? Each planted bug runs in processes of its own until something catches it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.crash.share import History, killed, warm_up
from tests.crash.share_bench import Bench, s3_server
from tests.crash.share_plants import TEETH, Teeth
from tests.crash.share_race import haunted, lost_answers
from tests.crash.share_worlds import quick_folder

ENOUGH = 2000  # lost answers


def main(which: str) -> int:
    """Plant all bugs, or one; 1 when one was not caught."""
    names = list(TEETH) if which == "all" else [which]
    missed = 0
    with (
        tempfile.TemporaryDirectory(prefix="ib-teeth-", dir=quick_folder()) as folder,
        s3_server() as s3,
        closing(Bench(folder=Path(folder), s3=s3)) as bench,
    ):
        warm_up(bench)
        for name in names:
            started = time.monotonic()
            said = bite(bench, name)
            missed += not said
            seconds = f"{time.monotonic() - started:5.1f} s"
            print(f"{'caught' if said else 'MISSED'} in {seconds} by {TEETH[name].caught_by}: {name}", flush=True)
            print(f"  {' '.join(said.split())[-200:]}", flush=True)
    print(f"{len(names)} bugs, {missed} missed")
    return 1 if missed else 0


def bite(bench: Bench, name: str) -> str:
    """Plant one bug and return what was said of it; empty when nothing was."""
    teeth = TEETH[name]
    bench.plant = teeth.plant
    try:
        for seed in teeth.seeds:
            if said := _LOOKS[teeth.caught_by](bench, teeth, seed):
                return said[0]
    finally:
        bench.plant = lambda: None
    return ""


def _killed(bench: Bench, teeth: Teeth, seed: int) -> list[str]:
    return killed(bench, History(seed=seed, point=teeth.point, slow=teeth.slow)).violations


def _zombie(bench: Bench, teeth: Teeth, seed: int) -> list[str]:
    return haunted(bench, History(seed=seed, point=teeth.point), middle=(teeth.middle, 1)).violations


def _lost(bench: Bench, teeth: Teeth, seed: int) -> list[str]:
    return list(lost_answers(bench, ENOUGH, [seed])["violations"])


_LOOKS: dict[str, Callable[[Bench, Teeth, int], list[str]]] = {"killed": _killed, "zombie": _zombie, "lost": _lost}

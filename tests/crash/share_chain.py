"""One story killed again and again: a process dies at one crash point after the other, the next one goes on from there.

That is a SIGKILL at every point of a seed's story, for a fraction of what a world for each of them takes; and what
went wrong unseen after one of them has all the others to show.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from icebridge_provider import crash as points
from tests.crash.share import KILLED, passages, slow, tell, told_again
from tests.crash.share_bench import Bench, World, violations
from tests.crash.share_story import story_of

MOST_WORLDS = 6  # for one story: points that come once in a turn cannot all be died at in one
MOST_SKIPPED = 3


def chains(bench: Bench, seeds: Sequence[int], only: str = "") -> dict[str, Any]:
    """Kill every seed's story at every point; counts by point, and violations."""
    counts: Counter[str] = Counter()
    found: list[str] = []
    for seed in seeds:
        try:
            known = {name for name in passages(bench, story_of(seed)) if name.startswith(only)}
        except RuntimeError as error:
            found.append(str(error))
            continue
        reached, wrong = killed_everywhere(bench, seed, known)
        found += wrong
        counts.update(f"at {name}" for name in reached)
        counts.update({"stories": 1, "killed": len(reached), "points not reached": len(known - reached)})
        print(f"seed {seed}: {len(reached)} of {len(known)} points, {wrong}", file=sys.stderr, flush=True)
    return {"counts": counts, "violations": found}


def killed_everywhere(bench: Bench, seed: int, known: set[str], *, skips: bool = True) -> tuple[set[str], list[str]]:
    """Tell one story, in as many worlds as it takes, dying once at each point; where it died, and what was wrong.

    :param skips: in the first world a process passes some points before it dies; else it dies at the first.
    """
    left = set(known)
    found: list[str] = []
    for number in range(MOST_WORLDS):
        if not left or found:
            break
        world = bench.begin(story_of(seed))
        found += [
            f"seed {seed}, world {number}, {text}" for text in _chain(bench, world, left, skips=skips and not number)
        ]
    return known - left, found


def _chain(bench: Bench, world: World, left: set[str], *, skips: bool) -> list[str]:
    chance = Random(f"chain {world.story.seed} {len(left)}")
    for name in ("died", "wrong"):
        (world.folder / name).write_text("")
    last = "the beginning"
    while True:
        slow(world, chance)
        skipped = chance.randint(0, MOST_SKIPPED) if skips else 0
        status = bench.apart(partial(_fragment, world, set(left), skipped))
        if wrong := (world.folder / "wrong").read_text():
            return [f"after {last}: {wrong}"]
        if status not in {0, KILLED}:
            return [f"after {last}: it does not come to its end ({status}): {bench.log}"]
        if status == 0:
            return []
        last = (world.folder / "died").read_text()
        left.discard(last)
        bench.time_passes(world, sessions=chance.random() < 0.7)


def _fragment(world: World, left: set[str], skipped: int) -> None:
    """Look, go on until the process dies at one of these points; when the story is over, look again."""
    _tell_wrong(world, violations(world, world.look(), over=False))
    passed = points.crash_point
    points.crash_point = _dying(left, skipped, world.folder / "died")
    try:
        tell(world)
    finally:
        points.crash_point = passed
    _tell_wrong(world, violations(world, world.look(), over=True) or told_again(world))


def _dying(left: set[str], skipped: int, where: Path) -> Any:
    count = 0

    def die(name: str) -> None:
        nonlocal count
        if name in left:
            count += 1
            if count > skipped:
                where.write_text(name)
                os.kill(os.getpid(), signal.SIGKILL)

    return die


def _tell_wrong(world: World, wrong: list[str]) -> None:
    if wrong:
        (world.folder / "wrong").write_text("; ".join(wrong)[:3000])
        os._exit(1)

"""``python -m tests.crash.share --seeds 20``: a share with Snowflake is killed at every crash point and goes on.

``--chains``: one story is killed again and again, once at every point, until it is told. ``--lost 10000``: answers of
Databricks, Snowflake and the file store that do not come. ``--zombies``: two workers, one of them stopped and woken up.
``--pairs``: two workers at the same time. ``--teeth``: planted bugs, all of which must be caught.
"""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from icebridge_provider import crash as points
from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.model.running import QueryState, Waiting
from icebridge_provider.model.share import Share, ShareResult
from icebridge_provider.steps import share as steps
from icebridge_provider.steps.share_site import ShareSite
from tests.crash.share_bench import Bench, World, changes_since, s3_server, violations
from tests.crash.share_story import Story, story_of
from tests.crash.share_worlds import shared

KILLED = -signal.SIGKILL
MOST_CALLS = 400


@dataclass(kw_only=True)
class History:
    """One story that was disturbed, and what was wrong.

    :param slow: a statement of the source that takes longer.
    """

    seed: int
    point: str
    passage: int = 1
    slow: str = ""
    reached: bool = False
    violations: list[str] = field(default_factory=list)


def to_the_end(
    site: ShareSite, share: Share, waits: Callable[[Waiting], object] = lambda _: None, calls: int = MOST_CALLS
) -> ShareResult:
    """Export and load as a task does: call, wait, call again; after what may pass, too.

    :param waits: called before a statement is waited for.
    :raises RuntimeError: when it does not come to an end.
    """
    said: list[str] = []
    for _ in range(calls):
        try:
            found = steps.export(site, share)
            if not isinstance(found, Waiting):
                loaded = steps.load(site, share)
                if not isinstance(loaded, Waiting):
                    return loaded
                found = loaded
            waits(found)
            _wait(site, found)
        except IceBridgeError as error:
            if not error.retryable:
                raise
            said.append(f"{error.code} {error}"[:300])
            time.sleep(0.01 if error.code == "IB-600" else 0)
    raise RuntimeError(f"it does not come to an end: {said[-3:]}")


def _wait(site: ShareSite, waiting: Waiting) -> None:
    for look in range(2000):
        if steps.runner_of(site, waiting).look(waiting.query_id).state is not QueryState.RUNNING:
            return
        time.sleep(min(0.01 * 2**look, 0.3))


def tell(world: World) -> list[ShareResult]:
    """Tell a story, or what is left of it; return how every turn came out."""
    with world.site() as site:
        return [told_turn(world, site, number) for number in range(len(world.story.turns))]


def told_turn(world: World, site: ShareSite, number: int, calls: int = MOST_CALLS) -> ShareResult:
    """Tell one turn, or what is left of it; somebody may cancel it once."""
    turn, share, marker = world.story.turns[number], world.shares()[number], world.folder / f"cancelled-{number}"

    def waits(_: Waiting) -> None:
        if turn.cancelled and not marker.exists():
            steps.cancel(site, share)
            marker.touch()

    return to_the_end(site, share, waits, calls)


def told_again(world: World) -> list[str]:
    """What is wrong when a story that has ended is told once more."""
    results: list[ShareResult] = []
    changed = changes_since(world, lambda: results.extend(tell(world)))
    wrong = [f"a statement was sent again: {text[:120]}" for text in changed[:3]]
    for turn, result in zip(world.story.turns, results, strict=True):
        if not result.again or result.rows != len(turn.rows):
            wrong.append(f"the second time it says {result}")
    return wrong


def recovered(bench: Bench, world: World, *, before: bool = False, tidy: bool = True) -> list[str]:
    """Tell a story to its end from where it is; what is wrong then, and when it is told once more.

    :param before: also what is wrong before.
    """
    found: list[str] = []

    def recover() -> list[str]:
        found.extend(violations(world, world.look(), over=False, tidy=tidy) if before else [])
        tell(world)
        found.extend(violations(world, world.look(), over=True, tidy=tidy))
        return found or told_again(world)

    try:
        return list(bench.asked(recover, planted=True))
    except RuntimeError as error:
        return [f"it does not come to its end: {error}"]


def killed(bench: Bench, history: History) -> History:
    """Tell a story, kill the process at a passage of a point, look, let another go on, look."""
    world = bench.begin(story_of(history.seed))
    chance = Random(f"{history.seed} {history.point}")
    slow(world, chance)
    if history.slow:
        world.source().order("slow", history.slow, looks=3)

    def until_killed() -> None:
        points._TARGET, points._left = history.point, history.passage
        tell(world)

    status = bench.apart(until_killed)
    history.reached = status == KILLED
    if status not in {0, KILLED}:
        history.violations.append(f"the first worker failed: {bench.log}")
    bench.time_passes(world, sessions=chance.random() < 0.5)
    history.violations += recovered(bench, world, before=True)
    return history


def slow(world: World, chance: Random) -> None:
    """Have some statements still run when the process dies."""
    if chance.random() < 0.5:
        world.account.fail("slow", "^COPY INTO", seconds=0.15, times=1, skip=chance.randint(0, 1))
    if chance.random() < 0.5:
        world.source().order("slow", chance.choice(("^INSERT", "file_name", "^WITH")), looks=chance.randint(1, 3))


def warm_up(bench: Bench) -> None:
    """Import here what a worker imports: processes that are forked from this one need not."""
    world = bench.begin(story_of(2))

    def imported() -> list[str]:
        tell(world)
        world.look()
        return list(sys.modules)

    for name in bench.asked(imported):
        with suppress(Exception):  # made up by others, and no module that could be imported
            importlib.import_module(name)


def passages(bench: Bench, story: Story) -> Counter[str]:
    """Tell a story undisturbed, and count the passages of crash points.

    :raises RuntimeError: when something is wrong even so.
    """
    world, where = bench.begin(story), bench.folder / "passages.json"

    def counted() -> None:
        counts: Counter[str] = Counter()
        points.crash_point = lambda name: counts.update([name])
        tell(world)
        where.write_text(json.dumps(counts))

    if bench.apart(counted) != 0:
        raise RuntimeError(f"seed {story.seed}, undisturbed: {bench.log}")
    found = bench.wrong(world, over=True) or bench.asked(lambda: told_again(world))
    if found:
        raise RuntimeError(f"seed {story.seed}, undisturbed: {found}")
    return Counter(json.loads(where.read_text()))


def matrix(bench: Bench, seeds: Sequence[int], only: str = "") -> list[History]:
    """Every point of every seed's story at one random passage, each in a world of its own."""
    done = []
    for seed in seeds:
        for point, count in sorted(passages(bench, story_of(seed)).items()):
            if point.startswith(only):
                passage = Random(f"{seed}{point}").randint(1, count)
                done.append(killed(bench, History(seed=seed, point=point, passage=passage)))
    return done


def summary(histories: Sequence[History]) -> dict[str, Any]:
    """Counts and violations of histories, as :func:`tests.crash.share_worlds.shared` wants them."""
    points = Counter(f"at {history.point}" for history in histories if history.reached)
    return {
        "counts": {"histories": len(histories), "reached": points.total(), **points},
        "violations": [
            f"seed {history.seed} at {history.point}#{history.passage}: {text}"
            for history in histories
            for text in history.violations
        ],
    }


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for and print it as JSON; 1 when something was violated."""
    from tests.crash import share_chain, share_race, share_teeth

    options = _options(arguments)
    seeds = range(options.first, options.first + options.seeds)
    if options.teeth:
        return share_teeth.main(options.teeth)

    def examine(mine: Sequence[int], bench: Bench) -> dict[str, Any]:
        if options.lost:
            return share_race.lost_answers(bench, options.lost // options.workers, mine)
        if options.zombies:
            return summary(share_race.zombies(bench, mine, options.point))
        if options.pairs:
            return share_race.pairs(bench, mine)
        if options.chains:
            return share_chain.chains(bench, mine, options.point)
        return summary(matrix(bench, mine, options.point))

    def worker(mine: Sequence[int], folder: Path) -> dict[str, Any]:
        with s3_server() as s3, closing(Bench(folder=folder, s3=s3)) as bench:
            warm_up(bench)
            return examine(mine, bench)

    return shared(seeds, options.workers, worker, most=8, indent=1)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--point", default="", help="only points that start so")
    parser.add_argument("--chains", action="store_true", help="kill one story at every point in turn")
    parser.add_argument("--lost", type=int, default=0, help="answers that do not come; of at most so many seeds")
    parser.add_argument("--zombies", action="store_true", help="stop, overtake and wake workers")
    parser.add_argument("--pairs", action="store_true", help="two workers at the same time")
    parser.add_argument("--teeth", nargs="?", const="all", default="", help="plant bugs; all, or one by its name")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

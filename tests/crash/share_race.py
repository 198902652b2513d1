"""Lost answers, workers that are stopped and woken up, and workers that work at the same time."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any

from icebridge_provider.exceptions import TransientError
from tests.crash.forks import LONGEST_SECONDS, ended, stop_at
from tests.crash.share import History, passages, recovered, slow, tell, told_again, told_turn
from tests.crash.share_bench import Bench, Seen, World
from tests.crash.share_story import differ, rows_after, story_of

MANY_CALLS = 5000
LEASE_SECONDS = 2
LONGEST_STORY = 600  # seconds


# Answers that do not come


@dataclass(kw_only=True)
class Lossy:
    """A port some of whose answers are lost: half of what was asked was done all the same."""

    port: Any
    error: Callable[[], Exception]
    random: Random
    rate: float
    lost: int = 0

    def __getattr__(self, name: str) -> Any:
        asked = getattr(self.port, name)
        return partial(self._asked, asked) if callable(asked) else asked

    def _asked(self, asked: Callable[..., Any], *given: Any, **more: Any) -> Any:
        if self.random.random() >= self.rate:
            return asked(*given, **more)
        self.lost += 1
        if self.random.random() < 0.5:
            asked(*given, **more)
        raise self.error()


def lost_answers(bench: Bench, wanted: int, seeds: Sequence[int]) -> dict[str, Any]:
    """Tell stories until so many answers were lost; counts by whose answer it was, and violations."""
    lost: Counter[str] = Counter()
    found: list[str] = []
    told = 0
    for seed in seeds:
        if lost.total() >= wanted or found:
            break
        found = [f"seed {seed}: {text}" for text in _told_in_spite(bench, bench.begin(story_of(seed)), lost)]
        told += 1
        print(f"seed {seed}: {lost.total()} lost, {found}", file=sys.stderr, flush=True)
    return {"counts": {"stories": told, "lost answers": lost.total(), **lost}, "violations": found}


def _told_in_spite(bench: Bench, world: World, counts: Counter[str]) -> list[str]:
    chance = Random(f"lost {world.story.seed}")
    rate = chance.choice((0.15, 0.3, 0.45))
    orders = _orders(rate)
    world.account.order("POST", "/faults", list(orders.values()))
    where = bench.folder / "lost"
    where.write_text("0 0")

    def tell_in_spite() -> None:
        with world.site() as site:
            source = Lossy(port=site.source, error=_no_answer, random=chance, rate=rate)
            store = Lossy(port=site.store, error=ConnectionError, random=chance, rate=rate)
            lossy = replace(site, source=source, store=store)
            for number in range(len(world.story.turns)):
                told_turn(world, lossy, number, MANY_CALLS)
                where.write_text(f"{source.lost} {store.lost}")

    status = bench.apart(tell_in_spite, LONGEST_STORY)
    hit = world.account.order("GET", "/faults")
    world.account.calm()
    databricks, files = map(int, where.read_text().split())
    counts.update({f"lost: {name}": order["hits"] for name, order in zip(orders, hit, strict=True)})
    counts.update({"lost: of Databricks": databricks, "lost: of the file store": files})
    return [f"it does not come to its end ({status}): {bench.log}"] if status else recovered(bench, world, tidy=False)


def _no_answer() -> TransientError:
    return TransientError("IB-200", "Databricks gave no answer.", remedy="It is tried again.")


def _orders(rate: float) -> dict[str, dict[str, Any]]:
    """What is lost: the connector gives up at ``gone``, and itself asks again after the others."""
    gone: dict[str, dict[str, Any]] = {
        "COMMIT": {"statement": "^COMMIT"},
        "claim, INSERT, MERGE, DELETE": {"statement": "^(INSERT|MERGE|DELETE|UPDATE|BEGIN)"},
        "start of COPY INTO": {"statement": "^COPY"},
        "start of SWAP, RENAME": {"statement": "^ALTER TABLE"},
        "other DDL": {"statement": "^(CREATE|DROP|COMMENT)"},
        "questions": {"statement": "^(SELECT|WITH|LIST|DESCRIBE)", "rate": rate / 3},
        "looks": {"path": "/queries/[0-9a-f-]+|/monitoring/", "rate": rate / 3},
    }
    orders = {name: {"fault": "gone", "rate": rate, **order} for name, order in gone.items()}
    orders["asked again by the connector"] = {"fault": "lost", "rate": rate / 4, "statement": "^(?!ALTER SESSION)"}
    orders["cut before it was done"] = {"fault": "cut", "rate": rate / 4, "statement": "^(?!ALTER SESSION)"}
    return {name: {**order, "times": -1} for name, order in orders.items()}


# Workers that are stopped, and wake up


def haunted(bench: Bench, history: History, *, middle: tuple[str, int] | None = None) -> History:
    """Stop a worker at a point, let another one work, wake the first, let both end, look.

    :param middle: where the other is stopped, too, while the first one goes on; None lets it come to its end.
    """
    world = bench.begin(story_of(history.seed))
    slow(world, Random(f"zombie {history.seed}"))
    first = bench.begun(lambda: _stopping(world, history.point, history.passage))
    history.reached = _stops(first)
    if history.reached:
        bench.time_passes(world, sessions=False)
        second = bench.begun(lambda: _stopping(world, *(middle or ("", 1))))
        stopped = _stops(second)
        if not stopped:
            history.violations += bench.wrong(world, over=True, tidy=False)
        bench.time_passes(world, sessions=False)
        os.kill(first, signal.SIGCONT)
        ended(first, LONGEST_SECONDS)
        history.violations += bench.wrong(world, over=not stopped, tidy=False)
        if stopped:
            os.kill(second, signal.SIGCONT)
            ended(second, LONGEST_SECONDS)
    bench.time_passes(world, sessions=False)
    history.violations += recovered(bench, world, tidy=False)
    return history


def _stopping(world: World, point: str, passage: int) -> None:
    stop_at(point, passage)
    tell(world)


def _stops(child: int) -> bool:
    """Wait until a process stops; False when it ends instead."""
    _, status = os.waitpid(child, os.WUNTRACED)
    return os.WIFSTOPPED(status)


def zombies(bench: Bench, seeds: Sequence[int], only: str = "") -> list[History]:
    """A worker stopped at every point of every seed's story; the other comes to its end, or is stopped somewhere."""
    done = []
    for seed in seeds:
        counts = passages(bench, story_of(seed))
        for point, count in sorted(counts.items()):
            if point.startswith("ledger.") or not point.startswith(only):  # the ledger's file would stay locked
                continue
            chance = Random(f"z{seed}{point}")
            other = chance.choice([name for name in sorted(counts) if not name.startswith("ledger.")])
            middle = (other, chance.randint(1, counts[other])) if chance.random() < 0.5 else None
            history = History(seed=seed, point=point, passage=chance.randint(1, count))
            done.append(haunted(bench, history, middle=middle))
        print(
            f"seed {seed}: {len(done)} zombies, {[h.violations for h in done if h.violations]}",
            file=sys.stderr,
            flush=True,
        )
    return done


# Workers at the same time


def pairs(bench: Bench, seeds: Sequence[int]) -> dict[str, Any]:
    """Pairs of workers, one story after the other: on the same runs, then each on a run of its own."""
    found: list[str] = []
    for seed in seeds:
        found += pair(bench, seed) + rivals(bench, seed)
        print(f"seed {seed}: {found}", file=sys.stderr, flush=True)
    return {"counts": {"pairs": len(seeds), "rivals": len(seeds)}, "violations": found}


def pair(bench: Bench, seed: int) -> list[str]:
    """Two workers tell one story at the same time; in every second story one of them is killed meanwhile."""
    world, chance = bench.begin(story_of(seed)), Random(f"pair {seed}")
    turns = range(len(world.story.turns))
    children = [bench.begun(lambda: _telling(world, turns)) for _ in range(2)]
    killed = chance.random() < 0.5
    if killed:
        time.sleep(chance.random() * 1.5)
        os.kill(children[1], signal.SIGKILL)
    statuses = [ended(child, LONGEST_SECONDS) for child in children]
    found = [f"a worker ended with {status}: {bench.log}" for status in statuses[: 1 if killed else 2] if status]
    return [f"seed {seed}: {text}" for text in found + bench.wrong(world, over=True) + recovered(bench, world)]


def rivals(bench: Bench, seed: int) -> list[str]:
    """Two runs into one table at the same time: it must be as if one had come after the other."""
    world = bench.begin(story_of(seed))
    children = [bench.begun(partial(_telling, world, [number])) for number in range(2)]
    statuses = [ended(child, LONGEST_SECONDS) for child in children]
    if any(statuses):
        return [f"seed {seed}: rivals ended with {statuses}: {bench.log}"]
    seen: Seen = bench.asked(world.look)
    begins, (one, other) = world.story.rows_before(0), world.story.turns
    orders = [rows_after(rows_after(begins, one), other), rows_after(rows_after(begins, other), one)]
    found = (
        [] if seen.rows in orders else [f"rivals: {differ(seen.rows, orders[0])}, or {differ(seen.rows, orders[1])}"]
    )
    found += [f"rivals: the ledger knows of {seen.told}"] if not all(seen.told) else []
    return [f"seed {seed}: {text}" for text in found + bench.asked(lambda: told_again(world))]


def _telling(world: World, turns: Sequence[int]) -> None:
    with world.site() as site:
        brief = replace(site, settings=replace(site.settings, lease_seconds=LEASE_SECONDS))
        for number in turns:
            told_turn(world, brief, number, MANY_CALLS)

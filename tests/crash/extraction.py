"""``python -m tests.crash.extraction --seeds 20``: extraction killed at every passage of every crash point.

A world is a source, an older run of another job in the same folder or none, and a job in ranges or in one piece. It
is run in a forked process that is killed at one passage, looked at as a reader would, and run again to its end.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet  # noqa: F401 - processes are forked with everything imported
import sqlglot  # noqa: F401

from icebridge_provider.model import codec
from icebridge_provider.model.event import State
from icebridge_provider.model.extraction import MANIFEST, Extraction, Manifest
from icebridge_provider.sql import extraction as sql
from icebridge_provider.steps import extract as steps
from icebridge_provider.steps import extract_folder
from tests.crash.driver import KILLED, _arm, _counting, time_passes
from tests.crash.forks import ended, forked
from tests.crash.share_worlds import shared
from tests.support.extraction import SqliteReader, job, orders, row, rows_in, site

with suppress(ImportError):
    import pandas as pd  # noqa: F401 - Arrow imports it where it is

PLANTS = ("the old manifest stays", "old parts stay", "ranges are kept by their number", "ranges overlap")


@dataclass(frozen=True, kw_only=True)
class World:
    """One seed's history, in a folder of its own."""

    folder: Path
    seed: int

    @property
    def random(self) -> random.Random:
        return random.Random(self.seed)

    @property
    def source(self) -> Path:
        return self.folder / "source.db"

    @property
    def out(self) -> Path:
        return self.folder / "out" / "co" / "orders"

    def job(self) -> Extraction:
        return job(self.random.choice((0, 0, 3, 5)), job_id="new")

    def rows(self) -> list[tuple[Any, ...]]:
        """Fill the source and return what it holds."""
        chance = self.random
        return orders(self.source, chance.choice((0, 1, 350, 600)), chance.choice((0, 0, 4)))

    def begin(self) -> list[tuple[Any, ...]]:
        """Make the folder anew; in every second world an older, larger run lies where the job will write."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if not self.ready.exists():
            self.folder.mkdir(parents=True)
            orders(self.source, 900)
            self.asked(lambda: self.run(job(job_id="old")) if self.seed % 2 else site(self.folder, None).root)
            self.folder.rename(self.ready)
        shutil.copytree(self.ready, self.folder)
        return self.rows()

    @property
    def ready(self) -> Path:
        """The folder as it was begun."""
        return self.folder.with_name(f"ready-{self.seed}")

    def run(self, wanted: Extraction | None = None) -> Manifest:
        where = site(self.folder, SqliteReader(path=self.source))
        try:
            return steps.extract(where, wanted or self.job())
        finally:
            where.ledger.close()  # type: ignore[attr-defined]

    def apart(self, call: Callable[[], object]) -> int:
        """Run in a process of its own."""
        return ended(forked(self.folder / "log", call))

    def seen(self, expected: list[tuple[Any, ...]]) -> list[str]:
        """What is wrong with what a reader sees who goes by the manifest."""
        path = self.out / MANIFEST
        if not path.exists():
            return []
        manifest = codec.from_json(Manifest, json.loads(path.read_text()))
        wanted = expected if manifest.job_id == "new" else [row(number) for number in range(900)]
        try:
            rows = rows_in(self.out, manifest)
        except (OSError, ValueError) as error:
            return [f"the manifest of {manifest.job_id} speaks of what is not there: {error}"]
        if Counter(rows) != Counter(wanted):
            return [f"the manifest of {manifest.job_id} speaks of {len(rows)} rows that are not its {len(wanted)}"]
        return []

    def ended(self, expected: list[tuple[Any, ...]], manifest: Manifest, wanted: Manifest) -> list[str]:
        """What is wrong after the last run."""
        wrong = self.seen(expected)
        files = sorted(item.name for item in self.out.iterdir())
        if files != sorted([MANIFEST, *(part.name for part in manifest.parts)]):
            wrong.append(f"files that no manifest names: {files}")
        if (manifest.parts, manifest.fingerprint, manifest.rows) != (wanted.parts, wanted.fingerprint, wanted.rows):
            wrong.append("another result than undisturbed")
        where = site(self.folder, None)
        if where.ledger.state("new", "co/orders").state is not State.COPIED:
            wrong.append("the ledger does not know that it is done")
        return wrong

    def asked(self, call: Callable[[], Any]) -> Any:
        """Ask in a process of its own: Arrow starts threads, and threads do not survive forks."""
        path = self.folder / "answer.json"
        if self.apart(lambda: path.write_text(json.dumps(codec.to_json(call())))) != 0:
            raise RuntimeError((self.folder / "log").read_text()[-1500:])
        return json.loads(path.read_text())


def passages(world: World) -> tuple[dict[str, int], Manifest]:
    """Run a world undisturbed: how often each point is passed, and what comes of it."""
    expected, counts = world.begin(), world.folder / "counts.json"

    def counted() -> None:
        found = _counting()
        world.run()
        counts.write_text(json.dumps(found))

    if world.apart(counted) != 0:
        raise RuntimeError((world.folder / "log").read_text()[-1500:])
    manifest = codec.from_json(Manifest, json.loads((world.out / MANIFEST).read_text()))
    if wrong := world.asked(lambda: world.ended(expected, manifest, manifest)):
        raise RuntimeError(f"seed {world.seed}, undisturbed: {wrong}")
    return json.loads(counts.read_text()), manifest


def history(world: World, crash: str, wanted: Manifest) -> list[str]:
    """Kill at a passage, look, run again, look."""
    expected = world.begin()

    def killed() -> None:
        _arm(crash)
        world.run()

    status = world.apart(killed)
    if status != KILLED:
        return [f"{crash} was not reached: {status} {(world.folder / 'log').read_text()[-500:]}"]

    def after() -> list[str]:
        wrong = world.seen(expected)
        time_passes(world.folder)
        return [*wrong, *world.ended(expected, world.run(), wanted)]

    wrong = world.asked(after)
    return [f"seed {world.seed} at {crash}: {text}" for text in wrong]


def examine(seeds: Sequence[int], folder: Path, *, every: bool = True, enough: int = 0) -> dict[str, Any]:
    """Run passages of every point of these seeds.

    :param every: all passages; else each point's first, and the last where files are touched.
    :param enough: stop after so many violations.
    """
    counts: Counter[str] = Counter()
    violations: list[str] = []
    for seed in seeds:
        world = World(folder=folder / "world", seed=seed)
        try:
            found, wanted = passages(world)
        except RuntimeError as error:
            violations.append(str(error))
            continue
        for crash in _crashes(found, every=every):
            if enough and len(violations) >= enough:
                break
            violations += history(world, crash, wanted)
            counts["histories"] += 1
        counts["worlds"] += 1
    return {"counts": counts, "violations": violations}


def _crashes(found: dict[str, int], *, every: bool) -> list[str]:
    return [
        f"{point}#{passage}"
        for point, times in sorted(found.items())
        for passage in (range(1, times + 1) if every else sorted({1, times if point.startswith("extract") else 1}))
    ]


def plant(name: str) -> None:
    """Put a bug into this process."""
    folder, delete = extract_folder.Folder, extract_folder.MANIFEST
    if name == "the old manifest stays":
        extract_folder.MANIFEST = "_none.json"
        folder.manifest = lambda _: None  # type: ignore[method-assign]
        folder.write_manifest = _write_manifest  # type: ignore[method-assign]
    elif name == "old parts stay":
        folder.clear = lambda self, _: self.store.delete(self.at(delete))  # type: ignore[method-assign]
    elif name == "ranges are kept by their number":
        steps._kept = _shifted  # type: ignore[assignment]
    elif name == "ranges overlap":
        within = sql.within
        sql.within = lambda *given, **more: within(*given, **more).replace(" < ", " <= ")  # type: ignore[assignment]


def _write_manifest(folder: extract_folder.Folder, manifest: Manifest) -> None:
    folder.store.write(folder.at(MANIFEST), json.dumps(codec.to_json(manifest)).encode())


def _shifted(where: steps.ExtractionSite, work: Any, ranges: Sequence[Any]) -> dict[Any, Any]:
    found = [item["result"] for _, item in where.ledger.documents(steps.RANGE_DOCUMENT)]
    results = [codec.from_json(steps.RangeResult, item) for item in found]
    return dict(zip(reversed(ranges), results, strict=False)) if work.job.partition else {}


def main(arguments: Sequence[str]) -> int:
    """Run the matrix and print it as JSON; 0 when nothing was violated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    return shared(range(options.seeds), options.workers, examine, most=5)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""``copy_files`` against ``cp`` with as many processes as it has threads, on the same files, in turns.

Wall times of a busy machine drift, so what counts is the median of the ratios of neighbouring runs. The whole job is
timed: manifests, lists, metadata file, ledger, verification and the entry in the catalog. Ledger and target catalog
are SQLite files in memory (/dev/shm), as they would be on another host: on the disk that is being copied to, their
fsync would wait for all the bytes just written, and ``cp`` syncs nothing.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyiceberg.table import Table

from icebridge_provider.catalogs.iceberg import IcebergCatalog
from icebridge_provider.engines.local.engine import LocalEngine
from icebridge_provider.engines.local.manifests import rewrite_manifest
from icebridge_provider.engines.local.relocation import Relocation
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.job import JobSpec
from icebridge_provider.model.plan import CopyMethod
from icebridge_provider.state.ledger import SqlLedger
from tests.support import tables

THREADS = 4
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
CASES = (("34 MB", 34_000_000, 10, 0.95), ("0.4 MB", 400_000, 500, 0.8), ("50 kB", 50_000, 2_000, 0.6))


def main(arguments: list[str]) -> int:
    fast = "--fast" in arguments
    for name, size, count, goal in CASES:
        with _folder() as folder, _folder(MEMORY) as databases:
            files, bytes_each, rounds = (min(count, 20), min(size, 400_000), 1) if fast else (count, size, 7)
            _compare(folder, databases, name, bytes_each, files, goal, rounds)
    with _folder() as folder:
        _metadata(folder, 100 if fast else 5_000)
    return 0


@contextmanager
def _folder(parent: str | None = None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="icebridge-bench-", dir=parent) as folder:
        yield Path(folder)


def _report(name: str, value: float, unit: str, goal: str, holds: bool) -> None:
    print(json.dumps({"name": name, "value": round(value, 4), "unit": unit, "goal": goal, "holds": holds}), flush=True)


def build(folder: Path, size: int, count: int) -> Table:
    """Make a table of ``count`` files of about ``size`` bytes that do not compress, with 16 columns of statistics."""
    catalog = tables.open_catalog(folder / "source")
    columns = {f"c{number}": pa.array([0], pa.int64()) for number in range(15)} | {"body": pa.array([b""])}
    options = {"write.parquet.compression-codec": "none"}
    table = tables.create(catalog, "wide", pa.table(columns), properties=options)
    random = np.random.default_rng(7)
    rows = {f"c{number}": random.integers(0, 99, 10) for number in range(15)}
    table.append(pa.table(rows | {"body": [random.bytes(size // 10) for _ in range(10)]}))
    first = next(iter(table.scan().plan_files())).file
    path = Path(first.file_path.removeprefix("file://"))
    data = path.read_bytes()
    with table.transaction() as transaction, transaction.update_snapshot().fast_append() as append:
        for number in range(count - 1):
            name = f"{path.parent}/{number:06}-{path.name}"
            if size > 10_000_000:
                os.link(path, name)  # saves disk; far larger than a processor's caches all the same
            else:
                Path(name).write_bytes(data)
            entry = copy(first)
            entry._data = [*first._data]
            entry._data[1] = f"file://{name}"
            append.append_data_file(entry)
    return table


def _compare(folder: Path, databases: Path, name: str, size: int, count: int, goal: float, rounds: int) -> None:
    table = build(folder, size, count)
    data = Path(table.location().removeprefix("file://")) / "data"
    bench = _Bench(folder, databases)
    ours, theirs = bench.copy, lambda: _cp(data, folder / "cp")
    bench.timed(theirs), bench.timed(ours)  # both once, to warm the page cache and the imports
    pairs = []
    for number in range(rounds):
        first, second = (ours, theirs) if number % 2 else (theirs, ours)
        one, other = bench.timed(first), bench.timed(second)
        pairs.append((one, other) if first is ours else (other, one))
    wall = statistics.median(cp[0] / mine[0] for mine, cp in pairs)
    cpu = statistics.median(cp[1] / mine[1] for mine, cp in pairs)
    _report(f"copy_files, {name} files, speed against cp, {THREADS} threads", wall, "x", f">= {goal}", wall >= goal)
    _report(f"copy_files, {name} files, CPU of cp against ours", cpu, "x", "", True)


def _cpu() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def _cp(source: Path, target: Path) -> None:
    """Copy by as many cp processes as there are threads, each given many files at once."""
    target.mkdir()
    names = sorted(str(path) for path in source.iterdir())
    each = max(1, min(64, -(-len(names) // THREADS)))
    command = ["xargs", "-0", "-P", str(THREADS), "-n", str(each), "cp", "-t", str(target)]
    subprocess.run(command, input="\0".join(names).encode(), check=True)


class _Bench:
    """Catalogs and ledger stand before the clock starts; what a run made is removed after it stops."""

    def __init__(self, folder: Path, databases: Path) -> None:
        self._folder = folder
        self._source = IcebergCatalog("source", tables.catalog_properties(folder / "source"))
        self._target = IcebergCatalog("target", tables.catalog_properties(databases))
        self._ledger = SqlLedger(f"sqlite:///{databases}/ledger.db")
        self._ledger.migrate()
        self._table = TableIdentifier(catalog="source", namespace=(tables.NAMESPACE,), name="wide")
        self._staged = TableIdentifier(catalog="target", namespace=(tables.NAMESPACE,), name="wide__icebridge_bench")
        self._target.create_namespace(self._staged.namespace)
        self._runs = 0

    def timed(self, call: Callable[[], None]) -> tuple[float, float]:
        """Return seconds of wall and of CPU, of this process and its children."""
        os.sync()
        wall, cpu = time.perf_counter(), _cpu()
        call()
        found = time.perf_counter() - wall, _cpu() - cpu
        self._target.drop_entry(self._staged)
        for place in ("cp", "target"):
            shutil.rmtree(self._folder / place, ignore_errors=True)
        return found

    def copy(self) -> None:
        """Run one job from nothing."""
        self._runs += 1
        loaded = self._source.load(self._table)
        if loaded is None:
            raise LookupError(self._table)
        job = JobSpec(
            plan_id=f"bench{self._runs}",
            method=CopyMethod.COPY_FILES,
            source=self._table,
            staged=self._staged,
            metadata_location=loaded.metadata_location,
            snapshot_id=loaded.current_snapshot_id,
            location=f"file://{self._folder}/target/wide",
        )
        engine = LocalEngine(self._source, self._target, self._ledger, lambda _: None, threads=THREADS)
        engine.submit(job, f"bench{self._runs}")


def _metadata(folder: Path, count: int) -> None:
    table = build(folder, 1_000, count)
    manifests = table.current_snapshot().manifests(table.io)
    longest = max(manifests, key=lambda manifest: manifest.manifest_length).manifest_path
    data = Path(longest.removeprefix("file://")).read_bytes()
    relocate = Relocation(table.location(), "s3://elsewhere/wide")
    found = []
    for _ in range(5):
        started = time.process_time()
        _, entries = rewrite_manifest(data, relocate)
        found.append(1000 * (time.process_time() - started) / len(entries))
    value = statistics.median(found)
    _report("metadata rewrite, 16 columns, CPU for each file entry", value, "ms", "<= 0.15", value <= 0.15)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

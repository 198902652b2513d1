"""The SQL Server bridge against its peers on the same server in the same run, in turns.

The server is the stand-in of tests/peers, on this machine and in Python: wall time is mostly its own. What is told
of extraction is therefore CPU seconds of the client's process, a process for each run, and its peak memory.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.mssql_events import bench_events
from tests.peers import odbc
from tests.support.mssql import SqlServer

ROWS, FEW = 2_000_000, 20_000
MEMORY = (1_000_000, 20_000_000)
FEW_MEMORY = (20_000, 100_000)
ROUNDS = 3
PEERS = {"bare": (0.9, 1), "dlt_arrow": (0.9, 1), "dlt_rows": (1.0, 10)}  # goal of its CPU against ours; part of rows


def report(name: str, value: float, unit: str, goal: str = "", holds: bool = True) -> None:
    print(json.dumps({"name": name, "value": round(value, 3), "unit": unit, "goal": goal, "holds": holds}), flush=True)


def main(arguments: list[str]) -> int:
    fast = "--fast" in arguments
    with tempfile.TemporaryDirectory(prefix="icebridge-bench-") as name, SqlServer(Path(name) / "server") as server:
        runs = Runs(server, Path(name))
        _extraction(runs, FEW if fast else ROWS, 1 if fast else ROUNDS)
        _memory(runs, FEW_MEMORY if fast else MEMORY)
        bench_events(server, report, fast=fast)
    return 0


class Runs:
    """Runs a client in a process of its own, so that its CPU and memory are its own."""

    def __init__(self, server: SqlServer, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self._login = {
            "host": server.host, "port": server.port, "user": server.user, "secret": server.password,
            "database": server.database(),
        }  # fmt: skip
        self.server = server

    @property
    def database(self) -> str:
        return str(self._login["database"])

    def run(self, client: str, rows: int) -> dict[str, Any]:
        """:returns: ``rows, cpu`` (s), ``wall`` (s), ``peak`` (MB) of one extraction."""
        self._count += 1
        given = {**self._login, "client": client, "rows": rows, "out": str(self._folder / f"out{self._count}")}
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.mssql_clients"],
            input=json.dumps(given), text=True, capture_output=True, check=False,
            env=odbc.environment(),
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{client}: {done.stderr[-3000:]}")
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        assert found["rows"] == rows, (client, found)
        return found

    def pairs(self, one: str, other: str, rows: int, rounds: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Both clients in turns."""
        found = []
        for number in range(rounds):
            first = self.run(one if number % 2 else other, rows)
            second = self.run(other if number % 2 else one, rows)
            found.append((first, second) if number % 2 else (second, first))
        return found


def _extraction(runs: Runs, rows: int, rounds: int) -> None:
    """What starting costs (imports, compiled kernels, a ledger) is told apart from what rows cost."""
    for peer, (goal, part) in PEERS.items():
        count = rows // part
        few, many = (runs.pairs("icebridge", peer, size, rounds) for size in (count // 10, count))
        by_row = [
            (theirs["cpu"] - their_start["cpu"]) / max(ours["cpu"] - our_start["cpu"], 1e-9)
            for (our_start, their_start), (ours, theirs) in zip(few, many, strict=True)
        ]
        value = statistics.median(by_row)
        report(f"extraction, CPU a row of {peer} against ours", value, "x", f">= {goal}", value >= goal)
        for key, what in (("cpu", "all CPU"), ("wall", "wall")):
            value = statistics.median(theirs[key] / ours[key] for ours, theirs in many)
            report(f"extraction, {count:,} rows, {what} of {peer} against ours", value, "x")


def _memory(runs: Runs, sizes: tuple[int, int]) -> None:
    """Peak memory must not grow with the rows; the imports are most of it."""
    small, large = (runs.run("icebridge", rows)["peak"] for rows in sizes)
    growth = large / small
    report(f"extraction, peak memory of {sizes[1]:,} rows against {sizes[0]:,}", growth, "x", "<= 1.1", growth <= 1.1)
    report(f"extraction, peak memory of {sizes[1]:,} rows", large, "MB")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

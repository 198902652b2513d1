"""500 tables in one run on the local workspace: requests a table of every phase, counted by the workspace's own log.

A phase whose requests grow with the tables must stay below its goal a table; planning must not grow with them at all.
Seconds are told too: the workspace and its engine share this machine, so they say nothing of Databricks.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icebridge_provider.model.plan import MigrationPlan
from tests.support import many_tables
from tests.support.databricks import Workspace
from tests.support.databricks_estate import Estate

TABLES, FEW = 500, 12
SCHEMAS = 5
READER = "ada"
# Requests a table, and those a task makes once. Certifying and cutting over may take 40 together, a rollback 25.
GOALS = {"start": 1.5, "copy": 2.5, "validate": 3.5, "sync": 0.5, "certify": 7.5, "cut over": 32.5, "rollback": 25.0}
ONCE = 25
PLAN_REQUESTS_A_SCHEMA, PLAN_FIXED = 15, 20
PAGE = 50  # tables of one page of the workspace's lists
MISSED: list[str] = []
_NUMBERED = re.compile(r"ns\d+|t\d+|__icebridge_\w+|[0-9a-f-]{30,}|\d{6,}")
POLLING = re.compile(r"/jobs/runs/get$")


@dataclass(frozen=True, kw_only=True)
class Phase:
    """What one phase asked for."""

    name: str
    seconds: float
    paths: Counter[str]

    @property
    def requests(self) -> int:
        return sum(self.paths.values())


@dataclass(kw_only=True)
class Counted:
    """Counts what the copier asks for, phase by phase."""

    estate: Estate

    def phase(self, name: str, call: Callable[[], Any]) -> tuple[Phase, Any]:
        self.estate.server.forget_requests()
        started = time.monotonic()
        found = call()
        seconds = time.monotonic() - started
        mine = [entry for entry in self.estate.server.requests() if entry["principal"] == self.estate.copier]
        paths = Counter(f"{entry['method']} {_NUMBERED.sub('*', entry['path'])}" for entry in mine)
        return Phase(name=name, seconds=seconds, paths=paths), found


def main(fast: bool, asked: int = TABLES) -> None:
    """Migrate all tables and take them back, and show what was asked for."""
    tables = FEW if fast else asked
    with tempfile.TemporaryDirectory() as folder, Workspace(Path(folder) / "workspace") as server:
        estate = build(server, Path(folder), tables)
        migrate(estate, tables)
    assert not MISSED, MISSED


def build(server: Workspace, folder: Path, tables: int) -> Estate:
    """Small tables in a few schemas, each with somebody who reads it."""
    each = -(-tables // SCHEMAS)
    many_tables.build(folder / "origin", tables, per_namespace=each)
    names = [f"ns{number // each:03d}.t{number:05d}" for number in range(tables)]
    schemas = tuple(dict.fromkeys(name.partition(".")[0] for name in names))
    estate = Estate(server=server, folder=folder, mark="many", schemas=schemas)
    estate.federate()
    estate.reader(READER, *names)
    return estate


def migrate(estate: Estate, tables: int) -> None:
    """Phase by phase, as the DAG's tasks do it."""
    counted = Counted(estate=estate)
    phase, plan = counted.phase("plan", lambda: estate.plan("many", *(f"{schema}.*" for schema in estate.schemas)))
    assert len(plan.tables) == tables, plan.findings[:3]
    allowed = PLAN_FIXED + len(estate.schemas) * PLAN_REQUESTS_A_SCHEMA + 3 * -(-tables // PAGE)
    show("databricks_plan_requests", phase.requests, "requests", allowed, phase)
    for name, call in _steps(estate, plan):
        phase, _ = counted.phase(name, call)
        _show_phase(phase, tables)
        if name == "cut over":
            _published(estate, plan, tables)
    assert set(estate.states(plan).values()) == {"rolled back"}


def _steps(estate: Estate, plan: MigrationPlan) -> list[tuple[str, Callable[[], Any]]]:
    digest: list[str] = []
    return [
        ("start", lambda: estate.submit(plan)),
        ("wait", lambda: estate.wait(plan)),
        ("copy", lambda: estate.each("copy", plan)),
        ("validate", lambda: estate.each("validate", plan)),
        ("sync", lambda: estate.each("sync", plan)),
        ("certify", lambda: digest.append(estate.certify(plan))),
        ("cut over", lambda: estate.cut_over(plan, digest[0])),
        ("rollback", lambda: estate.each("rollback", plan)),
    ]


def _published(estate: Estate, plan: MigrationPlan, tables: int) -> None:
    assert set(estate.states(plan).values()) == {"cut over"}, Counter(estate.states(plan).values())
    assert len(estate.runs()) == 1, "one run for all tables"
    assert sum(len(estate.tables_in(schema)) for schema in estate.schemas) == tables
    last = plan.tables[-1].target
    assert estate.rows(READER, f"{estate.main}.{last.namespace[0]}.{last.name}") == 60


def _show_phase(phase: Phase, tables: int) -> None:
    asked = f"databricks_{phase.name.replace(' ', '_')}"
    if phase.name == "wait":
        show(f"{asked}_seconds", phase.seconds, "s", 3600.0, phase)
        return
    requests = sum(count for path, count in phase.paths.items() if not POLLING.search(path))
    allowed = GOALS[phase.name] + ONCE / tables
    show(f"{asked}_requests_per_table", requests / tables, "requests", allowed, phase)


def show(name: str, value: float, unit: str, goal: float, phase: Phase) -> None:
    told = {"name": name, "value": round(value, 3), "unit": unit, "goal": round(goal, 3), "holds": value <= goal}
    most = dict(phase.paths.most_common(8))
    print(json.dumps({**told, "seconds": round(phase.seconds, 1), "most": most}), flush=True)
    if value > goal:
        MISSED.append(name)


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    main("--fast" in sys.argv, *numbers)

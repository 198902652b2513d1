"""What Airflow itself costs a table: a migration under its real components against the same steps in one process.

CPU seconds of API server, scheduler (with its workers and tasks), DAG processor and triggerer from the trigger to the
end of the run, minus those of the steps alone, per table. The tables are empty, so that little else is measured.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from sqlalchemy import text

from icebridge_provider.demo.components import USER, AirflowHome, Components
from icebridge_provider.demo.rest import AirflowClient
from tests.system import lakes

GOAL = 0.1  # CPU seconds a table, at 1,000 tables
TABLES, FEW = 1000, 20
PLAN = "bench"
TICKS = os.sysconf("SC_CLK_TCK")


def build(folder: Path, tables: int) -> None:
    """Make a lake of empty tables: one is created, the others are rows and metadata files like it."""
    native = lakes.catalog_of(folder / lakes.SOURCE, lakes.SOURCE)
    native.create_namespace_if_not_exists("shop")
    pattern = native.create_table("shop.pattern", pa.schema([("id", pa.int64()), ("name", pa.string())]))
    home, location = pattern.location(), pattern.metadata_location
    content = Path(location.removeprefix("file://")).read_text()
    native.drop_table("shop.pattern")
    rows = []
    for number in range(tables):
        name = f"t{number:05}"
        moved = home.replace("pattern", name)
        path = Path(moved.removeprefix("file://")) / "metadata" / Path(location).name
        path.parent.mkdir(parents=True)
        own = str(uuid.uuid5(uuid.NAMESPACE_OID, name))
        path.write_text(content.replace(home, moved).replace(str(pattern.metadata.table_uuid), own))
        rows.append({"t": name, "m": f"file://{path}"})
    statement = text(
        "INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, iceberg_type)"
        f" VALUES ('{lakes.SOURCE}', 'shop', :t, :m, 'TABLE')"
    )
    with native.engine.begin() as connection:  # type: ignore[attr-defined]
        connection.execute(statement, rows)


# The steps alone


def alone(folder: Path) -> float:
    """Take all tables through the steps in this process; return its CPU seconds, imports of drivers included."""
    from icebridge_provider.catalogs.iceberg import IcebergCatalog
    from icebridge_provider.demo import lake
    from icebridge_provider.engines.gx import build_data_docs
    from icebridge_provider.engines.local.engine import LocalEngine
    from icebridge_provider.model.event import Actor
    from icebridge_provider.model.plan import Approval, MigrationRequest
    from icebridge_provider.model.settings import Settings
    from icebridge_provider.state.governor import CommitGovernor
    from icebridge_provider.state.ledger import SqlLedger
    from icebridge_provider.steps.certify import certify_wave
    from icebridge_provider.steps.copy import copy_table
    from icebridge_provider.steps.cut_over import cut_over_table
    from icebridge_provider.steps.plan import make_plan
    from icebridge_provider.steps.site import Site
    from icebridge_provider.steps.sync import catch_up
    from icebridge_provider.steps.validate import validate_table
    from icebridge_provider.steps.verdicts import kept, report_key

    begun = time.process_time()
    source, target = (IcebergCatalog(name, lake.properties(folder / name)) for name in (lakes.SOURCE, lakes.TARGET))
    lakes.catalog_of(folder / lakes.TARGET, lakes.TARGET)
    ledger, settings = SqlLedger(f"sqlite:///{folder}/ledger.db"), Settings(allow_unapproved_cutover=True)
    ledger.migrate()
    site = Site(
        source=source,
        target=target,
        ledger=ledger,
        engine=lambda progress: LocalEngine(source, target, ledger, progress, threads=settings.copy_threads),
        settings=settings,
        take_commit=CommitGovernor(ledger, 10**6).take,
    )
    request = MigrationRequest(
        source_conn_id=lakes.SOURCE,
        target_conn_id=lakes.TARGET,
        approval=Approval.NONE,
        wave_tables=settings.wave_tables,
    )
    plan = make_plan(source, target, ledger, request, settings, Actor(), datetime.now(UTC), plan_id=PLAN)
    for wave in range(len(plan.waves)):
        tables = plan.of_wave(wave)
        for step in (copy_table, validate_table, catch_up):
            for table in tables:
                step(site, plan, table)
        digest = certify_wave(site, plan, tables)["digest"]
        for table in tables:
            cut_over_table(site, plan, table, digest, "", writers_stopped=False)
        found = kept(ledger, [report_key(PLAN, table.source) for table in tables])
        build_data_docs(found, folder / "docs" / str(wave))
    assert len(lakes.catalog_of(folder / lakes.TARGET, lakes.TARGET).list_tables("shop")) == len(plan.tables)
    return time.process_time() - begun


# Under Airflow


@dataclass(frozen=True, kw_only=True)
class Process:
    """One line of /proc: the seconds are its own and those of its children that ended and were waited for."""

    parent: int
    session: int
    seconds: float


def processes() -> dict[int, Process]:
    found = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        seconds = sum(int(ticks) for ticks in fields[11:15]) / TICKS
        found[int(entry.parent.name)] = Process(parent=int(fields[1]), session=int(fields[3]), seconds=seconds)
    return found


def spent(components: Components) -> dict[str, float]:
    """Return each component's CPU seconds so far; tasks that run or ended are the scheduler's."""
    there = processes()
    return {name: sum(there[pid].seconds for pid in _family(there, p.pid)) for name, p in components.processes.items()}


def _family(there: Mapping[int, Process], root: int) -> set[int]:
    family = {pid for pid, process in there.items() if process.session == root}  # orphans stay in the session
    while True:
        more = {pid for pid, process in there.items() if process.parent in family} - family
        if not more:
            return family
        family |= more


def under_airflow(home: AirflowHome, tables: int) -> dict[str, float]:
    """Migrate through the scheduler and return what each component spent on it."""
    with Components(home) as components:
        components.start()
        components.wait_until_healthy()
        client = AirflowClient(home.url, USER, home.password)
        deadline = time.monotonic() + 120
        while not (client.has_dag("icebridge_migrate") and client.has_dag("icebridge_migrate_wave")):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        before = spent(components)
        conf = {"source_conn_id": lakes.SOURCE, "target_conn_id": lakes.TARGET, "approval": "none", "plan_id": PLAN}
        run = client.trigger("icebridge_migrate", conf)
        states = list(client.watch("icebridge_migrate", run, 60 + 6 * tables))
        after = spent(components)
    assert states[-1] == "success", f"the run ended {states[-1]}; logs are in {home.folder}"
    return {name: after[name] - before[name] for name in after}


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--alone"]:
        print(alone(Path(arguments[1])))
        return
    fast = "--fast" in arguments
    numbers = [int(argument) for argument in arguments if argument.isdigit()]
    tables = numbers[0] if numbers else FEW if fast else TABLES
    folder = Path(tempfile.mkdtemp(prefix="icebridge-bench-"))
    try:
        measure(folder, tables, {"AIRFLOW__ICEBRIDGE__NAMED_TASKS": "0"} if fast else {})
    finally:
        if "--keep" not in arguments:
            shutil.rmtree(folder, ignore_errors=True)


def measure(folder: Path, tables: int, settings: Mapping[str, str]) -> None:
    build(folder / "alone", tables)
    command = [sys.executable, "-m", "tests.bench.bench_airflow", "--alone", str(folder / "alone")]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    steps = float(said.strip().splitlines()[-1])
    build(folder / "airflow", tables)
    begun = time.monotonic()
    home = lakes.airflow(
        folder / "airflow",
        {
            "AIRFLOW__ICEBRIDGE__ALLOW_UNAPPROVED_CUTOVER": "True",
            "AIRFLOW__ICEBRIDGE__MAX_COMMITS_PER_MIN": "1000000",
            **settings,
        },
    )
    parts = under_airflow(home, tables)
    total = sum(parts.values())
    value = (total - steps) / tables
    detail = {
        "tables": tables,
        "total": round(total, 1),
        "steps alone": round(steps, 1),
        **{name: round(seconds, 1) for name, seconds in parts.items()},
        "wall": round(time.monotonic() - begun, 1),
    }
    line = {"name": f"Airflow's own cost at {tables} tables", "value": round(value, 3), "unit": "CPU s/table"}
    print(json.dumps({**line, "goal": GOAL, "holds": value <= GOAL, "detail": detail}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

"""``icebridge demo``: build a foreign lake of real data, migrate it under real Airflow, show what happened."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from icebridge_provider.catalogs.iceberg import IcebergCatalog
from icebridge_provider.demo import lake, show
from icebridge_provider.demo.components import USER, AirflowHome, Components, prepare
from icebridge_provider.demo.rest import AirflowClient
from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.planning.mapping import map_tables, parse_rules
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.status import status

SOURCE, TARGET, PLAN = "foreign", "managed", "demo"
FOLDERS = {
    "embedded": ".icebridge-demo",
    "databricks": ".icebridge-demo-databricks",
    "mssql": ".icebridge-demo-mssql",
    "snowflake": ".icebridge-demo-snowflake",
}
TAKEN_TWICE = ("prefix:legacy.=flights.",)
MAPPING = ("explicit:legacy.airlines=flights.airlines_legacy",)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; 0 when every healthy table was migrated and the broken one refused."""
    options = _parser().parse_args(arguments)
    terminal = Console(soft_wrap=True, highlight=False)
    console = terminal if terminal.is_terminal else Console(soft_wrap=True, highlight=False, width=140)
    folder = Path(options.home or FOLDERS[options.stack]).resolve()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what it started ends with it
    try:
        return _STACKS[options.stack](folder, options.scale, console)
    except IceBridgeError as error:
        console.print(str(error), style="red", markup=False)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="icebridge demo", description=__doc__)
    stacks = (
        "embedded: SQL catalogs in files; databricks: a local workspace (takes a gigabyte, a source checkout); mssql: "
        "a local SQL Server and that workspace, there and back; snowflake: that workspace to a local Snowflake account"
    )
    parser.add_argument("--stack", choices=FOLDERS, default="embedded", help=f"{stacks} (default: %(default)s)")
    parser.add_argument("--home", help=f"folder of lake and Airflow (default: {' or '.join(FOLDERS.values())})")
    parser.add_argument(
        "--scale", type=float, default=0.05, help="how much data: TPC-H scale, 1 is 1 GB (default: %(default)s)"
    )
    return parser


def _run(folder: Path, scale: float, console: Console) -> int:
    source, target = folder / "foreign", folder / "managed"
    with show.timed(console, "Building a foreign lake: New York flights and TPC-H, with history, deletes and scars"):
        tables = lake.build(source, scale)
        lake.prepare_target(target)
    console.print(f"  {tables} tables in {source}")
    if not (folder / "airflow").exists():
        _show_collision(source, console)
    with show.timed(console, "Preparing Airflow: metadata database, ledger, pool, DAGs"):
        home = prepare(folder / "airflow", _connections(source, target), {})
    ledger = SqlLedger(f"sqlite:///{home.folder}/icebridge/ledger.db")
    before = _finished(ledger)
    with Components(home) as components:
        with show.timed(console, "Starting Airflow: API server, scheduler, DAG processor, triggerer"):
            components.start()
            components.wait_until_healthy()
            client = AirflowClient(home.url, USER, home.password)
            client.wait_for_dags("icebridge_migrate")
        state = _migrate(client, console)
    return _show(ledger, home, state, before, console)


def _connections(source: Path, target: Path) -> dict[str, dict[str, Any]]:
    return {
        name: {"conn_type": "icebridge_catalog", "extra": lake.properties(folder)}
        for name, folder in ((SOURCE, source), (TARGET, target))
    }


def _show_collision(source: Path, console: Console) -> None:
    """Two foreign tables want one name: refused before anything is spent, with what to do."""
    catalog = IcebergCatalog(SOURCE, lake.properties(source))
    tables = [table for namespace in catalog.namespaces() for table in catalog.tables(namespace)]
    console.print(f"\nA plan that maps {TAKEN_TWICE[0]!r} would give two tables one name; it is refused:")
    try:
        map_tables(parse_rules(TAKEN_TWICE), tables, TARGET)
    except IceBridgeError as error:
        console.print(f"  {error}", style="yellow", markup=False)
    console.print(f"So this run maps {MAPPING[0]!r}.\n", markup=False)


def request() -> dict[str, Any]:
    """Return the trigger form's values for the demo's migration."""
    return {
        "source_conn_id": SOURCE,
        "target_conn_id": TARGET,
        "tables": ["*"],
        "mapping": list(MAPPING),
        "plan_id": PLAN,
    }


def _migrate(client: AirflowClient, console: Console) -> str:
    """Trigger the DAG, answer its question as a person would, and return the run's final state."""
    run = client.trigger("icebridge_migrate", request())
    console.print(f"Triggered [bold]icebridge_migrate[/bold] over REST: run {run}")
    seen: set[str] = set()
    for _ in client.watch("icebridge_migrate", run):
        seen = show.progress(console, client.tasks("icebridge_migrate", run), seen)
        for question in client.approvals():
            show.question(console, question)
            client.answer(question, "Approve", {"writers_stopped": True})
    return client.run_state("icebridge_migrate", run)


def _finished(ledger: SqlLedger) -> dict[str, str]:
    return {row["source"]: row["state"] for row in status(ledger, PLAN)} if PLAN in ledger.plans() else {}


def _show(ledger: SqlLedger, home: AirflowHome, state: str, before: Mapping[str, str], console: Console) -> int:
    rows = status(ledger, PLAN)
    show.tables(console, rows)
    show.certificate(console, ledger, PLAN)
    after = {row["source"]: row["state"] for row in rows}
    if before and before == after:
        console.print("\n[bold]Nothing changed:[/bold] every table was already where it should be.")
    show.where(console, home, PLAN)
    healthy = [row for row in rows if row["source"] != f"{SOURCE}.{lake.BROKEN}"]
    moved = all(row["state"] == "cut over" for row in healthy)
    refused = after.get(f"{SOURCE}.{lake.BROKEN}") == "refused"
    return 0 if state == "success" and moved and refused else 1


def _databricks(folder: Path, scale: float, console: Console) -> int:
    from icebridge_provider.demo.databricks.story import run

    return run(folder, scale / 10, console)


def _mssql(folder: Path, scale: float, console: Console) -> int:
    from icebridge_provider.demo.sqlserver.story import run

    return run(folder, scale, console)


def _snowflake(folder: Path, scale: float, console: Console) -> int:
    from icebridge_provider.demo.snowflake.story import run

    return run(folder, scale, console)


_STACKS = {"embedded": _run, "databricks": _databricks, "mssql": _mssql, "snowflake": _snowflake}

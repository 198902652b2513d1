"""What the demo of the share with Snowflake prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from icebridge_provider.demo.components import AirflowHome
from icebridge_provider.demo.snowflake.proof import Compared

WIDTH = 36
_STYLES = {"SUCCESS": "green", "FAILED": "red", "CANCELLED": "yellow"}


def started(console: Console, dag_id: str, run_id: str, lines: Sequence[str], given: Mapping[str, Any]) -> None:
    """Print what was asked for."""
    with_them = ", ".join(f"{name}={value}" for name, value in given.items())
    console.print(f"\nTriggered [bold]{dag_id}[/bold] over REST: run {run_id}")
    for line in lines:
        console.print(f"  {line}", markup=False)
    if with_them:
        console.print(f"  with {with_them}", markup=False)


def compared(console: Console, title: str, found: Iterable[Compared]) -> None:
    """Print each table of the account beside what plain queries of both sides say."""
    grid = Table(title=f"\n{title}")
    for name in ("Snowflake table", "mode"):
        grid.add_column(name, no_wrap=True)
    for name in ("rows expected", "in Snowflake", "missing", "too many"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("sum of", no_wrap=True)
    for name in ("expected", "in Snowflake"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("", no_wrap=True)
    for item in found:
        counts = [f"{number:,}" for number in (item.expected, item.rows, item.missing, item.extra)]
        same = "[green]same[/]" if item.same else "[red]differs[/]"
        grid.add_row(item.table, item.mode, *counts, item.summed, *map(str, item.sums), same)
    console.print(grid)


def limited(console: Console, table: str, rows: int, comment: str) -> None:
    """Print what a proof of concept left."""
    console.print(f"  {table}: {rows:,} rows; its comment says: {comment}", markup=False)


def history(console: Console, runs: Iterable[Mapping[str, Any]]) -> None:
    """Print the history of runs."""
    grid = Table(title="\nThe history of runs: GET /icebridge/api/sync")
    for name in ("id", "status"):
        grid.add_column(name, no_wrap=True)
    for name in ("tables", "rows", "logs"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("LIMITED", no_wrap=True)
    for item in runs:
        status = str(item["status"])
        state = f"[{_STYLES.get(status, 'white')}]{status}[/]"
        numbers = (len(item["tables"]), int(item["rows"] or 0), len(item["logs"]))
        grid.add_row(str(item["id"]), state, *(f"{number:,}" for number in numbers), _cut(str(item["limited"])))
    console.print(grid)


def _cut(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


def where(console: Console, home: AirflowHome) -> None:
    """Print where to look next."""
    console.print(f"\nWhere to look: AIRFLOW_HOME={home.folder} (logs, grid), {home.folder / 'icebridge'} (ledger).")
    console.print("With your own: airflow icebridge share plan … --dry-run · airflow icebridge share status RUN_ID")

"""What the demo of the SQL Server bridge prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from icebridge_provider.demo.components import AirflowHome
from icebridge_provider.demo.sqlserver.files import SYNC
from icebridge_provider.demo.sqlserver.proof import Extracted

_STYLES = {"completed": "green", "blocked": "yellow", "failed": "red"}
_STYLE_OF = {"warning": "yellow", "error_message": "red"}
Row = tuple[Any, ...]


def extracted(console: Console, found: Iterable[Extracted]) -> None:
    """Print what lies in the Volume, beside what the database says of itself."""
    grid = Table(title="\nWhat lies in the Volume, read back, beside what SQL Server says")
    for name in ("country", "query"):
        grid.add_column(name, no_wrap=True)
    for name in ("rows", "SQL Server's", "sum of", "in the files", "SQL Server's", "parts", "kB"):
        grid.add_column(name, justify="right", no_wrap=True)
    for name in ("read", ""):
        grid.add_column(name, no_wrap=True)
    for item in found:
        counts = (f"{item.rows:,}", f"{item.control[0]:,}", item.column, str(item.total), str(item.control[1]))
        same = "[green]same[/]" if item.same else "[red]differs[/]"
        size = f"{item.size / 1000:,.1f}"
        grid.add_row(item.country, item.query, *counts, str(item.parts), size, item.isolation, same)
    console.print(grid)


def rows(console: Console, title: str, columns: Sequence[str], found: Iterable[Row]) -> None:
    """Print rows of a database."""
    grid = Table(title=f"\n{title}")
    for name in columns:
        grid.add_column(name, no_wrap=True)
    for row in found:
        grid.add_row(*("NULL" if value is None else str(value) for value in row))
    console.print(grid)


def events(console: Console, title: str, found: Iterable[Mapping[str, Any]]) -> None:
    """Print the events table, and below it what it says in words."""
    kept = list(found)
    grid = Table(title=f"\n{title}")
    for name in ("event_id", "operation", "target_table", "status"):
        grid.add_column(name, no_wrap=True)
    for name in ("expected", "affected", "discrepancy", "attempt"):
        grid.add_column(name, justify="right", no_wrap=True)
    for row in kept:
        status = f"[{_STYLES.get(str(row['status']), 'white')}]{row['status']}[/]"
        names = ("rows_expected", "rows_affected", "discrepancy", "attempt")
        numbers = ("" if row[name] is None else str(row[name]) for name in names)
        grid.add_row(str(row["event_id"]), str(row["operation"]), str(row["target_table"]), status, *numbers)
    console.print(grid)
    said = {(str(row["event_id"]), name, str(row[name])) for row in kept for name in _STYLE_OF if row[name]}
    for event_id, name, text in sorted(said):
        console.print(f"  {event_id}: {text}", style=_STYLE_OF[name], markup=False)


def question(console: Console, asked: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Print what a person is asked about a blocked event, and the answer."""
    console.print(f"\n[bold]{asked.get('subject', 'Release')}[/bold]")
    console.print(str(asked.get("body", "")), markup=False)
    console.print(f"Answering over REST: Approve, at most {values.get('rows', '?')} rows.\n")


def where(console: Console, home: AirflowHome) -> None:
    """Print where to look next."""
    console.print(f"\nWhere to look: AIRFLOW_HOME={home.folder} (logs, grid), {home.folder.parent / 'extraction'}")
    console.print(f"(queries/, config/) and {home.folder.parent / 'sync'} (syncs.yaml, permissions.yaml).")
    console.print(
        f"With your own: airflow icebridge extract FOLDER --dry-run · airflow icebridge events status ({SYNC})"
    )

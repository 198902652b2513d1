"""What the demo prints."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

from icebridge_provider.demo.components import AirflowHome
from icebridge_provider.ports import Ledger

_STYLES = {"cut over": "green", "refused": "yellow"}
_OVER = {"success": "green", "failed": "red", "upstream_failed": "red"}


@contextmanager
def timed(console: Console, what: str) -> Iterator[None]:
    """Print what is done, then how long it took."""
    console.print(f"{what} …", end=" ")
    start = time.monotonic()
    yield
    console.print(f"{time.monotonic() - start:.0f} s")


def progress(console: Console, tasks: Sequence[Mapping[str, Any]], seen: set[str]) -> set[str]:
    """Print each task once, when it is over, and return what has been printed."""
    for task in tasks:
        name = task.get("rendered_map_index") or ""
        label = f"{task['task_id']} {name}".strip()
        if task["state"] in _OVER and label not in seen:
            seen.add(label)
            console.print(f"  [{_OVER[task['state']]}]{task['state']:<8}[/] {label}")
    return seen


def question(console: Console, asked: Mapping[str, Any]) -> None:
    """Print what a person is asked before the cut-over."""
    console.print(f"\n[bold]{asked.get('subject', 'Approval')}[/bold]")
    console.print(str(asked.get("body", "")), markup=False)
    console.print("Answering over REST: Approve, writers stopped.\n")


def tables(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print one line a table, then why any was refused."""
    grid = Table(title="What happened")
    for name in ("source", "target", "state", "method"):
        grid.add_column(name, no_wrap=True)
    for name in ("rows", "MB"):
        grid.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        state = str(row["state"])
        cells = (str(row["source"]), str(row.get("target") or ""), f"[{_STYLES.get(state, 'red')}]{state}[/]")
        size = f"{(row.get('bytes') or 0) / 1e6:,.1f}"
        grid.add_row(*cells, str(row.get("method") or ""), f"{row.get('rows') or 0:,}", size)
    console.print(grid)
    for row in rows:
        for finding in row.get("findings") or ():
            if finding.get("severity") == "blocking":
                console.print(f"[yellow]{row['source']}[/] {finding['message']} {finding['remedy']}")


def certificate(console: Console, ledger: Ledger, plan_id: str) -> None:
    """Print one certificate's heart."""
    found = [document for _, document in ledger.documents("certificate", f"{plan_id}/")]
    if not found:
        return
    signed = "signed" if found[-1].get("signed") else "unsigned: no signing key is configured"
    console.print(f"\n{len(found)} certificates ({signed}), the last: {found[-1]['digest']}")


def where(console: Console, home: AirflowHome, plan_id: str) -> None:
    """Print where to look next."""
    variables = f"AIRFLOW_HOME={home.folder}"
    ledger = home.folder / "icebridge"
    console.print(f"\nWhere to look: {variables} (logs, grid), {ledger} (ledger, reports).")
    console.print(f"There: icebridge status {plan_id} --json · icebridge audit verify · icebridge rollback {plan_id}")

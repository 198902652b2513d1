"""Commands about one catalog: ``check-connection``, ``inventory``, ``assess``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from icebridge_provider.cli import surroundings
from icebridge_provider.cli.files import write_text
from icebridge_provider.cli.output import Answer, Grid, Output
from icebridge_provider.crash import side_effect


def check_connection(arguments: Any, output: Output) -> Answer:
    """Try what a connection may do, whether or not Airflow's test button is on."""
    output.note(f"Trying {arguments.conn_id} …")
    rows = surroundings.rights(arguments.conn_id)
    well = all(row["outcome"] != "failed" for row in rows)
    grid = Grid(columns=("outcome", "check", "message", "remedy"), rows=rows)
    verdict = "The connection may do all that a migration needs." if well else "Grant what is missing and try again."
    return Answer(document={"ok": well, "checks": rows}, shown=(grid, verdict), ok=well)


def inventory(arguments: Any, output: Output) -> Answer:
    """Read the tables of a catalog and keep the inventory in the ledger."""
    taken = _take(arguments.conn_id, arguments.tables, not arguments.no_inspect, output)
    from icebridge_provider.steps.inventory import load_inventory

    found = load_inventory(surroundings.ledger(), taken["inventory_id"])
    by_table = found.findings_by_table()
    rows = []
    for table in found.tables:
        totals = table.facts.totals if table.facts else None
        rows.append(
            {
                "table": table.identifier.path,
                "format": table.facts.format_version if table.facts else None,
                "files": totals.data_files if totals else None,
                "bytes": totals.data_bytes if totals else None,
                "rows": totals.rows if totals else None,
                "snapshots": table.facts.snapshots if table.facts else None,
                "problem": table.problem,
                "findings": [finding.rule for finding in by_table.get(table.identifier, ())],
            }
        )
    columns = ("table", "format", "files", "bytes", "rows", "snapshots", "findings")
    line = f"Inventory {taken['inventory_id']}: {len(rows)} tables, {len(found.problems)} cannot be read."
    return Answer(document={**taken, "rows": rows}, shown=(Grid(columns=columns, rows=rows), line))


def assess(arguments: Any, output: Output) -> Answer:
    """Write the assessment as one HTML file that needs nothing else."""
    from icebridge_provider.steps.assess import assess_inventory, headline, render_assessment, save_assessment
    from icebridge_provider.steps.inventory import load_inventory

    ledger, source = surroundings.ledger(), surroundings.catalog(arguments.conn_id)
    target = surroundings.catalog(arguments.target) if arguments.target else None
    taken = arguments.inventory or _take(arguments.conn_id, arguments.tables, True, output)["inventory_id"]
    document = assess_inventory(load_inventory(ledger, taken), source, target, surroundings.settings())
    save_assessment(ledger, document)
    with side_effect("cli.assess.write"):
        write_text(Path(arguments.out), render_assessment(document))
    return Answer(document={**document, "file": arguments.out}, shown=(headline(document), f"Written: {arguments.out}"))


def _take(conn_id: str, globs: list[str] | None, inspect: bool, output: Output) -> dict[str, Any]:
    from icebridge_provider.steps.inventory import take_inventory

    output.note(f"Reading {conn_id} …")
    ledger = surroundings.ledger()
    return take_inventory(surroundings.catalog(conn_id), ledger, surroundings.actor(), globs or ("*",), inspect)

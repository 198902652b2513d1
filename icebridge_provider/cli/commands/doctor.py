"""``doctor``: the installation, each fault with its fix."""

from __future__ import annotations

from typing import Any

from icebridge_provider.cli import checks
from icebridge_provider.cli.output import Answer, Grid, Output
from icebridge_provider.model import codec


def doctor(arguments: Any, output: Output) -> Answer:
    """Look at everything that must be right before a migration; 1 when something is wrong."""
    found = checks.diagnose()
    for conn_id in arguments.connections or ():
        output.note(f"Trying {conn_id} …")
        found.extend(checks.rights(conn_id))
    rows = [codec.to_json(item) for item in found]
    wrong = sum(item.level is checks.Level.WRONG for item in found)
    fixes = [f"{item.level} {item.matter}: {item.fix}" for item in found if item.fix]
    verdict = "All is well." if not wrong else f"{wrong} to mend."
    grid = Grid(columns=("level", "matter", "found"), rows=rows)
    return Answer(document={"ok": not wrong, "checks": rows}, shown=(grid, *fixes, verdict), ok=not wrong)

"""``db``: the ledger's database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from icebridge_provider.cli import surroundings
from icebridge_provider.cli.output import Answer, Output
from icebridge_provider.crash import side_effect


def migrate(arguments: Any, output: Output) -> Answer:  # noqa: ARG001 - every command has this shape
    """Bring the ledger to this version; one that is there already stays as it is."""
    ledger = surroundings.raw_ledger()
    with side_effect("db.migrate"):
        ledger.migrate()
    return Answer(document={"migrated": True, "local": ledger.is_local}, shown=("The ledger is of this version.",))


def backup(arguments: Any, output: Output) -> Answer:  # noqa: ARG001 - every command has this shape
    """Write the ledger to a portable file with a digest."""
    from icebridge_provider.state.backup import backup as write

    made = write(surroundings.ledger(), Path(arguments.file))
    return Answer(
        document={"file": arguments.file, "lines": made}, shown=(f"Written: {arguments.file} ({made} lines).",)
    )


def restore(arguments: Any, output: Output) -> Answer:  # noqa: ARG001 - every command has this shape
    """Fill an empty ledger from a backup."""
    from icebridge_provider.state.backup import restore as read

    ledger = surroundings.raw_ledger()
    ledger.migrate()
    read(ledger, Path(arguments.file))
    report = ledger.verify_chain()
    return Answer(
        document={"file": arguments.file, "events": report.events, "ok": report.intact},
        shown=(f"Restored {report.events} events; the chain is {'whole' if report.intact else 'broken'}.",),
        ok=report.intact,
    )


def rebuild(arguments: Any, output: Output) -> Answer:
    """Rebuild lost records from the ``icebridge.*`` properties of a target's tables."""
    from icebridge_provider.state.rebuild import rebuild as again

    output.note(f"Reading {arguments.conn_id} …")
    count = again(surroundings.ledger(), surroundings.catalog(arguments.conn_id))
    return Answer(document={"tables": count}, shown=(f"{count} tables were found and recorded.",))

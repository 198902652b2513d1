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

    rows = write(surroundings.ledger(), Path(arguments.file))
    return Answer(document={"file": arguments.file, "rows": rows}, shown=(f"Written: {arguments.file}, {rows} rows.",))


def restore(arguments: Any, output: Output) -> Answer:  # noqa: ARG001 - every command has this shape
    """Migrate the ledger, fill it from a backup when it is empty, and check the chain of events."""
    from icebridge_provider.state.backup import restore as read

    ledger = surroundings.raw_ledger()
    ledger.migrate()
    rows = read(ledger, Path(arguments.file))
    report = ledger.verify_chain()
    verdict = "whole" if report.intact else "broken: run `icebridge audit verify`"
    return Answer(
        document={"file": arguments.file, "rows": rows, "events": report.events, "intact": report.intact},
        shown=(f"Restored {rows} rows; the chain of {report.events} events is {verdict}.",),
        ok=report.intact,
    )


def rebuild(arguments: Any, output: Output) -> Answer:
    """Rebuild lost records from the ``icebridge.*`` properties of a target's tables."""
    from icebridge_provider.state.rebuild import rebuild as again

    output.note(f"Reading {arguments.conn_id} …")
    source = surroundings.catalog(arguments.source) if arguments.source else None
    count = again(surroundings.ledger(), surroundings.catalog(arguments.conn_id), source)
    return Answer(document={"tables": count}, shown=(f"{count} tables were found and recorded.",))

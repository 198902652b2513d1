"""``audit``: the hash-chained record and what an auditor takes home."""

from __future__ import annotations

from typing import Any

from icebridge_provider.cli.output import Answer, Output


def verify(arguments: Any, output: Output) -> Answer:
    """Check the chain of events and every certificate, in the ledger or in a bundle."""
    raise SystemExit(arguments, output)


def bundle(arguments: Any, output: Output) -> Answer:
    """Write the bundle of one plan."""
    raise SystemExit(arguments, output)

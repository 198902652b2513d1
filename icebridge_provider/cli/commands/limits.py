"""``limits``: what all workers share, shown, or changed while they run."""

from __future__ import annotations

from typing import Any

from icebridge_provider.cli import runs, surroundings
from icebridge_provider.cli.output import Answer, Output


def limits(arguments: Any, output: Output) -> Answer:  # noqa: ARG001 - every command has this shape
    """Change the limits that were given, then show both.

    :raises LimitExceeded: IB-114 when no commit would be allowed any more.
    """
    from icebridge_provider.state.governor import CommitGovernor

    configured = surroundings.settings()
    governor = CommitGovernor(surroundings.ledger(), configured.max_commits_per_min)
    if arguments.commits is not None:
        governor.limit(arguments.commits)
    elif arguments.configured:
        governor.limit(None)
    writers = arguments.writers or (configured.max_parallel_writers if arguments.configured else None)
    slots = runs.set_pool(writers, configured.max_parallel_writers)
    commits = governor.current()
    return Answer(
        document={"writers": slots, "commits_per_minute": commits},
        shown=(f"Tables copied at once: {slots}.", f"Catalog commits a minute: {commits:g}."),
    )

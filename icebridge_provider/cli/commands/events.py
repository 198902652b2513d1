"""``events``: emit, preview, apply, release and reject events, and see how they are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from icebridge_provider.cli import surroundings
from icebridge_provider.cli.output import Answer, Grid, Output
from icebridge_provider.cli.pairs import pairs
from icebridge_provider.exceptions import ConfigurationError

if TYPE_CHECKING:
    from icebridge_provider.model.bridge import BridgeEvent
    from icebridge_provider.steps.events import SyncSite

_COLUMNS = ("event_id", "status", "operation", "target_table", "rows_expected", "rows_affected", "discrepancy", "note")
_MOST_POLLS = 1000


def init(arguments: Any, output: Output) -> Answer:
    """Make the events table and the target's inbox; what is there stays as it is."""
    from icebridge_provider.steps.events import prepare

    site = _site(arguments)
    output.note(f"Preparing sync {site.options.name} …")
    prepare(site)
    line = f"The events table of sync {site.options.name} and its target's inbox are there."
    return Answer(document={"sync": site.options.name, "ready": True}, shown=(line,))


def emit(arguments: Any, output: Output) -> Answer:  # noqa: ARG001 - every command has this shape
    """Add an event, in the name of who types."""
    from icebridge_provider.hooks.bridge import only, queue_of
    from icebridge_provider.planning.event_arguments import new_event
    from icebridge_provider.steps.events import emit as add

    sync = only(arguments.sync)
    event = new_event(
        event_id=arguments.event_id or str(uuid4()),
        operation=arguments.operation,
        source_table=arguments.source,
        target_table=arguments.target,
        primary_keys=arguments.keys or (),
        priority=arguments.priority,
        rows_expected=arguments.rows,
        filter_conditions=pairs("--where", arguments.where),
        metadata={**pairs("--metadata", arguments.metadata), "requested_by": surroundings.actor().who},
    )
    add(queue_of(sync), [event])
    return Answer(document={"sync": sync.name, "event_id": event.event_id}, shown=(f"Emitted {event.event_id}.",))


def preview(arguments: Any, output: Output) -> Answer:  # noqa: ARG001 - every command has this shape
    """Show what an event would do: its statements, run and rolled back."""
    from icebridge_provider.steps.events import preview as look

    found = look(_site(arguments), arguments.event_id)
    counts = f"{found.rows_affected:,} rows, {found.rows_expected:,} expected: it would be {found.verdict.value}."
    shown = (*found.statements, counts, *([found.message] if found.message else []))
    return Answer(document=found, shown=shown, ok=found.verdict.value == "completed")


def apply(arguments: Any, output: Output) -> Answer:
    """Apply what waits in this process; well when nothing failed."""
    from icebridge_provider.steps.event_polls import COUNTS, apply_waiting

    done = apply_waiting(_site(arguments), _MOST_POLLS, say=output.note)
    said = ", ".join(f"{done[name]} {name}" for name in COUNTS)
    return Answer(document=done, shown=(f"{done['sync']}: {said}.",), ok=not (done["failed"] or done["retried"]))


def release(arguments: Any, output: Output) -> Answer:  # noqa: ARG001 - every command has this shape
    """Let a blocked DELETE run again, with at most the given number of rows."""
    from icebridge_provider.steps.events import release as let

    site = _site(arguments)
    let(site, arguments.event_id, arguments.rows)
    line = f"Released {arguments.event_id} for at most {arguments.rows:,} rows."
    return Answer(document={"event_id": arguments.event_id, "rows": arguments.rows}, shown=(line,))


def reject(arguments: Any, output: Output) -> Answer:  # noqa: ARG001 - every command has this shape
    """End a blocked event for good."""
    from icebridge_provider.steps.events import reject as end

    site = _site(arguments)
    message = arguments.message or f"Rejected by {site.actor.who}."
    end(site, arguments.event_id, message)
    document = {"event_id": arguments.event_id, "message": message}
    return Answer(document=document, shown=(f"Rejected {arguments.event_id}.",))


def status(arguments: Any, output: Output) -> Answer:  # noqa: ARG001 - every command has this shape
    """List events of a sync, or of all; and say how the watching of them goes."""
    from icebridge_provider.hooks.bridge import configured, named, only, queue_of

    if arguments.event_id:
        sync = only(arguments.sync)
        return _one(sync.name, queue_of(sync).event(arguments.event_id), arguments.event_id)
    syncs = [named(arguments.sync)] if arguments.sync else list(configured())
    found = {sync.name: queue_of(sync).events(arguments.status, arguments.limit) for sync in syncs}
    wrong = _watching([(sync.name, sync.poll_seconds) for sync in syncs])
    grids = [_grid(name, events) for name, events in found.items()]
    lines = [f"{name}: {len(events)} events shown." for name, events in found.items()]
    document = {"syncs": [{"sync": name, "events": events} for name, events in found.items()], "watching": wrong}
    return Answer(document=document, shown=(*grids, *lines, *wrong))


def _one(sync: str, event: BridgeEvent | None, event_id: str) -> Answer:
    if event is None:
        raise ConfigurationError(
            "IB-886",
            f"There is no event {event_id[:100]!r} in the events table of sync {sync!r}.",
            remedy="Correct the id; `airflow icebridge events status` lists the events.",
            event_id=event_id[:100],
        )
    return Answer(document=event, shown=(_grid(sync, [event]),))


def _grid(sync: str, events: Sequence[BridgeEvent]) -> Grid:
    return Grid(columns=_COLUMNS, rows=[_row(event) for event in events], title=sync)


def _row(event: BridgeEvent) -> dict[str, Any]:
    names = ("event_id", "operation", "target_table", "rows_expected", "rows_affected", "discrepancy")
    note = event.error_message or event.warning
    return {**{name: getattr(event, name) for name in names}, "status": event.status.value, "note": note}


def _watching(syncs: list[tuple[str, float]]) -> list[str]:
    from icebridge_provider.steps.event_watch import KIND, watching

    if surroundings.settings().events_schedule != "watch":
        return []
    found = watching(dict(surroundings.ledger().documents(KIND)), syncs, datetime.now(UTC))
    return [item.wrong for item in found if item.wrong]


def _site(arguments: Any) -> SyncSite:
    from icebridge_provider.hooks.bridge import only, site_of

    return site_of(only(arguments.sync), surroundings.actor())

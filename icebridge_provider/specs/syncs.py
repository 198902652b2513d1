"""``syncs.yaml``: which events tables are polled, and which database each of them writes to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.syncs import (
    LEASE_SECONDS,
    MAX_ATTEMPTS,
    MAX_EVENTS_PER_POLL,
    POLL_SECONDS,
    SyncConfig,
)
from icebridge_provider.specs.files import read_bounded
from icebridge_provider.specs.shape import Shape, misfit, shaped
from icebridge_provider.specs.yaml import MAX_BYTES, Document, parse_yaml

POLL_VARIABLE = "POLLING_INTERVAL_SECONDS"
EVENTS_VARIABLE = "MAX_EVENTS_PER_POLL"
LONGEST_SECONDS = 86_400
MOST_EVENTS = 10_000


def _plain_number(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else value


Name = Annotated[str, Field(min_length=1, max_length=250, pattern=r"^[A-Za-z0-9_.:-]+$")]
Seconds = Annotated[float, Field(gt=0, le=LONGEST_SECONDS), BeforeValidator(_plain_number)]
LeaseSeconds = Annotated[float, Field(ge=10, le=LONGEST_SECONDS), BeforeValidator(_plain_number)]
Events = Annotated[int, Field(ge=1, le=MOST_EVENTS)]


class EventsEntry(Shape):
    """The table of events; without a connection it is in the workspace that ``DATABRICKS_…`` of the environment say."""

    conn_id: Name = ""
    table: Annotated[str, Field(min_length=1, max_length=800, description="the table's name with its schema")]


class DatabaseEntry(Shape):
    """A database, by its connection; without one by ``DATABRICKS_…`` (source) or ``SQLSERVER_…`` (target)."""

    conn_id: Name = ""


class SyncEntry(Shape):
    """One sync."""

    name: Name
    events: EventsEntry
    source: DatabaseEntry = Field(default_factory=DatabaseEntry)
    target: DatabaseEntry = Field(default_factory=DatabaseEntry)
    permissions_file: Annotated[str, Field(min_length=1, description="path; a relative one starts at this folder")]
    user: Annotated[str, Field(min_length=1, max_length=255, description="user of the permissions file")]
    poll_seconds: Seconds | None = None
    max_events_per_poll: Events | None = None
    strict: bool = False
    lease_seconds: LeaseSeconds = LEASE_SECONDS
    max_attempts: Annotated[int, Field(ge=1, le=100)] = MAX_ATTEMPTS


class SyncsFile(Shape):
    """The whole file."""

    syncs: list[SyncEntry]


def read_syncs(path: Path, environment: Mapping[str, str] = os.environ) -> tuple[SyncConfig, ...]:
    """Read the file; ``environment`` gives POLLING_INTERVAL_SECONDS and MAX_EVENTS_PER_POLL where it is silent.

    :raises ConfigurationError: IB-801 when it cannot be read or everybody may write it, and as :func:`parse_syncs`.
    """
    return parse_syncs(read_bounded(path, MAX_BYTES, private=True), path, environment)


def parse_syncs(content: bytes, path: Path, environment: Mapping[str, str]) -> tuple[SyncConfig, ...]:
    """Read the file's content.

    :raises ConfigurationError: IB-800, IB-802 with file, line and column; IB-803 for a variable that is no number.
    """
    document = parse_yaml(content, str(path))
    entries = shaped(document, SyncsFile).syncs
    _refuse_twice(document, entries)
    poll = _from(environment, POLL_VARIABLE, POLL_SECONDS, LONGEST_SECONDS)
    events = _from(environment, EVENTS_VARIABLE, MAX_EVENTS_PER_POLL, MOST_EVENTS)
    return tuple(_config(entry, path, poll, int(events)) for entry in entries)


def sync_named(syncs: tuple[SyncConfig, ...], name: str, file: str) -> SyncConfig:
    """Return one sync by its name.

    :raises ConfigurationError: IB-802 when there is none, naming those there are.
    """
    for item in syncs:
        if item.name == name:
            return item
    names = ", ".join(item.name for item in syncs) or "none"
    raise ConfigurationError(
        "IB-802", f"{file} has no sync {name!r}; it has {names}.", remedy="Name one of them, or add it.", file=file
    )


def _config(entry: SyncEntry, path: Path, poll: float, events: int) -> SyncConfig:
    return SyncConfig(
        name=entry.name,
        events_conn_id=entry.events.conn_id,
        events_table=entry.events.table,
        source_conn_id=entry.source.conn_id,
        target_conn_id=entry.target.conn_id,
        permissions_file=str(path.absolute().parent / entry.permissions_file),
        user=entry.user,
        poll_seconds=poll if entry.poll_seconds is None else entry.poll_seconds,
        max_events_per_poll=events if entry.max_events_per_poll is None else entry.max_events_per_poll,
        strict=entry.strict,
        lease_seconds=entry.lease_seconds,
        max_attempts=entry.max_attempts,
    )


def _refuse_twice(document: Document, entries: list[SyncEntry]) -> None:
    """Refuse one name twice, and one events table twice: two syncs would answer each other's events."""
    seen: set[tuple[str, ...]] = set()
    for index, entry in enumerate(entries):
        for mark, what in (((entry.name,), "name"), ((entry.events.conn_id, entry.events.table), "events table")):
            if mark in seen:
                raise misfit(f"{document.place('syncs', index)}: another sync has the same {what}", document)
            seen.add(mark)


def _from(environment: Mapping[str, str], name: str, default: float, most: float) -> float:
    given = environment.get(name, "").strip()
    if not given:
        return default
    try:
        value = float(given)
    except ValueError:
        value = 0.0
    if not 0 < value <= most or (name == EVENTS_VARIABLE and value != int(value)):
        raise ConfigurationError(
            "IB-803",
            f"The variable {name} is {given[:40]!r}; a number above 0 and up to {most:,} is needed.",
            remedy="Correct the variable, or remove it.",
            variable=name,
        )
    return value

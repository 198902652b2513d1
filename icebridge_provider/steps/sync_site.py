"""What the event sync works with: the queue, both sides, who may do what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from icebridge_provider import retry
from icebridge_provider.model import codec
from icebridge_provider.model.bridge import BridgeEvent, Rights
from icebridge_provider.model.event import Actor, LedgerEvent, Outcome, Step
from icebridge_provider.ports import EventQueue, Ledger, RowSource, SyncTarget


class Permissions(Protocol):
    """What the user of a sync may do, as the permissions file says it now, and the record of what was asked."""

    def rights(self) -> Rights:
        """Return them; the last good ones while the file cannot be read.

        :raises ConfigurationError: when there never was a good file, or it does not know the user.
        """

    def audit(self, *, event_type: str, resource: str, action: str, detail: str = "") -> None:
        """Write one line: ``permission_granted``, ``permission_denied``, ``event_completed`` and so on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """How one sync of ``syncs.yaml`` runs.

    :param lease_seconds: how long a claim holds; a batch stops beginning events at half of it.
    :param max_attempts: claims of one event that may come to nothing before it is settled as failed.
    :param strict: a discrepancy fails the event.
    """

    name: str
    max_events_per_poll: int = 100
    lease_seconds: float = 300.0
    max_attempts: int = 5
    strict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSite:
    """One sync's surroundings. ``again`` runs a call that may safely run twice, a few times if need be."""

    queue: EventQueue
    source: RowSource
    target: SyncTarget
    permissions: Permissions
    options: SyncOptions
    ledger: Ledger
    actor: Actor = field(default_factory=Actor)
    again: Callable[[Callable[[], Any]], Any] = retry.transient

    @property
    def plan_id(self) -> str:
        """What the sync's lines stand under in the ledger."""
        return f"sync:{self.options.name}"

    def line(
        self, event_id: str, outcome: Outcome, data: Mapping[str, Any] | None = None, step: Step = Step.APPLY
    ) -> LedgerEvent:
        """Return a line of the ledger about one event."""
        return LedgerEvent(
            plan_id=self.plan_id,
            table=event_id,
            step=step,
            outcome=outcome,
            actor=self.actor,
            data=codec.to_json(data or {}),
        )

    def record(self, lines: list[LedgerEvent]) -> None:
        """Write lines into the ledger."""
        if lines:
            self.ledger.append_many(lines)

    def released(self, event: BridgeEvent) -> int:
        """Return the rows that a person let this very DELETE delete, by the ledger's word.

        Whoever sends events can write into the queue, so its word counts for no more than that somebody asks.
        """
        if not event.released_rows:
            return 0
        told = [line.data for line in self.ledger.events(self.plan_id, event.event_id) if line.step is Step.APPROVE]
        rows = [int(data["rows"]) for data in told if data.get("payload") == event.payload and "rows" in data]
        return min(event.released_rows, rows[-1]) if rows else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PollReport:
    """What one poll did, by event ids.

    :param retried: given back after a failure that may pass.
    :param held: event → the blocked or busy event that it waits for.
    :param outage: what did not answer; nothing more was tried, and no event's attempts were counted for it.
    :param more: other events can run: poll again at once.
    """

    completed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    retried: tuple[str, ...] = ()
    held: Mapping[str, str] = field(default_factory=dict)
    outage: str = ""
    more: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return dict(codec.to_json(self))

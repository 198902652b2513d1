"""Everything a step works with: the ports, the settings, who acts and what time it is."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from icebridge_provider.model.event import Actor, LedgerEvent, Outcome, Step
from icebridge_provider.model.settings import Settings
from icebridge_provider.ports import BatchEngine, Catalog, Engine, JobsTable, Lease, Ledger, Progress, Signer


def _now() -> datetime:
    return datetime.now(UTC)


def _no_limit() -> None:
    """Let every commit through: what a site without a governor does."""


def new_owner() -> str:
    """Return a name for leases that no other process has."""
    return f"{socket.gethostname()}-{secrets.token_hex(6)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One migration's surroundings. ``engine`` builds an engine that reports progress to the given callback.

    ``owner`` is unique to this process: leases are held in its name. ``take_commit`` waits for the right to make one
    more catalog commit (see state/governor.py). ``remote`` copies instead of ``engine`` where an engine elsewhere does.
    ``jobs_table`` is where progress is written as well, for people who ask for it.
    """

    source: Catalog
    target: Catalog
    ledger: Ledger
    engine: Callable[[Progress], Engine]
    settings: Settings = field(default_factory=Settings)
    actor: Actor = field(default_factory=Actor)
    signer: Signer | None = None
    now: Callable[[], datetime] = _now
    owner: str = field(default_factory=new_owner)
    take_commit: Callable[[], object] = _no_limit
    remote: BatchEngine | None = None
    jobs_table: JobsTable | None = None

    def record(
        self,
        plan_id: str,
        table: str,
        step: Step,
        outcome: Outcome,
        data: dict[str, object] | None = None,
        lease: Lease | None = None,
    ) -> LedgerEvent:
        """Append one event in this actor's name; with a lease, only while it is held."""
        return self.ledger.append(self.event(plan_id, table, step, outcome, data, lease), lease)

    def event(
        self,
        plan_id: str,
        table: str,
        step: Step,
        outcome: Outcome,
        data: dict[str, object] | None = None,
        lease: Lease | None = None,
    ) -> LedgerEvent:
        """Return an event in this actor's name, for several that are recorded together."""
        return LedgerEvent(
            plan_id=plan_id,
            table=table,
            step=step,
            outcome=outcome,
            actor=self.actor,
            data=data or {},
            epoch=lease.epoch if lease else 0,
        )

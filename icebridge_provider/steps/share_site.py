"""The surroundings of shares with Snowflake: both systems, the files between them, and who acts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from icebridge_provider.engines.local.faults import from_os
from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.model import codec
from icebridge_provider.model.event import Actor, LedgerEvent, Outcome, Step
from icebridge_provider.model.settings import Settings
from icebridge_provider.model.share import Share
from icebridge_provider.planning.snowflake.presets import PRODUCTION, Preset
from icebridge_provider.ports import FileStore, Lease, Ledger, LoadTarget, Progress, SqlRunner
from icebridge_provider.steps.site import new_owner


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareSite:
    """Where shares are done, and by whom.

    :param store: lists the exported files and keeps the manifest; no row passes through this process.
    :param preset: how long an export or a load may take.
    :param owner: unique to this process; leases are held in its name.
    """

    source: SqlRunner
    target: LoadTarget
    store: FileStore
    ledger: Ledger
    preset: Preset = PRODUCTION
    actor: Actor = field(default_factory=Actor)
    settings: Settings = field(default_factory=Settings)
    progress: Progress | None = None
    now: Callable[[], datetime] = _now
    owner: str = field(default_factory=new_owner)

    def record(
        self, share: Share, step: Step, outcome: Outcome, data: Mapping[str, Any], lease: Lease | None = None
    ) -> None:
        """Append one event of a share to the ledger, and tell whoever watches.

        :raises FencedOut: IB-110 when ``lease`` is no longer the newest of its key.
        """
        event = LedgerEvent(
            plan_id=share.run_id,
            table=share.name,
            step=step,
            outcome=outcome,
            actor=self.actor,
            data=data,
            epoch=lease.epoch if lease else 0,
        )
        self.ledger.append(event, lease)
        if self.progress is not None:
            self.progress({"share": share.name, "step": step.value, "outcome": outcome.value, **data})


def lease_key(share: Share) -> str:
    """Return what the lease on a share's target is called: the same for every run, another for every other table."""
    return f"share:{codec.digest(list(share.place.target))[:32]}"


@contextmanager
def files_of(share: Share) -> Iterator[None]:
    """Turn what a file store raises into errors of ours.

    :raises IceBridgeError: those of ``engines.local.faults.from_os``; what may pass is retryable.
    """
    try:
        yield
    except (IceBridgeError, FileNotFoundError):
        raise
    except OSError as error:
        raise from_os(share.name, share.location, error) from None

"""Holds the lease on one table while a step works on it, so that two processes never change it at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from icebridge_provider.exceptions import IceBridgeError, TransientError
from icebridge_provider.model.plan import TablePlan
from icebridge_provider.model.settings import Settings
from icebridge_provider.ports import Lease, Ledger
from icebridge_provider.steps.site import Site


class Leasing(Protocol):
    """What a lease is taken with: the ledger, in whose name, for how long. A :class:`Site` fits."""

    @property
    def ledger(self) -> Ledger:
        """Keeps the leases."""

    @property
    def owner(self) -> str:
        """Unique to this process."""

    @property
    def settings(self) -> Settings:
        """``lease_seconds``."""


class HeldLease:
    """A lease in force; ``keep`` extends it when a third of its time is gone, and raises when it was lost."""

    def __init__(self, site: Leasing, lease: Lease) -> None:
        self._site = site
        self._lock = threading.Lock()
        self._renewed = time.monotonic()
        self.lease = lease

    def keep(self, *, now: bool = False) -> Lease:
        """Return the lease, extended if it is time or ``now`` is set: before every change of a catalog.

        :raises FencedOut: IB-110 when another process took the table over.
        """
        with self._lock:
            if now or time.monotonic() - self._renewed > self._site.settings.lease_seconds / 3:
                self.lease = self._site.ledger.renew(self.lease, self._site.settings.lease_seconds)
                self._renewed = time.monotonic()
            return self.lease


def busy(what: str, seconds: int) -> TransientError:
    """Return the error for what another process has a lease on."""
    return TransientError(
        "IB-600",
        f"Another process works on {what}.",
        remedy=f"Wait for it; if it died, this is free again {seconds} s after its last sign of life.",
        held=what,
    )


@contextmanager
def lease_on(site: Site, table: TablePlan) -> Iterator[HeldLease]:
    """Hold the lease on ``table.target``.

    :raises TransientError: IB-600 while another process holds it.
    """
    with lease_of(site, str(table.target)) as held:
        yield held


@contextmanager
def lease_of(site: Leasing, key: str) -> Iterator[HeldLease]:
    """Hold the lease on what is called ``key``.

    :raises TransientError: IB-600 while another process holds it.
    """
    lease = site.ledger.acquire(key, site.owner, site.settings.lease_seconds)
    if lease is None:
        raise busy(key, site.settings.lease_seconds)
    held = HeldLease(site, lease)
    try:
        yield held
    finally:
        site.ledger.release(held.lease)


@contextmanager
def kept(held: HeldLease, seconds: float) -> Iterator[None]:
    """Extend a lease from a thread of its own while one call takes long.

    A lease that was lost meanwhile is noticed by the next ``keep`` of whoever works.

    :param seconds: the lease's.
    """
    over = threading.Event()

    def extend() -> None:
        while not over.wait(seconds / 3):
            with suppress(IceBridgeError):
                held.keep()

    thread = threading.Thread(target=extend, name="icebridge-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()

"""The lease of a share is kept while one call takes longer than it lasts."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from icebridge_provider.model.settings import Settings
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.lease import kept, lease_of
from tests.support.ledgers import sqlite_ledger


@dataclass
class Worker:
    ledger: SqlLedger
    owner: str
    settings: Settings = field(default_factory=lambda: Settings(lease_seconds=1))


def test_a_lease_outlives_its_seconds_only_while_it_is_kept(tmp_path: Path) -> None:
    ledger = sqlite_ledger(tmp_path)
    with lease_of(Worker(ledger, "one"), "share:t") as held:
        with kept(held, 1):
            time.sleep(1.3)
            assert ledger.acquire("share:t", "two", 1) is None
        time.sleep(1.1)
        assert ledger.acquire("share:t", "two", 1) is not None, "the thread has ended with its block"

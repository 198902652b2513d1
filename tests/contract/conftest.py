from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from icebridge_provider.state.ledger import SqlLedger
from tests.support.postgres import postgres_server, postgres_url  # noqa: F401 - fixtures


@pytest.fixture(params=["sqlite", "postgres"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlLedger]:
    """A migrated, empty ledger on SQLite, then one on a real PostgreSQL."""
    is_file = request.param == "sqlite"
    found = SqlLedger(f"sqlite:///{tmp_path}/ledger.db" if is_file else request.getfixturevalue("postgres_url"))
    found.migrate()
    yield found
    found.close()

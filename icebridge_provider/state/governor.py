"""Shares the catalog's commit rate among all workers: a leaky bucket in the ledger's database."""

from __future__ import annotations

import time
from collections.abc import Callable

import sqlalchemy as sa

from icebridge_provider.state import leases
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.state.schema import LIMITS

NAME = "commits_per_minute"
LONGEST_SLEEP = 5.0


class CommitGovernor:
    """Lets at most so many commits a minute through, over all processes that share the ledger.

    :param per_minute: the limit until somebody sets another by :meth:`limit`, which counts for everybody at once.
    """

    def __init__(self, ledger: SqlLedger, per_minute: float, sleep: Callable[[float], None] = time.sleep) -> None:
        self._ledger = ledger
        self._default = float(per_minute)
        self._sleep = sleep

    def limit(self, per_minute: float) -> None:
        """Change the limit for all workers, while they run."""
        with self._ledger.engine.execution_options(icebridge_write=True).begin() as connection:
            self._row(connection)
            connection.execute(sa.update(LIMITS).where(LIMITS.c.name == NAME).values(value=float(per_minute)))

    def take(self) -> float:
        """Wait until one more commit is allowed; return the seconds waited."""
        waited = 0.0
        while True:
            wait = self._try()
            if wait <= 0:
                return waited
            self._sleep(min(wait, LONGEST_SLEEP))
            waited += min(wait, LONGEST_SLEEP)

    def _try(self) -> float:
        """Take one place in the bucket if there is one; else return the seconds until there is."""
        with self._ledger.engine.execution_options(icebridge_write=True).begin() as connection:
            row = self._row(connection)
            now = leases.clock(connection)
            level = max(0.0, row.level - (now - row.at) * row.value / 60)
            if level + 1 > max(row.value, 1.0):
                return (level + 1 - max(row.value, 1.0)) * 60 / row.value
            values = {"level": level + 1, "at": now}
            connection.execute(sa.update(LIMITS).where(LIMITS.c.name == NAME).values(**values))
            return 0.0

    def _row(self, connection: sa.Connection) -> sa.Row[tuple[str, float, float, float]]:
        query = sa.select(LIMITS).where(LIMITS.c.name == NAME).with_for_update()
        row = connection.execute(query).one_or_none()
        if row is None:
            values = {"name": NAME, "value": self._default, "level": 0.0, "at": leases.clock(connection)}
            connection.execute(self._ledger.insert_once(LIMITS, values))
            row = connection.execute(query).one()
        return row

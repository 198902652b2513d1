"""Shares the catalog's commit rate among all workers: each commit reserves a moment in the ledger's database."""

from __future__ import annotations

import time
from collections.abc import Callable

import sqlalchemy as sa

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import LimitExceeded, TransientError
from icebridge_provider.state import leases
from icebridge_provider.state.database import Database
from icebridge_provider.state.schema import LIMITS

NAME = "commits_per_minute"
LONGEST_SLEEP = 5.0
LONGEST_WAIT = 120.0
BURST_SECONDS = 1.0
_CONFIGURED = 0.0


class CommitGovernor:
    """Lets at most so many commits a minute through, over all processes that share the ledger.

    Commits may come up to one second early, so a minute sees at most 61 seconds' share.

    :param per_minute: the limit as configured; in force unless :meth:`limit` set another for everybody.
    :param sleep: waits so many seconds.
    """

    def __init__(self, ledger: Database, per_minute: float, sleep: Callable[[float], None] = time.sleep) -> None:
        self._ledger = ledger
        self._configured = float(per_minute)
        self._sleep = sleep

    def limit(self, per_minute: float | None) -> None:
        """Change the limit for all workers while they run; None goes back to what is configured.

        :raises LimitExceeded: IB-114 when it is not above zero.
        """
        if per_minute is not None and not 0 < per_minute < float("inf"):
            raise LimitExceeded(
                "IB-114",
                f"A limit of {per_minute} commits a minute would stop every migration.",
                remedy="Give a number above 0, or pause the DAG to stop migrations.",
            )
        value = _CONFIGURED if per_minute is None else float(per_minute)
        with side_effect("governor.limit"), self._ledger.writing() as connection:
            row = self._row(connection)
            changed = {"value": value, "level": row.level + 1, "at": leases.clock(connection)}
            connection.execute(sa.update(LIMITS).where(LIMITS.c.name == NAME).values(**changed))

    def current(self) -> float:
        """Commits a minute that are allowed now."""
        with self._ledger.reading() as connection:
            value = connection.execute(sa.select(LIMITS.c.value).where(LIMITS.c.name == NAME)).scalar()
        return float(value or self._configured)

    def take(self) -> float:
        """Wait until one more commit is allowed; return the seconds waited.

        :raises TransientError: IB-115 when that takes more than two minutes, lest leases lapse meanwhile.
        """
        waited, (left, version) = 0.0, self._reserve()
        while left > 0:
            if waited + left > LONGEST_WAIT:
                raise self._too_long(left)
            pause = min(left, LONGEST_SLEEP)
            self._sleep(pause)
            waited, left = waited + pause, left - pause
            if left > 0 and self._version() != version:
                left, version = self._reserve()
        return waited

    def _reserve(self) -> tuple[float, float]:
        """Reserve the next free moment; return the seconds until then and the version of the limit."""
        with side_effect("governor.reserve"), self._ledger.writing() as connection:
            row = self._row(connection)
            now = leases.clock(connection)  # after the wait for the row
            moment = max(row.at, now - BURST_SECONDS)
            if moment - now <= LONGEST_WAIT:
                following = moment + 60.0 / (row.value or self._configured)
                connection.execute(sa.update(LIMITS).where(LIMITS.c.name == NAME).values(at=following))
            return moment - now, row.level

    def _version(self) -> float:
        with self._ledger.reading() as connection:
            return float(connection.execute(sa.select(LIMITS.c.level).where(LIMITS.c.name == NAME)).scalar_one())

    def _row(self, connection: sa.Connection) -> sa.Row[tuple[str, float, float, float]]:
        query = sa.select(LIMITS).where(LIMITS.c.name == NAME).with_for_update()
        row = connection.execute(query).one_or_none()
        if row is None:
            values = {"name": NAME, "value": _CONFIGURED, "level": 0.0, "at": 0.0}
            connection.execute(self._ledger.insert_once(LIMITS, values))
            row = connection.execute(query).one()
        return row

    def _too_long(self, left: float) -> TransientError:
        return TransientError(
            "IB-115",
            f"The next commit is allowed only in {left:.0f} s: {self.current():g} a minute are allowed.",
            remedy="Run fewer tables at once, or: airflow icebridge limits --commits N. The task tries again.",
        )

"""The one transaction that makes a load visible, and what became of it when its COMMIT got no answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.engines.snowflake import faults
from icebridge_provider.engines.snowflake.faults import Attempt
from icebridge_provider.engines.snowflake.session import WRITTEN, Session
from icebridge_provider.exceptions import ConfigurationError, TransientError
from icebridge_provider.model.running import Answer
from icebridge_provider.model.share import Published
from icebridge_provider.model.snowflake import LoadPlan, LoadState, Statement
from icebridge_provider.planning.snowflake.names import query_tag
from icebridge_provider.sql import snowflake as sql

_BEGIN, _COMMIT, _ROLLBACK = (Statement(text=text) for text in (sql.BEGIN, sql.COMMIT, sql.ROLLBACK))
_STATE, _GENERATION, _MANIFEST = "STATE", "GENERATION", "MANIFEST"


class Publishing:
    """One transaction in one session, which nobody else uses."""

    def __init__(self, session: Session, plan: LoadPlan, attempt: Attempt) -> None:
        self._session, self._plan, self._attempt = session, plan, attempt
        self._number = 0

    def written(self, judge: Callable[[Published], None]) -> Published | None:
        """Claim the load and write its rows; None when the claim hit no row. Not committed yet.

        What ``judge`` or Snowflake raises goes through after ROLLBACK; an interruption at once, and the end of the
        session rolls back.
        """
        try:
            self._run(_BEGIN)
            with side_effect("load.claim"):
                claimed = self._run(self._plan.claim).affected
            if claimed == 0:
                self._roll_back()
                return None
            self._refuse_several(claimed)
            published = self._write()
            judge(published)
        except Exception:
            self._roll_back()
            raise
        return published

    def commit(self) -> None:
        """Make it visible."""
        with side_effect("load.commit"):
            self._run(_COMMIT)

    def settled(self, published: Published) -> Published | None:
        """Say what became of a COMMIT that another session sent and got no answer to.

        An UPDATE of the load's row, rolled back at once, waits for the lock of that session: when it gets it, the
        transaction is over. While it still found the row as the claim wants it, nothing had been committed.

        :raises TransientError: IB-930 when it was not committed, for sure.
        """
        if self._recorded():
            return published
        record = self._plan.record
        try:
            self._run(_BEGIN)
            found = self._run(sql.settle_load(self._control, record, LoadState.STAGING, LoadState.STAGING)).affected
        finally:
            self._roll_back()
        if not found:
            return published if self._recorded() else None
        raise TransientError(
            "IB-930",
            f"Snowflake account {self._attempt.account} did not {self._attempt.what}: COMMIT was lost on its way.",
            remedy="The task tries again by itself.",
            conn_id=self._attempt.conn_id,
            settled=True,
        )

    def _write(self) -> Published:
        before = _number(self._run(self._plan.before))
        counts: dict[str, int] = {}
        for statement in self._plan.publish:
            with side_effect("load.write"):
                _add(counts, self._run(statement))
        after = _number(self._run(self._plan.after))
        return Published(before=before, after=after, **counts)

    def _recorded(self) -> bool:
        """Whether the load's row says that this try has published."""
        told = self._run(sql.look_load(self._control, self._plan.record.run_key))
        rows: list[Mapping[str, Any]] = [dict(zip(told.columns, row, strict=True)) for row in told.rows]
        states = {LoadState.SWAPPING.value, LoadState.LOADED.value}
        record = self._plan.record
        return any(
            row[_STATE] in states and int(row[_GENERATION]) == record.generation and row[_MANIFEST] == record.manifest
            for row in rows
        )

    def _refuse_several(self, claimed: int | None) -> None:
        if claimed == 1:
            return
        raise ConfigurationError(
            "IB-934",
            f"{claimed} rows of ICEBRIDGE_LOADS have the key {self._plan.record.run_key}; one is expected.",
            remedy="Delete all but one of them; nobody but IceBridge may write to this table.",
            changed="The transaction was rolled back.",
            conn_id=self._attempt.conn_id,
        )

    def _roll_back(self) -> None:
        """Undo; where that gets no answer the end of the session does it."""
        with suppress(Exception):
            self._session.run(_ROLLBACK)

    def _run(self, statement: Statement) -> Answer:
        record = self._plan.record
        self._number += 1
        try:
            return self._session.run(statement, query_tag(record.run_key, record.generation, "publish", self._number))
        except Exception as error:  # noqa: BLE001 - mapped, or raised again as it is
            raise faults.error_for(error, _about(self._attempt, statement)) from None

    @property
    def _control(self) -> tuple[str, str]:
        return self._plan.staging[:2]


def _about(attempt: Attempt, statement: Statement) -> Attempt:
    return replace(attempt, statement=statement.text, changed="The transaction was rolled back: nothing changed.")


def _number(answer: Answer) -> int:
    return int(answer.rows[0][0])


def _add(counts: dict[str, int], answer: Answer) -> None:
    """Add what one statement wrote, by the names of its answer's columns: ``number of rows inserted``."""
    for name, value in zip(answer.columns, answer.rows[0], strict=True):
        kind = name.removeprefix(WRITTEN)
        if kind in {"inserted", "updated", "deleted"}:
            counts[kind] = counts.get(kind, 0) + int(value)

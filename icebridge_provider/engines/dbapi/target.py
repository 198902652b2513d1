"""SQLite or PostgreSQL as the database that events write to, with its inbox.

One transaction an event: the event's place in the inbox is taken first, so that a second worker waits there; rows go
into a temporary table and from it, in one statement, into the target; the inbox row is filled; COMMIT.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.engines.dbapi.catalog import describe
from icebridge_provider.engines.dbapi.database import DbApi, named
from icebridge_provider.engines.dbapi.queue import create_checked
from icebridge_provider.engines.dbapi.stage import fill
from icebridge_provider.exceptions import IceBridgeError, TransientError
from icebridge_provider.model.bridge import FINAL, EventStatus, Operation, Preview, Settled, TargetTable, Work
from icebridge_provider.planning.event_outcome import judged, refused_keys, used_id
from icebridge_provider.sql import bridge as sql

STALLED_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """What the statements of one event did, before its outcome is judged."""

    staged: int
    affected: int


class DbApiSyncTarget:
    """A ``SyncTarget``.

    :param inbox: ``icebridge_inbox`` or ``schema.icebridge_inbox``; one inbox a database, whatever syncs write to it.
    """

    def __init__(self, database: DbApi, inbox: str = "icebridge_inbox") -> None:
        self._database = database
        self._inbox = named(inbox, 2)

    def prepare(self) -> None:
        """Make the inbox; one that is there is success."""
        create_checked(self._database, self._inbox, sql.INBOX_COLUMNS)

    def table(self, name: str) -> TargetTable:
        """Describe a table."""
        return describe(self._database, name)

    def settled(self, event_ids: Sequence[str]) -> dict[str, Settled]:
        """What the inbox holds of these events."""
        ids = sorted(set(event_ids))
        if not ids:
            return {}
        rows = self._database.query(sql.settled(self._inbox, len(ids), self._dialect), ids)
        return {settled.event_id: settled for settled in map(_settled, rows)}

    def apply(self, work: Work, rows: Any) -> Settled:
        """Do one event with its inbox row in one transaction, or find that it was done."""
        try:
            with self._database.transaction() as cursor:
                return self._apply(cursor, work, rows)
        except TransientError:
            found = self._looked_up(work)
            if found is not None:
                return found
            raise

    def settle(self, settled: Settled) -> Settled:
        """Write into the inbox that an event ended without touching rows, unless it has ended."""
        with self._database.transaction() as cursor:
            found = self._take_place(cursor, settled)
            rejects = settled.status is EventStatus.REJECTED
            if found is not None and not (rejects and found.status is EventStatus.BLOCKED):
                return found
            return self._fill_place(cursor, settled)

    def preview(self, work: Work, rows: Any) -> Preview:
        """Do it and roll it back."""
        with self._database.discarded() as cursor:
            return self._shown(work, self._change(cursor, work, rows))

    @property
    def _dialect(self) -> str:
        return self._database.dialect

    def _apply(self, cursor: Any, work: Work, rows: Any) -> Settled:
        event = work.event
        place = Settled(
            event_id=event.event_id, payload=event.payload, attempt=event.attempt, status=EventStatus.PROCESSING
        )
        found = self._take_place(cursor, place)
        if found is not None:
            return _same_event(work, found)
        cursor.execute("SAVEPOINT icebridge_rows")
        done = self._change(cursor, work, rows)
        outcome = judged(work, staged=done.staged, affected=done.affected)
        if outcome.status is not EventStatus.COMPLETED:
            cursor.execute("ROLLBACK TO SAVEPOINT icebridge_rows")
        return self._fill_place(cursor, outcome)

    def _take_place(self, cursor: Any, settled: Settled) -> Settled | None:
        """Take the event's row in the inbox for this transaction; return what stands there and must stay."""
        if self._dialect == sql.POSTGRES:  # a worker that sleeps in a transaction must not hold up the others for ever
            cursor.execute(f"SET LOCAL lock_timeout = '{self._database.busy_seconds}s'")
            cursor.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{STALLED_SECONDS}s'")
        cursor.execute(
            sql.begin_settling(self._inbox, self._dialect), [settled.event_id, settled.payload, settled.attempt]
        )
        if cursor.rowcount == 1:
            return None
        cursor.execute(sql.settled(self._inbox, 1, self._dialect, lock=True), [settled.event_id])
        found = _settled(cursor.fetchone())
        may_go_on = found.status is EventStatus.BLOCKED and settled.attempt > found.attempt
        return None if may_go_on and found.payload == settled.payload else found

    def _fill_place(self, cursor: Any, settled: Settled) -> Settled:
        values = [
            settled.payload, settled.attempt, settled.status.value, settled.rows_expected, settled.rows_affected,
            settled.discrepancy, settled.warning, settled.error_message, settled.event_id,
        ]  # fmt: skip
        with side_effect("apply.inbox"):
            cursor.execute(sql.settle(self._inbox, self._dialect), values)
        cursor.execute(sql.settled(self._inbox, 1, self._dialect), [settled.event_id])
        return _settled(cursor.fetchone())

    def _change(self, cursor: Any, work: Work, rows: Any) -> _Done:
        with side_effect("apply.stage"):
            staged = fill(cursor, work, rows, self._dialect)
        self._check_keys(cursor, work)
        with side_effect("apply.change"):
            cursor.execute(_statement(work, self._dialect), [])
        affected = max(cursor.rowcount, 0)
        cursor.execute(sql.drop_stage(self._dialect))
        return _Done(staged=staged, affected=affected)

    def _check_keys(self, cursor: Any, work: Work) -> None:
        if not work.keys:
            return
        counts = []
        for statement in (sql.null_keys(work.keys, self._dialect), sql.equal_keys(work.keys, self._dialect)):
            cursor.execute(statement, [])
            counts.append(int(cursor.fetchone()[0]))
        if any(counts):
            raise refused_keys(work, nulls=counts[0], twice=counts[1])

    def _looked_up(self, work: Work) -> Settled | None:
        """After a lost answer: what the inbox holds of just this event, if anybody can tell."""
        with suppress(IceBridgeError):
            found = self.settled([work.event.event_id]).get(work.event.event_id)
            if found and found.payload == work.event.payload and _ends(found, work.event.attempt):
                return found
        return None

    def _shown(self, work: Work, done: _Done) -> Preview:
        outcome = judged(work, staged=done.staged, affected=done.affected)
        return Preview(
            event_id=work.event.event_id,
            statements=(_statement(work, self._dialect),),
            rows_expected=outcome.rows_expected or 0,
            rows_affected=done.affected,
            verdict=outcome.status,
            message=outcome.error_message or outcome.warning,
        )


def _statement(work: Work, dialect: str) -> str:
    table = (work.table.schema, work.table.name)
    match work.event.operation:
        case Operation.INSERT:
            return sql.insert_rows(table, work.columns, dialect, identity=_numbered(work))
        case Operation.UPDATE:
            changed = [name for name in work.columns if name not in work.keys]
            return sql.update_rows(table, work.keys, changed, dialect)
        case _:
            return sql.delete_rows(table, work.keys, dialect)


def _numbered(work: Work) -> bool:
    return any(column.identity and column.name in work.columns for column in work.table.columns)


def _ends(found: Settled, attempt: int) -> bool:
    return found.status in FINAL or (found.status is EventStatus.BLOCKED and found.attempt >= attempt)


def _same_event(work: Work, found: Settled) -> Settled:
    if found.payload != work.event.payload:
        raise used_id(work.event.event_id)
    return found


def _settled(row: Sequence[Any]) -> Settled:
    values = dict(zip(sql.INBOX_COLUMNS, row, strict=True))
    texts = {name: values[name] or "" for name in ("warning", "error_message", "settled_at")}
    return Settled(**(values | texts | {"status": EventStatus(values["status"])}))

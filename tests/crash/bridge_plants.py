"""Bugs to plant into the event sync, in a process of their own: the suite must catch every one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.engines.dbapi import target as target_module
from icebridge_provider.engines.dbapi.source import DbApiRowSource
from icebridge_provider.engines.dbapi.target import DbApiSyncTarget
from icebridge_provider.model.bridge import EventStatus, Settled, Work
from icebridge_provider.planning import events as planning
from icebridge_provider.planning.event_outcome import judged
from icebridge_provider.sql import bridge as sql
from icebridge_provider.steps import event_batch, event_run
from icebridge_provider.steps import events as steps


@dataclass(frozen=True, kw_only=True)
class Teeth:
    """A bug, and what catches it: ``machine``, ``matrix``, ``race`` (PostgreSQL) or a contract test's name."""

    plant: Callable[[], None]
    caught_by: str


def mark_before_commit() -> None:
    """Say that an event is completed, then do it."""
    real = event_run.run

    def run(site: Any, event: Any, tables: Any, found: Any) -> Any:
        early = Settled(
            event_id=event.event_id, payload=event.payload, attempt=event.attempt, status=EventStatus.COMPLETED
        )
        with side_effect("events.finish"):
            site.queue.finish([(event, early)])
        return real(site, event, tables, found)

    event_run.run = run


def no_inbox() -> None:
    """Forget that an event was done."""
    real, run = DbApiSyncTarget._take_place, event_run.run

    def take(self: Any, cursor: Any, settled: Settled) -> Settled | None:
        cursor.execute(f"DELETE FROM icebridge_inbox WHERE event_id = {sql.place(self._dialect)}", [settled.event_id])
        return real(self, cursor, settled)

    DbApiSyncTarget._take_place = take
    event_run.run = lambda site, event, tables, found: run(site, event, tables, None)


def two_transactions() -> None:
    """Commit the rows, then the inbox row."""

    def apply(self: Any, work: Work, rows: Any) -> Settled:
        found = self.settled([work.event.event_id]).get(work.event.event_id)
        if found is not None and (found.status is not EventStatus.BLOCKED or found.attempt >= work.event.attempt):
            return found
        with self._database.transaction() as cursor:
            cursor.execute("SAVEPOINT icebridge_rows")
            done = self._change(cursor, work, rows)
            outcome = judged(work, staged=done.staged, affected=done.affected)
            if outcome.status is not EventStatus.COMPLETED:
                cursor.execute("ROLLBACK TO SAVEPOINT icebridge_rows")
        with side_effect("apply.inbox"):
            pass
        with self._database.transaction() as cursor:
            self._take_place(cursor, outcome)
            return self._fill_place(cursor, outcome)

    DbApiSyncTarget.apply = apply


def autocommit() -> None:
    """Let every statement commit itself."""
    from icebridge_provider.engines.dbapi.database import DbApi

    DbApi._begun = lambda self, connection: connection.cursor()


def keep_blocked_rows() -> None:
    """Block a DELETE over its limit, but do not bring the rows back."""

    def apply(self: Any, cursor: Any, work: Work, rows: Any) -> Settled:
        place = judged(work, staged=0, affected=0)
        found = self._take_place(cursor, place)
        if found is not None:
            return found
        done = self._change(cursor, work, rows)
        return self._fill_place(cursor, judged(work, staged=done.staged, affected=done.affected))

    DbApiSyncTarget._apply = apply


def count_the_source() -> None:
    """Hold the limit against the rows of the source, not against those that are hit."""
    target_module.judged = lambda work, staged, affected: judged(work, staged=staged, affected=staged)


def count_before_delete() -> None:
    """Count what a DELETE would hit, then delete."""
    real = DbApiSyncTarget._change

    def change(self: Any, cursor: Any, work: Work, rows: Any) -> Any:
        if work.event.operation != "DELETE":
            return real(self, cursor, work, rows)
        counted = {}

        def fill(stage_cursor: Any, work: Work, rows: Any, dialect: str) -> int:
            found = real_fill(stage_cursor, work, rows, dialect)
            hit = sql.delete_rows((work.table.schema, work.table.name), work.keys, dialect)
            stage_cursor.execute(hit.replace("DELETE FROM", "SELECT COUNT(*) FROM", 1), [])
            counted["hits"] = stage_cursor.fetchone()[0]
            return found

        real_fill, target_module.fill = target_module.fill, fill
        try:
            done = real(self, cursor, work, rows)
        finally:
            target_module.fill = real_fill
        return replace(done, affected=counted["hits"])

    DbApiSyncTarget._change = change


def finish_without_claim() -> None:
    """Write how an event ended, whoever has it by now."""
    real = sql._own
    sql._own = lambda dialect: real(dialect).replace("claimed_by = ", "'' <> ").replace("attempt = ", "0 < ")


def overtake() -> None:
    """Go by priority alone."""
    planning._waits = lambda lane, table: {event.event_id: () for event in lane}


def blocked_holds_nobody() -> None:
    """Let later events of a table pass a blocked one."""
    planning._held = lambda events, ahead: {}
    real = planning.Order.blocker

    def blocker(self: Any, event_id: str, still_open: Any) -> str | None:
        found = real(self, event_id, still_open)
        return found if found in {event.event_id for event in self.events} else None

    planning.Order.blocker = blocker


def reject_in_queue_only() -> None:
    """Reject without telling the inbox."""

    def rejecting(site: Any, event_id: str, message: str) -> None:
        with side_effect("events.reject"):
            site.queue.reject(event_id, message)

    steps.reject.__code__ = rejecting.__code__


def settle_overwrites() -> None:
    """Let the last word stand instead of the first."""

    def settle(self: Any, settled: Settled) -> Settled:
        with self._database.transaction() as cursor:
            self._take_place(cursor, settled)
            return self._fill_place(cursor, settled)

    DbApiSyncTarget.settle = settle


def no_filters() -> None:
    """Bring all rows over."""
    real = DbApiRowSource.read
    DbApiRowSource.read = lambda self, table, pin, columns, filters: real(self, table, pin, columns, {})


def first_key_only() -> None:
    """Match rows by the first column of their key."""
    real = sql._same
    sql._same = lambda keys, dialect: real(keys[:1], dialect)


def silent_ledger() -> None:
    """Tell the queue before the ledger."""
    tell_ledger, tell_queue = event_batch.Batch._tell_ledger, event_batch.Batch._tell_queue
    event_batch.Batch._tell_ledger, event_batch.Batch._tell_queue = tell_queue, tell_ledger


TEETH = {
    "mark before commit": Teeth(plant=mark_before_commit, caught_by="matrix"),
    "no inbox": Teeth(plant=no_inbox, caught_by="machine"),
    "rows and inbox in two transactions": Teeth(plant=two_transactions, caught_by="matrix"),
    "autocommit": Teeth(plant=autocommit, caught_by="matrix"),
    "blocked rows are not brought back": Teeth(plant=keep_blocked_rows, caught_by="machine"),
    "the limit counts the source's rows": Teeth(plant=count_the_source, caught_by="machine"),
    "count before delete": Teeth(plant=count_before_delete, caught_by="race"),
    "finish without a claim": Teeth(
        plant=finish_without_claim, caught_by="test_queue.py::test_a_claim_whose_time_is_over_is_anybodys"
    ),
    "priority alone": Teeth(plant=overtake, caught_by="machine"),
    "a blocked event holds nobody": Teeth(plant=blocked_holds_nobody, caught_by="machine"),
    "rejected in the queue only": Teeth(plant=reject_in_queue_only, caught_by="machine"),
    "the last word stands": Teeth(plant=settle_overwrites, caught_by="test_target.py::test_an_ended_event_stays_ended"),
    "filters are ignored": Teeth(plant=no_filters, caught_by="machine"),
    "only the first key column": Teeth(
        plant=first_key_only, caught_by="test_target.py::test_rows_are_updated_by_the_whole_key"
    ),
    "the queue before the ledger": Teeth(plant=silent_ledger, caught_by="matrix"),
}

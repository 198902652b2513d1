"""SQL Server as the target of events: rows, counts and the inbox row of one event in one transaction.

The inbox row is entered first. A second worker with the same event waits for it and then finds the event done; one
whose connection broke looks there before it says anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.engines.mssql.connect import SqlServerLogin
from icebridge_provider.engines.mssql.faults import error_for, number_of
from icebridge_provider.engines.mssql.keys import described
from icebridge_provider.engines.mssql.session import ConnectionGone, Session
from icebridge_provider.engines.mssql.stage import Stage
from icebridge_provider.exceptions import NOTHING_CHANGED, ConfigurationError, IceBridgeError, TransientError
from icebridge_provider.model.bridge import EventStatus, Operation, Preview, Settled, TargetTable, Work
from icebridge_provider.planning.event_outcome import judged, used_id
from icebridge_provider.sql import mssql as sql

LOCK_SECONDS = 30.0
AT_ONCE = 500  # event ids a look into the inbox names
_THERE_ALREADY = 2714
_NO_COLUMN = 207
_DUPLICATE = frozenset({2627, 2601})
_ANY_ATTEMPT = 2**31 - 1
_LONGEST_TEXT = 4000
_PLAIN_ID = re.compile(r"(?!sha256:)[!-~](?:[ -~]{0,198}[!-~])?")
_UNKNOWN = "Whether SQL Server did it is not known; trying again is safe: its inbox tells."


class SqlServerTarget:
    """The port :class:`~icebridge_provider.ports.SyncTarget` over pymssql; one connection, for one thread.

    Every call is tried once: after a :class:`TransientError` it is the caller who tries again.

    :param login: needs INSERT, UPDATE, DELETE, SELECT on the tables and the inbox, VIEW DEFINITION on the tables, ALTER
        on those whose identity values are given, and CREATE TABLE where the inbox is not there yet.
    :param inbox_schema: schema of the table ``icebridge_inbox``.
    :param lock_seconds: how long a statement waits for a lock.
    """

    def __init__(self, login: SqlServerLogin, *, inbox_schema: str = "dbo", lock_seconds: float = LOCK_SECONDS) -> None:
        self._login = login
        self._inbox = sql.Inbox(inbox_schema)
        self._lock_seconds = lock_seconds
        self._held: Session | None = None

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._held is not None:
            self._held.close()
            self._held = None

    # The port

    def prepare(self) -> None:
        """Make the inbox; one that is there is success.

        :raises ConfigurationError: IB-867 when a table of its name has other columns.
        """
        with self._told("make the inbox", "CREATE TABLE"):
            if not self._session().run(sql.table_id(self._inbox.parts))[0][0]:
                self._create_inbox()
            self._check_inbox()

    def table(self, name: str) -> TargetTable:
        """Describe a table, by its spelling in any case; the answer has the right one."""
        with self._told(f"read the definition of {name}", f"VIEW DEFINITION ON {name}"):
            return described(self._session(), name, self._login.server)

    def settled(self, event_ids: Sequence[str]) -> dict[str, Settled]:
        """What the inbox holds of these events."""
        found: dict[str, Settled] = {}
        for start in range(0, len(event_ids), AT_ONCE):
            part = event_ids[start : start + AT_ONCE]
            found |= self._read_inbox(part)
        return found

    def apply(self, work: Work, rows: Any) -> Settled:
        """Do one event in one transaction with its inbox row, or find that it was done."""
        done = self._known(work) if work.event.attempt > 1 else None  # a first claim is hardly ever done already
        if done is not None:
            return done
        with self._told(*_asked(work)), self._staged(work, rows) as stage:
            try:
                return self._done(work, stage)
            except ConnectionGone as gone:
                return self._after_loss(work, gone)

    def settle(self, settled: Settled) -> Settled:
        """Write into the inbox that an event ended without touching rows; the first word stands."""
        attempt = _ANY_ATTEMPT if settled.status is EventStatus.REJECTED else settled.attempt
        with self._told("write into the inbox", "INSERT, UPDATE ON the inbox", _UNKNOWN):
            with side_effect("mssql.settle"):
                self._put(self._session(), settled, attempt)
            return self._read_inbox([settled.event_id])[settled.event_id]

    def preview(self, work: Work, rows: Any) -> Preview:
        """Do it and roll it back; the inbox is left as it is."""
        with self._told(f"try out an event on {work.table.path}"), self._staged(work, rows) as stage:
            session = self._session()
            session.run(sql.BEGIN)
            try:
                affected = self._change(session, work, stage)
            finally:
                session.roll_back()
        found = judged(work, staged=stage.rows, affected=affected)
        return Preview(
            event_id=work.event.event_id,
            statements=tuple(_statements(work, stage)),
            rows_expected=found.rows_expected or 0,
            rows_affected=affected,
            verdict=found.status,
            message=found.error_message or found.warning,
        )

    # One event

    @contextmanager
    def _staged(self, work: Work, rows: Any) -> Iterator[Stage]:
        stage = Stage(self._session(), work)
        with side_effect("mssql.stage"):
            stage.load(rows)
        try:
            yield stage
        finally:
            stage.drop()

    def _done(self, work: Work, stage: Stage) -> Settled:
        """The transaction."""
        session = stage.session
        try:
            session.run(sql.BEGIN)
            with side_effect("mssql.rows"):
                if not self._entered(session, work):
                    session.roll_back()
                    return self._other_word(work)
                affected = self._change(session, work, stage)
                found = replace(judged(work, staged=stage.rows, affected=affected), settled_at=_now())
                if found.status is EventStatus.COMPLETED:
                    session.run(self._inbox.write(), (*_row(found)[1:], inbox_key(found.event_id)))
            if found.status is EventStatus.COMPLETED:
                with side_effect("mssql.commit"):
                    session.run(sql.COMMIT)
                return found
            session.roll_back()
        except ConnectionGone:
            raise
        except Exception as error:  # noqa: BLE001 - the client raises anything
            session.roll_back()
            raise error_for(error, self._login.attempt(*_asked(work))) from None
        return self.settle(found)

    def _entered(self, session: Session, work: Work) -> bool:
        """Take the event's place in the inbox: another worker with it waits here until we end."""
        begun = Settled(
            event_id=work.event.event_id,
            payload=work.event.payload,
            attempt=work.event.attempt,
            status=EventStatus.PROCESSING,
            settled_at=_now(),
        )
        return self._put(session, begun, work.event.attempt)

    def _put(self, session: Session, settled: Settled, attempt: int) -> bool:
        """Write a row where none is, or over "blocked" of an earlier attempt; False when another word stands."""
        row = _row(settled)
        if attempt > 1 and session.count(self._inbox.replace_blocked(), (*row[1:], row[0], row[1], attempt)):
            return True
        try:
            session.run(self._inbox.insert(), row)
        except ConnectionGone:
            raise
        except Exception as error:
            if number_of(error) in _DUPLICATE:
                return False
            raise
        return True

    @staticmethod
    def _change(session: Session, work: Work, stage: Stage) -> int:
        *before, statement = _statements(work, stage)
        try:
            for one in before:
                session.run(one)
            return session.count(statement)
        finally:
            if before:  # the setting outlives a rollback, and only one table of a session may have it
                session.try_to(sql.identity_insert((work.table.schema, work.table.name), on=False))

    def _after_loss(self, work: Work, gone: ConnectionGone) -> Settled:
        found = self._known(work)
        if found is not None:
            return found
        raise error_for(gone.cause, self._login.attempt(*_asked(work), changed=_UNKNOWN)) from None

    def _other_word(self, work: Work) -> Settled:
        found = self._known(work)
        if found is not None:
            return found
        raise TransientError(
            "IB-868",
            f"Another worker had event {work.event.event_id!r} in hand and did not end it.",
            remedy="Nothing to do: the event is tried again by itself.",
            event_id=work.event.event_id,
        )

    def _known(self, work: Work) -> Settled | None:
        """The word that stands for this event, None when it may be done."""
        event = work.event
        found = self.settled([event.event_id]).get(event.event_id)
        if found is None:
            return None
        if found.payload != event.payload:
            raise used_id(event.event_id)
        if found.status is EventStatus.BLOCKED and found.attempt < event.attempt:
            return None
        return found

    # The inbox

    def _read_inbox(self, event_ids: Sequence[str]) -> dict[str, Settled]:
        by_key = {inbox_key(event_id): event_id for event_id in event_ids}
        if not by_key:
            return {}
        with self._told("read the inbox", "SELECT ON the inbox"):
            rows = self._session().run(self._inbox.read(len(by_key)), tuple(by_key))
        return {by_key[str(row[0])]: _settled(by_key[str(row[0])], row) for row in rows}

    def _create_inbox(self) -> None:
        try:
            with side_effect("mssql.inbox"):
                self._session().run(self._inbox.create())
        except ConnectionGone:
            raise
        except Exception as error:
            if number_of(error) != _THERE_ALREADY:
                raise

    def _check_inbox(self) -> None:
        try:
            self._session().run(self._inbox.read(1), ("",))
        except ConnectionGone:
            raise
        except Exception as error:
            if number_of(error) != _NO_COLUMN:
                raise
            raise _other_inbox(self._inbox, self._login.server) from None

    # The connection

    def _session(self) -> Session:
        if self._held is None or self._held.broken:
            self._held = Session(self._login, self._lock_seconds)
        return self._held

    @contextmanager
    def _told(self, what: str, right: str = "", when_lost: str = NOTHING_CHANGED) -> Iterator[None]:
        try:
            yield
        except IceBridgeError:
            raise
        except ConnectionGone as gone:
            raise error_for(gone.cause, self._login.attempt(what, right, changed=when_lost)) from None
        except Exception as error:  # noqa: BLE001 - the client raises anything
            raise error_for(error, self._login.attempt(what, right)) from None


def inbox_key(event_id: str) -> str:
    """Return the inbox's key of an event: its id, or its digest where SQL Server may take it for another's.

    Comparisons ignore trailing blanks even under a binary collation, and a key has at most 900 bytes.
    """
    if _PLAIN_ID.fullmatch(event_id):
        return event_id
    return f"sha256:{sha256(event_id.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _asked(work: Work) -> tuple[str, str]:
    """What is tried, in words, and the right that it needs."""
    return f"{work.event.operation} rows of {work.table.path}", f"{work.event.operation} ON {work.table.path}"


def _statements(work: Work, stage: Stage) -> list[str]:
    """The statements that change the rows; the last tells its count."""
    table = (work.table.schema, work.table.name)
    others = stage.columns[len(stage.keys) :]
    if work.event.operation == Operation.DELETE:
        return [sql.delete_staged(table, stage.name, stage.keys)]
    if work.event.operation == Operation.UPDATE:
        return [sql.update_staged(table, stage.name, stage.keys, others)]
    insert = sql.insert_staged(table, stage.name, stage.columns)
    if not any(column.identity for column in stage.columns):
        return [insert]
    return [sql.identity_insert(table, on=True), insert]


def _row(settled: Settled) -> tuple[Any, ...]:
    return (
        inbox_key(settled.event_id),
        settled.payload,
        settled.attempt,
        settled.status.value,
        settled.rows_expected,
        settled.rows_affected,
        settled.discrepancy,
        _storable(settled.warning),
        _storable(settled.error_message),
        settled.settled_at or _now(),
    )


def _settled(event_id: str, row: Sequence[Any]) -> Settled:
    _, payload, attempt, status, expected, affected, discrepancy, warning, message, at = row
    return Settled(
        event_id=event_id,
        payload=payload,
        attempt=attempt,
        status=EventStatus(status),
        rows_expected=expected,
        rows_affected=affected,
        discrepancy=discrepancy,
        warning=warning,
        error_message=message,
        settled_at=at,
    )


def _storable(text: str) -> str:
    """A text that every SQL Server can hold: no NUL, no half of a surrogate pair, not too long in UTF-16."""
    clean = text.replace("\0", "").encode("utf-16-le", "replace")[: 2 * _LONGEST_TEXT]
    return clean.decode("utf-16-le", "ignore")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _other_inbox(inbox: sql.Inbox, server: str) -> ConfigurationError:
    name = ".".join(inbox.parts)
    return ConfigurationError(
        "IB-867",
        f"Table {name} at {server} is there, but is no inbox of IceBridge: it has other columns.",
        remedy="Rename that table, or name another schema for the inbox.",
        table=name,
    )

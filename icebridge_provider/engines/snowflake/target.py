"""A Snowflake account as a load's target: statements by tag and id, and the transaction that publishes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from random import uniform
from typing import Any, Self, TypeVar

from icebridge_provider.crash import side_effect
from icebridge_provider.engines.snowflake import faults
from icebridge_provider.engines.snowflake.faults import Attempt, SessionOver
from icebridge_provider.engines.snowflake.publishing import Publishing
from icebridge_provider.engines.snowflake.session import Session
from icebridge_provider.exceptions import IceBridgeError, TransientError
from icebridge_provider.model.running import Answer, QueryState, QueryStatus
from icebridge_provider.model.share import Published
from icebridge_provider.model.snowflake import LoadPlan, Statement
from icebridge_provider.sql import snowflake as sql
from icebridge_provider.sql.snowflake_session import cancel_session, find_own_query

T = TypeVar("T")
LOCK_SECONDS = 600  # Snowflake ends an idle transaction that blocks others after 5 minutes: a killed worker's, too
IDLE_SECONDS = 900.0  # a session that was not used for longer is not trusted to be there
TRIES, TRY_SECONDS = 3, 1.0
# The history, and the service that tells where a statement is, know it a moment after it arrived.
LOOKS, LOOK_SECONDS, GONE_SECONDS = 3, 1.0, 0.3
_RUN, _START = "run", "start"
HISTORY_ROWS, HISTORY_PAGES = 10_000, 20
_ALIVE = (QueryState.RUNNING, QueryState.DONE)
_NO_RESULT = {faults.NOT_FOUND, 707, 710}
# Of the process that this one was forked from: closing or losing them would end them there.
_FOREIGN: list[Session] = []


class SnowflakeTarget:
    """A ``LoadTarget`` over unmodified connections. Close it: it keeps sessions from one statement to the next.

    Several threads may use it at once; every statement has a session of its own while it runs.

    :param connect: opens a connection of ``snowflake.connector``.
    :param name: connection id.
    :param account: as people know it, for messages.
    :param lock_seconds: how long a statement waits for a lock.
    :param history_rows: statements that the query history gives at once.
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        *,
        name: str,
        account: str = "",
        lock_seconds: int = LOCK_SECONDS,
        history_rows: int = HISTORY_ROWS,
    ) -> None:
        self._connect, self._name, self._account = connect, name, account or name
        self._lock_seconds, self._history_rows = lock_seconds, history_rows
        self._guard = threading.RLock()  # a signal's handler may close what it has interrupted
        # A session does one statement at a time: one that started a long one must not keep others waiting.
        self._idle: dict[str, list[Session]] = {_RUN: [], _START: []}
        self._busy: set[Session] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """Connection id."""
        return self._name

    def close(self) -> None:
        """End every session; what runs in those in use is cancelled, and their transactions are rolled back.

        Statements that :meth:`start` has started go on.
        """
        with self._guard:
            busy = [session for session in self._busy if session.is_ours]
            idle = [*self._idle[_RUN], *self._idle[_START]]
            self._idle = {_RUN: [], _START: []}
        if busy:
            with suppress(IceBridgeError):
                self._stop(busy)
        for session in (*busy, *idle):
            _end(session)

    def _stop(self, sessions: Sequence[Session]) -> None:
        with self._own_session(self._attempt("cancel statements")) as session:
            for other in sessions:
                session.run(cancel_session(other.number))

    # Statements

    def run(self, what: str, statement: Statement, tag: str = "") -> Answer:
        """Run a short statement to its end; sent again, at most 3 times, while no answer comes.

        :raises TransientError: IB-930 no answer, or Snowflake is busy; IB-935 a lock.
        :raises ConfigurationError: IB-931 … 934, 936.
        """
        for left in reversed(range(TRIES)):
            try:
                with self._session(self._attempt(what, statement)) as session:
                    return session.run(statement, tag)
            except TransientError as error:
                if not left or error.code != "IB-930":
                    raise
                time.sleep(uniform(0.5, 1.0) * TRY_SECONDS)  # noqa: S311 - jitter, nothing secret
        raise AssertionError("unreachable: the last try returns or raises")

    def start(self, what: str, statement: Statement, tag: str) -> str:
        """Start a long statement, or return the id of the one with this tag that runs or is done.

        :raises TransientError: IB-930 when it is not known whether it was started.
        """
        known = self._alive(tag)
        if known:
            return known
        try:
            return self._started(what, statement, tag)
        except TransientError as error:
            problem = error
        for look in range(LOOKS):
            if look:
                time.sleep(LOOK_SECONDS)
            known = self._alive(tag)
            if known:
                return known
        raise problem

    def _started(self, what: str, statement: Statement, tag: str) -> str:
        """Start it; where the answer is that the session was over, in a new one: it was not even looked at."""
        attempt = self._attempt(what, statement)
        with suppress(SessionOver), self._session(attempt, _START) as session, side_effect("load.start"):
            return session.start(statement, tag)
        with self._session(attempt, _START) as session, side_effect("load.start"):
            return session.start(statement, tag)

    def _alive(self, tag: str) -> str:
        found = self.find(tag)
        return found if found and self.look(found).state in _ALIVE else ""

    def find(self, tag: str) -> str:
        """Id of the newest statement of this user and the last 23 hours with this tag, empty when there is none."""
        until = ""
        for _ in range(HISTORY_PAGES):
            ((found, seen, oldest),) = self._history(tag, until).rows
            if found:
                return str(found)
            if int(seen) < self._history_rows or oldest is None or oldest.isoformat() == until:
                return ""
            until = oldest.isoformat()
        return ""

    def _history(self, tag: str, until: str) -> Answer:
        attempt = self._attempt("look into the query history")
        with self._session(attempt) as session:
            if not session.database:
                raise faults.missing_default("database", replace(attempt, role=session.role))
        return self.run(attempt.what, find_own_query(tag, until=until, limit=self._history_rows))

    def look(self, query_id: str) -> QueryStatus:
        """Where a started statement is; one that Snowflake does not know, although it was asked again, is gone."""
        for look in range(LOOKS):
            if look:
                time.sleep(GONE_SECONDS)
            status = self._patiently("look at a statement", lambda session: session.look(query_id))
            if status.state is not QueryState.GONE:
                break
        return status

    def answer(self, query_id: str) -> Answer:
        """The rows of a statement that is done.

        :raises TransientError: IB-937 when its result is no longer kept.
        """
        attempt = self._attempt("read the result of a statement")
        status = self.look(query_id)
        if status.state is QueryState.GONE:
            raise faults.not_kept(query_id, attempt)
        if status.state in (QueryState.FAILED, QueryState.CANCELLED):
            raise faults.error_of(int(status.code or 0), status.message, attempt)
        try:
            return self._patiently(attempt.what, lambda session: session.answer(query_id))
        except IceBridgeError as error:
            if error.facts.get("number") in _NO_RESULT:
                raise faults.not_kept(query_id, attempt) from None
            raise

    def cancel(self, query_id: str) -> None:
        """Stop a statement; one that is over is success."""
        if self.look(query_id).state is not QueryState.RUNNING:
            return
        try:
            with side_effect("load.cancel"):
                self.run("cancel a statement", sql.cancel_query(query_id))
        except IceBridgeError:
            if self.look(query_id).state is QueryState.RUNNING:
                raise

    def _patiently(self, what: str, ask: Callable[[Session], T]) -> T:
        """Ask something that changes nothing, once more in a new session if no answer came."""
        attempt = self._attempt(what)
        with suppress(TransientError), self._session(attempt) as session:
            return ask(session)
        with self._session(attempt) as session:
            return ask(session)

    # Publishing

    def publish(self, plan: LoadPlan, judge: Callable[[Published], None]) -> Published | None:
        """Do the transaction of a load in a session of its own; see :class:`LoadTarget`.

        :raises TransientError: IB-930, IB-935 when nothing was committed; IB-938 when nobody could say.
        """
        attempt = self._attempt(f"publish {plan.record.target}")
        with self._own_session(attempt) as session:
            work = Publishing(session, plan, replace(attempt, role=session.role))
            published = work.written(judge)
            if published is None:
                return None
            try:
                work.commit()
            except Exception:  # noqa: BLE001 - whatever came, the load's own row tells
                lost = True
            else:
                lost = False
        return self._settled(plan, published, attempt) if lost else published

    def _settled(self, plan: LoadPlan, published: Published, attempt: Attempt) -> Published | None:
        """Find out what became of a COMMIT, in a new session. The one before is closed: that ends its transaction."""
        try:
            with self._own_session(attempt) as session:
                return Publishing(session, plan, attempt).settled(published)
        except TransientError as error:
            if error.facts.get("settled"):
                raise
            raise faults.unknown_commit(attempt) from error
        except IceBridgeError as error:
            raise faults.unknown_commit(attempt) from error

    # Sessions

    def _attempt(self, what: str, statement: Statement | None = None) -> Attempt:
        text = statement.text if statement else ""
        return Attempt(account=self._account, what=what, conn_id=self._name, statement=text)

    @contextmanager
    def _session(self, attempt: Attempt, use: str = _RUN) -> Iterator[Session]:
        """Lend a session for one statement; one that broke or was interrupted is ended."""
        session = self._taken(attempt, use)
        kept = False
        try:
            yield session
            kept = True
        except Exception as error:  # noqa: BLE001 - mapped, or raised again as it is
            kept = not faults.lost(error)
            if not kept:
                self._drop(use)  # what ended this session may have ended the others
            raise faults.error_for(error, replace(attempt, role=session.role)) from None
        finally:
            self._given_back(session, use if kept else "")

    @contextmanager
    def _own_session(self, attempt: Attempt) -> Iterator[Session]:
        """Lend a new session that ends afterwards, and its transaction with it."""
        session = self._opened(attempt)
        try:
            yield session
        except Exception as error:  # noqa: BLE001 - mapped, or raised again as it is
            raise faults.error_for(error, replace(attempt, role=session.role)) from None
        except BaseException:  # a task's timeout, the end of the process: nobody waits for the statement any more
            with suppress(IceBridgeError):
                self._stop([session])
            raise
        finally:
            self._given_back(session)

    def _drop(self, use: str) -> None:
        with self._guard:
            dropped, self._idle[use] = self._idle[use], []
        for session in dropped:
            _end(session)

    def _taken(self, attempt: Attempt, use: str) -> Session:
        while True:
            with self._guard:
                session = self._idle[use].pop() if self._idle[use] else None
                if session is not None:
                    self._busy.add(session)
            if session is None:
                return self._opened(attempt)
            if session.usable(IDLE_SECONDS):
                return session
            self._given_back(session)

    def _opened(self, attempt: Attempt) -> Session:
        try:
            connection = self._connect()
        except ImportError as error:
            raise faults.not_installed(error) from None
        except Exception as error:  # noqa: BLE001 - the connector and its logins raise what they like
            raise faults.refused_login(error, attempt) from None
        session = Session(connection)
        with self._guard:
            self._busy.add(session)
        try:
            session.prepare(self._lock_seconds)
        except BaseException as error:
            self._given_back(session)
            if isinstance(error, Exception):
                raise faults.error_for(error, replace(attempt, role=session.role)) from None
            raise
        return session

    def _given_back(self, session: Session, use: str = "") -> None:
        """Keep it for another such use, or end it."""
        with self._guard:
            self._busy.discard(session)
            if use:
                session.used = time.monotonic()
                self._idle[use].append(session)
        if not use:
            _end(session)


def _end(session: Session) -> None:
    if session.is_ours:
        session.close()
    else:
        _FOREIGN.append(session)

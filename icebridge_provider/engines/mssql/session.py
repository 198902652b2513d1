"""One connection of the event sync: statements with all their results read, and whether it is still of use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from icebridge_provider.engines.mssql.connect import SqlServerLogin, close, connect
from icebridge_provider.engines.mssql.faults import connection_lost, number_of, said
from icebridge_provider.sql import mssql as sql

_NO_TRANSACTION = 3903
Rows = list[tuple[Any, ...]]


class ConnectionGone(Exception):
    """The connection broke; what the server did with the last statement is not known."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause if connection_lost(cause) else ConnectionError(said(cause))


class Session:
    """A pymssql connection in autocommit mode; transactions begin and end by statements."""

    def __init__(self, login: SqlServerLogin, lock_seconds: float) -> None:
        self.connection = connect(login, once=True)  # the sync tries again by itself
        self.stages = 0
        self.broken = False
        self.run(sql.session_settings(lock_seconds))

    def run(self, statement: str, values: Sequence[Any] = ()) -> Rows:
        """Run a statement and return the rows of its last result.

        :raises ConnectionGone: when nobody knows whether the server ran it.
        """
        if self.broken:
            raise ConnectionGone(ConnectionError("the connection is closed"))
        with self.watched(), self.connection.cursor() as cursor:
            if values:
                cursor.execute(statement, tuple(values))
            else:
                cursor.execute(statement)
            return self._last(cursor)

    @staticmethod
    def _last(cursor: Any) -> Rows:
        """Read every result: errors of later statements show only there, and triggers may send results of their own."""
        rows: Rows = []
        while True:
            if cursor.description:
                rows = [tuple(row) for row in cursor.fetchall()]
            if not cursor.nextset():
                return rows

    def count(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Run a statement that gives one number."""
        return int(self.run(statement, values)[0][0])

    def roll_back(self) -> None:
        """Undo; a transaction that the server has undone by itself is success."""
        if self.broken:
            return
        try:
            self.run(sql.ROLLBACK)
        except ConnectionGone:
            return  # the server rolls back when a connection ends
        except Exception as error:
            if number_of(error) != _NO_TRANSACTION:
                raise

    def try_to(self, statement: str) -> None:
        """Run a statement that tidies the session up; where it cannot, the session ends."""
        if self.broken:
            return
        try:
            self.run(statement)
        except Exception:  # noqa: BLE001 - whatever it was, it must not hide how the event ended
            self.close()

    def watched(self) -> _Watch:
        """Surround use of the client: a lost connection becomes :class:`ConnectionGone`."""
        return _Watch(self)

    def close(self) -> None:
        """Close; temporary tables go with it."""
        self.broken = True
        close(self.connection)


class _Watch:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, Exception) and connection_lost(error):
            self._session.close()
            raise ConnectionGone(error) from None
        if error is not None and not isinstance(error, Exception):
            self._session.close()  # interrupted in the middle of an answer

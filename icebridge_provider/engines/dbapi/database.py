"""Connections of a DB-API database: transactions, and errors that say what to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, TransientError
from icebridge_provider.model.identifier import split_parts
from icebridge_provider.model.redaction import scrubbed
from icebridge_provider.sql.bridge import POSTGRES, SQLITE, check_dialect

BUSY_SECONDS = 30
MOST_IDLE = 4
LONGEST_TEXT = 300
# https://www.postgresql.org/docs/current/errcodes-appendix.html: connection, resources, serialization, locks, shutdown
_TRANSIENT_CLASSES = ("08", "53", "57P")
_TRANSIENT_STATES = {"40001", "40P01", "55P03", "57014", "25P03", "XX000"}
_BUSY = {5, 6, 10, 14}  # SQLITE_BUSY, SQLITE_LOCKED, SQLITE_IOERR, SQLITE_CANTOPEN


class DbApi:
    """A database, for one process or many; connections are opened when needed and kept for the next use.

    :param connect: opens a connection, as a ``DbApiHook.get_conn`` does.
    :param dialect: ``sqlite`` or ``postgres``.
    :param busy_seconds: how long to wait for another's lock.
    :raises ConfigurationError: IB-851 for another dialect.
    """

    def __init__(self, connect: Callable[[], Any], dialect: str, *, busy_seconds: int = BUSY_SECONDS) -> None:
        self.dialect = check_dialect(dialect)
        self.busy_seconds = busy_seconds
        self._connect = connect
        self._idle: list[Any] = []
        self._inherited: list[Any] = []
        self._process = os.getpid()

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """One transaction that may write, as a cursor; an error rolls it back.

        :raises TransientError: IB-850 when the database does not answer or another's lock stands in the way.
        :raises ConfigurationError: IB-851 when it refuses.
        """
        with self._connection() as connection:
            yield self._begun(connection)
            connection.commit()

    @contextmanager
    def discarded(self) -> Iterator[Any]:
        """One transaction that writes and is rolled back in the end."""
        with self._connection() as connection:
            yield self._begun(connection)
            connection.rollback()

    @contextmanager
    def reading(self, *, name: str = "") -> Iterator[Any]:
        """A cursor that only reads; with a name PostgreSQL keeps the rows and hands them over piece by piece."""
        with self._connection() as connection:
            named = name and self.dialect == POSTGRES
            yield connection.cursor(name=name) if named else connection.cursor()
            connection.rollback()

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return all rows of a SELECT."""
        with self.reading() as cursor:
            cursor.execute(statement, tuple(values))
            return list(cursor.fetchall())

    def close(self) -> None:
        """Close connections that nobody uses."""
        while self._idle:
            _end(self._idle.pop())

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        try:
            connection = self._open()
        except Exception as error:  # noqa: BLE001 - drivers have no common class of errors
            raise translated(error, self.dialect, opening=True) from None
        try:
            yield connection
        except BaseException as error:
            _end(connection)
            if isinstance(error, Exception):
                raise translated(error, self.dialect) from None
            raise
        self._keep(connection)

    def _open(self) -> Any:
        if self._process != os.getpid():  # connections do not survive a fork; closing them would end the parent's
            self._inherited, self._idle, self._process = [*self._inherited, *self._idle], [], os.getpid()
        if self._idle:
            return self._idle.pop()
        connection = self._connect()
        if self.dialect == SQLITE:
            connection.isolation_level = None
            connection.execute(f"PRAGMA busy_timeout = {self.busy_seconds * 1000}")
        return connection

    def _begun(self, connection: Any) -> Any:
        cursor = connection.cursor()
        if self.dialect == SQLITE:
            cursor.execute("BEGIN IMMEDIATE")
        return cursor

    def _keep(self, connection: Any) -> None:
        if len(self._idle) < MOST_IDLE:
            self._idle.append(connection)
        else:
            _end(connection)


def named(text: str, most: int) -> list[str]:
    """Take a table's name apart.

    :raises ConfigurationError: IB-856 when it is no name, or has more than ``most`` parts.
    """
    try:
        parts = split_parts(text)
    except ValueError as error:
        raise no_table(text, str(error)) from None
    if len(parts) > most:
        raise no_table(text, f"it has {len(parts)} parts, at most {most} are meant")
    return parts


def no_table(text: str, why: str) -> ConfigurationError:
    """Return the error for a table that is not there."""
    return ConfigurationError(
        "IB-856",
        f"Table {text[:LONGEST_TEXT]!r} cannot be used: {why}.",
        remedy="Correct its name in the event, or create it and let the connection's user see it.",
        table=text[:LONGEST_TEXT],
    )


def translated(error: Exception, dialect: str, *, opening: bool = False) -> Exception:
    """Return the error to raise for a driver's; what is no driver's error stays as it is."""
    if isinstance(error, IceBridgeError):
        return error
    kinds = {kind.__name__ for kind in type(error).__mro__}
    ours = kinds & {"DatabaseError", "InterfaceError"}
    if (opening and (ours or isinstance(error, OSError))) or (ours and _passes(error, kinds, dialect)):
        return TransientError(
            "IB-850",
            f"The {dialect} database does not answer or is busy ({type(error).__name__}{_state(error)}).",
            remedy="Check that it is up and its connection right; the event is tried again.",
            changed="A transaction whose end is unknown is looked up in the inbox before anything is tried again.",
        )
    if not ours:
        return error
    return ConfigurationError(
        "IB-852",
        f"The {dialect} database refuses{_state(error)}: {_first_line(error)}.",
        remedy="Correct the rows, the table or the rights that it names, then emit the event anew.",
    )


def _passes(error: Exception, kinds: set[str], dialect: str) -> bool:
    if dialect == SQLITE:
        return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF in _BUSY
    state = _code(error)
    if not state:  # the connection itself broke
        return bool(kinds & {"OperationalError", "InterfaceError"})
    return state.startswith(_TRANSIENT_CLASSES) or state in _TRANSIENT_STATES


def _code(error: Exception) -> str:
    return str(getattr(error, "pgcode", None) or getattr(error, "sqlstate", None) or "")


def _state(error: Exception) -> str:
    name = _code(error) or getattr(error, "sqlite_errorname", "") or ""
    return f" {name}" if name else ""


def _first_line(error: Exception) -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return scrubbed(line)[:LONGEST_TEXT].rstrip(".")


def _end(connection: Any) -> None:
    with suppress(Exception):
        connection.rollback()
    with suppress(Exception):
        connection.close()

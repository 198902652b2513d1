"""One PostgreSQL connection that behaves like a SQL Server transaction: an error undoes its statement, not all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2

from tests.peers.mssql.errors import Names, translated
from tests.peers.mssql.interface import SqlError
from tests.peers.mssql.values import guarded

_LEVELS = {"READ UNCOMMITTED": "READ COMMITTED", "READ COMMITTED": "READ COMMITTED",
           "REPEATABLE READ": "REPEATABLE READ", "SNAPSHOT": "REPEATABLE READ",
           "SERIALIZABLE": "SERIALIZABLE"}  # fmt: skip
_BLOCK = 2000


class Connection:
    """``trancount`` is SQL Server's; without a transaction every statement is one of its own."""

    def __init__(self, connection: Any, names: Names) -> None:
        self._connection = connection
        connection.autocommit = True
        self._cursor = connection.cursor()
        self._names = names
        self._pending = ""
        self._open = False
        self._inside = 0
        self.trancount = 0
        self.doomed = False
        self.isolation = "READ COMMITTED"
        self.lock_timeout = -1
        self.verb = "INSERT"

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one thing inside the statement that is under way.

        :raises SqlError: what PostgreSQL says, in SQL Server's words.
        """
        self._execute(sql)
        return self._cursor.fetchall() if self._cursor.description else []

    def change(self, sql: str) -> tuple[int, list[tuple[Any, ...]]]:
        """Run what writes: how many rows, and the rows it answers."""
        rows = self.run(sql)
        return self._cursor.rowcount, rows

    def _execute(self, sql: str) -> None:
        prefix, self._pending = self._pending, ""
        try:
            self._cursor.execute(prefix + sql)
        except psycopg2.Error as error:
            found = translated(error, self._names, self.verb)
            if found.number == 3960 and self.isolation != "SNAPSHOT":
                found = SqlError(1205, "Transaction (Process ID 1) was deadlocked on lock resources with another "
                    "process "
                                       "and has been chosen as the deadlock victim. Rerun the "
                                           "transaction.", severity=13)  # fmt: skip
            raise found from error

    def _begin(self) -> str:
        text = f"BEGIN ISOLATION LEVEL {_LEVELS[self.isolation]};"
        if self.lock_timeout >= 0:
            text += f"SET LOCAL lock_timeout = {max(self.lock_timeout, 1)};"
        return text

    @contextmanager
    def statement(self) -> Iterator[None]:
        """Everything inside happens, or nothing."""
        if self._inside:  # a trigger's or procedure's statement
            with self._nested():
                yield
            return
        self._pending += "SAVEPOINT ib;" if self._open else self._begin()
        self._inside = 1
        started = not self._open
        self._open = True
        try:
            yield
        except BaseException:
            self._inside = 0
            self._undo(started)
            raise
        self._inside = 0
        if started:
            self._open = False
            self._finish("COMMIT")
        elif self._open:
            self._pending += "RELEASE SAVEPOINT ib;"

    @contextmanager
    def _nested(self) -> Iterator[None]:
        self._inside += 1
        name = f"ib{self._inside}"
        self.run(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            self._pending = ""
            self._cursor.execute(f"ROLLBACK TO SAVEPOINT {name}")
            raise
        else:
            self._pending += f"RELEASE SAVEPOINT {name};"
        finally:
            self._inside -= 1

    def _undo(self, started: bool) -> None:
        unsent, self._pending = self._pending, ""
        try:
            if started:
                self._open = False
                if "BEGIN" not in unsent:
                    self._cursor.execute("ROLLBACK")
            elif "SAVEPOINT ib;" not in unsent.replace("RELEASE SAVEPOINT ib;", ""):
                self._cursor.execute("ROLLBACK TO SAVEPOINT ib; RELEASE SAVEPOINT ib")
            else:
                self._pending = "RELEASE SAVEPOINT ib;" if unsent.startswith("RELEASE") else ""
        except psycopg2.Error:
            self._open = False

    def _finish(self, how: str) -> None:
        if "BEGIN" in self._pending:  # nothing was sent
            self._pending = ""
            return
        self._pending = ""
        self._execute(how)

    def stream(self, sql: str) -> Iterator[list[tuple[Any, ...]]]:
        """A query's rows in blocks, by a cursor on the server."""
        self._execute(f"DECLARE ibc NO SCROLL CURSOR FOR {sql}; FETCH {_BLOCK // 4} FROM ibc")
        size = _BLOCK // 4
        rows = self._cursor.fetchall()
        while rows:
            yield rows
            if len(rows) < size:
                break
            size = _BLOCK
            self._execute(f"FETCH {_BLOCK} FROM ibc")
            rows = self._cursor.fetchall()
        self._pending += "CLOSE ibc;"

    def copy(self, sql: str, source: Any) -> int:
        """COPY FROM STDIN."""
        if self._pending:
            self.run("SELECT 1")
        try:
            self._cursor.copy_expert(sql, source)
        except psycopg2.Error as error:
            if source.error is not None:
                raise source.error from error
            raise translated(error, self._names, "INSERT") from error
        return int(self._cursor.rowcount)

    def begin(self) -> None:
        self.trancount += 1
        if not self._open:
            self._pending += self._begin()
            self._open = True

    def commit(self) -> None:
        """:raises SqlError: 3902 without a transaction, 3930 in a doomed one."""
        if self.trancount == 0:
            raise SqlError(3902, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.")
        if self.doomed:
            raise SqlError(3930, "The current transaction cannot be committed and cannot support operations that "
                "write to "
                                 "the log file. Roll back the transaction.")  # fmt: skip
        self.trancount -= 1
        if self.trancount == 0:
            self._open = False
            self._finish("COMMIT")

    def rollback(self) -> None:
        """:raises SqlError: 3903 without a transaction."""
        if self.trancount == 0:
            raise SqlError(3903, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.")
        self.abandon()

    def abandon(self) -> None:
        """Roll all back, if there is anything."""
        self.trancount, self.doomed = 0, False
        was, self._open = self._open, False
        if was:
            try:
                self._finish("ROLLBACK")
            except SqlError:
                if self._connection.closed:
                    raise

    def doom(self, *, at_once: bool) -> None:
        """Only a rollback is left; a deadlock's victim gives its locks back at once."""
        self.doomed = True
        if at_once and self._open:
            self._finish("ROLLBACK")
            self._pending += self._begin()

    def save(self, name: str) -> None:
        self.run(f"SAVEPOINT {_saved(name)}")

    def rollback_to(self, name: str) -> None:
        self.run(f"ROLLBACK TO SAVEPOINT {_saved(name)}")

    def set_lock_timeout(self, milliseconds: int) -> None:
        self.lock_timeout = milliseconds
        if self._open:
            self.run(f"SET LOCAL lock_timeout = {max(milliseconds, 1) if milliseconds >= 0 else 0}")

    def cancel(self) -> None:
        self._connection.cancel()

    @property
    def busy(self) -> bool:
        """A transaction or a statement is under way."""
        return self._open and not self._connection.closed

    @property
    def backend(self) -> int:
        return int(self._connection.info.backend_pid)

    def close(self) -> None:
        self._connection.close()


def _saved(name: str) -> str:
    return '"s_' + guarded(name.casefold()).replace('"', '""') + '"'

"""One session of the connector: statements with all their rows, and statements that run while nobody waits."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

from icebridge_provider.engines.snowflake import faults
from icebridge_provider.model.running import Answer, QueryState, QueryStatus
from icebridge_provider.model.snowflake import Statement
from icebridge_provider.sql import snowflake_session as sql

TAG = "QUERY_TAG"
WRITTEN = "number of rows "  # how the one row that DML answers names its columns
_FAILED = {"FAILED_WITH_ERROR", "FAILED_WITH_INCIDENT", "ABORTED"}


class Session:
    """A connection of ``snowflake.connector``, in autocommit mode; transactions begin and end by statements."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.process = os.getpid()
        self.used = time.monotonic()

    @property
    def is_ours(self) -> bool:
        """Whether this process opened it; a fork's end must not end its parent's sessions."""
        return self.process == os.getpid()

    def usable(self, seconds: float) -> bool:
        """Whether it is ours and was used within these seconds."""
        return self.is_ours and time.monotonic() - self.used < seconds

    @property
    def number(self) -> int:
        """The session's id."""
        return int(self.connection.session_id)

    @property
    def role(self) -> str:
        """The role that its statements have, empty if none."""
        return str(self.connection.role or "")

    @property
    def database(self) -> str:
        """The current database, empty if none."""
        return str(self.connection.database or "")

    def prepare(self, lock_seconds: int) -> None:
        """Set the session up; ``lock_seconds`` is how long a statement waits for a lock."""
        self.run(Statement(text=sql.session_settings(lock_seconds)))

    def run(self, statement: Statement, tag: str = "") -> Answer:
        """Run a statement to its end."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement.text, dict(statement.values) or None, **_tagged(tag))
            return _answer(cursor)

    def start(self, statement: Statement, tag: str) -> str:
        """Start a statement and return its id."""
        with self.connection.cursor() as cursor:
            cursor.execute_async(statement.text, dict(statement.values) or None, **_tagged(tag))
            return str(cursor.sfqid)

    def look(self, query_id: str) -> QueryStatus:
        """Where a statement of this user is, whatever session started it.

        :raises ConnectionError: when the connection is closed.
        """
        from snowflake.connector.errors import Error

        try:
            found = self.connection.get_query_status(query_id).name
        except (KeyError, TypeError):  # an answer that the connector does not foresee: no data, as of an ended session
            raise ConnectionError("the session is over") from None
        if found == "DISCONNECTED":
            raise ConnectionError("the connection is closed")
        if found in _FAILED:
            try:
                self.connection.get_query_status_throw_if_error(query_id)
            except Error as error:
                if not faults.number_of(error) or faults.answered(error):
                    return _failure(error)
                raise
        state = {"SUCCESS": QueryState.DONE, "NO_DATA": QueryState.GONE}.get(found, QueryState.RUNNING)
        return QueryStatus(state=state)

    def answer(self, query_id: str) -> Answer:
        """The rows of a statement that is done; its result is kept for 24 hours, for its user alone."""
        with self.connection.cursor() as cursor:
            cursor.get_results_from_sfqid(query_id)
            return _answer(cursor)

    def close(self) -> None:
        """End the session; an open transaction is rolled back. What is in the way of it is of no interest any more."""
        with contextlib.suppress(Exception):
            self.connection.close(retry=False)


def _tagged(tag: str) -> dict[str, Any]:
    return {"_statement_params": {TAG: tag}} if tag else {}


def _answer(cursor: Any) -> Answer:
    rows = tuple(tuple(row) for row in cursor.fetchall())
    columns = tuple(str(column.name) for column in cursor.description or ())
    return Answer(columns=columns, rows=rows, affected=_affected(columns, rows))


def _affected(columns: tuple[str, ...], rows: tuple[tuple[Any, ...], ...]) -> int | None:
    if len(rows) != 1 or not columns or not columns[0].startswith(WRITTEN):
        return None
    return sum(int(value) for name, value in zip(columns, rows[0], strict=True) if name.startswith(WRITTEN))


def _failure(error: BaseException) -> QueryStatus:
    number = faults.number_of(error)
    state = QueryState.CANCELLED if number == faults.CANCELED else QueryState.FAILED
    code = f"{number:06d}" if number else ""
    return QueryStatus(
        state=state, message=faults.said(error), code=code, retryable=number in faults.RETRYABLE or not number
    )

"""Statements of a SQL warehouse as the port :class:`~icebridge_provider.ports.SqlRunner`: started, found, followed.

The warehouse is an argument: ``catalogs/unity/statements.Statements`` fits. Every tag becomes a query tag, by which a
statement whose answer was lost is found in the query history, also by another process.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Protocol
from uuid import uuid4

from icebridge_provider.exceptions import TransientError
from icebridge_provider.model.running import Answer, QueryState, QueryStatus
from icebridge_provider.model.snowflake import Statement

LOOKBACK_SECONDS = 24 * 60 * 60.0
LONGEST_TAG = 128  # characters: docs.databricks.com, "Query tags"
AFFECTED = "num_affected_rows"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.]")  # the drivers' form of tags separates with : and ,
_FOLLOWED = frozenset({QueryState.RUNNING, QueryState.DONE})
_READERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INT", "BIGINT", "BYTE", "SHORT", "LONG"), int),
    **dict.fromkeys(("FLOAT", "DOUBLE"), float),
    "DECIMAL": Decimal,
    "BOOLEAN": lambda text: text.lower() == "true",
}


class Rows(Protocol):
    """All rows of a statement, every value a text."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names."""

    @property
    def rows(self) -> tuple[tuple[str | None, ...], ...]:
        """Rows."""

    @property
    def types(self) -> tuple[str, ...]:
        """Types of the columns: ``DECIMAL(10,2)``."""


class Warehouse(Protocol):
    """Where statements run."""

    @property
    def name(self) -> str:
        """Connection id."""

    def run(
        self, what: str, statement: str, values: Mapping[str, Any] | None = None, *, right: str = "", tag: str = ""
    ) -> Rows:
        """Run a statement to its end."""

    def begin(self, what: str, statement: str, values: Mapping[str, Any], tag: str, besides: str = "") -> str:
        """Start a statement and return its id, never that of ``besides``, an earlier one with this tag."""

    def tagged(self, tag: str, seconds: float) -> str:
        """Id of the newest statement with this tag, of the last ``seconds``."""

    def status(self, statement_id: str) -> QueryStatus:
        """Where a statement is."""

    def result(self, what: str, statement_id: str) -> Rows | None:
        """Rows of a statement that succeeded; None when they are not kept."""

    def cancel(self, statement_id: str) -> None:
        """Stop a statement."""


class WorkspaceRunner:
    """One SQL warehouse of a workspace.

    :param lookback_seconds: how old a statement may be that :meth:`find` and :meth:`start` find by its tag.
    """

    def __init__(self, warehouse: Warehouse, lookback_seconds: float = LOOKBACK_SECONDS) -> None:
        self._warehouse = warehouse
        self._lookback = lookback_seconds

    @property
    def name(self) -> str:
        """Connection id."""
        return self._warehouse.name

    def run(self, what: str, statement: Statement, tag: str = "") -> Answer:
        """Run a short statement to its end.

        Each call has a query tag of its own that begins with ``tag``: an old answer is never taken for this one's.

        :raises IceBridgeError: as ``Statements.run``.
        """
        own = query_tag(f"{tag}:{uuid4().hex}") if tag else ""
        return _answer(self._warehouse.run(what, statement.text, statement.values, tag=own))

    def start(self, what: str, statement: Statement, tag: str) -> str:
        """Start a long statement, or find the one with this tag that runs or is done.

        A query that is done and whose rows are not kept any more is started anew; what wrote files is not.

        :raises TransientError: IB-248 when it is not known whether it was started; IB-240.
        """
        found = self.find(tag)
        if found and self._is_of_use(what, statement, found):
            return found
        return self._warehouse.begin(what, statement.text, statement.values, query_tag(tag), besides=found)

    def find(self, tag: str) -> str:
        """Return the id of the newest statement with this tag, empty when the history of a day shows none.

        The history shows a statement a moment after it arrived: who was killed in this moment and asks at once could
        be told that there is none. That takes a second or less, starting a worker again takes more.
        """
        return self._warehouse.tagged(query_tag(tag), self._lookback)

    def look(self, query_id: str) -> QueryStatus:
        """Return where a statement is, also long after the service forgot it: the query history tells."""
        return self._warehouse.status(query_id)

    def answer(self, query_id: str) -> Answer:
        """Return the rows of a statement that is done.

        :raises TransientError: IB-916 when they are not kept any more: Databricks does so for one hour.
        """
        rows = self._warehouse.result("read the result of a statement", query_id)
        if rows is None:
            raise TransientError(
                "IB-916",
                f"Databricks does not keep the result of statement {query_id} any more.",
                remedy="It is run again by itself: it only reads.",
                conn_id=self.name,
                query_id=query_id,
            )
        return _answer(rows)

    def cancel(self, query_id: str) -> None:
        """Stop a statement; one that is over, or not known, is success."""
        self._warehouse.cancel(query_id)

    def _is_of_use(self, what: str, statement: Statement, query_id: str) -> bool:
        state = self.look(query_id).state
        if state is QueryState.DONE and _is_query(statement.text):
            return self._warehouse.result(what, query_id) is not None
        return state in _FOLLOWED


def query_tag(tag: str) -> str:
    """Return a tag of letters, digits, ``_ . -`` only, never the same for two tags, of at most 128 characters."""
    digest = hashlib.sha256(tag.encode()).hexdigest()[:16]
    return f"{_UNSAFE.sub('-', tag)[: LONGEST_TAG - len(digest) - 1]}-{digest}"


def _is_query(text: str) -> bool:
    return text.lstrip().split(maxsplit=1)[0].upper() in {"SELECT", "WITH", "DESCRIBE", "SHOW"}


def _answer(rows: Rows) -> Answer:
    readers = [_READERS.get(re.split(r"[(<]", kind)[0].upper(), str) for kind in rows.types]
    readers += [str] * (len(rows.columns) - len(readers))
    read = tuple(
        tuple(None if cell is None else reader(cell) for reader, cell in zip(readers, row, strict=True))
        for row in rows.rows
    )
    affected = read[0][rows.columns.index(AFFECTED)] if AFFECTED in rows.columns and read else None
    return Answer(columns=rows.columns, rows=read, affected=affected, types=rows.types)

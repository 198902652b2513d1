"""What sharing a table with Snowflake needs: statements that run on either side while nobody waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from icebridge_provider.model.running import Answer, QueryStatus
from icebridge_provider.model.share import Published
from icebridge_provider.model.snowflake import LoadPlan, Statement


class SqlRunner(Protocol):
    """A system that runs SQL. ``what`` is the attempt in words that follow "to": ``export main.sales.orders``.

    A tag is what a statement is found by when its answer was lost; no two statements of a load share one.
    """

    @property
    def name(self) -> str:
        """Connection id."""

    def run(self, what: str, statement: Statement, tag: str = "") -> Answer:
        """Run a short statement to its end; it must be safe to repeat, for a lost answer may have it sent again.

        :raises IceBridgeError: when it failed; retryable when the same may succeed later.
        """

    def start(self, what: str, statement: Statement, tag: str) -> str:
        """Start a long statement and return its id, soon; one with this tag that runs or is done is found instead.

        A statement with this tag that failed, was cancelled or is unknown is started anew.

        :raises TransientError: when it is not known whether it was started: ask again.
        """

    def find(self, tag: str) -> str:
        """Id of the newest statement with this tag, empty when the system shows none."""

    def look(self, query_id: str) -> QueryStatus:
        """Where a started statement is. Never waits for it."""

    def answer(self, query_id: str) -> Answer:
        """The rows of a statement that is done; in another process than started it, too.

        :raises TransientError: when the result is no longer kept: the statement must be started again.
        """

    def cancel(self, query_id: str) -> None:
        """Stop a statement; one that is over is success."""


class LoadTarget(SqlRunner, Protocol):
    """A Snowflake account: statements, and the one transaction that makes a load visible."""

    def publish(self, plan: LoadPlan, judge: Callable[[Published], None]) -> Published | None:
        """Do ``claim, before, publish, after`` of a plan in one transaction of one session.

        ``judge`` is called before COMMIT; when it raises the transaction is rolled back. When the answer to COMMIT is
        lost, the load's own row (``look_load``) is asked in a new session before anything is said.

        :returns: None when the claim hit no row: another try has published, or a newer one is under way.
        :raises TransientError: when it was not committed, for sure, and may be tried again with a new generation.
        """

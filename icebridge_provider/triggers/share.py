"""Waits for a statement of a share, on either side, without a worker's slot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from icebridge_provider.exceptions import IceBridgeError

if TYPE_CHECKING:
    from icebridge_provider.model.running import QueryState
    from icebridge_provider.ports.share import SqlRunner

LATE, UNKNOWN = "late", ""
# Until a scheduler has booked a deferral; a task that is back before is taken for a failed one.
SECONDS_TO_NOTICE = 10.0


class ShareStatementTrigger(BaseTrigger):
    """Fires when a statement is over, or has taken too long; what that means is for the waiting task to find out.

    The event is ``{"side", "query_id", "state"}``: the state is the statement's, ``late`` at the end of its time, empty
    with ``problem`` when it cannot be looked at. Nothing is started and nothing is written here.

    :param side: ``source`` or ``target``.
    :param query_id: the statement.
    :param source_conn_id, target_conn_id, storage_conn_id: connections of the share.
    :param document: the share, to cancel it.
    :param poll_seconds: time between two looks.
    :param until: when it will have taken too long, ISO 8601.
    :param first_seconds: time before the first look.
    """

    def __init__(
        self,
        side: str,
        query_id: str,
        *,
        source_conn_id: str,
        target_conn_id: str,
        storage_conn_id: str = "",
        document: str = "",
        poll_seconds: float = 30,
        until: str = "",
        first_seconds: float = SECONDS_TO_NOTICE,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow has no type for it
        self.side = side
        self.query_id = query_id
        self.source_conn_id = source_conn_id
        self.target_conn_id = target_conn_id
        self.storage_conn_id = storage_conn_id
        self.document = document
        self.poll_seconds = poll_seconds
        self.until = until
        self.first_seconds = first_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow needs to build this trigger in the triggerer: ids only."""
        connections = ("source_conn_id", "target_conn_id", "storage_conn_id")
        names = ("side", "query_id", *connections, "document", "poll_seconds", "until", "first_seconds")
        return "icebridge_provider.triggers.share.ShareStatementTrigger", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look now and then; yield one event."""
        told = {"side": self.side, "query_id": self.query_id}
        try:
            payload = {**told, "state": await self._ended()}
        except Exception as error:  # noqa: BLE001 - the waiting task looks for itself, and says what is wrong
            payload = {**told, "state": UNKNOWN, "problem": _said(error)}
        yield TriggerEvent(payload)  # type: ignore[no-untyped-call]  # Airflow has no type for it

    async def on_kill(self) -> None:
        """Cancel what the share runs: its task was marked as failed, as successful or cleared by a person."""
        await asyncio.to_thread(self._cancel)

    async def _ended(self) -> str:
        from icebridge_provider.hooks.share import SOURCE
        from icebridge_provider.model.running import QueryState

        lookout = Lookout(self.side, self.source_conn_id if self.side == SOURCE else self.target_conn_id)
        try:
            await asyncio.sleep(self.first_seconds)
            while True:
                state, problem = await asyncio.to_thread(lookout.look, self.query_id)
                if problem:
                    self.log.warning("Query %s cannot be looked at just now: %s", self.query_id, problem)
                elif state is not QueryState.RUNNING:
                    return state.value
                left = seconds_left(self.until)
                if left <= 0:
                    return LATE
                await asyncio.sleep(min(self.poll_seconds, left))
        finally:
            await asyncio.to_thread(lookout.close)

    def _cancel(self) -> None:
        from icebridge_provider.hooks.share import cancel_share
        from icebridge_provider.model.event import Actor

        connections = self.source_conn_id, self.target_conn_id, self.storage_conn_id
        cancel_share(*connections, self.document, Actor(origin="triggerer"))


class Lookout:
    """One end of a share, kept open from look to look and opened anew after a look that failed."""

    def __init__(self, side: str, conn_id: str) -> None:
        self._side = side
        self._conn_id = conn_id
        self._open = ExitStack()
        self._runner: SqlRunner | None = None

    def look(self, query_id: str) -> tuple[QueryState, str]:
        """Look once; the second value says why it could not be told now, and is empty when it could.

        :raises IceBridgeError: when looking again would not help.
        """
        from icebridge_provider.hooks.share import runner_of
        from icebridge_provider.model.running import QueryState

        try:
            if self._runner is None:
                self._runner = self._open.enter_context(runner_of(self._side, self._conn_id))
            return self._runner.look(query_id).state, ""
        except IceBridgeError as error:
            if not error.retryable:
                raise
            self.close()
            return QueryState.RUNNING, _scrubbed(str(error))

    def close(self) -> None:
        """End the session, if there is one."""
        self._runner = None
        self._open.close()


def seconds_left(until: str) -> float:
    """Return the seconds until an instant; very many without one."""
    if not until:
        return float("inf")
    return (datetime.fromisoformat(until) - datetime.now(UTC)).total_seconds()


def _said(error: Exception) -> str:
    return _scrubbed(f"{type(error).__name__}: {error}")


def _scrubbed(text: str) -> str:
    from icebridge_provider.model.redaction import scrubbed

    return scrubbed(text)[:500]

"""Waits until a job run on Databricks is over, without a worker's slot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from collections.abc import Callable

OVER = frozenset({"TERMINATED", "SKIPPED", "INTERNAL_ERROR"})


class DatabricksRunTrigger(BaseTrigger):
    """Fires when a run is over; how its tables came out is for the engine to say.

    The event is ``{"run_id", "state"}`` with the result state, or the life cycle's where there is none. When the
    workspace cannot be asked ``state`` is empty and ``problem`` says why: whoever waits then looks for himself.

    Meanwhile it tells how far the run is, in the log and in the ledger; that this cannot be told never ends the wait.

    :param conn_id: connection of type ``databricks``.
    :param run_id: run to wait for.
    :param poll_seconds: time between two looks.
    :param plan_id: plan whose tables the run copies; empty: how far it is is not told.
    :param step: ``copy`` or ``sync``: what the ledger is told of.
    """

    def __init__(
        self, conn_id: str, run_id: str, poll_seconds: float = 30, plan_id: str = "", step: str = "copy"
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow has no type for it
        self.conn_id = conn_id
        self.run_id = run_id
        self.poll_seconds = poll_seconds
        self.plan_id = plan_id
        self.step = step

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow needs to build this trigger in the triggerer: ids only."""
        names = ("conn_id", "run_id", "poll_seconds", "plan_id", "step")
        arguments = {name: getattr(self, name) for name in names}
        return "icebridge_provider.triggers.job.DatabricksRunTrigger", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look now and then; yield one event."""
        try:
            state = await self._ended()
            payload = {"run_id": self.run_id, "state": state}
        except Exception as error:  # noqa: BLE001 - the waiting task looks for itself, and says what is wrong
            payload = {"run_id": self.run_id, "state": "", "problem": _said(error)}
        yield TriggerEvent(payload)  # type: ignore[no-untyped-call]  # Airflow has no type for it

    async def on_kill(self) -> None:
        """Cancel the run: its task was marked as failed, as successful or cleared by a person."""
        await asyncio.to_thread(self._hook().cancel_run, int(self.run_id))

    async def _ended(self) -> str:
        tell: Callable[[dict[str, Any]], None] | None = None
        async with self._hook() as hook:
            while True:
                answer = await hook.a_get_run(int(self.run_id))
                state = answer.get("state") or {}
                if state.get("life_cycle_state") in OVER:
                    return str(state.get("result_state") or state["life_cycle_state"])
                tell = tell or self._teller()
                await asyncio.to_thread(tell, answer)
                await asyncio.sleep(self.poll_seconds)

    def _teller(self) -> Callable[[dict[str, Any]], None]:
        from icebridge_provider.hooks.progress import Teller

        return Teller(self.conn_id, self.plan_id, self.step, self.log).tell

    def _hook(self) -> Any:
        from airflow.providers.databricks.hooks.databricks import DatabricksHook

        return DatabricksHook(self.conn_id, caller="IceBridge")


def _said(error: Exception) -> str:
    from icebridge_provider.model.redaction import scrubbed

    return scrubbed(f"{type(error).__name__}: {error}")[:500]

"""Waits until events of a sync wait to be applied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from icebridge_provider.operators.base import COLOR
from icebridge_provider.operators.retry import retrying
from icebridge_provider.triggers.events import BridgeEventTrigger, first_looks

if TYPE_CHECKING:
    from airflow.sdk import Context


class BridgeEventSensor(BaseSensorOperator):
    """Says which syncs have events to apply; it may wait for the first one, and holds no worker meanwhile.

    A sync that cannot be looked at is named too: the task that applies its events then says why.

    :param sync: name of the sync; empty for all of ``[icebridge] syncs_file``.
    :param wait: whether to wait when nothing is to be done; else the answer may be empty.
    """

    template_fields: Sequence[str] = ("sync",)
    ui_color = COLOR

    def __init__(self, *, sync: str = "", wait: bool = False, **kwargs: Any) -> None:
        super().__init__(**{**retrying(), **kwargs})
        self.sync = sync
        self.wait = wait

    def execute(self, context: Context) -> list[str]:  # noqa: ARG002 - Airflow's signature
        """Look, then wait in the triggerer if need be.

        :returns: names of syncs.
        """
        found = self._found()
        if not found and self.wait:
            self.defer(trigger=BridgeEventTrigger(self.sync, shared=False), method_name="resume")
        self.log.info("Events to apply: %s", ", ".join(found) or "none")
        return found

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002 - Airflow's signature
        """Look once."""
        found = self._found()
        return PokeReturnValue(is_done=bool(found) or not self.wait, xcom_value=found)

    def resume(self, context: Context, event: dict[str, Any]) -> list[str]:  # noqa: ARG002 - Airflow's signature
        """Return the sync that the trigger told of."""
        return [str(event["sync"])]

    def _found(self) -> list[str]:
        return [look.sync for look in first_looks(self.sync) if look.waiting or look.problem]

"""Waits until a table is written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from icebridge_provider.exceptions import ConfigurationError, TransientError
from icebridge_provider.operators.base import COLOR
from icebridge_provider.operators.retry import retrying
from icebridge_provider.triggers.snapshot import SnapshotTrigger, head_of

if TYPE_CHECKING:
    from airflow.sdk import Context


class SnapshotSensor(BaseSensorOperator):
    """Waits until a table has another head than ``known_snapshot_id``; it holds no worker while it waits.

    :param conn_id: connection of the catalog.
    :param table: ``namespace.table``; parts with dots stand in backticks.
    :param known_snapshot_id: head that is known already; None (or an empty text) waits for the first snapshot.
    :param deferrable: whether to wait in the triggerer; without one running, say False: then a worker waits.
    """

    template_fields: Sequence[str] = ("conn_id", "table", "known_snapshot_id")
    ui_color = COLOR

    def __init__(
        self,
        *,
        conn_id: str,
        table: str,
        known_snapshot_id: int | str | None = None,
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**retrying(), **kwargs})
        self.conn_id = conn_id
        self.table = table
        self.known_snapshot_id = known_snapshot_id
        self.deferrable = deferrable

    def execute(self, context: Context) -> int:
        """Look once, then wait in the triggerer.

        :returns: the new head's snapshot id.
        """
        if not self.deferrable:
            return int(super().execute(context))
        head = self._new_head()
        if head is None:
            self._wait()
        return head

    def _wait(self) -> NoReturn:
        self.defer(
            trigger=SnapshotTrigger(self.conn_id, self.table, self._known(), self.poke_interval),
            method_name="resume",
            timeout=timedelta(seconds=self.timeout),
        )

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002 - Airflow's signature
        """Look once."""
        head = self._new_head()
        return PokeReturnValue(is_done=head is not None, xcom_value=head)

    def resume(self, context: Context, event: dict[str, Any]) -> int:  # noqa: ARG002 - Airflow's signature
        """Return the new head, or raise what the trigger met.

        :raises TransientError: IB-707 when the table could not be read and may be readable later.
        :raises ConfigurationError: IB-707 when it cannot be read.
        """
        if "problem" in event:
            kind = TransientError if event["retryable"] else ConfigurationError
            raise kind(
                "IB-707",
                f"{self.table} could not be read: {event['problem']}",
                remedy="It is tried again." if event["retryable"] else "Mend what the message names.",
            )
        return int(event["snapshot_id"])

    def _new_head(self) -> int | None:
        head = head_of(self.conn_id, self.table)
        return head if head != self._known() else None

    def _known(self) -> int | None:
        text = str(self.known_snapshot_id or "").strip()
        return int(text) if text not in {"", "None"} else None

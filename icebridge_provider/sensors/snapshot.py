"""Waits until a table is written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator

from icebridge_provider.exceptions import TransientError
from icebridge_provider.triggers.snapshot import SnapshotTrigger, head_of

if TYPE_CHECKING:
    from airflow.sdk import Context


class SnapshotSensor(BaseSensorOperator):
    """Waits until a table has another head than ``known_snapshot_id``; it holds no worker while it waits.

    :param conn_id: connection of the catalog.
    :param table: ``namespace.table``.
    :param known_snapshot_id: head that is known already; None (or an empty text) waits for the first snapshot.
    """

    template_fields: Sequence[str] = ("conn_id", "table", "known_snapshot_id")

    def __init__(
        self, *, conn_id: str, table: str, known_snapshot_id: int | str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.table = table
        self.known_snapshot_id = known_snapshot_id

    def execute(self, context: Context) -> int | None:  # noqa: ARG002, RET503 - Airflow's signature; defer raises
        """Look once, then wait in the triggerer.

        :returns: the new head's snapshot id.
        """
        text = str(self.known_snapshot_id or "")
        known = int(text) if text not in {"", "None"} else None
        head = head_of(self.conn_id, self.table)
        if head != known:
            return head
        self.defer(
            trigger=SnapshotTrigger(self.conn_id, self.table, known, self.poke_interval),
            method_name="resume",
            timeout=timedelta(seconds=self.timeout),
        )

    def resume(self, context: Context, event: dict[str, Any]) -> int | None:  # noqa: ARG002 - Airflow's signature
        """Return the new head, or raise what the trigger met."""
        if "problem" in event:
            problem = f"{self.table} could not be read: {event['problem']}"
            raise TransientError("IB-707", problem, remedy="It is tried again.")
        head: int | None = event["snapshot_id"]
        return head

"""Waits until a table has a newer snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from icebridge_provider.retry import is_transient


class SnapshotTrigger(BaseTrigger):
    """Fires when the head of a table is another snapshot than the known one.

    The catalog is asked in a thread, so that the triggerer's event loop never waits.

    :param conn_id: connection of the catalog.
    :param table: ``namespace.table``.
    :param known: snapshot id that is known already, None for "no snapshot yet".
    :param seconds: time between two looks.
    """

    def __init__(self, conn_id: str, table: str, known: int | None, seconds: float = 60) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow has no type for it
        self.conn_id = conn_id
        self.table = table
        self.known = known
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow needs to build this trigger in the triggerer."""
        arguments = {"conn_id": self.conn_id, "table": self.table, "known": self.known, "seconds": self.seconds}
        return "icebridge_provider.triggers.snapshot.SnapshotTrigger", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look now and then; yield one event with the new snapshot id, or with what went wrong."""
        while True:
            try:
                head = await asyncio.to_thread(head_of, self.conn_id, self.table)
            except Exception as error:  # noqa: BLE001 - the waiting task raises it where a person looks
                yield _event(problem=str(error), retryable=is_transient(error))
                return
            if head is not None and head != self.known:
                yield _event(snapshot_id=head)
                return
            await asyncio.sleep(self.seconds)


def _event(**payload: Any) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]  # Airflow has no type for it


def head_of(conn_id: str, table: str) -> int | None:
    """Return the current snapshot id of ``namespace.table``, None when it has none.

    :raises ConfigurationError: IB-706 when there is no such table, or its name cannot be read.
    """
    from icebridge_provider.exceptions import ConfigurationError
    from icebridge_provider.hooks.catalog import catalog_for
    from icebridge_provider.model.identifier import TableIdentifier, split_parts

    try:
        parts = split_parts(table)
    except ValueError as error:
        raise ConfigurationError("IB-706", str(error), remedy="Write namespace.table.", table=table) from None
    identifier = TableIdentifier(catalog=conn_id, namespace=tuple(parts[:-1]), name=parts[-1])
    loaded = catalog_for(conn_id).load(identifier)
    if loaded is None:
        raise ConfigurationError("IB-706", f"{identifier} is not in its catalog.", remedy="Correct the table's name.")
    return loaded.current_snapshot_id

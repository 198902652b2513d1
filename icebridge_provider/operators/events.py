"""Operators over ``bridge_events``: emit an event, apply what waits, look at what an event would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.operators.base import IceBridgeOperator, listed
from icebridge_provider.planning.event_arguments import new_event, texts

if TYPE_CHECKING:
    from airflow.sdk import Context

    from icebridge_provider.model.bridge import BridgeEvent
    from icebridge_provider.model.syncs import SyncConfig

MOST_POLLS = 1000


class EmitBridgeEventOperator(IceBridgeOperator):
    """Adds one event to a sync's table: rows of a source table are to be written into a table of SQL Server.

    The event's id is made of the task's run unless it is given, so that a retried task emits it once.

    :param operation: ``INSERT``, ``UPDATE`` or ``DELETE``.
    :param source_table: table whose rows are meant, ``catalog.schema.table``.
    :param target_table: table they are written into, ``schema.table``.
    :param primary_keys: columns that identify a row, a list or its JSON text; needed for UPDATE and DELETE.
    :param filter_conditions: column → text, an object or its JSON text: only rows with just these values are meant.
    :param priority: higher ones are applied first.
    :param rows_expected: how many rows are expected; None (or an empty text) takes the rows of the source.
    :param metadata: column → text, kept with the event; ``requested_by`` is who triggered the run.
    :param event_id: id of the event; empty: made of the run.
    :param sync: name of the sync; empty for the only one there is.
    """

    template_fields: Sequence[str] = (
        "operation",
        "source_table",
        "target_table",
        "primary_keys",
        "filter_conditions",
        "priority",
        "rows_expected",
        "metadata",
        "event_id",
        "sync",
    )

    def __init__(
        self,
        *,
        operation: str,
        source_table: str,
        target_table: str,
        primary_keys: Sequence[str] | str = (),
        filter_conditions: Mapping[str, str] | str | None = None,
        priority: int | str = 0,
        rows_expected: int | str | None = None,
        metadata: Mapping[str, str] | str | None = None,
        event_id: str = "",
        sync: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.operation = operation
        self.source_table = source_table
        self.target_table = target_table
        self.primary_keys = primary_keys
        self.filter_conditions = filter_conditions
        self.priority = priority
        self.rows_expected = rows_expected
        self.metadata = metadata
        self.event_id = event_id
        self.sync = sync

    def execute(self, context: Context) -> str:
        """Emit the event.

        :returns: its id.
        """
        from icebridge_provider.hooks.bridge import only, queue_of
        from icebridge_provider.hooks.site import actor_of
        from icebridge_provider.steps.events import emit

        event = self.event(context, actor_of(context).who)
        emit(queue_of(only(self.sync)), [event])
        self.log.info("Event %s: %s %s into %s", event.event_id, event.operation, event.source_table, self.target_table)
        return event.event_id

    def event(self, context: Context, who: str) -> BridgeEvent:
        """Return the event.

        :raises ConfigurationError: IB-885 for an argument that cannot be read.
        """
        return new_event(
            event_id=self.event_id or _id_of(context),
            operation=self.operation,
            source_table=self.source_table,
            target_table=self.target_table,
            primary_keys=listed(self.primary_keys),
            priority=self.priority,
            rows_expected=self.rows_expected,
            filter_conditions=self.filter_conditions,
            metadata={**texts("metadata", self.metadata), "requested_by": who},
        )


class ApplyBridgeEventsOperator(IceBridgeOperator):
    """Applies a sync's events, poll after poll, until none is left that may run.

    Every event is applied exactly once, whatever dies on the way: its rows and its entry in the target's inbox are one
    transaction. An event that cannot succeed fails by itself and holds up no other; a DELETE over its limit is blocked
    until a person releases it.

    :param sync: name of the sync; empty for the only one there is.
    :param polls: most polls of one task; the rest is for the next run.
    """

    template_fields: Sequence[str] = ("sync", "polls")

    def __init__(self, *, sync: str = "", polls: int | str = MOST_POLLS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sync = sync
        self.polls = polls
        self._stopped = False

    def execute(self, context: Context) -> dict[str, Any]:
        """Poll until nothing is left.

        :returns: ``sync, polls``, how many events were ``completed, failed, blocked, rejected, retried, held``, and
            whether ``more`` can run.
        :raises TransientError: IB-893 when a side did not answer.
        """
        from icebridge_provider.hooks.bridge import only, site_of
        from icebridge_provider.hooks.site import actor_of
        from icebridge_provider.steps.event_polls import apply_waiting

        sync = only(self.sync)
        site = site_of(sync, actor_of(context))
        return apply_waiting(site, int(self.polls), lambda: self._stopped, self.log.info)

    def on_kill(self) -> None:
        """Stop after the poll that is under way."""
        self._stopped = True


class PreviewEventsOperator(IceBridgeOperator):
    """Shows what events would do: the very statements, run and rolled back, with the rows they hit.

    :param event_ids: ids of events, a list, its JSON text or one a line.
    :param sync: name of the sync; empty for the only one there is.
    """

    template_fields: Sequence[str] = ("event_ids", "sync")

    def __init__(self, *, event_ids: Sequence[str] | str, sync: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.event_ids = event_ids
        self.sync = sync

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Preview the events; the statements stand in the log.

        :returns: ``event_id, rows_expected, rows_affected, verdict, message`` of each.
        """
        from icebridge_provider.hooks.bridge import only, site_of
        from icebridge_provider.hooks.site import actor_of
        from icebridge_provider.steps.events import preview

        site = site_of(only(self.sync), actor_of(context))
        found = [preview(site, event_id) for event_id in listed(self.event_ids)]
        for item in found:
            self.log.info("%s: %s\n%s", item.event_id, item.message or item.verdict, "\n".join(item.statements))
        names = ("event_id", "rows_expected", "rows_affected", "verdict", "message")
        return [{name: _plain(getattr(item, name)) for name in names} for item in found]


class BlockedEventsOperator(IceBridgeOperator):
    """Lists events that a person must release or reject, for ``expand_kwargs``.

    :param sync: name of the sync; empty for all of ``[icebridge] syncs_file``.
    :param most: most events of one sync.
    """

    template_fields: Sequence[str] = ("sync", "most")

    def __init__(self, *, sync: str = "", most: int | str = 100, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sync = sync
        self.most = most

    def execute(self, context: Context) -> list[dict[str, Any]]:  # noqa: ARG002 - Airflow's signature
        """Look for blocked events; a sync that cannot be looked at stops no other.

        :returns: ``sync, event_id, attempt`` of each.
        :raises IceBridgeError: when no sync could be looked at.
        """
        from icebridge_provider.hooks.bridge import configured, named

        syncs = [named(self.sync)] if self.sync else list(configured())
        found: list[dict[str, Any]] = []
        broken: list[IceBridgeError] = []
        for sync in syncs:
            try:
                found += self._of(sync)
            except IceBridgeError as error:
                self.log.error("%s: %s", sync.name, error)  # noqa: TRY400 - it says all there is to say
                broken.append(error)
        if broken and len(broken) == len(syncs):
            raise broken[0]
        return found

    def _of(self, sync: SyncConfig) -> list[dict[str, Any]]:
        from icebridge_provider.hooks.bridge import queue_of

        events = queue_of(sync).events("blocked", int(self.most))
        return [{"sync": sync.name, "event_id": event.event_id, "attempt": event.attempt} for event in events]


def _id_of(context: Context) -> str:
    task = context["ti"]
    index = getattr(task, "map_index", -1)
    return str(uuid5(NAMESPACE_URL, "\n".join([task.dag_id, task.run_id, task.task_id, str(index)])))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value

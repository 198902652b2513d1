"""What extraction and event sync need of the outside world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from icebridge_provider.model.bridge import BridgeEvent, Preview, Settled, TargetTable, Work


class EventQueue(Protocol):
    """The table ``bridge_events``, wherever it is. Times are by its own clock."""

    def create(self) -> None:
        """Make the table; one that is there already is success.

        :raises ConfigurationError: when a table of that name has other columns.
        """

    def emit(self, events: Sequence[BridgeEvent]) -> None:
        """Add events, all or none; one that is there already with the same payload is success.

        Those without ``created_at`` get the queue's time, in the order they are given.

        :raises ConfigurationError: when an id is used for another payload.
        """

    def waiting(self) -> tuple[int, str]:
        """How many events can be claimed, and a mark that is another one when other events can be; claims nothing.

        An event that was given back changes the mark.
        """

    def waiting_events(self, limit: int) -> list[BridgeEvent]:
        """Events that can be claimed: pending, or claimed by somebody whose time is over (they come as pending).

        By priority (highest first), ``created_at`` and ``event_id``.
        """

    def ahead(self, tables: Sequence[str], limit: int) -> list[BridgeEvent]:
        """Open events of target tables spelled just so: pending, processing (somebody has it now) and blocked.

        The ``limit`` earliest of each table, by ``created_at`` and ``event_id``.
        """

    def claim(self, events: Sequence[BridgeEvent], owner: str, seconds: float) -> list[BridgeEvent]:
        """Make events ours until ``seconds`` from now, unless another was quicker; return ours, ``attempt`` counted up.

        Asked twice by one ``owner`` (a new text for each claim) it answers the same.
        """

    def finish(self, settled: Sequence[tuple[BridgeEvent, Settled]]) -> None:
        """Write how claimed events ended; an event that is no longer this claim's is left as it is."""

    def give_back(self, events: Sequence[BridgeEvent], message: str, *, tried: bool = True) -> None:
        """Make claimed events pending again, saying why; one that is no longer this claim's is left as it is.

        :param tried: False takes the claim off ``attempt`` again: nothing was begun.
        """

    def note(self, warnings: Mapping[str, str]) -> None:
        """Write the warning of pending events, by event id; other events are left as they are."""

    def release(self, event_id: str, rows: int) -> None:
        """Let a blocked DELETE run again with at most ``rows`` rows.

        :raises ConfigurationError: when there is no such blocked event.
        """

    def reject(self, event_id: str, message: str) -> None:
        """End a blocked event for good.

        :raises ConfigurationError: as :meth:`release`.
        """

    def events(self, status: str = "", limit: int = 100) -> list[BridgeEvent]:
        """Events, newest first, of one status or of all."""

    def event(self, event_id: str) -> BridgeEvent | None:
        """One event, None when there is none."""


class RowSource(Protocol):
    """Tables whose rows events bring over."""

    def pin(self, table: str) -> str:
        """The table's version now, empty when it cannot be told; reads of one pin see the same rows.

        :raises IceBridgeError: when there is no such table or it may not be read.
        """

    def columns(self, table: str) -> list[str]:
        """Its columns, in order."""

    def read(self, table: str, pin: str, columns: Sequence[str], filters: Mapping[str, str]) -> Any:
        """Rows as a ``pyarrow.RecordBatchReader``: of these columns, where each filter's column has just this value.

        A filter's text is taken as a value of its column's type and is bound, never concatenated.

        :raises ConfigurationError: naming the column whose type or value cannot be taken.
        """


class SyncTarget(Protocol):
    """A database that events write to. It keeps an inbox: one row for each event that ended, in the same database."""

    def prepare(self) -> None:
        """Make the inbox; one that is there is success."""

    def table(self, name: str) -> TargetTable:
        """Describe a table, ``schema.table``.

        :raises ConfigurationError: when there is none, or the login may not see its definition.
        """

    def settled(self, event_ids: Sequence[str]) -> dict[str, Settled]:
        """What the inbox holds of these events."""

    def apply(self, work: Work, rows: Any) -> Settled:
        """Do one event in one transaction with its inbox row, or find that it was done; return what the inbox holds.

        An event that is settled already changes nothing; one that is blocked goes on only for a later claim than the
        one that blocked it. A DELETE over its limit and a strict discrepancy roll the rows back and settle the event
        all the same.

        :param rows: ``pyarrow.RecordBatchReader`` with the columns of ``work``.
        :raises TransientError: when trying again may help; after a lost answer it has looked into the inbox first.
        :raises IceBridgeError: when the event can never succeed; the rows are as they were.
        """

    def settle(self, settled: Settled) -> Settled:
        """Write into the inbox that an event ended without touching rows, unless it has ended; return what it holds."""

    def preview(self, work: Work, rows: Any) -> Preview:
        """Do it and roll it back."""


class SqlReader(Protocol):
    """A database that SELECTs are run on."""

    def describe(self, statement: str, values: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
        """Name, declared type and nullability of each column of a SELECT, without running it."""

    def read(self, statement: str, values: Mapping[str, Any], rows_a_batch: int, consistent: bool = False) -> Any:
        """Rows as a ``pyarrow.RecordBatchReader``, never more than a batch in memory.

        :param values: values of its ``%(name)s`` places; they are bound.
        :param consistent: see one state of the database, see :meth:`consistent`.
        """

    def consistent(self) -> bool:
        """Whether one read sees one state of the database (SNAPSHOT isolation) without blocking writers."""

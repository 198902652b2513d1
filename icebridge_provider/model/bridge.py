"""Events that ask for rows of one table to be written into another: ``bridge_events``, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from icebridge_provider.model import codec
from icebridge_provider.model.identifier import show_part


class Operation(StrEnum):
    """What is done to the target's rows."""

    INSERT = "INSERT"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


class EventStatus(StrEnum):
    """Where an event is. Completed, failed and rejected are final; a person releases or rejects a blocked one."""

    PENDING = "pending"
    PROCESSING = "processing"
    BLOCKED = "blocked"
    COMPLETED = "completed"
    FAILED = "failed"
    REJECTED = "rejected"


FINAL = frozenset({EventStatus.COMPLETED, EventStatus.FAILED, EventStatus.REJECTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeEvent:
    """One row of ``bridge_events``.

    :param source_table: ``catalog.schema.table`` as the source spells it, parts with dots in backticks.
    :param target_table: ``schema.table``.
    :param primary_keys: columns that identify a row, needed for UPDATE and DELETE.
    :param filter_conditions: column of the target → text; rows of the source with just these values are meant.
    :param rows_expected: what the sender expects; None takes the rows of the source.
    :param created_at: ISO 8601 in UTC with microseconds, as are the other times; empty where there is none.
    :param attempt: how often it has been claimed.
    :param released_rows: most rows a DELETE may delete that a person released; None when nobody did.
    :param unreadable: why the queue's row cannot be understood; such an event fails, nothing is done for it.
    """

    event_id: str
    operation: str
    source_table: str
    target_table: str
    primary_keys: tuple[str, ...] = ()
    priority: int = 0
    status: EventStatus = EventStatus.PENDING
    rows_expected: int | None = None
    rows_affected: int | None = None
    discrepancy: int | None = None
    warning: str = ""
    error_message: str = ""
    filter_conditions: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    created_at: str = ""
    processed_at: str = ""
    attempt: int = 0
    claimed_by: str = ""
    claimed_until: str = ""
    released_rows: int | None = None
    unreadable: str = ""

    @property
    def payload(self) -> str:
        """Digest of what is asked for: the same id with another payload is another event under a used id."""
        asked = (self.operation, self.source_table, self.target_table, list(self.primary_keys),
                 dict(self.filter_conditions), self.rows_expected)  # fmt: skip
        return codec.digest(asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """How an event ended, as the target's inbox keeps it; the first word stands, whoever asks again.

    ``discrepancy`` is expected minus affected. ``attempt`` is the claim that settled it: an older claim's work is void.
    """

    event_id: str
    payload: str
    attempt: int
    status: EventStatus
    rows_expected: int | None = None
    rows_affected: int | None = None
    discrepancy: int | None = None
    warning: str = ""
    error_message: str = ""
    settled_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetColumn:
    """A column of a target table.

    :param type: the target's own declared type, ``decimal(38,10)``, ``nvarchar(50)``.
    :param writable: False for computed columns, row versions and columns the server always generates.
    :param identity: the server numbers it unless it is told to take given values.
    :param collation: the target's collation of a text column; decides which keys are equal.
    """

    name: str
    type: str
    nullable: bool = True
    writable: bool = True
    identity: bool = False
    has_default: bool = False
    collation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetTable:
    """A table that events write to; ``keys`` are its primary key and unique keys, columns in key order."""

    schema: str
    name: str
    columns: tuple[TargetColumn, ...]
    keys: tuple[tuple[str, ...], ...] = ()

    @property
    def path(self) -> str:
        """``schema.table`` as events and permission files must spell it."""
        return f"{show_part(self.schema)}.{show_part(self.name)}"

    def column(self, name: str) -> TargetColumn | None:
        """Return a column by its exact name, else by its name in any case where just one fits; None without one."""
        exact = [item for item in self.columns if item.name == name]
        folded = exact or [item for item in self.columns if item.name.casefold() == name.casefold()]
        return folded[0] if len(folded) == 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One event, judged: what the target does in one transaction.

    :param columns: columns that are staged, by the target's spelling, keys first.
    :param keys: columns that identify a row; empty for an INSERT without keys.
    :param most_deleted: DELETE is rolled back and blocked when it hits more rows; None is no limit.
    :param strict: a discrepancy rolls back and fails the event.
    """

    event: BridgeEvent
    table: TargetTable
    columns: tuple[str, ...]
    keys: tuple[str, ...] = ()
    most_deleted: int | None = None
    strict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an event would do: the statements as they would run, and the rows they hit in a rolled-back transaction."""

    event_id: str
    statements: tuple[str, ...]
    rows_expected: int
    rows_affected: int
    verdict: EventStatus
    message: str = ""


class Access(StrEnum):
    """What a permission file lets a user do with a table. DELETE needs ``max_delete_rows`` too."""

    READ = "read"
    WRITE = "write"
    READ_WRITE = "read_write"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One line of a permission file. ``table`` is spelled as its catalog spells it, ``schema.table``.

    :param max_delete_rows: most rows that one DELETE may hit; 0 lets none through without a person.
    """

    table: str
    access: Access
    max_delete_rows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What one user of a permission file may do."""

    user: str
    grants: tuple[Grant, ...] = ()

    def on(self, table: str) -> Grant | None:
        """Return the grant on a table of just this spelling, None without one."""
        return next((grant for grant in self.grants if grant.table == table), None)

"""Statements that run elsewhere while nobody waits: where they are, and what they answered."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class QueryState(StrEnum):
    """Where a statement is. ``gone``: the system that ran it does not know it (any more)."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryStatus:
    """Where a statement is, and why it failed.

    :param code: the system's own: an error class of Databricks, an error number of Snowflake.
    :param retryable: whether the same statement may succeed later.
    """

    state: QueryState
    message: str = ""
    code: str = ""
    retryable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """All rows of a small result; ``affected`` are the rows that a DML statement wrote, None for others.

    :param types: of the columns, as the system writes them; empty where it does not tell.
    """

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    affected: int | None = None
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What a step waits for; whoever comes back with it asks the same system about the same statement.

    :param side: ``source`` or ``target``.
    :param what: in words, for logs and the grid.
    :param until: when it will have taken too long, ISO 8601 in UTC.
    """

    side: str
    query_id: str
    what: str
    until: str

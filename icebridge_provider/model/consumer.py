"""Who reads or writes a table, and which sources of that knowledge could be asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

DAG_FILE, STATEMENT = "dag file", "statement"


class Known(StrEnum):
    """How far a source of knowledge could be asked. Only ``asked`` makes "nothing found" an answer."""

    ASKED = "asked"
    PARTLY = "partly"
    NOT_PERMITTED = "not permitted"
    NOT_AVAILABLE = "not available"


class ConsumerNames(StrEnum):
    """Under which names consumers find the tables afterwards: the target's, or those of before."""

    NEW = "new"
    KEEP = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """One thing that reads, writes or mentions one table.

    :param table: the table's name as consumers spell it today.
    :param kind: ``job``, ``notebook``, ``dashboard``, ``query``, ``pipeline``, ``view``, ``statement`` (run by a
        client that says no more of itself) or ``dag file``.
    :param id: its id, or name, in its own system; a file's ``bundle:path:line``.
    :param how: ``reads``, ``writes``, or ``mentions`` where only a text names the table.
    :param who: the principal that ran it last, or owns it; empty where that is not told.
    :param last_seen: ISO 8601, UTC; empty for what is no event (a view, a file).
    :param sources: names of the sources that told of it.
    :param own: whether IceBridge's own principal ran it.
    :param new_name: the table's name afterwards, empty when no plan says it.
    """

    table: str
    kind: str
    id: str
    how: str
    who: str = ""
    last_seen: str = ""
    times: int = 1
    sources: tuple[str, ...] = ()
    own: bool = False
    new_name: str = ""

    @property
    def thing(self) -> str:
        """What is counted once, however many tables it uses: a file without its line, a client with who ran it."""
        if self.kind == DAG_FILE:
            return self.id.rpartition(":")[0]
        return f"{self.id} by {self.who}" if self.kind == STATEMENT else self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """One DAG bundle of Airflow: its folder, None when it cannot be opened, and why."""

    name: str
    folder: Path | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """One source: how far it could be asked, and what it cannot know even then.

    :param unreadable: things seen whose content was not shown: any of them may use the tables.
    :param reason: why it is not ``asked``; ``remedy`` is what to type then.
    """

    source: str
    known: Known
    consumers: tuple[Consumer, ...] = ()
    unreadable: int = 0
    reason: str = ""
    remedy: str = ""
    limits: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerReport:
    """Everything found of some tables, and what is not known."""

    tables: Mapping[str, str]
    days: int
    consumers: tuple[Consumer, ...]
    knowledge: tuple[Knowledge, ...] = field(default=())

    @property
    def complete(self) -> bool:
        """Whether every source could be asked for all it has."""
        return all(one.known is Known.ASKED for one in self.knowledge)

    @property
    def unknown(self) -> tuple[Knowledge, ...]:
        """Sources that could not be asked, or not for everything."""
        return tuple(one for one in self.knowledge if one.known is not Known.ASKED)


def counts(consumers: Iterable[Consumer]) -> dict[str, int]:
    """Return how many different things of each kind there are; IceBridge's own are not counted."""
    found: dict[str, set[str]] = {}
    for one in consumers:
        if not one.own:
            found.setdefault(one.kind, set()).add(one.thing)
    return {kind: len(things) for kind, things in sorted(found.items())}

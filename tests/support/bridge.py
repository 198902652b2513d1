"""Both sides of an event sync for tests, over every adapter: tables to fill and look at, and the ports over them.

An adapter joins the contract suite (tests/contract/bridge) by a class like :class:`DbApiWorld` and a line in
``WORLDS``. Kinds of columns: ``int``, ``text``, ``ci_text`` (case does not count), ``number`` (decimal(10,2)).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from icebridge_provider.engines.dbapi.database import DbApi
from icebridge_provider.engines.dbapi.queue import DbApiEventQueue
from icebridge_provider.engines.dbapi.source import DbApiRowSource
from icebridge_provider.engines.dbapi.target import DbApiSyncTarget
from icebridge_provider.exceptions import TransientError
from icebridge_provider.model.bridge import Access, BridgeEvent, Grant, Rights, Work
from icebridge_provider.model.event import LedgerEvent
from icebridge_provider.planning import event_rules
from icebridge_provider.ports import EventQueue, Ledger, RowSource, SyncTarget
from icebridge_provider.steps.sync_site import SyncOptions, SyncSite

Row = tuple[Any, ...]
COLUMNS = {"id": "int", "name": "text"}


class World(Protocol):
    """One combination of adapters; ``schema`` is the target's, ``origin`` the prefix of source tables."""

    schema: str
    origin: str
    queue: EventQueue
    source: RowSource
    target: SyncTarget

    def make_source(self, name: str, columns: Mapping[str, str], rows: Sequence[Row] = ()) -> None: ...

    def make_target(
        self, name: str, columns: Mapping[str, str], key: Sequence[str] = ("id",), rows: Sequence[Row] = ()
    ) -> None: ...

    def add(self, name: str, rows: Sequence[Row]) -> None:
        """Add rows to a source table."""

    def rows(self, name: str) -> list[Row]:
        """All rows of a target table, in order."""

    def expire(self, event_id: str) -> None:
        """Make a claim's time be over."""

    def redeliver(self, event_id: str) -> None:
        """Make an event pending again, whatever became of it."""

    def close(self) -> None: ...


class DbApiWorld:
    """SQLite files or two PostgreSQL databases."""

    def __init__(self, near: DbApi, far: DbApi, schema: str) -> None:
        self.schema = self.origin = schema
        self.near, self.far = near, far
        self.queue = DbApiEventQueue(near)
        self.source = DbApiRowSource(near)
        self.target = DbApiSyncTarget(far)

    def make_source(self, name: str, columns: Mapping[str, str], rows: Sequence[Row] = ()) -> None:
        self._make(self.near, name, columns, (), rows)

    def make_target(
        self, name: str, columns: Mapping[str, str], key: Sequence[str] = ("id",), rows: Sequence[Row] = ()
    ) -> None:
        self._make(self.far, name, columns, key, rows)

    def add(self, name: str, rows: Sequence[Row]) -> None:
        with self.near.transaction() as cursor:
            self._insert(cursor, self.near, name, rows)

    def rows(self, name: str) -> list[Row]:
        return sorted((tuple(row) for row in self.far.query(f"SELECT * FROM {_quoted(name)}")), key=repr)

    def expire(self, event_id: str) -> None:
        self._on_event("claimed_until = '2000-01-01T00:00:00.000000Z'", event_id)

    def redeliver(self, event_id: str) -> None:
        self._on_event("status = 'pending', claimed_by = ''", event_id)

    def close(self) -> None:
        self.near.close()
        self.far.close()

    def _on_event(self, change: str, event_id: str) -> None:
        with self.near.transaction() as cursor:
            mark = "?" if self.near.dialect == "sqlite" else "%s"
            cursor.execute(f"UPDATE bridge_events SET {change} WHERE event_id = {mark}", [event_id])

    def _make(
        self, database: DbApi, name: str, columns: Mapping[str, str], key: Sequence[str], rows: Sequence[Row]
    ) -> None:
        parts = [f"{_quoted(column)} {self._type(database, kind)}" for column, kind in columns.items()]
        parts += [f"PRIMARY KEY ({', '.join(map(_quoted, key))})"] if key else []
        with database.transaction() as cursor:
            if database.dialect == "postgres" and "ci_text" in columns.values():
                cursor.execute(
                    "CREATE COLLATION IF NOT EXISTS any_case"
                    " (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
                )
            cursor.execute(f"CREATE TABLE {_quoted(name)} ({', '.join(parts)})")
            self._insert(cursor, database, name, rows)

    def _insert(self, cursor: Any, database: DbApi, name: str, rows: Sequence[Row]) -> None:
        for row in rows:
            marks = ", ".join(["?" if database.dialect == "sqlite" else "%s"] * len(row))
            cursor.execute(f"INSERT INTO {_quoted(name)} VALUES ({marks})", list(row))

    def _type(self, database: DbApi, kind: str) -> str:
        lite = database.dialect == "sqlite"
        return {
            "int": "BIGINT",
            "text": "TEXT",
            "ci_text": "TEXT COLLATE NOCASE" if lite else "TEXT COLLATE any_case",
            "number": "DECIMAL(10,2)",
        }[kind]


@dataclass(kw_only=True)
class GivenRights:
    """Permissions that a test sets, and what was written down about them."""

    rights_now: Rights
    lines: list[dict[str, str]] = field(default_factory=list)

    def rights(self) -> Rights:
        return self.rights_now

    def audit(self, *, event_type: str, resource: str, action: str, detail: str = "") -> None:
        self.lines.append({"event_type": event_type, "resource": resource, "action": action, "detail": detail})


@dataclass(kw_only=True)
class Recorded:
    """A ledger that only remembers."""

    lines: list[LedgerEvent] = field(default_factory=list)

    def append_many(self, events: Sequence[LedgerEvent], lease: object = None) -> list[LedgerEvent]:
        self.lines += events
        return list(events)

    def events(self, plan_id: str | None = None, table: str | None = None, after: int = 0) -> Iterator[LedgerEvent]:
        yield from (line for line in self.lines if (line.plan_id, line.table) == (plan_id, table))


def once(call: Callable[[], Any]) -> Any:
    """Call without trying again."""
    return call()


def site_of(
    world: World, *, grants: Mapping[str, int] | None = None, ledger: Ledger | None = None,
    again: Callable[[Callable[[], Any]], Any] = once, **options: Any,
) -> SyncSite:  # fmt: skip
    """A sync over a world; ``grants``: table name → most deleted rows, written to.

    Without a ledger a world has one of its own, which ends with it.
    """
    given = tuple(
        Grant(table=f"{world.schema}.{name}", access=Access.READ_WRITE, max_delete_rows=most)
        for name, most in (grants or {"t": 1000}).items()
    )
    return SyncSite(
        queue=world.queue,
        source=world.source,
        target=world.target,
        permissions=GivenRights(rights_now=Rights(user="maria", grants=given)),
        options=SyncOptions(name="orders", **options),
        ledger=ledger or cast("Ledger", vars(world).setdefault("recorded", Recorded())),
        again=again,
    )


def an_event(world: World, event_id: str, operation: str = "INSERT", table: str = "t", **given: Any) -> BridgeEvent:
    """An event from source table ``s`` to a target table."""
    keys = () if operation == "INSERT" else ("id",)
    given = {"primary_keys": keys, "source_table": f"{world.origin}.s", **given}
    return BridgeEvent(event_id=event_id, operation=operation, target_table=f"{world.schema}.{table}", **given)


def work_of(world: World, event: BridgeEvent, *, most_deleted: int = 1000, strict: bool = False) -> Work:
    """Judge an event as the step does."""
    grant = Grant(table=event.target_table, access=Access.WRITE, max_delete_rows=most_deleted)
    table = world.target.table(event.target_table)
    return event_rules.work_of(event, table, world.source.columns(event.source_table), grant, strict=strict)[0]


def rows_of(world: World, work: Work, columns: Sequence[str] | None = None) -> Any:
    """Read what an event brings over."""
    filters = dict(work.event.filter_conditions)
    return world.source.read(work.event.source_table, "", list(columns or work.columns), filters)


class Between:
    """Stands before a port and asks ``before`` and ``after`` around each call; what they raise is what is seen."""

    def __init__(
        self,
        port: Any,
        before: Callable[[str], object] = lambda _: None,
        after: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._port, self._before, self._after = port, before, after

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._port, name)

        def asked(*given: Any, **named: Any) -> Any:
            self._before(name)
            answer = call(*given, **named)
            self._after(name)
            return answer

        return asked


def lost(name: str = "call") -> TransientError:
    """An answer that did not come."""
    return TransientError("IB-850", f"No answer to {name}.", remedy="Ask again.")


def sqlite_world(folder: Path) -> DbApiWorld:
    def at(name: str) -> DbApi:
        return DbApi(lambda: sqlite3.connect(folder / name, check_same_thread=False), "sqlite")

    return DbApiWorld(at("near.db"), at("far.db"), "main")


def postgres_world(address: str, schema: str = "public", busy_seconds: int = 10) -> DbApiWorld:
    """:param address: as ``PostgresServer.new_database`` gives it; both sides are in this one database."""
    import psycopg2

    where = address.replace("postgresql+psycopg2", "postgresql")

    def connect() -> Any:
        return psycopg2.connect(where, options=f"-c search_path={schema}")

    near, far = (DbApi(connect, "postgres", busy_seconds=busy_seconds) for _ in range(2))
    with near.transaction() as cursor:
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    return DbApiWorld(near, far, schema)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

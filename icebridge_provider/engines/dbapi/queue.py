"""The table ``bridge_events`` in SQLite or PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from icebridge_provider.engines.dbapi.database import DbApi, named
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model import codec
from icebridge_provider.model.bridge import BridgeEvent, EventStatus, Settled
from icebridge_provider.planning.events import stamped
from icebridge_provider.sql import bridge as sql

_JSON = {"primary_keys", "filter_conditions", "metadata"}
_TEXTS = {
    "operation",
    "source_table",
    "target_table",
    "warning",
    "error_message",
    "created_at",
    "processed_at",
    "claimed_by",
    "claimed_until",
}


class DbApiEventQueue:
    """An ``EventQueue``; lists and maps are kept as JSON texts, an event's id is the primary key.

    :param table: ``bridge_events`` or ``schema.bridge_events``.
    """

    def __init__(self, database: DbApi, table: str = "bridge_events") -> None:
        self._database = database
        self._table = named(table, 2)

    def create(self) -> None:
        """Make the table; one that is there already is success."""
        create_checked(self._database, self._table, sql.EVENT_COLUMNS)

    def emit(self, events: Sequence[BridgeEvent]) -> None:
        """Add events, all or none."""
        with self._database.transaction() as cursor:
            cursor.execute(sql.clock(self._table, self._dialect), [])
            for event in stamped(events, _next(*cursor.fetchone())):
                cursor.execute(sql.insert_event(self._table, self._dialect), _values(event))
                if cursor.rowcount == 0:
                    self._refuse_other(cursor, event)

    def waiting(self) -> tuple[int, str]:
        """How many events can be claimed, and a mark of just this set."""
        row = self._database.query(sql.waiting(self._table, self._dialect))[0]
        return int(row[0]), codec.digest([str(value) for value in row])

    def waiting_events(self, limit: int) -> list[BridgeEvent]:
        """Events that can be claimed, by priority, time and id."""
        return _events(self._database.query(sql.waiting_events(self._table, self._dialect), [limit]))

    def ahead(self, tables: Sequence[str], limit: int) -> list[BridgeEvent]:
        """The earliest open events of each target table."""
        statement = sql.ahead(self._table, len(tables), self._dialect)
        return _events(self._database.query(statement, [*tables, limit])) if tables else []

    def claim(self, events: Sequence[BridgeEvent], owner: str, seconds: float) -> list[BridgeEvent]:
        """Make events ours, unless another was quicker."""
        ids = sorted({event.event_id for event in events})
        if not ids:
            return []
        with self._database.transaction() as cursor:
            cursor.execute(sql.claim(self._table, len(ids), self._dialect), [owner, seconds, *ids])
            cursor.execute(sql.claimed(self._table, self._dialect), [owner])
            return _events(cursor.fetchall())

    def finish(self, settled: Sequence[tuple[BridgeEvent, Settled]]) -> None:
        """Write how claimed events ended."""
        statement = sql.finish(self._table, self._dialect)
        self._change(statement, [[*_outcome(end), *_claim(event)] for event, end in settled])

    def give_back(self, events: Sequence[BridgeEvent], message: str, *, tried: bool = True) -> None:
        """Make claimed events pending again."""
        statement = sql.give_back(self._table, self._dialect)
        self._change(statement, [[message, 0 if tried else 1, *_claim(event)] for event in events])

    def note(self, warnings: Mapping[str, str]) -> None:
        """Write the warnings of pending events."""
        self._change(sql.note(self._table, self._dialect), [[text, name] for name, text in sorted(warnings.items())])

    def release(self, event_id: str, rows: int) -> None:
        """Let a blocked DELETE run again."""
        if not self._change(sql.release(self._table, self._dialect), [[rows, event_id]]):
            raise _not_blocked(event_id)

    def reject(self, event_id: str, message: str) -> None:
        """End a blocked event; one that is rejected already is success."""
        if self._change(sql.reject(self._table, self._dialect), [[message, event_id]]):
            return
        event = self.event(event_id)
        if event is None or event.status is not EventStatus.REJECTED:
            raise _not_blocked(event_id)

    def events(self, status: str = "", limit: int = 100) -> list[BridgeEvent]:
        """Events, newest first."""
        statement = sql.events(self._table, self._dialect, by="status" if status else "")
        return _events(self._database.query(statement, [status, limit] if status else [limit]))

    def event(self, event_id: str) -> BridgeEvent | None:
        """One event, None when there is none."""
        statement = sql.events(self._table, self._dialect, by="event_id")
        return next(iter(_events(self._database.query(statement, [event_id, 1]))), None)

    @property
    def _dialect(self) -> str:
        return self._database.dialect

    def _change(self, statement: str, changes: Iterable[Sequence[Any]]) -> int:
        """Run a statement with each set of values, in one transaction; how many rows it changed."""
        changed = 0
        with self._database.transaction() as cursor:
            for values in changes:
                cursor.execute(statement, list(values))
                changed += max(cursor.rowcount, 0)
        return changed

    def _refuse_other(self, cursor: Any, event: BridgeEvent) -> None:
        cursor.execute(sql.events(self._table, self._dialect, by="event_id"), [event.event_id, 1])
        if any(found.payload != event.payload for found in _events(cursor.fetchall())):
            raise ConfigurationError(
                "IB-843",
                f"event_id {event.event_id!r} is used for another event in {'.'.join(self._table)}.",
                remedy="Give this event an id of its own.",
                event_id=event.event_id,
            )


def create_checked(database: DbApi, table: Sequence[str], columns: Sequence[str]) -> None:
    """Create a table of ours, or make sure that the one that is there has our columns.

    :raises ConfigurationError: IB-855 naming a column that it lacks.
    """
    with database.transaction() as cursor:
        if database.dialect == sql.POSTGRES:  # two that create one table at once would collide in the catalog
            cursor.execute(sql.creation_lock())
        cursor.execute(sql.create_table(table, columns, database.dialect))
        cursor.execute(sql.no_rows(table, database.dialect))
        found = {item[0] for item in cursor.description}
    missing = [name for name in columns if name not in found]
    if missing:
        raise ConfigurationError(
            "IB-855",
            f"Table {'.'.join(table)} is there but has no column {missing[0]!r}: it is not ours.",
            remedy="Choose another table name, or rename that table.",
            table=".".join(table),
        )


def _values(event: BridgeEvent) -> list[Any]:
    plain = codec.to_json(event)
    return [codec.canonical(plain[name]) if name in _JSON else plain[name] for name in sql.EVENT_COLUMNS]


def _outcome(end: Settled) -> list[Any]:
    return [
        end.status.value, end.rows_affected, end.discrepancy, end.warning, end.error_message
    ]  # fmt: skip


def _next(now: str, newest: str | None) -> str:
    """Return the time for the next event: now, or just after the newest where the clock is too coarse."""
    if newest is None or newest < now:
        return now
    try:
        return (datetime.fromisoformat(newest) + timedelta(microseconds=1)).isoformat()
    except ValueError:  # somebody else wrote it
        return now


def _claim(event: BridgeEvent) -> list[Any]:
    return [event.event_id, event.claimed_by, event.attempt]


def _events(rows: Iterable[Sequence[Any]]) -> list[BridgeEvent]:
    return [_event(dict(zip(sql.EVENT_COLUMNS, row, strict=True))) for row in rows]


def _event(row: dict[str, Any]) -> BridgeEvent:
    """Read a row; columns that somebody else left NULL take their defaults.

    One whose lists or maps cannot be read still becomes an event, which fails: the others go on.
    """
    plain = {name: value for name, value in row.items() if name not in _JSON}
    plain |= {name: row[name] or "" for name in _TEXTS}
    plain |= {name: row[name] or 0 for name in ("priority", "attempt")}
    known = (row["status"] or "pending") in set(EventStatus)
    plain["status"] = EventStatus(row["status"] or "pending") if known else EventStatus.FAILED
    try:
        return BridgeEvent(**plain, **_parsed(row))
    except (ValueError, AttributeError, TypeError, RecursionError):
        why = "primary_keys must be a JSON list of texts, filter_conditions and metadata JSON objects of texts"
        return BridgeEvent(**plain, unreadable=why)


def _parsed(row: Mapping[str, Any]) -> dict[str, Any]:
    keys = json.loads(row["primary_keys"] or "[]")
    if not isinstance(keys, list) or not all(isinstance(name, str) for name in keys):
        raise ValueError(keys)
    maps = {name: json.loads(row[name] or "{}") for name in ("filter_conditions", "metadata")}
    if not all(isinstance(text, str) for value in maps.values() for text in value.values()):
        raise ValueError(maps)
    return {"primary_keys": tuple(keys), **maps}


def _not_blocked(event_id: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-854",
        f"There is no blocked event {event_id[:80]!r}.",
        remedy="List events with `icebridge events status`; only blocked ones are released or rejected.",
        event_id=event_id[:255],
    )

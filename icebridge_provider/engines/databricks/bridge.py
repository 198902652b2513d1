"""The events table in a Databricks workspace: one statement for each claim, and one for each batch of endings."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import uniform
from typing import Any, Protocol

from icebridge_provider.exceptions import ConfigurationError, IceBridgeError
from icebridge_provider.model import codec
from icebridge_provider.model.bridge import BridgeEvent, EventStatus, Settled
from icebridge_provider.model.identifier import split_parts
from icebridge_provider.sql import databricks_bridge as sql

TRIES = 6  # other workers write the same table at the same moment
AT_ONCE = 1000  # ids a statement names
_EXISTS = "ALREADY_EXISTS"
_MISSING = "IB-243"
_CLASHES = ("CONCURRENT", "COMMIT_CONFLICT", "COMMITFAILED", "CONFLICT")
_NAMES = [name for name, _ in sql.COLUMNS]
_NUMBERS = {"priority", "rows_expected", "rows_affected", "discrepancy", "attempt", "released_rows"}
_TIMES = {"created_at", "processed_at", "claimed_until"}
_MAPS = {"filter_conditions", "metadata"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Answer(Protocol):
    """All rows of a statement, every value a text."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names."""

    @property
    def rows(self) -> tuple[tuple[str | None, ...], ...]:
        """Rows."""


class Warehouse(Protocol):
    """Where statements run."""

    def run(self, what: str, statement: str, values: Mapping[str, str] | None = None, *, right: str = "") -> Answer:
        """Run a statement to its end and return all its rows."""


class WorkspaceEventQueue:
    """The port :class:`~icebridge_provider.ports.EventQueue` over a SQL warehouse; times are by the warehouse's clock.

    :param warehouse: the principal needs ``SELECT`` and ``MODIFY`` on the table, and ``CREATE TABLE`` on its schema
        when it is not there.
    :param table: ``catalog.schema.table``.
    :param pause_seconds: about how long it waits, at first, for others who write at the same moment.
    """

    def __init__(self, warehouse: Warehouse, table: str, pause_seconds: float = 0.5) -> None:
        self._warehouse = warehouse
        self._pause = pause_seconds
        self.name = table
        self._parts = table_parts(table)

    # Making it, and putting events in

    def create(self) -> None:
        """Make the table, or add our columns to one that has its maker's only.

        :raises ConfigurationError: IB-870 when a table of that name lacks another column.
        """
        try:
            self._checked()
        except ConfigurationError as error:
            if error.code != _MISSING:
                raise
            self._create()
            self._checked()

    def emit(self, events: Sequence[BridgeEvent]) -> None:
        """Add events, all or none.

        :raises ConfigurationError: IB-843 when an id is used for another payload.
        """
        asked: dict[str, BridgeEvent] = {}
        for event in events:
            if asked.setdefault(event.event_id, event).payload != event.payload:
                raise self._other_payload(event.event_id)
        if not asked:
            return
        if len(self._refuse_other(asked)) == len(asked):
            return
        rows = [_sent(event) | {"place": place} for place, event in enumerate(asked.values())]
        self._write("emit events", sql.insert_events(self._parts), {"events": _json(rows)})
        self._refuse_other(asked)  # another's event may have come under the same id meanwhile

    def _create(self) -> None:
        try:
            self._write(f"create {self.name}", sql.create_events(self._parts), {}, right="CREATE TABLE on its schema")
        except ConfigurationError as error:
            if _EXISTS not in str(error.facts.get("error_class", "")):
                raise

    def _checked(self) -> None:
        found = set(self._read(f"look at {self.name}", sql.no_rows(self._parts)).columns)
        missing = [name for name in _NAMES if name not in found]
        foreign = [name for name in missing if name not in sql.ADDED]
        if foreign:
            raise ConfigurationError(
                "IB-870",
                f"Table {self.name} is there but has no column {foreign[0]!r}: it holds no events.",
                remedy="Name another table for the events, or rename that one.",
                table=self.name,
            )
        if missing:
            statement = sql.add_columns(self._parts, missing)
            self._write(f"add columns to {self.name}", statement, {}, right=f"MODIFY on {self.name}")

    def _refuse_other(self, asked: Mapping[str, BridgeEvent]) -> list[BridgeEvent]:
        """Return those that are there, with the payload that is asked for."""
        found = self._by_id(list(asked))
        for event in found:
            if event.unreadable or event.payload != asked[event.event_id].payload:
                raise self._other_payload(event.event_id)
        return found

    # Taking events out

    def waiting(self) -> tuple[int, str]:
        """How many events can be claimed, and a mark of just this set."""
        row = self._read("look for events", sql.waiting(self._parts)).rows[0]
        return int(row[0] or 0), codec.digest([str(value) for value in row])

    def waiting_events(self, limit: int) -> list[BridgeEvent]:
        """Events that can be claimed, by priority, time and id."""
        return self._events("look for events", sql.waiting_events(self._parts, limit))

    def ahead(self, tables: Sequence[str], limit: int) -> list[BridgeEvent]:
        """The earliest open events of each target table."""
        if not tables:
            return []
        return self._events("look for events", sql.ahead(self._parts, limit), {"tables": _json(list(tables))})

    def claim(self, events: Sequence[BridgeEvent], owner: str, seconds: float) -> list[BridgeEvent]:
        """Make events ours, unless another was quicker."""
        ids = sorted({event.event_id for event in events})
        if not ids:
            return []
        values = {"ids": _json(ids), "owner": owner, "micros": str(round(seconds * 1_000_000))}
        self._write("claim events", sql.claim(self._parts), values)
        return self._events("read the claim", sql.claimed(self._parts), {"owner": owner})

    # How they ended

    def finish(self, settled: Sequence[tuple[BridgeEvent, Settled]]) -> None:
        """Write how claimed events ended, in one statement."""
        ends = {_claim_key(event): {**_claim_of(event), **_end_of(end)} for event, end in settled}
        if ends:
            self._write("write how events ended", sql.finish(self._parts), {"ends": _json(list(ends.values()))})

    def give_back(self, events: Sequence[BridgeEvent], message: str, *, tried: bool = True) -> None:
        """Make claimed events pending again, in one statement."""
        claims = {_claim_key(event): _claim_of(event) for event in events}
        if claims:
            values = {"events": _json(list(claims.values())), "message": message}
            self._write("give events back", sql.give_back(self._parts, tried=tried), values)

    def note(self, warnings: Mapping[str, str]) -> None:
        """Write the warnings of pending events, in one statement."""
        notes = [{"event_id": event_id, "warning": text} for event_id, text in sorted(warnings.items())]
        if notes:
            self._write("write warnings", sql.note(self._parts), {"notes": _json(notes)})

    def release(self, event_id: str, rows: int) -> None:
        """Let a blocked DELETE run again; one that was released for as many rows already is success.

        :raises ConfigurationError: IB-871 when there is no such blocked event.
        """
        self._decide(event_id, sql.release(self._parts), {"rows": str(int(rows))})
        event = self.event(event_id)
        if event is None or event.status is EventStatus.BLOCKED or event.released_rows != rows:
            raise self._not_blocked(event_id)

    def reject(self, event_id: str, message: str) -> None:
        """End a blocked event; one that is rejected already is success.

        :raises ConfigurationError: IB-871 when there is no such blocked event.
        """
        self._decide(event_id, sql.reject(self._parts), {"message": message})
        event = self.event(event_id)
        if event is None or event.status is not EventStatus.REJECTED:
            raise self._not_blocked(event_id)

    def _decide(self, event_id: str, statement: str, values: Mapping[str, str]) -> None:
        event = self.event(event_id)
        if event is not None and event.status is EventStatus.BLOCKED:
            self._write("decide on a blocked event", statement, {"event_id": event_id, **values})

    # Looking

    def events(self, status: str = "", limit: int = 100) -> list[BridgeEvent]:
        """Events, newest first."""
        statement = sql.events(self._parts, limit, of_status=bool(status))
        return self._events("list events", statement, {"status": status} if status else {})

    def event(self, event_id: str) -> BridgeEvent | None:
        """One event, None when there is none."""
        return next(iter(self._by_id([event_id])), None)

    def _by_id(self, ids: Sequence[str]) -> list[BridgeEvent]:
        found: list[BridgeEvent] = []
        for start in range(0, len(ids), AT_ONCE):
            part = {"ids": _json(list(ids[start : start + AT_ONCE]))}
            found += self._events("read events", sql.events_by_id(self._parts), part)
        return found

    def _events(self, what: str, statement: str, values: Mapping[str, str] | None = None) -> list[BridgeEvent]:
        return unambiguous(_event(row) for row in self._read(what, statement, values).rows)

    def _read(self, what: str, statement: str, values: Mapping[str, str] | None = None) -> Answer:
        return self._warehouse.run(what, statement, dict(values or {}), right=f"SELECT on {self.name}")

    def _write(self, what: str, statement: str, values: Mapping[str, str], right: str = "") -> None:
        """Run a statement that changes rows, again when somebody else was faster: then it changed nothing."""
        for attempt in range(1, TRIES + 1):
            try:
                self._warehouse.run(what, statement, dict(values), right=right or f"MODIFY and SELECT on {self.name}")
            except IceBridgeError as error:
                if attempt == TRIES or not _clashed(error):
                    raise
                time.sleep(uniform(0.2, 1.0) * self._pause * attempt)  # noqa: S311 - jitter, nothing secret
            else:
                return

    def _other_payload(self, event_id: str) -> ConfigurationError:
        return ConfigurationError(
            "IB-843",
            f"event_id {event_id[:80]!r} is used for another event in {self.name}.",
            remedy="Give this event an id of its own.",
            event_id=event_id,
        )

    def _not_blocked(self, event_id: str) -> ConfigurationError:
        return ConfigurationError(
            "IB-871",
            f"{self.name} has no blocked event {event_id[:80]!r}.",
            remedy="List events with `icebridge events status`; only blocked ones are released or rejected.",
            event_id=event_id,
        )


def table_parts(name: str) -> tuple[str, ...]:
    """Take ``catalog.schema.table`` apart; parts with dots stand in backticks.

    :raises ConfigurationError: IB-872 for a text that is no such name.
    """
    try:
        parts = tuple(split_parts(name))
    except ValueError:
        parts = ()
    if len(parts) != 3:
        raise ConfigurationError(
            "IB-872",
            f"{name[:200]!r} names no table of a workspace.",
            remedy="Write catalog.schema.table; a part that holds dots, blanks or backticks stands in backticks.",
            table=name[:200],
        )
    return parts


def unambiguous(events: Iterable[BridgeEvent]) -> list[BridgeEvent]:
    """Return each id once: the table has no unique key, so an id may stand in it twice.

    Rows of one id that ask for the same are one event; where they differ nobody knows which is meant.
    """
    found: dict[str, BridgeEvent] = {}
    for event in events:
        first = found.setdefault(event.event_id, event)
        if first.payload != event.payload:
            found[event.event_id] = replace(first, unreadable="several rows of the events table have its event_id")
    return list(found.values())


def _clashed(error: IceBridgeError) -> bool:
    said = f"{error.facts.get('error_class', '')} {error.message}".upper()
    return not error.retryable and any(word in said for word in _CLASHES)


def _claim_key(event: BridgeEvent) -> tuple[str, str, int]:
    return event.event_id, event.claimed_by, event.attempt


def _claim_of(event: BridgeEvent) -> dict[str, Any]:
    return {"event_id": event.event_id, "claimed_by": event.claimed_by, "attempt": event.attempt}


def _end_of(end: Settled) -> dict[str, Any]:
    return {
        "status": end.status.value,
        "rows_affected": end.rows_affected,
        "discrepancy": end.discrepancy,
        "warning": end.warning,
        "error_message": end.error_message,
    }


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _sent(event: BridgeEvent) -> dict[str, Any]:
    plain: dict[str, Any] = codec.to_json(event)
    times = {name: _micros(plain[name]) for name in _TIMES}
    return {name: times.get(name, plain[name]) for name in _NAMES}


def _micros(text: str) -> int | None:
    if not text:
        return None
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def _event(row: Sequence[str | None]) -> BridgeEvent:
    """Read a row; columns that somebody else left NULL take their defaults."""
    texts = dict(zip(_NAMES, row, strict=True))
    plain: dict[str, Any] = {name: texts[name] or "" for name in _NAMES if name not in _NUMBERS | _TIMES | _MAPS}
    plain |= {name: None if texts[name] is None else int(str(texts[name])) for name in _NUMBERS}
    plain |= {name: _iso(texts[name]) for name in _TIMES}
    plain |= {name: plain[name] or 0 for name in ("priority", "attempt")}
    problem = _parse(plain, texts)
    try:
        plain["status"] = EventStatus(plain["status"])
    except ValueError:
        plain["status"], problem = EventStatus.FAILED, f"its status {plain['status'][:40]!r} is none"
    return BridgeEvent(**plain, unreadable=problem)


def _parse(plain: dict[str, Any], texts: Mapping[str, str | None]) -> str:
    """Put lists and maps in; return what cannot be understood. A NULL in a filter is not dropped: it would widen it."""
    keys = json.loads(texts["primary_keys"] or "[]")
    maps = {name: json.loads(texts[name] or "{}") or {} for name in _MAPS}
    nulls = [name for name, value in maps.items() if None in value.values()]
    plain["primary_keys"] = tuple(key for key in keys if key is not None)
    plain |= {name: {key: text or "" for key, text in value.items()} for name, value in maps.items()}
    if None in keys:
        return "primary_keys holds a NULL"
    return "filter_conditions holds a NULL" if "filter_conditions" in nulls else ""


def _iso(micros: str | None) -> str:
    if micros is None:
        return ""
    found = _EPOCH + timedelta(microseconds=int(micros))
    return found.isoformat(timespec="microseconds").replace("+00:00", "Z")

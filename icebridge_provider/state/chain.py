"""The hash chain over events: how a line is hashed, stored, read back and checked.

``hash = sha256(previous hash + canonical JSON of the event without "hash" and "previous")``, in hexadecimal; the
first event's previous hash is 64 zeros. A line changed, removed, inserted or moved breaks the chain at its place; the
head row (count and last hash) shows that the end was cut off.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from icebridge_provider.model import codec
from icebridge_provider.model.event import Actor, LedgerEvent, Outcome, Step

START = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainReport:
    """What a check of the chain found: how many events, the last hash, and each break in words."""

    events: int
    head: str
    problems: tuple[str, ...]

    @property
    def intact(self) -> bool:
        """True when no event was changed, inserted, removed or cut off."""
        return not self.problems


def chained(events: Iterable[LedgerEvent], seq: int, previous: str, at: str) -> Iterator[LedgerEvent]:
    """Number, time and chain events that follow event ``seq`` with hash ``previous``."""
    for item in events:
        seq += 1
        data = json.loads(codec.canonical(item.data))
        placed = replace(item, seq=seq, at=at, previous=previous, data=data, hash="")
        previous = line_hash(line(placed))
        yield replace(placed, hash=previous)


def line(item: LedgerEvent) -> dict[str, Any]:
    """Return the event as the plain values that are hashed, backed up and bundled."""
    return {
        "seq": item.seq,
        "at": item.at,
        "plan_id": item.plan_id,
        "table": item.table,
        "step": item.step.value,
        "outcome": item.outcome.value,
        "who": item.actor.who,
        "origin": item.actor.origin,
        "epoch": item.epoch,
        "data": item.data,
        "previous": item.previous,
        "hash": item.hash,
    }


def line_hash(values: Mapping[str, Any]) -> str:
    """Return the hash that belongs to a line.

    :raises ValueError: when the line is no JSON.
    """
    content = {key: value for key, value in values.items() if key not in {"hash", "previous"}}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256((values["previous"] + text).encode()).hexdigest()


def event_of(values: Mapping[str, Any]) -> LedgerEvent:
    """Return the event of a line.

    :raises ValueError: when the line is none.
    :raises KeyError: when a part is missing.
    """
    return LedgerEvent(
        plan_id=values["plan_id"],
        table=values["table"],
        step=Step(values["step"]),
        outcome=Outcome(values["outcome"]),
        actor=Actor(who=values["who"], origin=values["origin"]),
        data=values["data"],
        epoch=values["epoch"],
        seq=values["seq"],
        at=values["at"],
        previous=values["previous"],
        hash=values["hash"],
    )


def link(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is left of a line that only holds the chain together: its content stays at home."""
    return {name: values[name] for name in ("seq", "previous", "hash")}


def stored(item: LedgerEvent) -> dict[str, Any]:
    """Return the event as a row of the table of events."""
    values = line(item)
    return values | {"table_name": values.pop("table"), "data": codec.canonical(item.data)}


def read(row: Any) -> LedgerEvent:
    """Return the event of a row."""
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
    return event_of(values | {"table": values["table_name"], "data": json.loads(values["data"])})


def row_line(row: Any, *, trusted: bool = True) -> dict[str, Any]:
    """Return a row as a line.

    :param trusted: refuse data that is not the one spelling of a JSON value; else it becomes an empty object.
    :raises ValueError: when trusted data cannot be read.
    """
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
    try:
        data = _canonical(values["data"])
    except (ValueError, TypeError):
        if trusted:
            raise
        data = {}
    return values | {"table": values.pop("table_name"), "data": data}


def _canonical(text: str) -> Any:
    """Read JSON that is spelled in the one way, so that not even a blank can be added unseen."""
    data = json.loads(text)
    if codec.canonical(data) != text:
        raise ValueError("data is not canonical JSON")
    return data


@dataclass(slots=True, kw_only=True)
class ChainCheck:
    """Walks over lines and links, oldest first, and finds breaks. ``seq`` and ``hash`` are of the last one seen."""

    seq: int = 0
    hash: str = START
    count: int = 0

    def row_problems(self, row: Any) -> Iterator[str]:
        """Say what is wrong with the next row of the table of events."""
        try:
            yield from self.problems(row_line(row))
        except (ValueError, TypeError):
            values = row_line(row, trusted=False)
            yield from self.problems(values | {"data": None})  # an empty object might be what was recorded

    def problems(self, values: Mapping[str, Any]) -> Iterator[str]:
        """Say what is wrong with the next line."""
        seq, self.count = int(values["seq"]), self.count + 1
        if seq != self.seq + 1:
            yield f"events {self.seq + 1} to {seq - 1} are missing before event {seq}"
        what = f"{values.get('step', 'of another plan')} {values.get('outcome', '')} {values.get('table', '')}".strip()
        if values["previous"] != self.hash:
            yield f"event {seq} ({what}) does not follow the event before it"
        if "data" in values and not fits(values):
            yield f"event {seq} ({what}) was changed after it was recorded"
        self.seq, self.hash = seq, str(values["hash"])

    def end(self, heads: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        """Say whether the head row fits the last line."""
        if [(head["id"], head["seq"], head["hash"]) for head in heads] != [(1, self.seq, self.hash)]:
            at = f"stands at event {heads[0]['seq']}" if heads else "is missing"
            yield f"the record ends at event {self.seq}, but its head {at}: its end was cut off, added to or changed"


def fits(values: Mapping[str, Any]) -> bool:
    """Say whether a line still has the hash it was recorded with."""
    try:
        return bool(line_hash(values) == values["hash"])
    except (ValueError, TypeError):
        return False

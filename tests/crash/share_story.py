"""Random stories of a table that is shared with Snowflake, and what its rows must be: a model of its own.

Nothing of the product is asked what rows are right: the model is a multiset of rows and three lines for each mode.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import pyarrow as pa

from icebridge_provider.model.snowflake import Mode, Publish, SourceColumn

Given = tuple[int, str | None, int | None]  # a row of the source: id, name, microseconds
Row = tuple[int, str | None, int | None, str | None]  # of the target: also a note of its own
COLUMNS = tuple(
    SourceColumn(name=name, type=kind) for name, kind in (("id", "bigint"), ("name", "string"), ("at", "timestamp"))
)
SHAPE = pa.schema([("id", pa.int64()), ("name", pa.string()), ("at", pa.timestamp("us", "UTC"))])
TARGET = '"id" NUMBER(19,0), "name" VARCHAR, "at" TIMESTAMP_LTZ(6), "note" VARCHAR'
WAYS = (
    (Mode.APPEND, Publish.REWRITE), (Mode.REPLACE, Publish.REWRITE), (Mode.REPLACE, Publish.SWAP),
    (Mode.UPSERT, Publish.REWRITE),
)  # fmt: skip
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One run of a story: what the source holds then, and how it goes into the target.

    :param limit: more rows than there are; the target's comment says LIMITED all the same.
    :param cancelled: somebody cancels it once, while a statement runs.
    """

    run_id: str
    mode: Mode
    publish: Publish
    rows: tuple[Given, ...]
    parts: int = 1
    limit: int | None = None
    cancelled: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        return ("id",) if self.mode is Mode.UPSERT else ()

    def table(self) -> pa.Table:
        """What the source holds."""
        cells = [list(cells) for cells in zip(*self.rows, strict=True)] or [[] for _ in SHAPE]
        arrays = [pa.array(cell, field.type) for cell, field in zip(cells, SHAPE, strict=True)]
        return pa.table(arrays, schema=SHAPE)


@dataclass(frozen=True, kw_only=True)
class Story:
    """A target with some rows or none at all, and runs that follow one another."""

    seed: int
    begins: tuple[Row, ...] | None
    turns: tuple[Turn, ...]

    def rows_before(self, number: int) -> Counter[Row]:
        """The target's rows before a turn."""
        rows = Counter(self.begins or ())
        for turn in self.turns[:number]:
            rows = rows_after(rows, turn)
        return rows


def rows_after(before: Counter[Row], turn: Turn) -> Counter[Row]:
    """What the target holds after a run, once."""
    given: Counter[Row] = Counter((*row, None) for row in turn.rows)
    if turn.mode is Mode.APPEND:
        return before + given
    if turn.mode is Mode.REPLACE:
        return given
    notes = {row[0]: row[3] for row in before}
    named = {row[0] for row in turn.rows}
    kept = Counter({row: count for row, count in before.items() if row[0] not in named})
    return kept + Counter((*row, notes.get(row[0])) for row in turn.rows)


def story_of(seed: int, turns: int = 2) -> Story:
    """The story of a seed; the first four seeds begin with one way each."""
    chance = Random(f"share {seed}")
    ways = [WAYS[seed % len(WAYS)], *(chance.choice((*WAYS, WAYS[2], WAYS[2])) for _ in range(turns - 1))]
    unique = any(mode is Mode.UPSERT for mode, _ in ways)
    begins = _begin(chance) if chance.random() < 0.7 else None
    taken = {row[0] for row in begins or ()}
    made = []
    for number, (mode, publish) in enumerate(ways):
        apart = unique and mode is Mode.APPEND  # an upsert wants keys that are on one row of the target
        rows = tuple(_given(chance, taken if apart else set()))
        taken |= {row[0] for row in rows}
        made.append(
            Turn(
                run_id=f"run__{seed}/{number} {chance.choice(('a', 'ü', '2026-11-21T00:00:00+00:00'))}",
                mode=mode, publish=publish, rows=rows, parts=chance.choice((1, 1, 2, 3)),
                limit=chance.choice((None, 1000)), cancelled=chance.random() < 0.4,
            )
        )  # fmt: skip
    return Story(seed=seed, begins=begins, turns=tuple(made))


def instants(values: Iterable[Any]) -> tuple[Any, ...]:
    """Times of a row as microseconds since 1970."""
    return tuple(
        (value - EPOCH) // dt.timedelta(microseconds=1) if isinstance(value, dt.datetime) else value for value in values
    )


def differ(found: Counter[Row], wanted: Counter[Row]) -> str:
    """In words, what is otherwise; empty when nothing is."""
    if found == wanted:
        return ""
    lost, more = wanted - found, found - wanted
    return f"{lost.total()} rows are lost {_some(lost)}, {more.total()} are there that should not be {_some(more)}"


def _some(rows: Counter[Row]) -> Sequence[Any]:
    return [(row[0], count) for row, count in list(rows.items())[:4]]


def _begin(chance: Random) -> tuple[Row, ...]:
    return tuple((*row, f"kept {row[0]}") for row in _given(chance, set()))


def _given(chance: Random, taken: set[int]) -> list[Given]:
    free = [number for number in range(60) if number not in taken]
    count = chance.choice((0, 1, 5, 5, 12, 12, 20, 20))
    return [_row(chance, number) for number in sorted(chance.sample(free, min(count, len(free))))]


def _row(chance: Random, number: int) -> Given:
    name = chance.choice((None, "", "ü", "o'clock", f"n{number}", "a,b\n"))
    return number, name, chance.choice((None, 0, -1, chance.randint(-(10**15), 10**15)))

"""Cuts a plan into waves that Airflow can map and a person can stop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from icebridge_provider.model.plan import TablePlan, Wave


def cut(
    tables: Sequence[TablePlan], *, most_tables: int, most_bytes: int, canary_tables: int
) -> tuple[tuple[TablePlan, ...], tuple[Wave, ...]]:
    """Return the tables with their wave numbers, from 0, and the waves.

    Everything that fits one wave is one wave. Otherwise the first is a canary of the smallest tables, and the rest
    fill waves in order of source name. A table larger than ``most_bytes`` has a wave of its own.
    """
    ordered = sorted(tables, key=lambda table: table.source)
    groups = list(_fill(ordered, most_tables, most_bytes))
    canary = _canary(ordered, min(canary_tables, most_tables), most_bytes) if len(groups) > 1 else []
    if canary:
        chosen = {table.source for table in canary}
        rest = (table for table in ordered if table.source not in chosen)
        groups = [canary, *_fill(rest, most_tables, most_bytes)]
    numbered = tuple(replace(table, wave=number) for number, group in enumerate(groups) for table in group)
    return numbered, tuple(_wave(number, group, canary=group is canary) for number, group in enumerate(groups))


def _wave(number: int, group: Sequence[TablePlan], *, canary: bool) -> Wave:
    return Wave(number=number, tables=len(group), bytes=sum(table.bytes for table in group), canary=canary)


def _canary(tables: Iterable[TablePlan], most_tables: int, most_bytes: int) -> list[TablePlan]:
    """Return the smallest tables, in order of source name, as many as one wave holds."""
    smallest = sorted(tables, key=lambda table: (table.bytes, table.files, table.source))
    group = next(_fill(smallest[: max(most_tables, 0)], max(most_tables, 1), most_bytes), [])
    return sorted(group, key=lambda table: table.source)


def _fill(tables: Iterable[TablePlan], most_tables: int, most_bytes: int) -> Iterator[list[TablePlan]]:
    group: list[TablePlan] = []
    size = 0
    for table in tables:
        if group and (len(group) >= most_tables or size + table.bytes > most_bytes):
            yield group
            group, size = [], 0
        group.append(table)
        size += table.bytes
    if group:
        yield group

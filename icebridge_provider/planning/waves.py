"""Cuts a plan into waves that Airflow can map and a person can stop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from icebridge_provider.model.plan import TablePlan, Wave


def cut(
    tables: Sequence[TablePlan], *, most_tables: int, most_bytes: int, canary_tables: int
) -> tuple[tuple[TablePlan, ...], tuple[Wave, ...]]:
    """Return the tables with their wave numbers, and the waves.

    Everything that fits one wave is one wave. Otherwise the first is a canary of the smallest tables, and the rest
    fill waves in order of source name. A table larger than ``most_bytes`` has a wave of its own.
    """
    groups = list(_fill(tables, most_tables, most_bytes))
    if len(groups) > 1 and canary_tables > 0:
        smallest = sorted(tables, key=lambda table: (table.bytes, table.files, table.source))[:canary_tables]
        chosen = {table.source for table in smallest}
        rest = [table for table in tables if table.source not in chosen]
        groups = [sorted(smallest, key=lambda table: table.source), *_fill(rest, most_tables, most_bytes)]
    numbered = tuple(replace(table, wave=number) for number, group in enumerate(groups) for table in group)
    waves = tuple(
        Wave(
            number=number,
            tables=len(group),
            bytes=sum(table.bytes for table in group),
            canary=number == 0 and len(groups) > 1 and canary_tables > 0,
        )
        for number, group in enumerate(groups)
    )
    return numbered, waves


def _fill(tables: Iterable[TablePlan], most_tables: int, most_bytes: int) -> Iterable[list[TablePlan]]:
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

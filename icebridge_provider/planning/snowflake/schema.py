"""Fits a Databricks table's columns to a Snowflake table, before a byte moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.snowflake import (
    CarriedColumn,
    Mode,
    SchemaChange,
    SchemaPlan,
    SnowflakeColumn,
    SourceColumn,
)
from icebridge_provider.planning.snowflake.names import file_columns
from icebridge_provider.planning.snowflake.types import Way, kind_of, takes, way_of, widened
from icebridge_provider.sql.identifiers import quoted

SHOWN = 10
_NO_KEY = frozenset({"FLOAT", "VARIANT", "ARRAY", "OBJECT"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaOptions:
    """What may change. ``upper`` writes the names of new columns in capitals, so that they need no quotes."""

    upper: bool = False
    add_columns: bool = True
    widen_columns: bool = True


def fit_columns(
    source: Sequence[SourceColumn],
    target: Sequence[SnowflakeColumn] | None,
    options: SchemaOptions = SchemaOptions(),  # noqa: B008 - frozen
    where: str = "the table",
) -> SchemaPlan:
    """Return how every column is carried, and what the target lacks; ``target`` None is created.

    :raises ConfigurationError: IB-905 naming every column that cannot be kept, IB-906 every one of the target that
        cannot take it.
    """
    ways = _ways(source, where)
    wrong: list[str] = []
    columns, changes, used = [], [], set()
    for column, file_name in zip(source, file_columns(item.name for item in source), strict=True):
        way = ways[column.name]
        there = _find(target or (), column.name)
        if isinstance(there, str):
            wrong.append(there)
            continue
        used.add(there.name if there else "")
        made = _carry(column, file_name, way, there, options)
        change = _change(made, way, there, created=target is None, options=options)
        if isinstance(change, str):
            wrong.append(change)
            continue
        columns.append(replace(made, target_type=change.type) if change else made)
        changes += [change] if change else []
    wrong += _clashes(columns)
    unfilled = [item for item in target or () if item.name not in used]
    wrong += [
        f"column {_shown(item.name)} of the target is NOT NULL, has no default and is not in the source"
        for item in unfilled
        if not item.nullable and not item.has_default
    ]
    _refuse_unfit_target(wrong, where)
    return SchemaPlan(
        columns=tuple(columns), changes=tuple(changes), unfilled=tuple(sorted(item.name for item in unfilled))
    )


def key_columns(
    plan: SchemaPlan, keys: Sequence[str], mode: Mode, target: Sequence[SnowflakeColumn] = ()
) -> tuple[CarriedColumn, ...]:
    """Return the columns that identify a row.

    :param keys: names as the source spells them.
    :raises ConfigurationError: IB-907 for an upsert without keys, a key that is no column, or one that cannot be
        compared exactly.
    """
    if mode is not Mode.UPSERT:
        return ()
    by_name = {item.source.lower(): item for item in plan.columns}
    collated = {item.name for item in target if item.collation}
    wrong = [] if keys else ["an upsert needs at least one key column"]
    for key in keys:
        found = by_name.get(key.lower())
        if found is None:
            wrong.append(f"the key {_shown(key)} is no column of the source")
        elif getattr(kind_of(found.target_type), "family", "") in _NO_KEY:
            wrong.append(f"the key {_shown(key)} is {found.target_type}, which cannot be compared exactly")
        elif found.target in collated:
            wrong.append(f"the key {_shown(key)} has a collation: other values would be equal than in the source")
    if len({key.lower() for key in keys}) < len(keys):
        wrong.append("a key is named twice")
    if wrong:
        raise ConfigurationError(
            "IB-907",
            f"The keys of the upsert do not fit: {'; '.join(wrong)}.",
            remedy="Name the columns that identify a row, or take the mode append or replace.",
            keys=", ".join(keys),
        )
    return tuple(by_name[key.lower()] for key in keys)


def _ways(source: Sequence[SourceColumn], where: str) -> dict[str, Way]:
    ways, wrong = {}, []
    for column in source:
        found = way_of(column.type)
        if isinstance(found, str):
            wrong.append(f"column {_shown(column.name)} is {column.type[:80]}: {found}")
        else:
            ways[column.name] = found
    often = Counter(column.name.lower() for column in source)
    wrong += [f"{count} columns are called {_shown(name)}" for name, count in often.items() if count > 1]
    if not source:
        wrong.append("it has no columns")
    if wrong:
        raise ConfigurationError(
            "IB-905",
            f"{where} cannot be shared as it is: {_listed(wrong)}.",
            remedy="Share a view that leaves these columns out or casts them.",
            table=where,
        )
    return ways


def _find(target: Sequence[SnowflakeColumn], name: str) -> SnowflakeColumn | str | None:
    exact = [item for item in target if item.name == name]
    found = exact or [item for item in target if item.name.lower() == name.lower()]
    if len(found) > 1:
        return f"{len(found)} columns of the target are called {_shown(name)} but for the case of letters"
    return found[0] if found else None


def _carry(
    column: SourceColumn, file_name: str, way: Way, there: SnowflakeColumn | None, options: SchemaOptions
) -> CarriedColumn:
    name = there.name if there else column.name.upper() if options.upper else column.name
    quoted(name, dialect="snowflake")
    now = kind_of(there.type) if there else None
    return CarriedColumn(
        source=column.name,
        source_type=column.type,
        file_name=file_name,
        staged_type=way.staged.sql,
        target=name,
        target_type=(now or way.target).sql,
        carried=way.carried,
        nullable=column.nullable,
        note=way.note,
    )


def _change(
    made: CarriedColumn, way: Way, there: SnowflakeColumn | None, *, created: bool, options: SchemaOptions
) -> SchemaChange | str | None:
    """Return what the target needs for one column, or why it cannot have it."""
    if there is None:
        kind = "create" if created else "add"
        if kind == "add" and not options.add_columns:
            return f"the target lacks column {_shown(made.target)}, and add_columns is off"
        return SchemaChange(kind=kind, column=made.target, type=made.target_type)
    now = kind_of(there.type)
    if now is not None and takes(now, way, made.source_type):
        return None
    longer = widened(now, way) if now is not None else None
    if longer is None or not options.widen_columns:
        off = ", and widen_columns is off" if longer else ""
        return f"column {_shown(there.name)} is {there.type} and cannot take every {made.source_type[:80]}{off}"
    return SchemaChange(kind="widen", column=there.name, type=longer.sql, before=there.type)


def _clashes(columns: Sequence[CarriedColumn]) -> list[str]:
    often = Counter(item.target for item in columns)
    return [f"{count} columns would be called {_shown(name)}" for name, count in often.items() if count > 1]


def _refuse_unfit_target(wrong: Sequence[str], where: str) -> None:
    if wrong:
        raise ConfigurationError(
            "IB-906",
            f"The Snowflake table cannot take {where}: {_listed(wrong)}.",
            remedy="Change these columns in Snowflake, share a view that casts them, or give the target another name.",
            table=where,
        )


def _listed(wrong: Sequence[str]) -> str:
    more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    return "; ".join(wrong[:SHOWN]) + more


def _shown(name: str) -> str:
    return repr(name[:80])

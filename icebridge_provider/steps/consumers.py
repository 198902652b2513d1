"""Who uses some tables, asked of everything that may know: Databricks' records, and the files of Airflow's DAGs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from icebridge_provider.catalogs.unity.catalog import UnityCatalog
from icebridge_provider.catalogs.unity.consumers import HISTORY, LINEAGE, VIEWS, UnityConsumers
from icebridge_provider.catalogs.unity.statements import Statements
from icebridge_provider.model.consumer import (
    DAG_FILE,
    STATEMENT,
    Bundle,
    Consumer,
    ConsumerReport,
    Knowledge,
    Known,
    counts,
)
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import MigrationPlan
from icebridge_provider.ports import Catalog
from icebridge_provider.sql.lineage import plain

DAGS = "DAG files"
DAYS = 90
MOST_FILES, MOST_BYTES = 20_000, 2_000_000
_ENDINGS = frozenset({".py", ".sql", ".yaml", ".yml", ".json", ".toml", ".j2", ".jinja", ".txt"})
_SKIPPED = frozenset({"__pycache__", "node_modules", "venv"})
_DAG_LIMITS = (
    "A name put together while a DAG runs (f-strings, Jinja, Variables, connections) is not in the files, and"
    " notebooks and programs outside the bundles are not looked at."
)
_RANK = {"writes": 0, "reads": 1, "mentions": 2}


def consumers_of(
    catalog: Catalog,
    tables: Sequence[TableIdentifier],
    bundles: Iterable[Bundle],
    days: int = DAYS,
    new_names: Mapping[TableIdentifier, str] | None = None,
    statements: Statements | None = None,
) -> ConsumerReport:
    """Ask every source for everybody who uses the tables. Nothing is changed; no refusal is an error.

    :param days: how far to look back.
    :param new_names: names after a migration, by table.
    :param statements: a warehouse for a catalog that has none of its own.
    """
    found = [*_recorded(catalog, tables, days, statements), dag_files(catalog, tables, bundles)]
    names = {spelled(catalog, table): (new_names or {}).get(table, "") for table in tables}
    merged = [replace(one, new_name=names.get(one.table, "")) for one in _merged(found)]
    return ConsumerReport(tables=names, days=days, consumers=tuple(merged), knowledge=tuple(found))


def spelled(catalog: Catalog, table: TableIdentifier) -> str:
    """Return a table's name as its consumers write it: with Unity Catalog's catalog, else without any."""
    if isinstance(catalog, UnityCatalog):
        return catalog.full_name(table)
    return ".".join((*table.namespace, table.name)).lower()


def new_names(plan: MigrationPlan, target: Catalog) -> dict[TableIdentifier, str]:
    """Return the names that a plan's tables will have for their consumers."""
    return {table.source: spelled(target, table.target) for table in plan.tables}


def warehouse_for(source: Catalog, target: Catalog) -> Statements | None:
    """Return the SQL warehouse to ask: the source's, or the target's of the same workspace when it names none."""
    if isinstance(source, UnityCatalog) and isinstance(target, UnityCatalog) and source.host == target.host:
        return source.statements if source.statements.warehouse_id else target.statements
    return None


def brief(
    catalog: Catalog, tables: Sequence[TableIdentifier], days: int = DAYS, statements: Statements | None = None
) -> str:
    """Return one line for who decides on a cut-over: counts by kind, or why they are not known. One statement.

    Empty for a catalog that keeps no record of its readers.
    """
    if not isinstance(catalog, UnityCatalog):
        return ""
    found = UnityConsumers(catalog, statements).lineage(tables, days)
    seen = ", ".join(_counted(number, kind) for kind, number in counts(found.consumers).items())
    if found.known is Known.ASKED:
        return f"{seen or 'none'} in the lineage of {days} days"
    why = f"not known: {found.reason}"
    return f"{seen} in the lineage of {days} days; more is {why}" if seen else why


def _counted(number: int, kind: str) -> str:
    plural = {"query": "queries"}.get(kind, f"{kind}s")
    return f"{number} {kind if number == 1 else plural}"


# Databricks' own records


def _recorded(
    catalog: Catalog, tables: Sequence[TableIdentifier], days: int, statements: Statements | None
) -> list[Knowledge]:
    if not isinstance(catalog, UnityCatalog):
        reason = f"{catalog.name} is no catalog of Unity Catalog: nobody records who uses its tables"
        remedy = "Ask those who run engines on it; their query logs know."
        return [
            Knowledge(source=name, known=Known.NOT_AVAILABLE, reason=reason, remedy=remedy)
            for name in (LINEAGE, HISTORY, VIEWS)
        ]
    unity = UnityConsumers(catalog, statements)
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(lambda ask: ask(tables, days), (unity.lineage, unity.history, unity.views)))


# Files of DAGs


def dag_files(catalog: Catalog, tables: Sequence[TableIdentifier], bundles: Iterable[Bundle]) -> Knowledge:
    """Search the files of DAG bundles for the tables' names, with the schema in front at least."""
    pattern, by_name = _search(catalog, tables)
    found: list[Consumer] = []
    problems: list[str] = []
    unreadable = 0
    for bundle in bundles:
        if bundle.folder is None or not bundle.folder.is_dir():
            problems.append(f"bundle {bundle.name}: {bundle.problem or 'its folder is not here'}")
            continue
        for place, text in _texts(bundle.folder):
            if text is None:
                unreadable += 1
            else:
                found += _mentions(f"{bundle.name}:{place}", text, pattern, by_name)
    if unreadable:
        problems.append(f"{unreadable:,} files are too large, too many or cannot be read")
    return Knowledge(
        source=DAGS,
        known=Known.PARTLY if problems else Known.ASKED,
        consumers=tuple(found),
        unreadable=unreadable,
        reason="; ".join(problems),
        remedy="Run it where the bundle's files are, as the DAG processor's user." if problems else "",
        limits=_DAG_LIMITS,
    )


def _search(catalog: Catalog, tables: Sequence[TableIdentifier]) -> tuple[re.Pattern[str], dict[str, tuple[str, str]]]:
    """One expression for all tables, and for each ``schema.table`` its full name and the catalog that must precede."""
    by_name: dict[str, tuple[str, str]] = {}
    for table in tables:
        full = spelled(catalog, table)
        home = full.partition(".")[0] if isinstance(catalog, UnityCatalog) else ""
        by_name[full.partition(".")[2] if home else full] = (full, home)
    names = "|".join(re.escape(name) for name in sorted(by_name, key=len, reverse=True))
    return re.compile(rf"(?:([\w-]+)\.|(?<![\w-]))({names or '(?!)'})(?![\w])"), by_name


def _texts(folder: Path) -> Iterator[tuple[str, str | None]]:
    """Files that may hold names, by their path in the bundle; None for one that is not read."""
    for count, path in enumerate(_files(folder), 1):
        place = path.relative_to(folder).as_posix()
        try:
            readable = count <= MOST_FILES and path.stat().st_size <= MOST_BYTES
            yield place, path.read_text(encoding="utf-8", errors="replace") if readable else None
        except OSError:
            yield place, None


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        yield from (Path(root, name) for name in sorted(names) if Path(name).suffix.lower() in _ENDINGS)


def _mentions(
    place: str, text: str, pattern: re.Pattern[str], by_name: Mapping[str, tuple[str, str]]
) -> Iterator[Consumer]:
    for number, line in enumerate(text.splitlines(), 1):
        for match in pattern.finditer(plain(line)):
            full, home = by_name[match[2]]
            if match[1] is None or not home or match[1] == home:
                yield Consumer(
                    table=full, kind=DAG_FILE, id=f"{place}:{number}", how="mentions", sources=(DAGS,)
                )  # fmt: skip


# Putting together


def _merged(knowledge: Iterable[Knowledge]) -> list[Consumer]:
    """One entry for what several sources tell of; a mention in a statement's text says less than lineage does."""
    found: dict[tuple[str, str, str, str], Consumer] = {}
    for one in sorted((one for source in knowledge for one in source.consumers), key=lambda one: _RANK[one.how]):
        key = _key(one, one.how)
        if one.how == "mentions" and one.kind != DAG_FILE:
            known = next((_key(one, how) for how in ("reads", "writes") if _key(one, how) in found), key)
            key = known
        found[key] = _joined(found[key], one) if key in found else one
    return sorted(found.values(), key=_order)


def _key(one: Consumer, how: str) -> tuple[str, str, str, str]:
    """Statements that no entity ran are told apart by who ran them: lineage does not say by which client."""
    return one.table, one.kind, one.who if one.kind == STATEMENT else one.id, how


def _joined(first: Consumer, second: Consumer) -> Consumer:
    newer = max((first, second), key=lambda one: one.last_seen)
    sources = tuple(dict.fromkeys((*first.sources, *second.sources)))
    return replace(
        first,
        id=_both(first.id, second.id) if first.kind == STATEMENT else first.id,
        who=newer.who or first.who,
        last_seen=newer.last_seen,
        times=max(first.times, second.times),
        sources=sources,
        own=first.own and second.own,
    )


def _both(first: str, second: str) -> str:
    return ", ".join(dict.fromkeys(part for part in (*first.split(", "), second) if part))


def _order(one: Consumer) -> tuple[str, bool, str, str, str]:
    return one.table, one.own, one.kind, one.id, one.how

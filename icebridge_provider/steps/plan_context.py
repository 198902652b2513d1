"""Reads what planning must know of both catalogs: names that are taken, folders, space, abilities, and past speed."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from icebridge_provider import __version__
from icebridge_provider.engines.local.faults import free_bytes
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError
from icebridge_provider.model.event import LedgerEvent, Outcome, Step
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.inventory import Inventory
from icebridge_provider.model.plan import CopyMethod, MigrationPlan, MigrationRequest
from icebridge_provider.planning.build import PlanContext, short_id, staged_name, targets_of
from icebridge_provider.planning.candidate import Capabilities, Occupant, PreflightContext
from icebridge_provider.planning.methods import DATABRICKS
from icebridge_provider.planning.unity_facts import UnityFacts
from icebridge_provider.ports import Catalog, Ledger
from icebridge_provider.stores.local import local_path

WORKERS = 8
PLANS_READ = 5
ENOUGH_BYTES = 100 * 1000**2  # less says more about start-up than about speed
_LIBRARIES = ("pyiceberg", "pyarrow", "apache-airflow")
_BY_KIND = {
    "sql": Capabilities(dotted_levels=False),
    "glue": Capabilities(plain_names=True, one_level=True),
    "hive": Capabilities(plain_names=True, one_level=True, longest_name=128),
    "unity": Capabilities(
        one_level=True,
        refused_characters=" ./",
        refused_types=frozenset({"uuid", "fixed", "time", "timestamp_ns", "timestamptz_ns"}),
        methods=DATABRICKS,
        applies_deletes=False,
        partition_transforms=False,
        checks_summaries=True,
    ),
}


def context_for(
    inventory: Inventory,
    request: MigrationRequest,
    source: Catalog,
    target: Catalog,
    plan_id: str,
    now: datetime,
    ledger: Ledger | None = None,
    advisory: frozenset[str] = frozenset(),
) -> PlanContext:
    """Read the target's state for the selected tables; only names that are taken are loaded.

    :param ledger: where the speed of earlier runs is looked up.
    :param advisory: rules that only warn.
    :raises ConfigurationError: IB-230, IB-310, IB-311 from selection and mapping; IB-205 when the target does not tell
        where tables go.
    """
    names = targets_of(inventory, request)
    wanted = list(names.values())
    locations = {table: _location(target, table, short_id(plan_id)) for table in wanted}
    staged = [staged_name(table, plan_id) for table in wanted]
    occupants = _occupants(target, [*wanted, *staged])
    checks = PreflightContext(
        plan_id=plan_id,
        source_writable=source.writable(),
        target_writable=target.writable(),
        occupants=occupants,
        capabilities=capabilities_of(target),
        free_bytes=_free(locations.values()),
        reads_source=not request.allow_zero_copy or _reads_source(inventory, target),
        now_ms=int(now.timestamp() * 1000),
        unity=_unity(
            source,
            target,
            names,
            [new for new, copy in zip(wanted, staged, strict=True) if {new, copy} & occupants.keys()],
        ),
        advisory=advisory,
    )
    return PlanContext(
        preflight=checks,
        locations=locations,
        versions=_versions(),
        measured_mb_s=measured_mb_s(ledger, request) if ledger is not None else None,
    )


def capabilities_of(target: Catalog) -> Capabilities:
    """Return what the target's kind of catalog takes; an unknown kind is taken at its word.

    Sources: Glue and Hive metastores keep names in lower case and have one level of namespaces, a Hive metastore's
    names end at 128 characters (Hive schema, TBLS.TBL_NAME varchar(256), limit of its object store 128); pyiceberg's
    SQL catalog joins levels by dots. Unity Catalog: object names hold no blank, dot or slash; managed Iceberg has no
    uuid, fixed, time and no computed partitions (Databricks' documentation of managed Iceberg tables).
    """
    return _BY_KIND.get(str(getattr(target, "kind", "")), Capabilities())


def measured_mb_s(ledger: Ledger, request: MigrationRequest) -> float | None:
    """Return the speed at which ``copy_files`` ran lately between these catalogs, None when too little was copied.

    Bytes copied over the time in which at least one table was being copied.
    """
    for plan_id in ledger.plans()[:PLANS_READ]:
        copies = [event for event in ledger.events(plan_id) if event.step is Step.COPY]
        speed = _speed(ledger.plan(plan_id), request, copies) if copies else None
        if speed is not None:
            return speed
    return None


def busy_seconds(spans: Iterable[tuple[float, float]]) -> float:
    """Return how long at least one of the spans lasted."""
    total, end = 0.0, float("-inf")
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


def _speed(plan: MigrationPlan, request: MigrationRequest, copies: Iterable[LedgerEvent]) -> float | None:
    same = (request.source_conn_id, request.target_conn_id)
    if (plan.request.source_conn_id, plan.request.target_conn_id) != same:
        return None
    cloned = {str(table.source) for table in plan.tables if table.method is CopyMethod.COPY_FILES}
    begun: dict[str, float] = {}
    moved, spans = 0, []
    for event in copies:
        at = datetime.fromisoformat(event.at).timestamp()
        if event.outcome is Outcome.STARTED and event.table in cloned:
            begun[event.table] = at
        elif event.outcome is Outcome.DONE and event.table in begun:
            moved += int(event.data.get("bytes_copied", 0))
            spans.append((begun.pop(event.table), at))
    seconds = busy_seconds(spans)
    return moved / 1000**2 / seconds if moved >= ENOUGH_BYTES and seconds > 0 else None


def _occupants(target: Catalog, wanted: Iterable[TableIdentifier]) -> dict[TableIdentifier, Occupant]:
    """Return who stands under the wanted names; names that differ only in case count as taken."""
    by_namespace: dict[tuple[str, ...], list[TableIdentifier]] = {}
    for table in wanted:
        by_namespace.setdefault(table.namespace, []).append(table)
    there = set(target.namespaces())
    namespaces = [namespace for namespace in by_namespace if namespace in there]
    with ThreadPoolExecutor(WORKERS) as pool:
        listed = dict(zip(namespaces, pool.map(target.tables, namespaces), strict=True))
        taken = [pair for namespace in namespaces for pair in _taken(by_namespace[namespace], listed[namespace])]
        found = pool.map(lambda pair: _occupant(target, pair[1]), taken)
        return {name: occupant for (name, _), occupant in zip(taken, found, strict=True)}


def _unity(
    source: Catalog,
    target: Catalog,
    names: Mapping[TableIdentifier, TableIdentifier],
    there: Collection[TableIdentifier],
) -> UnityFacts | None:
    """What a Databricks workspace tells of places and sources, None for a target that is elsewhere."""
    from icebridge_provider.catalogs.unity.catalog import UnityCatalog
    from icebridge_provider.catalogs.unity.preflight import ask

    if not isinstance(target, UnityCatalog) or target.is_foreign:
        return None
    return ask(source, target, names, there)


def _taken(
    wanted: Iterable[TableIdentifier], listed: Iterable[TableIdentifier]
) -> Iterator[tuple[TableIdentifier, TableIdentifier]]:
    exact = {table.name: table for table in listed}
    folded = {name.casefold(): table for name, table in exact.items()}
    for table in wanted:
        found = exact.get(table.name) or folded.get(table.name.casefold())
        if found is not None:
            yield table, found


def _occupant(target: Catalog, table: TableIdentifier) -> Occupant:
    try:
        loaded = target.load(table)
    except IceBridgeError as error:
        if error.code not in {"IB-204", "IB-637"}:
            raise
        told = error.facts  # an entry whose metadata is gone, or withheld because of masks, still has the name
        return Occupant(plan_id=str(told.get("plan_id", "")), source=str(told.get("source", "")))
    properties: Mapping[str, str] = loaded.properties if loaded else {}
    return Occupant(plan_id=properties.get("icebridge.plan-id", ""), source=properties.get("icebridge.source", ""))


def _location(target: Catalog, table: TableIdentifier, suffix: str) -> str:
    """The new table's folder; empty for a name the target cannot hold, of which PRE-004 and PRE-030 speak."""
    try:
        return target.location_for(table, suffix)
    except ConfigurationError as error:
        if error.code != "IB-250":
            raise
        return ""


def _free(locations: Iterable[str]) -> int | None:
    """Bytes left where the new tables go, when that is a folder of this host."""
    first = next(iter(locations), "")
    return free_bytes(first) if first and local_path(first) is not None else None


def _reads_source(inventory: Inventory, target: Catalog) -> bool:
    """Say whether the target's own connection can read a file of the source, which sharing files takes for granted."""
    first = next((table.facts.metadata_location for table in inventory.tables if table.facts), "")
    with contextlib.suppress(IceBridgeError, OSError, ValueError):
        return bool(first) and target.store().size(first) is not None
    return False


@cache
def _versions() -> dict[str, str]:
    found = {"icebridge": __version__}
    for name in _LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found

"""Makes a plan out of two catalogs and a request, or takes in one that a person edited."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from icebridge_provider import __version__
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model import codec
from icebridge_provider.model.event import Actor, LedgerEvent, Outcome, Step
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.inventory import Inventory
from icebridge_provider.model.plan import MigrationPlan, MigrationRequest
from icebridge_provider.model.report import Severity
from icebridge_provider.model.settings import Settings
from icebridge_provider.planning.build import PlanContext, build_plan, targets_of
from icebridge_provider.planning.preflight import Occupant, PreflightContext
from icebridge_provider.ports import Catalog, Ledger
from icebridge_provider.steps.inventory import load_inventory, take_inventory

WORKERS = 8
_LIBRARIES = ("pyiceberg", "pyarrow", "apache-airflow")


def make_plan(
    source: Catalog,
    target: Catalog,
    ledger: Ledger,
    request: MigrationRequest,
    settings: Settings,
    actor: Actor,
    now: datetime,
    plan_id: str = "",
    inventory_id: str = "",
) -> MigrationPlan:
    """Return the plan for ``request``, kept in the ledger; with the id of a kept plan, return that one.

    :param inventory_id: a kept inventory to plan on; without it one is taken.
    :raises IceBridgeError: whatever refuses the whole plan, see :func:`icebridge_provider.planning.build.build_plan`.
    """
    if plan_id and plan_id in ledger.plans():
        return ledger.plan(plan_id)
    plan_id = plan_id or _new_id(request, now)
    taken = inventory_id or take_inventory(source, ledger, actor, request.tables)["inventory_id"]
    inventory = load_inventory(ledger, str(taken))
    context = _context(inventory, request, source, target, plan_id, now)
    plan = build_plan(inventory, request, context, plan_id, now.isoformat(timespec="seconds"), settings)
    _keep(plan, ledger, actor)
    return plan


def load_plan_file(path: str | Path) -> MigrationPlan:
    """Read a plan file and check its digest.

    :raises ConfigurationError: IB-321 when the file is not on this host, IB-322 when it is no plan, IB-320 when it
        was edited and not sealed again.
    """
    file = Path(path)
    if not file.is_file():
        raise ConfigurationError(
            "IB-321",
            f"The plan file {path} is not on this host.",
            remedy="Run `icebridge apply` where the file is: it hands the plan to the ledger, which all workers read.",
        )
    try:
        plan = MigrationPlan.from_json(json.loads(file.read_text(encoding="utf-8")))
    except json.JSONDecodeError as error:
        raise _no_plan(path, f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except ValueError as error:
        raise _no_plan(path, str(error)) from None
    if plan.computed_digest() != plan.digest:
        raise ConfigurationError(
            "IB-320",
            f"{path} was edited after it was made: its digest no longer fits.",
            remedy=f"Read what changed; if it is meant, run: icebridge plan --reseal {path}.",
            digest=plan.digest,
        )
    return plan


def adopt_plan(plan: MigrationPlan, ledger: Ledger, actor: Actor) -> MigrationPlan:
    """Keep a plan that was made or edited elsewhere; the same plan again is success.

    :raises ConfigurationError: IB-121 when another plan has its id.
    """
    if plan.plan_id not in ledger.plans() or ledger.plan(plan.plan_id).digest != plan.digest:
        _keep(plan, ledger, actor)
    return plan


def _no_plan(path: str | Path, why: str) -> ConfigurationError:
    return ConfigurationError("IB-322", f"{path} is not a plan: {why}.", remedy="Correct it, then reseal it.")


def _new_id(request: MigrationRequest, now: datetime) -> str:
    return f"p{now:%Y%m%d%H%M%S}{codec.digest(request)[:4]}"


def _context(
    inventory: Inventory,
    request: MigrationRequest,
    source: Catalog,
    target: Catalog,
    plan_id: str,
    now: datetime,
) -> PlanContext:
    wanted = list(targets_of(inventory, request).values())
    locations = {table: target.location_for(table, plan_id[-12:]) for table in wanted}
    checks = PreflightContext(
        plan_id=plan_id,
        source_writable=source.writable(),
        target_writable=target.writable(),
        occupants=_occupants(target, wanted),
        free_bytes=_free(locations.values()),
        now_ms=int(now.timestamp() * 1000),
    )
    versions = {"icebridge": __version__, **{name: version(name) for name in _LIBRARIES}}
    return PlanContext(preflight=checks, locations=locations, versions=versions)


def _occupants(target: Catalog, wanted: Iterable[TableIdentifier]) -> dict[TableIdentifier, Occupant]:
    """Return who stands under the wanted names; only existing names are loaded."""
    by_namespace: dict[tuple[str, ...], list[TableIdentifier]] = {}
    for table in wanted:
        by_namespace.setdefault(table.namespace, []).append(table)
    there = set(target.namespaces())
    taken = [
        table
        for namespace, tables in by_namespace.items()
        if namespace in there
        for table in set(target.tables(namespace)) & set(tables)
    ]
    with ThreadPoolExecutor(WORKERS) as pool:
        return dict(zip(taken, pool.map(lambda table: _occupant(target, table), taken), strict=True))


def _occupant(target: Catalog, table: TableIdentifier) -> Occupant:
    loaded = target.load(table)
    properties: Mapping[str, str] = loaded.properties if loaded else {}
    return Occupant(
        plan_id=properties.get("icebridge.plan-id", ""), source=properties.get("icebridge.source", "")
    )


def _free(locations: Iterable[str]) -> int | None:
    """Bytes left where the new tables go, when that is a folder of this host."""
    first = next(iter(locations), "")
    path = Path(first.removeprefix("file://").removeprefix("file:"))
    if "://" in str(path) or not path.is_absolute():
        return None
    existing = next((folder for folder in (path, *path.parents) if folder.exists()), None)
    return shutil.disk_usage(existing).free if existing else None


def _keep(plan: MigrationPlan, ledger: Ledger, actor: Actor) -> None:
    """Record the plan; events first look whether an interrupted run wrote them already."""
    ledger.save_plan(plan)
    recorded = {event.table for event in ledger.events(plan.plan_id) if event.step is Step.PLAN}
    events = [event for event in _events(plan, actor) if event.table not in recorded]
    ledger.append_many(events)


def _events(plan: MigrationPlan, actor: Actor) -> Iterable[LedgerEvent]:
    planned = {str(table.source): table for table in plan.tables}
    blocking = {
        str(finding.table): finding for finding in reversed(plan.findings) if finding.severity is Severity.BLOCKING
    }
    for name, table in planned.items():
        yield _event(plan, name, Outcome.DONE, actor, {"target": str(table.target), "method": table.method.value})
    for name, finding in blocking.items():
        if name not in planned:
            data = {"rule": finding.rule, "message": finding.message, "remedy": finding.remedy}
            yield _event(plan, name, Outcome.REFUSED, actor, data)
    yield _event(plan, "", Outcome.DONE, actor, {"digest": plan.digest, "tables": len(plan.tables)})


def _event(plan: MigrationPlan, table: str, outcome: Outcome, actor: Actor, data: Any) -> LedgerEvent:
    return LedgerEvent(plan_id=plan.plan_id, table=table, step=Step.PLAN, outcome=outcome, actor=actor, data=data)

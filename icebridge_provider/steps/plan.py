"""Makes a plan out of two catalogs and a request, or takes in one that a person edited, and keeps it in the ledger."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError
from icebridge_provider.model import codec
from icebridge_provider.model.event import Actor, LedgerEvent, Outcome, State, Step
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import MigrationPlan, MigrationRequest, TablePlan
from icebridge_provider.model.report import Finding, Severity
from icebridge_provider.model.settings import Settings
from icebridge_provider.planning.build import build_plan
from icebridge_provider.planning.edited import check_folders, check_plan, renamed, settled
from icebridge_provider.planning.preflight import advisory
from icebridge_provider.planning.requests import check_request
from icebridge_provider.ports import Catalog, Ledger
from icebridge_provider.steps.consumer_names import check_names
from icebridge_provider.steps.inventory import load_inventory, take_inventory
from icebridge_provider.steps.lease import busy
from icebridge_provider.steps.plan_context import WORKERS, context_for
from icebridge_provider.steps.plan_file import load_plan_file, read_plan_file, reseal_plan_file, save_plan_file

RECORDING_SECONDS = 30


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
    """Return the plan for ``request``, kept in the ledger; with the id of a kept plan, return that one unchanged.

    A kept plan is never made anew, so that a retried task works on what was approved: tables whose source has moved
    since are noted in the ledger, and the copy takes the head it finds.

    :param inventory_id: a kept inventory to plan on; without it one is taken.
    :raises ConfigurationError: IB-334 when the kept plan is for other connections, IB-261 advisory_rules.
    :raises PreflightFailed: IB-270 when it is to keep its consumers' names and cannot.
    :raises IceBridgeError: whatever refuses the whole plan, see :func:`icebridge_provider.planning.build.build_plan`.
    """
    if plan_id and plan_id in ledger.plans():
        return _kept(ledger, source, request, plan_id, actor)
    check_request(request, settings, plan_id)
    softened = advisory(settings.advisory_rules)
    chosen = plan_id or new_plan_id(request, now)
    taken = inventory_id or take_inventory(source, ledger, actor, request.tables)["inventory_id"]
    inventory = load_inventory(ledger, str(taken))
    context = context_for(inventory, request, source, target, chosen, now, ledger, softened)
    plan = build_plan(inventory, request, context, chosen, now.isoformat(timespec="seconds"), settings)
    check_folders(plan)
    check_names(plan, source)
    _keep(plan, ledger, actor)
    return plan


def adopt_plan(plan: MigrationPlan, ledger: Ledger, actor: Actor) -> MigrationPlan:
    """Keep a plan that was made or edited elsewhere, and return it as kept; the same plan again is success.

    Waves and estimate are brought in line with the tables. When another plan is kept under its id (the one it was
    edited from), the edited one gets the id ``<id>_<start of its digest>``, and staged names and folders of its own.

    :raises ConfigurationError: IB-320 for a stale digest, IB-324 when it contradicts itself, IB-312, IB-331.
    :raises LimitExceeded: IB-313, IB-314.
    """
    if plan.computed_digest() != plan.digest:
        raise ConfigurationError(
            "IB-320",
            f"Plan {plan.plan_id} was edited after it was made: its digest no longer fits.",
            remedy="Read what changed; if it is meant, reseal it: icebridge plan --reseal FILE",
            digest=plan.digest,
        )
    ready = settled(plan)
    check_plan(ready)
    if ready.plan_id in ledger.plans() and ledger.plan(ready.plan_id).digest != ready.digest:
        ready = renamed(ready, f"{ready.plan_id}_{ready.digest[:6]}")
    _keep(ready, ledger, actor)
    return ready


def resume_plan(ledger: Ledger, plan_id: str, actor: Actor, source: Catalog | None = None) -> MigrationPlan:
    """Return a kept plan, whose recording an interrupted run may have left undone: it is completed.

    :param source: with it, tables whose source has moved since are noted in the ledger.
    :raises ConfigurationError: IB-120 when there is no such plan.
    """
    plan = ledger.plan(plan_id)
    _keep(plan, ledger, actor)
    if source is not None:
        _note_moves(plan, ledger, source, actor)
    return plan


def new_plan_id(request: MigrationRequest, now: datetime) -> str:
    """Return ``p``, the UTC time to the second and four digits of the request's digest."""
    return f"p{now:%Y%m%d%H%M%S}{codec.digest(request)[:4]}"


def _kept(ledger: Ledger, source: Catalog, request: MigrationRequest, plan_id: str, actor: Actor) -> MigrationPlan:
    plan = ledger.plan(plan_id)
    asked = (request.source_conn_id, request.target_conn_id)
    made_for = (plan.request.source_conn_id, plan.request.target_conn_id)
    if asked != made_for:
        raise ConfigurationError(
            "IB-334",
            f"Plan {plan_id} moves {made_for[0]} to {made_for[1]}, not {asked[0]} to {asked[1]}.",
            remedy="Give the new plan another plan_id, or name the plan's own connections.",
            plan_id=plan_id,
        )
    return resume_plan(ledger, plan_id, actor, source)


def _keep(plan: MigrationPlan, ledger: Ledger, actor: Actor) -> None:
    """Record the plan and its events; all events are one transaction, so they are there or not.

    They are recorded once: a second time they would take tables back to *planned* that are further already.

    :raises TransientError: IB-600 while another process records the same plan.
    """
    with side_effect("plan.save"):
        ledger.save_plan(plan)
    if _is_recorded(plan, ledger):
        return
    lease = ledger.acquire(f"plan {plan.plan_id}", uuid.uuid4().hex, RECORDING_SECONDS)
    if lease is None:
        raise busy(f"the plan {plan.plan_id}", RECORDING_SECONDS)
    try:
        if not _is_recorded(plan, ledger):
            with side_effect("plan.record"):
                ledger.append_many(list(_events(plan, actor)), lease)
    finally:
        ledger.release(lease)


def _is_recorded(plan: MigrationPlan, ledger: Ledger) -> bool:
    return any(event.step is Step.PLAN for event in ledger.events(plan.plan_id, ""))


def _events(plan: MigrationPlan, actor: Actor) -> Iterator[LedgerEvent]:
    """One pre-flight event a table with findings, one plan event a planned table, and one for the whole plan."""
    planned = {table.source: table for table in plan.tables}
    grouped: dict[TableIdentifier, list[Finding]] = {}
    for finding in plan.findings:
        grouped.setdefault(finding.table, []).append(finding)
    for source, findings in grouped.items():
        blocking = next((item for item in findings if item.severity is Severity.BLOCKING), None)
        refused = blocking is not None and source not in planned
        outcome = Outcome.REFUSED if refused else Outcome.DONE
        yield _event(plan, str(source), Step.PREFLIGHT, outcome, actor, _said(findings, blocking if refused else None))
    for table in plan.tables:
        yield _event(plan, str(table.source), Step.PLAN, Outcome.DONE, actor, _summary(table))
    whole = {"digest": plan.digest, "tables": len(plan.tables), "accepted_losses": plan.request.accept_losses}
    yield _event(plan, "", Step.PLAN, Outcome.DONE, actor, codec.to_json(whole))


def _said(findings: list[Finding], blocking: Finding | None) -> dict[str, Any]:
    listed = [{"rule": item.rule, "severity": item.severity.value, "message": item.message} for item in findings]
    if blocking is None:
        return {"findings": listed}
    return {
        "rule": blocking.rule, "message": blocking.message, "remedy": blocking.remedy, "findings": listed
    }  # fmt: skip


def _summary(table: TablePlan) -> dict[str, Any]:
    return {
        "target": str(table.target),
        "method": table.method.value,
        "wave": table.wave,
        "snapshot_id": table.snapshot_id,
        "losses": [loss.id for loss in table.losses],
    }


def _event(
    plan: MigrationPlan, table: str, step: Step, outcome: Outcome, actor: Actor, data: Mapping[str, Any]
) -> LedgerEvent:
    return LedgerEvent(plan_id=plan.plan_id, table=table, step=step, outcome=outcome, actor=actor, data=data)


# Sources that move while a plan waits


def _note_moves(plan: MigrationPlan, ledger: Ledger, source: Catalog, actor: Actor) -> None:
    """Note, once a head, which tables that were not begun yet have another head than the plan says."""
    waiting = {state.table for state in ledger.states(plan.plan_id) if state.state is State.PLANNED}
    tables = [table for table in plan.tables if str(table.source) in waiting]
    noted = {
        (event.table, event.data.get("snapshot_id"))
        for event in ledger.events(plan.plan_id)
        if event.step is Step.PLAN and event.outcome is Outcome.PROGRESS
    }
    with ThreadPoolExecutor(WORKERS) as pool:
        heads = list(pool.map(lambda table: _head(source, table), tables))
    moved = [
        _event(plan, str(table.source), Step.PLAN, Outcome.PROGRESS, actor, _moved(table, head))
        for table, head in zip(tables, heads, strict=True)
        if head != table.snapshot_id and (str(table.source), head) not in noted
    ]
    if moved:
        with side_effect("plan.note_moves"):
            ledger.append_many(moved)


def _head(source: Catalog, table: TablePlan) -> int | None:
    """Return the source's head; one that cannot be read now is for the copy to tell."""
    try:
        loaded = source.load(table.source)
    except IceBridgeError:
        return table.snapshot_id
    return loaded.current_snapshot_id if loaded else table.snapshot_id


def _moved(table: TablePlan, head: int | None) -> dict[str, Any]:
    message = f"The source moved from snapshot {table.snapshot_id} to {head} since the plan; the copy takes that head."
    return {"message": message, "planned_snapshot_id": table.snapshot_id, "snapshot_id": head}


__all__ = [
    "adopt_plan",
    "load_plan_file",
    "make_plan",
    "new_plan_id",
    "read_plan_file",
    "reseal_plan_file",
    "resume_plan",
    "save_plan_file",
]

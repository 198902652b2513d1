"""Builds a plan: selection, names, methods, findings, losses, waves and price, from what was read before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from icebridge_provider.exceptions import PreflightFailed
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.inventory import Inventory
from icebridge_provider.model.plan import CopyMethod, MigrationPlan, MigrationRequest, TablePlan
from icebridge_provider.model.report import Finding, Severity
from icebridge_provider.model.settings import Settings
from icebridge_provider.model.table import ForeignTable, TableFacts
from icebridge_provider.planning import cost, methods, scaffold, waves
from icebridge_provider.planning.mapping import map_tables, parse_rules
from icebridge_provider.planning.preflight import (
    LONGEST_NAME,
    Candidate,
    PreflightContext,
    preflight,
    size_of,
)
from icebridge_provider.planning.selection import select
from icebridge_provider.planning.window import parse_window


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanContext:
    """What was read of the target: pre-flight's context and the folder each new table gets."""

    preflight: PreflightContext = field(default_factory=PreflightContext)
    locations: Mapping[TableIdentifier, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def targets_of(inventory: Inventory, request: MigrationRequest) -> dict[TableIdentifier, TableIdentifier]:
    """Return the selected tables and their new names.

    :raises ConfigurationError: IB-230 a glob that matches nothing, IB-310 a collision, IB-311 a rule.
    """
    chosen = select([table.identifier for table in inventory.tables], request.tables)
    return map_tables(parse_rules(request.mapping), chosen, request.target_conn_id)


def staged_name(target: TableIdentifier, plan_id: str) -> TableIdentifier:
    """Return the name the copy has until cut-over: ``<table>__icebridge_<plan>``, within the limit for names."""
    suffix = f"__icebridge_{plan_id}"
    return target.named(target.name[: max(1, LONGEST_NAME - len(suffix))] + suffix)


def build_plan(
    inventory: Inventory,
    request: MigrationRequest,
    context: PlanContext,
    plan_id: str,
    created_at: str,
    settings: Settings,
) -> MigrationPlan:
    """Return the sealed plan; blocked tables are left out, with their findings.

    :raises PreflightFailed: IB-316 when no table is left, saying why for each.
    :raises ConfigurationError: IB-310 to IB-312, IB-315, IB-317, IB-330, IB-331.
    :raises LimitExceeded: IB-313, IB-314.
    """
    methods.requested(request)
    parse_window(request.cutover_window)
    known = {table.identifier: table for table in inventory.tables}
    found_before = inventory.findings_by_table()
    tables: list[TablePlan] = []
    findings: list[Finding] = []
    for source, target in targets_of(inventory, request).items():
        table = known[source]
        said = [*found_before.get(source, ())]
        candidate = _candidate(table, target, request, plan_id)
        if candidate is not None:
            said += preflight(candidate, context.preflight)
        findings += said
        if candidate is not None and not any(finding.severity is Severity.BLOCKING for finding in said):
            tables.append(_table(candidate, context))
    if not tables:
        raise _nothing_left(findings)
    scaffold.refuse_unaccepted(tables, request.accept_losses)
    return _sealed(tables, findings, request, context, plan_id, created_at, settings)


def _sealed(
    tables: list[TablePlan],
    findings: list[Finding],
    request: MigrationRequest,
    context: PlanContext,
    plan_id: str,
    created_at: str,
    settings: Settings,
) -> MigrationPlan:
    made = cost.estimate(tables, request, settings.purge_grace_days)
    cost.refuse_impossible(made, request, created_at)
    numbered, cut = waves.cut(
        tables,
        most_tables=request.wave_tables,
        most_bytes=request.wave_bytes,
        canary_tables=settings.canary_tables,
    )
    return MigrationPlan(
        plan_id=plan_id,
        created_at=created_at,
        request=request,
        tables=numbered,
        waves=cut,
        findings=tuple(findings),
        estimate=made,
        versions=context.versions,
    ).sealed()


def _candidate(
    table: ForeignTable, target: TableIdentifier, request: MigrationRequest, plan_id: str
) -> Candidate | None:
    if table.facts is None:
        return None
    return Candidate(
        table=table,
        facts=table.facts,
        target=target,
        staged=staged_name(target, plan_id),
        method=methods.choose(table.facts, request),
    )


def _table(candidate: Candidate, context: PlanContext) -> TablePlan:
    facts: TableFacts = candidate.facts
    copies = candidate.method is CopyMethod.COPY_FILES
    return TablePlan(
        source=candidate.table.identifier,
        target=candidate.target,
        staged=candidate.staged,
        method=candidate.method,
        table_uuid=facts.table_uuid,
        metadata_location=facts.metadata_location,
        snapshot_id=facts.current_snapshot_id,
        location=context.locations.get(candidate.target, ""),
        files=max(facts.history_files, facts.totals.data_files) if copies else facts.totals.data_files,
        bytes=size_of(facts, candidate.method),
        rows=facts.totals.rows - facts.totals.delete_rows,
        losses=scaffold.losses(candidate.table.identifier.path, facts, candidate.method),
    )


def _nothing_left(findings: list[Finding]) -> PreflightFailed:
    blocking = [finding for finding in findings if finding.severity is Severity.BLOCKING]
    shown = " ".join(f"{finding.message} {finding.remedy}" for finding in blocking[:3])
    more = f" And {len(blocking) - 3} more." if len(blocking) > 3 else ""
    return PreflightFailed(
        "IB-316",
        f"No table is left to migrate: {len({finding.table for finding in blocking})} are refused. {shown}{more}",
        remedy="Mend the sources, or choose other tables, and plan again.",
        refused=len(blocking),
    )

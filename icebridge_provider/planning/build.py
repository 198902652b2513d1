"""Builds a plan: selection, names, methods, findings, losses, waves and price, from what was read before."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from icebridge_provider.exceptions import LimitExceeded, PreflightFailed
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.inventory import Inventory
from icebridge_provider.model.plan import CopyMethod, MigrationPlan, MigrationRequest, TablePlan
from icebridge_provider.model.report import Finding, Severity
from icebridge_provider.model.settings import Settings
from icebridge_provider.model.table import ForeignTable
from icebridge_provider.planning import cost, methods, scaffold, waves
from icebridge_provider.planning.mapping import Rules, map_tables, parse_rules, unused
from icebridge_provider.planning.preflight import (
    LEFT_OVER,
    LONGEST_NAME,
    Candidate,
    PreflightContext,
    is_blocked,
    preflight,
    size_of,
    weighed,
)
from icebridge_provider.planning.requests import check_request
from icebridge_provider.planning.selection import nearest, select

MISSPELT = "PRE-019"
SHOWN = 20
LONGEST_ID = 32
MANY_NAMES = 100
_GLOB = re.compile(r"[*?!]")
_WORD = re.compile(r"\W", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanContext:
    """What was read of the target: pre-flight's context and the folder each new table gets.

    ``measured_mb_s`` is the speed of earlier runs between the two catalogs, None when there was none.
    """

    preflight: PreflightContext = field(default_factory=PreflightContext)
    locations: Mapping[TableIdentifier, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    measured_mb_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """One selected table: what was found, and how it would move (None when its metadata cannot be read)."""

    source: TableIdentifier
    findings: tuple[Finding, ...]
    planned: TablePlan | None = None

    @property
    def goes(self) -> bool:
        """Whether it is in the plan: nothing blocks it, and it is no left-over of an earlier migration."""
        left_out = any(finding.rule == LEFT_OVER for finding in self.findings)
        return self.planned is not None and not left_out and not is_blocked(self.findings)


def targets_of(inventory: Inventory, request: MigrationRequest) -> dict[TableIdentifier, TableIdentifier]:
    """Return the selected tables and their new names.

    :raises ConfigurationError: IB-230 a glob that matches nothing, IB-310 a collision, IB-311 a rule.
    """
    return map_tables(parse_rules(request.mapping), chosen(inventory, request.tables), request.target_conn_id)


def chosen(inventory: Inventory, globs: Sequence[str]) -> tuple[TableIdentifier, ...]:
    """Return the tables that the globs select, as ``select`` does; thousands of full names (a CSV) cost no more.

    :raises ConfigurationError: IB-230 a glob that matches nothing, IB-231 only exclusions.
    """
    tables = [table.identifier for table in inventory.tables]
    by_path = {table.path: table for table in tables}
    plain = [glob for glob in globs if glob in by_path and not _GLOB.search(glob)]
    rest = [glob for glob in globs if glob not in by_path or _GLOB.search(glob)]
    if any(glob.strip().startswith("!") for glob in rest) or len(plain) < MANY_NAMES:
        return select(tables, globs)
    named = {by_path[glob] for glob in plain}
    return tuple(sorted(named.union(select(tables, rest) if rest else ())))


def short_id(plan_id: str) -> str:
    """Return the plan id as names of tables and folders take it: word characters, at most 32, two ids never alike."""
    plain = _WORD.sub("_", plan_id)
    if plain == plan_id and len(plain) <= LONGEST_ID:
        return plain
    return f"{plain[: LONGEST_ID - 9]}_{hashlib.sha256(plan_id.encode()).hexdigest()[:8]}"


def staged_name(target: TableIdentifier, plan_id: str) -> TableIdentifier:
    """Return the name the copy has until cut-over: ``<table>__icebridge_<plan>``, within the limit for names.

    A name that must be cut gets a digest of the whole, so that two long names stay two.
    """
    suffix = f"__icebridge_{short_id(plan_id)}"
    room = LONGEST_NAME - len(suffix)
    if len(target.name) <= room:
        return target.named(target.name + suffix)
    digest = hashlib.sha256(target.name.encode()).hexdigest()[:8]
    return target.named(f"{target.name[: max(room - 9, 1)]}_{digest}{suffix}")


def prospects(
    inventory: Inventory, request: MigrationRequest, context: PlanContext, plan_id: str
) -> Iterator[Prospect]:
    """Judge every selected table by itself, in order of name; nothing is refused here but what cannot be read at all.

    :raises ConfigurationError: IB-230, IB-310, IB-311, IB-330, IB-331.
    """
    methods.requested(request)
    rules = parse_rules(request.mapping)
    known = {table.identifier: table for table in inventory.tables}
    inspected = inventory.findings_by_table()
    checks = replace(context.preflight, plan_id=plan_id, twins=_twins(inventory.tables))
    judge = replace(context, preflight=checks)
    for source, target in targets_of(inventory, request).items():
        candidate = _candidate(known[source], target, request, rules, judge, plan_id)
        yield _prospect(source, candidate, inspected.get(source, ()), judge, request)


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
    :raises ConfigurationError: IB-310 to IB-312, IB-315, IB-317, IB-330 to IB-336.
    :raises LimitExceeded: IB-313, IB-314, IB-319.
    """
    check_request(request, settings, plan_id)
    found = list(prospects(inventory, request, context, plan_id))
    tables = [prospect.planned for prospect in found if prospect.planned is not None and prospect.goes]
    findings = [finding for prospect in found for finding in prospect.findings]
    findings += _misspelt(inventory, request)
    if not tables:
        raise _nothing_left(findings)
    scaffold.refuse_unaccepted(tables, request.accept_losses)
    _refuse_without_space(tables, context.preflight.free_bytes)
    return _sealed(tables, findings, request, context, plan_id, created_at, settings)


def _sealed(
    tables: Sequence[TablePlan],
    findings: Iterable[Finding],
    request: MigrationRequest,
    context: PlanContext,
    plan_id: str,
    created_at: str,
    settings: Settings,
) -> MigrationPlan:
    made = cost.estimate(
        tables,
        request,
        settings.purge_grace_days,
        context.measured_mb_s,
        settings.max_commits_per_min,
        runs=cost.runs_of(tables, settings),
    )
    cost.refuse_impossible(made, request, created_at, tables)
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
    table: ForeignTable,
    target: TableIdentifier,
    request: MigrationRequest,
    rules: Rules,
    context: PlanContext,
    plan_id: str,
) -> Candidate | None:
    if table.facts is None:
        return None
    offered = context.preflight.offered(table.identifier, target)
    return Candidate(
        table=table,
        facts=table.facts,
        target=target,
        staged=staged_name(target, plan_id),
        method=methods.choose(table.facts, request, rules.method_of(table.identifier), offered),
        location=context.locations.get(target, ""),
    )


def _prospect(
    source: TableIdentifier,
    candidate: Candidate | None,
    inspected: Sequence[Finding],
    context: PlanContext,
    request: MigrationRequest,
) -> Prospect:
    if candidate is None:
        return Prospect(source=source, findings=tuple(inspected) or (_unread(source),))
    said = (
        *weighed(inspected, candidate.method, context.preflight.capabilities),
        *preflight(candidate, context.preflight),
    )
    if source.path in request.tables or str(source) in request.tables:
        said = tuple(finding for finding in said if finding.rule != LEFT_OVER)
    ordered = sorted(said, key=lambda finding: finding.severity is not Severity.BLOCKING)
    return Prospect(source=source, findings=tuple(ordered), planned=_table(candidate, context.preflight))


def _unread(source: TableIdentifier) -> Finding:
    return Finding(
        rule="SRC-001",
        severity=Severity.BLOCKING,
        table=source,
        message=f"The metadata of {source} cannot be read.",
        remedy="Restore the metadata file, then take a new inventory.",
    )


def _table(candidate: Candidate, context: PreflightContext) -> TablePlan:
    facts, totals = candidate.facts, candidate.facts.totals
    copies = candidate.method is CopyMethod.COPY_FILES
    live = totals.data_files + totals.position_delete_files
    scaffolded = scaffold.translate(candidate.table.identifier.path, facts, candidate.method)
    left_out = f"Left out: {', '.join(scaffolded.left_out)}." if scaffolded.left_out else ""
    stored = context.unity.stored(candidate.target) if context.unity else ""
    return TablePlan(
        source=candidate.table.identifier,
        target=candidate.target,
        staged=candidate.staged,
        method=candidate.method,
        table_uuid=facts.table_uuid,
        metadata_location=facts.metadata_location,
        snapshot_id=facts.current_snapshot_id,
        location=candidate.location,
        files=max(facts.history_files, live) if copies else live,
        bytes=size_of(facts, candidate.method),
        rows=max(totals.rows - totals.delete_rows, 0),
        losses=scaffolded.losses,
        properties=scaffolded.properties,
        note=" ".join(filter(None, (left_out, stored))),
    )


def _twins(tables: Iterable[ForeignTable]) -> dict[str, tuple[TableIdentifier, ...]]:
    """Return the entries that share a metadata file, by that file."""
    found: dict[str, list[TableIdentifier]] = {}
    for table in tables:
        if table.facts is not None:
            found.setdefault(table.facts.metadata_location, []).append(table.identifier)
    return {location: tuple(entries) for location, entries in found.items() if len(entries) > 1}


def _misspelt(inventory: Inventory, request: MigrationRequest) -> list[Finding]:
    """Warn of explicit rules about tables that the inventory does not have."""
    sources = [table.identifier for table in inventory.tables]
    found = []
    for table in unused(parse_rules(request.mapping), sources, request.source_conn_id):
        near = nearest(table.path, [source.path for source in sources])
        found.append(
            Finding(
                rule=MISSPELT,
                severity=Severity.WARNING,
                table=table,
                message=f"A mapping rule names {table.path}, which is not among the tables that were read.",
                remedy=f"Nearest: {', '.join(near)}." if near else "Take the rule out.",
            )
        )
    return found


def _refuse_without_space(tables: Iterable[TablePlan], free: int | None) -> None:
    needed = sum(table.bytes for table in tables)
    if free is not None and needed > free:
        raise LimitExceeded(
            "IB-319",
            f"The plan needs {needed:,} bytes, {free:,} are free where the target keeps its files.",
            remedy=f"Free at least {needed - free:,} bytes there, take fewer tables, or give the target catalog "
            "another warehouse.",
            needed=needed,
            free=free,
        )


def _nothing_left(findings: Iterable[Finding]) -> PreflightFailed:
    why: dict[TableIdentifier, Finding] = {}
    for finding in findings:
        if finding.severity is Severity.BLOCKING or finding.rule == LEFT_OVER:
            why.setdefault(finding.table, finding)
    done = sum(finding.rule in {"PRE-006", LEFT_OVER} for finding in why.values())
    shown = " ".join(f"{finding.message} {finding.remedy}" for finding in list(why.values())[:SHOWN])
    more = f" And {len(why) - SHOWN} more." if len(why) > SHOWN else ""
    if done == len(why):
        head, remedy = f"Nothing is left to do: {done} tables were migrated already.", "Choose other tables."
    else:
        head = f"No table is left to migrate: {len(why) - done} are refused, {done} were migrated already."
        remedy = "Mend the sources, or choose other tables, and plan again."
    return PreflightFailed("IB-316", f"{head} {shown}{more}", remedy=remedy, refused=len(why) - done, done=done)

"""Says what a migration would take: one JSON document, and one HTML file to mail."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.model import codec
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.inventory import Inventory
from icebridge_provider.model.plan import Estimate, Loss, MigrationRequest, Rates, TablePlan
from icebridge_provider.model.report import Finding, Severity
from icebridge_provider.model.settings import Settings
from icebridge_provider.model.table import ForeignTable, TableFacts
from icebridge_provider.planning import methods
from icebridge_provider.planning.build import staged_name, targets_of
from icebridge_provider.planning.cost import estimate as estimate_of
from icebridge_provider.planning.preflight import Candidate, PreflightContext, preflight, size_of, weighed
from icebridge_provider.planning.scaffold import losses as losses_of
from icebridge_provider.ports import Catalog, Ledger
from icebridge_provider.steps import charts
from icebridge_provider.steps.plan_context import context_for

GOES, LOSES, BROKEN = "goes", "loses", "broken"
WRITERS_SHOWN = 3
_PLAN = "assessment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What planning says of one table: how it would be copied, what it would lose, and its share of the work."""

    method: str = ""
    losses: tuple[Loss, ...] = ()
    seconds: float = 0.0
    cost: float = 0.0


def assess_inventory(
    inventory: Inventory, source: Catalog, target: Catalog | None, settings: Settings, now: datetime | None = None
) -> dict[str, Any]:
    """Return the assessment of a migration of the whole inventory with the method ``auto`` and the same names.

    :param target: what the tables would move to; without one only the source is judged.
    """
    request = _request(source, target, settings)
    names = targets_of(inventory, request)
    context = PreflightContext(source_writable=source.writable())
    if target is not None:
        context = context_for(inventory, request, source, target, _PLAN, now or datetime.now(UTC)).preflight
    found = {table: list(findings) for table, findings in inventory.findings_by_table().items()}
    outlooks, going = {}, []
    for table in inventory.tables:
        candidate = _candidate(table, names[table.identifier], request, context)
        if candidate is None:
            continue
        inspected = weighed(found.get(table.identifier, ()), candidate.method, context.capabilities)
        found[table.identifier] = [*inspected, *preflight(candidate, context)]
        planned = _planned(candidate)
        price = estimate_of([planned], request, settings.purge_grace_days)
        outlooks[table.identifier] = Outlook(
            method=candidate.method.value, losses=planned.losses, seconds=price.seconds, cost=price.cost
        )
        if not any(finding.severity is Severity.BLOCKING for finding in found[table.identifier]):
            going.append(planned)
    total = estimate_of(going, request, settings.purge_grace_days)
    return assess(inventory, found, outlooks, total, target.name if target else "")


def _request(source: Catalog, target: Catalog | None, settings: Settings) -> MigrationRequest:
    return MigrationRequest(
        source_conn_id=source.name,
        target_conn_id=target.name if target else source.name,
        throughput_mb_s=settings.throughput_mb_s,
        rates=Rates(
            currency=settings.currency,
            storage_per_gb_month=settings.storage_per_gb_month,
            transfer_per_gb=settings.transfer_per_gb,
            compute_per_hour=settings.compute_per_hour,
        ),
    )


def _candidate(
    table: ForeignTable, target: TableIdentifier, request: MigrationRequest, context: PreflightContext
) -> Candidate | None:
    if table.facts is None:
        return None
    return Candidate(
        table=table,
        facts=table.facts,
        target=target,
        staged=staged_name(target, _PLAN),
        method=methods.choose(table.facts, request, offered=context.offered(table.identifier, target)),
    )


def _planned(candidate: Candidate) -> TablePlan:
    """Return the table as a plan would hold it, as far as time and money go."""
    facts = candidate.facts
    return TablePlan(
        source=candidate.table.identifier,
        target=candidate.target,
        staged=candidate.staged,
        method=candidate.method,
        table_uuid=facts.table_uuid,
        metadata_location=facts.metadata_location,
        snapshot_id=facts.current_snapshot_id,
        location="",
        files=facts.totals.data_files,
        bytes=size_of(facts, candidate.method),
        rows=facts.totals.rows,
        losses=losses_of(candidate.table.identifier.path, facts, candidate.method),
    )


def assess(
    inventory: Inventory,
    findings: Mapping[TableIdentifier, Sequence[Finding]] | None = None,
    outlooks: Mapping[TableIdentifier, Outlook] | None = None,
    estimate: Estimate | None = None,
    target: str = "",
) -> dict[str, Any]:
    """Return the assessment of an inventory as plain JSON values.

    :param findings: all findings by table; without them those of the inventory's own inspection.
    :param outlooks: what planning says by table; tables without one have no method and no losses.
    :param estimate: time and money for all tables that go.
    :param target: connection id of the target the outlooks are for.
    """
    found = inventory.findings_by_table() if findings is None else findings
    known = outlooks or {}
    tables = [
        _table(table, tuple(found.get(table.identifier, ())), known.get(table.identifier, Outlook()))
        for table in inventory.tables
    ]
    document = {
        "inventory_id": inventory.inventory_id,
        "catalog": inventory.catalog,
        "target": target,
        "taken_at": inventory.taken_at,
        "level": inventory.level,
        "counts": _counts(tables),
        "totals": _totals(tables),
        "estimate": None if estimate is None else codec.to_json(estimate),
        "findings": _by_rule(tables),
        "losses": _by_loss(tables),
        "writers": _by_writer(tables),
        "tables": tables,
    }
    return {**document, "headline": headline(document)}


def headline(document: Mapping[str, Any]) -> str:
    """Return the assessment in one sentence: ``of 812 tables 740 go, 51 lose …, 21 are broken``, hours and price."""
    counts = document["counts"]
    parts = [f"{counts[GOES]:,} {'goes' if counts[GOES] == 1 else 'go'} as they are"]
    if counts[LOSES]:
        worst = ", ".join(loss["what"] for loss in document["losses"][:2])
        parts.append(f"{counts[LOSES]:,} {'loses' if counts[LOSES] == 1 else 'lose'} something ({worst})")
    if counts[BROKEN]:
        parts.append(f"{counts[BROKEN]:,} {'is' if counts[BROKEN] == 1 else 'are'} broken and must be mended first")
    tables = f"{counts['tables']:,} table{'s'[: counts['tables'] != 1]}"
    return f"Of {tables}, {', '.join(parts)}{_price(document['estimate'])}."


def save_assessment(ledger: Ledger, document: Mapping[str, Any]) -> None:
    """Keep an assessment under its inventory's id."""
    with side_effect("assess.save"):
        ledger.save_document("assessment", str(document["inventory_id"]), document)


def render_assessment(document: Mapping[str, Any]) -> str:
    """Return one HTML file that needs nothing else: no request leaves it, and its policy allows none.

    Every value is escaped; the only script and style are our own, named by digest in the policy.
    """
    from markupsafe import Markup

    style, script = _asset("assessment.css"), _asset("assessment.js")
    page: str = _template().render(
        document,
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        policy=f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'",
        size_chart=charts.bars(charts.size_classes(table["bytes"] for table in document["tables"])),
        finding_chart=charts.bars([(item["rule"], item["tables"]) for item in document["findings"]]),
        writer_chart=charts.bars([(item["engine"], item["tables"]) for item in document["writers"][:8]]),
        share_chart=charts.share([(kind, document["counts"][kind]) for kind in (GOES, LOSES, BROKEN)]),
    )
    return page


def _table(table: ForeignTable, findings: tuple[Finding, ...], outlook: Outlook) -> dict[str, Any]:
    blocking = table.facts is None or any(finding.severity is Severity.BLOCKING for finding in findings)
    verdict = BROKEN if blocking else LOSES if outlook.losses else GOES
    shown = [
        {"rule": item.rule, "severity": item.severity.value, "message": item.message, "remedy": item.remedy}
        for item in findings
    ]
    return {
        "table": table.identifier.path,
        "verdict": verdict,
        "problem": table.problem,
        "method": outlook.method,
        "seconds": outlook.seconds,
        "cost": outlook.cost,
        "losses": [{"id": loss.id, "what": loss.what, "why": loss.why} for loss in outlook.losses],
        "findings": shown,
        **(_facts(table.facts) if table.facts else _NO_FACTS),
    }


def _facts(facts: TableFacts) -> dict[str, Any]:
    totals = facts.totals
    return {
        "bytes": totals.data_bytes + totals.delete_bytes,
        "files": totals.data_files,
        "rows": totals.rows,
        "history_files": facts.history_files,
        "history_bytes": facts.history_bytes,
        "position_delete_files": totals.position_delete_files,
        "equality_delete_files": totals.equality_delete_files,
        "deletion_vectors": totals.deletion_vectors,
        "format_version": facts.format_version,
        "columns": len(facts.columns),
        "snapshots": facts.snapshots,
        "refs": len(facts.refs),
        "specs": len(facts.specs),
        "sort_orders": sum(1 for order in facts.sort_orders if order.get("fields")),
        "properties": len(facts.properties),
        "partitioned_by": _partitioning(facts),
        "last_updated_ms": facts.last_updated_ms,
        "writers": _writers(facts),
    }


_NO_FACTS: dict[str, Any] = {
    **dict.fromkeys(
        (
            "bytes", "files", "rows", "history_files", "history_bytes", "position_delete_files",
            "equality_delete_files", "deletion_vectors", "format_version", "columns", "snapshots", "refs", "specs",
            "sort_orders", "properties", "last_updated_ms",
        ),
        0,
    ),
    "partitioned_by": "",
    "writers": [],
}  # fmt: skip


def _partitioning(facts: TableFacts) -> str:
    names = {column.field_id: column.name for column in facts.columns}
    spec = next((item for item in facts.specs if item.get("spec-id", 0) == facts.default_spec_id), {})
    shown = []
    for item in spec.get("fields", ()):
        column = names.get(item.get("source-id"), item["name"])
        shown.append(column if item["transform"] == "identity" else f"{item['transform']}({column})")
    return ", ".join(shown)


def _writers(facts: TableFacts) -> list[dict[str, Any]]:
    """Return the last distinct writers, newest first."""
    seen: dict[tuple[str, str], dict[str, Any]] = {}
    for writer in facts.writers:
        entry = {"engine": writer.engine or "unknown", "app_id": writer.app_id, "at_ms": writer.at_ms}
        seen.setdefault((writer.engine, writer.app_id), entry)
    return list(seen.values())[:WRITERS_SHOWN]


def _counts(tables: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    counted = Counter(table["verdict"] for table in tables)
    return {"tables": len(tables), **{kind: counted[kind] for kind in (GOES, LOSES, BROKEN)}}


def _totals(tables: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    summed = ("bytes", "files", "rows", "history_files", "history_bytes", "snapshots",
              "position_delete_files", "equality_delete_files", "deletion_vectors")  # fmt: skip
    return {key: sum(table[key] for table in tables) for key in summed}


def _by_rule(tables: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one entry a rule, the most frequent first, with one message and remedy as an example."""
    found: dict[str, dict[str, Any]] = {}
    for table in tables:
        for rule, finding in {item["rule"]: item for item in table["findings"]}.items():
            entry = found.setdefault(rule, {**finding, "tables": 0, "example": table["table"]})
            entry["tables"] += 1
    return sorted(found.values(), key=lambda item: (-item["tables"], item["rule"]))


def _by_loss(tables: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    counted = Counter(what for table in tables for what in {loss["what"] for loss in table["losses"]})
    whys = {loss["what"]: loss["why"] for table in tables for loss in table["losses"]}
    return [{"what": what, "why": whys[what], "tables": count} for what, count in counted.most_common()]


def _by_writer(tables: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return how many tables each engine wrote last."""
    counted = Counter(table["writers"][0]["engine"] for table in tables if table["writers"])
    return [{"engine": engine, "tables": count} for engine, count in counted.most_common()]


def _price(estimate: Mapping[str, Any] | None) -> str:
    if estimate is None:
        return ""
    cost = f"{estimate['cost']:,.2f} {estimate['rates']['currency']}"
    return f". Moving them takes about {charts.duration(estimate['seconds'])} and {cost}"


@cache
def _asset(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters.update(size=charts.size, duration=charts.duration, day=charts.day, count=charts.count)
    return environment.get_template("assessment.html.j2")

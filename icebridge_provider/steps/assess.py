"""Says what a migration would take: one JSON document, and one HTML file to mail."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.model import codec
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.inventory import Inventory
from icebridge_provider.model.plan import Estimate, Loss
from icebridge_provider.model.report import Finding, Severity
from icebridge_provider.model.table import ForeignTable, TableFacts
from icebridge_provider.ports import Ledger
from icebridge_provider.steps import charts

GOES, LOSES, BROKEN = "goes", "loses", "broken"
WRITERS_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What planning says of one table: how it would be copied, what it would lose, and its share of the work."""

    method: str = ""
    losses: tuple[Loss, ...] = ()
    seconds: float = 0.0
    cost: float = 0.0


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
    return _template().render(
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

"""``report``: the verdicts of a plan, and their Data Docs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from icebridge_provider.cli import surroundings
from icebridge_provider.cli.commands.status import newest
from icebridge_provider.cli.output import Answer, Grid, Output
from icebridge_provider.crash import side_effect
from icebridge_provider.model import codec
from icebridge_provider.model.report import ValidationReport
from icebridge_provider.steps.verdicts import kept

_COLUMNS = ("table", "verdict", "kind", "checks", "source_snapshot_id", "target_snapshot_id", "rows", "certificate")


def report(arguments: Any, output: Output) -> Answer:
    """Show the newest verdict on every table; with ``--out`` build Great Expectations' Data Docs of them."""
    ledger = surroundings.ledger()
    plan_id = arguments.plan or newest(ledger)
    ledger.plan(plan_id)
    verdicts = kept(ledger, [key for key, _ in ledger.documents("report", f"{plan_id}/")])
    found = [item for item, _ in verdicts]
    certificates = {state.table: state.certificate for state in ledger.states(plan_id)}
    rows = [_row(item, certificates.get(str(item.table), {})) for item in found]
    document = {"plan": plan_id, "reports": [codec.to_json(item) for item in found], "data_docs": None}
    shown: list[str | Grid] = [Grid(columns=_COLUMNS, rows=rows), *_differences(found)]
    if not rows:
        shown.append(f"Plan {plan_id} has no verdict yet.")
    elif arguments.out:
        from icebridge_provider.engines.gx import build_data_docs

        output.note("Building Data Docs …")
        with side_effect("cli.report.data_docs"):
            document["data_docs"] = str(build_data_docs(verdicts, Path(arguments.out)))
        shown.append(f"Data Docs: {document['data_docs']}")
    return Answer(document=document, shown=tuple(shown), ok=all(item.passed for item in found))


def _row(item: ValidationReport, certificate: Any) -> dict[str, Any]:
    return {
        "table": item.table.path,
        "verdict": "passed" if item.passed else "failed",
        "kind": item.kind,
        "checks": f"{sum(check.passed for check in item.checks)}/{len(item.checks)}",
        "source_snapshot_id": str(item.source_snapshot_id or ""),
        "target_snapshot_id": str(item.target_snapshot_id or ""),
        "rows": item.fingerprint.rows if item.fingerprint else None,
        "certificate": str(certificate.get("digest", ""))[:12],
    }


def _differences(reports: list[ValidationReport]) -> list[str]:
    return [
        f"{item.table.path}: {check.name}: source {check.source}, target {check.target}. {check.detail}"
        for item in reports
        for check in item.checks
        if not check.passed
    ]

"""Where every table of a plan is."""

from __future__ import annotations

from typing import Any

from icebridge_provider.model import codec
from icebridge_provider.model.event import TableState
from icebridge_provider.model.plan import MigrationPlan, TablePlan
from icebridge_provider.model.report import Finding
from icebridge_provider.ports import Ledger


def status(ledger: Ledger, plan_id: str) -> list[dict[str, Any]]:
    """Return one dict a table, refused ones too, by source name.

    Keys: ``source, target, state, method, wave, rows, bytes, source_snapshot_id, target_snapshot_id, fingerprint,
    findings, problem, updated_at``.

    :raises ConfigurationError: IB-120 when there is no such plan.
    """
    plan = ledger.plan(plan_id)
    states = {state.table: state for state in ledger.states(plan_id)}
    findings: dict[str, list[Finding]] = {}
    for finding in plan.findings:
        findings.setdefault(str(finding.table), []).append(finding)
    planned = {str(table.source): table for table in plan.tables}
    names = sorted({*planned, *findings})
    return [_row(name, planned.get(name), states.get(name), findings.get(name, [])) for name in names]


def _row(name: str, table: TablePlan | None, state: TableState | None, findings: list[Finding]) -> dict[str, Any]:
    found = state or TableState(plan_id="", table=name)
    return {
        "source": name,
        "target": str(table.target) if table else None,
        "state": found.state.value,
        "method": table.method.value if table else None,
        "wave": table.wave if table else None,
        "rows": found.validation.get("rows", found.copy.get("rows", table.rows if table else None)),
        "bytes": table.bytes if table else None,
        "source_snapshot_id": found.copy.get("source_snapshot_id"),
        "target_snapshot_id": found.copy.get("target_snapshot_id"),
        "fingerprint": found.validation.get("sum128") or found.certificate.get("digest"),
        "findings": [codec.to_json(finding) for finding in findings],
        "problem": found.problem,
        "updated_at": found.updated_at,
    }


def summary(plan: MigrationPlan, ledger: Ledger) -> dict[str, int]:
    """Return how many tables of a plan are in which state."""
    counts: dict[str, int] = {}
    for row in status(ledger, plan.plan_id):
        counts[row["state"]] = counts.get(row["state"], 0) + 1
    return counts

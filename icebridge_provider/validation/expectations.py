"""Verdicts as plain data: what any judge (Great Expectations, a test, a page) needs to know of a report."""

from __future__ import annotations

from typing import Any

from icebridge_provider.model.report import ValidationReport


def expectation_of(report: ValidationReport) -> dict[str, Any]:
    """Return the precomputed aggregates of both sides of a report, check by check.

    :returns: ``table, target, kind, source_snapshot_id, target_snapshot_id``, ``source_values`` and ``target_values``
        (a check's name to the text that side gave), ``details``, ``refused`` (names of failed checks) and
        ``differences``. Two checks of one name are told apart by a number, so that none hides another.
    """
    source: dict[str, str] = {}
    target: dict[str, str] = {}
    details: dict[str, str] = {}
    refused: list[str] = []
    for check in report.checks:
        name = _free_name(check.name, source)
        source[name], target[name] = check.source, check.target
        if check.detail:
            details[name] = check.detail
        if not check.passed:
            refused.append(name)
    return {
        "table": str(report.table),
        "target": str(report.target),
        "kind": report.kind,
        "source_snapshot_id": report.source_snapshot_id,
        "target_snapshot_id": report.target_snapshot_id,
        "source_values": source,
        "target_values": target,
        "details": details,
        "refused": refused,
        "differences": [dict(row) for row in report.differences],
    }


def _free_name(name: str, taken: dict[str, str]) -> str:
    if name not in taken:
        return name
    number = 2
    while f"{name} ({number})" in taken:
        number += 1
    return f"{name} ({number})"


def verdict_of(values: dict[str, Any]) -> dict[str, Any]:
    """Judge what :func:`expectation_of` returned, anew and without trusting the report's own answers.

    :returns: ``success`` and ``mismatches`` (name → both sides and the detail). Nothing to compare is no success,
        and neither is a check that its own author refused.
    """
    source, target = values["source_values"], values["target_values"]
    names = [name for name in sorted({*source, *target}) if source.get(name) != target.get(name)]
    names += [name for name in values["refused"] if name not in names]
    details = values["details"]
    mismatches = {
        name: {"source": source.get(name), "target": target.get(name), "detail": details.get(name, "")}
        for name in names
    }
    return {"success": bool(source) and not mismatches, "mismatches": mismatches}

"""Keeps Great Expectations' verdicts beside the reports they are about, so that showing them needs no GX again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from icebridge_provider.model import codec
from icebridge_provider.model.report import ValidationReport
from icebridge_provider.ports import Ledger

Verdicts = list[tuple[ValidationReport, dict[str, Any] | None]]


def report_key(plan_id: str, source: object) -> str:
    """Return the key of a table's validation report, and of its verdict, in the ledger."""
    return f"{plan_id}/{source}"


def keep_report(ledger: Ledger, key: str, report: ValidationReport) -> None:
    """Keep a report before it is judged: when GX itself fails, it is there to look at."""
    ledger.save_document("report", key, codec.to_json(report))


def keep_verdict(ledger: Ledger, key: str, report: ValidationReport, result: Mapping[str, Any]) -> None:
    """Keep what GX said of a report."""
    ledger.save_document("verdict", key, {"report": codec.digest(report), "result": dict(result)})


def kept(ledger: Ledger, keys: Iterable[str]) -> Verdicts:
    """Return the reports that are there, each with its verdict; None when the verdict is of an earlier report."""
    found: Verdicts = []
    for key in keys:
        document = ledger.document("report", key)
        if document is not None:
            report = codec.from_json(ValidationReport, document)
            verdict = ledger.document("verdict", key) or {}
            fits = verdict.get("report") == codec.digest(report)
            found.append((report, dict(verdict["result"]) if fits else None))
    return found

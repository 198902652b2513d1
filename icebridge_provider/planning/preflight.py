"""Rules that look at a table before anything is spent on it, as data: id, check, severity, remedy.

A blocking finding drops the table, not the run. What is wrong with the source itself is said by planning/inspection.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.plan import CopyMethod
from icebridge_provider.model.report import Finding, Severity
from icebridge_provider.planning import source_rules, target_rules, unity_rules
from icebridge_provider.planning.candidate import (
    Answer,
    Candidate,
    Capabilities,
    Occupant,
    PreflightContext,
    Rule,
    size_of,
)
from icebridge_provider.planning.source_rules import LEFT_OVER

LONGEST_NAME = 255
RULES: tuple[Rule, ...] = (*target_rules.RULES, *source_rules.RULES, *unity_rules.RULES)
# Rules that rest on what documentation says of a workspace: a person may know better.
SOFT = frozenset(rule.id for rule in unity_rules.RULES)
# Source rules that speak of older snapshots only: methods that write rows anew never read those.
_OLDER_ONLY = frozenset({"SRC-003", "SRC-012"})
# Databricks reads no foreign table whose summary counts files or bytes otherwise than its manifests
# (DELTA_UNIVERSAL_FORMAT_CONVERSION_FAILED); other totals do not stop it.
_SUMMARY, _CHECKED = "SRC-008", frozenset({"total-data-files", "total-files-size"})


def preflight(candidate: Candidate, context: PreflightContext) -> tuple[Finding, ...]:
    """Return what the rules say of one table, blocking findings first."""
    found = [
        _finding(rule, candidate, answer, context.advisory)
        for rule in RULES
        if (answer := rule.judge(candidate, context)) is not None
    ]
    return tuple(sorted(found, key=lambda finding: finding.severity is not Severity.BLOCKING))


def advisory(text: str) -> frozenset[str]:
    """Return the rules that the option ``advisory_rules`` names; between them stand commas or blanks.

    :raises ConfigurationError: IB-261 for one that is none of those that may be made a warning.
    """
    named = frozenset(text.replace(",", " ").upper().split())
    unknown = sorted(named - SOFT)
    if unknown:
        raise ConfigurationError(
            "IB-261",
            f"advisory_rules names {', '.join(unknown)}, which cannot be made a warning.",
            remedy=f"Take some of {', '.join(sorted(SOFT))}; the other rules protect data.",
            option="advisory_rules",
        )
    return named


def weighed(findings: Iterable[Finding], method: CopyMethod, takes: Capabilities | None = None) -> tuple[Finding, ...]:
    """Return the source's findings as ``method`` and the target's engine see them.

    Older snapshots do not stop a re-encode; a wrong summary stops an engine that checks it.

    :param takes: what the target takes.
    """
    checks = takes is not None and takes.checks_summaries
    return tuple(_weighed(finding, method, checks=checks) for finding in findings)


def is_blocked(findings: Iterable[Finding]) -> bool:
    """Say whether a finding drops the table."""
    return any(finding.severity is Severity.BLOCKING for finding in findings)


def _weighed(finding: Finding, method: CopyMethod, *, checks: bool) -> Finding:
    if checks and finding.rule == _SUMMARY and _CHECKED & set(finding.facts.get("totals", ())):
        return replace(finding, severity=Severity.BLOCKING)
    if finding.rule not in _OLDER_ONLY or not method.rewrites:
        return finding
    return replace(finding, severity=Severity.WARNING)


def _finding(rule: Rule, candidate: Candidate, answer: Answer, softened: frozenset[str]) -> Finding:
    softer = rule.id in softened and rule.severity is Severity.BLOCKING
    return Finding(
        rule=rule.id,
        severity=Severity.WARNING if softer else rule.severity,
        table=candidate.table.identifier,
        message=f"{candidate.table.identifier}: {answer.what}.",
        remedy=answer.remedy or rule.remedy,
        facts=answer.facts,
    )


__all__ = [
    "LEFT_OVER",
    "LONGEST_NAME",
    "RULES",
    "SOFT",
    "Answer",
    "Candidate",
    "Capabilities",
    "Occupant",
    "PreflightContext",
    "Rule",
    "advisory",
    "is_blocked",
    "preflight",
    "size_of",
    "weighed",
]

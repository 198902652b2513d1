"""Rules that look at a table before anything is spent on it, as data: id, check, severity, remedy.

A blocking finding drops the table, not the run. What is wrong with the source itself is said by planning/inspection.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from icebridge_provider.model.plan import CopyMethod
from icebridge_provider.model.report import Finding, Severity
from icebridge_provider.planning import source_rules, target_rules
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
RULES: tuple[Rule, ...] = (*target_rules.RULES, *source_rules.RULES)
# Source rules that speak of older snapshots only: methods that write rows anew never read those.
_OLDER_ONLY = frozenset({"SRC-003", "SRC-012"})


def preflight(candidate: Candidate, context: PreflightContext) -> tuple[Finding, ...]:
    """Return what the rules say of one table, blocking findings first."""
    return tuple(
        _finding(rule, candidate, answer) for rule in RULES if (answer := rule.judge(candidate, context)) is not None
    )


def weighed(findings: Iterable[Finding], method: CopyMethod) -> tuple[Finding, ...]:
    """Return the source's findings as ``method`` sees them: older snapshots do not stop a re-encode."""
    return tuple(_weighed(finding, method) for finding in findings)


def is_blocked(findings: Iterable[Finding]) -> bool:
    """Say whether a finding drops the table."""
    return any(finding.severity is Severity.BLOCKING for finding in findings)


def _weighed(finding: Finding, method: CopyMethod) -> Finding:
    if finding.rule not in _OLDER_ONLY or not method.rewrites:
        return finding
    return replace(finding, severity=Severity.WARNING)


def _finding(rule: Rule, candidate: Candidate, answer: Answer) -> Finding:
    return Finding(
        rule=rule.id,
        severity=rule.severity,
        table=candidate.table.identifier,
        message=f"{candidate.table.identifier}: {answer.what}.",
        remedy=answer.remedy or rule.remedy,
        facts=answer.facts,
    )


__all__ = [
    "LEFT_OVER",
    "LONGEST_NAME",
    "RULES",
    "Answer",
    "Candidate",
    "Capabilities",
    "Occupant",
    "PreflightContext",
    "Rule",
    "is_blocked",
    "preflight",
    "size_of",
    "weighed",
]

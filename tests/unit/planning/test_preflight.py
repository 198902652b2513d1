"""Each pre-flight rule sees its case and nothing else; the page lists them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from icebridge_provider.model.plan import CopyMethod
from icebridge_provider.model.report import Severity
from icebridge_provider.model.table import Column, FileTotals, ForeignTable, Writer
from icebridge_provider.planning.build import MISSPELT
from icebridge_provider.planning.candidate import folder
from icebridge_provider.planning.mapping import parse_rules
from icebridge_provider.planning.methods import DATABRICKS
from icebridge_provider.planning.preflight import (
    RULES,
    SOFT,
    Candidate,
    Capabilities,
    Occupant,
    PreflightContext,
    preflight,
    weighed,
)
from tests.support.inventories import NOW_MS, facts, ident, source_finding, table

PAGE = Path(__file__).parents[3] / "docs" / "planning.md"
SOURCE, TARGET, STAGED = "src.sales.orders", ident("sales.orders", "dst"), ident("sales.orders__icebridge_p1", "dst")
MINE, OTHERS = Occupant(plan_id="p1", source=SOURCE), Occupant(plan_id="p0", source="src.other.table")
BUCKETED = ({"spec-id": 0, "fields": [{"name": "id_bucket", "transform": "bucket[8]"}]},)


@dataclass(frozen=True, kw_only=True)
class Case:
    rule: str
    says: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    candidate: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)


CASES = [
    Case(rule="PRE-001", says="copy_files cannot carry format version 3", facts={"format_version": 3}),
    Case(
        rule="PRE-001", says="insert_select cannot carry AVRO files", candidate={"method": CopyMethod.INSERT_SELECT},
        facts={"manifests": FileTotals(data_files=1, formats=("AVRO",))},
    ),
    Case(rule="PRE-002", says="dst is read-only", context={"target_writable": False}),
    Case(rule="PRE-003", says="was not made by IceBridge", context={"occupants": {TARGET: Occupant()}}),
    Case(rule="PRE-003", says="made by plan p0 from src.other.table", context={"occupants": {TARGET: OTHERS}}),
    Case(rule="PRE-004", says="300 characters", candidate={"target": TARGET.named("x" * 300)}),
    Case(rule="PRE-004", says="control characters", candidate={"target": TARGET.named("a\nb")}),
    Case(rule="PRE-004", says="outer blanks", candidate={"target": TARGET.named(" a")}),
    Case(
        rule="PRE-004", says="not 'Orders-1'", candidate={"target": TARGET.named("Orders-1")},
        context={"capabilities": Capabilities(plain_names=True)},
    ),
    Case(rule="PRE-005", says="1,200,000,000 bytes, 1,199,999,999 are free", context={"free_bytes": 1_199_999_999}),
    Case(
        rule="PRE-006", says="plan p0 has migrated it",
        context={"occupants": {TARGET: Occupant(plan_id="p0", source=SOURCE)}},
    ),
    Case(rule="PRE-007", says="this plan did not make", context={"occupants": {STAGED: OTHERS}}),
    Case(rule="PRE-008", says="overlap", candidate={"location": "s3a://old/sales/orders/new"}),
    Case(rule="PRE-008", says="overlap", candidate={"location": "s3://old/sales"}),
    Case(
        rule="PRE-009", says="cannot read the files", candidate={"method": CopyMethod.REGISTER},
        context={"reads_source": False},
    ),
    Case(
        rule="PRE-030", says="one level, not 2", candidate={"target": ident("a.b.t", "dst")},
        context={"capabilities": Capabilities(one_level=True)},
    ),
    Case(
        rule="PRE-030", says="separates levels by dots", candidate={"target": ident("`a.b`.t", "dst")},
        context={"capabilities": Capabilities(dotted_levels=False)},
    ),
    Case(rule="PRE-031", says="format version 1, not 2", context={"capabilities": Capabilities(newest_format=1)}),
    Case(
        rule="PRE-031", says="u uuid", facts={"columns": (Column(field_id=1, name="u", type="uuid"),)},
        context={"capabilities": Capabilities(refused_types=frozenset({"uuid"}))},
    ),
    Case(
        rule="PRE-031", says="no transforms (id_bucket)", facts={"specs": BUCKETED},
        context={"capabilities": Capabilities(partition_transforms=False)},
    ),
    Case(
        rule="PRE-031", says="f fixed[4]", facts={"columns": (Column(field_id=1, name="f", type="fixed[4]"),)},
        context={"capabilities": Capabilities(refused_types=frozenset({"fixed"}))},
    ),
    Case(
        rule="PRE-004", says="takes no '/' in names", candidate={"target": ident("lake.`a/b`", "dst")},
        context={"capabilities": Capabilities(refused_characters=" ./")},
    ),
    Case(
        rule="PRE-032", says="does not run copy_files", context={"capabilities": Capabilities(methods=DATABRICKS)},
    ),
    Case(
        rule="PRE-033", says="without applying its 3 position delete files",
        candidate={"method": CopyMethod.DEEP_CLONE},
        facts={"manifests": FileTotals(data_files=1, position_delete_files=3)},
        context={"capabilities": Capabilities(applies_deletes=False, methods=DATABRICKS)},
    ),
    Case(rule="PRE-010", says="an instruction to its owner", context={"source_writable": False}),
    Case(
        rule="PRE-011", says="59 minutes ago; its last writers are flink job-7, spark 3.5",
        facts={
            "last_updated_ms": NOW_MS - 59 * 60_000 - 1,
            "writers": tuple(
                Writer(snapshot_id=n, at_ms=0, operation="append", engine=engine, app_id=app)
                for n, (engine, app) in enumerate([("flink", "job-7"), ("flink", "job-7"), ("spark 3.5", "")])
            ),
        },
    ),
    Case(
        rule="PRE-012", says="1,000 files of 50,000 bytes on average",
        facts={"manifests": FileTotals(data_files=1000, data_bytes=50_000_000)},
    ),
    Case(rule="PRE-013", says="gc.enabled is false", facts={"properties": {"gc.enabled": "False"}}),
    Case(rule="PRE-014", says="write.data.path=s3://x", facts={"properties": {"write.data.path": "s3://x"}}),
    Case(
        rule="PRE-015", says="branches audit;",
        facts={"refs": {"main": {}, "audit": {"type": "branch"}, "v": {"type": "tag"}}},
    ),
    Case(rule="PRE-015", says="write-audit-publish", facts={"properties": {"write.wap.enabled": "true"}}),
    Case(
        rule="PRE-015", says="are lost by insert_select", candidate={"method": CopyMethod.INSERT_SELECT},
        facts={"refs": {"main": {}, "audit": {"type": "branch"}}},
    ),
    Case(
        rule="PRE-016", says="after 1.5 hours",
        facts={"properties": {"history.expire.max-snapshot-age-ms": "5400000"}},
    ),
    Case(rule="PRE-017", says="share its files", candidate={"method": CopyMethod.REGISTER}),
    Case(
        rule="PRE-018", says="src.sales.copy is registered on the same metadata file",
        context={"twins": {facts().metadata_location: (ident("sales.orders"), ident("sales.copy"))}},
    ),
    Case(rule="PRE-023", says="com.Impl", facts={"properties": {"write.location-provider.impl": "com.Impl"}}),
    Case(rule="PRE-023", says="by hash", facts={"properties": {"write.object-storage.enabled": "true"}}),
    Case(rule="PRE-020", says="no snapshot", facts={"current_snapshot_id": None, "snapshots": 0}),
    Case(
        rule="PRE-021", says="left by an earlier migration",
        facts={"properties": {"icebridge.moved-to": "dst.sales.orders"}},
    ),
    Case(rule="PRE-022", says="has made dst.sales.orders__icebridge_p1", context={"occupants": {STAGED: MINE}}),
    Case(
        rule="PRE-024", says="3 position delete files move along",
        facts={"manifests": FileTotals(data_files=3, data_bytes=10**9, position_delete_files=3)},
    ),
    Case(rule="PRE-025", says="files of 1 older snapshots", facts={"history_files": 0}),
]  # fmt: skip


def candidate(found: ForeignTable, **changes: Any) -> Candidate:
    assert found.facts is not None
    given: dict[str, Any] = {
        "target": TARGET,
        "staged": STAGED,
        "method": CopyMethod.COPY_FILES,
        "location": "s3://new/o",
    }
    return Candidate(table=found, facts=found.facts, **{**given, **changes})


def context(**changes: Any) -> PreflightContext:
    return PreflightContext(**{"plan_id": "p1", "now_ms": NOW_MS, **changes})


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule} {case.says[:20]}")
def test_a_rule_sees_its_case_and_says_what_it_saw(case: Case) -> None:
    found = preflight(candidate(table(**case.facts), **case.candidate), context(**case.context))
    seen = {finding.rule: finding for finding in found}
    assert case.says in seen[case.rule].message
    assert seen[case.rule].remedy
    known = {rule.id: rule.severity for rule in RULES}
    assert seen[case.rule].severity is known[case.rule]
    allowed = {"PRE-017"} if case.candidate.get("method") is CopyMethod.REGISTER else set()
    assert set(seen) - {case.rule} <= allowed


def test_every_rule_has_a_case() -> None:
    """Those about a Databricks workspace have theirs in test_unity_rules.py."""
    assert {case.rule for case in CASES} == {rule.id for rule in RULES} - SOFT
    assert len({rule.id for rule in RULES} | {MISSPELT}) == len(RULES) + 1


def test_an_ordinary_table_has_no_finding() -> None:
    assert preflight(candidate(table()), context(free_bytes=1_200_000_000)) == ()


@pytest.mark.parametrize("age", [3_600_000, -1])
def test_a_table_written_long_ago_or_by_a_wrong_clock_is_not_active(age: int) -> None:
    assert preflight(candidate(table(last_updated_ms=NOW_MS - age)), context()) == ()


def test_blocking_findings_come_first() -> None:
    found = preflight(candidate(table(format_version=3)), context(source_writable=False, target_writable=False))
    assert [finding.severity for finding in found] == [Severity.BLOCKING, Severity.BLOCKING, Severity.WARNING]


@pytest.mark.parametrize(
    ("target", "capabilities"),
    [
        (ident("a.b.t", "dst"), Capabilities(one_level=True)),
        (ident("`a.b`.t", "dst"), Capabilities(dotted_levels=False)),
        (ident("sales.`Orders = 1`", "dst"), Capabilities(plain_names=True)),
    ],
)
def test_the_rule_to_paste_mends_the_name(target: Any, capabilities: Capabilities) -> None:
    [found] = preflight(candidate(table(), target=target), context(capabilities=capabilities))
    pasted = found.remedy.split('"')[1]
    [parts] = parse_rules([pasted]).explicit.values()
    mended = TARGET.__class__(catalog="dst", namespace=parts[:-1], name=parts[-1])
    assert preflight(candidate(table(), target=mended), context(capabilities=capabilities)) == ()


def test_older_snapshots_do_not_stop_a_table_that_is_written_anew() -> None:
    found = (source_finding(table(), "SRC-003"), source_finding(table(), "SRC-002"))
    blocking, warning = Severity.BLOCKING, Severity.WARNING
    assert [item.severity for item in weighed(found, CopyMethod.COPY_FILES)] == [blocking, blocking]
    assert [item.severity for item in weighed(found, CopyMethod.INSERT_SELECT)] == [warning, blocking]


def test_folders_are_compared_in_one_spelling() -> None:
    assert folder("file:///a/b") == folder("/a/b/") == "/a/b/"
    assert folder("s3n://a") == folder("s3a://a/") == "s3://a/"


def rules_table() -> str:
    lines = ["| rule | severity | what must hold |", "| --- | --- | --- |"]
    found = [(rule.id, rule.severity.value, rule.check) for rule in RULES]
    found.append((MISSPELT, "warning", "explicit mapping rules name tables that are there"))
    return "\n".join([*lines, *(f"| {rule} | {severity} | {check} |" for rule, severity, check in sorted(found))])


def test_the_page_lists_every_rule() -> None:
    assert rules_table() in PAGE.read_text()


if __name__ == "__main__":
    print(rules_table())

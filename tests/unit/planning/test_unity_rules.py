"""Each rule about a Databricks workspace sees its case, says what to paste, and keeps still without one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.access import Grant, Policy, PolicyKind, TableAccess
from icebridge_provider.model.plan import CopyMethod, MigrationRequest
from icebridge_provider.model.report import Severity
from icebridge_provider.planning.build import PlanContext, prospects
from icebridge_provider.planning.candidate import Candidate, Capabilities, PreflightContext
from icebridge_provider.planning.mapping import parse_rules
from icebridge_provider.planning.methods import DATABRICKS
from icebridge_provider.planning.preflight import advisory, preflight, weighed
from icebridge_provider.planning.unity_facts import Entry, Place, Told, UnityFacts
from icebridge_provider.planning.unity_rules import RULES
from tests.support.inventories import NOW_MS, facts, ident, inventory, source_finding, table

TARGET, STAGED = ident("sales.orders", "dst"), ident("sales.orders__icebridge_p1", "dst")
CLONE, INSERT = CopyMethod.DEEP_CLONE, CopyMethod.INSERT_SELECT
HELD = dict.fromkeys(
    ("USE_CATALOG", "USE_SCHEMA", "CREATE_TABLE", "CREATE_SCHEMA", "EXTERNAL_USE_SCHEMA", "SELECT", "MANAGE"), Told.YES
)
FILTER = Policy(name="rows", kind=PolicyKind.ROW_FILTER, on="SCHEMA lake.sales", principals=("account users",))
NEW = TableAccess(
    table="new tables of main.sales",
    owner="bot",
    grants=(
        Grant(principal="eve", privilege="SELECT", inherited_from_type="SCHEMA", inherited_from_name="main.sales"),
        Grant(principal="bot", privilege="SELECT", inherited_from_type="SCHEMA", inherited_from_name="main.sales"),
    ),
)
EVES = ("SELECT", "USE_CATALOG", "USE_SCHEMA")
PLACE = Place(
    parts=("main", "sales"), rights=HELD, storage="s3://uc/main", storage_of="CATALOG main", optimized=Told.YES,
    limit=10_000,
)  # fmt: skip
ENTRY = Entry(parts=("lake", "sales", "orders"), rights=HELD, updated_ms=NOW_MS)


@dataclass(frozen=True, kw_only=True)
class Case:
    rule: str
    says: str
    pastes: tuple[str, ...] = ()
    unity: Mapping[str, Any] = field(default_factory=dict)
    place: Mapping[str, Any] = field(default_factory=dict)
    entry: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    method: CopyMethod = CLONE
    with_it: frozenset[str] = frozenset()


def without(*privileges: str, told: Told = Told.NO) -> dict[str, Any]:
    return {"rights": {**HELD, **dict.fromkeys(privileges, told)}}


CASES = [
    Case(
        rule="PRE-034", says="allows no external data access", unity={"external_access": Told.NO, "metastore_id": "m1"},
        pastes=("databricks metastores update m1 --json",),
    ),
    Case(
        rule="PRE-035", says="bot lacks EXTERNAL USE SCHEMA on main.sales", place=without("EXTERNAL_USE_SCHEMA"),
        pastes=("GRANT EXTERNAL USE SCHEMA ON SCHEMA `main`.`sales` TO `bot`",),
    ),
    Case(
        rule="PRE-035", says="lacks EXTERNAL USE SCHEMA", place={**without("EXTERNAL_USE_SCHEMA"), "there": False},
        pastes=("GRANT EXTERNAL USE SCHEMA ON CATALOG `main` TO `bot`",),
    ),
    Case(
        rule="PRE-036", says="neither main.sales nor its catalog nor the metastore", place={"storage": ""},
        pastes=("CREATE SCHEMA `main`.`sales` MANAGED LOCATION",),
    ),
    Case(rule="PRE-037", says="s3a://old/sales (of CATALOG main)", place={"storage": "s3a://old/sales"}),
    Case(rule="PRE-037", says="lie inside each other", place={"storage": "s3://old/sales/orders/managed"}),
    Case(
        rule="PRE-038", says="has 9,999 of at most 10,000 tables, and this plan brings 1 more",
        place={"tables": 9_999, "crowded_out": frozenset({TARGET})},
    ),
    Case(
        rule="PRE-039", says="USE SCHEMA, CREATE TABLE are missing", place=without("CREATE_TABLE", "USE_SCHEMA"),
        pastes=("GRANT USE SCHEMA ON SCHEMA `main`.`sales` TO `bot`", "GRANT CREATE TABLE ON SCHEMA `main`.`sales`"),
    ),
    Case(
        rule="PRE-039", says="in main.sales, which is not there or not shown: CREATE SCHEMA is missing",
        place={**without("CREATE_SCHEMA"), "there": False}, pastes=("GRANT CREATE SCHEMA ON CATALOG `main` TO `bot`",),
    ),
    Case(
        rule="PRE-040", says="bot, who copies, may not read it: USE CATALOG, SELECT are missing",
        entry=without("SELECT", "USE_CATALOG"),
        pastes=("GRANT USE CATALOG ON CATALOG `lake` TO `bot`", "GRANT SELECT ON TABLE `lake`.`sales`.`orders` TO"),
    ),
    Case(
        rule="PRE-041", says="mover is shown its own privileges", entry=without("MANAGE"),
        pastes=("GRANT MANAGE ON TABLE `lake`.`sales`.`orders` TO `mover`",),
    ),
    Case(
        rule="PRE-042", says="it has row filter lake.f.only", entry={"row_filter": "lake.f.only"},
        pastes=("method:sales.orders=insert_select",), with_it=frozenset({"PRE-043"}),
    ),
    Case(
        rule="PRE-043", says="mask lake.f.hide on column name, policy rows on SCHEMA lake.sales: unless bot is exempt",
        entry={"masks": {"name": "lake.f.hide"}, "policies": (FILTER,)}, method=INSERT,
    ),
    Case(
        rule="PRE-044", says="eve would read new tables of main.sales by SELECT on schema main.sales",
        place={"access": NEW}, entry={"access": TableAccess(table="lake.sales.orders"), "access_whole": True},
    ),
    Case(
        rule="PRE-045", says="eve would read new tables", place={"access": NEW},
        entry={"access": TableAccess(table="lake.sales.orders")},
    ),
    Case(
        rule="PRE-046", says="not in force on main.sales: deep_clone", place={"optimized": Told.NO},
        pastes=("ALTER SCHEMA `main`.`sales` ENABLE PREDICTIVE OPTIMIZATION", '"predictive_optimization": "enable"'),
    ),
    Case(
        rule="PRE-047", says="nothing will compact", place={"optimized": Told.NO, "there": False}, method=INSERT,
        pastes=("ALTER CATALOG `main` ENABLE PREDICTIVE OPTIMIZATION",),
    ),
    Case(
        rule="PRE-048", says="whether the metastore allows external data access",
        unity={"external_access": Told.UNKNOWN},
    ),
    Case(
        rule="PRE-048", says="who reads; whether bot has CREATE TABLE on main.sales; whether bot has SELECT on it",
        place={**without("CREATE_TABLE", told=Told.UNKNOWN), "unanswered": ("who reads",)},
        entry=without("SELECT", told=Told.UNKNOWN),
    ),
    Case(rule="PRE-048", says="whether its summary fits its manifests", facts={"manifests": None}),
    Case(
        rule="PRE-049", says="60 s before its last write", entry={"updated_ms": NOW_MS - 60_000},
        facts={"last_updated_ms": NOW_MS, "writers": ()},
        pastes=("REFRESH FOREIGN TABLE `lake`.`sales`.`orders`",),
    ),
]  # fmt: skip


def unity(case: Case) -> UnityFacts:
    found = UnityFacts(
        copier="bot",
        mover="mover",
        external_access=Told.YES,
        places={("sales",): replace(PLACE, **case.place)},
        entries={ident("sales.orders"): replace(ENTRY, **case.entry)},
    )
    return replace(found, **case.unity)


def findings(case: Case, **more: Any) -> dict[str, Any]:
    found = table(**case.facts)
    assert found.facts is not None
    candidate = Candidate(table=found, facts=found.facts, target=TARGET, staged=STAGED, method=case.method)
    takes = Capabilities(methods=DATABRICKS)
    given = {"plan_id": "p1", "now_ms": NOW_MS, "unity": unity(case), "capabilities": takes, **more}
    return {item.rule: item for item in preflight(candidate, PreflightContext(**given))}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule} {case.says[:24]}")
def test_a_rule_sees_its_case_and_says_what_to_run(case: Case) -> None:
    seen = findings(case)
    assert set(seen) == {case.rule, *case.with_it}
    assert case.says in seen[case.rule].message
    assert all(text in seen[case.rule].remedy for text in case.pastes), seen[case.rule].remedy
    assert seen[case.rule].severity is {rule.id: rule.severity for rule in RULES}[case.rule]
    assert findings(case, unity=None) == {}


def test_every_rule_has_a_case() -> None:
    assert {case.rule for case in CASES} == {rule.id for rule in RULES}


def test_a_workspace_where_all_is_well_says_nothing() -> None:
    assert findings(Case(rule="", says="")) == {}


def test_the_mapping_rule_to_paste_takes_the_table_out_of_the_clone() -> None:
    case = next(case for case in CASES if case.rule == "PRE-042")
    pasted = findings(case)["PRE-042"].remedy.split('"')[1]
    assert parse_rules([pasted]).method_of(ident("sales.orders")) == INSERT


@pytest.mark.parametrize("rule", ["PRE-034", "PRE-039", "PRE-044"])
def test_a_rule_that_somebody_knows_better_only_warns(rule: str) -> None:
    case = next(case for case in CASES if case.rule == rule)
    assert findings(case)[rule].severity is Severity.BLOCKING
    assert findings(case, advisory=advisory(f" {rule.lower()}, PRE-041"))[rule].severity is Severity.WARNING


@pytest.mark.parametrize("text", ["PRE-003", "PRE-034 PRE-999"])
def test_rules_that_protect_data_cannot_be_softened(text: str) -> None:
    with pytest.raises(ConfigurationError, match="IB-261") as caught:
        advisory(text)
    assert text.rsplit(maxsplit=1)[-1] in caught.value.message


def test_an_info_stays_an_info_when_softened() -> None:
    case = next(case for case in CASES if case.rule == "PRE-049")
    assert findings(case, advisory=advisory("PRE-049"))["PRE-049"].severity is Severity.INFO


@pytest.mark.parametrize(
    ("place", "entry", "enables", "expected"),
    [
        ({}, {}, False, CLONE),
        ({}, {"row_filter": "f"}, False, INSERT),
        ({}, {"masks": {"a": "f"}}, False, INSERT),
        ({}, {"policies": (FILTER,), "exempt": frozenset({"rows"})}, False, INSERT),
        ({"optimized": Told.NO}, {}, False, INSERT),
        ({"optimized": Told.NO}, {}, True, CLONE),
        ({"optimized": Told.UNKNOWN}, {}, False, CLONE),
    ],
)
def test_auto_takes_a_method_that_the_workspace_runs(
    place: dict[str, Any], entry: dict[str, Any], enables: bool, expected: CopyMethod
) -> None:
    told = unity(Case(rule="", says="", place=place, entry=entry, unity={"enables": enables}))
    checks = PreflightContext(unity=told, capabilities=Capabilities(methods=DATABRICKS), now_ms=NOW_MS)
    request = MigrationRequest(source_conn_id="src", target_conn_id="dst")
    [found] = prospects(inventory(table()), request, PlanContext(preflight=checks), "p1")
    assert found.planned is not None
    assert found.planned.method is expected
    assert found.planned.note == "Stored below s3://uc/main (of CATALOG main)."
    assert found.goes


def test_a_policy_the_copier_is_exempt_from_is_no_warning() -> None:
    case = Case(rule="", says="", entry={"policies": (FILTER,), "exempt": frozenset({"rows"})}, method=INSERT)
    assert findings(case) == {}


def test_a_reader_of_both_is_not_exposed() -> None:
    reads = tuple(Grant(principal="eve", privilege=one, inherited_from_type="CATALOG") for one in EVES)
    source = TableAccess(table="lake.sales.orders", grants=reads)
    case = Case(rule="", says="", place={"access": NEW}, entry={"access": source, "access_whole": True})
    assert findings(case) == {}


def test_a_wrong_summary_stops_an_engine_that_checks_it() -> None:
    counted = replace(source_finding(table(), "SRC-008", blocking=False), facts={"totals": {"total-files-size": {}}})
    other = replace(counted, facts={"totals": {"total-records": {}}})
    checks, takes = Capabilities(checks_summaries=True), Capabilities()
    assert [item.severity for item in weighed((counted, other), CLONE, checks)] == [Severity.BLOCKING, Severity.WARNING]
    assert [item.severity for item in weighed((counted,), CLONE, takes)] == [Severity.WARNING]
    assert facts().manifests is not None

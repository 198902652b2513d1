"""The page of verdicts: every name is text, and a broken ledger says nothing of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.report import Check, ValidationReport
from icebridge_provider.plugins.api.reports import Reports
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.verdicts import keep_report, report_key

HOSTILE = "<script>alert(1)</script>\"'&"


@pytest.fixture
def ledger(tmp_path: Path) -> SqlLedger:
    made = SqlLedger(f"sqlite:///{tmp_path}/ledger.db")
    made.migrate()
    return made


def keep(ledger: SqlLedger, name: str, *, passed: bool = True) -> TableIdentifier:
    table = TableIdentifier(catalog="src", namespace=("s",), name=name)
    check = Check(name=f"rows {name}", source=name, target=name, passed=passed, detail=name)
    report = ValidationReport(
        table=table, target=table, kind="fingerprint", source_snapshot_id=1, target_snapshot_id=2, checks=(check,)
    )
    keep_report(ledger, report_key("p1", table), report)
    return table


def test_names_from_catalogs_are_text(ledger: SqlLedger) -> None:
    table = keep(ledger, HOSTILE, passed=False)
    status, page = Reports(lambda: ledger).page("p1", str(table))
    assert status == 200
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 4
    assert "FAILED" in page


@pytest.mark.parametrize(("plan", "table"), [("", ""), ("p2", ""), ("p1", "src.s.other"), (HOSTILE, HOSTILE)])
def test_what_has_no_verdict_is_not_found(ledger: SqlLedger, plan: str, table: str) -> None:
    keep(ledger, "a")
    status, page = Reports(lambda: ledger).page(plan, table)
    assert status == 404
    assert "<script" not in page


def test_a_plans_page_shows_all_its_tables(ledger: SqlLedger) -> None:
    for name in ("a", "b"):
        keep(ledger, name)
    status, page = Reports(lambda: ledger).page("p1", "")
    assert (status, page.count("<td>src.s.a</td>"), page.count("<td>src.s.b</td>")) == (200, 1, 1)
    assert "FAILED" not in page


def test_a_broken_ledger_says_nothing_of_itself() -> None:
    def broken() -> SqlLedger:
        raise RuntimeError("postgresql://me:c4n4ry@host/ledger")

    status, page = Reports(broken).page("p1", "")
    assert status == 503
    assert "c4n4ry" not in page

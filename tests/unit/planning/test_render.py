"""A dry run shows what goes, what is refused and why, what it takes, and never steers a terminal."""

from __future__ import annotations

from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import MigrationRequest
from icebridge_provider.model.settings import Settings
from icebridge_provider.model.table import ForeignTable
from icebridge_provider.planning.build import PlanContext, build_plan
from icebridge_provider.planning.preflight import PreflightContext
from icebridge_provider.planning.render import duration, plan_table, size
from tests.support.inventories import facts, inventory, many, source_finding, table

START = "2026-01-01T00:00:00+00:00"


def test_a_plan_as_a_table() -> None:
    broken = table("legacy.broken")
    evil = ForeignTable(
        identifier=TableIdentifier(catalog="src", namespace=("a",), name="x\x1b[31m\nred"), facts=facts("evil")
    )
    found = inventory(table("a.t"), evil, broken, findings=(source_finding(broken, "SRC-002"),))
    request = MigrationRequest(
        source_conn_id="src",
        target_conn_id="dst",
        mapping=("method:a.t=insert_select", "explicit:a.t=sales.t", "explicit:a.`x\x1b[31m\nred`=a.x"),
        accept_losses=("history",),
    )
    context = PlanContext(preflight=PreflightContext(source_writable=False))
    text = plan_table(build_plan(found, request, context, "p1", START, Settings(currency="EUR")))
    lines = text.splitlines()
    assert lines[0] == "Plan p1: src → dst"
    assert ["0", "a.t", "sales.t", "insert_select", "10", "10,000,000", "1.0", "GB", "history"] in map(str.split, lines)
    assert "\x1b" not in text
    assert r"`x\x1b[31m\nred`" in text
    assert "Refused (1 table):" in lines
    assert "  blocking SRC-002 legacy.broken: Seen. Mend it." in lines
    assert any(line.startswith("  warning PRE-010, 2 tables: a.t, a.`x") for line in lines)
    assert any(line.startswith("  history: rows are written anew") and line.endswith("(a.t)") for line in lines)
    assert "2 tables in 1 wave; 2.2 GB to copy and prove: about 1 min at 100 MB/s (assumed)" in text
    assert "Rates in USD: 0 a GB moved, 0.5 an hour, 0.023 a GB and month" in lines


def test_thousands_of_tables_are_cut_short() -> None:
    request = MigrationRequest(source_conn_id="src", target_conn_id="dst")
    text = plan_table(build_plan(many(450), request, PlanContext(), "p1", START, Settings()))
    assert "… and 245 more tables" in text
    assert "445 tables in 4 waves, the first a canary of 5;" in text
    assert "No losses." in text
    assert len(text.splitlines()) < 230


def test_numbers_for_people() -> None:
    assert [size(count) for count in (0, 999, 1000, 2.5e12, 3e18)] == ["0 B", "999 B", "1.0 kB", "2.5 TB", "3000.0 PB"]
    assert [duration(seconds) for seconds in (3, 600, 9000, 432_000)] == ["3 s", "10 min", "2.5 h", "5.0 d"]

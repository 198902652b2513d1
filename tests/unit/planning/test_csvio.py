"""Selection and mapping survive a spreadsheet, and a spreadsheet survives them."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import MigrationRequest
from icebridge_provider.model.settings import Settings
from icebridge_provider.model.table import ForeignTable
from icebridge_provider.planning.build import PlanContext, build_plan
from icebridge_provider.planning.csvio import _safe, read_selection, write_inventory, write_selection
from icebridge_provider.planning.mapping import map_table, parse_rules
from icebridge_provider.planning.selection import select
from tests.support.inventories import facts, inventory, source_finding, table

START = "2026-01-01T00:00:00+00:00"


def test_a_plan_goes_out_and_comes_back() -> None:
    broken = table("a.broken")
    found = inventory(table("a.b"), table("a.c"), broken, findings=(source_finding(broken, "SRC-002"),))
    request = MigrationRequest(
        source_conn_id="src",
        target_conn_id="dst",
        mapping=("explicit:a.b=x.y", "method:a.c=insert_select"),
        accept_losses=("history",),
    )
    plan = build_plan(found, request, PlanContext(), "p1", START, Settings())
    text = write_selection(plan)
    assert text.splitlines() == [
        "source,target,method,include", "a.b,x.y,copy_files,yes", "a.c,a.c,insert_select,yes", "a.broken,,,no",
    ]  # fmt: skip
    assert read_selection(text) == (
        ("a.b", "a.c"),
        ("explicit:a.b=x.y", "method:a.b=copy_files", "method:a.c=insert_select"),
    )


PART = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=10),
    st.sampled_from(["=cmd|' /C calc'!A0", "+1", "-1", "@x", "'=a", "a,b", 'q"q', "a;b", "!x", "a=b", " a ", "yes"]),
)


@given(st.sets(st.tuples(PART, PART, PART, PART), min_size=1, max_size=6))
def test_any_names_come_back_and_no_cell_is_a_formula(names: set[tuple[str, str, str, str]]) -> None:
    sources = {TableIdentifier(catalog="src", namespace=(n[0],), name=n[1]): n[2:] for n in sorted(names)}
    tables = [ForeignTable(identifier=source, facts=facts()) for source in sources]
    text = write_inventory(inventory(*tables))
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert not [cell for cell in cells if cell[:1] in set("=+-@\t\r\n")]
    globs, rules = read_selection(text)
    assert set(sources) <= set(select(sources, globs))
    assert rules == ()


@given(PART, PART, PART, PART)
def test_any_new_name_is_read_back(a: str, b: str, c: str, d: str) -> None:
    source = TableIdentifier(catalog="src", namespace=(a,), name=b)
    target = TableIdentifier(catalog="dst", namespace=(c,), name=d)
    out = io.StringIO()
    csv.writer(out).writerows([["source", "target"], [_safe(source.path), _safe(target.path)]])
    _, rules = read_selection(out.getvalue())
    mapped = map_table(parse_rules(rules), source, "dst")
    assert mapped == target


def test_other_spreadsheets() -> None:
    assert read_selection("\ufeffInclude;Source;Target\r\nx;a.b; c.d \r\n;;\r\nno;a.e;\r\n") == (
        ("a.b",),
        ("explicit:a.b=c.d",),
    )
    assert read_selection("source\na.b\n") == (("a.b",), ())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("source,target,methode\n", "line 1, column methode: there is no such column; did you mean method"),
        ("target\na.b", "line 1, column source: the column is missing"),
        ("source,source\n", "line 1, column source: the column stands twice"),
        ("", "line 1, column source: the column is missing"),
        ("source\na.b\n\nc\n", "line 4, column source: 'c' is not namespace.table"),
        ("source,include\na.b,maybe\n", "line 2, column include: 'maybe' is not yes or no"),
        ("source,method\na.b,clone\n", "line 2, column method: 'clone' is not one of auto, copy_files"),
        ("source,target\na.b,`c\n", "line 2, column target"),
        ("source\na.b\na.b\n", "line 3, column source: a.b stands in line 2 already"),
        ("source,include\na.b,no\n", "no line has yes"),
        ("source,include\na.b,yes,c\n", "line 2, column include: there are 3 cells, the header has 2"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_selection(text)
    assert caught.value.code == "IB-318"
    assert says in caught.value.message

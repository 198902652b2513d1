"""The assessment says it in one sentence and in one file that asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from icebridge_provider.catalogs.iceberg import catalog_from
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.inventory import Inventory
from icebridge_provider.model.plan import Estimate, Loss, Rates
from icebridge_provider.model.report import Finding, Severity
from icebridge_provider.model.settings import Settings
from icebridge_provider.model.table import Column, FileTotals, ForeignTable, TableFacts, Writer
from icebridge_provider.steps.assess import Outlook, assess, assess_inventory, render_assessment
from icebridge_provider.steps.charts import duration, size, size_classes
from icebridge_provider.steps.inventory import read_inventory
from tests.support import tables as shapes

HOSTILE = "<img src=x onerror=alert(1)>'\"</script><script>alert(2)</script>"


def ident(name: str) -> TableIdentifier:
    return TableIdentifier(catalog="src", namespace=("lake",), name=name)


def table(name: str, data_bytes: int = 10**9, engine: str = "spark 4.1") -> ForeignTable:
    facts = TableFacts(
        metadata_location=f"s3://b/{name}/metadata/1.json",
        location=f"s3://b/{name}",
        table_uuid=name,
        format_version=2,
        current_snapshot_id=1,
        last_updated_ms=1_700_000_000_000,
        columns=(Column(field_id=1, name="day", type="date"),),
        specs=({"spec-id": 0, "fields": [{"source-id": 1, "field-id": 1000, "name": "d", "transform": "month"}]},),
        snapshots=3,
        history_files=9,
        history_bytes=2 * data_bytes,
        refs={"main": {}, "audit": {}},
        writers=(Writer(snapshot_id=1, at_ms=5, operation="append", engine=engine, app_id="app-7"),),
        manifests=FileTotals(data_files=4, data_bytes=data_bytes, rows=1000, position_delete_files=2, delete_bytes=5),
    )
    return ForeignTable(identifier=ident(name), facts=facts)


def inventory(*tables: ForeignTable, findings: tuple[Finding, ...] = ()) -> Inventory:
    return Inventory(
        inventory_id="i-1", catalog="src", taken_at="2026-01-01T00:00:00+00:00", tables=tables, findings=findings
    )


def finding(name: str, severity: Severity = Severity.BLOCKING, rule: str = "SRC-002") -> Finding:
    return Finding(rule=rule, severity=severity, table=ident(name), message="1 file is not there", remedy="Restore it.")


LOSS = Loss(id="refs:lake.b", what="branches and tags", why="the target has none")
ESTIMATE = Estimate(bytes=3 * 10**9, seconds=7200.0, cost=12.5, throughput_mb_s=100.0, rates=Rates())


def example() -> dict[str, object]:
    tables = (
        table("a"),
        table("b", 10**12),
        ForeignTable(identifier=ident("c"), problem="torn"),
        table("d", 0, "trino"),
    )
    found = inventory(*tables, findings=(finding("c", rule="SRC-001"), finding("d", Severity.WARNING, "SRC-008")))
    return assess(
        found, outlooks={ident("b"): Outlook(method="copy_files", losses=(LOSS,))}, estimate=ESTIMATE, target="uc"
    )


def test_the_headline_counts_what_goes_what_is_lost_and_what_is_broken() -> None:
    document = example()
    assert document["headline"] == (
        "Of 4 tables, 2 go as they are, 1 loses something (branches and tags), 1 is broken and must be mended first. "
        "Moving them takes about 2 hours and 12.50 USD."
    )
    assert document["counts"] == {"tables": 4, "goes": 2, "loses": 1, "broken": 1}


def test_a_warning_does_not_break_a_table_and_a_blocking_finding_does() -> None:
    warned = assess(inventory(table("a"), findings=(finding("a", Severity.WARNING),)))
    blocked = assess(inventory(table("a"), findings=(finding("a"),)), outlooks={ident("a"): Outlook(losses=(LOSS,))})
    assert warned["tables"][0]["verdict"] == "goes"
    assert blocked["tables"][0]["verdict"] == "broken"


def test_facts_of_every_table_are_shown() -> None:
    document = example()
    shown = document["tables"][0]
    expected = {
        "table": "lake.a", "bytes": 10**9 + 5, "files": 4, "rows": 1000, "history_files": 9, "refs": 2,
        "position_delete_files": 2, "partitioned_by": "month(day)", "format_version": 2, "snapshots": 3,
    }  # fmt: skip
    assert {key: shown[key] for key in expected} == expected
    assert shown["writers"] == [{"engine": "spark 4.1", "app_id": "app-7", "at_ms": 5}]
    assert document["totals"]["bytes"] == 10**9 + 10**12 + 15
    assert document["writers"] == [{"engine": "spark 4.1", "tables": 2}, {"engine": "trino", "tables": 1}]
    assert [item["rule"] for item in document["findings"]] == ["SRC-001", "SRC-008"]


def test_findings_given_from_outside_take_the_place_of_the_inspections() -> None:
    found = inventory(table("a"), findings=(finding("a"),))
    assert assess(found, findings={})["counts"]["broken"] == 0
    assert assess(found)["counts"]["broken"] == 1


def test_the_document_is_json_and_an_empty_catalog_is_no_error() -> None:
    assert json.loads(json.dumps(example())) == example()
    empty = assess(inventory())
    assert empty["headline"] == "Of 0 tables, 0 go as they are."
    assert "Of 0 tables" in render_assessment(empty)


class Page(HTMLParser):
    """Collects what a browser would load or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open = tag
        if tag in self.raw:
            self.raw[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self.open = ""

    def handle_data(self, data: str) -> None:
        if self.open in self.raw:
            self.raw[self.open][-1] += data


def test_the_file_loads_nothing_and_its_policy_names_its_own_script_and_style() -> None:
    page = Page(render_assessment(example()))
    for tag, attributes in page.tags:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form", "a"}
        assert not {"src", "href", "style", "srcset", "action"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
    policy = next(given["content"] for tag, given in page.tags if given.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for kind in ("script", "style"):
        (source,) = page.raw[kind]
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


HOSTILE_TABLE = ForeignTable(
    identifier=TableIdentifier(catalog="src", namespace=(HOSTILE,), name=HOSTILE), problem=HOSTILE
)


def test_hostile_names_are_shown_and_not_run() -> None:
    wrong = Finding(rule=HOSTILE, severity=Severity.WARNING, table=ident("a"), message=HOSTILE, remedy=HOSTILE)
    loss = Loss(id=HOSTILE, what=HOSTILE, why=HOSTILE)
    found = inventory(table("a", engine=HOSTILE), HOSTILE_TABLE, findings=(wrong,))
    document = assess(found, outlooks={ident("a"): Outlook(method=HOSTILE, losses=(loss,))}, target=HOSTILE)
    text = render_assessment(document)
    page = Page(text)
    assert len(page.raw["script"]) == 1
    assert "alert" not in page.raw["script"][0]
    assert all(tag != "img" for tag, _ in page.tags)
    assert "<img" not in text
    assert "&lt;img src=x" in text


def test_every_table_has_a_row_that_can_be_sorted_and_filtered() -> None:
    text = render_assessment(example())
    assert re.findall(r'<tr data-verdict="(\w+)"', text) == ["goes", "loses", "broken", "goes"]
    assert 'data-value="1000000000005"' in text
    assert text.count("<svg") == 4


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "1.0 MB"),
        (123_456_789, "123 MB"),
        (5 * 10**15, "5.0 PB"),
    ],
)
def test_sizes_for_people(value: int, text: str) -> None:
    assert size(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "1 second"),
        (40, "40 seconds"),
        (600, "10 minutes"),
        (7200, "2 hours"),
        (19800, "5.5 hours"),
        (864000, "10.0 days"),
    ],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_size_classes_cover_everything() -> None:
    counted = dict(size_classes([0, 1, 10**6, 10**9, 10**11, 10**12, 10**20]))
    assert list(counted.values()) == [1, 1, 1, 1, 1, 2]


def test_a_real_catalog_is_assessed_with_and_without_a_target(tmp_path: Path) -> None:
    native = shapes.open_catalog(tmp_path / "a")
    shapes.history(native)
    shapes.missing_file(native)
    shapes.plain(native)
    source = catalog_from("src", shapes.catalog_properties(tmp_path / "a"))
    target = catalog_from("dst", shapes.catalog_properties(tmp_path / "b"))
    found = read_inventory(source)
    alone = assess_inventory(found, source, None, Settings(currency="EUR", transfer_per_gb=1e6))
    assert alone["counts"] == {"tables": 3, "goes": 2, "loses": 0, "broken": 1}
    assert alone["estimate"]["rates"]["currency"] == "EUR"
    facts = {table.identifier.name: table.facts for table in found.tables}
    going = [facts["history"], facts["plain"]]
    assert alone["estimate"]["bytes"] == sum(item.history_bytes for item in going if item)
    assert alone["estimate"]["cost"] > 0
    target.create_namespace(("lake",))
    target.native.create_table(("lake", "plain"), shapes.rows(0, 1).schema)
    with_target = assess_inventory(found, source, target, Settings())
    assert with_target["target"] == "dst"
    assert {item["table"]: item["verdict"] for item in with_target["tables"]} == {
        "lake.history": "goes", "lake.missing_file": "broken", "lake.plain": "broken",
    }  # fmt: skip
    assert "PRE-003" in {item["rule"] for item in with_target["findings"]}

"""Great Expectations judges every report, and its pages are safe to open and to serve."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from icebridge_provider.engines.gx import build_data_docs, judge
from icebridge_provider.exceptions import ValidationFailed
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.report import Check, ValidationReport
from icebridge_provider.validation import byte_report

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; fetch('https://evil.example/')",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "../../etc/passwd",
    "a\x00b\u202e",
    "",
]


def report(*, name: str = "t", passed: bool = True, text: str = "x", **more: Any) -> ValidationReport:
    table = TableIdentifier(catalog="src", namespace=("a",), name=name)
    checks = [
        Check(name=f"column {text}", source=text, target=text if passed else f"{text}!", passed=passed, detail=text)
    ]
    return byte_report(
        table=table,
        target=table.named(f"{name}2"),
        source_snapshot_id=1,
        target_snapshot_id=None,
        checks=[Check(name="rows", source="1", target="1", passed=True), *checks],
        **more,
    )


def test_a_good_report_passes() -> None:
    result = judge(report())
    assert result["success"] is True
    assert result["statistics"] == {"evaluated_expectations": 1, "successful_expectations": 1}
    assert result["results"][0]["expectation_config"]["type"] == "expect_migrated_table_to_match_source"


def test_a_bad_report_fails_with_its_mismatches() -> None:
    result = judge(report(passed=False))
    assert result["success"] is False
    assert result["results"][0]["result"]["details"]["mismatches"] == {
        "column x": {"source": "x", "target": "x!", "detail": "x"}
    }
    assert json.loads(json.dumps(result)) == result, "plain values only"


def test_a_report_that_contradicts_its_own_values_is_refused() -> None:
    table = TableIdentifier(catalog="s", namespace=("a",), name="t")
    lie = Check(name="rows", source="1", target="2", passed=True)
    wrong = byte_report(table=table, target=table, source_snapshot_id=1, target_snapshot_id=1, checks=[lie])
    assert wrong.passed
    with pytest.raises(ValidationFailed, match=r"IB-540.*says failed for s\.a\.t, the report says passed"):
        judge(wrong)


def test_a_report_without_checks_is_no_success() -> None:
    table = TableIdentifier(catalog="s", namespace=("a",), name="t")
    nothing = byte_report(table=table, target=table, source_snapshot_id=1, target_snapshot_id=1, checks=[])
    assert judge(nothing)["success"] is False


def test_a_verdict_costs_milliseconds() -> None:
    judge(report())
    spent = []
    for _ in range(10):
        start = time.process_time()
        judge(report())
        spent.append(time.process_time() - start)
    assert sorted(spent)[5] < 0.05


_WATCHED = """
import sys
calls = []
sys.addaudithook(lambda event, args: calls.append(event) if event in ("socket.connect", "socket.getaddrinfo") else None)
import pathlib, tempfile
from tests.contract.test_gx import report
from icebridge_provider.engines.gx import build_data_docs, judge
assert judge(report())["success"]
build_data_docs([(report(), None)], pathlib.Path(tempfile.mkdtemp()))
import socket
try:
    socket.create_connection(("127.0.0.1", 1), timeout=1)
except OSError:
    pass
print(len(calls), calls[:3])
"""


def test_gx_makes_no_network_call() -> None:
    """The hook sees the one connection tried on purpose (a look-up and a connect), and no other."""
    done = subprocess.run([sys.executable, "-c", _WATCHED], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "2", done.stdout


class _Page(HTMLParser):
    """Collects the tags and the attributes that make a browser load or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.targets: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in {"src", "href", "action", "data", "srcset", "poster"}:
                self.targets.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)


def parsed(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text())
    return page


def test_data_docs_are_safe_whatever_the_names(tmp_path: Path) -> None:
    reports = []
    for number, text in enumerate(HOSTILE):
        row = {"kind": text, "key": {text: text}, "columns": [text], "source": {"file": text}, text: text}
        reports.append(report(name=f"{text}{number}", text=text, passed=number % 2 == 0, differences=[row]))
    index = build_data_docs([(item, None) for item in reports], tmp_path / "docs")
    assert index == tmp_path / "docs" / "index.html"
    pages = sorted(index.parent.glob("*.html"))
    assert len(pages) == len(HOSTILE) + 1
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} == {index.parent}
    for path in pages:
        page = parsed(path)
        assert not page.tags & {"script", "img", "iframe", "object", "embed", "link", "form", "base", "svg"}
        assert page.handlers == []
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+\.(html|json)", target) for target in page.targets), page.targets
        assert "default-src 'none'" in path.read_text()
        assert "49" not in re.sub(r"-[0-9a-f]{10}", "", path.read_text()), "a name was rendered as a template"


def test_data_docs_say_what_happened(tmp_path: Path) -> None:
    index = build_data_docs([(report(name="good"), None), (report(name="bad", passed=False), None)], tmp_path)
    text = index.read_text()
    assert "1 passed" in text
    assert "1 failed" in text
    assert "src.a.good" in text
    links = [target for target in parsed(index).targets if target.startswith("src.a.bad")]
    page = (tmp_path / links[0]).read_text()
    assert "column x" in page
    assert "x!" in page
    assert json.loads((tmp_path / links[0].replace(".html", ".json")).read_text())["success"] is False


def test_building_data_docs_again_replaces_them(tmp_path: Path) -> None:
    build_data_docs([(report(passed=False), None)], tmp_path)
    build_data_docs([(report(), None)], tmp_path)
    assert "0 failed" in (tmp_path / "index.html").read_text()
    assert len(list(tmp_path.iterdir())) == 3


def test_a_kept_verdict_is_shown_without_great_expectations(tmp_path: Path) -> None:
    """Importing GX costs seconds of CPU in every process: who only shows verdicts does without."""
    from icebridge_provider.steps.verdicts import keep_report, keep_verdict
    from tests.support.ledgers import sqlite_ledger

    ledger = sqlite_ledger(tmp_path)
    keep_report(ledger, "p1/t", report())
    keep_verdict(ledger, "p1/t", report(), judge(report()))
    code = f"""
import pathlib, sys
from icebridge_provider.engines.gx import build_data_docs
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.verdicts import kept
found = kept(SqlLedger("sqlite:///{tmp_path}/ledger.db"), ["p1/t", "p1/none"])
print(build_data_docs(found, pathlib.Path("{tmp_path}/docs")), len(found), "great_expectations" in sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == [f"{tmp_path}/docs/index.html", "1", "False"]


def test_a_verdict_of_an_earlier_report_is_not_believed(tmp_path: Path) -> None:
    from icebridge_provider.steps.verdicts import keep_report, keep_verdict, kept
    from tests.support.ledgers import sqlite_ledger

    ledger = sqlite_ledger(tmp_path)
    keep_verdict(ledger, "p1/t", report(), judge(report()))
    keep_report(ledger, "p1/t", report(passed=False))
    [(found, verdict)] = kept(ledger, ["p1/t"])
    assert (found.passed, verdict) == (False, None)

"""Data Docs: Great Expectations' verdicts as a static site that is safe to serve.

GX's own renderer puts names and values raw into its pages and loads scripts and styles from eight foreign hosts; a
column named like a script would run beside the reader's session. So the pages are rendered here, from GX's own result
JSON, by Jinja with everything escaped, and forbid by policy what they do not need.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.model.codec import canonical
from icebridge_provider.model.report import ValidationReport
from icebridge_provider.state.whole_file import write_whole

_TEMPLATES = ("gx_index.html.j2", "gx_table.html.j2")


def write_site(verdicts: Sequence[tuple[ValidationReport, dict[str, Any]]], folder: Path) -> Path:
    """Write one page a table, GX's result JSON beside it, and the index; return the index's path.

    Writing again replaces pages of the same tables. Every file is written whole or not at all.

    :raises ConfigurationError: IB-118 when the folder cannot be written.
    """
    pages = [_page(report, result) for report, result in verdicts]
    index, table = (_environment().get_template(name) for name in _TEMPLATES)
    with side_effect("data_docs.write"):
        folder.mkdir(parents=True, exist_ok=True)
        for page in pages:
            _write(folder / f"{page['stem']}.html", table.render(page=page))
            _write(folder / f"{page['stem']}.json", json.dumps(page["result"], indent=1, sort_keys=True))
        passed = sum(page["passed"] for page in pages)
        _write(folder / "index.html", index.render(pages=pages, passed=passed, failed=len(pages) - passed))
    return folder / "index.html"


def _page(report: ValidationReport, result: dict[str, Any]) -> dict[str, Any]:
    mismatches: dict[str, Any] = {}
    for verdict in result["results"]:
        mismatches |= verdict["result"].get("details", {}).get("mismatches", {})
    return {
        "stem": _stem(report),
        "report": report,
        "passed": bool(result["success"]),
        "checks": report.checks,
        "mismatches": len(mismatches),
        "differences": [_difference(item) for item in report.differences],
        "result": result,
    }


def _difference(item: Any) -> dict[str, str]:
    """One differing row, file or column as text for the page."""
    rest = {name: value for name, value in item.items() if name not in {"kind", "key", "columns"}}
    return {
        "kind": str(item.get("kind", "")),
        "key": ", ".join(f"{name}={value}" for name, value in (item.get("key") or {}).items()),
        "columns": ", ".join(map(str, item.get("columns") or ())),
        "where": "; ".join(f"{name}: {_text(value)}" for name, value in rest.items()),
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical(value)


def _stem(report: ValidationReport) -> str:
    """File name of a page: readable, and unique whatever the table is called."""
    name = str(report.table)
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")[:80]
    return f"{plain or 'table'}-{hashlib.sha256(name.encode()).hexdigest()[:10]}"


def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("icebridge_provider.engines", "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _write(path: Path, text: str) -> None:
    write_whole("The page", path, lambda partial: partial.write_text(text, encoding="utf-8"))

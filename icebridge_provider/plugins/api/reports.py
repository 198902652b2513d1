"""One page with the verdicts of a plan, from the ledger alone; the validation links lead here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from html import escape
from typing import TYPE_CHECKING

from icebridge_provider.model.report import ValidationReport
from icebridge_provider.steps.verdicts import kept, report_key

if TYPE_CHECKING:
    from icebridge_provider.ports import Ledger

MOST = 1000  # verdicts on one page
_HEADS = ("table", "verdict", "check", "source", "target", "detail")


class Reports:
    """Shows verdicts. Names come from catalogs: everything is escaped, and the page may load nothing."""

    def __init__(self, open_ledger: Callable[[], Ledger]) -> None:
        self._open_ledger = open_ledger

    def page(self, plan_id: str, table: str) -> tuple[int, str]:
        """Return status and page; 404 for a plan or table without a verdict, 503 without a ledger.

        :param table: source as the plan spells it; empty for all tables of the plan.
        """
        if not plan_id:
            return 404, _document("Which plan? Add ?plan=… to the address.", "")
        try:
            return self._found(plan_id, table)
        except Exception:
            logging.getLogger(__name__).exception("The verdicts cannot be shown")
            return 503, _document("The ledger cannot be read.", "")

    def _found(self, plan_id: str, table: str) -> tuple[int, str]:
        ledger = self._open_ledger()
        keys = [report_key(plan_id, table)] if table else [key for key, _ in ledger.documents("report", f"{plan_id}/")]
        found = [report for report, _ in kept(ledger, keys[:MOST])]
        if not found:
            return 404, _document(f"Plan {plan_id} has no verdict yet.", "")
        left = f"<p>{len(keys) - MOST} more are not shown.</p>" if len(keys) > MOST else ""
        return 200, _document(f"Validation of plan {plan_id}", _table(found) + left)


def _document(title: str, body: str) -> str:
    shown = escape(title)
    return f"<!doctype html><html lang=en><meta charset=utf-8><title>{shown}</title><h1>{shown}</h1>{body}</html>"


def _table(found: Iterable[ValidationReport]) -> str:
    rows = "".join(_row(cells, "td") for report in found for cells in _cells(report))
    return f"<table border=1>{_row(_HEADS, 'th')}{rows}</table>"


def _cells(report: ValidationReport) -> list[tuple[str, ...]]:
    head = (str(report.table), "passed" if report.passed else "FAILED")
    rows: list[tuple[str, ...]] = []
    for check in report.checks:
        name = check.name if check.passed else f"differs: {check.name}"
        rows.append((*head, name, check.source, check.target, check.detail))
    return rows or [(*head, "", "", "", "")]


def _row(cells: Iterable[str], kind: str) -> str:
    return f"<tr>{''.join(f'<{kind}>{escape(cell)}</{kind}>' for cell in cells)}</tr>"

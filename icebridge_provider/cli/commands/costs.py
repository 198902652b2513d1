"""``costs``: what a plan was to cost, what it has cost, and what it would have cost without Photon."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from icebridge_provider.cli import surroundings
from icebridge_provider.cli.commands.status import newest
from icebridge_provider.cli.output import Answer, Grid, Output
from icebridge_provider.planning.render import size

_TABLES = ("table", "bytes", "runs", "dbus", "cost", "billed", "days_stored_twice", "storage_cost")
_RUNS = ("run_id", "tables", "started", "seconds", "photon", "dbus", "dbu_cost", "instance_cost", "billed")


def costs(arguments: Any, output: Output) -> Answer:
    """Show the costs of a plan (the newest by default); with ``--refresh`` ask the billing tables first."""
    from icebridge_provider.steps.cost_report import report_of

    ledger, now = surroundings.ledger(), datetime.now(UTC)
    plan_id = arguments.plan or newest(ledger)
    if arguments.refresh:
        _refresh(ledger, plan_id, now, output)
    found = report_of(ledger, plan_id, now)
    shown: list[str | Grid] = [*_lines(found), Grid(columns=_TABLES, rows=found["tables"])]
    if found["runs"]:
        shown.append(Grid(columns=_RUNS, rows=found["runs"]))
    return Answer(document=found, shown=tuple(shown))


def _refresh(ledger: Any, plan_id: str, now: datetime, output: Output) -> None:
    from icebridge_provider.steps.costs import fill_actuals, priced

    found = priced(ledger, plan_id)
    if found is None:
        output.note("No cluster has copied tables of this plan: nothing is billed by the workspace.")
        return
    output.note("Asking the workspace what was billed …")
    target: Any = surroundings.catalog(found.plan.request.target_conn_id)
    fill_actuals(ledger, [found], target.statements, now)


def _lines(found: dict[str, Any]) -> list[str]:
    actual, currency = found["actual"], found["currency"]
    lines = [f"Plan {found['plan']}: estimated {found['estimate']['cost']:,.2f} {currency}"]
    if actual["runs"]:
        as_of = f", as of {actual['as_of']}" if actual["as_of"] else ""
        lines.append(
            f"Copying so far: {actual['cost']:,.2f} {currency} ({actual['dbus']:,.2f} DBU for "
            f"{actual['dbu_cost']:,.2f}, machines by the hour {actual['instance_cost']:,.2f}); {actual['arrived']} of "
            f"{actual['runs']} runs are billed{as_of}, the rest is reckoned by the hour"
        )
    baseline = found["baseline"]
    if baseline:
        known = "measured on the same tables" if baseline["measured"] else "at the plan's rates, not measured"
        saved = baseline["saved_percent"]
        said = "" if saved is None else f", so {saved:,.1f} % are {'saved' if saved >= 0 else 'lost'}"
        lines.append(f"Without Photon: {baseline['cost']:,.2f} {currency} ({known}){said}")
    twice = found["duplicate_storage"]
    lines.append(
        f"Stored twice: {size(twice['bytes'])}, for up to {twice['oldest_days']:,.1f} days: {twice['cost']:,.2f} "
        f"{currency} so far, {twice['cost_a_month']:,.2f} a month more"
    )
    return [*lines, *_photon(found["photon"], currency)]


def _photon(compared: dict[str, Any] | None, currency: str) -> list[str]:
    if compared is None:
        return []
    return [
        f"{words} Photon, {len(compared['tables'])} tables billed both ways: {side['mb_s'] or 0:,.2f} MB/s, "
        f"{side['dbus']:,.2f} DBU, {side['cost']:,.2f} {currency}, {side['cost_per_tb'] or 0:,.2f} a TB"
        for words, side in (("With", compared["with_photon"]), ("Without", compared["without_photon"]))
    ]

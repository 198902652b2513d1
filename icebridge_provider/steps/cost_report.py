"""What a plan costs, for people: estimate beside actual, without Photon, and what is stored twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from icebridge_provider.model import codec
from icebridge_provider.model.event import LedgerEvent, Outcome, Step
from icebridge_provider.model.plan import ClusterRates, MigrationPlan
from icebridge_provider.planning.cost import GB, MB, dbus_an_hour
from icebridge_provider.planning.spending import (
    COPYING,
    Spent,
    billed_of,
    days_twice,
    runs_of,
    shares,
    spent_on,
    storing_twice,
)
from icebridge_provider.ports import Ledger
from icebridge_provider.steps.costs import DOCUMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCost:
    """One table's part in one run."""

    table: str
    run_id: str
    bytes: int
    seconds: float
    dbus: float
    cost: float
    photon: bool
    known: bool


def report_of(ledger: Ledger, plan_id: str, now: datetime) -> dict[str, Any]:
    """Return what a plan was to cost and what it has cost.

    Keys: ``plan``, ``currency``, ``estimate``, ``actual`` (with ``arrived`` of ``runs``; the rest is reckoned by the
    hour), ``baseline`` (the same without Photon), ``duplicate_storage``, ``photon`` (same tables with and without,
    None until both were billed), ``runs`` and ``tables``.

    :raises ConfigurationError: IB-120 when there is no such plan.
    """
    plan, events = ledger.plan(plan_id), list(ledger.events(plan_id))
    kept = ledger.document(DOCUMENT, plan_id)
    spent = _spent(plan, events, kept, now)
    parts = _parts(plan, events, spent, now)
    compared = _compared(ledger, parts, now)
    return {
        "plan": plan_id,
        "currency": plan.request.rates.currency,
        "estimate": codec.to_json(plan.estimate),
        "actual": _actual(plan, spent, kept),
        "baseline": _baseline(plan, spent, compared),
        "duplicate_storage": _twice(plan, events, now),
        "photon": compared,
        "runs": [_run_row(item, now) for item in spent],
        "tables": _table_rows(plan, events, parts, now),
    }


def _spent(
    plan: MigrationPlan, events: Iterable[LedgerEvent], kept: Mapping[str, Any] | None, now: datetime
) -> list[Spent]:
    rates = plan.request.rates.cluster
    if rates is None:
        return []
    billed = billed_of(kept)
    return [spent_on(run, billed.get(run.run_id), rates, now) for run in runs_of(events)]


def _actual(plan: MigrationPlan, spent: Sequence[Spent], kept: Mapping[str, Any] | None) -> dict[str, Any]:
    rates = plan.request.rates
    return {
        "runs": len(spent),
        "arrived": sum(item.known for item in spent),
        "as_of": (kept or {}).get("as_of"),
        "dbus": round(sum(item.dbus for item in spent), 3),
        "dbu_cost": round(sum(item.dbu_cost for item in spent), 2),
        "instance_cost": round(sum(item.instance_cost for item in spent), 2),
        "cost": round(sum(item.cost for item in spent), 2),
        "currency": rates.currency,
    }


def _baseline(plan: MigrationPlan, spent: Sequence[Spent], compared: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the same copying costs without Photon: as measured on the same tables, else at the rates of the plan."""
    rates = plan.request.rates.cluster
    if rates is None or not spent:
        return None
    actual = sum(item.cost for item in spent)
    measured = bool(compared and compared["with_photon"]["cost"])
    if compared and measured:
        factor = compared["without_photon"]["cost"] / compared["with_photon"]["cost"]
        made = sum(item.cost * (factor if item.photon else 1) for item in spent)
    else:
        made = sum(_without(item, rates) for item in spent)
    saved = round(100 * (1 - actual / made), 1) if made else None
    return {"cost": round(made, 2), "saved_percent": saved, "measured": measured}


def _without(item: Spent, rates: ClusterRates) -> float:
    """What a run would have cost on the same machines without Photon, at the plan's rates."""
    if not item.photon:
        return item.cost
    price = item.dbu_cost / item.dbus if item.dbus else rates.price_per_dbu
    plain = item.dbus * dbus_an_hour(rates, photon=False) / max(dbus_an_hour(rates, photon=True), 1e-12)
    return (plain * price + item.instance_cost) * rates.photon_speedup


# Tables


def _sizes(plan: MigrationPlan, events: Iterable[LedgerEvent]) -> dict[str, int]:
    """Bytes by table: as written where it is copied, else as planned."""
    sizes = {str(table.source): table.bytes for table in plan.tables}
    for event in events:
        if event.step in COPYING and event.outcome is Outcome.DONE and event.data.get("bytes_copied"):
            sizes[event.table] = int(event.data["bytes_copied"])
    return sizes


def _parts(
    plan: MigrationPlan, events: Sequence[LedgerEvent], spent: Iterable[Spent], now: datetime
) -> list[TableCost]:
    sizes = _sizes(plan, events)
    return [
        TableCost(
            table=table,
            run_id=item.run.run_id,
            bytes=sizes.get(table, 0),
            seconds=item.run.seconds(now) * share,
            dbus=item.dbus * share,
            cost=item.cost * share,
            photon=item.photon,
            known=item.known,
        )
        for item in spent
        for table, share in shares(item.run, sizes).items()
    ]


def _table_rows(
    plan: MigrationPlan, events: Sequence[LedgerEvent], parts: Sequence[TableCost], now: datetime
) -> list[dict[str, Any]]:
    sizes, by_table, rows = _sizes(plan, events), _by_table(events), []
    for table in plan.tables:
        name = str(table.source)
        own = [part for part in parts if part.table == name]
        days = days_twice(by_table.get(name, ()), now)
        rows.append(
            {
                "table": name,
                "bytes": sizes[name],
                "runs": len(own),
                "dbus": round(sum(part.dbus for part in own), 3),
                "cost": round(sum(part.cost for part in own), 4),
                "billed": bool(own) and all(part.known for part in own),
                "days_stored_twice": round(days, 2),
                "storage_cost": round(storing_twice(sizes[name], plan.request.rates, days), 4),
            }
        )
    return rows


def _run_row(item: Spent, now: datetime) -> dict[str, Any]:
    return {
        "run_id": item.run.run_id,
        "tables": len(item.run.tables),
        "started": item.run.started,
        "ended": item.run.ended or None,
        "seconds": round(item.run.seconds(now), 1),
        "photon": item.photon,
        "dbus": round(item.dbus, 3),
        "dbu_cost": round(item.dbu_cost, 4),
        "instance_cost": round(item.instance_cost, 4),
        "billed": item.known,
    }


def _twice(plan: MigrationPlan, events: Sequence[LedgerEvent], now: datetime) -> dict[str, Any]:
    """What is stored twice now, what that has cost, and what another month of it costs."""
    sizes, rates = _sizes(plan, events), plan.request.rates
    copied = {name: own for name, own in _by_table(events).items() if name in sizes}
    now_twice = sum(sizes[name] for name, own in copied.items() if _is_twice(own))
    so_far = sum(storing_twice(sizes[name], rates, days_twice(own, now)) for name, own in copied.items())
    return {
        "bytes": now_twice,
        "cost": round(so_far, 2),
        "cost_a_month": round(now_twice / GB * rates.storage_per_gb_month, 2),
        "oldest_days": round(max((days_twice(own, now) for own in copied.values() if _is_twice(own)), default=0.0), 2),
    }


def _by_table(events: Iterable[LedgerEvent]) -> dict[str, list[LedgerEvent]]:
    found: dict[str, list[LedgerEvent]] = {}
    for event in events:
        found.setdefault(event.table, []).append(event)
    return found


def _is_twice(events: Iterable[LedgerEvent]) -> bool:
    twice = False
    for event in events:
        if event.outcome is Outcome.DONE and event.step in {Step.COPY, Step.PURGE}:
            twice = event.step is Step.COPY
    return twice


# With and without Photon


def _compared(ledger: Ledger, own: Sequence[TableCost], now: datetime) -> dict[str, Any] | None:
    """Compare runs with and without Photon over the same tables, of any plan; only what was billed counts."""
    wanted = {part.table for part in own if part.known}
    if not wanted:
        return None
    found: dict[bool, dict[str, TableCost]] = {True: {}, False: {}}
    for plan_id, kept in ledger.documents(DOCUMENT):
        plan, events = ledger.plan(plan_id), list(ledger.events(plan_id))
        for part in _parts(plan, events, _spent(plan, events, kept, now), now):
            if part.known and part.table in wanted:
                found[part.photon][part.table] = part
    both = sorted(found[True].keys() & found[False].keys())
    if not both:
        return None
    return {
        "tables": both,
        "with_photon": _sum([found[True][table] for table in both]),
        "without_photon": _sum([found[False][table] for table in both]),
    }


def _sum(parts: Sequence[TableCost]) -> dict[str, Any]:
    size, seconds, cost = (sum(getattr(part, name) for part in parts) for name in ("bytes", "seconds", "cost"))
    return {
        "bytes": size,
        "seconds": round(seconds, 1),
        "dbus": round(sum(part.dbus for part in parts), 3),
        "cost": round(cost, 4),
        "mb_s": round(size / MB / seconds, 2) if seconds else None,
        "cost_per_tb": round(cost / size * GB * 1000, 2) if size else None,
    }

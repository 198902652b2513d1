"""Actual costs of copy runs: asked of the workspace's billing tables when they arrive, kept in the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, LimitExceeded
from icebridge_provider.model.event import LedgerEvent
from icebridge_provider.model.plan import ClusterRates, MigrationPlan, TablePlan
from icebridge_provider.planning import cost
from icebridge_provider.planning.build import short_id
from icebridge_provider.planning.spending import Run, billed_of, instant, runs_of, spent_on, storing_twice
from icebridge_provider.ports import Ledger
from icebridge_provider.sql import billing
from icebridge_provider.steps.site import Site

DOCUMENT = "costs"
CORRECTED_DAYS = 30  # so long after a plan's last run its usage is asked for again: corrections come late
_HINDERED = frozenset({"IB-241", "IB-242", "IB-243", "IB-249"})
GRANTS = (
    "GRANT USE CATALOG ON CATALOG system TO `<principal>`; "
    "GRANT USE SCHEMA, SELECT ON SCHEMA system.billing TO `<principal>`;"
)


class Answer(Protocol):
    """The result of a statement."""

    @property
    def columns(self) -> Sequence[str]:
        """Names."""

    @property
    def rows(self) -> Sequence[Sequence[str | None]]:
        """Values, as texts."""


class Billing(Protocol):
    """Where statements run: :class:`icebridge_provider.catalogs.unity.statements.Statements` fits."""

    def run(self, what: str, statement: str, values: Mapping[str, str] | None = None, *, right: str = "") -> Answer:
        """Run a statement to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """A plan whose runs cost something: its rates, its runs and when the last of them was seen at work."""

    plan: MigrationPlan
    rates: ClusterRates
    runs: tuple[Run, ...]

    @property
    def since(self) -> datetime:
        """When its first run was started."""
        return min(instant(run.started) for run in self.runs)

    def is_open(self, now: datetime) -> bool:
        """Whether more, or other, usage may still arrive."""
        last = max(instant(run.ended) if run.ended else now for run in self.runs)
        return now - last <= timedelta(days=CORRECTED_DAYS)


def priced(ledger: Ledger, plan_id: str, events: Iterable[LedgerEvent] | None = None) -> Priced | None:
    """Return a plan with its runs, None for one whose tables no cluster copied (yet).

    :raises ConfigurationError: IB-120 when there is no such plan.
    """
    plan = ledger.plan(plan_id)
    rates = plan.request.rates.cluster
    if rates is None:
        return None
    runs = tuple(runs_of(ledger.events(plan_id) if events is None else events))
    return Priced(plan=plan, rates=rates, runs=runs) if runs else None


def open_plans(ledger: Ledger, now: datetime) -> list[Priced]:
    """Return the plans whose usage may still arrive or be corrected, newest first."""
    found = (priced(ledger, plan_id) for plan_id in ledger.plans())
    return [item for item in found if item is not None and item.is_open(now)]


def fill_actuals(ledger: Ledger, plans: Sequence[Priced], statements: Billing, now: datetime) -> dict[str, int]:
    """Ask what was billed for the runs of some plans and keep it, all of it anew; return runs that arrived, by plan.

    The plans have one workspace and one currency. One statement for all of them; asked again it gives what is right
    then: late records are in the sums, corrected ones too.

    :raises ConfigurationError: IB-338 when the billing tables cannot be read, saying what lets them be.
    """
    if not plans:
        return {}
    tags = {short_id(item.plan.plan_id): item.plan.plan_id for item in plans}
    since = min(item.since for item in plans).astimezone(UTC) - timedelta(days=1)
    values = {
        "plans": ",".join(sorted(tags)),
        "since": since.date().isoformat(),
        "currency": plans[0].plan.request.rates.currency,
    }
    answer = _asked(statements, values)
    runs: dict[str, dict[str, Any]] = {plan_id: {} for plan_id in tags.values()}
    for row in answer.rows:
        said = dict(zip(answer.columns, row, strict=True))
        runs[tags[str(said["plan"])]][str(said["run_id"] or "")] = _billed(said)
    for plan_id, found in runs.items():
        content = {"as_of": now.isoformat(timespec="seconds"), "currency": values["currency"], "runs": found}
        with side_effect("costs.save"):
            ledger.save_document(DOCUMENT, plan_id, content)
    return {plan_id: len(found) for plan_id, found in runs.items()}


def _asked(statements: Billing, values: Mapping[str, str]) -> Answer:
    try:
        return statements.run(
            "read what was billed", billing.usage_of_plans(), values, right="SELECT on system.billing"
        )
    except IceBridgeError as error:
        if error.code not in _HINDERED:
            raise
        raise ConfigurationError(
            "IB-338",
            f"What the runs cost cannot be read: {error.message}",
            remedy=f"Let a metastore admin enable the system schema billing, and run: {GRANTS} "
            "Costs are shown as estimated until then.",
            changed="Nothing changed; migrations do not wait for this.",
        ) from error


def _billed(said: Mapping[str, str | None]) -> dict[str, Any]:
    """Return one row as it is kept: a cost that some record has no list price for is unknown, not smaller."""
    whole = said["cost"] is not None and said["unpriced"] == "0"
    return {
        "dbus": float(said["dbus"] or 0),
        "cost": float(said["cost"] or 0) if whole else None,
        "photon": None if said["photon"] is None else said["photon"] == "true",
        "records": int(said["records"] or 0),
        "until": said["until"] or "",
    }


# Before a run is started


def refuse_overspent(site: Site, plan: MigrationPlan, tables: Sequence[TablePlan]) -> None:
    """Make sure that another run for the tables keeps the plan within its ``max_cost``.

    Counted are what the plan's runs have cost so far, of those under way at least what they are estimated at, this
    run's estimate, and transfer and double storage of all tables that are copied then.

    :raises LimitExceeded: IB-337.
    """
    most, rates = plan.request.max_cost, plan.request.rates
    if most is None or rates.cluster is None or not tables:
        return
    events = list(site.ledger.events(plan.plan_id))
    spent = spent_so_far(site.ledger, plan, rates.cluster, events, site.now())
    names = {str(table.source) for table in tables}
    run = _estimated(plan, names)
    held = names.union(*(one.tables for one in runs_of(events)))
    size = sum(table.bytes for table in plan.tables if str(table.source) in held)
    kept = size / cost.GB * rates.transfer_per_gb + storing_twice(size, rates, plan.estimate.grace_days)
    if spent + run + kept > most:
        raise _over_budget(plan, most, spent, run, kept)


def spent_so_far(
    ledger: Ledger, plan: MigrationPlan, rates: ClusterRates, events: Iterable[LedgerEvent], now: datetime
) -> float:
    """Return what the runs of a plan have cost: as billed where it has arrived, by the hour where not.

    A run under way counts with its estimate when it has not cost as much yet: several start at once.
    """
    billed = billed_of(ledger.document(DOCUMENT, plan.plan_id))
    total = 0.0
    for run in runs_of(events):
        spent = spent_on(run, billed.get(run.run_id), rates, now).cost
        total += spent if run.ended else max(spent, _estimated(plan, set(run.tables)))
    return total


def _estimated(plan: MigrationPlan, names: set[str]) -> float:
    """What one run is estimated at that copies some tables of a plan."""
    tables = [table for table in plan.tables if str(table.source) in names]
    made = cost.copying(tables, plan.request.rates, plan.estimate.throughput_mb_s)
    return made.cost if made else 0.0


def _over_budget(plan: MigrationPlan, most: float, spent: float, run: float, kept: float) -> LimitExceeded:
    currency = plan.request.rates.currency
    return LimitExceeded(
        "IB-337",
        f"Another run of plan {plan.plan_id} would cost more than max_cost, {most:,.2f} {currency}: its runs have cost "
        f"{spent:,.2f} so far, this one takes about {run:,.2f}, transfer and storing twice {kept:,.2f}.",
        remedy="See `airflow icebridge costs`; for what is left make a plan with a higher max_cost, or with a cheaper "
        "cluster.",
        changed="No run was started; what is copied stays.",
        spent=round(spent, 2),
        needed=round(spent + run + kept, 2),
        max_cost=most,
    )

"""What a migration has cost so far: its runs as the ledger shows them, priced as billed or by the hour. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from icebridge_provider.model.event import LedgerEvent, Outcome, Step
from icebridge_provider.model.plan import ClusterRates, Rates
from icebridge_provider.planning.cost import DAYS_A_MONTH, GB, dbus_an_hour

COPYING = frozenset({Step.COPY, Step.SYNC})
_ENDED = frozenset({Outcome.DONE, Outcome.FAILED, Outcome.REFUSED})
DAY_SECONDS = 24 * 3600
SETTLED = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a plan: the tables it copies, from when to when it was seen at work (``ended`` is empty meanwhile)."""

    run_id: str
    tables: tuple[str, ...]
    started: str
    ended: str = ""

    def seconds(self, now: datetime) -> float:
        """How long it went on; from the submission to the moment at which its last table was seen to be over."""
        return max(0.0, (instant(self.ended or now.isoformat()) - instant(self.started)).total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """What the billing tables say of one run: ``cost`` is None while a record has no list price in the currency.

    ``until`` is the end of the last record that has arrived, ``asked`` when that was.
    """

    dbus: float
    cost: float | None
    photon: bool | None = None
    records: int = 0
    until: str = ""
    asked: str = ""

    def covers(self, run: Run) -> bool:
        """Whether all of a run that is over has arrived, as far as can be told.

        Usage comes by the clock's hour, and a run is seen to be over some time after its cluster ended. So a record
        that reaches to that moment is the last one, and so is one shortly before it that ends within an hour; else
        what there is a day later is taken for all.
        """
        if not run.ended or not self.until:
            return False
        ended, until = instant(run.ended), instant(self.until)
        last = until + timedelta(hours=1) >= ended and (until.minute, until.second) != (0, 0)
        return until >= ended or last or bool(self.asked and instant(self.asked) - ended >= SETTLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What one run cost: DBUs as they were billed (``known`` tells) or by the hour, machines always by the hour."""

    run: Run
    dbus: float
    dbu_cost: float
    instance_cost: float
    photon: bool
    known: bool = False

    @property
    def cost(self) -> float:
        """DBUs and machines."""
        return self.dbu_cost + self.instance_cost


@dataclass
class _Seen:
    """A run while its events are read: its tables in order, those that it is still at work on, when one was over."""

    started: str
    tables: dict[str, None] = field(default_factory=dict)
    at_work: set[str] = field(default_factory=set)
    last: str = ""


def runs_of(events: Iterable[LedgerEvent]) -> list[Run]:
    """Return the runs elsewhere that a plan's events tell of, in the order in which they were started.

    A run is over for a table when its copy ended, was rolled back, or another run took it on.
    """
    runs: dict[str, _Seen] = {}
    current: dict[str, _Seen] = {}
    for event in events:
        run_id = str(event.data.get("run_id") or "") if event.step in COPYING else ""
        begins = bool(run_id and event.table) and event.outcome is Outcome.PROGRESS
        ends = event.outcome in _ENDED and (event.step in COPYING or event.step is Step.ROLLBACK)
        if not begins and not ends:
            continue
        before = current.pop(event.table, None)
        if before is not None and (ends or before is not runs.get(run_id)):
            before.at_work.discard(event.table)
            before.last = event.at
        if begins:
            run = current[event.table] = runs.setdefault(run_id, _Seen(started=event.at))
            run.tables[event.table] = None
            run.at_work.add(event.table)
    return [
        Run(run_id=run_id, tables=tuple(run.tables), started=run.started, ended="" if run.at_work else run.last)
        for run_id, run in runs.items()
    ]


def spent_on(run: Run, billed: Billed | None, rates: ClusterRates, now: datetime) -> Spent:
    """Return what a run cost: as billed where all of it has arrived, else by the hour, whichever is more.

    What has arrived of a run that still goes on is the least it costs, not what it costs.
    """
    hours = run.seconds(now) / 3600
    photon = rates.photon if billed is None or billed.photon is None else billed.photon
    by_hour = hours * dbus_an_hour(rates, photon=photon)
    machines = hours * rates.nodes * rates.node_per_hour
    if billed is None:
        return Spent(
            run=run, dbus=by_hour, dbu_cost=by_hour * rates.price_per_dbu, instance_cost=machines, photon=photon
        )
    known = billed.covers(run)
    dbus = billed.dbus if known else max(billed.dbus, by_hour)
    at_rate = dbus * rates.price_per_dbu
    cost = at_rate if billed.cost is None else billed.cost if known else max(billed.cost, at_rate)
    return Spent(run=run, dbus=dbus, dbu_cost=cost, instance_cost=machines, photon=photon, known=known)


def storing_twice(size: int, rates: Rates, days: float) -> float:
    """Return what the second copy of so many bytes costs for so many days."""
    return size / GB * rates.storage_per_gb_month * days / DAYS_A_MONTH


def shares(run: Run, sizes: Mapping[str, int]) -> dict[str, float]:
    """Return which part of a run's cost each of its tables bears: by its bytes, evenly where none has any."""
    weights = {table: float(sizes.get(table, 0)) for table in run.tables}
    total = sum(weights.values())
    if not total:
        return dict.fromkeys(run.tables, 1 / len(run.tables)) if run.tables else {}
    return {table: weight / total for table, weight in weights.items()}


def days_twice(events: Sequence[LedgerEvent], now: datetime) -> float:
    """Return for how many days one table has been stored twice: from its copy's end until it was purged, or now."""
    since: datetime | None = None
    seconds = 0.0
    for event in events:
        if event.step is Step.COPY and event.outcome is Outcome.DONE and since is None:
            since = instant(event.at)
        elif event.step is Step.PURGE and event.outcome is Outcome.DONE and since is not None:
            seconds, since = seconds + (instant(event.at) - since).total_seconds(), None
    if since is not None:
        seconds += max(0.0, (now - since).total_seconds())
    return seconds / DAY_SECONDS


def billed_of(document: Mapping[str, Any] | None) -> dict[str, Billed]:
    """Return what a kept document of actual costs says, by run."""
    found = {}
    for run_id, said in ((document or {}).get("runs") or {}).items():
        found[run_id] = Billed(
            dbus=float(said["dbus"]),
            cost=None if said.get("cost") is None else float(said["cost"]),
            photon=said.get("photon"),
            records=int(said.get("records", 0)),
            until=str(said.get("until", "")),
            asked=str((document or {}).get("as_of", "")),
        )
    return found


def instant(text: str) -> datetime:
    """Read an ISO 8601 instant; one without a zone is UTC."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)

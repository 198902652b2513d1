"""How long and how much: seconds at a stated speed, money at stated rates, and the refusal of what cannot be.

The model, which docs/planning.md tells in words: a byte is copied once and then read once more on both sides for the
proof, at the speed of copying; ``insert_select`` and ``deep_clone`` decode and encode, five times slower; ``register``
moves nothing. No plan is faster than its commits at ``max_commits_per_min``. Where a cluster copies, it runs for half
of the passes (the other half is the proof, which it has no part in), and starts once a run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from icebridge_provider.exceptions import ConfigurationError, LimitExceeded
from icebridge_provider.model.plan import (
    ClusterEstimate,
    ClusterRates,
    CopyMethod,
    Estimate,
    MigrationRequest,
    Rates,
    TablePlan,
)
from icebridge_provider.model.settings import Settings

MB = 1000**2
GB = 1000**3
DAYS_A_MONTH = 30.0
COMMITS_A_TABLE = 3  # register staged, publish, archive
# Passes over a table's bytes, in units of copying them once.
PASSES = {
    CopyMethod.COPY_FILES: 2.0,
    CopyMethod.INSERT_SELECT: 6.0,
    CopyMethod.REGISTER: 0.0,
    CopyMethod.DEEP_CLONE: 6.0,
}
CLUSTER_SHARE = 0.5  # of the passes: copying; the rest is the proof


def estimate(
    tables: Iterable[TablePlan],
    request: MigrationRequest,
    grace_days: int,
    measured_mb_s: float | None = None,
    commits_per_min: int = 0,
    runs: int = 1,
) -> Estimate:
    """Return what the tables take: copy and proof, commits, and duplicate storage until purge.

    :param measured_mb_s: speed of earlier runs; without it ``request.throughput_mb_s`` is assumed.
    :param commits_per_min: the ceiling on catalog commits; 0 for none.
    :param runs: how many times a cluster is started.
    """
    found = list(tables)
    speed = measured_mb_s or request.throughput_mb_s
    moved = sum(table.bytes for table in found if table.method is not CopyMethod.REGISTER)
    by_bytes = work_of(found) / MB / speed
    by_commits = len(found) * COMMITS_A_TABLE / commits_per_min * 60 if commits_per_min > 0 else 0.0
    seconds = max(by_bytes, by_commits)
    rates = request.rates
    transfer = round(moved / GB * rates.transfer_per_gb, 2)
    cluster = copying(found, rates, speed, runs) if rates.cluster is not None else None
    worked = seconds * (1 - CLUSTER_SHARE if cluster else 1)
    compute = round(worked / 3600 * rates.compute_per_hour + (cluster.cost if cluster else 0.0), 2)
    storage = round(moved / GB * rates.storage_per_gb_month * grace_days / DAYS_A_MONTH, 2)
    return Estimate(
        bytes=moved,
        seconds=round(seconds, 1),
        cost=round(transfer + compute + storage, 2),
        throughput_mb_s=round(speed, 2),
        rates=rates,
        transfer=transfer,
        compute=compute,
        storage=storage,
        grace_days=grace_days,
        measured=bool(measured_mb_s),
        cluster=cluster,
    )


def copying(tables: Sequence[TablePlan], rates: Rates, mb_s: float, runs: int = 1) -> ClusterEstimate | None:
    """Return what the clusters take that copy the tables; None where none does.

    DBUs are counted while rows move, machines from their start on. The baseline is the same without Photon.
    """
    cluster = rates.cluster
    if cluster is None or not tables:
        return None
    hours = work_of(tables) * CLUSTER_SHARE / MB / mb_s / 3600
    plain = hours * cluster.photon_speedup if cluster.photon else hours
    started = runs * cluster.startup_minutes / 60
    dbus = hours * dbus_an_hour(cluster, photon=cluster.photon)
    machines = cluster.nodes * cluster.node_per_hour
    plain_dbus = plain * dbus_an_hour(cluster, photon=False)
    return ClusterEstimate(
        runs=runs,
        hours=round(hours, 4),
        dbus=round(dbus, 3),
        dbu_cost=round(dbus * cluster.price_per_dbu, 2),
        instance_cost=round((hours + started) * machines, 2),
        baseline_hours=round(plain, 4),
        baseline_cost=round(plain_dbus * cluster.price_per_dbu + (plain + started) * machines, 2),
    )


def dbus_an_hour(cluster: ClusterRates, *, photon: bool) -> float:
    """Return the DBUs that all its nodes consume an hour."""
    return cluster.nodes * cluster.dbu_per_node_hour * (cluster.photon_factor if photon else 1.0)


def price_an_hour(cluster: ClusterRates) -> float:
    """Return what the cluster costs an hour as it is: DBUs and machines."""
    return dbus_an_hour(cluster, photon=cluster.photon) * cluster.price_per_dbu + cluster.nodes * cluster.node_per_hour


def runs_of(tables: Sequence[TablePlan], settings: Settings) -> int:
    """Return how many runs copy the tables of a plan: one a mapped task, as ``batches`` cuts a wave for clusters."""
    return math.ceil(len(tables) / settings.batch_tables)


def work_of(tables: Sequence[TablePlan]) -> float:
    """Return the bytes that pass through, in units of bytes copied once."""
    return sum(table.bytes * PASSES[table.method] for table in tables)


def refuse_impossible(
    made: Estimate, request: MigrationRequest, created_at: str, tables: Sequence[TablePlan] = ()
) -> None:
    """Make sure the plan fits ``max_cost`` and ``deadline``.

    :raises LimitExceeded: IB-313 with the cost, IB-314 with the needed MB/s and those measured or assumed.
    :raises ConfigurationError: IB-315 when the deadline cannot be read.
    """
    if request.max_cost is not None and made.cost > request.max_cost:
        raise _too_dear(made, request.max_cost)
    if not request.deadline:
        return
    start, end = _instant(created_at), _instant(request.deadline)
    left = (end - start).total_seconds()
    if left <= 0:
        raise LimitExceeded(
            "IB-314",
            f"The deadline {request.deadline} is over: it is {start.isoformat(timespec='seconds')}.",
            remedy="Take a later deadline, or leave it out.",
        )
    if made.seconds > left:
        raise _too_late(made, request.deadline, start, left, work_of(tables) or made.bytes * 2.0)


def deadline_is_readable(request: MigrationRequest) -> None:
    """Make sure the deadline, where there is one, is an instant.

    :raises ConfigurationError: IB-315.
    """
    if request.deadline:
        _instant(request.deadline)


def _too_dear(made: Estimate, most: float) -> LimitExceeded:
    currency = made.rates.currency
    return LimitExceeded(
        "IB-313",
        f"The plan costs about {made.cost:,.2f} {currency}, max_cost is {most:,.2f} {currency}: transfer "
        f"{made.transfer:,.2f}, compute {made.compute:,.2f}, {made.grace_days} days of storing twice "
        f"{made.storage:,.2f}.",
        remedy="Take fewer tables, a shorter purge_grace_days, or raise max_cost.",
        cost=made.cost,
        max_cost=most,
    )


def _too_late(made: Estimate, deadline: str, start: datetime, left: float, work: float) -> LimitExceeded:
    needed = work / MB / left
    known = "measured" if made.measured else "assumed (throughput_mb_s)"
    ends = (start + timedelta(seconds=made.seconds)).isoformat(timespec="seconds")
    why = f"{needed:,.1f} MB/s are needed, {made.throughput_mb_s:,.1f} MB/s are {known}"
    if needed <= made.throughput_mb_s:
        why = "the ceiling max_commits_per_min does not allow it"
    return LimitExceeded(
        "IB-314",
        f"The deadline {deadline} leaves {left / 3600:,.1f} h for {made.bytes / GB:,.1f} GB, copied and proven: {why}; "
        f"it would end at {ends}.",
        remedy="Take fewer tables, a later deadline, or more hosts (throughput_mb_s is all of them together).",
        needed_mb_s=round(needed, 1),
        throughput_mb_s=made.throughput_mb_s,
        measured=made.measured,
    )


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigurationError(
            "IB-315",
            f"The deadline {text!r} is not an ISO 8601 instant.",
            remedy='Write it like "2026-12-31T18:00:00+01:00".',
            deadline=text,
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)

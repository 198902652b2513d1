"""How long and how much: seconds at a stated speed, money at stated rates, and the refusal of what cannot be."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from icebridge_provider.exceptions import ConfigurationError, LimitExceeded
from icebridge_provider.model.plan import CopyMethod, Estimate, MigrationRequest, TablePlan

MB = 1000**2
GB = 1000**3
READS = 2  # the proof reads source and target once more, at copying speed
DAYS_A_MONTH = 30.0


def estimate(tables: Iterable[TablePlan], request: MigrationRequest, grace_days: int) -> Estimate:
    """Return what the plan takes: copy and proof at ``request.throughput_mb_s``, duplicate storage until purge."""
    moved = sum(table.bytes for table in tables if table.method is not CopyMethod.REGISTER)
    seconds = moved / MB / request.throughput_mb_s * READS
    rates = request.rates
    storage = moved / GB * rates.storage_per_gb_month * grace_days / DAYS_A_MONTH
    cost = moved / GB * rates.transfer_per_gb + seconds / 3600 * rates.compute_per_hour + storage
    return Estimate(
        bytes=moved, seconds=round(seconds, 1), cost=round(cost, 2), throughput_mb_s=request.throughput_mb_s, rates=rates
    )


def refuse_impossible(made: Estimate, request: MigrationRequest, created_at: str) -> None:
    """Make sure the plan fits ``max_cost`` and ``deadline``.

    :raises LimitExceeded: IB-313 with the cost, IB-314 with the needed and the assumed MB/s.
    :raises ConfigurationError: IB-315 when the deadline cannot be read.
    """
    if request.max_cost is not None and made.cost > request.max_cost:
        raise LimitExceeded(
            "IB-313",
            f"The plan costs about {made.cost:,.2f} {made.rates.currency}, max_cost is {request.max_cost:,.2f}.",
            remedy="Take fewer tables, or raise max_cost.",
            cost=made.cost,
        )
    if not request.deadline:
        return
    left = (_instant(request.deadline) - _instant(created_at)).total_seconds()
    if made.seconds > left:
        needed = made.bytes * READS / MB / left if left > 0 else float("inf")
        raise LimitExceeded(
            "IB-314",
            f"The deadline {request.deadline} leaves {max(left, 0) / 3600:,.1f} h for {made.bytes / GB:,.1f} GB: "
            f"{needed:,.1f} MB/s are needed, {made.throughput_mb_s:,.1f} MB/s are measured or assumed.",
            remedy="Take fewer tables, a later deadline, or more hosts (throughput_mb_s is all of them together).",
            needed_mb_s=needed,
        )


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            "IB-315",
            f"The deadline {text!r} is not an ISO 8601 instant.",
            remedy='Write it like "2026-12-31T18:00:00+01:00".',
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)

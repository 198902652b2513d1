"""Copies one table under its staged name, or brings an earlier copy up to date."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from icebridge_provider.exceptions import ConfigurationError, FencedOut, IceBridgeError, PreflightFailed, TransientError
from icebridge_provider.model import codec
from icebridge_provider.model.event import Outcome, State, Step, TableState
from icebridge_provider.model.job import CopyResult
from icebridge_provider.model.plan import MigrationPlan, TablePlan
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.ports import Progress
from icebridge_provider.steps.lease import HeldLease, lease_on
from icebridge_provider.steps.site import Site
from icebridge_provider.strategies import job_for

TO_COPY = frozenset({State.DISCOVERED, State.PLANNED, State.COPYING, State.ROLLED_BACK})
PROGRESS_SECONDS = 5.0


def copy_table(site: Site, plan: MigrationPlan, table: TablePlan) -> dict[str, Any]:
    """Copy the head of the source; a table that is copied already is left as it is.

    :returns: the copy's result (see :class:`icebridge_provider.model.job.CopyResult`) and ``already``.
    :raises TransientError: IB-600 while another process works on the table.
    :raises IceBridgeError: what the engine says; the ledger then has the failure.
    """
    key = str(table.source)
    with lease_on(site, table) as held:
        state = site.ledger.state(plan.plan_id, key)
        if state.state not in TO_COPY:
            return {**state.copy, "already": True}
        if state.state is State.ROLLED_BACK:
            _refuse_overwrite(site, table, state)
        loaded = source_of(site, table)
        return {**run_copy(site, plan, table, held, state, loaded, Step.COPY), "already": False}


def _refuse_overwrite(site: Site, table: TablePlan, state: TableState) -> None:
    """A table that was in use before it was rolled back may hold rows that exist nowhere else."""
    kept = site.target.load(table.staged)
    if kept is not None and kept.current_snapshot_id != state.copy.get("target_snapshot_id"):
        raise ConfigurationError(
            "IB-606",
            f"{table.staged} was written while it was {table.target}; a new copy would lose those rows.",
            remedy="Bring them to the source or rename that table, then run the migration again.",
            table=str(table.source),
        )


def source_of(site: Site, table: TablePlan) -> LoadedTable:
    """Load the source table.

    :raises PreflightFailed: IB-601 when it is gone.
    """
    loaded = site.source.load(table.source)
    if loaded is None:
        raise PreflightFailed(
            "IB-601",
            f"{table.source} is not in its catalog any more.",
            remedy="Restore it, or make a new plan without it.",
            table=str(table.source),
        )
    return loaded


def run_copy(
    site: Site,
    plan: MigrationPlan,
    table: TablePlan,
    held: HeldLease,
    state: TableState,
    loaded: LoadedTable,
    step: Step,
) -> dict[str, Any]:
    """Run the table's copy method from ``loaded`` and record how it went."""
    key = str(table.source)
    pinned = {
        "source_metadata_location": loaded.metadata_location,
        "source_snapshot_id": loaded.current_snapshot_id,
    }
    site.record(plan.plan_id, key, step, Outcome.STARTED, dict(pinned), held.lease)
    previous = str(state.copy.get("metadata_location", "")) if step is Step.SYNC else ""
    job, token = job_for(plan, table, loaded, state.failures.get(step.value, 0), previous)
    engine = site.engine(_progress(site, plan.plan_id, key, step, held))
    try:
        site.take_commit()
        status = engine.poll(engine.submit(job, token))
    except IceBridgeError as error:
        record_failure(site, plan.plan_id, key, step, error, held)
        raise
    result = status.result or CopyResult(metadata_location="", snapshot_id=None, target_snapshot_id=None)
    data = {**codec.to_json(result), **pinned, "moved": True}
    site.record(plan.plan_id, key, step, Outcome.DONE, data, held.keep(now=True))
    return data


def record_failure(
    site: Site, plan_id: str, key: str, step: Step, error: IceBridgeError, held: HeldLease | None
) -> None:
    """Record a failure, unless the same call may succeed later or somebody else owns the table now."""
    if isinstance(error, FencedOut | TransientError):
        return
    outcome = Outcome.REFUSED if isinstance(error, PreflightFailed) and step is Step.COPY else Outcome.FAILED
    data: dict[str, object] = {"code": error.code, "message": str(error), "remedy": error.remedy}
    site.record(plan_id, key, step, outcome, data, held.lease if held else None)


def _progress(site: Site, plan_id: str, key: str, step: Step, held: HeldLease) -> Progress:
    """Return a callback that keeps the lease and records progress now and then; it raises when the lease is lost."""
    last = time.monotonic()

    def report(facts: Mapping[str, Any]) -> None:
        nonlocal last
        lease = held.keep()
        if time.monotonic() - last >= PROGRESS_SECONDS:
            last = time.monotonic()
            site.record(plan_id, key, step, Outcome.PROGRESS, dict(facts), lease)

    return report

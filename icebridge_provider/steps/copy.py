"""Copies one table under its staged name, or brings an earlier copy up to date."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from icebridge_provider.exceptions import ConfigurationError, FencedOut, IceBridgeError, PreflightFailed, TransientError
from icebridge_provider.model import codec
from icebridge_provider.model.event import Outcome, State, Step, TableState
from icebridge_provider.model.job import CopyResult, JobSpec, JobState, JobStatus
from icebridge_provider.model.plan import CopyMethod, MigrationPlan, TablePlan
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.ports import Progress
from icebridge_provider.steps.history import was_begun
from icebridge_provider.steps.lease import HeldLease, lease_on
from icebridge_provider.steps.leftovers import is_as_copied, refuse_used_folder, sweep, take_back
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
        refuse_overwrite(site, table)
        loaded = source_of(site, table)
        return {**run_copy(site, plan, table, held, state, loaded, Step.COPY), "already": False}


def refuse_overwrite(site: Site, table: TablePlan) -> None:
    """A copy that was in use before it was rolled back may hold rows that exist nowhere else.

    :raises ConfigurationError: IB-606 when somebody committed to it.
    """
    kept = site.target.load(table.staged)
    if kept is not None and "icebridge.token" in kept.properties and not is_as_copied(kept):
        raise ConfigurationError(
            "IB-606",
            f"{table.staged} was written since it was copied; a new copy would lose those rows.",
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
    again = was_begun(site.ledger.events(plan.plan_id, key))
    if not again:
        refuse_used_folder(site, table)
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
        result = _result(job, engine.poll(engine.submit(job, token)))
        if again or table.method is CopyMethod.INSERT_SELECT:
            sweep(site, table, result.metadata_location, held)
    except FencedOut:
        take_back(site, plan, table, token)
        raise
    except IceBridgeError as error:
        record_failure(site, plan.plan_id, key, step, error, held)
        raise
    data = {**codec.to_json(result), **pinned, "moved": True}
    site.record(plan.plan_id, key, step, Outcome.DONE, data, held.keep(now=True))
    return data


def _result(job: JobSpec, status: JobStatus) -> CopyResult:
    if status.state is JobState.SUCCEEDED and status.result is not None:
        return status.result
    if status.state is JobState.RUNNING:
        raise TransientError("IB-608", f"The copy of {job.source} is still running.", remedy="Run the step again.")
    raise ConfigurationError(
        "IB-609",
        f"The engine could not copy {job.source}: {status.problem or 'it does not say why'}.",
        remedy="Look into the engine's own log, mend the cause and run the migration again.",
        changed="The source is untouched; what was copied is used again.",
        table=str(job.source),
    )


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

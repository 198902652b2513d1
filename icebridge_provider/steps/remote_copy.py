"""Copies by an engine elsewhere: one run for many tables, found again by whoever comes next."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from icebridge_provider.exceptions import IceBridgeError, TransientError
from icebridge_provider.model import codec
from icebridge_provider.model.event import Outcome, Step, TableState
from icebridge_provider.model.job import JobRef, JobSpec, JobState, JobStatus
from icebridge_provider.model.plan import MigrationPlan, TablePlan
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.ports import BatchEngine
from icebridge_provider.steps.copy_outcome import MOVED, record_failure, result_of
from icebridge_provider.steps.history import attempts, begun_copy
from icebridge_provider.steps.lease import HeldLease, lease_on
from icebridge_provider.steps.pins import TO_COPY, begun_source, pin, refuse_overwrite, source_of
from icebridge_provider.steps.site import Site
from icebridge_provider.strategies import job_for

Job = tuple[TablePlan, JobSpec, str, HeldLease]


def start_copies(site: Site, plan: MigrationPlan, tables: Sequence[TablePlan]) -> str:
    """Start one run for those of the tables that are to be copied and have none yet; return its id, empty for none.

    A table whose preparation fails is left out: the step that looks at it alone says why.

    :raises TransientError: what the engine says when it cannot be reached.
    """
    if site.remote is None:
        return ""
    with ExitStack() as leases:
        prepared = [_prepared(site, plan, table, leases) for table in tables]
        jobs = [job for job in prepared if job is not None]
        return _submit(site, site.remote, plan, jobs, Step.COPY).run_id if jobs else ""


def run_remotely(
    site: Site,
    remote: BatchEngine,
    plan: MigrationPlan,
    table: TablePlan,
    held: HeldLease,
    state: TableState,
    loaded: LoadedTable,
    step: Step,
) -> dict[str, Any]:
    """Look at the run that copies the table, or start one; record how it came out.

    :raises TransientError: IB-608 (with ``run_id``) while it runs, IB-611 when it was lost, IB-612 when the source
        moved meanwhile: then it is copied again.
    """
    key = str(table.source)
    previous = str(state.copy.get("metadata_location", "")) if step is Step.SYNC else ""
    job, token, begun = _begin(site, plan, table, held, loaded, step, previous)
    try:
        run_id = str(begun.get("run_id", ""))
        if not run_id:
            run_id = _submit(site, remote, plan, [(table, job, token, held)], step).run_id
        ref = JobRef(engine=remote.name, token=token, run_id=run_id)
        result = result_of(job, _status(remote, job, ref), run_id)
        _refuse_moved(site, table, loaded)
    except IceBridgeError as error:
        record_failure(site, plan.plan_id, key, step, error, held)
        raise
    data = {**codec.to_json(result), **pin(loaded), "moved": True, "run_id": run_id}
    site.record(plan.plan_id, key, step, Outcome.DONE, data, held.keep(now=True))
    return data


def _prepared(site: Site, plan: MigrationPlan, table: TablePlan, leases: ExitStack) -> Job | None:
    key = str(table.source)
    state = site.ledger.state(plan.plan_id, key)
    begun = begun_copy(site.ledger.events(plan.plan_id, key))
    if state.state not in TO_COPY or (begun is not None and begun.get("run_id")):
        return None
    try:
        held = leases.enter_context(lease_on(site, table))
        refuse_overwrite(site, plan, table, state)
        loaded = begun_source(site, plan, table) or source_of(site, table)
    except IceBridgeError:
        return None
    job, token, _ = _begin(site, plan, table, held, loaded, Step.COPY)
    return table, job, token, held


def _begin(
    site: Site,
    plan: MigrationPlan,
    table: TablePlan,
    held: HeldLease,
    loaded: LoadedTable,
    step: Step,
    previous: str = "",
) -> tuple[JobSpec, str, dict[str, Any]]:
    """Return the job, its token, and what is recorded of it; a new one is recorded as started.

    Every attempt has a token of its own: a peer that has seen a token answers with the run of then, whose copy may
    have been rolled back since.
    """
    key = str(table.source)
    events = list(site.ledger.events(plan.plan_id, key))
    begun = begun_copy(events)
    if begun is None:
        site.record(plan.plan_id, key, step, Outcome.STARTED, pin(loaded), held.lease)
    job, token = job_for(plan, table, loaded, attempts(events) - (begun is not None), previous)
    return job, token, begun or {}


def _submit(site: Site, remote: BatchEngine, plan: MigrationPlan, jobs: Sequence[Job], step: Step) -> JobRef:
    for _, _, _, held in jobs:
        site.take_commit()
        held.keep(now=True)
    ref = remote.submit_all([(job, token) for _, job, token, _ in jobs])
    for table, _, _, held in jobs:
        site.record(plan.plan_id, str(table.source), step, Outcome.PROGRESS, {"run_id": ref.run_id}, held.lease)
    return ref


def _status(remote: BatchEngine, job: JobSpec, ref: JobRef) -> JobStatus:
    status = remote.poll(ref)
    return status if status.state is JobState.RUNNING else remote.result_of(job, ref)


def _refuse_moved(site: Site, table: TablePlan, loaded: LoadedTable) -> None:
    """An engine elsewhere reads the head it finds: only a head that stood still the whole time is the one we pinned."""
    if source_of(site, table).metadata_location != loaded.metadata_location:
        raise TransientError(
            MOVED,
            f"{table.source} was written while it was copied, so it is not known which snapshot was read.",
            remedy="It is copied again; stop its writers for that time if it comes again.",
            changed="The copy stays under its staged name and is replaced.",
            table=str(table.source),
        )

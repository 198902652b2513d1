"""Copies by an engine elsewhere: one run for many tables, found again by whoever comes next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import IceBridgeError, TransientError
from icebridge_provider.model import codec
from icebridge_provider.model.event import Outcome, Step, TableState
from icebridge_provider.model.job import JobRef, JobSpec, JobState, JobStatus
from icebridge_provider.model.plan import MigrationPlan, TablePlan
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.ports import BatchEngine
from icebridge_provider.steps.copy_outcome import MOVED, record_failure, result_of
from icebridge_provider.steps.costs import refuse_overspent
from icebridge_provider.steps.history import attempts, begun_copy
from icebridge_provider.steps.jobs_table import mirror
from icebridge_provider.steps.lease import HeldLease, lease_on
from icebridge_provider.steps.pins import TO_COPY, pin, source_of, source_to_copy
from icebridge_provider.steps.site import Site
from icebridge_provider.strategies import job_for

Job = tuple[TablePlan, JobSpec, str, HeldLease]


def start_copies(site: Site, plan: MigrationPlan, tables: Sequence[TablePlan]) -> str:
    """Start one run for those of the tables that are to be copied and have none yet; return its id, empty for none.

    A table whose preparation fails is left out: the step that looks at it alone says why.

    :raises TransientError: what the engine says when it cannot be reached.
    :raises LimitExceeded: IB-337 when another run would cost more than the plan may.
    """
    if site.remote is None:
        return ""
    if plan.request.max_cost is not None:
        refuse_overspent(site, plan, _without_run(site, plan, tables))
    with ExitStack() as leases:
        prepared = [_prepared(site, plan, table, leases) for table in tables]
        jobs = [job for job in prepared if job is not None]
        run_id = _submit(site, site.remote, plan, jobs, Step.COPY).run_id if jobs else ""
    if run_id:
        mirror(site, plan, [table for table, _, _, _ in jobs])
    return run_id


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
            refuse_overspent(site, plan, [table])
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


def _without_run(site: Site, plan: MigrationPlan, tables: Sequence[TablePlan]) -> list[TablePlan]:
    """Return the tables for which a run is to be started."""
    states = {state.table: state.state for state in site.ledger.states(plan.plan_id)}
    wanted = [table for table in tables if states.get(str(table.source)) in TO_COPY]
    begun = (begun_copy(site.ledger.events(plan.plan_id, str(table.source))) or {} for table in wanted)
    return [table for table, pin_of in zip(wanted, begun, strict=True) if not pin_of.get("run_id")]


def _prepared(site: Site, plan: MigrationPlan, table: TablePlan, leases: ExitStack) -> Job | None:
    key = str(table.source)
    state = site.ledger.state(plan.plan_id, key)
    begun = begun_copy(site.ledger.events(plan.plan_id, key))
    if state.state not in TO_COPY or (begun is not None and begun.get("run_id")):
        return None
    try:
        held = leases.enter_context(lease_on(site, table))
        loaded = _once_more(lambda: source_to_copy(site, plan, table, state))
    except IceBridgeError:
        return None
    job, token, _ = _begin(site, plan, table, held, loaded, Step.COPY)
    return table, job, token, held


def _once_more(call: Callable[[], LoadedTable]) -> LoadedTable:
    """Call, and again after what may pass: a table that is left out costs a cluster of its own later."""
    try:
        return call()
    except TransientError:
        return call()


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
    _make_namespaces(site, jobs)
    for _, _, _, held in jobs:
        site.take_commit()
        held.keep(now=True)
    ref = remote.submit_all([(job, token) for _, job, token, _ in jobs])
    for table, _, _, held in jobs:
        site.record(plan.plan_id, str(table.source), step, Outcome.PROGRESS, {"run_id": ref.run_id}, held.lease)
    return ref


def _make_namespaces(site: Site, jobs: Sequence[Job]) -> None:
    """Make the places of the copies, once each; the engine makes none."""
    for namespace in dict.fromkeys(table.target.namespace for table, _, _, _ in jobs):
        with side_effect("copy.make_namespace"):
            site.target.create_namespace(namespace)


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

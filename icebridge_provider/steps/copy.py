"""Copies one table under its staged name, or brings an earlier copy up to date."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from icebridge_provider.exceptions import FencedOut, IceBridgeError
from icebridge_provider.model import codec
from icebridge_provider.model.event import Outcome, Step, TableState
from icebridge_provider.model.plan import CopyMethod, MigrationPlan, TablePlan
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.ports import Progress
from icebridge_provider.steps.copy_outcome import record_failure, result_of
from icebridge_provider.steps.history import was_begun
from icebridge_provider.steps.lease import HeldLease, lease_on
from icebridge_provider.steps.leftovers import refuse_used_folder, sweep, take_back
from icebridge_provider.steps.pins import TO_COPY, pin, source_to_copy
from icebridge_provider.steps.remote_copy import run_remotely
from icebridge_provider.steps.site import Site
from icebridge_provider.strategies import job_for

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
        loaded = source_to_copy(site, plan, table, state)
        return {**run_copy(site, plan, table, held, state, loaded, Step.COPY), "already": False}


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
    if site.remote is not None:
        return run_remotely(site, site.remote, plan, table, held, state, loaded, step)
    key = str(table.source)
    again = was_begun(site.ledger.events(plan.plan_id, key))
    if not again:
        refuse_used_folder(site, table)
    pinned = pin(loaded)
    site.record(plan.plan_id, key, step, Outcome.STARTED, pinned, held.lease)
    previous = str(state.copy.get("metadata_location", "")) if step is Step.SYNC else ""
    job, token = job_for(plan, table, loaded, state.failures.get(step.value, 0), previous)
    engine = site.engine(_progress(site, plan.plan_id, key, step, held))
    try:
        site.take_commit()
        result = result_of(job, engine.poll(engine.submit(job, token)))
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

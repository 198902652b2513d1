"""Keeps a copy fresh until it is cut over: brings over what changed in the source since."""

from __future__ import annotations

from typing import Any

from icebridge_provider.exceptions import TransientError
from icebridge_provider.model.event import State, Step
from icebridge_provider.model.plan import MigrationPlan, TablePlan
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.steps.copy import run_copy
from icebridge_provider.steps.lease import lease_on
from icebridge_provider.steps.pins import begun_source, refuse_overwrite, source_of
from icebridge_provider.steps.site import Site
from icebridge_provider.steps.validate import validate_table

TO_SYNC = frozenset({State.COPIED, State.VALIDATED, State.AWAITING_APPROVAL})
ROUNDS = 5


def sync_table(site: Site, plan: MigrationPlan, table: TablePlan) -> dict[str, Any]:
    """Bring over what changed since the copy: new files and metadata, or the rows appended since.

    A table that is not copied yet or cut over already is left as it is.

    :returns: ``moved`` and, when it is true, the copy's result; the table must then be validated again.
    """
    key = str(table.source)
    with lease_on(site, table) as held:
        state = site.ledger.state(plan.plan_id, key)
        if state.state not in TO_SYNC:
            return {"moved": False, "state": state.state.value}
        begun = begun_source(site, plan, table)
        loaded = begun or source_of(site, table)
        if loaded.metadata_location == state.copy["source_metadata_location"]:
            return {"moved": False, "state": state.state.value}
        if begun is None:
            refuse_overwrite(site, plan, table, state)
        return run_copy(site, plan, table, held, state, loaded, Step.SYNC)


def catch_up(site: Site, plan: MigrationPlan, table: TablePlan, rounds: int = ROUNDS) -> dict[str, Any]:
    """Sync and validate until the source's head is the copied one.

    :returns: ``rounds``: how many times something had to be brought over.
    :raises TransientError: IB-610 when the source is written faster than it can be copied, naming the writer.
    """
    for number in range(rounds):
        moved = sync_table(site, plan, table)["moved"]
        if not moved and number == 0:
            state = site.ledger.state(plan.plan_id, str(table.source)).state
            if state is State.COPIED:
                validate_table(site, plan, table)
        if not moved:
            return {"rounds": number}
        validate_table(site, plan, table)
    if not _moved(site, plan, table):
        return {"rounds": rounds}
    raise TransientError(
        "IB-610",
        f"{table.source} was written {rounds} times while it was being caught up{_writer(source_of(site, table))}.",
        remedy="Stop its writers, then run the migration again.",
        changed="The copy is as fresh as the last round.",
        table=str(table.source),
    )


def _moved(site: Site, plan: MigrationPlan, table: TablePlan) -> bool:
    copied = site.ledger.state(plan.plan_id, str(table.source)).copy["source_metadata_location"]
    return bool(source_of(site, table).metadata_location != copied)


def _writer(loaded: LoadedTable) -> str:
    head = loaded.current_snapshot_id
    for snapshot in loaded.metadata.get("snapshots", ()):
        if snapshot["snapshot-id"] == head:
            summary = snapshot.get("summary", {})
            names = [summary.get(key) for key in ("engine-name", "app-id", "spark.app.id") if summary.get(key)]
            return f", lastly by {' '.join(names)}" if names else ""
    return ""

"""The source a copy is made of: its head, or what an unfinished copy was begun from."""

from __future__ import annotations

from dataclasses import replace

from icebridge_provider.engines.local.engine import store_of
from icebridge_provider.engines.local.metadata import read_metadata
from icebridge_provider.exceptions import ConfigurationError, PreflightFailed
from icebridge_provider.model.event import State, TableState
from icebridge_provider.model.plan import MigrationPlan, TablePlan
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.steps.history import begun_copy, was_in_use
from icebridge_provider.steps.leftovers import is_as_copied
from icebridge_provider.steps.site import Site

TO_COPY = frozenset({State.DISCOVERED, State.PLANNED, State.COPYING, State.ROLLED_BACK})


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


def pinned_source(site: Site, table: TablePlan, location: str) -> LoadedTable:
    """Return the source as of the metadata file ``location``, whatever happened to it since."""
    loaded = source_of(site, table)
    if loaded.metadata_location == location:
        return loaded
    metadata = read_metadata(store_of(site.source, loaded), location, table.source)
    return replace(loaded, metadata_location=location, metadata=metadata)


def begun_source(site: Site, plan: MigrationPlan, table: TablePlan) -> LoadedTable | None:
    """Return the source as a run elsewhere was told to copy it, None when no such run is under way."""
    begun = begun_copy(site.ledger.events(plan.plan_id, str(table.source))) if site.remote else None
    return pinned_source(site, table, str(begun["source_metadata_location"])) if begun else None


def source_to_copy(site: Site, plan: MigrationPlan, table: TablePlan, state: TableState) -> LoadedTable:
    """Return the source as a run elsewhere was told to copy it, or its head when no such run is under way.

    :raises ConfigurationError: IB-606 when a new copy would replace one that somebody wrote to.
    """
    begun = begun_source(site, plan, table)
    if begun is not None:
        return begun  # what stands under the staged name now is its run's
    refuse_overwrite(site, plan, table, state)
    return source_of(site, table)


def pin(loaded: LoadedTable) -> dict[str, object]:
    """Return what a copy's events say of the source it is made of."""
    return {
        "source_metadata_location": loaded.metadata_location,
        "source_snapshot_id": loaded.current_snapshot_id,
    }


def refuse_overwrite(site: Site, plan: MigrationPlan, table: TablePlan, state: TableState) -> None:
    """A copy that was in use before it was rolled back may hold rows that exist nowhere else.

    :raises ConfigurationError: IB-606 when somebody committed to it.
    """
    kept = site.target.load(table.staged)
    if kept is None or "icebridge.token" not in kept.properties or is_as_copied(kept, state.copy):
        return
    if table.location or was_in_use(site.ledger.events(plan.plan_id, str(table.source))):
        raise ConfigurationError(
            "IB-606",
            f"{table.staged} was written since it was copied; a new copy would lose those rows.",
            remedy="Bring them to the source or rename that table, then run the migration again.",
            table=str(table.source),
        )

"""Deletes the archived source of a table that was cut over long enough ago, and proves first that nobody needs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.engines.local.engine import store_of
from icebridge_provider.exceptions import ConfigurationError, ValidationFailed
from icebridge_provider.model.event import Outcome, State, Step, TableState
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import CopyMethod, MigrationPlan, TablePlan
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.planning.cutover import ARCHIVE, TARGET
from icebridge_provider.ports import Catalog, FileStore
from icebridge_provider.steps.history import cut_over_at, purge_begun
from icebridge_provider.steps.identity import id_of
from icebridge_provider.steps.lease import HeldLease, lease_on
from icebridge_provider.steps.paths import paths_of, plain
from icebridge_provider.steps.site import Site

WORKERS = 8


def purge_table(site: Site, plan: MigrationPlan, table: TablePlan, who: str) -> dict[str, Any]:
    """Delete the archived source's files and entry; go on where an earlier run stopped.

    :param who: the person who approved the purge.
    :returns: ``files`` deleted, ``already``.
    :raises ConfigurationError: IB-640 not cut over, or nobody approved; IB-641 the grace period is not over; IB-642 the
        source is shared with the new table or cannot be changed; IB-644 rows would be lost.
    :raises ValidationFailed: IB-643 a live table uses one of the files; IB-645 that cannot be told.
    """
    key = str(table.source)
    with lease_on(site, table) as held:
        state = site.ledger.state(plan.plan_id, key)
        if state.state is State.PURGED:
            return {"files": 0, "already": True}
        events = list(site.ledger.events(plan.plan_id, key))
        archived = _check(site, table, state, who, cut_over_at(events))
        listed = site.ledger.document("purge", f"{plan.plan_id}/{key}") if purge_begun(events) else None
        doomed = listed or _listed(site, table, state, archived)
        _refuse_shared(site, table, archived, doomed)
        if listed is None:
            with side_effect("purge.list"):
                site.ledger.save_document("purge", f"{plan.plan_id}/{key}", doomed)
        started: dict[str, object] = {"who": who, "files": len(doomed["files"])}
        site.record(plan.plan_id, key, Step.PURGE, Outcome.STARTED, started, held.keep(now=True))
        _delete(site, archived, doomed, held)
        data: dict[str, object] = {"files": len(doomed["files"]), "archived": str(archived), "who": who}
        site.record(plan.plan_id, key, Step.PURGE, Outcome.DONE, data, held.keep(now=True))
        return {**data, "already": False}


def _check(site: Site, table: TablePlan, state: TableState, who: str, ended: str) -> TableIdentifier:
    archived = next((action["inverse"]["table"] for action in state.applied if action["action"] == ARCHIVE), None)
    if state.state is not State.CUT_OVER or not who:
        what = f"{table.source} is {state.state}, not cut over" if who else "nobody approved the purge"
        raise ConfigurationError("IB-640", f"{what[0].upper()}{what[1:]}.", remedy="Purge it after that.")
    if archived is None or table.method is CopyMethod.REGISTER or not site.source.writable():
        why = "shares its files with the new table" if table.method is CopyMethod.REGISTER else "was not archived by us"
        raise ConfigurationError(
            "IB-642",
            f"{table.source} {why}; deleting its files is not ours.",
            remedy="Leave it to the source's owner.",
            table=str(table.source),
        )
    cut_over = datetime.fromisoformat(str(state.approval.get("at") or ended))
    free = cut_over + timedelta(days=site.settings.purge_grace_days)
    if site.now() < free:
        raise ConfigurationError(
            "IB-641",
            f"{table.source} was cut over {cut_over:%Y-%m-%d}; it is kept until {free:%Y-%m-%d}.",
            remedy="Wait, or shorten [icebridge] purge_grace_days.",
            table=str(table.source),
        )
    if id_of(site, TARGET, table.target) is None:
        raise _only_copy(table, f"{table.target} is not in its catalog any more")
    return TableIdentifier.parse(archived)


def _listed(site: Site, table: TablePlan, state: TableState, archived: TableIdentifier) -> dict[str, Any]:
    """List the archived table's files.

    :raises ConfigurationError: IB-644 when its rows are not all in the new table.
    """
    loaded = site.source.load(archived)
    if loaded is None:
        return {"files": [], "metadata": ""}
    if loaded.current_snapshot_id != state.copy.get("source_snapshot_id"):
        raise _only_copy(table, f"{archived} was written after the cut-over")
    return {"files": sorted(set(_paths(site.source, loaded))), "metadata": loaded.metadata_location}


def _refuse_shared(site: Site, table: TablePlan, archived: TableIdentifier, listed: Mapping[str, Any]) -> None:
    """Make sure that no live table of either catalog uses a file that is to go, also when the purge goes on."""
    doomed = {plain(path) for path in [*listed["files"], listed["metadata"]] if path}
    with ThreadPoolExecutor(WORKERS) as pool:
        for user, shared in pool.map(lambda live: _shared(live[0], live[1], doomed), _live(site, archived)):
            if shared:
                raise ValidationFailed(
                    "IB-643",
                    f"{user} uses {shared}, which would be deleted with {archived}.",
                    remedy=f"Give {user} files of its own (rewrite it, or migrate it with copy_files), then purge.",
                    table=str(table.source),
                )


def _only_copy(table: TablePlan, why: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-644",
        f"{table.source} cannot be purged: {why}, so rows would be lost.",
        remedy="Bring the rows to the new table, or roll back.",
        table=str(table.source),
    )


def _live(site: Site, archived: TableIdentifier) -> Iterator[tuple[Catalog, TableIdentifier]]:
    for catalog in (site.source, site.target):
        for namespace in catalog.namespaces():
            for found in catalog.tables(namespace):
                if found != archived:
                    yield catalog, found


def _shared(catalog: Catalog, table: TableIdentifier, doomed: set[str]) -> tuple[TableIdentifier, str]:
    """Return the first doomed file that ``table`` uses; a table that was dropped meanwhile uses none."""
    loaded = catalog.load(table)
    if loaded is None:
        return table, ""
    if plain(loaded.metadata_location) in doomed:
        return table, loaded.metadata_location
    return table, next((path for path in _paths(catalog, loaded) if plain(path) in doomed), "")


def _paths(catalog: Catalog, loaded: LoadedTable) -> Iterator[str]:
    """Yield a table's files.

    :raises ValidationFailed: IB-645 when they cannot all be told: then nothing is proven.
    """
    try:
        yield from paths_of(store_of(catalog, loaded), loaded.metadata)
    except (OSError, ValueError) as error:
        raise ValidationFailed(
            "IB-645",
            f"The files of {loaded.identifier} cannot be told: {error}.",
            remedy="Mend or drop that table: until its files are known, no file can be proven to be unused.",
            table=str(loaded.identifier),
        ) from None


def _delete(site: Site, archived: TableIdentifier, listed: dict[str, Any], held: HeldLease) -> None:
    store: FileStore = site.source.store()
    for path in listed["files"]:
        held.keep()
        with side_effect("purge.delete_file"):
            store.delete(path)
    held.keep(now=True)
    with side_effect("purge.drop_entry"):
        site.source.drop_entry(archived)
    if listed["metadata"]:
        with side_effect("purge.delete_metadata"):
            store.delete(listed["metadata"])

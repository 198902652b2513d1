"""Removes what abandoned copies left in a new table's folder: files of an earlier pin, older metadata, checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.engines.local.engine import store_of
from icebridge_provider.engines.local.metadata import metadata_file
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.event import State
from icebridge_provider.model.plan import MigrationPlan, TablePlan
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.steps.lease import HeldLease
from icebridge_provider.steps.paths import paths_of, plain
from icebridge_provider.steps.site import Site


def sweep(site: Site, table: TablePlan, metadata_location: str, held: HeldLease) -> int:
    """Delete the files of the table's own folder that the finished copy does not name; return how many.

    The folder was empty when the table's first copy began (IB-607), so all its files are ours. Where the catalog
    chooses folders it also cleans them up.
    """
    if not table.location:
        return 0
    loaded = site.target.load(table.staged)
    if loaded is None or loaded.metadata_location != metadata_location:
        return 0
    store = store_of(site.target, loaded)
    needed = {plain(path) for path in paths_of(store, loaded.metadata, live=True)} | {plain(metadata_location)}
    left = [path for path, _ in store.list(table.location) if plain(path) not in needed]
    # A metadata file goes before what it names: one that is still there never lacks a file, wherever this stops.
    for path in sorted(left, key=lambda path: not path.endswith(".metadata.json")):
        held.keep()
        with side_effect("copy.delete_leftover"):
            store.delete(path)
    return len(left)


def take_back(site: Site, plan: MigrationPlan, table: TablePlan, token: str) -> None:
    """Remove the staged entry that this process made after it had lost the lease, when the table is published already.

    No catalog knows of our leases, so a process that slept between its last look and the entry makes it too late.
    Before the table is published the staged name belongs to whoever holds the lease: nothing is touched then.
    """
    if site.ledger.state(plan.plan_id, str(table.source)).state not in {State.CUT_OVER, State.PURGED}:
        return
    late = site.target.load(table.staged)
    if late is None or late.properties.get("icebridge.token") != token or site.target.load(table.target) is None:
        return
    with side_effect("copy.take_back"):
        site.target.drop_entry(table.staged)


def refuse_used_folder(site: Site, table: TablePlan) -> None:
    """Make sure that nothing lies in the folder of a table whose first copy begins.

    :raises ConfigurationError: IB-607 naming a file.
    """
    if not table.location:
        return
    found = next(iter(site.target.store().list(table.location)), None)
    if found is not None:
        raise ConfigurationError(
            "IB-607",
            f"The folder for {table.target} is not empty: it holds {found[0]}.",
            remedy="Make a new plan, which gets a folder of its own; if the ledger was lost, run: "
            "airflow icebridge db rebuild.",
            table=str(table.source),
        )


def is_as_copied(loaded: LoadedTable, copied: Mapping[str, Any]) -> bool:
    """Whether nobody has committed to a copy since it was made: its metadata file is the one the copy wrote.

    :param copied: the result of the copy as the ledger has it, for engines whose files have names of their own.
    """
    token = loaded.properties.get("icebridge.token")
    if token is None:
        return False
    written = metadata_file(str(loaded.metadata["location"]), token)
    return loaded.metadata_location in {written, copied.get("metadata_location")}

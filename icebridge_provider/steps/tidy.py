"""Leaves in a new table's folder what the table needs, and nothing else, before it is anybody's table."""

from __future__ import annotations

from icebridge_provider.crash import side_effect
from icebridge_provider.engines.local.engine import store_of
from icebridge_provider.model.plan import TablePlan
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.steps.lease import HeldLease
from icebridge_provider.steps.paths import paths_of, plain
from icebridge_provider.steps.site import Site


def remove_leftovers(site: Site, table: TablePlan, staged: LoadedTable, held: HeldLease) -> int:
    """Delete what killed or repeated copies left in the new table's folder; return how many files.

    Only while the table is staged: nobody else writes to the folder then. Once it is published, a file that no
    snapshot names may be somebody's commit under way.
    """
    store = store_of(site.target, staged)
    left = sorted({plain(path) for path, _ in store.list(table.location)})
    if not left:
        return 0
    needed = {plain(staged.metadata_location), *(plain(path) for path in paths_of(store, staged.metadata))}
    doomed = [path for path in left if path not in needed]
    for path in doomed:
        held.keep()
        with side_effect("validate.tidy"):
            store.delete(path)
    return len(doomed)

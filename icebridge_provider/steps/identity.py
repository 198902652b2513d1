"""Tells one table from every other that may bear its name, and whether the copy is still what was proven.

The copy is known by its catalog's own id where the catalog keeps privileges: once filters and masks stand on it, its
metadata, and so its uuid and its metadata file, are withheld. Whether it was written since it was proven is then told
by its commits: before the first protection is put on, the newest one is marked while the metadata still is the proven
one. A table without metadata never passes for a proven one otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.planning.cutover import TARGET
from icebridge_provider.steps.site import Site

WITHHELD = "IB-637"


def id_of(site: Site, side: str, table: TableIdentifier) -> str | None:
    """Return the id under which actions know the table of that name, None when there is none."""
    access = site.target.access if side == TARGET else None
    if access is not None:
        return access.id_of(table)
    loaded = (site.target if side == TARGET else site.source).load(table)
    return None if loaded is None else str(loaded.metadata.get("table-uuid"))


def is_meant(found: str | None, action: Mapping[str, Any]) -> bool:
    """Whether the table with this id is the one the action was written for; without an id (rebuilt) any is."""
    return found is not None and ("uuid" not in action or action["uuid"] == found)


def mark_of(site: Site, table: TableIdentifier) -> str:
    """Return a mark of the copy's newest commit; take it before reading the metadata that is compared."""
    access = site.target.access
    return "" if access is None else access.mark(table)


def written_since(site: Site, table: TableIdentifier, mark: str) -> list[str]:
    """Return in words what may have changed the copy since it was marked."""
    access = site.target.access
    return ["its catalog keeps no privileges any more"] if access is None else access.commits_since(table, mark)


def load_unless_withheld(site: Site, table: TableIdentifier) -> tuple[LoadedTable | None, bool]:
    """Return the table of the target, and whether it is there and its metadata is withheld."""
    try:
        return site.target.load(table), False
    except IceBridgeError as error:
        if error.code != WITHHELD:
            raise
        return None, True

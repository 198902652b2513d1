"""Who may read and write a path of cloud storage: external locations first, then the warehouse's instance profile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.peers.databricks.errors import ApiError
from tests.peers.databricks.sql_errors import SqlError, denied, from_api

if TYPE_CHECKING:
    from tests.peers.databricks.model import LocationRow
    from tests.peers.databricks.world import World


@dataclass(kw_only=True)
class PathRules:
    """``instance_profile``: the warehouse has one; it counts where no external location covers the path.

    Then only those may use paths who hold the legacy privileges on ``ANY FILE``.
    """

    instance_profile: bool = False
    any_file: set[str] = field(default_factory=set)


def covering(world: World, path: str) -> LocationRow | None:
    """The external location a path is in; locations never overlap, so there is one at most."""
    for row in list(world.state.locations.values()):
        if f"{path.rstrip('/')}/".startswith(f"{row.url.rstrip('/')}/"):
            return row
    return None


def require_path(world: World, rules: PathRules, who: str, path: str, *, write: bool) -> None:
    """Raise SqlError unless a principal may read (or write) below a path."""
    row = covering(world, path)
    if row is None:
        _require_any_file(rules, who, path, write=write)
        return
    try:
        world.require(who, "WRITE_FILES" if write else "READ_FILES", "EXTERNAL_LOCATION", row.full_name)
    except ApiError as error:
        raise from_api(error) from None
    credential = world.state.credentials.get(row.credential_name)
    if write and (row.read_only or (credential is not None and credential.read_only)):
        raise denied(f"External Location '{row.name}' is read only.")
    _refuse_overlap(world, path)


def _require_any_file(rules: PathRules, who: str, path: str, *, write: bool) -> None:
    if not rules.instance_profile:
        raise SqlError(
            "NO_PARENT_EXTERNAL_LOCATION_FOR_PATH",
            "XXKUC",
            f"No parent external location was found for path '{path}'. Please create an external location on one of"
            " the parent paths and then retry the query or command again.",
        )
    if who not in rules.any_file:
        raise denied(f"User does not have permission {'MODIFY' if write else 'SELECT'} on any file.")


def _refuse_overlap(world: World, path: str) -> None:
    """Paths of tables and volumes are reached by their names only."""
    inside = f"{path.rstrip('/')}/"
    for rows in (world.state.tables, world.state.volumes):
        for row in list(rows.values()):
            root = f"{row.storage_location.rstrip('/')}/"
            if row.storage_location.startswith("s3://") and (inside.startswith(root) or root.startswith(inside)):
                text = f"Input path url '{path}' overlaps with other external tables or volumes: {row.full_name}."
                raise SqlError("LOCATION_OVERLAP", "XXKUC", text)

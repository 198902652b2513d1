"""What Databricks checks before it reads a foreign Iceberg table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.peers.databricks.sql_errors import SqlError

if TYPE_CHECKING:
    from tests.peers.databricks.model import TableRow
    from tests.peers.databricks.world import World

_KNOWN: dict[str, str] = {}


def check_summary(world: World, row: TableRow) -> None:
    """Refuse a table whose snapshot summary does not say what its manifests hold (as after a careless add_files)."""
    if row.metadata_location not in _KNOWN:
        _KNOWN[row.metadata_location] = _difference(row)
    difference = _KNOWN[row.metadata_location]
    if difference or row.full_name in world.catalog(row.catalog).flags.get("summary_broken", ()):
        raise SqlError(
            "DELTA_UNIVERSAL_FORMAT_CONVERSION_FAILED",
            "KD00E",
            f"Failed to convert the table {row.full_name} from iceberg to delta: the size and number of data files in"
            f" the snapshot summary do not match its manifests. {difference}".rstrip(),
        )


def _difference(row: TableRow) -> str:
    from pyiceberg.table import StaticTable

    try:
        table = StaticTable.from_metadata(row.metadata_location)
    except FileNotFoundError:
        return ""  # reading it fails by itself, with a better message
    snapshot = table.current_snapshot()
    if snapshot is None or snapshot.summary is None:
        return ""
    said = {key: snapshot.summary.additional_properties.get(key) for key in ("total-data-files", "total-files-size")}
    files, size = 0, 0
    for manifest in snapshot.manifests(table.io):
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            files += entry.data_file.content == 0
            size += entry.data_file.file_size_in_bytes
    seen = {"total-data-files": files, "total-files-size": size}
    wrong = [f"{key}: {said[key]} said, {seen[key]} found" for key in seen if said[key] not in {None, str(seen[key])}]
    return "; ".join(wrong)

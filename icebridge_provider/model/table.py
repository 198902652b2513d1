"""What is known of a table from its metadata alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from icebridge_provider.model.identifier import TableIdentifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A top-level column; ``type`` is the Iceberg type as the spec writes it (``decimal(10, 2)``, ``list<int>``)."""

    field_id: int
    name: str
    type: str
    required: bool = False
    doc: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Who wrote a recent snapshot, from its summary (``engine-name``, ``app-id``, ``iceberg-version``)."""

    snapshot_id: int
    at_ms: int
    operation: str
    engine: str = ""
    app_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTotals:
    """Counts and bytes of the live files of the current snapshot.

    ``rows`` counts records in data files before deletes are applied.
    """

    data_files: int = 0
    data_bytes: int = 0
    rows: int = 0
    position_delete_files: int = 0
    equality_delete_files: int = 0
    deletion_vectors: int = 0
    delete_bytes: int = 0
    delete_rows: int = 0
    formats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """One metadata file, read; nothing here needs an engine.

    ``summary`` holds the totals the current snapshot claims; ``manifests`` those its manifests add up to, or None
    when they were not read (a plain inventory reads only the metadata file). Schemas, specs, sort orders and refs
    are the JSON of the metadata file (Iceberg spec, appendix C).
    """

    metadata_location: str
    location: str
    table_uuid: str
    format_version: int
    current_snapshot_id: int | None = None
    last_updated_ms: int = 0
    columns: tuple[Column, ...] = ()
    schemas: tuple[Mapping[str, Any], ...] = ()
    current_schema_id: int = 0
    specs: tuple[Mapping[str, Any], ...] = ()
    default_spec_id: int = 0
    sort_orders: tuple[Mapping[str, Any], ...] = ()
    default_sort_order_id: int = 0
    properties: Mapping[str, str] = field(default_factory=dict)
    snapshots: int = 0
    history_files: int = 0
    history_bytes: int = 0
    refs: Mapping[str, Any] = field(default_factory=dict)
    writers: tuple[Writer, ...] = ()
    summary: FileTotals = field(default_factory=FileTotals)
    manifests: FileTotals | None = None

    @property
    def totals(self) -> FileTotals:
        """The manifests' own totals where they were read, else what the summary claims."""
        return self.manifests or self.summary


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignTable:
    """A table of the source catalog; ``facts`` is None when its metadata could not be read (see ``problem``)."""

    identifier: TableIdentifier
    facts: TableFacts | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedTable:
    """A table entry as its catalog holds it now: where its metadata file is and what that file says.

    ``metadata`` is the whole metadata JSON. ``io_properties`` configure file access and may hold credentials:
    never log, store or print them (they are left out of ``repr``).
    """

    identifier: TableIdentifier
    metadata_location: str
    metadata: Mapping[str, Any] = field(repr=False)
    io_properties: Mapping[str, str] = field(repr=False, default_factory=dict)

    @property
    def current_snapshot_id(self) -> int | None:
        """Head of the main branch, None for a table without snapshots."""
        found = self.metadata.get("current-snapshot-id")
        return None if found in (None, -1) else int(found)

    @property
    def properties(self) -> Mapping[str, str]:
        """Table properties."""
        found: Mapping[str, str] = self.metadata.get("properties", {})
        return found

"""Metadata JSON to :class:`TableFacts`. No engine, no I/O.

Field names and defaults follow the Iceberg table spec, appendix C, for format versions 1 to 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from icebridge_provider.model.redaction import redacted
from icebridge_provider.model.table import Column, FileTotals, TableFacts, Writer

RECENT = 10
_TOTALS = (
    "total-data-files",
    "total-delete-files",
    "total-files-size",
    "total-records",
    "total-position-deletes",
    "total-equality-deletes",
)
_ENGINE_MARKS = {
    "trino_query_id": "trino",
    "spark.app.id": "spark",
    "flink.job-id": "flink",
}
_APP_IDS = ("app-id", "spark.app.id", "flink.job-id", "trino_query_id", "trino_user")


def facts_of(metadata_location: str, metadata: Mapping[str, Any], manifests: FileTotals | None = None) -> TableFacts:
    """Return what one metadata file says; ``manifests`` are the totals of its manifests where they were read.

    Values of table properties that look like credentials are replaced.

    :raises KeyError, TypeError, ValueError: when the file is not Iceberg metadata.
    """
    schemas = _schemas(metadata)
    current = int(metadata.get("current-schema-id", schemas[0].get("schema-id", 0)))
    snapshots = metadata.get("snapshots") or []
    return TableFacts(
        metadata_location=metadata_location,
        location=str(metadata["location"]),
        table_uuid=str(metadata.get("table-uuid") or ""),
        format_version=int(metadata["format-version"]),
        current_snapshot_id=current_snapshot_id(metadata),
        last_updated_ms=int(metadata.get("last-updated-ms", 0)),
        columns=tuple(_column(item) for item in _schema(schemas, current).get("fields", ())),
        schemas=tuple(schemas),
        current_schema_id=current,
        specs=tuple(_specs(metadata)),
        default_spec_id=int(metadata.get("default-spec-id", 0)),
        sort_orders=tuple(metadata.get("sort-orders") or ()),
        default_sort_order_id=int(metadata.get("default-sort-order-id", 0)),
        properties=redacted(metadata.get("properties") or {}),
        snapshots=len(snapshots),
        refs=_refs(metadata),
        writers=_writers(snapshots),
        summary=_claimed_totals(claimed(metadata)),
        manifests=manifests,
    )


def with_history(facts: TableFacts, manifests: FileTotals, files: int, size: int) -> TableFacts:
    """Return ``facts`` with what the manifests add up to: the current totals, and all retained snapshots' files."""
    return replace(facts, manifests=manifests, history_files=files, history_bytes=size)


def current_snapshot_id(metadata: Mapping[str, Any]) -> int | None:
    """Return the head of the main branch; some writers put -1 where there is none."""
    found = metadata.get("current-snapshot-id")
    return None if found in (None, -1) else int(found)


def current_snapshot(metadata: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the JSON of the current snapshot, None when there is none or it is not among the snapshots."""
    wanted = current_snapshot_id(metadata)
    found = (item for item in metadata.get("snapshots") or () if item.get("snapshot-id") == wanted)
    return next(found, None) if wanted is not None else None


def claimed(metadata: Mapping[str, Any]) -> dict[str, int]:
    """Return the totals that the current snapshot's summary states, those it states as numbers only."""
    snapshot = current_snapshot(metadata) or {}
    summary = snapshot.get("summary") or {}
    return {key: int(summary[key]) for key in _TOTALS if str(summary.get(key, "")).lstrip("-").isdigit()}


def type_text(kind: Any) -> str:
    """Return an Iceberg type of the metadata JSON as text: ``decimal(10, 2)``, ``list<int>``, ``struct<a: int>``."""
    if isinstance(kind, str):
        return kind
    match kind.get("type"):
        case "list":
            return f"list<{type_text(kind['element'])}>"
        case "map":
            return f"map<{type_text(kind['key'])}, {type_text(kind['value'])}>"
        case "struct":
            inner = ", ".join(f"{item['name']}: {type_text(item['type'])}" for item in kind["fields"])
            return f"struct<{inner}>"
        case other:
            return str(other)


def _schemas(metadata: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(metadata.get("schemas") or [metadata["schema"]])


def _schema(schemas: Sequence[Mapping[str, Any]], schema_id: int) -> Mapping[str, Any]:
    return next((item for item in schemas if item.get("schema-id", 0) == schema_id), schemas[-1])


def _specs(metadata: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = metadata.get("partition-specs")
    return list(found) if found else [{"spec-id": 0, "fields": metadata.get("partition-spec") or []}]


def _refs(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    found = metadata.get("refs")
    head = current_snapshot_id(metadata)
    if found or head is None:
        return dict(found or {})
    return {"main": {"snapshot-id": head, "type": "branch"}}


def _column(item: Mapping[str, Any]) -> Column:
    return Column(
        field_id=int(item["id"]),
        name=str(item["name"]),
        type=type_text(item["type"]),
        required=bool(item.get("required")),
        doc=str(item.get("doc") or ""),
    )


def _writers(snapshots: Sequence[Mapping[str, Any]]) -> tuple[Writer, ...]:
    recent = sorted(snapshots, key=lambda item: int(item.get("timestamp-ms", 0)), reverse=True)[:RECENT]
    return tuple(_writer(item) for item in recent)


def _writer(snapshot: Mapping[str, Any]) -> Writer:
    summary = snapshot.get("summary") or {}
    return Writer(
        snapshot_id=int(snapshot["snapshot-id"]),
        at_ms=int(snapshot.get("timestamp-ms", 0)),
        operation=str(summary.get("operation", "")),
        engine=_engine(summary),
        app_id=next((str(summary[key]) for key in _APP_IDS if summary.get(key)), ""),
    )


def _engine(summary: Mapping[str, Any]) -> str:
    name = str(summary.get("engine-name", ""))
    if name:
        return f"{name} {summary.get('engine-version', '')}".strip()
    marked = next((engine for mark, engine in _ENGINE_MARKS.items() if mark in summary), "")
    return marked or str(summary.get("iceberg-version", "")).partition(" (")[0]


def _claimed_totals(stated: Mapping[str, int]) -> FileTotals:
    """Spread the summary's totals over kinds; it does not tell how many delete files are of which kind.

    Delete files of an unknown kind count as equality deletes, the kind that fewer methods can carry.
    """
    deletes = stated.get("total-delete-files", 0)
    by_equality = stated.get("total-equality-deletes", 0)
    by_position = stated.get("total-position-deletes", 0)
    positional = by_equality == 0
    return FileTotals(
        data_files=stated.get("total-data-files", 0),
        data_bytes=stated.get("total-files-size", 0),
        rows=stated.get("total-records", 0),
        position_delete_files=deletes if positional else 0,
        equality_delete_files=0 if positional else deletes,
        delete_rows=by_position + by_equality,
    )

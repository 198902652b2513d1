"""Inventories of any size in memory, for planning: the values are those that a real lake's metadata holds."""

from __future__ import annotations

from typing import Any

from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.inventory import Inventory
from icebridge_provider.model.report import Finding, Severity
from icebridge_provider.model.table import Column, FileTotals, ForeignTable, TableFacts, Writer

DAY_MS = 86_400_000
NOW_MS = 1_790_000_000_000


def ident(path: str, catalog: str = "src") -> TableIdentifier:
    return TableIdentifier.parse(f"{catalog}.{path}")


def facts(name: str = "sales.orders", **changes: Any) -> TableFacts:
    """Facts of an ordinary table: two snapshots, 10 files, 1 GB, written a week ago."""
    location = f"s3://old/{name.replace('.', '/')}"
    columns = (
        Column(field_id=1, name="id", type="long", required=True),
        Column(field_id=2, name="name", type="string"),
    )
    given: dict[str, Any] = {
        "metadata_location": f"{location}/metadata/v2.metadata.json",
        "location": location,
        "table_uuid": "5f0b6c0e-0000-4000-8000-000000000001",
        "format_version": 2,
        "current_snapshot_id": 4711,
        "last_updated_ms": NOW_MS - 7 * DAY_MS,
        "columns": columns,
        "schemas": ({"schema-id": 0, "type": "struct", "fields": []},),
        "specs": ({"spec-id": 0, "fields": []},),
        "sort_orders": ({"order-id": 0, "fields": []},),
        "properties": {"owner": "sales", "write.parquet.compression-codec": "zstd"},
        "snapshots": 2,
        "history_files": 12,
        "history_bytes": 1_200_000_000,
        "refs": {"main": {"snapshot-id": 4711, "type": "branch"}},
        "writers": (Writer(snapshot_id=4711, at_ms=NOW_MS - 7 * DAY_MS, operation="append", engine="spark 3.5"),),
        "manifests": FileTotals(data_files=10, data_bytes=1_000_000_000, rows=10_000_000, formats=("PARQUET",)),
    }
    return TableFacts(**{**given, **changes})


def table(path: str = "sales.orders", **changes: Any) -> ForeignTable:
    return ForeignTable(identifier=ident(path), facts=facts(path, **changes))


def inventory(*tables: ForeignTable, findings: tuple[Finding, ...] = ()) -> Inventory:
    return Inventory(
        inventory_id="inv", catalog="src", taken_at="2026-01-01T00:00:00+00:00", tables=tables, findings=findings
    )


def many(count: int) -> Inventory:
    """Return ``count`` tables in namespaces of 200; one of 20 has a warning, one of 100 is broken."""
    tables = tuple(table(f"ns{number // 200:03d}.table_{number:05d}") for number in range(count))
    found = []
    for number, item in enumerate(tables):
        if number % 20 == 0:
            broken = number % 100 == 0
            found.append(source_finding(item, "SRC-002" if broken else "SRC-008", blocking=broken))
    return inventory(*tables, findings=tuple(found))


def source_finding(item: ForeignTable, rule: str, *, blocking: bool = True) -> Finding:
    severity = Severity.BLOCKING if blocking else Severity.WARNING
    return Finding(rule=rule, severity=severity, table=item.identifier, message="Seen.", remedy="Mend it.")

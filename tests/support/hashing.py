"""Short ways from Python values and real tables to fingerprints, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import Table

from icebridge_provider.engines.fingerprint.rows import HashedRows, RowHasher, Totals
from icebridge_provider.engines.fingerprint.schema import read_schema
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.report import Fingerprint
from icebridge_provider.model.table import LoadedTable


def arrow_table(rows: Sequence[Mapping[str, Any]], fields: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Arrow table with the schema's field ids."""
    schema = schema_to_pyarrow(Schema.model_validate({"type": "struct", "schema-id": 0, "fields": list(fields)}))
    columns = [_column([row[item.name] for row in rows], item.type) for item in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    if isinstance(kind, pa.ExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))
    return pa.array(values, kind)


def hash_rows(
    rows: Sequence[Mapping[str, Any]], fields: Sequence[Mapping[str, Any]], batches: int = 1
) -> list[HashedRows]:
    """Hash rows with the compiled code, cut into batches."""
    wanted = read_schema({"fields": list(fields)}, "test")
    table, hasher = arrow_table(rows, fields), RowHasher(wanted)
    size = max(1, -(-len(rows) // batches))
    hashed = []
    for start in range(0, len(rows), size):
        part = table.slice(start, size)
        arrays = [_one(part.column(item.name)) for item in wanted]
        hashed.append(hasher.hash(arrays, len(part), "test"))
    return hashed


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0)


def fingerprint_rows(
    rows: Sequence[Mapping[str, Any]], fields: Sequence[Mapping[str, Any]], buckets: int = 4, batches: int = 1
) -> Fingerprint:
    """Fingerprint of rows that lie in no table."""
    wanted = read_schema({"fields": list(fields)}, "test")
    totals = Totals(columns=len(wanted), buckets=buckets)
    for batch in hash_rows(rows, fields, batches):
        totals.add(batch)
    return totals.folded().fingerprint(wanted, None)


def loaded(table: Table) -> LoadedTable:
    """A pyiceberg table as the project sees one."""
    table = table.refresh()
    *namespace, name = table.name()
    identifier = TableIdentifier(catalog="test", namespace=tuple(namespace), name=name)
    return LoadedTable(
        identifier=identifier,
        metadata_location=table.metadata_location,
        metadata=table.metadata.model_dump(mode="json", by_alias=True),
    )


def plain(found: Fingerprint) -> dict[str, Any]:
    """A fingerprint as the reference writes it."""
    names = ("name", "nulls", "crc_sum", "crc_xor", "sum128")
    return {
        "rows": found.rows,
        "crc_sum": found.crc_sum,
        "crc_xor": found.crc_xor,
        "sum128": found.sum128,
        "columns": [{name: getattr(column, name) for name in names} for column in found.columns],
        "buckets": [[bucket.rows, bucket.sum128] for bucket in found.buckets],
    }

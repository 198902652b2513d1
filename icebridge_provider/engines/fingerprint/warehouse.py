"""The fingerprint of what SQL readers get of a table: computed by their engine, added up here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from icebridge_provider.engines.fingerprint.schema import Field
from icebridge_provider.model.report import Fingerprint
from icebridge_provider.retry import transient
from icebridge_provider.sql import fingerprint as sql

if TYPE_CHECKING:
    from icebridge_provider.engines.fingerprint.rows import Sums

BUCKETS = 64
_MODULUS = 2**128
Row = Sequence[str | int | None]


class Answers(Protocol):
    """The rows of a statement: texts, None for null."""

    @property
    def rows(self) -> Sequence[Row]:
        """All of them."""


class Warehouse(Protocol):
    """Runs SQL: :class:`icebridge_provider.catalogs.unity.statements.Statements` fits."""

    def run(self, what: str, statement: str, values: Mapping[str, str] | None = None, *, right: str = "") -> Answers:
        """Run a statement to its end."""


def fingerprint_by_sql(
    warehouse: Warehouse, table: Sequence[str], fields: Sequence[Field], snapshot_id: int | None, buckets: int = BUCKETS
) -> Fingerprint:
    """Let a SQL warehouse add up the rows of a table as it shows them to this principal.

    :param table: parts of its name.
    :param fields: its columns in canonical order; ``sql.fingerprint.unsayable`` must say nothing against them.
    :param snapshot_id: what the fingerprint is said to be of; the caller sees to it that it is what was read.
    :raises IceBridgeError: IB-241, IB-243, IB-247, IB-249 when the statement does not succeed.
    """
    name = ".".join(table)
    statement = sql.fingerprint(table, fields, buckets)
    found = transient(lambda: warehouse.run(f"read every row of {name}", statement, right=f"SELECT on {name}"))
    return folded(found.rows, len(fields), buckets).fingerprint(fields, snapshot_id)


def folded(rows: Sequence[Row], columns: int, buckets: int) -> Sums:
    """Return exact sums of the rows that :func:`icebridge_provider.sql.fingerprint.fingerprint` answers with."""
    from icebridge_provider.engines.fingerprint.rows import Sums

    total = Sums(rows=0, crc_sum=0, crc_xor=0, buckets=[(0, 0)] * buckets, columns=[(0, 0, 0, 0)] * columns)
    for row in rows:
        bucket, count, *sums = (int(value or 0) for value in row)
        of_buckets = [(0, 0)] * buckets
        of_buckets[bucket] = (count, _whole(sums[:4]))
        parts = [sums[6 + at : 6 + at + sql.SUMS] for at in range(0, columns * sql.SUMS, sql.SUMS)]
        total += Sums(
            rows=count,
            crc_sum=sums[4],
            crc_xor=sums[5],
            buckets=of_buckets,
            columns=[(count - part[0], part[1], part[2], _whole(part[3:])) for part in parts],
        )
    return total


def _whole(limbs: Sequence[int]) -> int:
    """Join four 32-bit limbs, high first, whose sums may have outgrown 32 bits."""
    high, upper, lower, low = limbs
    return ((high << 96) + (upper << 64) + (lower << 32) + low) % _MODULUS


def fields_of(metadata: Mapping[str, Any], table: str) -> tuple[Field, ...]:
    """Return the columns of a table's current schema in canonical order.

    :raises PreflightFailed: IB-504 for a type that no reader knows.
    """
    from icebridge_provider.engines.fingerprint.schema import read_schema

    wanted = metadata.get("current-schema-id", 0)
    listed = metadata.get("schemas") or [metadata["schema"]]
    return read_schema(next((one for one in listed if one.get("schema-id") == wanted), listed[-1]), table)

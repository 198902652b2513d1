"""Extraction: a SELECT whose rows become Parquet files in a folder, and what was written there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MANIFEST = "_manifest.json"
SNAPSHOT, FUZZY = "snapshot", "fuzzy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """Read in ``count`` ranges of a column's values; rows without a value go with the first."""

    column: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """One query for one country: a job.

    :param statement: one SELECT; ``%(name)s`` is a bound value, every other ``%`` is written twice.
    :param values: the bound values, by name.
    :param parameters: how the parameters are shown in the manifest and the ledger; no secrets.
    :param digest: of statement, values and database; the same job asks for the same rows.
    :param database: the database to connect to, where the country's file names one.
    """

    job_id: str
    country: str
    query: str
    statement: str
    values: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""
    partition: Partition | None = None
    database: str = ""

    @property
    def name(self) -> str:
        """``country/query``: its folder, and its name in the ledger."""
        return f"{self.country}/{self.query}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnType:
    """A column as it is declared, and as it stands in the files.

    :param sql_type: ``decimal(38,10)``, ``nvarchar(50)``.
    :param arrow: ``bool int16 int32 int64 float32 float64 date32 timestamp[us] string binary decimal128(p,s)``.
    """

    name: str
    sql_type: str
    arrow: str
    nullable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One Parquet file: its name in the folder, its rows, its bytes and their CRC-32."""

    name: str
    rows: int
    size: int
    crc32: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a finished job wrote; the file :data:`MANIFEST` is written last, so that it speaks of whole parts only.

    :param isolation: ``snapshot`` when all rows are of one state of the database, else ``fuzzy``.
    :param fingerprint: order-free sums over all rows (docs/fingerprint.md), as JSON.
    """

    job_id: str
    country: str
    query: str
    statement_digest: str
    columns: tuple[ColumnType, ...]
    rows: int
    parts: tuple[Part, ...]
    isolation: str
    started_at: str
    finished_at: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    fingerprint: Mapping[str, Any] = field(default_factory=dict)

"""Sharing a table with Snowflake: what is exported, how its columns are carried, and what is known of each load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from icebridge_provider.model import codec

MANIFEST = "_icebridge_manifest.json"  # engines that read the folder leave out names with _ in front


class Mode(StrEnum):
    """What becomes of the rows that the Snowflake table has already."""

    APPEND = "append"
    REPLACE = "replace"
    UPSERT = "upsert"


class Publish(StrEnum):
    """How ``replace`` does it: rows deleted and inserted in one transaction, or a full table swapped in."""

    REWRITE = "rewrite"
    SWAP = "swap"


class Carried(StrEnum):
    """How a value stands in the Parquet file.

    ``micros``: microseconds since 1970 UTC as an integer, the same whatever a cluster's Parquet settings are.
    ``json``: the text of ``to_json``; Snowflake reads it with PARSE_JSON.
    """

    PLAIN = "plain"
    MICROS = "micros"
    JSON = "json"


class LoadState(StrEnum):
    """Where a load is, as ``ICEBRIDGE_LOADS`` says: its rows are in the target when it is ``loaded``."""

    STAGING = "staging"
    SWAPPING = "swapping"
    LOADED = "loaded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """SQL and its bound values.

    :param text: with ``%(name)s`` (Snowflake) or ``:name`` (Databricks) where a value stands. For Snowflake every other
        ``%`` is doubled when there are values, and none is when there are not: that is how its connector reads it.
    """

    text: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceColumn:
    """A column as Databricks declares it, ``decimal(10,2)``, ``struct<a:int>``."""

    name: str
    type: str
    nullable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SnowflakeColumn:
    """A column as DESCRIBE TABLE tells it: ``NUMBER(10,2)``, ``VARCHAR(16777216)``, ``TIMESTAMP_NTZ(9)``."""

    name: str
    type: str
    nullable: bool = True
    has_default: bool = False
    collation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedColumn:
    """One column on its way: in the source, in the files and the staging table, and in the target.

    :param file_name: its name in the Parquet files and in the staging table.
    :param staged_type: Snowflake type of the staging table's column.
    :param target_type: Snowflake type that the target has, or will have.
    :param note: what a reader of the target should know of it; empty when the value is the same.
    """

    source: str
    source_type: str
    file_name: str
    staged_type: str
    target: str
    target_type: str
    carried: Carried = Carried.PLAIN
    nullable: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaChange:
    """One change of the target, made before rows move. ``kind`` is ``create``, ``add`` or ``widen``."""

    kind: str
    column: str
    type: str
    before: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaPlan:
    """How the columns are carried, and what the target lacks for them."""

    columns: tuple[CarriedColumn, ...]
    changes: tuple[SchemaChange, ...] = ()
    unfilled: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Of what stands in the files: the same for every target type that takes it."""
        return codec.digest([[item.source, item.source_type, item.file_name, item.carried] for item in self.columns])


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One table's way into files.

    :param source: catalog, schema, table.
    :param location: the folder, for this run and this table alone.
    :param version: Delta version that is read; None reads what is current.
    :param where: a checked condition, ``:name`` where one of ``values`` stands.
    :param limit: most rows; None takes all.
    """

    run_id: str
    source: tuple[str, ...]
    location: str
    columns: tuple[CarriedColumn, ...]
    version: int | None = None
    where: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None

    @property
    def digest(self) -> str:
        """Of what is asked for: a run id that comes again with another digest is another export."""
        shape = [[item.source, item.source_type, item.file_name, item.carried] for item in self.columns]
        asked = [list(self.source), self.version, self.where, dict(self.values), self.limit, shape]
        return codec.digest([self.run_id, self.location, asked])


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """A file as a listing tells it. ``checksum`` is the store's own (S3's ETag, Snowflake's ``md5``), empty if none."""

    name: str
    size: int
    checksum: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedFile:
    """A Parquet file of an export: name below its folder, bytes, rows, the store's checksum."""

    name: str
    size: int
    rows: int
    checksum: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileColumn:
    """A column as the files have it, Databricks' spelling of the type."""

    name: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareManifest:
    """What a finished export wrote; it is written last, so it speaks of whole files only.

    :param asked: :attr:`Export.digest`.
    :param fingerprint: the sums of ``sql.snowflake_fingerprint`` over the files' rows.
    :param limited: why the rows are not all of the table's; empty when they are.
    """

    run_id: str
    source: str
    location: str
    asked: str
    columns: tuple[CarriedColumn, ...]
    files: tuple[ExportedFile, ...]
    rows: int
    created_at: str
    version: int | None = None
    fingerprint: tuple[str, ...] = ()
    limited: str = ""

    @property
    def digest(self) -> str:
        """Of the whole manifest."""
        return codec.digest(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a table goes: the target, the stage over the export's bucket, and the schema of our own tables.

    :param target: database, schema, table.
    :param stage: database, schema, stage; its storage integration holds the right to read, never a statement.
    :param stage_root: the location that the stage's URL names, as the export spells it.
    :param control: database and schema of ``ICEBRIDGE_LOADS`` and of staging tables.
    """

    target: tuple[str, str, str]
    stage: tuple[str, str, str]
    stage_root: str
    control: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRecord:
    """A row of ``ICEBRIDGE_LOADS``. ``generation`` counts the tries: an older try can no longer publish."""

    run_key: str
    run_id: str
    target: str
    mode: Mode
    manifest: str
    rows_exported: int
    state: LoadState = LoadState.STAGING
    generation: int = 1
    rows_loaded: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedFile:
    """One row of COPY INTO's result."""

    file: str
    status: str
    rows_parsed: int
    rows_loaded: int
    errors_seen: int = 0
    first_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """Every statement of one load, in order; the comments say what holds between them.

    :param record: the load's row as it is set up.
    :param prepare: DDL and the load's row, each safe to repeat; nothing of the target's rows changes.
    :param copies: COPY INTO the staging table, one per 1,000 files; each may be repeated.
    :param measure: rows, then the fingerprint of the staging table.
    :param keys: for upsert: rows without or with a repeated key in the staging table, and keys repeated in the target.
    :param before, after: rows of the target, inside the transaction.
    :param claim: first statement of the transaction; it must hit one row, else ROLLBACK: another try has published.
    :param publish: DML only, so that nothing commits before COMMIT.
    :param swap: after COMMIT, only for :attr:`Publish.SWAP`: look, swap, record.
    :param label: after COMMIT, the target's comment, where the rows are LIMITED; it needs OWNERSHIP of the table.
    :param clean: after it has been recorded.
    """

    record: LoadRecord
    staging: tuple[str, str, str]
    prepare: tuple[Statement, ...]
    copies: tuple[Statement, ...]
    measure: tuple[Statement, ...]
    keys: tuple[Statement, ...]
    before: Statement
    claim: Statement
    publish: tuple[Statement, ...]
    after: Statement
    swap: tuple[Statement, ...] = ()
    label: tuple[Statement, ...] = ()
    clean: tuple[Statement, ...] = ()

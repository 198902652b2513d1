"""One table's share with Snowflake as it was planned, and how it came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from icebridge_provider.model import codec
from icebridge_provider.model.snowflake import Mode, Place, Publish, SourceColumn

SHARE, RESULT = "share", "share_result"  # kinds of documents in the ledger; their keys are Share.document
_LONGEST_NAME = 800  # bytes; PostgreSQL's indexes take 2,700 for a whole entry
_MARKS = (".", "->", "#")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one run does with one table; every try of it does just this.

    :param run_id: of the whole run, the same for all its tables; ``plan_id`` in the ledger.
    :param source: catalog, schema, table in Databricks.
    :param location: folder under which every run has its own, ``s3://bucket/folder``.
    :param keys: columns of an upsert, as the source spells them.
    :param where: a checked condition; ``values`` are bound to its ``:name`` places.
    :param columns: of the source when it was planned.
    :param preset: ``production`` or ``poc``.
    """

    run_id: str
    source: tuple[str, str, str]
    place: Place
    location: str
    columns: tuple[SourceColumn, ...]
    mode: Mode = Mode.APPEND
    publish: Publish = Publish.REWRITE
    keys: tuple[str, ...] = ()
    where: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None
    preset: str = "production"
    upper: bool = False
    add_columns: bool = True
    widen_columns: bool = True

    @property
    def name(self) -> str:
        """How people and the ledger call it: ``catalog.schema.table -> DATABASE.SCHEMA.TABLE``.

        No two tables share one: names with dots in them, and those too long for an index, get a digest at their end.
        """
        parts = (*self.source, *self.place.target)
        shown = f"{'.'.join(self.source)} -> {'.'.join(self.place.target)}"
        plain = len(shown.encode()) <= _LONGEST_NAME and not any(mark in part for part in parts for mark in _MARKS)
        return shown if plain else f"{shown[: _LONGEST_NAME // 4]} #{self._digest_of_tables[:16]}"

    @property
    def document(self) -> str:
        """Its key among the ledger's documents: unlike ``name`` never the same for two tables."""
        return f"{self.run_id}/{self._digest_of_tables[:32]}"

    @property
    def _digest_of_tables(self) -> str:
        return codec.digest([list(self.source), list(self.place.target)])

    @property
    def digest(self) -> str:
        """Of all of it: a document that comes again with another digest is another share."""
        return codec.digest(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What the transaction did to the target; ``before`` and ``after`` are its rows, counted inside it."""

    before: int
    after: int
    inserted: int = 0
    updated: int = 0
    deleted: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareResult:
    """A share that has ended well.

    :param again: it had been loaded before this try: nothing was written.
    :param stale: files of other runs that were seen in its folder and not loaded.
    :param warnings: what did not work and does not matter to the rows.
    """

    run_id: str
    name: str
    mode: Mode
    rows: int
    files: int
    bytes: int
    fingerprint: tuple[str, ...]
    published: Published | None = None
    again: bool = False
    limited: str = ""
    stale: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    checks: int = 0

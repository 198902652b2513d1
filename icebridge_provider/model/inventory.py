"""What one look at a catalog found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.report import Finding
from icebridge_provider.model.table import ForeignTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """The tables of one catalog that the globs select, as of ``taken_at`` (ISO 8601, UTC).

    ``findings`` holds what the inspection of the sources found, in table order. ``level`` says how deep it looked:
    ``metadata`` (the metadata file alone), ``manifests`` (also every manifest) or ``files`` (also that every file is
    there and whole).
    """

    inventory_id: str
    catalog: str
    taken_at: str
    globs: tuple[str, ...] = ("*",)
    level: str = "files"
    tables: tuple[ForeignTable, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def problems(self) -> tuple[ForeignTable, ...]:
        """Tables whose metadata could not be read."""
        return tuple(table for table in self.tables if table.problem)

    def findings_of(self, table: TableIdentifier) -> tuple[Finding, ...]:
        """Return what the inspection found about one table."""
        return tuple(finding for finding in self.findings if finding.table == table)

    def findings_by_table(self) -> Mapping[TableIdentifier, tuple[Finding, ...]]:
        """Return all findings, grouped; tables without findings are left out."""
        grouped: dict[TableIdentifier, list[Finding]] = {}
        for finding in self.findings:
            grouped.setdefault(finding.table, []).append(finding)
        return {table: tuple(findings) for table, findings in grouped.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class BadFile:
    """A file that is not what the metadata says: ``kind`` is data, position deletes, equality deletes or manifest.

    ``actual`` is its size as stored, None when it is not there; ``current`` says whether the current snapshot needs
    it; ``reason`` is set when it is there in full but cannot be read.
    """

    path: str
    kind: str
    expected: int | None = None
    actual: int | None = None
    current: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the inspection of one table saw, for the rules of planning/inspection.py to judge.

    ``claimed`` are the totals that the current snapshot's summary states (only those it states, as numbers).
    ``files_checked`` is how many data and delete files were compared with storage; 0 when that was not asked for.
    """

    claimed: Mapping[str, int] = field(default_factory=dict)
    missing: tuple[BadFile, ...] = ()
    short: tuple[BadFile, ...] = ()
    unreadable: tuple[BadFile, ...] = ()
    dangling_deletes: tuple[str, ...] = ()
    deletes_not_read: int = 0
    outside: tuple[str, ...] = ()
    outside_count: int = 0
    duplicates: tuple[str, ...] = ()
    files_checked: int = 0
    refs: Mapping[str, Any] = field(default_factory=dict)
    snapshot_ids: frozenset[int] = frozenset()

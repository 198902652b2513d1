"""What a Databricks workspace says before a plan is made: about the target schemas, and about each source table.

Every answer has three values. *Cannot be told* is no *no* and no *yes*: it is said in the plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from icebridge_provider.model.access import Policy, TableAccess
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import CopyMethod

LIMITING = frozenset({"ROW_FILTER", "COLUMN_MASK"})


class Told(StrEnum):
    """An answer of the workspace."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


Rights = Mapping[str, Told]
"""Privileges by their REST names; one that is left out was not asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A target schema, as the copier is shown it.

    ``parts`` are catalog and schema; ``there`` is False for one that is to be made (or is not shown). ``rights`` are
    the copier's, those on the catalog among them. ``storage`` is the root below which Unity Catalog puts its tables,
    by ``storage_of`` (``SCHEMA main.sales``). ``crowded_out`` are the tables for which its quota has no room.
    ``optimized``: predictive optimization is in force. ``access`` is what every new table in it inherits, None when
    that is not shown. ``unanswered`` says in words what the workspace did not tell.
    """

    parts: tuple[str, str]
    there: bool = True
    rights: Rights = field(default_factory=dict)
    storage: str = ""
    storage_of: str = ""
    storage_told: bool = True
    tables: int = 0
    limit: int = 0
    crowded_out: frozenset[TableIdentifier] = frozenset()
    optimized: Told = Told.UNKNOWN
    access: TableAccess | None = None
    unanswered: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``catalog.schema``."""
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A source table's entry in Unity Catalog.

    ``rights`` are the copier's, with ``MANAGE`` that of who moves its readers. ``policies`` are the filters and masks
    of its schema and catalog, those named in ``exempt`` do not apply to the copier. ``access`` is who may read it, as
    far as shown; ``access_whole`` says whether that is all. ``updated_ms`` is when Unity Catalog last read it.
    """

    parts: tuple[str, str, str]
    rights: Rights = field(default_factory=dict)
    row_filter: str = ""
    masks: Mapping[str, str] = field(default_factory=dict)
    policies: tuple[Policy, ...] = ()
    exempt: frozenset[str] = frozenset()
    access: TableAccess | None = None
    access_whole: bool = False
    updated_ms: int | None = None
    unanswered: tuple[str, ...] = ()

    @property
    def is_guarded(self) -> bool:
        """Whether a filter or a mask stands on it, or may: a policy's condition is for the workspace to judge."""
        return bool(self.row_filter or self.masks or self.policies)

    @property
    def binds_copier(self) -> bool:
        """Whether one of them may filter or mask what the copier reads; a function's own exceptions are not seen."""
        applied = any(policy.name not in self.exempt for policy in self.policies)
        return bool(self.row_filter or self.masks or applied)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnityFacts:
    """Everything that was asked. ``copier`` runs the copy, ``mover`` moves the readers; mostly they are one.

    ``enables`` says that predictive optimization is to be switched on where tables go.
    """

    copier: str = ""
    mover: str = ""
    metastore_id: str = ""
    external_access: Told = Told.UNKNOWN
    enables: bool = False
    places: Mapping[tuple[str, ...], Place] = field(default_factory=dict)
    entries: Mapping[TableIdentifier, Entry] = field(default_factory=dict)

    def offered(
        self, methods: tuple[CopyMethod, ...], source: TableIdentifier, target: TableIdentifier
    ) -> tuple[CopyMethod, ...]:
        """Return the methods that are left for one table: nothing guarded is cloned, nor into an unoptimized schema."""
        entry, place = self.entries.get(source), self.places.get(target.namespace)
        guarded = entry is not None and entry.is_guarded
        unoptimized = place is not None and place.optimized is Told.NO and not self.enables
        if not (guarded or unoptimized):
            return methods
        return tuple(method for method in methods if method is not CopyMethod.DEEP_CLONE)

    def stored(self, target: TableIdentifier) -> str:
        """Return where Unity Catalog will keep the table's files, in words; empty where it does not tell."""
        place = self.places.get(target.namespace)
        return f"Stored below {place.storage} (of {place.storage_of})." if place and place.storage else ""

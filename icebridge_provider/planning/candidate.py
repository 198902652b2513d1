"""One table on its way into a plan, and what pre-flight's rules compare it with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import CopyMethod
from icebridge_provider.model.report import Severity
from icebridge_provider.model.table import ForeignTable, TableFacts
from icebridge_provider.planning.methods import EMBEDDED
from icebridge_provider.planning.unity_facts import UnityFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupant:
    """What stands under the name a table is to get: the plan and the source it was made for, empty if not by us."""

    plan_id: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the target catalog takes. What is not known to be refused counts as taken.

    ``plain_names``: lower case letters, digits and underscores only. ``one_level``: namespaces have one level.
    ``dotted_levels``: a level may hold a dot. ``refused_types`` are Iceberg types as the spec writes them, without
    their length. ``methods`` are those of the engine that writes there, the cheapest first. ``applies_deletes`` is
    False where that engine may read tables without applying their delete files. ``checks_summaries`` is True where it
    refuses tables whose snapshot summary does not fit their files.
    """

    longest_name: int = 255
    plain_names: bool = False
    one_level: bool = False
    dotted_levels: bool = True
    newest_format: int = 3
    partition_transforms: bool = True
    refused_types: frozenset[str] = frozenset()
    refused_characters: str = ""
    methods: tuple[CopyMethod, ...] = EMBEDDED
    applies_deletes: bool = True
    checks_summaries: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightContext:
    """What the rules compare a table with.

    ``occupants`` are the tables already there under a wanted name, staged or final. ``free_bytes`` is None where it
    cannot be known. ``reads_source`` says whether the target's connection can read the source's files. ``twins`` are
    the entries that share a metadata file, by that file. ``now_ms`` is the time of planning. ``unity`` is what a
    Databricks workspace told, None where none is asked. Rules that stand in ``advisory`` only warn.
    """

    plan_id: str = ""
    source_writable: bool = True
    target_writable: bool = True
    occupants: Mapping[TableIdentifier, Occupant] = field(default_factory=dict)
    capabilities: Capabilities = field(default_factory=Capabilities)
    free_bytes: int | None = None
    reads_source: bool = True
    twins: Mapping[str, tuple[TableIdentifier, ...]] = field(default_factory=dict)
    now_ms: int = 0
    unity: UnityFacts | None = None
    advisory: frozenset[str] = frozenset()

    def offered(self, source: TableIdentifier, target: TableIdentifier) -> tuple[CopyMethod, ...]:
        """Return the methods for one table, the cheapest first."""
        methods = self.capabilities.methods
        return methods if self.unity is None else self.unity.offered(methods, source, target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One table with the name, folder and method it would get."""

    table: ForeignTable
    facts: TableFacts
    target: TableIdentifier
    staged: TableIdentifier
    method: CopyMethod
    location: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one rule says of one table, in words; ``remedy`` stands in for the rule's own where it knows better."""

    what: str
    remedy: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule as data. ``check`` says in one line what must hold; ``judge`` returns what is wrong, or None."""

    id: str
    severity: Severity
    check: str
    remedy: str
    judge: Callable[[Candidate, PreflightContext], Answer | None]


def size_of(facts: TableFacts, method: CopyMethod) -> int:
    """Return the bytes that ``method`` writes: with its history for ``copy_files``, none for ``register``."""
    totals = facts.totals
    if method is CopyMethod.REGISTER:
        return 0
    if method is CopyMethod.COPY_FILES:
        return max(facts.history_bytes, totals.data_bytes + totals.delete_bytes)
    return totals.data_bytes


def folder(location: str) -> str:
    """Return a location as one spelling that ends in a slash: ``file:///x`` is ``/x/``, s3a is s3."""
    plain = "/" + location.removeprefix("file:").lstrip("/") if location.startswith("file:") else location
    for alias in ("s3a://", "s3n://"):
        plain = "s3://" + plain.removeprefix(alias) if plain.startswith(alias) else plain
    return plain.rstrip("/") + "/"

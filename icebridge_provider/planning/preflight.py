"""Rules that stop a table before anything is spent on it, as data: id, check, severity, remedy.

A blocking finding drops the table, not the run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import CopyMethod
from icebridge_provider.model.report import Finding, Severity
from icebridge_provider.model.table import ForeignTable, TableFacts
from icebridge_provider.planning import methods

LONGEST_NAME = 255
SMALL_FILE = 8 * 1000**2
MANY_FILES = 1000
RECENT_MS = 3_600_000
NOTHING = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupant:
    """What stands under the name a table is to get: the plan and the source it was made for, empty if not by us."""

    plan_id: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightContext:
    """What the rules compare a table with.

    ``occupants`` are the tables already there under a wanted name. ``free_bytes`` is None where it cannot be known.
    ``now_ms`` is the time of planning.
    """

    plan_id: str = ""
    source_writable: bool = True
    target_writable: bool = True
    occupants: Mapping[TableIdentifier, Occupant] = field(default_factory=dict)
    free_bytes: int | None = None
    now_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One table with the name and method it would get."""

    table: ForeignTable
    facts: TableFacts
    target: TableIdentifier
    staged: TableIdentifier
    method: CopyMethod


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """``judge`` returns what is wrong in words, or nothing; ``check`` says in one line what it looks at."""

    id: str
    severity: Severity
    check: str
    remedy: str
    judge: Callable[[Candidate, PreflightContext], str]


def _method(candidate: Candidate, _: PreflightContext) -> str:
    return methods.refusal(candidate.facts, candidate.method)


def _read_only_target(candidate: Candidate, context: PreflightContext) -> str:
    return NOTHING if context.target_writable else f"the target connection {candidate.target.catalog} is read-only"


def _taken(candidate: Candidate, context: PreflightContext) -> str:
    occupant = context.occupants.get(candidate.target)
    if occupant is None or (occupant.plan_id, occupant.source) == (context.plan_id, str(candidate.table.identifier)):
        return NOTHING
    whose = f"made by plan {occupant.plan_id} from {occupant.source}" if occupant.plan_id else "not made by IceBridge"
    return f"{candidate.target} exists already and was {whose}"


def _long_name(candidate: Candidate, _: PreflightContext) -> str:
    longest = max((candidate.target.name, candidate.staged.name), key=len)
    return f"the name {longest} has {len(longest)} characters" if len(longest) > LONGEST_NAME else NOTHING


def _too_large(candidate: Candidate, context: PreflightContext) -> str:
    needed = size_of(candidate.facts, candidate.method)
    if context.free_bytes is None or needed <= context.free_bytes:
        return NOTHING
    return f"it needs {needed:,} bytes, {context.free_bytes:,} are free where the target keeps its files"


def _read_only_source(_: Candidate, context: PreflightContext) -> str:
    if context.source_writable:
        return NOTHING
    return "the source is read-only, so archiving it will be an instruction to its owner"


def _being_written(candidate: Candidate, context: PreflightContext) -> str:
    age = context.now_ms - candidate.facts.last_updated_ms
    if not candidate.facts.writers or not 0 <= age < RECENT_MS:
        return NOTHING
    writer = candidate.facts.writers[0]
    name = " ".join(part for part in (writer.engine, writer.app_id) if part) or "an unnamed writer"
    return f"it was written {age // 60_000} minutes ago by {name}"


def _small_files(candidate: Candidate, _: PreflightContext) -> str:
    totals = candidate.facts.totals
    if totals.data_files < MANY_FILES or totals.data_bytes / totals.data_files >= SMALL_FILE:
        return NOTHING
    return f"{totals.data_files:,} files of {totals.data_bytes // totals.data_files:,} bytes on average"


def _no_snapshot(candidate: Candidate, _: PreflightContext) -> str:
    return "it has no snapshot: only its definition moves" if candidate.facts.current_snapshot_id is None else NOTHING


def _kept_orphans(candidate: Candidate, _: PreflightContext) -> str:
    if candidate.facts.properties.get("gc.enabled", "true").lower() != "false":
        return NOTHING
    return "gc.enabled is false: other tables may use its files, which purge will look for"


def _other_folders(candidate: Candidate, _: PreflightContext) -> str:
    keys = ("write.data.path", "write.metadata.path", "write.folder-storage.path", "write.object-storage.path")
    found = [f"{key}={candidate.facts.properties[key]}" for key in keys if key in candidate.facts.properties]
    return f"its properties send new files elsewhere: {', '.join(found)}" if found else NOTHING


_B, _W, _I = Severity.BLOCKING, Severity.WARNING, Severity.INFO
RULES: tuple[Rule, ...] = (
    Rule(
        id="PRE-001", severity=_B, check="the method can carry the table right",
        remedy="Rewrite what it names (Spark: CALL system.rewrite_data_files), or copy it with another engine.",
        judge=_method,
    ),
    Rule(
        id="PRE-002", severity=_B, check="the target may be written",
        remedy="Take read_only out of the target connection's extra.", judge=_read_only_target,
    ),
    Rule(
        id="PRE-003", severity=_B, check="the wanted name is free or ours",
        remedy="Give it another name by the param mapping, or drop the table that is there.", judge=_taken,
    ),
    Rule(
        id="PRE-004", severity=_B, check="names fit 255 characters",
        remedy="Give it a shorter name by the param mapping.", judge=_long_name,
    ),
    Rule(
        id="PRE-005", severity=_B, check="the table fits the space that is left",
        remedy="Free space, or plan it alone for another target.", judge=_too_large,
    ),
    Rule(
        id="PRE-010", severity=_W, check="the source may be renamed at cut-over",
        remedy="Its owner renames or revokes it when the certificate says so.", judge=_read_only_source,
    ),
    Rule(
        id="PRE-011", severity=_W, check="nobody wrote it within the last hour",
        remedy="Stop its writers before the cut-over; until then it is caught up.", judge=_being_written,
    ),
    Rule(
        id="PRE-012", severity=_W, check="files are not tiny",
        remedy="Compact it before (Spark: CALL system.rewrite_data_files), or take insert_select.", judge=_small_files,
    ),
    Rule(
        id="PRE-013", severity=_W, check="it owns its files",
        remedy="Check who shares its files before you purge.", judge=_kept_orphans,
    ),
    Rule(
        id="PRE-014", severity=_W, check="new files go to the table's own folder",
        remedy="The copy leaves these properties out, so that it never writes into the source's folders.",
        judge=_other_folders,
    ),
    Rule(
        id="PRE-020", severity=_I, check="it has a snapshot", remedy="Nothing to do.", judge=_no_snapshot,
    ),
)  # fmt: skip


def preflight(candidate: Candidate, context: PreflightContext) -> tuple[Finding, ...]:
    """Return what the rules say of one table, blocking findings first."""
    return tuple(
        Finding(
            rule=rule.id,
            severity=rule.severity,
            table=candidate.table.identifier,
            message=f"{candidate.table.identifier}: {said}.",
            remedy=rule.remedy,
        )
        for rule in RULES
        if (said := rule.judge(candidate, context))
    )


def size_of(facts: TableFacts, method: CopyMethod) -> int:
    """Return the bytes that ``method`` writes: with its history for ``copy_files``, none for ``register``."""
    totals = facts.totals
    if method is CopyMethod.REGISTER:
        return 0
    if method is CopyMethod.COPY_FILES:
        return max(facts.history_bytes, totals.data_bytes + totals.delete_bytes)
    return totals.data_bytes

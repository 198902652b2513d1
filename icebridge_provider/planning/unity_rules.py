"""Pre-flight's rules about a Databricks workspace: gates, storage, quota, privileges, masks, readers. All are data.

Sources: Databricks' pages on external data access, managed storage, resource limits, privileges, clones of Iceberg
tables and predictive optimization. Several could be seen in documentation only, so each of them can be made a warning
(``[icebridge] advisory_rules``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from icebridge_provider.model.plan import CopyMethod
from icebridge_provider.model.report import Severity
from icebridge_provider.planning.candidate import Answer, Candidate, PreflightContext, Rule, folder
from icebridge_provider.planning.mapping import rule_text
from icebridge_provider.planning.privileges import exposed
from icebridge_provider.planning.unity_facts import Entry, Place, Rights, Told, UnityFacts
from icebridge_provider.sql import databricks as sql
from icebridge_provider.sql.preflight import Securable, create_schema_at, grant

EXTERNAL_USE = "EXTERNAL_USE_SCHEMA"
_ON: dict[str, Securable] = {
    "USE_CATALOG": "CATALOG", "CREATE_SCHEMA": "CATALOG", "USE_SCHEMA": "SCHEMA", "CREATE_TABLE": "SCHEMA",
    EXTERNAL_USE: "SCHEMA", "SELECT": "TABLE", "MANAGE": "TABLE",
}  # fmt: skip
_LENGTH = {"CATALOG": 1, "SCHEMA": 2, "TABLE": 3}
TO_MAKE = ("USE_CATALOG", "CREATE_SCHEMA")
TO_WRITE = ("USE_CATALOG", "USE_SCHEMA", "CREATE_TABLE")
TO_READ = ("USE_CATALOG", "USE_SCHEMA", "SELECT")


def _closed_metastore(_: Candidate, context: PreflightContext) -> Answer | None:
    unity = context.unity
    if unity is None or unity.external_access is not Told.NO:
        return None
    command = f"databricks metastores update {unity.metastore_id} --json '{{\"external_access_enabled\": true}}'"
    return Answer(
        what="the metastore allows no external data access, by which the copy is read and proven",
        remedy=f"A metastore admin switches it on (Catalog > gear > Metastore > External data access), or runs: "
        f"{command}",
    )


def _no_external_use(candidate: Candidate, context: PreflightContext) -> Answer | None:
    unity, place = context.unity, _place(candidate, context)
    if unity is None or place is None or place.rights.get(EXTERNAL_USE) is not Told.NO:
        return None
    where: Securable = "SCHEMA" if place.there else "CATALOG"
    statement = grant((EXTERNAL_USE,), where, place.parts[: _LENGTH[where]], unity.copier)
    return Answer(
        what=f"{unity.copier} lacks EXTERNAL USE SCHEMA on {place.name}, by which the copy is read and proven",
        remedy=f"ALL PRIVILEGES does not hold it; the owner of catalog {place.parts[0]} runs: {statement}",
    )


def _nowhere(candidate: Candidate, context: PreflightContext) -> Answer | None:
    place = _place(candidate, context)
    if place is None or place.storage or not place.storage_told:
        return None
    return Answer(
        what=f"neither {place.name} nor its catalog nor the metastore has a managed storage location",
        remedy=f"Make the schema with one: {create_schema_at(place.parts)}, or map the table to a schema that has one.",
    )


def _inside_each_other(candidate: Candidate, context: PreflightContext) -> Answer | None:
    place = _place(candidate, context)
    if place is None or not place.storage:
        return None
    root, old = folder(place.storage), folder(candidate.facts.location)
    if not (root.startswith(old) or old.startswith(root)):
        return None
    if "/__unitystorage/" in old.removeprefix(root.rstrip("/")):
        return None  # a managed table itself: Unity Catalog gives each a folder of its own there
    return Answer(
        what=f"the managed storage {place.storage} (of {place.storage_of}) and its folder {candidate.facts.location} "
        "lie inside each other",
        facts={"storage": place.storage, "source_location": candidate.facts.location},
    )


def _full(candidate: Candidate, context: PreflightContext) -> Answer | None:
    place = _place(candidate, context)
    if place is None or candidate.target not in place.crowded_out:
        return None
    return Answer(
        what=f"schema {place.name} has {place.tables:,} of at most {place.limit:,} tables, and this plan brings "
        f"{len(place.crowded_out):,} more than fit",
        facts={"tables": place.tables, "limit": place.limit, "too_many": len(place.crowded_out)},
    )


def _cannot_make(candidate: Candidate, context: PreflightContext) -> Answer | None:
    unity, place = context.unity, _place(candidate, context)
    if unity is None or place is None:
        return None
    missing = _missing(place.rights, TO_WRITE if place.there else TO_MAKE)
    if not missing:
        return None
    there = "" if place.there else ", which is not there or not shown"
    return Answer(
        what=f"{unity.copier} may not make tables in {place.name}{there}: {_words(missing)} missing",
        remedy=f"Run: {_grants(missing, place.parts, unity.copier)}",
        facts={"missing": missing},
    )


def _cannot_read(candidate: Candidate, context: PreflightContext) -> Answer | None:
    unity, entry = context.unity, _entry(candidate, context)
    if unity is None or entry is None:
        return None
    missing = _missing(entry.rights, TO_READ)
    if not missing:
        return None
    return Answer(
        what=f"{unity.copier}, who copies, may not read it: {_words(missing)} missing",
        remedy=f"Run: {_grants(missing, entry.parts, unity.copier)}",
        facts={"missing": missing},
    )


def _cannot_move_readers(candidate: Candidate, context: PreflightContext) -> Answer | None:
    unity, entry = context.unity, _entry(candidate, context)
    if unity is None or entry is None or entry.rights.get("MANAGE") is not Told.NO:
        return None
    return Answer(
        what=f"{unity.mover} is shown its own privileges on it only, so the cut-over could not move its readers",
        remedy=f"Run: {_grants(('MANAGE',), entry.parts, unity.mover)}",
    )


def _clone_of_guarded(candidate: Candidate, context: PreflightContext) -> Answer | None:
    entry = _entry(candidate, context)
    if entry is None or candidate.method is not CopyMethod.DEEP_CLONE or not entry.is_guarded:
        return None
    rule = rule_text("method", candidate.table.identifier, CopyMethod.INSERT_SELECT.value)
    return Answer(
        what=f"deep_clone takes no table with filters or masks, and it has {_guards(entry)}",
        remedy=f'Take method auto, or add "{rule}" to the param mapping.',
    )


def _masked(candidate: Candidate, context: PreflightContext) -> Answer | None:
    unity, entry = context.unity, _entry(candidate, context)
    if unity is None or entry is None or not entry.binds_copier:
        return None
    return Answer(
        what=f"it has {_guards(entry)}: unless {unity.copier} is exempt, rows are copied filtered or masked, and the "
        "proof refuses the copy",
        remedy=f"Make sure that {unity.copier} is exempt from them: by their functions, or by EXCEPT of the policies.",
        facts={"row_filter": entry.row_filter, "masks": sorted(entry.masks)},
    )


def _readers_too_many(candidate: Candidate, context: PreflightContext) -> Answer | None:
    return _exposed(candidate, context, whole=True)


def _readers_perhaps_too_many(candidate: Candidate, context: PreflightContext) -> Answer | None:
    return _exposed(candidate, context, whole=False)


def _exposed(candidate: Candidate, context: PreflightContext, *, whole: bool) -> Answer | None:
    place, entry = _place(candidate, context), _entry(candidate, context)
    if place is None or place.access is None or entry is None or entry.access is None or entry.access_whole != whole:
        return None
    found = exposed(entry.access, place.access)
    return Answer(what="; ".join(found).rstrip("."), facts={"readers": len(found)}) if found else None


def _clone_unoptimized(candidate: Candidate, context: PreflightContext) -> Answer | None:
    if candidate.method is not CopyMethod.DEEP_CLONE:
        return None
    return _unoptimized(candidate, context, "deep_clone into managed Iceberg needs it")


def _unmaintained(candidate: Candidate, context: PreflightContext) -> Answer | None:
    if candidate.method is CopyMethod.DEEP_CLONE:
        return None
    return _unoptimized(candidate, context, "nothing will compact the table, and deep_clone is not offered")


def _unoptimized(candidate: Candidate, context: PreflightContext, so: str) -> Answer | None:
    unity, place = context.unity, _place(candidate, context)
    if unity is None or place is None or place.optimized is not Told.NO or unity.enables:
        return None
    statement = sql.predictive_optimization("SCHEMA", place.parts, "ENABLE")
    if not place.there:
        statement = sql.predictive_optimization("CATALOG", place.parts[:1], "ENABLE")
    return Answer(
        what=f"predictive optimization is not in force on {place.name}: {so}",
        remedy=f'Run: {statement}; or add "predictive_optimization": "enable" to the extra of the target connection.',
    )


def _unanswered(candidate: Candidate, context: PreflightContext) -> Answer | None:
    if context.unity is None:
        return None
    open_ = list(_open(context.unity, _place(candidate, context), _entry(candidate, context)))
    if candidate.facts.manifests is None:
        open_.append("whether its summary fits its manifests (the inventory did not read them)")
    return Answer(what=f"it cannot be told {'; '.join(open_)}", facts={"open": open_}) if open_ else None


def _open(unity: UnityFacts, place: Place | None, entry: Entry | None) -> Iterator[str]:
    if unity.external_access is Told.UNKNOWN:
        yield "whether the metastore allows external data access"
    if place is not None:
        yield from place.unanswered
        wanted = (*(TO_WRITE if place.there else TO_MAKE), EXTERNAL_USE)
        yield from _untold(place.rights, wanted, unity.copier, place.name)
    if entry is not None:
        yield from entry.unanswered
        yield from _untold(entry.rights, TO_READ, unity.copier, "it")
        yield from _untold(entry.rights, ("MANAGE",), unity.mover, "it")


def _untold(rights: Rights, wanted: Iterable[str], who: str, where: str) -> Iterator[str]:
    unknown = [one.replace("_", " ") for one in wanted if rights.get(one) is Told.UNKNOWN]
    if unknown:
        yield f"whether {who} has {', '.join(unknown)} on {where}"


def _stale(candidate: Candidate, context: PreflightContext) -> Answer | None:
    entry = _entry(candidate, context)
    if entry is None or entry.updated_ms is None or entry.updated_ms >= candidate.facts.last_updated_ms:
        return None
    seconds = (candidate.facts.last_updated_ms - entry.updated_ms) // 1000
    return Answer(
        what=f"Unity Catalog last read its entry {seconds:,} s before its last write; the run refreshes it before it "
        "copies",
        remedy=f"Nothing to do; to see it now: {sql.refresh_foreign('TABLE', entry.parts)}",
        facts={"behind_s": seconds},
    )


# Words


def _place(candidate: Candidate, context: PreflightContext) -> Place | None:
    return context.unity.places.get(candidate.target.namespace) if context.unity else None


def _entry(candidate: Candidate, context: PreflightContext) -> Entry | None:
    return context.unity.entries.get(candidate.table.identifier) if context.unity else None


def _missing(rights: Rights, wanted: Iterable[str]) -> tuple[str, ...]:
    return tuple(privilege for privilege in wanted if rights.get(privilege) is Told.NO)


def _words(privileges: Iterable[str]) -> str:
    listed = [privilege.replace("_", " ") for privilege in privileges]
    return f"{', '.join(listed)} {'is' if len(listed) == 1 else 'are'}"


def _grants(privileges: Iterable[str], parts: tuple[str, ...], principal: str) -> str:
    statements = (grant((one,), _ON[one], parts[: _LENGTH[_ON[one]]], principal) for one in privileges)
    return "; ".join(statements)


def _guards(entry: Entry) -> str:
    found = [f"row filter {entry.row_filter}"] * bool(entry.row_filter)
    found += [f"mask {name} on column {column}" for column, name in sorted(entry.masks.items())]
    found += [f"policy {policy.name} on {policy.on}" for policy in entry.policies]
    return ", ".join(found)


_B, _W, _I = Severity.BLOCKING, Severity.WARNING, Severity.INFO
RULES: tuple[Rule, ...] = (
    Rule(
        id="PRE-034", severity=_B, check="the metastore allows external data access", judge=_closed_metastore,
        remedy="A metastore admin switches it on.",
    ),
    Rule(
        id="PRE-035", severity=_B, check="the copier has EXTERNAL USE SCHEMA where the table goes",
        judge=_no_external_use, remedy="The owner of the catalog grants it.",
    ),
    Rule(
        id="PRE-036", severity=_B, check="the target schema has managed storage", judge=_nowhere,
        remedy="Make the schema with a managed location.",
    ),
    Rule(
        id="PRE-037", severity=_B, check="managed storage and the table's folder lie apart", judge=_inside_each_other,
        remedy="Map the table to a schema or catalog with another managed location.",
    ),
    Rule(
        id="PRE-038", severity=_B, check="the target schema's quota has room", judge=_full,
        remedy="Map some tables to other schemas by the param mapping, drop tables there, or have the quota raised.",
    ),
    Rule(
        id="PRE-039", severity=_B, check="the copier may make tables there", judge=_cannot_make,
        remedy="Grant what is missing.",
    ),
    Rule(
        id="PRE-040", severity=_B, check="the copier may read the source", judge=_cannot_read,
        remedy="Grant what is missing.",
    ),
    Rule(
        id="PRE-041", severity=_B, check="its readers can be seen and moved", judge=_cannot_move_readers,
        remedy="Grant MANAGE on it.",
    ),
    Rule(
        id="PRE-042", severity=_B, check="deep_clone meets no filters or masks", judge=_clone_of_guarded,
        remedy="Take method auto.",
    ),
    Rule(
        id="PRE-043", severity=_W, check="the copier sees it unfiltered and unmasked", judge=_masked,
        remedy="Make sure that the copier is exempt.",
    ),
    Rule(
        id="PRE-044", severity=_B, check="nobody reads the copy who could not read the source",
        judge=_readers_too_many, remedy="Take it away where the message says, or map the table to another schema.",
    ),
    Rule(
        id="PRE-045", severity=_W, check="the same, where not all grants of the source are shown",
        judge=_readers_perhaps_too_many,
        remedy="Look whether they may read the source; if not, map the table to another schema.",
    ),
    Rule(
        id="PRE-046", severity=_B, check="deep_clone finds predictive optimization in force", judge=_clone_unoptimized,
        remedy="Switch predictive optimization on.",
    ),
    Rule(
        id="PRE-047", severity=_W, check="predictive optimization is in force where it goes", judge=_unmaintained,
        remedy="Switch predictive optimization on.",
    ),
    Rule(
        id="PRE-048", severity=_W, check="the workspace answered every question", judge=_unanswered,
        remedy="Grant the principal MANAGE on the schemas to be told, or go on: what is wrong then shows in the run.",
    ),
    Rule(
        id="PRE-049", severity=_I, check="Unity Catalog's entry is as new as its last write", judge=_stale,
        remedy="Nothing to do.",
    ),
)  # fmt: skip

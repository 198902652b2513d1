"""Pre-flight's rules about what stops a table: its method, its new name and place, and what the target takes."""

from __future__ import annotations

import re

from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import CopyMethod
from icebridge_provider.model.report import Severity
from icebridge_provider.planning import methods
from icebridge_provider.planning.candidate import Answer, Candidate, PreflightContext, Rule, folder, size_of
from icebridge_provider.planning.mapping import rule_path, rule_text

_PLAIN = re.compile(r"[a-z0-9_]+")
_BY_MAPPING = "Give it another name by the param mapping, for example "


def _unoffered(candidate: Candidate, context: PreflightContext) -> Answer | None:
    offered = context.capabilities.methods
    if candidate.method in offered:
        return None
    return Answer(
        what=f"the engine that writes to {candidate.target.catalog} does not run {candidate.method}",
        remedy=f"Take method auto, or one of {', '.join(offered)}.",
        facts={"offered": [method.value for method in offered]},
    )


def _method(candidate: Candidate, context: PreflightContext) -> Answer | None:
    found = methods.refusals(candidate.facts, candidate.method)
    if not found:
        return None
    seen = " and ".join(said for _, said in found)
    offered = [method for method in context.capabilities.methods if method is not CopyMethod.REGISTER]
    able = methods.able(candidate.facts, offered)
    remedy = found[0][0].remedy
    if able:
        rule = rule_text("method", candidate.table.identifier, able[0].value)
        remedy = f"Use {able[0].value}: add {_quoted(rule)} to the param mapping."
    facts = {"method": candidate.method.value, "codes": [refusal.code for refusal, _ in found]}
    return Answer(what=f"{candidate.method.value} cannot carry {seen} right", remedy=remedy, facts=facts)


def _read_only_target(candidate: Candidate, context: PreflightContext) -> Answer | None:
    if context.target_writable:
        return None
    return Answer(what=f"the target connection {candidate.target.catalog} is read-only")


def _taken(candidate: Candidate, context: PreflightContext) -> Answer | None:
    occupant = context.occupants.get(candidate.target)
    if occupant is None or occupant.source == str(candidate.table.identifier):
        return None
    whose = f"made by plan {occupant.plan_id} from {occupant.source}" if occupant.plan_id else "not made by IceBridge"
    return Answer(
        what=f"{candidate.target} exists already and was {whose}",
        remedy=f"{_BY_MAPPING}{_proposal(candidate, f'{candidate.target.name}_2')}, or drop the table that is there.",
        facts={"target": str(candidate.target), "plan_id": occupant.plan_id, "source": occupant.source},
    )


def _migrated_already(candidate: Candidate, context: PreflightContext) -> Answer | None:
    occupant = context.occupants.get(candidate.target)
    if occupant is None or occupant.source != str(candidate.table.identifier) or occupant.plan_id == context.plan_id:
        return None
    return Answer(
        what=f"plan {occupant.plan_id} has migrated it to {candidate.target} already",
        remedy=f"Nothing to do; or roll that plan back first: icebridge rollback {occupant.plan_id}.",
        facts={"plan_id": occupant.plan_id},
    )


def _staged_name_taken(candidate: Candidate, context: PreflightContext) -> Answer | None:
    occupant = context.occupants.get(candidate.staged)
    mine = (context.plan_id, str(candidate.table.identifier))
    if occupant is None or (occupant.plan_id, occupant.source) == mine:
        return None
    return Answer(what=f"the staged name {candidate.staged} is taken by a table that this plan did not make")


def _unfit_name(candidate: Candidate, context: PreflightContext) -> Answer | None:
    longest = context.capabilities.longest_name
    for part in (*candidate.target.namespace, candidate.target.name):
        if len(part) > longest:
            return Answer(what=f"the name {part[:40]}… has {len(part)} characters, the target takes {longest}")
        if any(ord(char) < 32 or ord(char) == 127 for char in part) or part != part.strip():
            return Answer(what=f"the name {part!r} holds control characters or outer blanks")
        odd = next((char for char in part if char in context.capabilities.refused_characters), "")
        if odd:
            return Answer(what=f"the target takes no {odd!r} in names, as in {part!r}")
        if context.capabilities.plain_names and not _PLAIN.fullmatch(part):
            plain = re.sub(r"[^a-z0-9_]+", "_", candidate.target.name.lower())
            return Answer(
                what=f"the target takes lower case letters, digits and underscores only, not {part!r}",
                remedy=f"{_BY_MAPPING}{_proposal(candidate, plain)}.",
            )
    return None


def _unfit_namespace(candidate: Candidate, context: PreflightContext) -> Answer | None:
    levels = candidate.target.namespace
    flat = TableIdentifier(catalog="", namespace=("_".join(levels).replace(".", "_"),), name=candidate.target.name)
    remedy = f"{_BY_MAPPING}{_quoted(rule_text('explicit', candidate.table.identifier, rule_path(flat)))}."
    if context.capabilities.one_level and len(levels) > 1:
        shown = ".".join(levels)
        return Answer(what=f"the target's namespaces have one level, not {len(levels)} ({shown})", remedy=remedy)
    if not context.capabilities.dotted_levels and any("." in level for level in levels):
        return Answer(what=f"the target separates levels by dots and cannot hold the namespace {levels}", remedy=remedy)
    return None


def _unfit_shape(candidate: Candidate, context: PreflightContext) -> Answer | None:
    takes, facts = context.capabilities, candidate.facts
    if facts.format_version > takes.newest_format:
        return Answer(what=f"the target takes format version {takes.newest_format}, not {facts.format_version}")
    refused = [column for column in facts.columns if column.type.partition("[")[0] in takes.refused_types]
    odd = [f"{column.name} {column.type}" for column in refused]
    if odd:
        return Answer(what=f"the target does not take columns of these types: {', '.join(odd)}")
    spec = next((item for item in facts.specs if item.get("spec-id", 0) == facts.default_spec_id), {})
    hidden = [item["name"] for item in spec.get("fields", ()) if item["transform"] not in {"identity", "void"}]
    if hidden and not takes.partition_transforms:
        return Answer(what=f"the target takes partition columns only, no transforms ({', '.join(hidden)})")
    return None


def _deletes_ignored(candidate: Candidate, context: PreflightContext) -> Answer | None:
    count = candidate.facts.totals.position_delete_files
    if not count or context.capabilities.applies_deletes:
        return None
    return Answer(
        what=f"its engine may read it without applying its {count:,} position delete files, which brings deleted rows "
        "back; the proof, whose reader applies them, fails then",
        facts={"files": count},
    )


def _too_large(candidate: Candidate, context: PreflightContext) -> Answer | None:
    needed = size_of(candidate.facts, candidate.method)
    if context.free_bytes is None or needed <= context.free_bytes:
        return None
    return Answer(
        what=f"it needs {needed:,} bytes, {context.free_bytes:,} are free where the target keeps its files",
        facts={"needed": needed, "free": context.free_bytes},
    )


def _overlapping(candidate: Candidate, _: PreflightContext) -> Answer | None:
    new, old = folder(candidate.location), folder(candidate.facts.location)
    if not candidate.location or not (new.startswith(old) or old.startswith(new)):
        return None
    return Answer(
        what=f"its new folder {candidate.location} and its old one {candidate.facts.location} overlap",
        facts={"location": candidate.location, "source_location": candidate.facts.location},
    )


def _unreadable_from_target(candidate: Candidate, context: PreflightContext) -> Answer | None:
    if candidate.method is not CopyMethod.REGISTER or context.reads_source:
        return None
    return Answer(what=f"the connection {candidate.target.catalog} cannot read the files of {candidate.facts.location}")


def _proposal(candidate: Candidate, name: str) -> str:
    return _quoted(rule_text("explicit", candidate.table.identifier, rule_path(candidate.target.named(name))))


def _quoted(text: str) -> str:
    return f'"{text}"'


_B = Severity.BLOCKING
RULES: tuple[Rule, ...] = (
    Rule(
        id="PRE-001", severity=_B, check="the method can carry the table right", judge=_method,
        remedy="Rewrite what it names (Spark: CALL system.rewrite_data_files).",
    ),
    Rule(
        id="PRE-002", severity=_B, check="the target may be written", judge=_read_only_target,
        remedy="Take read_only out of the target connection's extra.",
    ),
    Rule(
        id="PRE-003", severity=_B, check="the wanted name is free or ours", judge=_taken,
        remedy="Give it another name by the param mapping, or drop the table that is there.",
    ),
    Rule(
        id="PRE-004", severity=_B, check="the target takes the name", judge=_unfit_name,
        remedy="Give it another name by the param mapping.",
    ),
    Rule(
        id="PRE-005", severity=_B, check="the table fits the space that is left", judge=_too_large,
        remedy="Free space there, or give the target catalog another warehouse.",
    ),
    Rule(
        id="PRE-006", severity=_B, check="no other plan has migrated it", judge=_migrated_already,
        remedy="Nothing to do; or roll the other plan back first.",
    ),
    Rule(
        id="PRE-007", severity=_B, check="the staged name is free or ours", judge=_staged_name_taken,
        remedy="Rename or drop that table, or plan again under another plan_id.",
    ),
    Rule(
        id="PRE-008", severity=_B, check="the new folder and the old one lie apart", judge=_overlapping,
        remedy="Give the target catalog another warehouse or location.",
    ),
    Rule(
        id="PRE-009", severity=_B, check="with register, the target reads the source's files",
        judge=_unreadable_from_target,
        remedy="Give the target connection read access to the source's storage, or take copy_files.",
    ),
    Rule(
        id="PRE-030", severity=_B, check="the target takes the namespace", judge=_unfit_namespace,
        remedy="Give it another name by the param mapping.",
    ),
    Rule(
        id="PRE-032", severity=_B, check="the engine runs the method", judge=_unoffered,
        remedy="Take method auto.",
    ),
    Rule(
        id="PRE-033", severity=Severity.WARNING, check="its rows do not depend on delete files", judge=_deletes_ignored,
        remedy="Rewrite it first (Spark: CALL system.rewrite_data_files with delete-file-threshold 1), or see what the "
        "proof says.",
    ),
    Rule(
        id="PRE-031", severity=_B, check="the target takes its format, types and partitioning", judge=_unfit_shape,
        remedy="Change the table first, or leave it out (tables: !name).",
    ),
)  # fmt: skip

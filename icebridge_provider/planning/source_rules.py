"""Pre-flight's rules about what a person should know of a source table before it moves."""

from __future__ import annotations

import re

from icebridge_provider.model.plan import CopyMethod
from icebridge_provider.model.report import Severity
from icebridge_provider.model.table import TableFacts
from icebridge_provider.planning.candidate import Answer, Candidate, PreflightContext, Rule
from icebridge_provider.planning.mapping import rule_text
from icebridge_provider.planning.scaffold import PLACES

SMALL_FILE = 8 * 1000**2
MANY_FILES = 1000
RECENT_MS = 3_600_000
SHORT_HISTORY_MS = 86_400_000
SHOWN_WRITERS = 3
LEFT_OVER = "PRE-021"
MOVED_TO = "icebridge.moved-to"  # set by the cut-over on what it archives
_LEFT_OVER_NAME = re.compile(r".+(__archived_\d{8}.*|__icebridge_.+)")
_AGE = "history.expire.max-snapshot-age-ms"


def _read_only_source(_: Candidate, context: PreflightContext) -> Answer | None:
    if context.source_writable:
        return None
    return Answer(what="the source is read-only, so archiving it will be an instruction to its owner")


def _being_written(candidate: Candidate, context: PreflightContext) -> Answer | None:
    age = context.now_ms - candidate.facts.last_updated_ms
    if not candidate.facts.writers or not 0 <= age < RECENT_MS:
        return None
    names = list(dict.fromkeys(_writer(item.engine, item.app_id) for item in candidate.facts.writers))[:SHOWN_WRITERS]
    return Answer(
        what=f"it was written {age // 60_000} minutes ago; its last writers are {', '.join(names)}",
        facts={"age_ms": age, "writers": names},
    )


def _writer(engine: str, app_id: str) -> str:
    return " ".join(part for part in (engine, app_id) if part) or "an unnamed writer"


def _small_files(candidate: Candidate, _: PreflightContext) -> Answer | None:
    totals = candidate.facts.totals
    if totals.data_files < MANY_FILES or totals.data_bytes / totals.data_files >= SMALL_FILE:
        return None
    average = totals.data_bytes // totals.data_files
    return Answer(
        what=f"{totals.data_files:,} files of {average:,} bytes on average: metadata, not bytes, will take the time",
        remedy="Compact it before (Spark: CALL system.rewrite_data_files), or add "
        f'"{rule_text("method", candidate.table.identifier, "insert_select")}" to mapping.',
        facts={"files": totals.data_files, "average_bytes": average},
    )


def _kept_orphans(candidate: Candidate, _: PreflightContext) -> Answer | None:
    if not _is(candidate.facts, "gc.enabled", "false"):
        return None
    return Answer(what="gc.enabled is false: other tables may use its files, which purge will look for")


def _other_folders(candidate: Candidate, _: PreflightContext) -> Answer | None:
    found = [f"{key}={candidate.facts.properties[key]}" for key in PLACES if key in candidate.facts.properties]
    return Answer(what=f"its properties send new files elsewhere: {', '.join(found)}") if found else None


def _branch_writers(candidate: Candidate, _: PreflightContext) -> Answer | None:
    facts = candidate.facts
    branches = sorted(name for name, ref in facts.refs.items() if name != "main" and ref.get("type") != "tag")
    audited = _is(facts, "write.wap.enabled", "true")
    if not branches and not audited:
        return None
    seen = [f"branches {', '.join(branches)}"] * bool(branches) + ["write-audit-publish (write.wap.enabled)"] * audited
    fate = f"are lost by {candidate.method}" if candidate.method.rewrites else "move along"
    return Answer(
        what=f"it is written through {' and '.join(seen)}; commits that main does not have yet {fate}",
        facts={"branches": branches, "wap": audited},
    )


def _short_history(candidate: Candidate, _: PreflightContext) -> Answer | None:
    text = str(candidate.facts.properties.get(_AGE, ""))
    if not text.isdigit() or int(text) >= SHORT_HISTORY_MS:
        return None
    return Answer(
        what=f"its snapshots may be expired after {int(text) / 3_600_000:.1f} hours ({_AGE}), files that the copy "
        "reads among them",
        facts={"age_ms": int(text)},
    )


def _shared_files(candidate: Candidate, _: PreflightContext) -> Answer | None:
    if candidate.method is not CopyMethod.REGISTER:
        return None
    return Answer(what="it will share its files with the source, whose maintenance can delete them")


def _twins(candidate: Candidate, context: PreflightContext) -> Answer | None:
    twins = context.twins.get(candidate.facts.metadata_location, ())
    others = [str(table) for table in twins if table != candidate.table.identifier]
    if not others:
        return None
    return Answer(
        what=f"{', '.join(others)} is registered on the same metadata file: they are one table with several names",
        facts={"twins": others},
    )


def _location_provider(candidate: Candidate, _: PreflightContext) -> Answer | None:
    properties = candidate.facts.properties
    own = [key for key in ("write.location-provider.impl", "write.py-location-provider.impl") if key in properties]
    if own:
        return Answer(what=f"{own[0]} names code that the target's writers must have: {properties[own[0]]}")
    if _is(candidate.facts, "write.object-storage.enabled", "true"):
        return Answer(
            what="write.object-storage.enabled spreads its new files by hash, below the new table's own folder",
            remedy="Nothing to do.",
        )
    return None


def _no_snapshot(candidate: Candidate, _: PreflightContext) -> Answer | None:
    if candidate.facts.current_snapshot_id is not None:
        return None
    return Answer(what="it has no snapshot: only its definition moves")


def _left_over(candidate: Candidate, _: PreflightContext) -> Answer | None:
    if MOVED_TO not in candidate.facts.properties and not _LEFT_OVER_NAME.fullmatch(candidate.table.identifier.name):
        return None
    return Answer(what="it was left by an earlier migration (archived or staged), so a glob does not take it")


def _resumed(candidate: Candidate, context: PreflightContext) -> Answer | None:
    mine = (context.plan_id, str(candidate.table.identifier))
    for name in (candidate.staged, candidate.target):
        occupant = context.occupants.get(name)
        if occupant is not None and (occupant.plan_id, occupant.source) == mine:
            return Answer(what=f"an earlier run of this plan has made {name}; this one goes on with it")
    return None


def _position_deletes(candidate: Candidate, _: PreflightContext) -> Answer | None:
    count = candidate.facts.totals.position_delete_files
    if not count or candidate.method.rewrites:
        return None
    return Answer(
        what=f"{count:,} position delete files move along; an engine that does not apply them shows deleted rows again",
        facts={"files": count},
    )


def _history_unread(candidate: Candidate, _: PreflightContext) -> Answer | None:
    facts = candidate.facts
    if candidate.method is not CopyMethod.COPY_FILES or facts.history_files or facts.snapshots < 2:
        return None
    return Answer(what=f"its inventory did not read manifests, so the files of {facts.snapshots - 1} older snapshots "
                  "are not in the estimate")  # fmt: skip


def _is(facts: TableFacts, key: str, value: str) -> bool:
    return str(facts.properties.get(key, "")).lower() == value


_W, _I = Severity.WARNING, Severity.INFO
RULES: tuple[Rule, ...] = (
    Rule(
        id="PRE-010", severity=_W, check="the source may be renamed at cut-over", judge=_read_only_source,
        remedy="Its owner renames or revokes it when the certificate says so.",
    ),
    Rule(
        id="PRE-011", severity=_W, check="nobody wrote it within the last hour", judge=_being_written,
        remedy="Stop its writers before the cut-over; until then it is caught up.",
    ),
    Rule(
        id="PRE-012", severity=_W, check="files are not tiny", judge=_small_files,
        remedy="Compact it before (Spark: CALL system.rewrite_data_files).",
    ),
    Rule(
        id="PRE-013", severity=_W, check="it owns its files", judge=_kept_orphans,
        remedy="Check who shares its files before you purge.",
    ),
    Rule(
        id="PRE-014", severity=_W, check="new files go to the table's own folder", judge=_other_folders,
        remedy="The copy leaves these properties out, so that it never writes into the source's folders.",
    ),
    Rule(
        id="PRE-015", severity=_W, check="it is written on main only", judge=_branch_writers,
        remedy="Publish or drop what is pending, and stop these writers too before the cut-over.",
    ),
    Rule(
        id="PRE-016", severity=_W, check="snapshots are kept for a day", judge=_short_history,
        remedy=f"Raise {_AGE}, or stop the maintenance, until the table is cut over.",
    ),
    Rule(
        id="PRE-017", severity=_W, check="it gets files of its own", judge=_shared_files,
        remedy="Stop expire_snapshots and remove_orphan_files on the source, and never purge it.",
    ),
    Rule(
        id="PRE-018", severity=_W, check="no other entry has its metadata", judge=_twins,
        remedy="Move one of them, and drop the other entries without purging.",
    ),
    Rule(
        id="PRE-023", severity=_W, check="new files are placed by the standard layout", judge=_location_provider,
        remedy="Remove the property after the cut-over if the target's writers lack that code.",
    ),
    Rule(
        id="PRE-020", severity=_I, check="it has a snapshot", judge=_no_snapshot, remedy="Nothing to do.",
    ),
    Rule(
        id=LEFT_OVER, severity=_I, check="it is no left-over of a migration", judge=_left_over,
        remedy="Nothing to do; to take it all the same, name it in full in the param tables.",
    ),
    Rule(
        id="PRE-022", severity=_I, check="this plan has not begun with it", judge=_resumed, remedy="Nothing to do.",
    ),
    Rule(
        id="PRE-024", severity=_I, check="it has no position deletes", judge=_position_deletes,
        remedy="Check that the engines that will read the target apply Iceberg v2 position deletes.",
    ),
    Rule(
        id="PRE-025", severity=_I, check="its whole history was counted", judge=_history_unread,
        remedy="Take the inventory with the level manifests or files.",
    ),
)  # fmt: skip

"""Rules that find broken source tables before they cost anything, each with the fix to run.

Pure: they judge what catalogs/survey.py saw. The procedures named are those of Iceberg's Spark extension.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.inventory import BadFile, Evidence
from icebridge_provider.model.report import Finding, Severity
from icebridge_provider.model.table import FileTotals, ForeignTable, TableFacts

SHOWN = 5
NEWEST_FORMAT = 3
FORMATS = {"PARQUET", "AVRO", "ORC", "PUFFIN"}
_TYPES = re.compile(
    r"boolean|int|long|float|double|date|time|timestamp|timestamptz|timestamp_ns|timestamptz_ns|string|uuid|binary"
    r"|unknown|variant|geometry(\(.*\))?|geography(\(.*\))?|fixed\[\d+\]|decimal\(\d+, ?\d+\)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a rule judges: the table's name, its facts and the evidence."""

    table: TableIdentifier
    facts: TableFacts
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one rule says: the message, the fix, and the facts behind both."""

    message: str
    remedy: str
    facts: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRule:
    """One rule: its id, what a hit means for the table, the check in one sentence, and the check itself."""

    id: str
    severity: Severity
    check: str
    judge: Callable[[Case], Iterator[Answer]]


def inspect(table: ForeignTable, evidence: Evidence) -> tuple[Finding, ...]:
    """Return what is wrong with a source table, blocking findings first."""
    if table.facts is None:
        return (_unreadable(table),)
    case = Case(table=table.identifier, facts=table.facts, evidence=evidence)
    found = [
        Finding(
            rule=rule.id,
            severity=rule.severity,
            table=table.identifier,
            message=answer.message,
            remedy=answer.remedy,
            facts=answer.facts,
        )
        for rule in RULES
        for answer in rule.judge(case)
    ]
    return tuple(sorted(found, key=lambda finding: finding.severity is not Severity.BLOCKING))


def _unreadable(table: ForeignTable) -> Finding:
    return Finding(
        rule="SRC-001",
        severity=Severity.BLOCKING,
        table=table.identifier,
        message=f"The metadata of {table.identifier} cannot be read: {table.problem}",
        remedy="Restore the metadata file, or drop the entry without purging and register the newest *.metadata.json "
        "that is left in the table's metadata folder.",
        facts={"problem": table.problem},
    )


def _totals_differ(case: Case) -> Iterator[Answer]:
    if case.facts.manifests is None:
        return
    counted = _countable(case.facts.manifests)
    wrong = {
        key: {"summary": stated, "manifests": counted[key]}
        for key, stated in case.evidence.claimed.items()
        if key in counted and stated != counted[key]
    }
    if wrong:
        shown = "; ".join(f"{key} {pair['summary']}, manifests {pair['manifests']}" for key, pair in wrong.items())
        yield Answer(
            message=f"The current snapshot's summary does not match its manifests ({shown}). Some engines, Databricks "
            "among them, refuse to read such a table.",
            remedy=f"{_call('rewrite_manifests', case.table)} then {_expire(case.table)} If it stays, "
            f"{_call('rewrite_data_files', case.table)}",
            facts={"totals": wrong},
        )


def _countable(totals: FileTotals) -> dict[str, int]:
    return {
        "total-data-files": totals.data_files,
        "total-delete-files": totals.position_delete_files + totals.equality_delete_files + totals.deletion_vectors,
        "total-files-size": totals.data_bytes + totals.delete_bytes,
        "total-records": totals.rows,
    }


def _current_file_missing(case: Case) -> Iterator[Answer]:
    lost = [bad for bad in case.evidence.missing if bad.current and _holds_rows(bad)]
    if lost:
        yield Answer(
            message=f"{_files(lost)} of the current snapshot {_are(lost)} not there: {_some(lost)}.",
            remedy="Restore from the storage's versions or a backup. If the rows are lost for good, delete the "
            f"partition or go back to a snapshot that is whole: {_call('rollback_to_snapshot', case.table, ', <id>')}",
            facts=_facts(lost),
        )


def _old_file_missing(case: Case) -> Iterator[Answer]:
    lost = [bad for bad in case.evidence.missing if not bad.current and bad.kind != "statistics"]
    if lost:
        yield Answer(
            message=f"{_files(lost)} that only older snapshots need {_are(lost)} not there: {_some(lost)}.",
            remedy=f"Expire those snapshots: {_expire(case.table)}",
            facts=_facts(lost),
        )


def _size_differs(case: Case) -> Iterator[Answer]:
    short = [bad for bad in case.evidence.short if _holds_rows(bad)]
    if short:
        sizes = ", ".join(f"{bad.path} has {bad.actual} of {bad.expected} bytes" for bad in short[:SHOWN])
        yield Answer(
            message=f"{_files(short)} {_have(short)} another size than the manifests say: {sizes}.",
            remedy="Restore them from the storage's versions or a backup; a file of another size was cut off or "
            "overwritten.",
            facts=_facts(short),
        )


def _manifest_missing(case: Case) -> Iterator[Answer]:
    lost = [bad for bad in case.evidence.missing if bad.current and not _holds_rows(bad) and bad.kind != "statistics"]
    if lost:
        yield Answer(
            message=f"The current snapshot's {lost[0].kind} is not there: {_some(lost)}. Nobody can read the table.",
            remedy="Restore from the storage's versions or a backup, or go back to a snapshot that is whole: "
            f"{_call('rollback_to_snapshot', case.table, ', <id>')}",
            facts=_facts(lost),
        )


def _manifest_unreadable(case: Case) -> Iterator[Answer]:
    broken = case.evidence.unreadable
    if broken:
        fix = _expire(case.table) if not any(bad.current for bad in broken) else _call("rewrite_manifests", case.table)
        yield Answer(
            message=f"{_files(broken)} cannot be read: {broken[0].path} ({broken[0].reason}).",
            remedy=f"Restore from the storage's versions or a backup; else {fix}",
            facts=_facts(broken),
        )


def _manifest_length(case: Case) -> Iterator[Answer]:
    wrong = [bad for bad in case.evidence.short if not _holds_rows(bad)]
    if wrong:
        yield Answer(
            message=f"{_files(wrong)} {_have(wrong)} another length than the metadata says: {_some(wrong)}. Some "
            "readers then skip entries without a word.",
            remedy=f"{_call('rewrite_manifests', case.table)} then {_expire(case.table)}",
            facts=_facts(wrong),
        )


def _statistics_missing(case: Case) -> Iterator[Answer]:
    lost = [bad for bad in case.evidence.missing if bad.kind == "statistics"]
    if lost:
        yield Answer(
            message=f"{_files(lost)} {_are(lost)} not there: {_some(lost)}. Queries plan worse, rows are not affected.",
            remedy=f"Compute them again: {_call('compute_table_stats', case.table)}",
            facts=_facts(lost),
        )


def _dangling(case: Case) -> Iterator[Answer]:
    if case.evidence.dangling_deletes:
        shown = ", ".join(case.evidence.dangling_deletes[:SHOWN])
        yield Answer(
            message=f"{len(case.evidence.dangling_deletes)} delete files speak only of data files that are gone: "
            f"{shown}.",
            remedy=_call("rewrite_position_delete_files", case.table),
            facts={"files": list(case.evidence.dangling_deletes), "not_read": case.evidence.deletes_not_read},
        )


def _outside(case: Case) -> Iterator[Answer]:
    if case.evidence.outside_count:
        yield Answer(
            message=f"{case.evidence.outside_count} files lie outside the table's location {case.facts.location}, for "
            f"example {case.evidence.outside[0]}. Another table may own them.",
            remedy=f"To bring them home: {_call('rewrite_data_files', case.table)} then {_expire(case.table)} Or leave "
            "them: a copy takes them along, and purge leaves what lies outside alone.",
            facts={"count": case.evidence.outside_count, "files": list(case.evidence.outside)},
        )


def _metadata_elsewhere(case: Case) -> Iterator[Answer]:
    root = _plain(case.facts.location).rstrip("/") + "/"
    if not _plain(case.facts.metadata_location).startswith(root) and "write.metadata.path" not in case.facts.properties:
        yield Answer(
            message=f"The metadata file {case.facts.metadata_location} lies outside the table's location "
            f"{case.facts.location}.",
            remedy="Check that this entry was not registered on another table's metadata: two owners of one table "
            "delete each other's files.",
            facts={"metadata_location": case.facts.metadata_location, "location": case.facts.location},
        )


def _refs_expired(case: Case) -> Iterator[Answer]:
    heads = {name: int(ref["snapshot-id"]) for name, ref in case.evidence.refs.items()}
    lost = {name: head for name, head in heads.items() if head not in case.evidence.snapshot_ids}
    for name, head in sorted(lost.items()):
        kind = str(case.evidence.refs[name].get("type", "branch")).upper()
        yield Answer(
            message=f"{kind.capitalize()} {name!r} points at snapshot {head}, which is not there any more.",
            remedy=f"ALTER TABLE {case.table.path} DROP {kind} `{name}`"
            if name != "main"
            else _call("rollback_to_snapshot", case.table, ", <id>"),
            facts={"ref": name, "snapshot_id": head},
        )


def _head_missing(case: Case) -> Iterator[Answer]:
    head = case.facts.current_snapshot_id
    if head is not None and head not in case.evidence.snapshot_ids and "main" not in case.evidence.refs:
        yield Answer(
            message=f"The current snapshot {head} is not among the table's snapshots.",
            remedy=_call("rollback_to_snapshot", case.table, ", <id>"),
            facts={"snapshot_id": head},
        )


def _format_unknown(case: Case) -> Iterator[Answer]:
    if not 1 <= case.facts.format_version <= NEWEST_FORMAT:
        yield Answer(
            message=f"Format version {case.facts.format_version} is newer than what IceBridge reads ({NEWEST_FORMAT}).",
            remedy="Leave the table out (tables: !name) or upgrade airflow-provider-icebridge.",
            facts={"format_version": case.facts.format_version},
        )


def _types_unknown(case: Case) -> Iterator[Answer]:
    odd = {column.name: column.type for column in case.facts.columns if not _type_known(column.type)}
    if odd:
        shown = ", ".join(f"{name} {kind}" for name, kind in odd.items())
        yield Answer(
            message=f"Columns of types that the Iceberg spec does not have: {shown}.",
            remedy="Cast them to a type of the spec in a new column, then drop them.",
            facts={"columns": odd},
        )


def _file_format_unknown(case: Case) -> Iterator[Answer]:
    odd = sorted(set(case.facts.totals.formats) - FORMATS)
    if odd:
        yield Answer(
            message=f"Files of a format that the Iceberg spec does not have: {', '.join(odd)}.",
            remedy=_call("rewrite_data_files", case.table),
            facts={"formats": odd},
        )


def _listed_twice(case: Case) -> Iterator[Answer]:
    if case.evidence.duplicates:
        yield Answer(
            message=f"{len(case.evidence.duplicates)} files are in the current snapshot twice, so their rows are read "
            f"twice: {', '.join(case.evidence.duplicates[:SHOWN])}.",
            remedy="Find out who added them twice (add_files run again?). To keep them once, delete and append those "
            "rows; a copy keeps the rows as they are read today.",
            facts={"files": list(case.evidence.duplicates)},
        )


def _ids_wrong(case: Case) -> Iterator[Answer]:
    ids = [column.field_id for column in case.facts.columns]
    wrong = []
    if len(set(ids)) != len(ids):
        wrong.append("two columns have one field id")
    if case.facts.schemas and case.facts.current_schema_id not in {
        item.get("schema-id", 0) for item in case.facts.schemas
    }:
        wrong.append(f"schema {case.facts.current_schema_id} is not there")
    if case.facts.specs and case.facts.default_spec_id not in {item.get("spec-id", 0) for item in case.facts.specs}:
        wrong.append(f"partition spec {case.facts.default_spec_id} is not there")
    if wrong:
        yield Answer(
            message=f"The metadata contradicts itself: {'; '.join(wrong)}.",
            remedy="Point the entry at the newest older *.metadata.json that is whole (drop the entry without purging, "
            "then register_table).",
            facts={"problems": wrong},
        )


_B, _W = Severity.BLOCKING, Severity.WARNING
RULES: tuple[SourceRule, ...] = (
    SourceRule(
        id="SRC-002", severity=_B, check="Every file of the current snapshot is there", judge=_current_file_missing
    ),
    SourceRule(id="SRC-003", severity=_B, check="Every file of older snapshots is there", judge=_old_file_missing),
    SourceRule(id="SRC-004", severity=_B, check="Every file has the size its manifest states", judge=_size_differs),
    SourceRule(id="SRC-005", severity=_B, check="Manifest list and manifests are there", judge=_manifest_missing),
    SourceRule(id="SRC-006", severity=_B, check="Manifest lists and manifests are whole", judge=_manifest_unreadable),
    SourceRule(id="SRC-007", severity=_W, check="Manifests have the length stated", judge=_manifest_length),
    SourceRule(id="SRC-008", severity=_W, check="Summary totals match the manifests", judge=_totals_differ),
    SourceRule(id="SRC-009", severity=_W, check="Position deletes speak of live data files", judge=_dangling),
    SourceRule(id="SRC-010", severity=_W, check="Files lie inside the table's location", judge=_outside),
    SourceRule(id="SRC-011", severity=_W, check="Metadata lies inside the table's location", judge=_metadata_elsewhere),
    SourceRule(id="SRC-012", severity=_B, check="Branches and tags point at retained snapshots", judge=_refs_expired),
    SourceRule(id="SRC-013", severity=_B, check="The current snapshot is retained", judge=_head_missing),
    SourceRule(id="SRC-014", severity=_B, check="The format version is known", judge=_format_unknown),
    SourceRule(id="SRC-015", severity=_B, check="Column types are known", judge=_types_unknown),
    SourceRule(id="SRC-016", severity=_B, check="File formats are known", judge=_file_format_unknown),
    SourceRule(id="SRC-017", severity=_W, check="No file is listed twice", judge=_listed_twice),
    SourceRule(id="SRC-018", severity=_B, check="Schema, spec and field ids fit together", judge=_ids_wrong),
    SourceRule(id="SRC-019", severity=_W, check="Statistics files are there", judge=_statistics_missing),
)
UNREADABLE_RULE = "SRC-001"


def _type_known(text: str) -> bool:
    inner = re.fullmatch(r"list<(.*)>|map<(.*)>|struct<(.*)>", text, re.DOTALL)
    return bool(inner or _TYPES.fullmatch(text))


def _holds_rows(bad: BadFile) -> bool:
    return bad.kind not in {"manifest", "manifest list", "statistics"}


def _plain(path: str) -> str:
    for alias in ("s3a://", "s3n://"):
        path = "s3://" + path.removeprefix(alias) if path.startswith(alias) else path
    return "/" + path.removeprefix("file:").lstrip("/") if path.startswith("file:") else path


def _files(bad: Sequence[BadFile]) -> str:
    kinds = ", ".join(sorted({item.kind for item in bad}))
    return f"{len(bad)} file{'s'[: len(bad) != 1]} ({kinds})"


def _are(bad: Sequence[BadFile]) -> str:
    return "is" if len(bad) == 1 else "are"


def _have(bad: Sequence[BadFile]) -> str:
    return "has" if len(bad) == 1 else "have"


def _some(bad: Sequence[BadFile]) -> str:
    more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
    return ", ".join(item.path for item in bad[:SHOWN]) + more


def _facts(bad: Iterable[BadFile]) -> dict[str, object]:
    found = list(bad)
    files = [{"path": item.path, "kind": item.kind, "expected": item.expected, "actual": item.actual} for item in found]
    return {"count": len(found), "files": files[:20]}


def _call(procedure: str, table: TableIdentifier, more: str = "") -> str:
    name = table.path.replace("'", "''")
    return f"CALL <catalog>.system.{procedure}('{name}'{more});"


def _expire(table: TableIdentifier) -> str:
    name = table.path.replace("'", "''")
    when = "older_than => current_timestamp(), retain_last => 1"
    return f"CALL <catalog>.system.expire_snapshots(table => '{name}', {when});"

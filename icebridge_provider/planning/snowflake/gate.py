"""Whether rows may be published, and whether they were: exported = parsed = loaded = delta, and equal fingerprints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from icebridge_provider.exceptions import TransientError, ValidationFailed
from icebridge_provider.model.report import Check
from icebridge_provider.model.snowflake import CopiedFile, Mode, ShareManifest
from icebridge_provider.sql.snowflake_fingerprint import FIXED, PER_COLUMN

LOADED = "LOADED"
SKIPPED = "LOAD_SKIPPED"
SHOWN = 10


def staged(
    manifest: ShareManifest, copied: Iterable[CopiedFile], rows: int, fingerprint: Sequence[str]
) -> tuple[Check, ...]:
    """Compare the staging table with the manifest.

    A statement that is repeated after a lost answer says LOAD_SKIPPED of files it has loaded before: what counts for
    them is the staging table itself, which this try alone fills.

    :param copied: rows of every COPY INTO's answer; a file may be told twice.
    :param rows: of the staging table.
    :param fingerprint: of the staging table.
    """
    told = _by_file(copied)
    files = {item.name: item for item in manifest.files if item.rows}
    counted = {name: told[name] for name in files if name in told and told[name].status.upper() == LOADED}
    skipped = [name for name in files if name in told and told[name].status.upper() == SKIPPED]
    other = [name for name in told if name not in files]
    untold = [name for name in files if name not in told]
    partly = [
        f"{name} {item.status}: {item.rows_loaded} of {item.rows_parsed} rows {item.first_error}".strip()
        for name, item in told.items()
        if name in files and item.status.upper() not in {LOADED, SKIPPED}
    ]
    wrong = [name for name, item in counted.items() if not item.rows_parsed == item.rows_loaded == files[name].rows]
    parsed = sum(item.rows_parsed for item in counted.values()) + sum(files[name].rows for name in skipped)
    loaded = sum(item.rows_loaded for item in counted.values()) + sum(files[name].rows for name in skipped)
    detail = _named("other files", other) + _named("not told", untold) + _named("partly", partly)
    return (
        _check("files", len(files), len(counted) + len(skipped), detail),
        _check("rows of each file", 0, len(wrong), _named("other rows", wrong)),
        Check(
            name="unknown files", source="0", target=str(len(other)), passed=not other, detail=_named("files", other)
        ),
        _check("exported = parsed", manifest.rows, parsed, ""),
        _check("exported = loaded", manifest.rows, loaded, ""),
        _check("exported = staged", manifest.rows, rows, ""),
        *fingerprints(manifest, fingerprint),
    )


def fingerprints(manifest: ShareManifest, found: Sequence[str]) -> tuple[Check, ...]:
    """Compare the sums of the files with those of the staging table; one check a column, so that it is named."""
    wanted = manifest.fingerprint
    size = FIXED + PER_COLUMN * len(manifest.columns)
    if len(wanted) != size or len(found) != size:
        told = f"{len(wanted)} and {len(found)} sums, {size} are expected"
        return (Check(name="fingerprint", source="", target="", passed=False, detail=told),)
    checks = [
        _text_check("fingerprint", ":".join(wanted[:FIXED]), ":".join(found[:FIXED]), "Some row differs."),
    ]
    for number, column in enumerate(manifest.columns):
        at = FIXED + PER_COLUMN * number
        sides = (":".join(wanted[at : at + PER_COLUMN]), ":".join(found[at : at + PER_COLUMN]))
        why = "Other cells are NULL." if wanted[at] != found[at] else "Some value differs."
        checks.append(_text_check(f"column {column.source}", *sides, why))
    return tuple(checks)


def keys(unfit: Sequence[int], repeated: int) -> tuple[Check, ...]:
    """Judge the keys of an upsert.

    :param unfit: staged rows without a key, and staged rows whose key another one has.
    :param repeated: staged keys that several rows of the target have.
    """
    return (
        _check("rows without a key", 0, unfit[0], ""),
        _check("rows that share a key", 0, unfit[1], ""),
        _check("keys on several rows of the target", 0, repeated, ""),
    )


def published(
    mode: Mode, exported: int, before: int, after: int, inserted: int, updated: int = 0, deleted: int = 0
) -> tuple[Check, ...]:
    """Compare what the transaction did to the target with what it should do.

    :param before, after: rows of the target, counted inside the transaction.
    :param inserted, updated, deleted: rows, as the statements told.
    """
    gained = {Mode.APPEND: inserted, Mode.REPLACE: inserted - deleted, Mode.UPSERT: inserted}[mode]
    written = inserted + (updated if mode is Mode.UPSERT else 0)
    checks = [
        _check("exported = delta", exported, written, "rows that the statements wrote"),
        _check("rows of the table", before + gained, after, "rows after it"),
    ]
    if mode is Mode.REPLACE:
        checks.append(_check("rows that were replaced", before, deleted, ""))
    return tuple(checks)


def refuse_unpublished(checks: Sequence[Check], where: str) -> None:
    """Make sure that every check of the staging table and the keys agreed.

    :raises ValidationFailed: IB-920 naming each that did not.
    """
    wrong = _failed(checks)
    if wrong:
        raise ValidationFailed(
            "IB-920",
            f"The rows for {where} are not those of the export: {wrong}.",
            remedy="Look at the files and the keys that are named, then start a new run.",
            changed="The table is as it was; the rows stand in the staging table.",
            table=where,
        )


def refuse_commit(checks: Sequence[Check], where: str) -> None:
    """Make sure that the transaction may be committed.

    :raises ValidationFailed: IB-921 when the statements wrote other rows than were exported.
    :raises TransientError: IB-922 when only the table's count differs: somebody else committed to it meanwhile.
    """
    wrong = [item for item in checks if not item.passed]
    if not wrong and checks:
        return
    message = f"The transaction on {where} was rolled back: {_failed(checks)}."
    if wrong and all(item.name in {"rows of the table", "rows that were replaced"} for item in wrong):
        raise TransientError(
            "IB-922",
            f"{message} Another writer changed the table meanwhile.",
            remedy="It is tried again; stop the other writer if that goes on.",
            table=where,
        )
    raise ValidationFailed(
        "IB-921", message, remedy="Look at the table's keys and triggers, then start a new run.", table=where
    )


def _by_file(copied: Iterable[CopiedFile]) -> dict[str, CopiedFile]:
    """Return the answers by file name; of two about one file, the one that says rows were loaded counts."""
    told: dict[str, CopiedFile] = {}
    for item in copied:
        name = item.file.rsplit("/", 1)[-1]
        if name not in told or told[name].status.upper() != LOADED:
            told[name] = item
    return told


def _check(name: str, source: int, target: int, detail: str) -> Check:
    passed = int(source) == int(target)
    return Check(name=name, source=str(source), target=str(target), passed=passed, detail="" if passed else detail)


def _text_check(name: str, source: str, target: str, detail: str) -> Check:
    passed = source == target
    return Check(name=name, source=source, target=target, passed=passed, detail="" if passed else detail)


def _named(what: str, items: Sequence[str]) -> str:
    if not items:
        return ""
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return f"{what}: {', '.join(items[:SHOWN])}{more}. "


def _failed(checks: Sequence[Check]) -> str:
    if not checks:
        return "nothing was checked"
    wrong = [item for item in checks if not item.passed]
    shown = [
        f"{item.name} ({item.source} / {item.target}{'; ' + item.detail if item.detail else ''})" for item in wrong
    ]
    return "; ".join(shown[:SHOWN])

"""Every statement of one load, decided at once: what a dry run shows is what a run does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from icebridge_provider.model.snowflake import (
    CarriedColumn,
    LoadPlan,
    LoadRecord,
    LoadState,
    Mode,
    Place,
    Publish,
    SchemaPlan,
    ShareManifest,
    Statement,
)
from icebridge_provider.planning.snowflake.names import next_name, run_key, stage_path, staging_name
from icebridge_provider.sql import snowflake as sql
from icebridge_provider.sql.snowflake_fingerprint import of_staging

MARK = "icebridge run "
LIMITED = "LIMITED"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How rows are published. ``keys`` are the columns of ``schema.key_columns``, for an upsert."""

    mode: Mode = Mode.APPEND
    publish: Publish = Publish.REWRITE
    keys: tuple[CarriedColumn, ...] = ()
    comment: str = ""


def new_record(manifest: ShareManifest, place: Place, mode: Mode) -> LoadRecord:
    """Return the row with which a load begins."""
    return LoadRecord(
        run_key=run_key(manifest.run_id, place.target),
        run_id=manifest.run_id,
        target=sql.name(*place.target),
        mode=mode,
        manifest=manifest.digest,
        rows_exported=manifest.rows,
    )


def plan_load(
    manifest: ShareManifest, schema: SchemaPlan, place: Place, record: LoadRecord, options: LoadOptions
) -> LoadPlan:
    """Return the statements of one try of a load.

    :param record: as ``ICEBRIDGE_LOADS`` has it, or new.
    :param options: its ``comment`` is what the target's comment says beside our mark.
    :raises ConfigurationError: IB-902 when the files are not below the stage's location.
    """
    staging = (*place.control, staging_name(record.run_key, record.generation))
    swapped = options.mode is Mode.REPLACE and options.publish is Publish.SWAP
    following = (*place.target[:2], next_name(record.run_key, record.generation))
    into = following if swapped else place.target
    after = LoadState.SWAPPING if swapped else LoadState.LOADED
    return LoadPlan(
        record=record,
        staging=staging,
        prepare=(
            *_prepare(manifest, schema, place, record, staging),
            *([_plain(sql.create_like(following, place.target))] if swapped else []),
        ),
        copies=tuple(_copies(manifest, place, staging)),
        measure=(_plain(sql.count_rows(staging)), _plain(of_staging(staging, manifest.columns))),
        keys=tuple(_key_checks(place, staging, options)),
        before=_plain(sql.count_rows(into)),
        claim=sql.settle_load(place.control, record, LoadState.STAGING, after),
        publish=tuple(_publish(schema, staging, into, options)),
        after=_plain(sql.count_rows(into)),
        swap=tuple(_swap(manifest, place, record, following, options)) if swapped else (),
        label=(
            (_plain(sql.set_comment(place.target, comment(manifest, record, options.comment))),)
            if manifest.limited and not swapped
            else ()
        ),
        clean=(_plain(sql.drop_table(staging)),),
    )


def comment(manifest: ShareManifest, record: LoadRecord, kept: str = "") -> str:
    """Return the target's comment: what a person wrote there, and our line with the run and what it leaves out."""
    limited = f", {LIMITED}: {manifest.limited}" if manifest.limited else ""
    mark = f"{MARK}{record.run_key}/{record.generation}, {manifest.rows} rows of {manifest.source}{limited}"
    return "\n".join([*written_by_people(kept), mark])


def written_by_people(text: str) -> list[str]:
    """Return the lines of a comment that are not ours."""
    return [line for line in text.splitlines() if not line.startswith(MARK)]


def is_marked(text: str, record: LoadRecord) -> bool:
    """Say whether a table's comment names this try of this load: then it has been swapped in."""
    return any(line.startswith(f"{MARK}{record.run_key}/{record.generation},") for line in text.splitlines())


def _prepare(
    manifest: ShareManifest, schema: SchemaPlan, place: Place, record: LoadRecord, staging: Sequence[str]
) -> list[Statement]:
    target = place.target
    created = [(item.column, item.type) for item in schema.changes if item.kind == "create"]
    made = [sql.create_table(target, created)] if created else []
    made += [sql.add_column(target, item.column, item.type) for item in schema.changes if item.kind == "add"]
    made += [sql.widen_column(target, item.column, item.type) for item in schema.changes if item.kind == "widen"]
    staged = [(item.file_name, item.staged_type) for item in manifest.columns]
    made.append(sql.create_table(staging, staged, staging=True))
    return [
        _plain(sql.create_loads(place.control)),
        sql.begin_load(place.control, record),
        *map(_plain, made),
    ]


def _copies(manifest: ShareManifest, place: Place, staging: Sequence[str]) -> list[Statement]:
    path = stage_path(place.stage_root, manifest.location)
    files = [item.name for item in manifest.files if item.rows]
    chunks = [files[start : start + sql.MOST_FILES] for start in range(0, len(files), sql.MOST_FILES)]
    return [_plain(sql.copy_files(staging, place.stage, path, chunk)) for chunk in chunks]


def _key_checks(place: Place, staging: Sequence[str], options: LoadOptions) -> list[Statement]:
    if options.mode is not Mode.UPSERT:
        return []
    keys = options.keys
    return [_plain(sql.unfit_keys(staging, keys)), _plain(sql.repeated_keys(place.target, staging, keys))]


def _publish(schema: SchemaPlan, staging: Sequence[str], into: Sequence[str], options: LoadOptions) -> list[Statement]:
    if options.mode is Mode.UPSERT:
        return [_plain(sql.merge_rows(into, staging, schema.columns, options.keys))]
    emptied = [sql.delete_rows(into)] if options.mode is Mode.REPLACE else []
    return [_plain(item) for item in (*emptied, sql.insert_rows(into, staging, schema.columns))]


def _swap(
    manifest: ShareManifest, place: Place, record: LoadRecord, following: Sequence[str], options: LoadOptions
) -> list[Statement]:
    swapping = replace(record, state=LoadState.SWAPPING)
    return [
        _plain(sql.set_comment(following, comment(manifest, record, options.comment))),
        sql.comment_of(place.target),
        _plain(sql.swap_tables(place.target, following)),
        sql.settle_load(place.control, swapping, LoadState.SWAPPING, LoadState.LOADED),
        _plain(sql.drop_table(following)),
    ]


def _plain(text: str) -> Statement:
    return Statement(text=text)

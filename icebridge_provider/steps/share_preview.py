"""Every statement of a share, in its order, before any of them has run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from icebridge_provider.model.share import Share
from icebridge_provider.model.snowflake import Export, ExportedFile, LoadPlan, ShareManifest, Statement
from icebridge_provider.planning.snowflake.load import LoadOptions, new_record, plan_load
from icebridge_provider.planning.snowflake.names import stage_path
from icebridge_provider.planning.snowflake.presets import limited
from icebridge_provider.planning.snowflake.schema import fit_columns, key_columns
from icebridge_provider.sql import snowflake as target_sql
from icebridge_provider.sql import snowflake_export as source_sql
from icebridge_provider.sql.snowflake_fingerprint import of_files
from icebridge_provider.steps.share_export import work_of
from icebridge_provider.steps.share_looks import Ends, schema_options, target_columns

SOURCE, TARGET = "source", "target"
ANY_FILE = "<each file of the export>.parquet"
_BEFORE, _WITHIN, _AFTER = ("prepare", "copies", "measure", "keys"), ("publish",), ("swap", "label", "clean")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One statement: on which side, for which step of the share."""

    side: str
    step: str
    statement: Statement


def preview(ends: Ends, share: Share) -> tuple[Planned, ...]:
    """Return what a run of a share would do, as the target is now; files are not known before there are any.

    :raises ConfigurationError: IB-905 to IB-907 when the target no longer fits.
    """
    there = target_columns(ends.target, share.place.target)
    schema = fit_columns(share.columns, there, schema_options(share), where=".".join(share.source))
    work = work_of(share, 1)
    manifest = _manifest(share, work)
    keys = key_columns(schema, share.keys, share.mode, there or ())
    options = LoadOptions(mode=share.mode, publish=share.publish, keys=keys)
    plan = plan_load(manifest, schema, share.place, new_record(manifest, share.place, share.mode), options)
    return (*_exported(work), *_loaded(share, work, plan))


def _manifest(share: Share, work: Export) -> ShareManifest:
    """Return a manifest of one file that stands for all."""
    return ShareManifest(
        run_id=share.run_id,
        source=".".join(share.source),
        location=work.location,
        asked=work.digest,
        columns=work.columns,
        files=(ExportedFile(name=ANY_FILE, size=0, rows=1),),
        rows=0,
        created_at="",
        limited=limited(share.limit, share.where),
    )


def _exported(work: Export) -> Iterator[Planned]:
    files = source_sql.files(work.location)
    steps = (
        ("export", source_sql.export(work)),
        ("count", Statement(text=source_sql.exported_files(work.location))),
        ("columns", Statement(text=source_sql.exported_columns(work.location))),
        ("fingerprint", Statement(text=of_files(files, work.columns))),
    )
    for step, statement in steps:
        yield Planned(side=SOURCE, step=step, statement=statement)


def _loaded(share: Share, work: Export, plan: LoadPlan) -> Iterator[Planned]:
    path = stage_path(share.place.stage_root, work.location)
    yield _target("session", target_sql.SESSION)
    yield _target("list", target_sql.list_stage(share.place.stage, path))
    yield from _steps(plan, _BEFORE)
    yield _target("begin", target_sql.BEGIN)
    yield Planned(side=TARGET, step="claim", statement=plan.claim)
    yield Planned(side=TARGET, step="before", statement=plan.before)
    yield from _steps(plan, _WITHIN)
    yield Planned(side=TARGET, step="after", statement=plan.after)
    yield _target("commit", target_sql.COMMIT)
    yield from _steps(plan, _AFTER)


def _steps(plan: LoadPlan, names: tuple[str, ...]) -> Iterator[Planned]:
    for name in names:
        for statement in getattr(plan, name):
            yield Planned(side=TARGET, step=name, statement=statement)


def _target(step: str, text: str) -> Planned:
    return Planned(side=TARGET, step=step, statement=Statement(text=text))

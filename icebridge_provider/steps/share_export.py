"""The way of a table's rows into Parquet files: tries in folders of their own, and a manifest that is written last."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from icebridge_provider.exceptions import (
    ConfigurationError,
    IceBridgeError,
    TransientError,
    ValidationFailed,
)
from icebridge_provider.model import codec
from icebridge_provider.model.event import LedgerEvent, Outcome, Step
from icebridge_provider.model.running import Answer, Waiting
from icebridge_provider.model.share import Share
from icebridge_provider.model.snowflake import Export, FileColumn, ListedFile, ShareManifest, Statement
from icebridge_provider.planning.snowflake.manifest import is_data, make_manifest
from icebridge_provider.planning.snowflake.names import export_location
from icebridge_provider.planning.snowflake.presets import limited
from icebridge_provider.planning.snowflake.schema import fit_columns
from icebridge_provider.sql import snowflake_export as sql
from icebridge_provider.sql.snowflake_fingerprint import FIXED, PER_COLUMN, of_files, sums
from icebridge_provider.steps.lease import HeldLease
from icebridge_provider.steps.share_looks import schema_options
from icebridge_provider.steps.share_manifest import find_manifest, listed_files, write_manifest
from icebridge_provider.steps.share_site import ShareSite, files_of
from icebridge_provider.steps.share_tries import Attempt, Try, last_try, record_failure, refuse_other_share

MANIFEST_DOCUMENT = "share_manifest"  # kind; its key is Share.document
# Spark names all files of one statement after it: part-00003-<uuid>-c000…, on Databricks part-00003-tid-<n>-<uuid>-….
_WRITER = re.compile(r"(?:^|/)part-\d+-((?:tid-\d+-)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


def work_of(share: Share, number: int) -> Export:
    """Return what one try exports, and where to: a folder of this run, this pair of tables and this try alone.

    :param number: of the try, from 1.
    :raises ConfigurationError: IB-901, IB-905.
    """
    root = export_location(share.location, share.run_id, (*share.source, *share.place.target))
    columns = fit_columns(share.columns, None, schema_options(share), share.name).columns
    return Export(
        run_id=share.run_id,
        source=share.source,
        location=f"{root}/{number:03d}",
        columns=columns,
        where=share.where,
        values=share.values,
        limit=share.limit,
    )


def export_under(site: ShareSite, share: Share, held: HeldLease) -> ShareManifest | Waiting:
    """Do what can be done of an export; see :func:`icebridge_provider.steps.share.export`."""
    events = list(site.ledger.events(share.run_id, share.name))
    refuse_other_share(events, share)
    found = _checked(site, share, events)
    if found is not None:
        return found
    attempt = _attempt(site, share, held, events)
    try:
        return _tried(attempt)
    except IceBridgeError as error:
        record_failure(site, share, Step.EXPORT, held, error, attempt.current.number)
        raise


def exported(site: ShareSite, share: Share, events: Sequence[LedgerEvent]) -> ShareManifest | None:
    """Return the manifest of an export that has ended, as the ledger keeps it; None while it has not.

    :raises ValidationFailed: IB-912 when it is not the one that the export ended with.
    """
    done = next((event for event in reversed(events) if event.step is Step.EXPORT and _is_done(event)), None)
    kept = site.ledger.document(MANIFEST_DOCUMENT, share.document)
    if done is None or kept is None:
        return None
    manifest = codec.from_json(ShareManifest, kept)
    _refuse_other(manifest, manifest.digest, str(done.data["digest"]))
    return manifest


def _checked(site: ShareSite, share: Share, events: Sequence[LedgerEvent]) -> ShareManifest | None:
    """Return the same, with its files looked at, unless they were loaded: then they may be gone."""
    manifest = exported(site, share, events)
    if manifest is None or any(event.step is Step.LOAD and _is_done(event) for event in events):
        return manifest
    number = int(manifest.location.rpartition("/")[2])
    with files_of(share):
        there = find_manifest(site.store, work_of(share, number))
    _refuse_other(manifest, there.digest if there else "", manifest.digest)
    return manifest


def _refuse_other(manifest: ShareManifest, found: str, wanted: str) -> None:
    if found != wanted:
        raise ValidationFailed(
            "IB-912",
            f"The manifest in {manifest.location} is {'another than the export wrote' if found else 'missing'}.",
            remedy="Start a new run. Nobody else may write or delete below this folder.",
            changed="Nothing was loaded.",
            location=manifest.location,
        )


def _is_done(event: LedgerEvent) -> bool:
    return event.outcome is Outcome.DONE


def _attempt(site: ShareSite, share: Share, held: HeldLease, events: Sequence[LedgerEvent]) -> Attempt:
    """Go on with the last try, or begin the next one."""
    last = last_try(events, Step.EXPORT)
    number = 1 if last is None else last.number + last.over
    if last is None or last.over or last.failed:
        at = site.now().isoformat(timespec="microseconds")
        told = {"try": number, "digest": share.digest, "location": work_of(share, number).location, "at": at}
        site.record(share, Step.EXPORT, Outcome.STARTED, told, held.keep())
        if last is None or last.over:
            last = Try(number=number, started_at=at)
    return Attempt(site=site, share=share, step=Step.EXPORT, held=held, current=last)


def _tried(attempt: Attempt) -> ShareManifest | Waiting:
    work = work_of(attempt.share, attempt.current.number)
    with files_of(attempt.share):
        manifest = find_manifest(attempt.site.store, work)  # a killed call may have come so far
    if manifest is None:
        made = _made(attempt, work)
        if isinstance(made, Waiting):
            return made
        manifest = made
        attempt.held.keep(now=True)
        with files_of(attempt.share):
            write_manifest(attempt.site.store, manifest)
    return _ended(attempt, manifest)


def _ended(attempt: Attempt, manifest: ShareManifest) -> ShareManifest:
    site, share = attempt.site, attempt.share
    site.ledger.save_document(MANIFEST_DOCUMENT, share.document, codec.to_json(manifest))
    told = {
        "try": attempt.current.number,
        "digest": manifest.digest,
        "location": manifest.location,
        "rows": manifest.rows,
        "files": len(manifest.files),
        "bytes": sum(item.size for item in manifest.files),
        "limited": manifest.limited,
    }
    site.record(share, Step.EXPORT, Outcome.DONE, told, attempt.held.keep())
    return manifest


def _made(attempt: Attempt, work: Export) -> ShareManifest | Waiting:
    """Have the rows written, and read back what was written."""
    table = ".".join(work.source)
    query = attempt.done("export", f"export {table} to {work.location}", sql.export(work), once=True)
    if isinstance(query, Waiting):
        return query
    written = _affected(attempt, query)
    with files_of(attempt.share):
        listed = listed_files(attempt.site.store, work.location)
    data = [item for item in listed if is_data(item.name)]
    _refuse_nothing(work, table, listed)
    _refuse_two_writers(attempt, work, data)
    told = (
        _told(attempt, work, table) if data else ([], [FileColumn(name=i.file_name, type="") for i in work.columns], ())
    )
    if isinstance(told, Waiting):
        return told
    counted, columns, fingerprint = told
    manifest = make_manifest(
        work,
        table,
        counted,
        listed,
        columns,
        fingerprint or ("0",) * (FIXED + PER_COLUMN * len(work.columns)),
        attempt.current.started_at,  # the same in every call: a manifest that is written twice is the same one
        limited(work.limit, work.where),
    )
    if written is not None and written != manifest.rows:
        raise _not_whole(attempt, work, f"{written} rows were written, the files have {manifest.rows}")
    return manifest


Told = tuple[list[tuple[str, int, int]], list[FileColumn], tuple[str, ...]]


def _told(attempt: Attempt, work: Export, table: str) -> Told | Waiting:
    """Ask the engine what the files hold; both long questions run at once."""
    count = Statement(text=sql.exported_files(work.location))
    add_up = Statement(text=of_files(sql.files(work.location), work.columns))
    whats = (f"count the exported rows of {table}", f"add up the exported rows of {table}")
    queries = [attempt.done("count", whats[0], count), attempt.done("sums", whats[1], add_up)]
    for query in queries:
        if isinstance(query, Waiting):
            return query
    rows = attempt.answer("count", whats[0], str(queries[0])).rows
    added = attempt.answer("sums", whats[1], str(queries[1])).rows
    shape = attempt.site.source.run(f"read the columns of the exported files of {table}", _shape(work))
    counted = [(str(name), int(size), int(number)) for name, size, number in rows]
    return counted, _columns(shape), sums(added[0])


def _shape(work: Export) -> Statement:
    return Statement(text=sql.exported_columns(work.location))


def _columns(answer: Answer) -> list[FileColumn]:
    pairs = zip(answer.columns, answer.types, strict=True)
    return [FileColumn(name=name, type=kind) for name, kind in pairs]


def _affected(attempt: Attempt, query: str) -> int | None:
    """Rows that the statement says it wrote; None when it does not say, or not any more."""
    try:
        return attempt.site.source.answer(query).affected
    except TransientError:
        return None


def _refuse_nothing(work: Export, table: str, listed: Sequence[ListedFile]) -> None:
    """An export of no row leaves its marks, too: a store that shows nothing at all is another one than was written."""
    if not listed:
        raise ConfigurationError(
            "IB-947",
            f"{table} was exported to {work.location}, and there the store shows nothing at all.",
            remedy="Let the storage connection reach the bucket that Databricks writes to, with the right to list.",
            changed="Files were written; nothing was loaded.",
            location=work.location,
        )


def _refuse_two_writers(attempt: Attempt, work: Export, data: Iterable[ListedFile]) -> None:
    """Make sure that one statement wrote all files: two that ran at once would leave every row twice."""
    found = writers(item.name for item in data)
    if len(found) > 1:
        raise _not_whole(attempt, work, f"{len(found)} statements wrote there")


def writers(names: Iterable[str]) -> set[str]:
    """Return the statements that files are named after; a file with a name of another kind tells none."""
    return {found[1] for name in names if (found := _WRITER.search(name))}


def _not_whole(attempt: Attempt, work: Export, why: str) -> TransientError:
    attempt.note(over=True, what=f"look at {work.location}: {why}")
    return TransientError(
        "IB-945",
        f"The files in {work.location} are not those of one export: {why}.",
        remedy="It is exported again, into another folder. Nobody else may write below this location.",
        changed="Files were written; nothing was loaded.",
        location=work.location,
    )

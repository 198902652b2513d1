"""Extraction: the rows of a SELECT become Parquet files in a folder, with a manifest that is written last."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from icebridge_provider.engines.columns import fingerprint
from icebridge_provider.engines.fingerprint.rows import Sums
from icebridge_provider.engines.parquet import Layout
from icebridge_provider.exceptions import FencedOut, IceBridgeError
from icebridge_provider.model import codec
from icebridge_provider.model.event import Actor, LedgerEvent, Outcome, State, Step
from icebridge_provider.model.extraction import FUZZY, SNAPSHOT, ColumnType, Extraction, Manifest, Part
from icebridge_provider.model.settings import Settings
from icebridge_provider.planning.column_types import column_types
from icebridge_provider.planning.extraction import plan_jobs as planned
from icebridge_provider.ports import FileStore, Ledger, Progress, SqlReader
from icebridge_provider.specs.extraction import read_folder
from icebridge_provider.steps.extract_folder import Folder
from icebridge_provider.steps.extract_ranges import (
    Range,
    RangeResult,
    Work,
    cuts,
    kept_value,
    plain_value,
    ranges_between,
    run_ranges,
)
from icebridge_provider.steps.lease import HeldLease, lease_of
from icebridge_provider.steps.site import new_owner

DOCUMENT, RANGE_DOCUMENT, MANIFEST_DOCUMENT = "extraction", "extraction_range", "manifest"


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractionSite:
    """The surroundings of extraction jobs.

    :param reader: gives a reader of one database; an empty name is the connection's own.
    :param root: where the folders of jobs stand: ``/Volumes/…``, ``s3://…`` or a local path.
    :param threads: ranges of one query that are read at once.
    :param spool: where parts wait for their upload; None is the system's place for passing files.
    :param read_back: read every uploaded byte again, besides size and footer.
    """

    reader: Callable[[str], SqlReader]
    store: FileStore
    root: str
    ledger: Ledger
    actor: Actor = field(default_factory=Actor)
    settings: Settings = field(default_factory=Settings)
    layout: Layout = field(default_factory=Layout)
    threads: int = 2
    spool: Path | None = None
    read_back: bool = False
    progress: Progress | None = None
    now: Callable[[], datetime] = _now
    owner: str = field(default_factory=new_owner)

    def folder(self, job: Extraction) -> Folder:
        """Return the folder of a job's files."""
        location = f"{self.root.rstrip('/')}/{job.name}"
        return Folder(store=self.store, location=location, name=job.name, read_back=self.read_back)

    def record(self, job: Extraction, outcome: Outcome, data: Mapping[str, Any]) -> None:
        """Append one event of a job to the ledger, and tell whoever watches."""
        self.ledger.append(
            LedgerEvent(
                plan_id=job.job_id, table=job.name, step=Step.EXTRACT, outcome=outcome, actor=self.actor, data=data
            )
        )
        if self.progress is not None:
            self.progress({"job": job.name, "outcome": outcome.value, **data})


def plan_jobs(
    folder: Path | str,
    queries: Sequence[str] = (),
    countries: Sequence[str] = (),
    given: Mapping[str, Any] | None = None,
    job_id: str = "",
) -> list[Extraction]:
    """Return one job for each chosen query and country of a folder of ``queries/`` and ``config/``.

    :param queries: names or globs; none takes all. ``countries`` likewise.
    :param given: values that stand before those of the files.
    :param job_id: what all these jobs are known by; empty takes a new one.
    :raises ConfigurationError: IB-800 to IB-808, naming file, line and column.
    """
    found = read_folder(Path(folder))
    known = job_id or f"{_now():%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    return planned(
        found.queries, found.countries, query_globs=queries, country_globs=countries, given=given, job_id=known
    )


def extract(site: ExtractionSite, job: Extraction) -> Manifest:
    """Run a job, go on with one that was killed, or return what a finished one wrote.

    Files are named by range and number, the manifest comes last: a reader who goes by it sees all rows or none. Ranges
    that are whole are kept; a query without ranges starts anew, because it may give its rows in another order.

    :raises TransientError: when trying again may help: IB-600 while another process writes the same folder, IB-820, …
    :raises ConfigurationError: IB-808, IB-831 naming columns that Parquet cannot keep; IB-821 to IB-833.
    """
    folder = site.folder(job)
    with lease_of(site, f"extract:{folder.location}") as held:
        manifest = _finished(job, folder)
        if manifest is None:
            manifest = _attempted(site, job, folder, held)
        if site.ledger.state(job.job_id, job.name).state is not State.COPIED:
            site.record(job, Outcome.DONE, _summary(manifest, folder))
        return manifest


def _finished(job: Extraction, folder: Folder) -> Manifest | None:
    """Return what this job wrote when it is all there."""
    found = folder.manifest()
    same = found is not None and (found.job_id, found.statement_digest) == (job.job_id, job.digest)
    return found if same and found is not None and folder.holds(found.parts) else None


def _attempted(site: ExtractionSite, job: Extraction, folder: Folder, held: HeldLease) -> Manifest:
    site.record(job, Outcome.STARTED, {"digest": job.digest, "folder": folder.location})
    try:
        return _run(site, job, folder, held)
    except FencedOut:
        raise  # somebody else writes this job's history now
    except IceBridgeError as error:
        told = {"code": error.code, "message": str(error), "remedy": error.remedy, "retryable": error.retryable}
        site.record(job, Outcome.FAILED, told)
        raise


def _run(site: ExtractionSite, job: Extraction, folder: Folder, held: HeldLease) -> Manifest:
    started = site.now()
    work = _work(site, job, folder, held)
    spec = _spec(site, work)
    ranges = ranges_between([kept_value(value) for value in spec["cuts"]], job.partition is not None)
    kept = _kept(site, work, ranges)
    held.keep(now=True)
    folder.clear({part.name for result in kept.values() for part in result.parts})

    def finished(item: Range, result: RangeResult) -> None:
        if item.number is not None:
            site.ledger.save_document(RANGE_DOCUMENT, _range_key(job, item), _range_document(work, item, result))
        told = {"range": item.number or 0, "of": len(ranges), "rows": result.rows, "parts": len(result.parts)}
        site.record(job, Outcome.PROGRESS, told)

    results = {**kept, **run_ranges(work, [item for item in ranges if item not in kept], site.threads, finished)}
    manifest = _manifest(site, work, [results[item] for item in ranges], started)
    held.keep(now=True)
    folder.write_manifest(manifest)
    site.ledger.save_document(MANIFEST_DOCUMENT, _key(job), codec.to_json(manifest))
    return manifest


def _work(site: ExtractionSite, job: Extraction, folder: Folder, held: HeldLease) -> Work:
    reader = site.reader(job.database)
    return Work(
        reader=reader,
        job=job,
        columns=tuple(column_types(reader.describe(job.statement, job.values), job.name)),
        consistent=reader.consistent(),
        folder=folder,
        layout=site.layout,
        spool=site.spool,
        held=held,
    )


def _spec(site: ExtractionSite, work: Work) -> dict[str, Any]:
    """Return what this job was begun with: an interrupted one must go on with the ranges that it was cut into."""
    job = work.job
    spec = {"digest": job.digest, "columns": codec.to_json(work.columns), "partition": codec.to_json(job.partition)}
    found = site.ledger.document(DOCUMENT, _key(work.job))
    if found is not None and {name: found.get(name) for name in spec} == spec:
        return found
    spec["cuts"] = [plain_value(value) for value in cuts(work)]
    spec["folder"] = work.folder.location
    site.ledger.save_document(DOCUMENT, _key(work.job), spec)
    return spec


def _kept(site: ExtractionSite, work: Work, ranges: Sequence[Range]) -> dict[Range, RangeResult]:
    """Return the ranges that an earlier try finished and whose files are there."""
    if work.job.partition is None:
        return {}
    found = {}
    for item in ranges:
        document = site.ledger.document(RANGE_DOCUMENT, _range_key(work.job, item))
        if document is None or document["of"] != _range_digest(work, item):
            continue
        result = codec.from_json(RangeResult, document["result"])
        if work.folder.holds(result.parts):
            found[item] = result
    return found


def _manifest(site: ExtractionSite, work: Work, results: Sequence[RangeResult], started: datetime) -> Manifest:
    """Return the manifest; only one read of all rows sees one state of the database."""
    sums: Sums = reduce(add, [result.sums for result in results])
    parts: tuple[Part, ...] = tuple(part for result in results for part in result.parts)
    one_state = len(results) == 1 and results[0].consistent
    return Manifest(
        job_id=work.job.job_id,
        country=work.job.country,
        query=work.job.query,
        statement_digest=work.job.digest,
        parameters=work.job.parameters,
        columns=work.columns,
        rows=sum(part.rows for part in parts),
        parts=parts,
        fingerprint=fingerprint(sums),
        isolation=SNAPSHOT if one_state else FUZZY,
        started_at=started.isoformat(timespec="microseconds"),
        finished_at=site.now().isoformat(timespec="microseconds"),
    )


def _summary(manifest: Manifest, folder: Folder) -> dict[str, Any]:
    return {
        "folder": folder.location,
        "rows": manifest.rows,
        "parts": len(manifest.parts),
        "bytes": sum(part.size for part in manifest.parts),
        "isolation": manifest.isolation,
        "columns": [_shown(column) for column in manifest.columns],
    }


def _shown(column: ColumnType) -> str:
    return f"{column.name} {column.sql_type} as {column.arrow}"


def _key(job: Extraction) -> str:
    return f"{job.job_id}/{job.name}"


def _range_key(job: Extraction, item: Range) -> str:
    return f"{_key(job)}/{item.number:05d}"


def _range_document(work: Work, item: Range, result: RangeResult) -> dict[str, Any]:
    return {"of": _range_digest(work, item), "result": codec.to_json(result)}


def _range_digest(work: Work, item: Range) -> str:
    """Return what a kept range must be the same in: the statement, its values, the columns, and where it ends."""
    ends = [plain_value(value) for value in (item.low, item.high)]
    return codec.digest([work.job.digest, list(work.columns), item.number, ends])

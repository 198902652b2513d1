"""The staging table of one try of a load: prepared, filled by COPY INTO, and held against the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.model.event import LedgerEvent
from icebridge_provider.model.report import Check
from icebridge_provider.model.running import Answer, Waiting
from icebridge_provider.model.share import Share
from icebridge_provider.model.snowflake import CopiedFile, LoadPlan, Mode, Publish, ShareManifest, Statement
from icebridge_provider.planning.snowflake import gate
from icebridge_provider.planning.snowflake.manifest import differences, refuse_differences
from icebridge_provider.planning.snowflake.names import run_key, stage_path
from icebridge_provider.sql import snowflake as sql
from icebridge_provider.sql.snowflake_fingerprint import sums
from icebridge_provider.steps.lease import HeldLease
from icebridge_provider.steps.share_manifest import staged_files
from icebridge_provider.steps.share_site import ShareSite
from icebridge_provider.steps.share_tries import Attempt

_BEGUN = 2  # statements of a plan that were run before it could be made: the table of loads, and the load's row there


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """One share's load: what was exported, and who holds the lease."""

    site: ShareSite
    share: Share
    held: HeldLease
    manifest: ShareManifest

    @property
    def control(self) -> tuple[str, str]:
        """Where ``ICEBRIDGE_LOADS`` is."""
        return self.share.place.control

    @property
    def key(self) -> str:
        """Of its row there."""
        return run_key(self.share.run_id, self.share.place.target)

    @property
    def swaps(self) -> bool:
        """Whether the new rows are swapped in."""
        return self.share.mode is Mode.REPLACE and self.share.publish is Publish.SWAP

    @property
    def where(self) -> str:
        """The target, as people write it."""
        return ".".join(self.share.place.target)

    def events(self) -> list[LedgerEvent]:
        """All that the ledger has of this share."""
        return list(self.site.ledger.events(self.share.run_id, self.share.name))

    def run(self, what: str, statement: Statement) -> Answer:
        """Run a short statement on the target."""
        return self.site.target.run(f"{what} for {self.share.name}", statement)


def rows_of(told: Answer) -> list[Mapping[str, Any]]:
    """Return rows with the names of their columns."""
    return [dict(zip(told.columns, row, strict=True)) for row in told.rows]


def prepare(work: Loading, attempt: Attempt, plan: LoadPlan) -> None:
    """Make the tables of a try, and look at the files.

    :raises ValidationFailed: IB-914 when a file of this run is not there as it was written.
    """
    for statement in plan.prepare[_BEGUN:]:
        work.held.keep()
        with side_effect("load.prepare"):
            work.run("prepare the load", statement)
    if plan.swap:
        # Marked before it is filled: a table to swap in without the mark has been swapped.
        with side_effect("load.mark"):
            work.run("mark the table to swap in", plan.swap[0])
    attempt.note(prepared=True, stale=_stale(work), what=f"prepared {work.where}")


def _stale(work: Loading) -> list[str]:
    """Look at the files through the stage; return those that are not of this run.

    :raises ValidationFailed: IB-914 when one of this run is not there as it was written.
    """
    path = stage_path(work.share.place.stage_root, work.manifest.location)
    told = work.run("list the files", Statement(text=sql.list_stage(work.share.place.stage, path)))
    listed = [tuple(_lower(row)[name] for name in ("name", "size", "md5")) for row in rows_of(told)]
    found = differences(work.manifest, staged_files([(str(a), int(b), str(c or "")) for a, b, c in listed], path))
    refuse_differences(work.manifest, found)
    return [item.file for item in found]


def _lower(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in row.items()}


def staged(work: Loading, attempt: Attempt, plan: LoadPlan) -> Waiting | None:
    """Fill the staging table and hold it against the manifest; None when it is filled and right.

    :raises ValidationFailed: IB-920 naming each difference.
    """
    copied: list[CopiedFile] = []
    for number, statement in enumerate(plan.copies):
        what = f"copy files {number + 1} of {len(plan.copies)} of {work.share.name}"
        query = attempt.done(f"copy{number}", what, statement)
        if isinstance(query, Waiting):
            return query
        copied += _copied(work, number, attempt.answer(f"copy{number}", what, query))
    what = f"add up the staged rows of {work.share.name}"
    query = attempt.done("sums", what, plan.measure[1])
    if isinstance(query, Waiting):
        return query
    added = sums(attempt.answer("sums", what, query).rows[0])
    rows = int(work.run("count the staged rows", plan.measure[0]).rows[0][0])
    checks = [*gate.staged(work.manifest, copied, rows, added)]
    gate.refuse_unpublished(checks, work.where)
    found = _keys(work, attempt, plan)
    if isinstance(found, Waiting):
        return found
    told = len(checks) + len(found)
    attempt.note(checks=told, what=f"{told} checks of the staged rows have passed")
    return None


def _keys(work: Loading, attempt: Attempt, plan: LoadPlan) -> list[Check] | Waiting:
    """Judge the keys of an upsert; the second statement joins the whole target."""
    counts: list[int] = []
    for number, statement in enumerate(plan.keys):
        what = f"check the keys of {work.share.name}"
        query = attempt.done(f"keys{number}", what, statement)
        if isinstance(query, Waiting):
            return query
        counts += [int(value) for value in attempt.answer(f"keys{number}", what, query).rows[0]]
    checks = list(gate.keys(counts[:2], counts[2])) if counts else []
    if checks:
        gate.refuse_unpublished(checks, work.where)
    return checks


def _copied(work: Loading, number: int, told: Answer) -> list[CopiedFile]:
    """Read COPY INTO's answer. One without files says that all were loaded before: the staging table itself tells."""
    rows = [_lower(row) for row in rows_of(told)]
    if rows and "file" not in rows[0]:
        files = [item for item in work.manifest.files if item.rows]
        chunk = files[number * sql.MOST_FILES : (number + 1) * sql.MOST_FILES]
        return [CopiedFile(file=item.name, status=gate.SKIPPED, rows_parsed=0, rows_loaded=0) for item in chunk]
    return [
        CopiedFile(
            file=str(row["file"]),
            status=str(row["status"]),
            rows_parsed=int(row["rows_parsed"] or 0),
            rows_loaded=int(row["rows_loaded"] or 0),
            errors_seen=int(row.get("errors_seen") or 0),
            first_error=str(row.get("first_error") or ""),
        )
        for row in rows
    ]

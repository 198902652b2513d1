"""The way of exported files into a Snowflake table: staged, proven, then published in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.engines.snowflake.describing import comment, describe
from icebridge_provider.exceptions import ConfigurationError, FencedOut, IceBridgeError, TransientError
from icebridge_provider.model import codec
from icebridge_provider.model.event import LedgerEvent, Outcome, Step
from icebridge_provider.model.running import Waiting
from icebridge_provider.model.share import RESULT, Published, Share, ShareResult
from icebridge_provider.model.snowflake import LoadPlan, LoadRecord, LoadState, Mode, Statement
from icebridge_provider.planning.snowflake import gate
from icebridge_provider.planning.snowflake.load import LoadOptions, new_record, plan_load, written_by_people
from icebridge_provider.planning.snowflake.load import comment as commented
from icebridge_provider.planning.snowflake.manifest import refuse_new_shape, refuse_other_load
from icebridge_provider.planning.snowflake.names import staging_name
from icebridge_provider.planning.snowflake.schema import fit_columns, key_columns
from icebridge_provider.sql import snowflake as sql
from icebridge_provider.steps.lease import HeldLease, kept
from icebridge_provider.steps.share_export import exported
from icebridge_provider.steps.share_looks import schema_options
from icebridge_provider.steps.share_site import ShareSite
from icebridge_provider.steps.share_staging import Loading, prepare, rows_of, staged
from icebridge_provider.steps.share_swap import leftovers, swap_in
from icebridge_provider.steps.share_tries import Attempt, Try, last_try, record_failure, refuse_other_share

ROUNDS = 5
_DROPPED = 20  # staging tables of earlier tries that are looked for at the end


def load_under(site: ShareSite, share: Share, held: HeldLease) -> ShareResult | Waiting:
    """Do what can be done of a load; see :func:`icebridge_provider.steps.share.load`."""
    events = list(site.ledger.events(share.run_id, share.name))
    refuse_other_share(events, share)
    done = next((event for event in reversed(events) if _ended(event)), None)
    if done is not None:
        return _kept(site, share, replace(codec.from_json(ShareResult, dict(done.data)), again=True))
    manifest = exported(site, share, events)
    if manifest is None:
        raise _not_exported(share)
    work = Loading(site=site, share=share, held=held, manifest=manifest)
    try:
        return _loaded(work)
    except IceBridgeError as error:
        last = last_try(work.events(), Step.LOAD)
        record_failure(site, share, Step.LOAD, held, error, last.number if last else None)
        raise


def _ended(event: LedgerEvent) -> bool:
    return event.step is Step.LOAD and event.outcome is Outcome.DONE


def _loaded(work: Loading) -> ShareResult | Waiting:
    """Look how far it is, go on from there, and look again: another process may have been quicker."""
    last = last_try(work.events(), Step.LOAD)
    if last is None or not last.facts.get("prepared"):
        with side_effect("load.loads"):
            work.run("make the table of loads", Statement(text=sql.create_loads(work.control)))
    for _ in range(ROUNDS):
        record = _record(work)
        if record is not None and record.state is LoadState.LOADED:
            return _finished(work, record)
        if record is not None and record.state is LoadState.SWAPPING:
            swap_in(work.site, work.share, work.held, record)
            continue
        attempt = _attempt(work, record)
        if attempt is not None:
            waiting = _tried(work, attempt)
            if waiting is not None:
                return waiting
    raise TransientError(
        "IB-946",
        f"Another process loads {work.share.name} at the same time.",
        remedy="Wait for it; this one tries again by itself.",
        share=work.share.name,
    )


def _record(work: Loading) -> LoadRecord | None:
    """Return the load's row.

    :raises ConfigurationError: IB-913 when it is of other files.
    """
    told = work.run("look for the load", sql.look_load(work.control, work.key))
    for row in rows_of(told):
        values = {name: row[name.upper()] for name in ("run_key", "run_id", "target", "manifest")}
        record = LoadRecord(
            **values,
            mode=Mode(row["MODE"]),
            rows_exported=int(row["ROWS_EXPORTED"]),
            state=LoadState(row["STATE"]),
            generation=int(row["GENERATION"]),
        )
        refuse_other_load(record, work.manifest)
        return record
    return None


# Tries


def _attempt(work: Loading, record: LoadRecord | None) -> Attempt | None:
    """Go on with the try that the row tells of, or begin one; None when the row has changed meanwhile."""
    last = last_try(work.events(), Step.LOAD)
    if record is not None and last is not None and last.number == record.generation and _goes_on(last):
        if last.failed:
            _start(work, last.number)
        return _attempt_of(work, last)
    generation = _counted(work, record)
    if generation is None:
        return None
    return _attempt_of(work, _start(work, generation))


def _goes_on(last: Try) -> bool:
    """Whether a try can be gone on with: its staging table was made, and its transaction not begun."""
    return not last.over and bool(last.facts.get("prepared")) and not last.facts.get("publishing")


def _counted(work: Loading, record: LoadRecord | None) -> int | None:
    """Make a new try's number known in Snowflake, so that no older one can publish any more."""
    if record is None:
        first = new_record(work.manifest, work.share.place, work.share.mode)
        with side_effect("load.begin"):
            work.run("begin the load", sql.begin_load(work.control, first))
        found = _record(work)
        fresh = found is not None and found.generation == 1 and found.state is LoadState.STAGING
        return 1 if fresh else None
    with side_effect("load.next_try"):
        told = work.run("begin another try of the load", sql.next_try(work.control, record))
    return record.generation + 1 if told.affected == 1 else None


def _start(work: Loading, generation: int) -> Try:
    at = work.site.now().isoformat(timespec="microseconds")
    told = {"generation": generation, "digest": work.share.digest, "manifest": work.manifest.digest, "at": at}
    work.site.record(work.share, Step.LOAD, Outcome.STARTED, told, work.held.keep())
    return Try(number=generation, started_at=at)


def _attempt_of(work: Loading, current: Try) -> Attempt:
    return Attempt(site=work.site, share=work.share, step=Step.LOAD, held=work.held, current=current)


def _tried(work: Loading, attempt: Attempt) -> Waiting | None:
    """Take one try as far as it goes; None when its transaction is over, whatever came of it."""
    record = replace(new_record(work.manifest, work.share.place, work.share.mode), generation=attempt.current.number)
    plan = _planned(work, record)
    if not attempt.current.facts.get("prepared"):
        prepare(work, attempt, plan)
    waiting = staged(work, attempt, plan)
    if waiting is None:
        _publish(work, attempt, plan)
    return waiting


def _planned(work: Loading, record: LoadRecord) -> LoadPlan:
    """Plan against the target as it is now."""
    share, target = work.share, work.share.place.target
    there = describe(work.site.target, target)
    schema = fit_columns(share.columns, there, schema_options(share), share.name)
    refuse_new_shape(work.manifest, schema)
    keys = key_columns(schema, share.keys, share.mode, there or ())
    kept = comment(work.site.target, target) if work.swaps and there is not None else None
    options = LoadOptions(mode=share.mode, publish=share.publish, keys=keys, comment=kept or "")
    return plan_load(work.manifest, schema, share.place, record, options)


def _publish(work: Loading, attempt: Attempt, plan: LoadPlan) -> None:
    def judge(found: Published) -> None:
        told = codec.to_json(found)
        checks = gate.published(work.share.mode, work.manifest.rows, **told)
        gate.refuse_commit(checks, work.where)
        work.held.keep(now=True)
        # Noted before COMMIT: whoever finds the load published knows by it what was done.
        attempt.note(judged=told, published_checks=len(checks), what="the rows are written; COMMIT follows")

    attempt.note(publishing=True, what=f"publish {work.share.name}")
    with kept(work.held, work.site.settings.lease_seconds), side_effect("load.publish"):
        work.site.target.publish(plan, judge)


# The end


def _finished(work: Loading, record: LoadRecord) -> ShareResult:
    """Label, clean up, and record a load that is published; each of it may have been done before."""
    last = last_try(work.events(), Step.LOAD)
    facts = last.facts if last is not None and last.number == record.generation else {}
    judged = facts.get("judged")
    warnings = [*_labelled(work, record), *_cleaned(work, record)]
    manifest = work.manifest
    result = ShareResult(
        run_id=work.share.run_id,
        name=work.share.name,
        mode=work.share.mode,
        rows=manifest.rows,
        files=len(manifest.files),
        bytes=sum(item.size for item in manifest.files),
        fingerprint=manifest.fingerprint,
        published=codec.from_json(Published, judged) if judged else None,
        again=not judged,
        limited=manifest.limited,
        stale=tuple(facts.get("stale", ())),
        warnings=tuple(warnings),
        checks=int(facts.get("checks", 0)) + int(facts.get("published_checks", 0)),
    )
    _kept(work.site, work.share, result)
    work.site.record(work.share, Step.LOAD, Outcome.DONE, codec.to_json(result), work.held.keep())
    return result


def _kept(site: ShareSite, share: Share, result: ShareResult) -> ShareResult:
    """Keep the newest result for reports."""
    site.ledger.save_document(RESULT, share.document, codec.to_json(result))
    return result


def _labelled(work: Loading, record: LoadRecord) -> list[str]:
    """Say in the target's comment that its rows are not all, or that they are again; a swapped one says it already."""
    is_all = not work.manifest.limited
    if work.swaps or (is_all and work.share.mode is not Mode.REPLACE):
        return []
    target = work.share.place.target

    def label() -> None:
        kept = comment(work.site.target, target) or ""
        if is_all and written_by_people(kept) == kept.splitlines():
            return
        text = commented(work.manifest, record, kept)
        with side_effect("load.label"):
            work.run("label the target", Statement(text=sql.set_comment(target, text)))

    return _harmless("The comment of the target does not say that its rows are LIMITED", label)


def _cleaned(work: Loading, record: LoadRecord) -> list[str]:
    """Drop the staging tables of all tries, and what was swapped out."""

    def clean() -> None:
        first = max(1, record.generation - _DROPPED)
        tables: list[Sequence[str]] = [
            (*work.control, staging_name(work.key, number)) for number in range(first, record.generation + 1)
        ]
        tables += leftovers(work.site, work.share, work.key) if work.swaps else []
        for table in tables:
            work.held.keep()
            with side_effect("load.clean"):
                work.run("clean up", Statement(text=sql.drop_table(table)))

    return _harmless("Tables of this load were left behind", clean)


def _harmless(what: str, call: Any) -> list[str]:
    """Call, and tell a failure as a warning: the rows are where they belong."""
    try:
        call()
    except FencedOut:
        raise
    except IceBridgeError as error:
        return [f"{what}: {error}"]
    return []


def _not_exported(share: Share) -> ConfigurationError:
    return ConfigurationError(
        "IB-941",
        f"{share.name} was not exported in the run {share.run_id[:200]!r}, so there is nothing to load.",
        remedy="Run the export first.",
        share=share.name,
    )

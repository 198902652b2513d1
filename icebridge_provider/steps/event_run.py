"""One claimed event, from the decision to the row in the target's inbox."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import IceBridgeError, PreflightFailed, TransientError
from icebridge_provider.model.bridge import FINAL, BridgeEvent, EventStatus, Grant, Settled, TargetTable, Work
from icebridge_provider.planning import event_rules
from icebridge_provider.planning.event_outcome import used_id
from icebridge_provider.steps.sync_site import SyncSite

LONGEST_MESSAGE = 4000
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """The event is given back. ``tried`` False: nothing was begun, a side did not answer (``outage``)."""

    message: str
    tried: bool = True
    outage: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An event, judged: what the target does, and what is read from the source."""

    work: Work
    sources: Mapping[str, str]
    filters: Mapping[str, str]
    pin: str


def run(site: SyncSite, event: BridgeEvent, tables: dict[str, TargetTable], found: Settled | None) -> Settled | Later:
    """Bring one claimed event to its end, or say that it must be tried later.

    :param found: what the target's inbox held of it after the claim.
    """
    if found is not None:
        if found.payload != event.payload:
            return _used_id(event)
        if found.status in FINAL:
            return found
    if event.attempt > site.options.max_attempts:
        return _settle_failed(site, event, _too_often(site, event))
    return _attempt(site, event, tables)


def job_of(site: SyncSite, event: BridgeEvent, tables: dict[str, TargetTable]) -> Job:
    """Judge an event by the permissions, both tables and its own shape; nothing is changed.

    :raises IceBridgeError: IB-840 to IB-847 when it can never run, a transient error when a side does not answer.
    """
    event_rules.check_shape(event)
    grant = _permitted(site, event)
    if event.target_table not in tables:
        tables[event.target_table] = site.again(lambda: site.target.table(event.target_table))
    pin = site.again(lambda: site.source.pin(event.source_table))
    columns = site.again(lambda: site.source.columns(event.source_table))
    work, sources, filters = event_rules.work_of(
        event, tables[event.target_table], columns, grant, strict=site.options.strict, released=site.released(event)
    )
    return Job(work=work, sources=sources, filters=filters, pin=pin)


def rows_of(site: SyncSite, job: Job) -> Any:
    """Return the event's rows from the source, under the target's names."""
    wanted = list(job.sources.values())
    reader = site.source.read(job.work.event.source_table, job.pin, wanted, job.filters)
    return _renamed(reader, list(job.sources))


def _attempt(site: SyncSite, event: BridgeEvent, tables: dict[str, TargetTable]) -> Settled | Later:
    try:
        job = job_of(site, event, tables)
    except TransientError as error:
        return Later(message=str(error), tried=False, outage=True)
    except Exception as error:  # noqa: BLE001 - a poison event must not stop the others
        return _poison(site, event, error)
    try:
        with side_effect("apply.rows"):
            settled: Settled = site.again(lambda: site.target.apply(job.work, rows_of(site, job)))
    except TransientError as error:
        return _after_failure(site, event, error)
    except Exception as error:  # noqa: BLE001 - as above
        return _poison(site, event, error)
    return settled


def _poison(site: SyncSite, event: BridgeEvent, error: Exception) -> Settled | Later:
    """A refusal ends the event; what nobody foresaw may pass, so it is tried again until its attempts are used up."""
    if isinstance(error, IceBridgeError):
        return _settle_failed(site, event, error)
    _LOG.error("Event %s of sync %s", event.event_id, site.options.name, exc_info=error)
    return _after_failure(site, event, error)


def _after_failure(site: SyncSite, event: BridgeEvent, error: Exception) -> Settled | Later:
    """Look whether it was done after all; a target that does not answer even to that has not tried the event."""
    try:
        found = site.again(lambda: site.target.settled([event.event_id])).get(event.event_id)
    except TransientError as outage:
        return Later(message=str(outage), tried=False, outage=True)
    if found is not None and (found.status in FINAL or found.attempt >= event.attempt):
        return _used_id(event) if found.payload != event.payload else found
    if event.attempt >= site.options.max_attempts:
        return _settle_failed(site, event, error)
    return Later(message=_text(error))


def _permitted(site: SyncSite, event: BridgeEvent) -> Grant:
    try:
        rights = site.permissions.rights()
    except IceBridgeError as error:  # a broken file is no verdict on an event
        raise _no_permissions(error) from None
    try:
        grant = event_rules.check_permission(event, rights)
    except PreflightFailed:
        audit(site, event, "permission_denied")
        raise
    audit(site, event, "permission_granted")
    return grant


def audit(site: SyncSite, event: BridgeEvent, kind: str) -> None:
    """Write one line of the audit record about an event."""
    site.permissions.audit(event_type=kind, resource=event.target_table, action=event.operation, detail=event.event_id)


def _no_permissions(error: IceBridgeError) -> TransientError:
    return TransientError(
        "IB-859",
        f"The permissions of the sync cannot be read: {error.message}",
        remedy=f"{error.remedy} Events wait until then.",
    )


def _settle_failed(site: SyncSite, event: BridgeEvent, error: Exception) -> Settled | Later:
    """Write into the inbox that it failed, unless it has ended otherwise: then that stands."""
    failed = _failed(event, error)
    try:
        with side_effect("apply.settle"):
            settled: Settled = site.again(lambda: site.target.settle(failed))
    except TransientError as outage:
        return Later(message=str(outage), tried=False, outage=True)
    return settled if settled.payload == event.payload else _used_id(event)


def _failed(event: BridgeEvent, error: Exception) -> Settled:
    return Settled(
        event_id=event.event_id,
        payload=event.payload,
        attempt=event.attempt,
        status=EventStatus.FAILED,
        rows_expected=event.rows_expected,
        error_message=_text(error),
    )


def _used_id(event: BridgeEvent) -> Settled:
    """How an event ends whose id stands in the inbox for something else: that stays as it is."""
    return _failed(event, used_id(event.event_id))


def _too_often(site: SyncSite, event: BridgeEvent) -> IceBridgeError:
    last = f" The last time: {event.error_message}" if event.error_message else ""
    return PreflightFailed(
        "IB-853",
        f"Event {event.event_id!r} was begun {site.options.max_attempts} times and never came to an end.{last}",
        remedy="Look at the worker's log for what ended it, mend that, then emit the event anew.",
        event_id=event.event_id,
    )


def _text(error: Exception) -> str:
    if isinstance(error, IceBridgeError):
        return str(error)[:LONGEST_MESSAGE]
    return f"[IB-857] An adapter failed unexpectedly ({type(error).__name__}); the worker's log has the details."


def _renamed(reader: Any, names: list[str]) -> Any:
    import pyarrow as pa

    if reader.schema.names == names:
        return reader
    schema = pa.schema([field.with_name(name) for field, name in zip(reader.schema, names, strict=True)])

    def batches() -> Iterator[Any]:
        for batch in reader:
            yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())

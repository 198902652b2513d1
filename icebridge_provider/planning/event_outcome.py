"""How an event ended, from what its statements hit. Pure; the same for every target."""

from __future__ import annotations

from dataclasses import replace

from icebridge_provider.exceptions import ConfigurationError, PreflightFailed
from icebridge_provider.model.bridge import EventStatus, Operation, Settled, Work


def judged(work: Work, *, staged: int, affected: int) -> Settled:
    """Return how an event ends whose statement hit ``affected`` rows, with ``staged`` rows from the source.

    Anything but ``completed`` means that the rows must be rolled back. ``discrepancy`` is expected minus affected.
    """
    event = work.event
    expected = staged if event.rows_expected is None else event.rows_expected
    settled = Settled(
        event_id=event.event_id,
        payload=event.payload,
        attempt=event.attempt,
        status=EventStatus.COMPLETED,
        rows_expected=expected,
    )
    over = work.most_deleted is not None and affected > work.most_deleted
    if event.operation == Operation.DELETE and over:
        message = (
            f"[IB-849] DELETE on {work.table.path} would delete {affected} rows, {work.most_deleted} are allowed. "
            "A person must release or reject it. Nothing changed."
        )
        return replace(settled, status=EventStatus.BLOCKED, error_message=message)
    warning = _warning(work, expected, staged, affected)
    if warning and work.strict:
        message = f"[IB-848] {warning} This sync is strict, so the rows were rolled back. Nothing changed."
        return replace(settled, status=EventStatus.FAILED, error_message=message)
    return replace(settled, rows_affected=affected, discrepancy=expected - affected, warning=warning)


def refused_keys(work: Work, *, nulls: int, twice: int) -> PreflightFailed:
    """Return the error for staged rows whose keys do not identify one row each.

    :param nulls: rows with a NULL in a key column.
    :param twice: keys that are equal under the target's collation.
    """
    keys = ", ".join(work.keys)
    problem = f"{nulls} rows have a NULL in it" if nulls else f"{twice} keys stand in it more than once"
    return PreflightFailed(
        "IB-846",
        f"The rows of event {work.event.event_id!r} cannot be told apart by {keys} of {work.table.path}: {problem}.",
        remedy=f"Correct the rows in {work.event.source_table} (keys count as equal as the target compares them), then "
        "emit the event anew.",
        event_id=work.event.event_id,
        table=work.table.path,
    )


def used_id(event_id: str) -> ConfigurationError:
    """Return the error for an id that stands in the inbox for something else, which stays as it is."""
    return ConfigurationError(
        "IB-843",
        f"event_id {event_id!r} was used before for another event.",
        remedy="Emit this event anew under an event_id of its own.",
        event_id=event_id,
    )


def _warning(work: Work, expected: int, staged: int, affected: int) -> str:
    if expected == affected:
        return ""
    return (
        f"{work.event.operation} on {work.table.path} affected {affected} rows, {expected} were expected"
        f" ({staged} came from {work.event.source_table})."
    )

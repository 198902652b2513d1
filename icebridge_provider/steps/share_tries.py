"""Tries of an export or a load as the ledger knows them, and statements that are followed from call to call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import (
    ConfigurationError,
    FencedOut,
    IceBridgeError,
    LimitExceeded,
    TransientError,
)
from icebridge_provider.model.event import LedgerEvent, Outcome, Step
from icebridge_provider.model.running import Answer, QueryState, QueryStatus, Waiting
from icebridge_provider.model.share import Share
from icebridge_provider.model.snowflake import Statement
from icebridge_provider.planning.snowflake.names import query_tag, run_key
from icebridge_provider.ports import SqlRunner
from icebridge_provider.steps.lease import HeldLease
from icebridge_provider.steps.share_site import ShareSite

NUMBER = {Step.EXPORT: "try", Step.LOAD: "generation"}  # what a try's number is called in events
FIRST = {Step.EXPORT: "export", Step.LOAD: "copy0"}  # our name for the first long statement of a try
SIDE = {Step.EXPORT: "source", Step.LOAD: "target"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One try of an export or a load.

    :param started_at: when it was first begun, ISO 8601.
    :param over: no statement may be started in it any more; the next one has another number.
    :param failed: a call of it failed last; the try itself may go on.
    :param queries: ids of started statements, by our name for them.
    :param lost: how often the answer of a statement that was done could not be had.
    :param facts: everything else that was noted.
    """

    number: int
    started_at: str
    over: bool = False
    failed: bool = False
    queries: Mapping[str, str] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def last_try(events: Iterable[LedgerEvent], step: Step) -> Try | None:
    """Return the newest try of a step, None before the first."""
    found: Try | None = None
    for event in events:
        if event.step is step:
            found = _after(found, event, NUMBER[step])
    return found


def _after(current: Try | None, event: LedgerEvent, key: str) -> Try | None:
    data = event.data
    number = int(data.get(key, 0))
    if event.outcome is Outcome.STARTED:
        if current is not None and current.number == number:
            return replace(current, failed=False)
        return Try(number=number, started_at=str(data.get("at", event.at)))
    if current is None or current.number != number:
        return current
    if event.outcome is Outcome.FAILED:
        return replace(current, failed=True, over=current.over or not data.get("retryable"))
    return _noted(current, data) if event.outcome is Outcome.PROGRESS else current


def _noted(current: Try, data: Mapping[str, Any]) -> Try:
    queries, lost = dict(current.queries), dict(current.lost)
    if data.get("query_id"):
        queries[str(data["statement"])] = str(data["query_id"])
    if data.get("forget"):
        queries.pop(str(data["forget"]), None)
    if data.get("lost"):
        lost[str(data["lost"])] = lost.get(str(data["lost"]), 0) + 1
    facts = {**current.facts, **data}
    return replace(current, queries=queries, lost=lost, facts=facts, over=current.over or bool(data.get("over")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A try that this process works on, holding the lease."""

    site: ShareSite
    share: Share
    step: Step
    held: HeldLease
    current: Try

    @property
    def until(self) -> datetime:
        """When it will have taken too long."""
        return datetime.fromisoformat(self.current.started_at) + timedelta(seconds=self.site.preset.timeout_seconds)

    @property
    def _runner(self) -> SqlRunner:
        return self.site.source if self.step is Step.EXPORT else self.site.target

    def note(self, **data: Any) -> None:
        """Record something of this try.

        :raises FencedOut: IB-110 when another process has taken over.
        """
        told = {NUMBER[self.step]: self.current.number, **data}
        self.site.record(self.share, self.step, Outcome.PROGRESS, told, self.held.keep())

    def done(self, name: str, what: str, statement: Statement, *, once: bool = False) -> str | Waiting:
        """Start a statement or look at it; return its id when it is done.

        :param name: ours for it, the same in every call; no two statements of a try share one.
        :param once: when it fails, the whole try is over.
        :raises TransientError: IB-942 when it may succeed in another call.
        :raises ConfigurationError: IB-943 when it failed, or was cancelled by somebody.
        :raises LimitExceeded: IB-940 when it takes too long; it is cancelled.
        """
        query_id = self.current.queries.get(name) or self._started(name, what, statement)
        status = self._runner.look(query_id)
        if status.state is QueryState.DONE:
            return query_id
        if status.state is QueryState.RUNNING:
            if self.site.now() > self.until:
                raise self._too_long(what, query_id)
            return Waiting(side=SIDE[self.step], query_id=query_id, what=what, until=self.until.isoformat())
        self.note(forget=name, over=once, what=f"{what}: {status.state.value}")
        raise _stopped(self.share, what, status, self._runner.name)

    def answer(self, name: str, what: str, query_id: str) -> Answer:
        """Return the rows of a statement that is done.

        :raises TransientError: when they cannot be had; the next call starts it again.
        """
        try:
            return self._runner.answer(query_id)
        except TransientError:
            self.note(forget=name, lost=name, what=f"{what}: its answer could not be read")
            raise

    def _started(self, name: str, what: str, statement: Statement) -> str:
        # The first lost answer may have been the network's fault: the same tag finds the statement again. After the
        # second its result is gone, and only another tag has it run again.
        number = self.current.lost.get(name, 0) // 2
        tag = query_tag(tag_key(self.share), self.current.number, name, number)
        self.held.keep(now=True)
        with side_effect("share.start"):
            query_id = self._runner.start(what, statement, tag)
        self.note(statement=name, query_id=query_id, what=what)
        return query_id

    def _too_long(self, what: str, query_id: str) -> LimitExceeded:
        with side_effect("share.cancel"):
            self._runner.cancel(query_id)
        minutes = self.site.preset.timeout_seconds / 60
        return LimitExceeded(
            "IB-940",
            f"To {what} took longer than {minutes:g} minutes, counted from {self.current.started_at}.",
            remedy="Share fewer rows (where, limit), take a larger warehouse, or clear the task to try again.",
            changed="The statement was cancelled; nothing of this try was loaded.",
            query_id=query_id,
        )


def tag_key(share: Share) -> str:
    """Return what the tags of a share's statements begin with."""
    return run_key(share.run_id, (*share.source, *share.place.target))


def running(runner: SqlRunner, share: Share, step: Step, last: Try) -> list[str]:
    """Return the statements of a try that run; its first one is looked for by tag when its id was not noted."""
    known = dict(last.queries)
    first = FIRST[step]
    if first not in known:
        known[first] = runner.find(query_tag(tag_key(share), last.number, first))
    return [found for found in known.values() if found and runner.look(found).state is QueryState.RUNNING]


def record_failure(
    site: ShareSite, share: Share, step: Step, held: HeldLease, error: IceBridgeError, number: int | None
) -> None:
    """Record that a call failed; ``retryable`` leaves the try as it is.

    Of a lost lease nothing is said: somebody else writes this share's history now.
    """
    if isinstance(error, FencedOut):
        return
    told: dict[str, Any] = {
        "code": error.code,
        "message": str(error),
        "remedy": error.remedy,
        "retryable": error.retryable,
    }
    if number is not None:
        told[NUMBER[step]] = number
    site.record(share, step, Outcome.FAILED, told, held.lease)


def refuse_other_share(events: Iterable[LedgerEvent], share: Share) -> None:
    """Make sure that what the ledger knows of this run and table is of this very share.

    :raises ConfigurationError: IB-913 when the run id was used before for something else.
    """
    begun = (event for event in events if event.outcome is Outcome.STARTED)
    other = next((event for event in begun if event.data.get("digest", share.digest) != share.digest), None)
    if other is not None:
        raise ConfigurationError(
            "IB-913",
            f"The run id {share.run_id[:200]!r} was used before for {share.name}, with other parameters, at"
            f" {other.at}.",
            remedy="Start a new run: every run has an id of its own.",
            run_id=share.run_id,
        )


def _stopped(share: Share, what: str, status: QueryStatus, runner: str) -> IceBridgeError:
    said = f"[{status.code}] {status.message}" if status.code else status.message
    facts = {"conn_id": runner, "share": share.name, "error_class": status.code}
    if status.state is QueryState.GONE or status.retryable:
        why = said or "the system that ran it does not know it any more"
        return TransientError(
            "IB-942",
            f"{runner} could not {what}: {why}.",
            remedy="It is tried again by itself.",
            changed="Nothing was loaded.",
            **facts,
        )
    if status.state is QueryState.CANCELLED:
        return ConfigurationError(
            "IB-943",
            f"Somebody cancelled the statement to {what} on {runner}. {said}".strip(),
            remedy="Clear the task to try again.",
            changed="Nothing was loaded.",
            **facts,
        )
    return ConfigurationError(
        "IB-943",
        f"{runner} could not {what}: {said or 'it does not say why'}.",
        remedy="Mend what it names, then clear the task; the statement is in the query history.",
        changed="Nothing was loaded.",
        **facts,
    )

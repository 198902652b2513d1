"""Events that were claimed together: each gets its turn, then the ledger and the queue are told how all ended."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import TransientError
from icebridge_provider.model.bridge import FINAL, BridgeEvent, EventStatus, Settled, TargetTable
from icebridge_provider.model.event import LedgerEvent, Outcome
from icebridge_provider.planning.events import Order
from icebridge_provider.steps import event_run
from icebridge_provider.steps.event_run import Later
from icebridge_provider.steps.sync_site import SyncSite

_OUTCOMES = {EventStatus.COMPLETED: Outcome.DONE, EventStatus.FAILED: Outcome.FAILED}
_INTERRUPTED = Later(message="The worker was interrupted while it did this event.")


@dataclass(slots=True, kw_only=True)
class Batch:
    """One claim's events and what became of each; ``outage`` says what did not answer.

    :param still_open: ids of events of these lanes that have not ended; who has ended is taken out.
    """

    site: SyncSite
    ordered: Order
    claimed: Sequence[BridgeEvent]
    still_open: set[str]
    tables: dict[str, TargetTable]
    results: list[Settled | Later] = field(default_factory=list)
    outage: str = ""

    def run(self) -> None:
        """Run the events one after the other; whatever happens, the ledger and the queue are told in the end."""
        began = False
        try:
            until = time.monotonic() + self.site.options.lease_seconds / 2
            inbox = self.site.again(lambda: self.site.target.settled([event.event_id for event in self.claimed]))
            self.site.record([self.site.line(event.event_id, Outcome.STARTED, facts(event)) for event in self.claimed])
            for event in self.claimed:
                began = True
                self.results.append(self._turn(event, until, inbox))
                began = False
        except TransientError as error:
            self.outage = str(error)
        finally:
            self._fill_up(began=began)
            try:
                self._tell_ledger()
            finally:
                self._tell_queue()

    def pairs(self) -> list[tuple[BridgeEvent, Settled | Later]]:
        """Each event with what became of it."""
        return list(zip(self.claimed, self.results, strict=True))

    def _turn(self, event: BridgeEvent, until: float, inbox: Mapping[str, Settled]) -> Settled | Later:
        if self.outage or time.monotonic() > until:
            return Later(message=event.error_message, tried=False)
        blocker = self.ordered.blocker(event.event_id, self.still_open)
        if blocker:
            return Later(message=event.error_message, tried=False)
        result = event_run.run(self.site, event, self.tables, inbox.get(event.event_id))
        if isinstance(result, Later):
            self.outage = result.message if result.outage else ""
        elif result.status in FINAL:
            self.still_open.discard(event.event_id)
        return result

    def _fill_up(self, *, began: bool) -> None:
        """Give back what had no turn; only an event in whose midst the worker was interrupted counts as tried."""
        for event in self.claimed[len(self.results) :]:
            self.results.append(_INTERRUPTED if began else Later(message=event.error_message, tried=False))
            began = False

    def _tell_queue(self) -> None:
        """How events ended in one call, those given back by their reason."""
        done = [(event, result) for event, result in self.pairs() if isinstance(result, Settled)]
        if done:
            with side_effect("events.finish"):
                self.site.again(lambda: self.site.queue.finish(done))
        reasons: dict[tuple[str, bool], list[BridgeEvent]] = {}
        for event, result in self.pairs():
            if isinstance(result, Later):
                reasons.setdefault((result.message, result.tried), []).append(event)
        for (message, tried), events in reasons.items():
            self._give_back(events, message, tried=tried)

    def _give_back(self, events: Sequence[BridgeEvent], message: str, *, tried: bool) -> None:
        with side_effect("events.give_back"):
            self.site.again(lambda: self.site.queue.give_back(events, message, tried=tried))

    def _tell_ledger(self) -> None:
        lines: list[LedgerEvent] = []
        for event, result in self.pairs():
            if isinstance(result, Settled):
                outcome = _OUTCOMES.get(result.status, Outcome.REFUSED)
                lines.append(self.site.line(event.event_id, outcome, facts(event) | _result(result)))
                event_run.audit(self.site, event, f"event_{result.status.value}")
            elif result.tried:
                why: dict[str, object] = {"message": result.message, "retryable": True}
                lines.append(self.site.line(event.event_id, Outcome.FAILED, facts(event) | why))
        self.site.record(lines)


def facts(event: BridgeEvent) -> dict[str, object]:
    """Return what the ledger keeps of an event; who asked for it is recorded, never trusted."""
    return {
        "operation": event.operation,
        "source_table": event.source_table,
        "target_table": event.target_table,
        "attempt": event.attempt,
        "requested_by": event.metadata.get("requested_by", ""),
    }


def _result(settled: Settled) -> dict[str, object]:
    return {
        "status": settled.status.value,
        "rows_expected": settled.rows_expected,
        "rows_affected": settled.rows_affected,
        "discrepancy": settled.discrepancy,
        "message": settled.error_message or settled.warning,
    }

"""Prometheus metrics, read from the ledger when they are asked for.

Process counters would be wrong here: every worker of the API server has its own. Labels are bounded: states and
steps, never tables or plans.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from icebridge_provider.model.event import LedgerEvent, Outcome, State, Step, TableState, apply

if TYPE_CHECKING:
    from icebridge_provider.ports import Ledger

CONTENT_TYPE = CONTENT_TYPE_LATEST
KEPT_SECONDS = 5.0


class Metrics:
    """The text of one scrape, kept for five seconds so that scrapers cannot load the ledger.

    :param open_ledger: opens the ledger or raises; then ``icebridge_up`` is 0 and the rest is left out.
    """

    def __init__(self, open_ledger: Callable[[], Ledger], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(LedgerCollector(open_ledger))
        self._made_at = float("-inf")
        self._text = b""

    def text(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        with self._lock:
            if self._clock() - self._made_at >= KEPT_SECONDS:
                self._text = generate_latest(self._registry)
                self._made_at = self._clock()
            return self._text


class LedgerCollector:
    """Adds up the ledger; keeps what it has read, so that each scrape reads only the events since the last."""

    def __init__(self, open_ledger: Callable[[], Ledger]) -> None:
        self._open = open_ledger
        self._totals = Totals()

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics of this moment."""
        start = time.perf_counter()
        try:
            self._read(self._open())
        except Exception:  # noqa: BLE001 - a ledger that is down is a fact to report, not an error of the scrape
            self._totals = Totals()
            yield GaugeMetricFamily("icebridge_up", _UP, value=0)
            return
        yield GaugeMetricFamily("icebridge_up", _UP, value=1)
        yield from self._totals.families()
        spent = time.perf_counter() - start
        yield GaugeMetricFamily("icebridge_scrape_seconds", "Seconds this scrape took to read the ledger.", value=spent)

    def _read(self, ledger: Ledger) -> None:
        if not self._totals.continues(ledger):
            self._totals = Totals()
        self._totals.read(ledger)


class Totals:
    """Sums over all tables of all plans."""

    def __init__(self) -> None:
        self._seq = 0
        self._head = ""
        self._at = ""
        self._plans: set[str] = set()
        self._tables: dict[tuple[str, str], TableState] = {}
        self._failures: Counter[str] = Counter()
        self._applied: Counter[str] = Counter()

    def continues(self, ledger: Ledger) -> bool:
        """Whether the last event taken in is still in the ledger; after a restore it may not be."""
        if not self._seq:
            return True
        last = next(iter(ledger.events(after=self._seq - 1)), None)
        return last is not None and (last.seq, last.hash) == (self._seq, self._head)

    def read(self, ledger: Ledger) -> None:
        """Take in the events since the last call."""
        self._add(ledger.events(after=self._seq))

    def _add(self, events: Iterable[LedgerEvent]) -> None:
        for event in events:
            self._seq, self._head, self._at = event.seq, event.hash, event.at
            if event.plan_id.startswith(_SYNC):
                self._applied[event.outcome.value] += event.step is Step.APPLY
                continue
            if event.plan_id:
                self._plans.add(event.plan_id)
            if event.outcome is Outcome.FAILED:
                self._failures[event.step.value] += 1
            if event.table and event.plan_id:
                key = (event.plan_id, event.table)
                before = self._tables.get(key) or TableState(plan_id=event.plan_id, table=event.table)
                self._tables[key] = apply(before, event)

    def families(self) -> Iterator[Metric]:
        """Yield the sums as metrics."""
        yield GaugeMetricFamily("icebridge_plans", "Plans in the ledger.", value=len(self._plans))
        yield self._by_state("icebridge_tables", "Tables by state.", lambda _: 1)
        yield self._by_state("icebridge_bytes", "Bytes of the tables' last copies, by state.", _copied("bytes_copied"))
        yield self._by_state("icebridge_rows", "Rows of the tables' last copies, by state.", _copied("rows"))
        failures = CounterMetricFamily("icebridge_failures", "Failures of tables by step.", labels=["step"])
        for step in Step:
            failures.add_metric([step.value], self._failures[step.value])
        yield failures
        applied = CounterMetricFamily("icebridge_sync_events", "Bridge events by outcome.", labels=["outcome"])
        for outcome in _ENDS:
            applied.add_metric([outcome.value], self._applied[outcome.value])
        yield applied
        last = datetime.fromisoformat(self._at).timestamp() if self._at else 0
        yield GaugeMetricFamily("icebridge_last_event_timestamp_seconds", "When the last event happened.", value=last)

    def _by_state(self, name: str, text: str, amount: Callable[[TableState], float]) -> Metric:
        sums: Counter[State] = Counter()
        for table in self._tables.values():
            sums[table.state] += amount(table)  # type: ignore[assignment]
        family = GaugeMetricFamily(name, text, labels=["state"])
        for state in State:
            family.add_metric([state.value], sums[state])
        return family


def _copied(key: str) -> Callable[[TableState], float]:
    def amount(table: TableState) -> float:
        found: Any = table.copy.get(key, 0)
        return float(found) if isinstance(found, int | float) else 0.0

    return amount


_SYNC = "sync:"  # these lines are about events, of which there may be millions: they are counted, not kept
_ENDS = (Outcome.DONE, Outcome.FAILED, Outcome.REFUSED)
_UP = "1 when the ledger can be read."

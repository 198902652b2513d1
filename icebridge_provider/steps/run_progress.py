"""What a run elsewhere says of its tables while it goes on, as the ledger and a person get it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from icebridge_provider.model.event import Actor, LedgerEvent, Outcome, Step
from icebridge_provider.model.plan import MigrationPlan
from icebridge_provider.ports import Ledger

OVER = frozenset({"done", "found", "failed", "lost"})


class Told(Protocol):
    """What a run says of one table."""

    @property
    def staged(self) -> tuple[str, ...]:
        """Its staged name in parts: catalog, schema, table."""

    @property
    def state(self) -> str:
        """``copying``, ``done``, ``found``, ``failed`` or ``lost``."""

    @property
    def rows(self) -> int | None:
        """Rows copied, where the engine says so."""

    @property
    def seconds(self) -> float | None:
        """How long it took."""


class RunProgress:
    """Records each change once, as a ``progress`` event of its table; nothing is decided by these events.

    They carry ``run_state``, never a ``run_id``: a late word of an old run must not be taken for the run of a new
    attempt (:func:`icebridge_provider.steps.history.begun_copy`).
    """

    def __init__(self, ledger: Ledger, plan: MigrationPlan, step: Step, actor: Actor) -> None:
        self._ledger = ledger
        self._plan_id = plan.plan_id
        self._step = step
        self._actor = actor
        self._sources = {
            (*(part.casefold() for part in table.staged.namespace), table.staged.name.casefold()): str(table.source)
            for table in plan.tables
        }
        self._known: dict[str, str] = {}

    def take(self, told: Iterable[Told], run_id: str) -> str:
        """Record what is new.

        :returns: the whole in one line, empty when nothing is new.
        """
        found = {source: item for item in told if (source := self._source(item)) is not None}
        new = {source: item for source, item in found.items() if self._known.get(source) != item.state}
        if not new:
            return ""
        self._ledger.append_many([self._event(source, item, run_id) for source, item in new.items()])
        self._known.update({source: item.state for source, item in new.items()})
        return _line(found)

    def _source(self, item: Told) -> str | None:
        return self._sources.get(tuple(part.casefold() for part in item.staged[1:]))

    def _event(self, source: str, item: Told, run_id: str) -> LedgerEvent:
        data = {"run_state": item.state, "run": run_id, "rows": item.rows, "seconds": item.seconds}
        return LedgerEvent(
            plan_id=self._plan_id,
            table=source,
            step=self._step,
            outcome=Outcome.PROGRESS,
            actor=self._actor,
            data={key: value for key, value in data.items() if value is not None},
        )


def _line(found: dict[str, Told]) -> str:
    counts = Counter(item.state for item in found.values())
    over = sum(counts[state] for state in OVER)
    states = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    now = sorted(source for source, item in found.items() if item.state == "copying")[:3]
    return f"{over} of {len(found)} tables that were begun are over ({states})" + (
        f"; now {', '.join(now)}" if now else ""
    )

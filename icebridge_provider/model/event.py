"""The ledger's events, and the fold that turns them into the state of a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any


class Step(StrEnum):
    """What was being done."""

    INVENTORY = "inventory"
    PREFLIGHT = "preflight"
    PLAN = "plan"
    COPY = "copy"
    VALIDATE = "validate"
    SYNC = "sync"
    CERTIFY = "certify"
    APPROVE = "approve"
    CUT_OVER = "cut_over"
    ROLLBACK = "rollback"
    PURGE = "purge"
    WATCH = "watch"
    EXTRACT = "extract"
    APPLY = "apply"
    EXPORT = "export"
    LOAD = "load"


class Outcome(StrEnum):
    """How far it got. ``intent`` stands before one journaled action and carries its inverse; ``applied`` after it."""

    STARTED = "started"
    PROGRESS = "progress"
    INTENT = "intent"
    APPLIED = "applied"
    UNDONE = "undone"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"


class State(StrEnum):
    """States that users see."""

    DISCOVERED = "discovered"
    REFUSED = "refused"
    PLANNED = "planned"
    COPYING = "copying"
    COPIED = "copied"
    VALIDATED = "validated"
    AWAITING_APPROVAL = "awaiting approval"
    CUTTING_OVER = "cutting over"
    CUT_OVER = "cut over"
    LOADED = "loaded"
    ROLLED_BACK = "rolled back"
    PURGED = "purged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who did it and from where: an Airflow user or ``system``; host, DAG run, task and try, or ``cli``."""

    who: str = "system"
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEvent:
    """One line of the append-only record. ``seq``, ``at``, ``previous`` and ``hash`` are set by the ledger.

    ``table`` is ``str`` of the source identifier, or empty for events of a whole plan.
    """

    plan_id: str
    table: str
    step: Step
    outcome: Outcome
    actor: Actor = field(default_factory=Actor)
    data: Mapping[str, Any] = field(default_factory=dict)
    epoch: int = 0
    seq: int = 0
    at: str = ""
    previous: str = ""
    hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableState:
    """The fold over the events of one table in one plan.

    ``copy`` is the data of the last finished copy, sync or export, ``validation`` of the last verdict or load,
    ``certificate`` of the last certificate, ``applied`` the journaled actions in force, oldest first, ``intent`` one
    that was begun and whose outcome is unknown. ``failures`` counts terminal failures by step: the generation of its
    next token; what is tried again by itself (``retryable``) is none.
    """

    plan_id: str
    table: str
    state: State = State.DISCOVERED
    copy: Mapping[str, Any] = field(default_factory=dict)
    validation: Mapping[str, Any] = field(default_factory=dict)
    certificate: Mapping[str, Any] = field(default_factory=dict)
    approval: Mapping[str, Any] = field(default_factory=dict)
    applied: tuple[Mapping[str, Any], ...] = ()
    intent: Mapping[str, Any] | None = None
    failures: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""
    updated_at: str = ""


_DONE = {
    Step.INVENTORY: State.DISCOVERED,
    Step.PREFLIGHT: State.DISCOVERED,
    Step.PLAN: State.PLANNED,
    Step.COPY: State.COPIED,
    Step.SYNC: State.COPIED,
    Step.EXTRACT: State.COPIED,
    Step.EXPORT: State.COPIED,
    Step.LOAD: State.LOADED,
    Step.VALIDATE: State.VALIDATED,
    Step.CERTIFY: State.AWAITING_APPROVAL,
    Step.CUT_OVER: State.CUT_OVER,
    Step.ROLLBACK: State.ROLLED_BACK,
    Step.PURGE: State.PURGED,
}
_STARTED = {
    Step.COPY: State.COPYING,
    Step.EXTRACT: State.COPYING,
    Step.EXPORT: State.COPYING,
    Step.CUT_OVER: State.CUTTING_OVER,
}


def fold(events: Iterable[LedgerEvent], plan_id: str = "", table: str = "") -> TableState:
    """Return the state that ``events`` (of one table, oldest first) add up to."""
    state = TableState(plan_id=plan_id, table=table)
    for event in events:
        state = apply(state, event)
    return state


def apply(state: TableState, event: LedgerEvent) -> TableState:
    """Return ``state`` after one more event."""
    state = replace(state, updated_at=event.at, table=event.table, plan_id=event.plan_id)
    match event.outcome:
        case Outcome.STARTED:
            return replace(state, state=_STARTED.get(event.step, state.state), problem="")
        case Outcome.INTENT:
            return replace(state, intent=event.data)
        case Outcome.APPLIED:
            return replace(state, applied=(*state.applied, event.data), intent=None)
        case Outcome.UNDONE:
            left = tuple(action for action in state.applied if action.get("action") != event.data.get("action"))
            return replace(state, applied=left, intent=None)
        case Outcome.DONE:
            return _done(state, event)
        case Outcome.FAILED:
            failures = dict(state.failures)
            if not event.data.get("retryable"):
                failures[event.step.value] = failures.get(event.step.value, 0) + 1
            # a failed cut-over was undone: the proof still stands, the approval does not
            back = State.VALIDATED if event.step is Step.CUT_OVER else state.state
            return replace(state, state=back, failures=failures, problem=_problem(event))
        case Outcome.REFUSED:
            return replace(state, state=State.REFUSED, problem=_problem(event))
        case _:
            return state


def _problem(event: LedgerEvent) -> str:
    return str(event.data.get("message", ""))


def _done(state: TableState, event: LedgerEvent) -> TableState:
    reached = _DONE.get(event.step, state.state)
    if event.step is Step.SYNC and not event.data.get("moved", True):
        return replace(state, problem="")
    kept = {
        Step.COPY: "copy",
        Step.SYNC: "copy",
        Step.EXTRACT: "copy",
        Step.EXPORT: "copy",
        Step.LOAD: "validation",
        Step.VALIDATE: "validation",
        Step.CERTIFY: "certificate",
        Step.APPROVE: "approval",
    }.get(event.step)
    if kept is None:
        return replace(state, state=reached, problem="")
    changes: dict[str, Any] = {kept: event.data}
    return replace(state, state=reached, problem="", **changes)

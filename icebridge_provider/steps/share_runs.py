"""The history of shares: one ``SyncRun`` a run, read from the ledger, so that it outlives every restart.

Nothing is decided here. A run is known from :func:`opened` on; how far its tables are is what their events say last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from heapq import nlargest
from typing import Any

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model import codec
from icebridge_provider.model.event import LedgerEvent, Outcome, Step
from icebridge_provider.model.share import SHARE, Share
from icebridge_provider.planning.snowflake.presets import limited
from icebridge_provider.ports import Ledger

RUN = "share_run"  # kind of document: what is known of a run as a whole, by its id
MOST_RUNS = 200
MOST_LOGS = 1000


class Status(StrEnum):
    """Where a run, or one of its tables, is."""

    PENDING = "PENDING"
    EXPORTING = "EXPORTING"
    EXPORTED = "EXPORTED"
    LOADING = "LOADING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncTable:
    """One table of a run. ``rows`` and ``bytes`` are None until it is exported; ``again``: it was loaded before."""

    name: str
    status: Status
    mode: str
    rows: int | None = None
    bytes: int | None = None
    limited: str = ""
    again: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRun:
    """A run of shares.

    :param created_at: ISO 8601 in UTC, as ``updated_at``, the time of the last event.
    :param rows: of the tables that are exported.
    :param limited: why the rows are not all of the tables'; empty when they are.
    """

    id: str
    status: Status
    created_at: str
    updated_at: str = ""
    logs: tuple[str, ...] = ()
    tables: tuple[SyncTable, ...] = ()
    rows: int = 0
    limited: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values: ``id, status, logs, createdAt, updatedAt, rows, limited, tables``."""
        return {
            "id": self.id,
            "status": self.status.value,
            "logs": list(self.logs),
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
            "rows": self.rows,
            "limited": self.limited,
            "tables": codec.to_json(self.tables),
        }


def opened(ledger: Ledger, run_id: str, now: datetime | None = None) -> str:
    """Keep that a run exists, before anything else is done for it; a run that is known keeps its time.

    :returns: when it was opened first.
    """
    found = ledger.document(RUN, run_id)
    if found is None:
        found = {"created_at": (now or datetime.now(UTC)).isoformat(timespec="seconds")}
        ledger.save_document(RUN, run_id, found)
    return str(found["created_at"])


def runs(ledger: Ledger, limit: int = 50, logs: int = MOST_LOGS) -> list[SyncRun]:
    """Return the newest runs, the newest first.

    :param limit: how many, 1 to 200.
    :param logs: most lines of each run's log, its last ones.
    :raises ConfigurationError: IB-960 for another number of runs.
    """
    if not 1 <= limit <= MOST_RUNS:
        raise ConfigurationError(
            "IB-960", f"{limit} runs were asked for.", remedy=f"Ask for 1 to {MOST_RUNS}.", limit=limit
        )
    known = ((str(content["created_at"]), run_id) for run_id, content in ledger.documents(RUN))
    return [_run(ledger, run_id, created, logs) for created, run_id in nlargest(limit, known)]


def run(ledger: Ledger, run_id: str) -> SyncRun | None:
    """Return one run, None when the ledger knows none of this id."""
    found = ledger.document(RUN, run_id) if run_id else None
    return None if found is None else _run(ledger, run_id, str(found["created_at"]), MOST_LOGS)


def _run(ledger: Ledger, run_id: str, created: str, logs: int) -> SyncRun:
    events = [event for event in ledger.events(run_id) if event.step in _STEPS]
    by_table: dict[str, list[LedgerEvent]] = {}
    for event in events:
        by_table.setdefault(event.table, []).append(event)
    tables = tuple(_table(share, by_table.get(share.name, ())) for share in _shares(ledger, run_id))
    whole = _status(by_table.get("", ()))
    return SyncRun(
        id=run_id,
        status=whole if whole in _ENDED_BADLY else together([item.status for item in tables]),
        created_at=created,
        updated_at=events[-1].at if events else created,
        logs=tuple(_line(event) for event in events[-logs:]),
        tables=tables,
        rows=sum(item.rows or 0 for item in tables),
        limited="; ".join(sorted({item.limited for item in tables} - {""})),
    )


def _shares(ledger: Ledger, run_id: str) -> list[Share]:
    found = ledger.documents(SHARE, f"{run_id}/")
    # Another run's id may begin with this one's and a slash.
    mine = [codec.from_json(Share, content) for _, content in found if content["run_id"] == run_id]
    return sorted(mine, key=lambda share: share.name)


def together(found: Sequence[Status]) -> Status:
    """Return the state of a run by those of its tables: a failure is told at once, success when all have it."""
    states = set(found)
    if len(states) <= 1:
        return next(iter(states), Status.PENDING)
    for state in (Status.FAILED, Status.CANCELLED, Status.LOADING, Status.EXPORTING):
        if state in states:
            return state
    return Status.LOADING if Status.SUCCESS in states else Status.EXPORTING


def _table(share: Share, events: Sequence[LedgerEvent]) -> SyncTable:
    exported, loaded = (_last(events, step, Outcome.DONE) for step in (Step.EXPORT, Step.LOAD))
    told = {**exported, **loaded}
    status = _status(events)
    return SyncTable(
        name=share.name,
        status=status,
        mode=share.mode.value,
        rows=told.get("rows"),
        bytes=told.get("bytes"),
        limited=str(loaded.get("limited") or limited(share.limit, share.where)),
        again=bool(loaded.get("again")),
        problem=str(events[-1].data.get("message", "")) if status in _ENDED_BADLY else "",
    )


def _last(events: Iterable[LedgerEvent], step: Step, outcome: Outcome) -> Mapping[str, Any]:
    found: Mapping[str, Any] = {}
    for event in events:
        if (event.step, event.outcome) == (step, outcome):
            found = event.data
    return found


def _status(events: Sequence[LedgerEvent]) -> Status:
    """Return what the last event means. A failed try that is tried again is followed by other events."""
    if not events:
        return Status.PENDING
    last = events[-1]
    if last.outcome in {Outcome.FAILED, Outcome.REFUSED}:
        return Status.CANCELLED if last.data.get("cancelled") else Status.FAILED
    if last.step is Step.PLAN:
        return Status.PENDING
    if last.step is Step.EXPORT:
        return Status.EXPORTED if last.outcome is Outcome.DONE else Status.EXPORTING
    return Status.SUCCESS if last.outcome is Outcome.DONE else Status.LOADING


def _line(event: LedgerEvent) -> str:
    """Return one line of a log: time, step, outcome, table, and the facts that people look for."""
    data = event.data
    told = [str(data[key]) for key in ("what", "message") if data.get(key)]
    told += [f"{word} {data[key]}" for key, word in _NAMED.items() if data.get(key)]
    told += [f"{data[key]} {key}" for key in ("rows", "files", "bytes") if isinstance(data.get(key), int)]
    told += _published(data.get("published"))
    told += ["it had been loaded before"] if data.get("again") else []
    told += [f"warning: {item}" for item in data.get("warnings") or ()]
    head = " ".join(filter(None, (event.at, event.step.value, event.outcome.value, event.table)))
    return f"{head}: {', '.join(told)}" if told else head


def _published(told: Mapping[str, Any] | None) -> list[str]:
    """Return what the transaction did to the table, in words."""
    if not told:
        return []
    done = [f"{told[key]} {key}" for key in ("inserted", "updated", "deleted") if told.get(key)]
    return [", ".join([*done, f"the table had {told['before']} rows and has {told['after']}"])]


_STEPS = frozenset({Step.PLAN, Step.EXPORT, Step.LOAD})
_ENDED_BADLY = frozenset({Status.FAILED, Status.CANCELLED})
_NAMED = {"try": "try", "generation": "generation", "query_id": "query", "location": "to"}

"""The runs of shares with Snowflake, from the ledger alone: as JSON for programs, as a page for people."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from html import escape
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from icebridge_provider.plugins.api.health import KEPT_SECONDS
from icebridge_provider.steps.share_runs import Status, SyncRun, SyncTable, run, runs

if TYPE_CHECKING:
    from icebridge_provider.ports import Ledger

T = TypeVar("T")
LISTED = 50  # runs, where nobody says how many
LIST_LOGS = 20  # last lines of each run in a list; one run's own answer has all
REFRESH_SECONDS = 5
_RUNNING = frozenset({Status.PENDING, Status.EXPORTING, Status.EXPORTED, Status.LOADING})
_RUN_HEADS = ("run", "state", "started", "last event", "tables", "rows", "")
_TABLE_HEADS = ("table", "mode", "state", "rows", "bytes", "", "problem")
_UNREADABLE = "The ledger cannot be read."
_UNKNOWN = "No run of this id is known."


class Shares:
    """Answers about runs. Names come from catalogs: everything is escaped, and the page may load nothing.

    A list is kept for five seconds, so that pages that refresh themselves cannot load the ledger.
    """

    def __init__(self, open_ledger: Callable[[], Ledger], clock: Callable[[], float] = time.monotonic) -> None:
        self._open_ledger = open_ledger
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: tuple[float, int, list[SyncRun]] = (float("-inf"), 0, [])

    def recent(self, limit: int) -> tuple[int, Any]:
        """Return status and the newest runs as JSON; 503 without a ledger."""
        found = self._guarded(lambda: self._recent(limit))
        return (503, {"detail": _UNREADABLE}) if found is None else (200, [item.to_json() for item in found])

    def one(self, run_id: str) -> tuple[int, Any]:
        """Return status and one run as JSON; 404 for one that is not known, 503 without a ledger."""
        found = self._guarded(lambda: [run(self._open_ledger(), run_id)])
        if found is None:
            return 503, {"detail": _UNREADABLE}
        return (404, {"detail": _UNKNOWN}) if found[0] is None else (200, found[0].to_json())

    def page(self, run_id: str) -> tuple[int, str]:
        """Return status and page of one run, or of the newest ones for an empty id."""
        if not run_id:
            listed = self._guarded(lambda: self._recent(LISTED))
            return (503, _document(_UNREADABLE, "")) if listed is None else (200, _list(listed))
        found = self._guarded(lambda: [run(self._open_ledger(), run_id)])
        if found is None:
            return 503, _document(_UNREADABLE, "")
        return (404, _document(_UNKNOWN, "")) if found[0] is None else (200, _one(found[0]))

    def _recent(self, limit: int) -> list[SyncRun]:
        with self._lock:
            at, kept, found = self._kept
            if kept != limit or self._clock() - at >= KEPT_SECONDS:
                found = runs(self._open_ledger(), limit, LIST_LOGS)
                self._kept = (self._clock(), limit, found)
            return found

    def _guarded(self, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except Exception:
            logging.getLogger(__name__).exception("The runs of shares cannot be shown")
            return None


def _list(found: list[SyncRun]) -> str:
    rows = "".join(_cells(_run_cells(item)) for item in found)
    body = f"<table border=1>{_heads(_RUN_HEADS)}{rows}</table>" if found else "<p>No run yet.</p>"
    return _document("Shares with Snowflake", body, refresh=any(item.status in _RUNNING for item in found))


def _one(found: SyncRun) -> str:
    tables = "".join(_cells(map(escape, _table_cells(item))) for item in found.tables)
    logs = escape("\n".join(found.logs))
    body = (
        f"<p>{escape(_told(found))}</p><table border=1>{_heads(_TABLE_HEADS)}{tables}</table>"
        f"<h2>Log</h2><pre>{logs}</pre><p><a href='shares'>All runs</a></p>"
    )
    limited = ", LIMITED" if found.limited else ""
    return _document(f"Run {found.id}: {found.status}{limited}", body, refresh=found.status in _RUNNING)


def _told(found: SyncRun) -> str:
    limited = f" LIMITED: {found.limited}." if found.limited else ""
    return f"Started {found.created_at}, last event {found.updated_at}, {found.rows} rows.{limited}"


def _run_cells(item: SyncRun) -> Iterable[str]:
    # An address in quotes: only what quote() leaves as it is, or percent signs, stands between them.
    yield f"<a href='shares?run={quote(item.id, safe='')}'>{escape(item.id)}</a>"
    yield from (item.status.value, escape(item.created_at), escape(item.updated_at))
    yield from (str(len(item.tables)), str(item.rows))
    yield f"LIMITED: {escape(item.limited)}" if item.limited else ""


def _table_cells(item: SyncTable) -> tuple[str, ...]:
    counts = ("" if number is None else str(number) for number in (item.rows, item.bytes))
    said = [f"LIMITED: {item.limited}"] if item.limited else []
    said += ["had been loaded before"] if item.again else []
    return (item.name, item.mode, item.status.value, *counts, "; ".join(said), item.problem)


def _heads(names: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<th>{name}</th>' for name in names)}</tr>"


def _cells(cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _document(title: str, body: str, *, refresh: bool = False) -> str:
    """Return a page; it asks for itself again while something runs, which needs no script."""
    shown = escape(title)
    again = f"<meta http-equiv=refresh content={REFRESH_SECONDS}>" if refresh else ""
    head = f"<meta charset=utf-8>{again}<title>{shown}</title>"
    return f"<!doctype html><html lang=en>{head}<h1>{shown}</h1>{body}</html>"

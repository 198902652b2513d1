"""Runs one SQL statement on a warehouse to its end, and knows what became of it when the answer was lost."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from random import uniform
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from icebridge_provider.catalogs.faults import Attempt
from icebridge_provider.catalogs.unity import faults
from icebridge_provider.catalogs.unity.workspace import Workspace
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, TransientError
from icebridge_provider.model.running import QueryState, QueryStatus

if TYPE_CHECKING:
    from icebridge_provider.catalogs.unity.arrow_result import ArrowResult

TAG = "icebridge"
STATEMENTS = "/api/2.0/sql/statements"
HISTORY = "/api/2.0/sql/history/queries"
FIRST_WAIT = "5s"  # the shortest that the service offers; a statement on a warm warehouse is over by then
AT_ONCE = "0s"
FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.2, 10.0
STARTS = 3
HISTORY_LOOKS, HISTORY_SECONDS = 3, 1.0  # the history shows a statement a moment after it arrived
RECENT_SECONDS = 10 * 60.0  # more than clocks are apart
_STATES = {
    "SUCCEEDED": QueryState.DONE, "CLOSED": QueryState.DONE, "FAILED": QueryState.FAILED,
    "CANCELED": QueryState.CANCELLED,
}  # fmt: skip
_HISTORY_STATES = {**_STATES, "FINISHED": QueryState.DONE}
_OVER = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "CLOSED"})
_ERROR_CLASS = re.compile(r"\[([A-Z][A-Z0-9_]*(?:\.[A-Z0-9_]+)*)\]")
_DENIED = re.compile(r"(?i)INSUFFICIENT_PERMISSIONS|PERMISSION_DENIED|does not have|UNAUTHORIZED_ACCESS")
# In this order: a bool is an int, a datetime a date.
_PARAMETERS: dict[type, str] = {
    bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", datetime: "TIMESTAMP", date: "DATE",
}  # fmt: skip
_MISSING = frozenset(
    {"TABLE_OR_VIEW_NOT_FOUND", "SCHEMA_NOT_FOUND", "CATALOG_NOT_FOUND", "NO_SUCH_CATALOG_EXCEPTION",
     "DELTA_TABLE_NOT_FOUND", "TABLE_DOES_NOT_EXIST"}
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The result of a statement: every value as the service writes it, a text or None."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    types: tuple[str, ...] = ()


class Statements:
    """The Statement Execution API of one SQL warehouse.

    Every statement bears a query tag of its own. When the answer to its start is lost, the query history tells
    whether it arrived: then it is followed, otherwise started anew. Interrupted, it is cancelled.

    :param warehouse_id: the warehouse; empty means none is configured, which is said at the first use (IB-249).
    """

    def __init__(self, workspace: Workspace, warehouse_id: str) -> None:
        self._workspace = workspace
        self.warehouse_id = warehouse_id

    @property
    def name(self) -> str:
        """Connection id."""
        return self._workspace.name

    def run(
        self,
        what: str,
        statement: str,
        values: Mapping[str, Any] | None = None,
        *,
        right: str = "",
        tag: str = "",
    ) -> Rows:
        """Run a statement and return all its rows.

        :param what: the attempt in words that follow "to": ``rename main.sales.orders``.
        :param values: values of its ``:name`` parameters.
        :param tag: found by in the query history; empty for one of its own.
        :raises ConfigurationError: IB-241 a privilege is missing, IB-243 an object is, IB-247 the statement failed,
            IB-249 there is no warehouse.
        :raises TransientError: IB-240 or IB-248; what was asked may then have been done.
        """
        attempt, answer = self._ended(what, statement, values or {}, right, {}, tag)
        return self._rows(attempt, str(answer["statement_id"]), answer)

    def stream(
        self, what: str, statement: str, values: Mapping[str, str] | None = None, *, right: str = ""
    ) -> ArrowResult:
        """Run a statement whose rows are read by and by, as Arrow, however many there are.

        :raises IceBridgeError: as :meth:`run`.
        """
        from icebridge_provider.catalogs.unity.arrow_result import ArrowResult

        linked = {"disposition": "EXTERNAL_LINKS", "format": "ARROW_STREAM"}
        attempt, answer = self._ended(what, statement, values or {}, right, linked)
        return ArrowResult(self._workspace, attempt, answer)

    def _ended(
        self,
        what: str,
        statement: str,
        values: Mapping[str, Any],
        right: str,
        more: Mapping[str, str],
        tag: str = "",
    ) -> tuple[Attempt, dict[str, Any]]:
        """Run a statement to its end; the answer has its first rows, or a link to them."""
        attempt = self._attempt(what, right)
        tag = tag or uuid4().hex
        statement_id = ""
        try:
            answer = self._started(attempt, {**self._body(statement, values, tag), **more}, tag)
            statement_id = str(answer["statement_id"])
            return attempt, {**self._followed(attempt, statement_id, answer), "statement_id": statement_id}
        except Exception:
            raise
        except BaseException:  # KeyboardInterrupt, a task's timeout, the end of the process
            self._abandon(statement_id, tag)
            raise

    # Statements that are started now and asked about later, perhaps by another process

    def begin(self, what: str, statement: str, values: Mapping[str, Any], tag: str, besides: str = "") -> str:
        """Start a statement, wait for nothing, and return its id.

        :param besides: id of an earlier statement with this tag, which is not taken for the new one.
        :raises TransientError: IB-248 when it is not known whether it was started: look for its tag.
        """
        attempt = self._attempt(what)
        body = {**self._body(statement, values, tag), "wait_timeout": AT_ONCE}
        return str(self._started(attempt, body, tag, besides)["statement_id"])

    def tagged(self, tag: str, seconds: float) -> str:
        """Return the id of the newest statement with this tag that was started in the last ``seconds``, or empty."""
        return self._in_history(tag, seconds=seconds)

    def status(self, statement_id: str) -> QueryStatus:
        """Return where a statement is.

        The service forgets a statement 12 hours after its end; the query history knows it for 30 days.
        """
        attempt = self._attempt("look at a statement")
        answer = self._workspace.find(attempt.what, f"{STATEMENTS}/{statement_id}")
        return _status(answer, attempt) if answer is not None else self._past(attempt, statement_id)

    def result(self, what: str, statement_id: str) -> Rows | None:
        """Return all rows of a statement that has succeeded; None when they are not kept any more (1 hour)."""
        attempt = self._attempt(what)
        answer = self._workspace.find(attempt.what, f"{STATEMENTS}/{statement_id}")
        if answer is None or _state(answer) == "CLOSED":
            return None
        if _state(answer) != "SUCCEEDED":
            raise _failed(answer, attempt)
        return self._rows(attempt, statement_id, answer)

    def cancel(self, statement_id: str) -> None:
        """Stop a statement; one that is over, or not known, is success."""
        try:
            path = f"{STATEMENTS}/{statement_id}/cancel"
            self._workspace.read("cancel a statement", lambda: self._workspace.send("cancel it", "POST", path, {}))
        except IceBridgeError as error:
            if error.code != "IB-243":
                raise

    def _past(self, attempt: Attempt, statement_id: str) -> QueryStatus:
        query = {"filter_by.statement_ids": [statement_id], "max_results": 1}
        for found in self._workspace.pages(attempt.what, HISTORY, "res", query):
            if found.get("query_id") == statement_id:
                state = _HISTORY_STATES.get(str(found.get("status")), QueryState.RUNNING)
                return QueryStatus(state=state, message=faults.said(str(found.get("error_message") or "")))
        return QueryStatus(state=QueryState.GONE)

    def _attempt(self, what: str, right: str = "") -> Attempt:
        if not self.warehouse_id:
            raise self._no_warehouse(what)
        return Attempt(catalog=self._workspace.name, host=self._workspace.host, what=what, right=right)

    # Starting

    def _body(self, statement: str, values: Mapping[str, Any], tag: str) -> dict[str, Any]:
        body: dict[str, Any] = {
            "statement": statement,
            "warehouse_id": self.warehouse_id,
            "wait_timeout": FIRST_WAIT,
            "on_wait_timeout": "CONTINUE",
            "disposition": "INLINE",
            "format": "JSON_ARRAY",
            "query_tags": [{"key": TAG, "value": tag}],
        }
        if values:
            body["parameters"] = [_parameter(name, value) for name, value in values.items()]
        return body

    def _started(self, attempt: Attempt, body: Mapping[str, Any], tag: str, besides: str = "") -> dict[str, Any]:
        """Start it, at most 3 times; before every new start the history must not know the last one."""
        problem: TransientError | None = None
        for start in range(STARTS):
            try:
                return self._workspace.send(attempt.what, "POST", STATEMENTS, body, attempt.right)
            except TransientError as error:
                problem = error
            asked = problem.facts.get("retry_after")
            _wait(asked, start)
            found = self._in_history(tag, HISTORY_LOOKS if asked is None else 1, besides=besides)
            if found:
                return {"statement_id": found, "status": {"state": "PENDING"}}
        raise _unknown(problem, attempt) from None

    def _in_history(self, tag: str, looks: int = 1, seconds: float = RECENT_SECONDS, besides: str = "") -> str:
        """Id of the newest statement with our tag, empty when the history shows none newer than ``besides``."""
        for look in range(looks):
            if look:
                time.sleep(HISTORY_SECONDS)
            for query in self._recent(seconds):
                tags = {item.get("key"): item.get("value") for item in query.get("query_tags") or ()}
                if tags.get(TAG) != tag:
                    continue
                if query["query_id"] == besides:
                    break
                return str(query["query_id"])
        return ""

    def _recent(self, seconds: float) -> Iterator[dict[str, Any]]:
        query = {
            "filter_by.warehouse_ids": [self.warehouse_id],
            "filter_by.query_start_time_range.start_time_ms": int((time.time() - seconds) * 1000),
            "max_results": 1000,
        }
        return self._workspace.pages("read the query history", HISTORY, "res", query)

    # Following

    def _followed(self, attempt: Attempt, statement_id: str, answer: dict[str, Any]) -> dict[str, Any]:
        pause = FIRST_POLL_SECONDS
        while _state(answer) not in _OVER:
            time.sleep(uniform(0.5, 1.0) * pause)  # noqa: S311 - jitter, nothing secret
            pause = min(2 * pause, LONGEST_POLL_SECONDS)
            answer = self._workspace.get(attempt.what, f"{STATEMENTS}/{statement_id}", right=attempt.right)
        if _state(answer) == "SUCCEEDED":
            return answer
        raise _failed(answer, attempt)

    def _rows(self, attempt: Attempt, statement_id: str, answer: dict[str, Any]) -> Rows:
        manifest = answer.get("manifest") or {}
        listed = (manifest.get("schema") or {}).get("columns") or ()
        rows: list[tuple[str | None, ...]] = []
        chunk = answer.get("result") or {}
        while True:
            rows += [tuple(row) for row in chunk.get("data_array") or ()]
            following = chunk.get("next_chunk_index")
            if following is None:
                break
            path = f"{STATEMENTS}/{statement_id}/result/chunks/{following}"
            chunk = self._workspace.get(attempt.what, path, right=attempt.right)
        types = tuple(str(column.get("type_text") or column.get("type_name") or "") for column in listed)
        return Rows(columns=tuple(str(column["name"]) for column in listed), rows=tuple(rows), types=types)

    def _abandon(self, statement_id: str, tag: str) -> None:
        try:
            known = statement_id or self._in_history(tag)
            if known:
                self._workspace.send("cancel a statement", "POST", f"{STATEMENTS}/{known}/cancel", {})
        except IceBridgeError:
            return  # what interrupted us matters more; the statement ends by itself

    def _no_warehouse(self, what: str) -> ConfigurationError:
        name = self._workspace.name
        return ConfigurationError(
            "IB-249",
            f"Connection {name!r} names no SQL warehouse, which is needed to {what}.",
            remedy=f'Add {{"warehouse_id": "…"}} to the extra of connection {name!r} (SQL > SQL warehouses > the id).',
            conn_id=name,
        )


def error_class(error: IceBridgeError) -> str:
    """Return Databricks' own name of what went wrong in a statement, empty where it gave none."""
    return str(error.facts.get("error_class", ""))


def _state(answer: Mapping[str, Any]) -> str:
    return str((answer.get("status") or {}).get("state", ""))


def _status(answer: Mapping[str, Any], attempt: Attempt) -> QueryStatus:
    state = _STATES.get(_state(answer), QueryState.RUNNING)
    if state is not QueryState.FAILED:
        return QueryStatus(state=state)
    problem = (answer.get("status") or {}).get("error") or {}
    error = _failed(answer, attempt)
    code = error_class(error) or str(problem.get("error_code") or "")
    message = faults.said(str(problem.get("message") or "it failed"))
    return QueryStatus(state=state, message=message, code=code, retryable=error.retryable)


def _parameter(name: str, value: object) -> dict[str, Any]:
    """Return a bound value as the service takes it: always a text, with its type; without a value it is NULL."""
    if value is None:
        return {"name": name, "type": "STRING"}
    if isinstance(value, Decimal):
        text = format(value, "f")
        whole, _, fraction = text.lstrip("-").partition(".")
        return {"name": name, "type": f"DECIMAL({len(whole) + len(fraction)},{len(fraction)})", "value": text}
    kind = next((sql for known, sql in _PARAMETERS.items() if isinstance(value, known)), "STRING")
    return {"name": name, "type": kind, "value": str(value).lower() if kind == "BOOLEAN" else str(value)}


def _wait(asked: object, start: int) -> None:
    seconds = float(asked) if isinstance(asked, int | float) else uniform(0, 2.0**start)  # noqa: S311 - jitter
    time.sleep(min(seconds, 60.0))


def _failed(answer: Mapping[str, Any], attempt: Attempt) -> IceBridgeError:
    status = answer.get("status") or {}
    problem = status.get("error") or {}
    text, code = str(problem.get("message") or _state(answer).lower()), str(problem.get("error_code") or "")
    if _state(answer) == "CLOSED":  # it succeeded, and its result is not kept any more
        return faults.unavailable("the result of the statement is gone", attempt)
    match = _ERROR_CLASS.search(text)
    kind = match.group(1) if match else ""
    if code in faults.RETRIED_CODES and not kind:
        return faults.unavailable(f"{code}: {faults.said(text)}", attempt)
    if status.get("sql_state") == "42501" or _DENIED.search(kind or text):
        return faults.denied(faults.said(text), attempt)
    if kind in _MISSING:
        return faults.missing(_Said(text, kind), attempt)
    return ConfigurationError(
        "IB-247",
        f"Databricks could not {attempt.what}: {faults.said(text)}.",
        remedy="Mend what it names; the statement is in the warehouse's query history.",
        conn_id=attempt.catalog,
        error_class=kind or code,
        sql_state=str(status.get("sql_state") or ""),
    )


class _Said(Exception):
    """A failed statement's text in the shape of the SDK's errors."""

    def __init__(self, text: str, error_code: str) -> None:
        super().__init__(text)
        self.error_code = error_code


def _unknown(problem: TransientError | None, attempt: Attempt) -> TransientError:
    last = f" {problem.message}" if problem else ""
    return TransientError(
        "IB-248",
        f"The workspace at {attempt.host} did not say whether it could {attempt.what}.{last}",
        remedy="The step is retried by itself and looks first what was done.",
        changed=f"Whether it could {attempt.what} is not known; trying again is safe.",
        conn_id=attempt.catalog,
        host=attempt.host,
    )

"""Runs one SQL statement on a warehouse to its end, and knows what became of it when the answer was lost."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import uniform
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from icebridge_provider.catalogs.faults import Attempt
from icebridge_provider.catalogs.unity import faults
from icebridge_provider.catalogs.unity.workspace import Workspace
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, TransientError

if TYPE_CHECKING:
    from icebridge_provider.catalogs.unity.arrow_result import ArrowResult

TAG = "icebridge"
STATEMENTS = "/api/2.0/sql/statements"
HISTORY = "/api/2.0/sql/history/queries"
FIRST_WAIT = "5s"  # the shortest that the service offers; a statement on a warm warehouse is over by then
FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.2, 10.0
STARTS = 3
HISTORY_LOOKS, HISTORY_SECONDS = 3, 1.0  # the history shows a statement a moment after it arrived
CLOCKS_APART_MS = 10 * 60 * 1000
_OVER = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "CLOSED"})
_ERROR_CLASS = re.compile(r"\[([A-Z][A-Z0-9_]*(?:\.[A-Z0-9_]+)*)\]")
_DENIED = re.compile(r"(?i)INSUFFICIENT_PERMISSIONS|PERMISSION_DENIED|does not have|UNAUTHORIZED_ACCESS")
_MISSING = frozenset(
    {"TABLE_OR_VIEW_NOT_FOUND", "SCHEMA_NOT_FOUND", "CATALOG_NOT_FOUND", "NO_SUCH_CATALOG_EXCEPTION",
     "DELTA_TABLE_NOT_FOUND", "TABLE_DOES_NOT_EXIST"}
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The result of a statement: every value as the service writes it, a text or None."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]


class Statements:
    """The Statement Execution API of one SQL warehouse.

    Every statement bears a query tag of its own. When the answer to its start is lost, the query history tells
    whether it arrived: then it is followed, otherwise started anew. Interrupted, it is cancelled.

    :param warehouse_id: the warehouse; empty means none is configured, which is said at the first use (IB-249).
    """

    def __init__(self, workspace: Workspace, warehouse_id: str) -> None:
        self._workspace = workspace
        self.warehouse_id = warehouse_id

    def run(self, what: str, statement: str, values: Mapping[str, str] | None = None, *, right: str = "") -> Rows:
        """Run a statement and return all its rows.

        :param what: the attempt in words that follow "to": ``rename main.sales.orders``.
        :param values: values of its ``:name`` parameters.
        :raises ConfigurationError: IB-241 a privilege is missing, IB-243 an object is, IB-247 the statement failed,
            IB-249 there is no warehouse.
        :raises TransientError: IB-240 or IB-248; what was asked may then have been done.
        """
        attempt, answer = self._ended(what, statement, values or {}, right, {})
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
        self, what: str, statement: str, values: Mapping[str, str], right: str, more: Mapping[str, str]
    ) -> tuple[Attempt, dict[str, Any]]:
        """Run a statement to its end; the answer has its first rows, or a link to them."""
        if not self.warehouse_id:
            raise self._no_warehouse(what)
        attempt = Attempt(catalog=self._workspace.name, host=self._workspace.host, what=what, right=right)
        tag = uuid4().hex
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

    # Starting

    def _body(self, statement: str, values: Mapping[str, str], tag: str) -> dict[str, Any]:
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
            body["parameters"] = [{"name": name, "value": value, "type": "STRING"} for name, value in values.items()]
        return body

    def _started(self, attempt: Attempt, body: Mapping[str, Any], tag: str) -> dict[str, Any]:
        """Start it, at most 3 times; before every new start the history must not know the last one."""
        problem: TransientError | None = None
        for start in range(STARTS):
            try:
                return self._workspace.send(attempt.what, "POST", STATEMENTS, body, attempt.right)
            except TransientError as error:
                problem = error
            asked = problem.facts.get("retry_after")
            _wait(asked, start)
            found = self._in_history(tag, looks=HISTORY_LOOKS if asked is None else 1)
            if found:
                return {"statement_id": found, "status": {"state": "PENDING"}}
        raise _unknown(problem, attempt) from None

    def _in_history(self, tag: str, looks: int = 1) -> str:
        """Id of the statement with our tag, empty when the history shows none."""
        for look in range(looks):
            if look:
                time.sleep(HISTORY_SECONDS)
            for query in self._recent():
                tags = {item.get("key"): item.get("value") for item in query.get("query_tags") or ()}
                if tags.get(TAG) == tag:
                    return str(query["query_id"])
        return ""

    def _recent(self) -> Iterator[dict[str, Any]]:
        query = {
            "filter_by.warehouse_ids": [self.warehouse_id],
            "filter_by.query_start_time_range.start_time_ms": int(time.time() * 1000) - CLOCKS_APART_MS,
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
        return Rows(columns=tuple(str(column["name"]) for column in listed), rows=tuple(rows))

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

"""The SQL Statement Execution API and the query history.

A failed statement is an answer with status 200: only a request that is no request at all gets another.
"""

from __future__ import annotations

import datetime
import functools
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from tests.peers.databricks import auth
from tests.peers.databricks.auth import BODY, caller
from tests.peers.databricks.errors import ApiError, invalid
from tests.peers.databricks.export_targets import Broken
from tests.peers.databricks.gateway import Gateway, gateway_of
from tests.peers.databricks.requests_in import number, page_of
from tests.peers.databricks.shapes import INTEGER, NUMBER, TEXT, Each, Fields, check
from tests.peers.databricks.sql_errors import SqlError
from tests.peers.databricks.statement_model import Statement
from tests.peers.databricks.uc_api import principal_of
from tests.peers.databricks.world import World

START = Fields(
    {
        "statement": TEXT, "warehouse_id": TEXT, "catalog": TEXT, "schema": TEXT,
        "parameters": Each(Fields({"name": TEXT, "value": TEXT, "type": TEXT}, ("name",))),
        "row_limit": INTEGER, "byte_limit": INTEGER, "wait_timeout": TEXT,
        "on_wait_timeout": frozenset({"CONTINUE", "CANCEL"}), "disposition": frozenset({"INLINE", "EXTERNAL_LINKS"}),
        "format": frozenset({"JSON_ARRAY", "ARROW_STREAM", "CSV"}),
        "query_tags": Each(Fields({"key": TEXT, "value": TEXT}, ("key",)), most=20, key="key"),
    },
    ("statement", "warehouse_id"),
)  # fmt: skip
ORDERS = Fields(
    {
        "chunk_rows": INTEGER, "closed_seconds": NUMBER, "result_seconds": NUMBER, "link_seconds": NUMBER,
        "start_seconds": NUMBER,
    }
)  # fmt: skip
_TYPES: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("STRING", "CHAR", "VARCHAR"), str),
    **dict.fromkeys(("TINYINT", "SMALLINT", "INT", "INTEGER", "BIGINT", "LONG"), int),
    **dict.fromkeys(("FLOAT", "DOUBLE"), float),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP_NTZ"), datetime.datetime.fromisoformat),
    "DECIMAL": Decimal,
    "DATE": datetime.date.fromisoformat,
    "BOOLEAN": lambda text: {"true": True, "false": False}[text.lower()],
}
LONGEST_STATEMENT = 16 * 1024 * 1024
MEDIA = {"JSON_ARRAY": "application/json", "CSV": "text/csv", "ARROW_STREAM": "application/vnd.apache.arrow.stream"}


@dataclass
class Statements:
    """The work of the routes; what may be ordered by a test stands first."""

    world: World
    gateway: Gateway
    chunk_rows: int = 5000
    closed_seconds: float = float("inf")
    result_seconds: float = 3600
    link_seconds: float = 900
    start_seconds: float = 0.5
    known: dict[str, Statement] = field(default_factory=dict)
    links: dict[str, tuple[float, Statement, int]] = field(default_factory=dict)

    def start(self, request: Request, body: Any = BODY) -> dict[str, Any]:
        """Start a statement and wait for it as long as the caller wishes."""
        check(body, START)
        seconds = _wait_of(body)
        if body.get("disposition", "INLINE") == "INLINE" and body.get("format", "JSON_ARRAY") != "JSON_ARRAY":
            raise invalid("The format field must be JSON_ARRAY when the disposition field is INLINE.")
        if len(body["statement"].encode()) > LONGEST_STATEMENT:
            raise invalid("The statement is longer than 16 MiB.")
        self._warehouse(body["warehouse_id"])
        agent = request.headers.get("user-agent", "")
        made = Statement(principal=principal_of(request), body=body, user_agent=agent)
        self.known[made.id] = made
        threading.Thread(target=self._run, args=(made,), daemon=True).start()
        if seconds and not made.over.wait(seconds) and body.get("on_wait_timeout") == "CANCEL":
            self._cancel(made)
        return made.shown(self._link) if seconds else {"statement_id": made.id, "status": {"state": "PENDING"}}

    def _warehouse(self, warehouse_id: str) -> Any:
        found = self.world.state.warehouses.get(warehouse_id)
        if found is None:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"SQL warehouse {warehouse_id} does not exist.")
        return found

    def _run(self, made: Statement) -> None:
        warehouse = self._warehouse(made.body["warehouse_id"])
        if warehouse.state != "RUNNING":
            time.sleep(self.start_seconds)
            warehouse.state = "RUNNING"
        if made.over.is_set():
            return
        made.state = "RUNNING"
        try:
            given = typed(made.body.get("parameters") or ())
            where = made.body.get("catalog"), made.body.get("schema")
            result = self.gateway.run(made.principal, made.body["statement"], given, *where, tag=made.id)
            made.succeed(result, self.chunk_rows)
        except SqlError as error:
            made.fail("BAD_REQUEST", str(error), error.sqlstate)
        except Broken as error:
            made.fail(error.error_code, str(error))
        except Exception as error:  # noqa: BLE001 - whatever went wrong is the statement's ending
            made.fail("INTERNAL_ERROR", f"{type(error).__name__}: {error}")

    def look(self, request: Request, statement_id: str) -> dict[str, Any]:
        made = self._own(request, statement_id)
        if made.state == "SUCCEEDED" and time.time() - made.ended >= self.closed_seconds:
            return {"statement_id": made.id, "status": {"state": "CLOSED"}}
        return made.shown(self._link)

    def chunk(self, request: Request, statement_id: str, index: int) -> dict[str, Any]:
        made = self._own(request, statement_id)
        if made.state != "SUCCEEDED" or not 0 <= index < len(made.chunks):
            raise invalid(f"Chunk {index} of statement {statement_id} does not exist.")
        return made.chunk(index, self._link)

    def cancel(self, request: Request, statement_id: str) -> dict[str, Any]:
        self._cancel(self._own(request, statement_id))
        return {}

    def _cancel(self, made: Statement) -> None:
        if not made.over.is_set():
            made.finish("CANCELED")
            threading.Thread(target=self.gateway.cancel, args=(made.id,), daemon=True).start()

    def _own(self, request: Request, statement_id: str) -> Statement:
        """A statement of the caller whose result is still kept."""
        made = self.known.get(statement_id)
        late = made is not None and made.over.is_set() and time.time() - made.ended > self.result_seconds
        if made is None or late:
            raise ApiError(404, "NOT_FOUND", f"The statement {statement_id} was not found.")
        if made.principal != principal_of(request):
            raise ApiError(403, "PERMISSION_DENIED", f"You do not have access to statement {statement_id}.")
        return made

    # Links to results

    def _link(self, made: Statement, chunk: Any) -> dict[str, Any]:
        name, end = secrets.token_urlsafe(24), time.time() + self.link_seconds
        self.links[name] = (end, made, chunk.index)
        return {
            "external_link": f"{self.world.url}/external-links/{name}",
            "expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end)),
        }

    def fetch(self, request: Request, name: str) -> Response:
        """Storage takes its own signature and no other: a request with a credential of the workspace is refused."""
        if "authorization" in request.headers:
            text = "<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed</Message></Error>"
            return Response(text, status_code=400, media_type="application/xml")
        end, made, index = self.links.get(name, (0.0, None, 0))
        if made is None or time.time() >= end:
            text = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
            return Response(text, status_code=403, media_type="application/xml")
        return Response(made.chunks[index].bytes(made.form), media_type=MEDIA[made.form])

    # History

    def history(self, request: Request) -> dict[str, Any]:
        """Queries, newest first; who is no workspace admin sees his own."""
        who = principal_of(request)
        size = number(request.query_params, "max_results", 100) or 100
        if not 0 < size <= 1000:
            raise invalid("max_results must be between 1 and 1000")
        everything = who in self.world.state.groups.get("admins", ())
        mine = [one for one in list(self.known.values()) if everything or one.principal == who]
        found = [
            entry for one in sorted(mine, key=lambda one: -one.began) if _asked(request, entry := self._entry(one))
        ]
        page, more = page_of(found, request.query_params.get("page_token"), size)
        answer = {"res": list(page), "has_next_page": bool(more)}
        return {**answer, "next_page_token": more} if more else answer

    def _entry(self, made: Statement) -> dict[str, Any]:
        return made.history(made.body["warehouse_id"])

    def order(self, body: Any = BODY) -> dict[str, Any]:
        """What :data:`ORDERS` names, for the statements to come."""
        check(body, ORDERS)
        for key, value in body.items():
            setattr(self, key, value)
        return {}


@functools.lru_cache(maxsize=8)
def statements_of(world: World) -> Statements:
    """The statements of a workspace, by whichever door they came."""
    return Statements(world, gateway_of(world))


def router(world: World) -> APIRouter:
    """The routes."""
    statements, routes = statements_of(world), APIRouter()
    one, mine, admin = "/api/2.0/sql/statements", [Depends(caller(world))], [Depends(auth.admin(world))]
    for method, path, handler, guards in (
        ("POST", one, statements.start, mine),
        ("GET", f"{one}/{{statement_id}}", statements.look, mine),
        ("GET", f"{one}/{{statement_id}}/result/chunks/{{index}}", statements.chunk, mine),
        ("POST", f"{one}/{{statement_id}}/cancel", statements.cancel, mine),
        ("GET", "/api/2.0/sql/history/queries", statements.history, mine),
        ("GET", "/external-links/{name}", statements.fetch, []),
        ("PATCH", "/admin/statements", statements.order, admin),
    ):
        routes.add_api_route(path, handler, methods=[method], dependencies=guards, response_model=None)
    return routes


def _wait_of(body: Mapping[str, Any]) -> int:
    match = re.fullmatch(r"(\d+)s", body.get("wait_timeout", "10s"))
    seconds = int(match.group(1)) if match else -1
    if seconds != 0 and not 5 <= seconds <= 50:
        raise invalid("wait_timeout must be 0 seconds or between 5 and 50 seconds.")
    if seconds == 0 and body.get("on_wait_timeout") == "CANCEL":
        raise invalid("on_wait_timeout cannot be CANCEL when wait_timeout is 0s.")
    return seconds


def typed(given: Any) -> dict[str, Any]:
    """Give values of ``{"name", "type", "value"}`` their types; raises SqlError for a text that is none of its type."""
    found: dict[str, Any] = {}
    for one in given:
        kind, value = one.get("type", "STRING").upper().partition("(")[0], one.get("value")
        if kind not in _TYPES:
            raise SqlError("INVALID_PARAMETER_VALUE", "22023", f"Parameter {one['name']} has an unknown type {kind}.")
        try:
            found[one["name"]] = _null() if value is None else _TYPES[kind](value)
        except (ValueError, KeyError, ArithmeticError):
            text = f"The value '{value}' of parameter {one['name']} cannot be cast to {kind}."
            raise SqlError("CAST_INVALID_INPUT", "22018", text) from None
    return found


def _null() -> Any:
    from pyspark.sql.connect.functions import lit

    return lit(None)


def _asked(request: Request, entry: Mapping[str, Any]) -> bool:
    """Whether an entry meets ``filter_by.…``; a field that is not served is refused."""
    tests = {
        "warehouse_ids": lambda values: entry["warehouse_id"] in values,
        "statement_ids": lambda values: entry["query_id"] in values,
        "statuses": lambda values: entry["status"] in values,
        "query_start_time_range.start_time_ms": lambda values: entry["query_start_time_ms"] >= int(values[0]),
        "query_start_time_range.end_time_ms": lambda values: entry["query_start_time_ms"] <= int(values[0]),
    }
    for key in {one for one in request.query_params if one.startswith("filter_by.")}:
        test = tests.get(key.removeprefix("filter_by."))
        if test is None:
            raise invalid(f"Unknown filter: {key}")
        if not test(request.query_params.getlist(key)):
            return False
    return True

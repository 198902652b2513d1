"""``POST /internal/runs/sql``: a running program's statements, with its run's rights, ended when its run is.

As ``/internal/sql``, but only for the credential of a run, and every statement carries the run's tag.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from tests.peers.databricks.auth import bearer_of
from tests.peers.databricks.errors import ApiError
from tests.peers.databricks.gateway import gateway_of
from tests.peers.databricks.requests_in import BODY
from tests.peers.databricks.run_model import RunBearer
from tests.peers.databricks.sql_errors import SqlError
from tests.peers.databricks.world import World


def router(world: World) -> APIRouter:
    """The route."""
    routes = APIRouter(prefix="/internal/runs")

    @routes.post("/sql")
    def run(request: Request, body: Any = BODY) -> Response:
        principal = world.principal_of(bearer_of(request))
        bearer = world.bearers[bearer_of(request)]
        if not isinstance(bearer, RunBearer):
            raise ApiError(403, "PERMISSION_DENIED", "Only programs of runs come in here.")
        bearer.used, statement = True, object()
        bearer.statements.add(statement)
        try:
            return _answered(world, principal, bearer.tag, body)
        except SqlError as error:
            told = {"error_class": error.error_class, "sqlstate": error.sqlstate, "message": str(error)}
            return JSONResponse(told, status_code=400)
        finally:
            bearer.statements.discard(statement)

    return routes


def _answered(world: World, principal: str, tag: str, body: Mapping[str, Any]) -> Response:
    import pyarrow as pa

    gateway, parameters = gateway_of(world), body.get("parameters") or ()
    found = gateway.run(principal, body["statement"], parameters, body.get("catalog"), body.get("schema"), tag)
    table, sink = found.arrow(), io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Response(sink.getvalue(), media_type="application/vnd.apache.arrow.stream")


def interrupt(world: World, bearer: RunBearer) -> None:
    """End what the program of a run still has running on the engine; nobody gets in with its credential any more."""
    bearer.over = True
    if bearer.used:
        gateway_of(world).cancel(bearer.tag)

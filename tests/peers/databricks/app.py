"""The application: every router, errors as the service's JSON, faults around it all."""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

from anyio import to_thread
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from tests.peers.databricks import admin_api, auth
from tests.peers.databricks.errors import ApiError
from tests.peers.databricks.faults import Faults
from tests.peers.databricks.world import World

ROUTERS = (
    "auth", "uc_api", "grants_api", "access_policies", "tags_api", "storage_api", "workspace_api", "statements",
    "iceberg_rest", "jobs", "files", "clusters", "secrets", "workspace_files", "thrift", "system_tables",
    "system_access", "system_billing", "scim_api", "exports",
)  # fmt: skip


def build(world: World) -> Faults:
    """Put the application together."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=_many_threads)
    faults = Faults(app, world)
    app.include_router(admin_api.router(world, faults))
    for make in _makers():
        app.include_router(make(world))
    app.add_exception_handler(ApiError, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(Exception, _broken)
    return faults


@asynccontextmanager
async def _many_threads(_: FastAPI) -> AsyncIterator[None]:
    """A statement holds a thread while the engine reads metadata from this same server, by more of them."""
    to_thread.current_default_thread_limiter().total_tokens = 200
    yield


def caller(world: World) -> Callable[[Request], str]:
    """The dependency that names the caller, see :func:`auth.caller`."""
    return auth.caller(world)


def _makers() -> Iterator[Callable[[World], APIRouter]]:
    package = __name__.rpartition(".")[0]
    for name in ROUTERS:
        if importlib.util.find_spec(f"{package}.{name}"):
            make = getattr(importlib.import_module(f"{package}.{name}"), "router", None)
            if make is not None:
                yield make


async def _refused(_: Request, error: ApiError) -> JSONResponse:
    return JSONResponse({"error_code": error.error_code, "message": error.message}, status_code=error.status)


async def _malformed(_: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    code = "INVALID_PARAMETER_VALUE" if first["loc"][0] == "query" else "MALFORMED_REQUEST"
    return JSONResponse({"error_code": code, "message": f"{where}: {first['msg']}"}, status_code=400)


async def _no_route(request: Request, error: HTTPException) -> JSONResponse:
    path = request.url.path.removeprefix("/api")
    text = f"No API found for '{request.method} {path}'" if error.status_code in {404, 405} else str(error.detail)
    status = 404 if error.status_code == 405 else error.status_code
    return JSONResponse({"error_code": "ENDPOINT_NOT_FOUND", "message": text}, status_code=status)


async def _broken(_: Request, error: Exception) -> JSONResponse:
    text = "".join(traceback.format_exception(error)[-3:])
    return JSONResponse({"error_code": "INTERNAL_ERROR", "message": text}, status_code=500)

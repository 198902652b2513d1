"""The Iceberg REST protocol twice: outside, behind Unity Catalog's gates; inside, for the workspace's own engine."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from tests.peers.databricks import privileges
from tests.peers.databricks.auth import bearer_of
from tests.peers.databricks.errors import ApiError
from tests.peers.databricks.iceberg_store import RESERVED, Store
from tests.peers.databricks.model import Securable, TableRow
from tests.peers.databricks.world import World
from tests.peers.rest_catalog import SEPARATOR, STATUS, Refusal, _page

OUTSIDE = "/api/2.1/unity-catalog/iceberg-rest"
INSIDE = "/internal/iceberg"
_TABLE = "/v1/{prefix}/namespaces/{namespace}/tables/{table}"
ENDPOINTS = [
    "GET /v1/{prefix}/namespaces",
    "GET /v1/{prefix}/namespaces/{namespace}",
    "HEAD /v1/{prefix}/namespaces/{namespace}",
    "GET /v1/{prefix}/namespaces/{namespace}/tables",
    "POST /v1/{prefix}/namespaces/{namespace}/tables",
    *(f"{method} {_TABLE}" for method in ("GET", "HEAD", "POST", "DELETE")),
    f"POST {_TABLE}/metrics",
]
_FORBIDDEN = {401: "NotAuthorizedException", 403: "ForbiddenException", 404: "NoSuchTableException"}


@dataclass
class Call:
    """One request: what is asked of which catalog, for whom (nobody: the engine, which passes every gate)."""

    world: World
    store: Store
    principal: str
    method: str
    query: dict[str, str]
    body: dict[str, Any]

    def answer(self, path: list[str]) -> tuple[int, Any]:
        """Route below ``namespaces``."""
        if path[:1] != ["namespaces"] or len(path) > 5:
            raise _no_route("/".join(path))
        if len(path) == 1:
            self._only("GET")
            return 200, _page("namespaces", self._namespaces(), self.query)
        levels, rest = tuple(path[1].split(SEPARATOR)), path[2:]
        if not rest:
            self._only("GET", "HEAD")
            self._see_schema(levels)
            found = self.store.namespace(levels)
            return (204, None) if self.method == "HEAD" else (200, found)
        if rest == ["tables"]:
            return self._tables(levels)
        if len(rest) == 3 and rest[2] == "metrics":
            return 204, None
        if len(rest) != 2 or rest[0] != "tables":
            raise _no_route("/".join(path))
        return self._table(levels, rest[1])

    def _only(self, *methods: str) -> None:
        if self.method not in methods:
            raise Refusal(405, "UnsupportedOperationException", f"{self.method} is not served here")

    # Rights

    def _need(self, privilege: str, kind: str, full_name: str) -> None:
        if self.principal:
            self.world.require(self.principal, privilege, kind, full_name)

    def _see_schema(self, levels: tuple[str, ...]) -> None:
        if self.principal:
            name = self.store.full_name(levels)
            self.store.namespace(levels)
            self._need("USE_SCHEMA", "SCHEMA", name)

    def _enter(self, levels: tuple[str, ...]) -> None:
        """EXTERNAL USE SCHEMA: the gate before every table."""
        self._see_schema(levels)
        self._need("EXTERNAL_USE_SCHEMA", "SCHEMA", self.store.full_name(levels))

    def _namespaces(self) -> list[list[str]]:
        found = self.store.list_namespaces(tuple(filter(None, self.query.get("parent", "").split(SEPARATOR))))
        name = self.store.row.name
        return [
            one for one in found if not self.principal or self.world.sees(self.principal, "SCHEMA", f"{name}.{one[0]}")
        ]

    # Tables

    def _tables(self, levels: tuple[str, ...]) -> tuple[int, Any]:
        self._only("GET", "POST")
        if self.method == "POST":
            return self._create(levels)
        self._see_schema(levels)
        found = self.store.list_tables(levels)
        if self.principal:
            prefix = self.store.full_name(levels)
            found = [one for one in found if self.world.sees(self.principal, "TABLE", f"{prefix}.{one['name']}")]
        return 200, _page("identifiers", found, self.query)

    def _create(self, levels: tuple[str, ...]) -> tuple[int, Any]:
        full_name = self.store.full_name(levels, self.body.get("name", ""))
        if self.principal:
            self._enter(levels)
            self._need("CREATE_TABLE", "SCHEMA", self.store.full_name(levels))
            self._managed_only()
            self._unreserved(self.body.get("properties") or {})
            if full_name in self.world.state.tables:
                raise Refusal(409, "AlreadyExistsException", f"Table already exists: {full_name}")
        done = self.store.create(levels, self.body)
        if self.principal and not self.body.get("stage-create"):
            self.world.adopt(full_name, self.principal)
        return 200, done

    def _managed_only(self) -> None:
        if self.store.row.catalog_type != "MANAGED_CATALOG":
            raise Refusal(403, "ForbiddenException", f"Catalog '{self.store.row.name}' cannot be written from outside.")

    @staticmethod
    def _unreserved(properties: dict[str, str]) -> None:
        for key in RESERVED:
            if key in properties:
                raise Refusal(400, "BadRequestException", f"Property {key} cannot be set on a managed table.")

    def _table(self, levels: tuple[str, ...], name: str) -> tuple[int, Any]:
        self._only("GET", "HEAD", "POST", "DELETE")
        if self.method == "POST":
            return 200, self._commit(levels, name)
        if self.method == "DELETE":
            return 204, self._drop(levels, name)
        self._readable(levels, name)
        found = self.store.load(levels, name)
        return (204, None) if self.method == "HEAD" else (200, found)

    def _readable(self, levels: tuple[str, ...], name: str, privilege: str = "SELECT") -> None:
        if self.principal:
            self._enter(levels)
            row = self.store.found(levels, name)
            self._need(privilege, "TABLE", row.full_name)
            self._fit(row)

    def _fit(self, row: TableRow) -> None:
        """Only managed Iceberg tables without filters and masks leave the platform."""
        state = self.world.state
        if not self.world.is_managed_iceberg(row):
            kind = row.kind or f"TABLE_{row.table_type}_{row.data_source_format}"
            raise Refusal(
                403, "ForbiddenException", f"{_outside(row.full_name)} due to its securable kind being {kind}."
            )
        abac = any(
            one.type in {"ROW_FILTER", "COLUMN_MASK"}
            for one in privileges.policies_on(state, Securable("TABLE", row.full_name))
        )
        if row.policed or abac:
            text = "it has row filters or column masks"
            raise Refusal(403, "ForbiddenException", f"{_outside(row.full_name)} because {text}.")

    def _commit(self, levels: tuple[str, ...], name: str) -> Any:
        full_name = self.store.full_name(levels, name)
        if not self.principal:
            return self.store.commit(levels, name, self.body)
        creates = any(one.get("type") == "assert-create" for one in self.body.get("requirements") or ())
        if creates:
            self._enter(levels)
            self._need("CREATE_TABLE", "SCHEMA", self.store.full_name(levels))
            self._managed_only()
        else:
            self._readable(levels, name, "MODIFY")
        for update in self.body.get("updates") or ():
            self._unreserved(update.get("updates") or {} if update.get("action") == "set-properties" else {})
            if update.get("action") == "set-location" and not creates:
                raise Refusal(400, "BadRequestException", "The location of a managed table cannot be changed.")
        done = self.store.commit(levels, name, self.body)
        if creates:
            self.world.adopt(full_name, self.principal)
        return done

    def _drop(self, levels: tuple[str, ...], name: str) -> None:
        if self.principal:
            self._enter(levels)
            row = self.store.found(levels, name)
            self.world.require_manager(self.principal, "TABLE", row.full_name)
            self._fit(row)
            self.world.drop_table(row.full_name)
        else:
            self.store.drop(levels, name)


def router(world: World) -> APIRouter:
    """Both doors."""
    routes = APIRouter()
    methods = ["GET", "HEAD", "POST", "DELETE"]
    routes.add_api_route(f"{OUTSIDE}/v1/{{path:path}}", _door(world, _outside_door), methods=methods)
    routes.add_api_route(f"{INSIDE}/{{catalog}}/v1/{{path:path}}", _door(world, _inside_door), methods=methods)
    return routes


def _door(world: World, serve: Callable[..., tuple[int, Any]]) -> Callable[..., Any]:
    async def handle(request: Request, path: str) -> Response:
        raw = await request.body()
        status, result = await run_in_threadpool(_served, serve, world, request, path, raw)
        if result is None or request.method == "HEAD":
            return Response(status_code=status)
        return JSONResponse(result, status_code=status)

    return handle


def _served(
    serve: Callable[..., tuple[int, Any]], world: World, request: Request, path: str, raw: bytes
) -> tuple[int, Any]:
    try:
        body = json.loads(raw or b"{}")
        return serve(world, request, path, body)
    except Refusal as refusal:
        return refusal.status, _error(refusal.status, refusal.kind, str(refusal))
    except ApiError as error:
        kind = _FORBIDDEN.get(error.status, "BadRequestException")
        if error.error_code in {"SCHEMA_DOES_NOT_EXIST", "CATALOG_DOES_NOT_EXIST"}:
            kind = "NoSuchNamespaceException"
        return error.status, _error(error.status, kind, error.message)
    except Exception as error:  # noqa: BLE001 - a server answers whatever goes wrong
        status, kind = STATUS.get(type(error).__name__, (500, "InternalServerError"))
        return status, _error(status, kind, f"{type(error).__name__}: {error}")


def _outside_door(world: World, request: Request, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    principal = request.state.principal = world.principal_of(bearer_of(request))
    if not world.state.metastore.external_access_enabled:
        raise Refusal(403, "ForbiddenException", "External data access is not enabled on this metastore.")
    query = dict(request.query_params)
    if path == "config":
        return 200, _config(world, principal, query.get("warehouse", ""))
    parts = _parts(request, f"{OUTSIDE}/v1/")
    if parts[:1] != ["catalogs"] or len(parts) < 3:
        raise _no_route(path)
    world.require(principal, "USE_CATALOG", "CATALOG", parts[1])
    return Call(world, Store(world, parts[1]), principal, request.method, query, body).answer(parts[2:])


def _config(world: World, principal: str, warehouse: str) -> dict[str, Any]:
    if not warehouse:
        raise Refusal(400, "BadRequestException", "The parameter warehouse must name a catalog.")
    world.require(principal, "USE_CATALOG", "CATALOG", warehouse)
    return {"defaults": {}, "overrides": {"prefix": f"catalogs/{warehouse.lower()}"}, "endpoints": ENDPOINTS}


def _inside_door(world: World, request: Request, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    if not secrets.compare_digest(bearer_of(request), world.internal_token):
        raise Refusal(401, "NotAuthorizedException", "this door is the engine's")
    if path == "config":
        return 200, {"defaults": {}, "overrides": {}, "endpoints": ENDPOINTS}
    catalog = request.path_params["catalog"]
    parts = _parts(request, f"{INSIDE}/{catalog}/v1/")
    return Call(world, Store(world, catalog), "", request.method, dict(request.query_params), body).answer(parts)


def _parts(request: Request, before: str) -> list[str]:
    """Segments of the path: an escaped slash belongs to a name."""
    from urllib.parse import unquote

    raw = request.scope.get("raw_path", b"").decode("latin-1").partition("?")[0]
    depth = before.count("/") - 1
    return [unquote(part) for part in raw.split("/")[depth + 1 :]]


def _no_route(path: str) -> Refusal:
    return Refusal(404, "NotFoundException", f"no such route: {path}")


def _outside(full_name: str) -> str:
    return f"Table '{full_name}' cannot be accessed from outside of the Databricks compute environment"


def _error(status: int, kind: str, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "code": status}}

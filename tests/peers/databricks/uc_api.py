"""Catalogs, schemas, tables and functions of Unity Catalog's REST."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Depends, Request

from tests.peers.databricks import answers
from tests.peers.databricks.auth import BODY, caller
from tests.peers.databricks.errors import ApiError, denied, invalid, spoken
from tests.peers.databricks.model import CatalogRow, TableRow, now_ms
from tests.peers.databricks.requests_in import number, page_of, switch
from tests.peers.databricks.shapes import INTEGER, TEXT, Fields, Pairs, check
from tests.peers.databricks.world import World

PREFIX = "/api/2.1/unity-catalog"
PREDICTIVE = frozenset({"ENABLE", "DISABLE", "INHERIT"})
NEW_CATALOG = Fields(
    {
        "name": TEXT, "comment": TEXT, "connection_name": TEXT, "options": Pairs(), "properties": Pairs(),
        "storage_root": TEXT, "custom_max_retention_hours": INTEGER,
    },
    ("name",),
)  # fmt: skip
NEW_SCHEMA = Fields(
    {
        "name": TEXT, "catalog_name": TEXT, "comment": TEXT, "properties": Pairs(), "storage_root": TEXT,
        "custom_max_retention_hours": INTEGER,
    },
    ("name", "catalog_name"),
)  # fmt: skip
CHANGES = {
    "CATALOG": Fields(
        {
            "comment": TEXT, "owner": TEXT, "properties": Pairs(), "options": Pairs(), "new_name": TEXT,
            "enable_predictive_optimization": PREDICTIVE, "isolation_mode": frozenset({"OPEN", "ISOLATED"}),
        }
    ),
    "SCHEMA": Fields(
        {
            "comment": TEXT, "owner": TEXT, "properties": Pairs(), "new_name": TEXT,
            "enable_predictive_optimization": PREDICTIVE,
        }
    ),
    "TABLE": Fields({"owner": TEXT, "comment": TEXT, "enable_predictive_optimization": PREDICTIVE}),
}  # fmt: skip


@dataclass
class Objects:
    """The work of the routes."""

    world: World

    # Catalogs

    def create_catalog(self, request: Request, body: Any = BODY) -> dict[str, Any]:
        check(body, NEW_CATALOG)
        world, who = self.world, principal_of(request)
        world.require(who, "CREATE_CATALOG", "METASTORE", world.state.metastore.id)
        connection = body.get("connection_name", "").lower()
        if connection:
            world.require(who, "CREATE_FOREIGN_CATALOG", "CONNECTION", connection)
        require_managed_storage(world, who, body.get("storage_root", ""))
        row = world.add_catalog(
            CatalogRow(
                name=body["name"],
                owner=who,
                created_by=who,
                comment=body.get("comment", ""),
                properties=body.get("properties", {}),
                storage_root=body.get("storage_root", ""),
                connection_name=connection,
                options=body.get("options", {}),
                catalog_type="FOREIGN_CATALOG" if connection else "MANAGED_CATALOG",
            )
        )
        if connection:
            world.refresh_foreign(row.name)
        return answers.catalog(world, row)

    def catalogs(self, request: Request) -> dict[str, Any]:
        world = self.world
        page, more = self._page(request, "CATALOG", sorted(world.state.catalogs))
        return _paged("catalogs", [answers.catalog(world, row) for row in page], more)

    def catalog(self, request: Request, name: str) -> dict[str, Any]:
        return answers.catalog(self.world, self._seen(request, "CATALOG", name))

    def change_catalog(self, request: Request, name: str, body: Any = BODY) -> dict[str, Any]:
        return answers.catalog(self.world, self._change(request, "CATALOG", name, body))

    def drop_catalog(self, request: Request, name: str) -> dict[str, Any]:
        world, force = self.world, switch(request.query_params, "force")
        with world.lock:
            row = self._managed(request, "CATALOG", name)
            inside = [one for one in world.state.schemas.values() if one.catalog == row.name]
            if not force and any(one.name != "information_schema" for one in inside):
                raise ApiError(400, "CATALOG_NOT_EMPTY", f"Catalog '{row.name}' is not empty.")
            for schema in inside:
                self._empty(schema.full_name)
                world.forget("SCHEMA", schema.full_name)
            world.forget("CATALOG", row.name)
        return {}

    # Schemas

    def create_schema(self, request: Request, body: Any = BODY) -> dict[str, Any]:
        check(body, NEW_SCHEMA)
        world, who = self.world, principal_of(request)
        world.require(who, "CREATE_SCHEMA", "CATALOG", body["catalog_name"])
        require_managed_storage(world, who, body.get("storage_root", ""))
        more = {key: body[key] for key in ("comment", "properties", "storage_root") if key in body}
        row = world.create_schema(f"{body['catalog_name']}.{body['name']}", who, created_by=who, **more)
        return answers.schema(world, row)

    def schemas(self, request: Request) -> dict[str, Any]:
        world, catalog = self.world, needed(request, "catalog_name").lower()
        self._seen(request, "CATALOG", catalog)
        page, more = self._page(request, "SCHEMA", under(world.state.schemas, catalog))
        return _paged("schemas", [answers.schema(world, row) for row in page], more)

    def schema(self, request: Request, full_name: str) -> dict[str, Any]:
        self.world.catalog(full_name.partition(".")[0])
        return answers.schema(self.world, self._seen(request, "SCHEMA", full_name))

    def change_schema(self, request: Request, full_name: str, body: Any = BODY) -> dict[str, Any]:
        return answers.schema(self.world, self._change(request, "SCHEMA", full_name, body))

    def drop_schema(self, request: Request, full_name: str) -> dict[str, Any]:
        with self.world.lock:
            row = self._managed(request, "SCHEMA", full_name)
            if switch(request.query_params, "force"):
                self._empty(row.full_name)
            self.world.drop_schema(row.full_name)
        return {}

    # Tables

    def tables(self, request: Request) -> dict[str, Any]:
        world = self.world
        parent = f"{needed(request, 'catalog_name')}.{needed(request, 'schema_name')}".lower()
        world.schema(parent)
        self._through(request, parent)
        page, more = self._page(request, "TABLE", under(world.state.tables, parent))
        shown = {
            "columns": not switch(request.query_params, "omit_columns"),
            "properties": not switch(request.query_params, "omit_properties"),
            "people": not switch(request.query_params, "omit_username"),
            "capabilities": switch(request.query_params, "include_manifest_capabilities"),
        }
        found = [answers.table(world, row, browse_only=self._browses(request, row), **shown) for row in page]
        return _paged("tables", found, more)

    def summaries(self, request: Request) -> dict[str, Any]:
        world, catalog = self.world, needed(request, "catalog_name").lower()
        self._seen(request, "CATALOG", catalog)
        schemas = _like(request.query_params.get("schema_name_pattern", "%"))
        tables = _like(request.query_params.get("table_name_pattern", "%"))
        names = [
            name
            for name in under(world.state.tables, catalog)
            if fnmatch.fnmatchcase(name.split(".")[1], schemas) and fnmatch.fnmatchcase(name.split(".")[2], tables)
        ]
        page, more = self._page(request, "TABLE", names)
        capabilities = switch(request.query_params, "include_manifest_capabilities")
        return _paged("tables", [answers.summary(row, capabilities=capabilities) for row in page], more)

    def table(self, request: Request, full_name: str) -> dict[str, Any]:
        row = self._table(request, full_name)
        capabilities = switch(request.query_params, "include_manifest_capabilities")
        return answers.table(self.world, row, capabilities=capabilities, browse_only=self._browses(request, row))

    def table_exists(self, request: Request, full_name: str) -> dict[str, Any]:
        try:
            self._table(request, full_name)
        except ApiError as error:
            if error.status == 404:
                return {"table_exists": False}
            raise
        return {"table_exists": True}

    def change_table(self, request: Request, full_name: str, body: Any = BODY) -> dict[str, Any]:
        self.world.table(full_name)
        self._change(request, "TABLE", full_name, body)
        return {}

    def drop_table(self, request: Request, full_name: str) -> dict[str, Any]:
        with self.world.lock:
            self.world.table(full_name)
            self.world.drop_table(self._managed(request, "TABLE", full_name).full_name)
        return {}

    # Functions

    def functions(self, request: Request) -> dict[str, Any]:
        world = self.world
        parent = f"{needed(request, 'catalog_name')}.{needed(request, 'schema_name')}".lower()
        world.schema(parent)
        page, more = self._page(request, "FUNCTION", under(world.state.functions, parent))
        return _paged("functions", [answers.function(world, row) for row in page], more)

    def function(self, request: Request, name: str) -> dict[str, Any]:
        return answers.function(self.world, self._seen(request, "FUNCTION", name))

    # What they share

    def _page(self, request: Request, kind: str, names: list[str]) -> tuple[list[Any], str]:
        """One page, then what the caller may see of it: a page may be empty and not the last."""
        asked = number(request.query_params, "max_results", 0) or 0
        if asked < 0:
            raise invalid("max_results must be greater than or equal to 0")
        size = min(asked or self.world.page_size, self.world.page_size)
        page, more = page_of(names, request.query_params.get("page_token"), size)
        who, browse = principal_of(request), switch(request.query_params, "include_browse")
        rows = self.world.state.rows(kind)
        return [rows[name] for name in page if name in rows and self.world.sees(who, kind, name, browse=browse)], more

    def _seen(self, request: Request, kind: str, name: str) -> Any:
        return self.world.row(kind, name, principal_of(request), browse=switch(request.query_params, "include_browse"))

    def _table(self, request: Request, full_name: str) -> TableRow:
        self.world.table(full_name)
        self._through(request, full_name.rpartition(".")[0])
        return self._seen(request, "TABLE", full_name)

    def _through(self, request: Request, schema: str) -> None:
        """USE CATALOG and USE SCHEMA, or to manage them."""
        who, catalog = principal_of(request), schema.partition(".")[0]
        browse = switch(request.query_params, "include_browse")
        for kind, name in (("CATALOG", catalog), ("SCHEMA", schema)):
            if not self.world.sees(who, kind, name, browse=browse):
                raise denied(f"USE_{kind}", kind, name)

    def _browses(self, request: Request, row: TableRow) -> bool:
        return not self.world.sees(principal_of(request), "TABLE", row.full_name)

    def _managed(self, request: Request, kind: str, name: str) -> Any:
        self.world.require_manager(principal_of(request), kind, name)
        return self.world.row(kind, name)

    def _change(self, request: Request, kind: str, name: str, body: Any) -> Any:
        check(body, CHANGES[kind])
        if "new_name" in body:
            raise invalid(f"{spoken(kind)} '{name}' cannot be renamed here.")
        with self.world.lock:
            row = self._managed(request, kind, name)
            if "owner" in body:
                self.world.require_known(body["owner"])
            if "enable_predictive_optimization" in body:
                row.predictive_optimization = body["enable_predictive_optimization"]
            for key in set(body) - {"enable_predictive_optimization"}:
                setattr(row, key, body[key])
            row.updated_at, row.updated_by = now_ms(), principal_of(request)
            return row

    def _empty(self, schema: str) -> None:
        for name in under(self.world.state.tables, schema):
            row = self.world.state.tables[name]
            self.world.drop_table(name) if row.table_type != "FOREIGN" else self.world.forget("TABLE", name)
        for kind in ("VOLUME", "FUNCTION"):
            for name in under(self.world.state.rows(kind), schema):
                self.world.forget(kind, name)


def router(world: World) -> APIRouter:
    """The routes."""
    objects = Objects(world)
    routes = APIRouter(prefix=PREFIX, dependencies=[Depends(caller(world))])
    for method, path, handler in (
        ("POST", "/catalogs", objects.create_catalog),
        ("GET", "/catalogs", objects.catalogs),
        ("GET", "/catalogs/{name}", objects.catalog),
        ("PATCH", "/catalogs/{name}", objects.change_catalog),
        ("DELETE", "/catalogs/{name}", objects.drop_catalog),
        ("POST", "/schemas", objects.create_schema),
        ("GET", "/schemas", objects.schemas),
        ("GET", "/schemas/{full_name}", objects.schema),
        ("PATCH", "/schemas/{full_name}", objects.change_schema),
        ("DELETE", "/schemas/{full_name}", objects.drop_schema),
        ("GET", "/tables", objects.tables),
        ("GET", "/table-summaries", objects.summaries),
        ("GET", "/tables/{full_name}", objects.table),
        ("GET", "/tables/{full_name}/exists", objects.table_exists),
        ("PATCH", "/tables/{full_name}", objects.change_table),
        ("DELETE", "/tables/{full_name}", objects.drop_table),
        ("GET", "/functions", objects.functions),
        ("GET", "/functions/{name}", objects.function),
    ):
        routes.add_api_route(path, handler, methods=[method], response_model=None)
    return routes


def principal_of(request: Request) -> str:
    """Who is asking, as :func:`auth.caller` found out."""
    return request.state.principal


def needed(request: Request, name: str) -> str:
    """A query parameter that must be there."""
    value = request.query_params.get(name, "")
    if not value:
        raise invalid(f"Missing required field: {name}")
    return value


def under(rows: Iterable[str], parent: str) -> list[str]:
    """Full names below a catalog or schema, sorted."""
    return sorted(name for name in list(rows) if name.startswith(f"{parent}."))


def require_managed_storage(world: World, principal: str, root: str) -> None:
    """A storage root lies in an external location where the caller may put managed storage."""
    if not root:
        return
    inside = [one for one in world.state.locations.values() if f"{root.rstrip('/')}/".startswith(f"{one.url}/")]
    if not inside:
        raise ApiError(403, "PERMISSION_DENIED", f"No external location covers the storage root '{root}'.")
    world.require(principal, "CREATE_MANAGED_STORAGE", "EXTERNAL_LOCATION", inside[0].name)


def _paged(key: str, found: list[dict[str, Any]], more: str) -> dict[str, Any]:
    page: dict[str, Any] = {key: found} if found else {}
    return {**page, "next_page_token": more} if more else page


def _like(pattern: str) -> str:
    return pattern.lower().replace("%", "*").replace("_", "?")

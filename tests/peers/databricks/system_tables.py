"""The tables of catalog ``system`` beside ``information_schema``: a registry, who may read them, the rows as Arrow.

A schema of ``system`` is not there until a metastore admin enables it, and then nobody reads it before ``USE SCHEMA``
and ``SELECT`` are granted on it: an admin neither. A module of :data:`MODULES` puts its tables into :data:`TABLES`::

    TABLES["system.billing.usage"] = SystemTable(columns, rows)
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Request

from tests.peers.databricks import privileges
from tests.peers.databricks.auth import BODY, caller
from tests.peers.databricks.errors import ApiError, denied
from tests.peers.databricks.model import ColumnRow, SchemaRow, Securable
from tests.peers.databricks.sql_result import Result, type_text
from tests.peers.databricks.world import World

if TYPE_CHECKING:
    import pyarrow as pa

MODULES = ("system_access", "system_billing")
PREFIX = "/api/2.1/unity-catalog/metastores/{id}/systemschemas"


@dataclass(frozen=True)
class SystemTable:
    """One table: its columns as an Arrow schema (made when it is wanted), its rows as tuples in that order."""

    columns: Callable[[], pa.Schema]
    rows: Callable[[World], Iterable[tuple[Any, ...]]]


TABLES: dict[str, SystemTable] = {}


def tables() -> dict[str, SystemTable]:
    """Every table by its full name."""
    package = __name__.rpartition(".")[0]
    for name in MODULES:
        if importlib.util.find_spec(f"{package}.{name}"):
            importlib.import_module(f"{package}.{name}")
    return TABLES


def schemas() -> list[str]:
    """Names of the schemas that can be enabled."""
    return sorted({name.split(".")[1] for name in tables()})


def enable(world: World, schema: str) -> None:
    """Bring a schema in, with its tables; once more is nothing."""
    if f"system.{schema}" in world.state.schemas:
        return
    with world.lock:
        world.keep("SCHEMA", SchemaRow(name=schema, catalog="system", owner="System user"))
        for full_name, table in tables().items():
            if full_name.split(".")[1] == schema:
                world.create_table(
                    full_name, "System user", columns=_columns(table), data_source_format="DELTASHARING",
                    table_type="MANAGED", kind="TABLE_DELTASHARING",
                )  # fmt: skip


def disable(world: World, schema: str) -> None:
    """Take a schema out, with its tables and the grants on them."""
    with world.lock:
        for full_name in [one for one in world.state.tables if one.startswith(f"system.{schema}.")]:
            world.forget("TABLE", full_name)
        world.forget("SCHEMA", f"system.{schema}")


def view(world: World, full_name: str) -> Result | None:
    """All rows of a table of an enabled schema, None when there is no such table; rights are the caller's to check."""
    found = tables().get(full_name)
    if found is None or full_name not in world.state.tables:
        return None
    from pyspark.sql.pandas.types import from_arrow_schema

    table = _arrow(found.columns(), list(found.rows(world)))
    return Result(schema=from_arrow_schema(table.schema), table=table)


def _arrow(schema: pa.Schema, rows: list[tuple[Any, ...]]) -> pa.Table:
    import pyarrow as pa

    columns = [pa.array([row[place] for row in rows], one.type) for place, one in enumerate(schema)]
    return pa.Table.from_arrays(columns, schema=schema)


def _columns(table: SystemTable) -> list[ColumnRow]:
    from pyspark.sql.pandas.types import from_arrow_schema

    fields = enumerate(from_arrow_schema(table.columns()).fields)
    kinds = [(place, one.name, type_text(one.dataType)) for place, one in fields]
    return [
        ColumnRow(name=name, type_text=kind.lower(), type_name=kind.partition("<")[0].partition("(")[0], position=place)
        for place, name, kind in kinds
    ]


@dataclass
class Schemas:
    """The work of the routes: what ``w.system_schemas`` asks for."""

    world: World

    def listed(self, request: Request, id: str) -> dict[str, Any]:  # noqa: A002 - the route's name
        self._admin(request, id)
        on = self.world.state.schemas
        found = [(name, "ENABLE_COMPLETED" if f"system.{name}" in on else "AVAILABLE") for name in schemas()]
        return {"schemas": [{"schema": name, "state": state} for name, state in found]}

    def enable(self, request: Request, id: str, schema: str, body: Any = BODY) -> dict[str, Any]:  # noqa: A002
        self._admin(request, id)
        enable(self.world, self._known(schema))
        return {}

    def disable(self, request: Request, id: str, schema: str) -> dict[str, Any]:  # noqa: A002 - the route's name
        self._admin(request, id)
        if f"system.{self._known(schema)}" in self.world.state.schemas:
            disable(self.world, schema)
        return {}

    def _admin(self, request: Request, metastore: str) -> None:
        if not privileges.is_admin(self.world.state, request.state.principal):
            raise denied("MANAGE", *Securable("METASTORE", metastore))

    @staticmethod
    def _known(schema: str) -> str:
        if schema not in schemas():
            raise ApiError(404, "SCHEMA_DOES_NOT_EXIST", f"System schema '{schema}' does not exist.")
        return schema


def router(world: World) -> APIRouter:
    """The routes."""
    work, routes, mine = Schemas(world), APIRouter(), [Depends(caller(world))]
    for method, path, handler in (
        ("GET", PREFIX, work.listed),
        ("PUT", f"{PREFIX}/{{schema}}", work.enable),
        ("DELETE", f"{PREFIX}/{{schema}}", work.disable),
    ):
        routes.add_api_route(path, handler, methods=[method], dependencies=mine, response_model=None)
    return routes

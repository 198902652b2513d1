"""``/admin``: what a test may order and ask that no real workspace offers. Wants the admin credential."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Depends

from tests.peers.databricks import auth
from tests.peers.databricks.auth import BODY
from tests.peers.databricks.errors import invalid
from tests.peers.databricks.faults import Faults
from tests.peers.databricks.model import ADMIN, ColumnRow, FunctionRow, Policing
from tests.peers.databricks.shapes import ANY, BOOLEAN, INTEGER, NUMBER, TEXT, Each, Fields, Pairs, check
from tests.peers.databricks.world import World

BEARER = Fields({"principal": TEXT, "lifetime_seconds": NUMBER}, ("principal",))
SETTINGS = Fields(
    {
        "page_size": INTEGER,
        "external_access_enabled": BOOLEAN,
        "default_predictive_optimization": frozenset({"ENABLE", "DISABLE"}),
        "storage_root": TEXT,
        "quotas": Each(Each(ANY)),
    }
)


@dataclass
class Orders:
    """The routes' work."""

    world: World
    faults: Faults

    def principal(self, body: Any = BODY) -> dict[str, Any]:
        """``{"name", "service", "groups"}``: a user or service principal, in groups (made if new)."""
        check(body, Fields({"name": TEXT, "service": BOOLEAN, "groups": Each(TEXT)}, ("name",)))
        row = self.world.add_principal(
            body["name"], service=body.get("service", False), groups=tuple(body.get("groups", ()))
        )
        return dataclasses.asdict(row)

    def group(self, body: Any = BODY) -> dict[str, Any]:
        """``{"name", "members"}``: the members replace those before."""
        check(body, Fields({"name": TEXT, "members": Each(TEXT)}, ("name",)))
        with self.world.lock:
            self.world.state.groups[body["name"]] = set(body.get("members", ()))
        return {}

    def forget_principal(self, name: str) -> dict[str, Any]:
        """Delete a principal; its grants stay behind, as they do."""
        with self.world.lock:
            self.world.state.principals.pop(name, None)
            for members in self.world.state.groups.values():
                members.discard(name)
        self.world.expire(name)
        return {}

    def token(self, body: Any = BODY) -> dict[str, Any]:
        """``{"principal", "lifetime_seconds"}`` -> ``{"token"}``."""
        check(body, BEARER)
        lasts = body.get("lifetime_seconds", float("inf"))
        return {"token": self.world.new_token(body["principal"], lifetime_seconds=lasts)}

    def expire(self, body: Any = BODY) -> dict[str, Any]:
        """``{"principal"}``: all its bearers expire now."""
        check(body, BEARER)
        self.world.expire(body["principal"])
        return {}

    def client(self, body: Any = BODY) -> dict[str, Any]:
        """``{"principal", "lifetime_seconds"}`` -> OAuth ``{"client_id", "client_secret"}``."""
        check(body, BEARER)
        lasts = body.get("lifetime_seconds", 3600)
        client, secret = self.world.new_client(body["principal"], lifetime_seconds=lasts)
        return {"client_id": client, "client_secret": secret}

    def order(self, body: Any = BODY) -> dict[str, Any]:
        """Order faults, see :class:`faults.Fault`."""
        self.faults.order(body)
        return {}

    def calm(self) -> dict[str, Any]:
        """No more faults."""
        self.faults.clear()
        return {}

    def requests(self) -> list[dict[str, Any]]:
        """Every request since the start (or since DELETE)."""
        with self.faults.lock:
            return list(self.faults.log)

    def forget_requests(self) -> dict[str, Any]:
        with self.faults.lock:
            self.faults.log.clear()
        return {}

    def settings(self, body: Any = BODY) -> dict[str, Any]:
        """What :data:`SETTINGS` names; a blank ``storage_root`` takes the metastore's away."""
        world = self.world
        check(body, SETTINGS)
        with world.lock:
            world.page_size = body.get("page_size", world.page_size)
            default = body.get("default_predictive_optimization", world.default_predictive_optimization)
            world.default_predictive_optimization = default
            if "external_access_enabled" in body:
                world.state.metastore.external_access_enabled = body["external_access_enabled"]
            world.state.metastore.storage_root = body.get("storage_root", world.state.metastore.storage_root)
            for quota, counted, parent, limit in body.get("quotas", ()):
                world.quotas[quota, counted, parent] = limit
        return {}

    def catalog(self, name: str, body: Any = BODY) -> dict[str, Any]:
        """Set a catalog's flags: faults that hold for its tables, as ``deletes_ignored``."""
        with self.world.lock:
            self.world.catalog(name).flags.update(body)
        return {}

    def table(self, body: Any = BODY) -> dict[str, Any]:
        """Record a table that is not Iceberg: ``{"full_name", "owner", "columns": [[name, type]], …}``."""
        asked = dict(body)
        columns = [_column(position, *pair) for position, pair in enumerate(asked.pop("columns", ()))]
        full_name, owner = asked.pop("full_name"), asked.pop("owner", ADMIN)
        row = self.world.create_table(full_name, owner, columns=columns, **asked)
        return {"full_name": row.full_name}

    def iceberg_table(self, body: Any = BODY) -> dict[str, Any]:
        """Make a managed Iceberg table: ``{"full_name", "owner", "schema": Iceberg's JSON, "properties"}``."""
        from pyiceberg.schema import Schema

        check(body, Fields({"full_name": TEXT, "owner": TEXT, "schema": ANY, "properties": Pairs()}, ("full_name",)))
        schema, owner = Schema.model_validate(body["schema"]), body.get("owner", ADMIN)
        row = self.world.create_iceberg(body["full_name"], owner, schema, **body.get("properties", {}))
        return {"full_name": row.full_name, "metadata_location": row.metadata_location}

    def change_table(self, full_name: str, body: Any = BODY) -> dict[str, Any]:
        """Set fields of a row: ``owner``, ``row_filter`` and ``masks`` as [function, columns…], ``tags``, …."""
        with self.world.lock:
            row = self.world.table(full_name)
            for key, value in body.items():
                if key == "row_filter":
                    row.row_filter = _policing(value)
                elif key == "masks":
                    for column in row.columns:
                        column.mask = _policing(value[column.name]) if column.name in value else column.mask
                elif hasattr(row, key):
                    setattr(row, key, value)
                else:
                    raise invalid(f"a table has no field {key}")
        return {}

    def function(self, body: Any = BODY) -> dict[str, Any]:
        """``{"full_name", "parameters": [[name, type]], "body_sql", "return_type", "owner"}``."""
        asked = dict(body)
        catalog, schema, name = asked.pop("full_name").split(".")
        asked["parameters"] = [(key, kind) for key, kind in asked.get("parameters", ())]
        self.world.keep("FUNCTION", FunctionRow(catalog=catalog, schema=schema, name=name, **asked))
        return {}

    def refresh(self, full_name: str) -> dict[str, Any]:
        """What REFRESH FOREIGN does, without SQL."""
        return {"tables": self.world.refresh_foreign(full_name)}


def router(world: World, faults: Faults) -> APIRouter:
    """Every order's route."""
    orders = Orders(world, faults)
    routes = APIRouter(prefix="/admin", dependencies=[Depends(auth.admin(world))])
    for method, path, handler in (
        ("POST", "/principals", orders.principal),
        ("DELETE", "/principals/{name}", orders.forget_principal),
        ("POST", "/groups", orders.group),
        ("POST", "/tokens", orders.token),
        ("POST", "/tokens/expire", orders.expire),
        ("POST", "/clients", orders.client),
        ("POST", "/faults", orders.order),
        ("DELETE", "/faults", orders.calm),
        ("GET", "/requests", orders.requests),
        ("DELETE", "/requests", orders.forget_requests),
        ("PATCH", "/settings", orders.settings),
        ("PATCH", "/catalogs/{name}", orders.catalog),
        ("POST", "/tables", orders.table),
        ("POST", "/iceberg-tables", orders.iceberg_table),
        ("PATCH", "/tables/{full_name}", orders.change_table),
        ("POST", "/functions", orders.function),
        ("POST", "/refresh/{full_name}", orders.refresh),
    ):
        routes.add_api_route(path, handler, methods=[method])
    return routes


def _column(position: int, name: str, type_text: str) -> ColumnRow:
    names = {"bigint": "LONG", "smallint": "SHORT", "tinyint": "BYTE", "timestamp_ntz": "TIMESTAMP_NTZ"}
    base = type_text.partition("(")[0].partition("<")[0].lower()
    return ColumnRow(name=name, type_text=type_text, type_name=names.get(base, base.upper()), position=position)


def _policing(value: list[str] | None) -> Policing | None:
    return Policing(function_name=value[0], columns=tuple(value[1:])) if value else None

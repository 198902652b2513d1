"""Connections, storage credentials, external locations and volumes of Unity Catalog's REST."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Depends, Request

from tests.peers.databricks import answers
from tests.peers.databricks.auth import BODY, caller
from tests.peers.databricks.errors import ApiError, invalid
from tests.peers.databricks.model import ConnectionRow, CredentialRow, LocationRow, now_ms
from tests.peers.databricks.requests_in import number, page_of, switch
from tests.peers.databricks.shapes import BOOLEAN, TEXT, Fields, Pairs, check
from tests.peers.databricks.uc_api import PREFIX, needed, principal_of, under
from tests.peers.databricks.world import World

FEDERATED = frozenset(
    {
        "BIGQUERY", "DATABRICKS", "GLUE", "HIVE_METASTORE", "HTTP", "MYSQL", "ORACLE", "POSTGRESQL", "REDSHIFT",
        "SALESFORCE_DATA_CLOUD", "SNOWFLAKE", "SQLDW", "SQLSERVER", "TERADATA", "WORKDAY_RAAS",
    }
)  # fmt: skip
NEW = {
    "CONNECTION": Fields(
        {
            "name": TEXT, "connection_type": FEDERATED, "options": Pairs(), "comment": TEXT, "properties": Pairs(),
            "read_only": BOOLEAN, "secrets": Pairs(),
        },
        ("name", "connection_type"),
    ),
    "STORAGE_CREDENTIAL": Fields(
        {
            "name": TEXT, "aws_iam_role": Fields({"role_arn": TEXT}, ("role_arn",)), "comment": TEXT,
            "read_only": BOOLEAN, "skip_validation": BOOLEAN,
        },
        ("name", "aws_iam_role"),
    ),
    "EXTERNAL_LOCATION": Fields(
        {
            "name": TEXT, "url": TEXT, "credential_name": TEXT, "comment": TEXT, "read_only": BOOLEAN,
            "skip_validation": BOOLEAN, "fallback": BOOLEAN, "enable_file_events": BOOLEAN,
        },
        ("name", "url", "credential_name"),
    ),
    "VOLUME": Fields(
        {
            "name": TEXT, "catalog_name": TEXT, "schema_name": TEXT, "volume_type": frozenset({"MANAGED", "EXTERNAL"}),
            "comment": TEXT, "storage_location": TEXT,
        },
        ("name", "catalog_name", "schema_name", "volume_type"),
    ),
}  # fmt: skip
CHANGES = Fields({"owner": TEXT, "comment": TEXT, "options": Pairs(), "read_only": BOOLEAN})
SHOWN: dict[str, tuple[str, Callable[[World, Any], dict[str, Any]]]] = {
    "CONNECTION": ("connections", answers.connection),
    "STORAGE_CREDENTIAL": ("storage_credentials", answers.credential),
    "EXTERNAL_LOCATION": ("external_locations", answers.location),
    "VOLUME": ("volumes", answers.volume),
}


@dataclass
class Kept:
    """The work of the routes of one kind of securable."""

    world: World
    kind: str

    def create(self, request: Request, body: Any = BODY) -> dict[str, Any]:
        check(body, NEW[self.kind])
        make = {
            "CONNECTION": self._connection,
            "STORAGE_CREDENTIAL": self._credential,
            "EXTERNAL_LOCATION": self._location,
            "VOLUME": self._volume,
        }[self.kind]
        with self.world.lock:
            return self._shown(make(principal_of(request), body))

    def all(self, request: Request) -> dict[str, Any]:
        rows, who = self.world.state.rows(self.kind), principal_of(request)
        names = sorted(rows)
        if self.kind == "VOLUME":
            parent = f"{needed(request, 'catalog_name')}.{needed(request, 'schema_name')}".lower()
            self.world.schema(parent)
            names = under(rows, parent)
        size = min(number(request.query_params, "max_results", 0) or self.world.page_size, self.world.page_size)
        page, more = page_of(names, request.query_params.get("page_token"), size)
        browse = switch(request.query_params, "include_browse")
        found = [self._shown(rows[name]) for name in page if self.world.sees(who, self.kind, name, browse=browse)]
        answer: dict[str, Any] = {SHOWN[self.kind][0]: found} if found else {}
        return {**answer, "next_page_token": more} if more else answer

    def one(self, request: Request, name: str) -> dict[str, Any]:
        return self._shown(self.world.row(self.kind, name, principal_of(request), browse=True))

    def change(self, request: Request, name: str, body: Any = BODY) -> dict[str, Any]:
        check(body, CHANGES)
        with self.world.lock:
            self.world.require_manager(principal_of(request), self.kind, name)
            row = self.world.row(self.kind, name)
            if "owner" in body:
                self.world.require_known(body["owner"])
            for key, value in body.items():
                setattr(row, key, value)
            row.updated_at, row.updated_by = now_ms(), principal_of(request)
            return self._shown(row)

    def drop(self, request: Request, name: str) -> dict[str, Any]:
        with self.world.lock:
            self.world.require_manager(principal_of(request), self.kind, name)
            full_name = self.world.row(self.kind, name).full_name
            users = self._users(full_name)
            if users and not switch(request.query_params, "force"):
                raise ApiError(400, "INVALID_STATE", f"'{full_name}' is still in use by {users[0]}.")
            self.world.forget(self.kind, full_name)
        return {}

    def _users(self, name: str) -> list[str]:
        state = self.world.state
        if self.kind == "CONNECTION":
            return [row.name for row in state.catalogs.values() if row.connection_name == name]
        if self.kind == "STORAGE_CREDENTIAL":
            return [row.name for row in state.locations.values() if row.credential_name == name]
        return []

    def _shown(self, row: Any) -> dict[str, Any]:
        return SHOWN[self.kind][1](self.world, row)

    def _connection(self, who: str, body: dict[str, Any]) -> ConnectionRow:
        self.world.require(who, "CREATE_CONNECTION", "METASTORE", self.world.state.metastore.id)
        row = ConnectionRow(
            name=body["name"],
            owner=who,
            created_by=who,
            comment=body.get("comment", ""),
            properties=body.get("properties", {}),
            connection_type=body["connection_type"],
            options={**body.get("options", {}), **body.get("secrets", {})},
        )
        return self.world.keep("CONNECTION", row)

    def _credential(self, who: str, body: dict[str, Any]) -> CredentialRow:
        self.world.require(who, "CREATE_STORAGE_CREDENTIAL", "METASTORE", self.world.state.metastore.id)
        arn, read_only = body["aws_iam_role"]["role_arn"], body.get("read_only", False)
        more = {"comment": body.get("comment", ""), "owner": who, "created_by": who}
        return self.world.keep(
            "STORAGE_CREDENTIAL", CredentialRow(name=body["name"], role_arn=arn, read_only=read_only, **more)
        )

    def _location(self, who: str, body: dict[str, Any]) -> LocationRow:
        world, url, credential = self.world, body["url"].rstrip("/"), body["credential_name"].lower()
        world.require(who, "CREATE_EXTERNAL_LOCATION", "METASTORE", world.state.metastore.id)
        world.require(who, "CREATE_EXTERNAL_LOCATION", "STORAGE_CREDENTIAL", credential)
        for other in world.state.locations.values():
            if f"{url}/".startswith(f"{other.url}/") or f"{other.url}/".startswith(f"{url}/"):
                raise invalid(f"The url '{url}' overlaps with the external location '{other.name}' ({other.url}).")
        more = {"comment": body.get("comment", ""), "owner": who, "created_by": who}
        row = LocationRow(
            name=body["name"], url=url, credential_name=credential, read_only=body.get("read_only", False), **more
        )
        return world.keep("EXTERNAL_LOCATION", row)

    def _volume(self, who: str, body: dict[str, Any]) -> Any:
        world, where = self.world, body.get("storage_location", "")
        schema = f"{body['catalog_name']}.{body['schema_name']}"
        world.require(who, "CREATE_VOLUME", "SCHEMA", schema)
        if (body["volume_type"] == "EXTERNAL") != bool(where):
            raise invalid("storage_location is wanted for external volumes, and for no others.")
        if where:
            inside = [one for one in world.state.locations.values() if f"{where}/".startswith(f"{one.url}/")]
            if not inside:
                raise ApiError(403, "PERMISSION_DENIED", f"No external location covers '{where}'.")
            world.require(who, "CREATE_EXTERNAL_VOLUME", "EXTERNAL_LOCATION", inside[0].name)
        more = {"comment": body.get("comment", ""), "volume_type": body["volume_type"], "storage_location": where}
        return world.create_volume(f"{schema}.{body['name']}", who, **more)


def router(world: World) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix=PREFIX, dependencies=[Depends(caller(world))])
    for kind, (plural, _) in SHOWN.items():
        kept, path = Kept(world, kind), "/" + plural.replace("_", "-")
        for method, more, handler in (
            ("POST", "", kept.create),
            ("GET", "", kept.all),
            ("GET", "/{name}", kept.one),
            ("PATCH", "/{name}", kept.change),
            ("DELETE", "/{name}", kept.drop),
        ):
            routes.add_api_route(path + more, handler, methods=[method], response_model=None)
    return routes

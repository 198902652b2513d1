"""Tags on catalogs, schemas, tables, volumes and columns, of Unity Catalog's REST."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Depends, Request

from tests.peers.databricks.auth import BODY, caller
from tests.peers.databricks.errors import ApiError, invalid
from tests.peers.databricks.requests_in import number, page_of
from tests.peers.databricks.shapes import TEXT, Fields, check
from tests.peers.databricks.uc_api import PREFIX, principal_of
from tests.peers.databricks.world import World

KINDS = {"catalogs": "CATALOG", "schemas": "SCHEMA", "tables": "TABLE", "volumes": "VOLUME", "columns": "TABLE"}
NEW = Fields(
    {"entity_type": TEXT, "entity_name": TEXT, "tag_key": TEXT, "tag_value": TEXT},
    ("entity_type", "entity_name", "tag_key"),
)


@dataclass
class Tags:
    """The work of the routes."""

    world: World

    def create(self, request: Request, body: Any = BODY) -> dict[str, Any]:
        check(body, NEW)
        with self.world.lock:
            tags = self.tags_of(body["entity_type"], body["entity_name"], principal_of(request), write=True)
            if body["tag_key"] in tags:
                raise ApiError(409, "ALREADY_EXISTS", f"Tag '{body['tag_key']}' is already assigned.")
            tags[body["tag_key"]] = body.get("tag_value", "")
        return _shown(body["entity_type"], body["entity_name"], body["tag_key"], tags)

    def change(
        self, request: Request, entity_type: str, entity_name: str, key: str, body: Any = BODY
    ) -> dict[str, Any]:
        check(body, Fields(NEW.known))
        with self.world.lock:
            tags = self.tags_of(entity_type, entity_name, principal_of(request), write=True)
            _known(tags, key)
            tags[key] = body.get("tag_value", "")
        return _shown(entity_type, entity_name, key, tags)

    def drop(self, request: Request, entity_type: str, entity_name: str, key: str) -> dict[str, Any]:
        with self.world.lock:
            tags = self.tags_of(entity_type, entity_name, principal_of(request), write=True)
            _known(tags, key)
            del tags[key]
        return {}

    def one(self, request: Request, entity_type: str, entity_name: str, key: str) -> dict[str, Any]:
        tags = self.tags_of(entity_type, entity_name, principal_of(request))
        _known(tags, key)
        return _shown(entity_type, entity_name, key, tags)

    def all(self, request: Request, entity_type: str, entity_name: str) -> dict[str, Any]:
        tags = self.tags_of(entity_type, entity_name, principal_of(request))
        found = [_shown(entity_type, entity_name, key, tags) for key in sorted(tags)]
        size = number(request.query_params, "max_results", 0) or self.world.page_size
        page, more = page_of(found, request.query_params.get("page_token"), size)
        answer: dict[str, Any] = {"tag_assignments": list(page)} if page else {}
        return {**answer, "next_page_token": more} if more else answer

    def tags_of(self, entity_type: str, name: str, principal: str, *, write: bool = False) -> dict[str, str]:
        """The tags themselves; writing wants APPLY TAG."""
        if entity_type not in KINDS:
            raise invalid(f"Invalid entity_type '{entity_type}'.")
        kind, column = KINDS[entity_type], ""
        if entity_type == "columns":
            name, _, column = name.rpartition(".")
        row = self.world.row(kind, name, principal)
        if write:
            self.world.require(principal, "APPLY_TAG", kind, name)
        if not column:
            return row.tags
        for one in row.columns:
            if one.name.lower() == column.lower():
                return one.tags
        raise ApiError(404, "COLUMN_DOES_NOT_EXIST", f"Column '{column}' does not exist.")


def router(world: World) -> APIRouter:
    """The routes."""
    tags = Tags(world)
    routes = APIRouter(prefix=f"{PREFIX}/entity-tag-assignments", dependencies=[Depends(caller(world))])
    one = "/{entity_type}/{entity_name}/tags"
    for method, path, handler in (
        ("POST", "", tags.create),
        ("GET", one, tags.all),
        ("GET", one + "/{key}", tags.one),
        ("PATCH", one + "/{key}", tags.change),
        ("DELETE", one + "/{key}", tags.drop),
    ):
        routes.add_api_route(path, handler, methods=[method], response_model=None)
    return routes


def _known(tags: dict[str, str], key: str) -> None:
    if key not in tags:
        raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Tag '{key}' is not assigned.")


def _shown(entity_type: str, entity_name: str, key: str, tags: dict[str, str]) -> dict[str, str]:
    shown = {"entity_type": entity_type, "entity_name": entity_name, "tag_key": key}
    return {**shown, "tag_value": tags[key]} if tags[key] else shown

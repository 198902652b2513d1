"""Users, service principals and groups as the workspace's SCIM interface shows them: found by name, or by id."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Depends, Request

from tests.peers.databricks.auth import caller
from tests.peers.databricks.errors import ApiError, invalid
from tests.peers.databricks.model import PrincipalRow
from tests.peers.databricks.requests_in import number
from tests.peers.databricks.world import World

SCIM = "/api/2.0/preview/scim/v2"
NAMED = {"Users": "userName", "ServicePrincipals": "applicationId", "Groups": "displayName"}
_TERM = re.compile(r'(\w+)\s+eq\s+"((?:[^"\\]|\\.)*)"')


@dataclass
class Scim:
    """The work of the routes."""

    world: World

    def listed(self, request: Request, kind: str) -> dict[str, Any]:
        if kind not in NAMED:
            raise ApiError(404, "ENDPOINT_NOT_FOUND", f"No API found for '{request.method} {request.url.path}'")
        wanted = _names(request.query_params.get("filter", ""), NAMED[kind])
        found = [row for row in self._all(kind) if wanted is None or row[NAMED[kind]].lower() in wanted]
        first = number(request.query_params, "startIndex", 1) or 1
        count = number(request.query_params, "count", 100) or 100
        page = found[first - 1 :][:count]
        keys = {"id", *filter(None, request.query_params.get("attributes", "").split(","))}
        shown = [row if len(keys) == 1 else {key: row[key] for key in row if key in keys} for row in page]
        head = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"], "totalResults": len(found)}
        return {**head, "startIndex": first, "itemsPerPage": len(page), "Resources": shown}

    def one(self, request: Request, kind: str, id: str) -> dict[str, Any]:  # noqa: A002 - the API's word
        for row in self._all(kind) if kind in NAMED else ():
            if row["id"] == id:
                return row
        raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"{kind} with id {id} not found.")

    def _all(self, kind: str) -> Iterator[dict[str, Any]]:
        state = self.world.state
        if kind == "Groups":
            for name, members in sorted(state.groups.items()):
                shown = {"id": group_id(name), "displayName": name, "meta": {"resourceType": "Group"}}
                yield {**shown, "members": [self._member(one) for one in sorted(members)]} if members else shown
            return
        for row in sorted(state.principals.values(), key=lambda one: one.name):
            if row.service == (kind == "ServicePrincipals"):
                yield {"id": row.id, NAMED[kind]: row.name, "displayName": row.name, "active": True}

    def _member(self, name: str) -> dict[str, str]:
        if name in self.world.state.groups:
            return {"value": group_id(name), "display": name, "$ref": f"Groups/{group_id(name)}"}
        row = self.world.state.principals.get(name, PrincipalRow(name=name))
        return {"value": row.id, "display": name, "$ref": f"{'ServicePrincipals' if row.service else 'Users'}/{row.id}"}


def group_id(name: str) -> str:
    """Give the id of a group; there is none in the world's state."""
    return str(sum((position + 1) * ord(char) for position, char in enumerate(name)) + 10**9)


def _names(text: str, attribute: str) -> set[str] | None:
    """The names of ``attribute eq "…" or …``; names are compared without regard to case (RFC 7643)."""
    if not text:
        return None
    terms: Iterable[re.Match[str] | None] = [_TERM.fullmatch(part.strip()) for part in re.split(r"\s+or\s+", text)]
    found = set()
    for term in terms:
        if term is None or term[1].lower() != attribute.lower():
            raise invalid(f"The filter '{text}' is not understood.")
        found.add(re.sub(r"\\(.)", r"\1", term[2]).lower())
    return found


def router(world: World) -> APIRouter:
    """The routes."""
    scim = Scim(world)
    routes = APIRouter(prefix=SCIM, dependencies=[Depends(caller(world))])
    routes.add_api_route("/{kind}", scim.listed, methods=["GET"], response_model=None)
    routes.add_api_route("/{kind}/{id}", scim.one, methods=["GET"], response_model=None)
    return routes

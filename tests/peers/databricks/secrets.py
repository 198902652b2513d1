"""Secret scopes: put and listed through the API, read by who may, resolved for clusters."""

from __future__ import annotations

import base64
import functools
import re
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Depends, Request

from tests.peers.databricks.auth import caller
from tests.peers.databricks.errors import ApiError, invalid
from tests.peers.databricks.model import now_ms
from tests.peers.databricks.requests_in import BODY
from tests.peers.databricks.shapes import OBJECT, TEXT, Fields, check
from tests.peers.databricks.world import World

RIGHTS = ("READ", "WRITE", "MANAGE")
NAME = re.compile(r"[\w\-@.]{1,128}")
REFERENCE = re.compile(r"\{\{secrets/([\w\-@.]+)/([\w\-@.]+)\}\}")
MOST_BYTES = 128 * 1024

CREATE_SCOPE = Fields(
    {
        "scope": TEXT,
        "initial_manage_principal": TEXT,
        "scope_backend_type": frozenset({"DATABRICKS", "AZURE_KEYVAULT"}),
        "backend_azure_keyvault": OBJECT,
    },
    ("scope",),
)
ONE_SCOPE = Fields({"scope": TEXT}, ("scope",))
PUT = Fields({"scope": TEXT, "key": TEXT, "string_value": TEXT, "bytes_value": TEXT}, ("scope", "key"))
ONE_SECRET = Fields({"scope": TEXT, "key": TEXT}, ("scope", "key"))
PUT_ACL = Fields(
    {"scope": TEXT, "principal": TEXT, "permission": frozenset(RIGHTS)}, ("scope", "principal", "permission")
)
ONE_ACL = Fields({"scope": TEXT, "principal": TEXT}, ("scope", "principal"))


@dataclass
class Scope:
    """One scope: values with the time they were put, and who may do what."""

    values: dict[str, tuple[bytes, int]] = field(default_factory=dict, repr=False)
    rights: dict[str, str] = field(default_factory=dict)


@dataclass
class Secrets:
    """All scopes of the workspace."""

    world: World
    scopes: dict[str, Scope] = field(default_factory=dict)

    def scope(self, name: str, principal: str, right: str) -> Scope:
        """A scope in which the principal has at least `right`."""
        scope = self.scopes.get(name)
        if scope is None:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Scope {name} does not exist!")
        if RIGHTS.index(right) > self.rank(scope, principal):
            raise ApiError(
                403, "PERMISSION_DENIED", f"User {principal} does not have {right} permission on scope {name}."
            )
        return scope

    def rank(self, scope: Scope, principal: str) -> int:
        """How much a principal may do in a scope: -1 nothing, 0 READ, 1 WRITE, 2 MANAGE."""
        names = {principal, "users", *self.world.groups_of(principal)}
        return max((RIGHTS.index(right) for name, right in scope.rights.items() if name in names), default=-1)

    def read(self, name: str, key: str, principal: str) -> bytes:
        """The value of a secret."""
        scope = self.scope(name, principal, "READ")
        if key not in scope.values:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Secret does not exist with scope: {name} and key: {key}")
        return scope.values[key][0]

    def resolve(self, text: str, principal: str) -> tuple[str, list[str]]:
        """A text with its `{{secrets/scope/key}}` replaced, and the values that were put in."""
        used: list[str] = []

        def value(match: re.Match[str]) -> str:
            used.append(self.read(match[1], match[2], principal).decode())
            return used[-1]

        return REFERENCE.sub(value, text), used

    # Requests

    def create(self, body: Any, principal: str) -> dict[str, Any]:
        """Make a scope; the creator manages it."""
        check(body, CREATE_SCOPE)
        if not NAME.fullmatch(body["scope"]):
            raise invalid(
                f"The scope name '{body['scope']}' may only have letters, digits, dashes, underscores, @ and periods."
            )
        if body["scope"] in self.scopes:
            raise ApiError(400, "RESOURCE_ALREADY_EXISTS", f"Scope {body['scope']} already exists!")
        if body.get("initial_manage_principal", "users") != "users":
            raise invalid("Invalid initial_manage_principal, it must be 'users' or absent.")
        rights = {body.get("initial_manage_principal", principal): "MANAGE"}
        self.scopes[body["scope"]] = Scope(rights=rights)
        return {}

    def put(self, body: Any, principal: str) -> dict[str, Any]:
        """Put one value."""
        check(body, PUT)
        scope = self.scope(body["scope"], principal, "WRITE")
        if not NAME.fullmatch(body["key"]):
            raise invalid(
                f"The secret key '{body['key']}' may only have letters, digits, dashes, underscores, @ and periods."
            )
        if ("string_value" in body) == ("bytes_value" in body):
            raise invalid("Exactly one of string_value or bytes_value must be given.")
        value = body["string_value"].encode() if "string_value" in body else base64.b64decode(body["bytes_value"])
        if len(value) > MOST_BYTES:
            raise invalid(f"The secret value must be at most {MOST_BYTES} bytes.")
        scope.values[body["key"]] = (value, now_ms())
        return {}

    def keys(self, name: str, principal: str) -> dict[str, Any]:
        """Names of secrets, never their values."""
        scope = self.scope(name, principal, "READ")
        listed = [{"key": key, "last_updated_timestamp": when} for key, (_, when) in sorted(scope.values.items())]
        return {"secrets": listed} if listed else {}

    def visible(self, principal: str) -> dict[str, Any]:
        """The scopes a principal may at least read."""
        names = [name for name, scope in self.scopes.items() if self.rank(scope, principal) >= 0]
        return {"scopes": [{"name": name, "backend_type": "DATABRICKS"} for name in sorted(names)]}


@functools.cache
def secrets_of(world: World) -> Secrets:
    """The secrets of a workspace, one object for every router."""
    return Secrets(world)


def router(world: World) -> APIRouter:
    """The routes of secrets."""
    api, kept, who, body_of = APIRouter(), secrets_of(world), Depends(caller(world)), BODY

    @api.get("/api/2.0/secrets/scopes/list")
    def list_scopes(principal: str = who) -> dict[str, Any]:
        return kept.visible(principal)

    @api.post("/api/2.0/secrets/scopes/create")
    def create_scope(body: Any = body_of, principal: str = who) -> dict[str, Any]:
        return kept.create(body, principal)

    @api.post("/api/2.0/secrets/scopes/delete")
    def delete_scope(body: Any = body_of, principal: str = who) -> dict[str, Any]:
        check(body, ONE_SCOPE)
        kept.scope(body["scope"], principal, "MANAGE")
        del kept.scopes[body["scope"]]
        return {}

    @api.get("/api/2.0/secrets/list")
    def list_keys(request: Request, principal: str = who) -> dict[str, Any]:
        return kept.keys(request.query_params.get("scope", ""), principal)

    @api.post("/api/2.0/secrets/put")
    def put(body: Any = body_of, principal: str = who) -> dict[str, Any]:
        return kept.put(body, principal)

    @api.get("/api/2.0/secrets/get")
    def get(request: Request, principal: str = who) -> dict[str, Any]:
        scope, key = (request.query_params.get(name, "") for name in ("scope", "key"))
        return {"key": key, "value": base64.b64encode(kept.read(scope, key, principal)).decode()}

    @api.post("/api/2.0/secrets/delete")
    def delete(body: Any = body_of, principal: str = who) -> dict[str, Any]:
        check(body, ONE_SECRET)
        scope = kept.scope(body["scope"], principal, "WRITE")
        if scope.values.pop(body["key"], None) is None:
            raise ApiError(
                404,
                "RESOURCE_DOES_NOT_EXIST",
                f"Secret does not exist with scope: {body['scope']} and key: {body['key']}",
            )
        return {}

    _acl_routes(api, kept, who, body_of)
    return api


def _acl_routes(api: APIRouter, kept: Secrets, who: Any, body_of: Any) -> None:
    @api.post("/api/2.0/secrets/acls/put")
    def put_acl(body: Any = body_of, principal: str = who) -> dict[str, Any]:
        check(body, PUT_ACL)
        kept.scope(body["scope"], principal, "MANAGE").rights[body["principal"]] = body["permission"]
        return {}

    @api.post("/api/2.0/secrets/acls/delete")
    def delete_acl(body: Any = body_of, principal: str = who) -> dict[str, Any]:
        check(body, ONE_ACL)
        kept.scope(body["scope"], principal, "MANAGE").rights.pop(body["principal"], None)
        return {}

    @api.get("/api/2.0/secrets/acls/list")
    def list_acls(request: Request, principal: str = who) -> dict[str, Any]:
        scope = kept.scope(request.query_params.get("scope", ""), principal, "MANAGE")
        return {"items": [{"principal": name, "permission": right} for name, right in scope.rights.items()]}

    @api.get("/api/2.0/secrets/acls/get")
    def get_acl(request: Request, principal: str = who) -> dict[str, Any]:
        scope = kept.scope(request.query_params.get("scope", ""), principal, "MANAGE")
        name = request.query_params.get("principal", "")
        if name not in scope.rights:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Failed to get secret acl for principal {name}!")
        return {"principal": name, "permission": scope.rights[name]}

"""Who is asking: the bearer of a request, and the OAuth endpoints that give one out."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from tests.peers.databricks.errors import ApiError
from tests.peers.databricks.requests_in import json_body
from tests.peers.databricks.world import World

BODY = Depends(json_body)


def bearer_of(request: Request) -> str:
    """The credential of a request, empty without one."""
    header = request.headers.get("Authorization", "")
    return header[7:].strip() if header[:7].lower() == "bearer " else ""


def caller(world: World) -> Callable[[Request], str]:
    """Make the dependency that names the caller; 401 UNAUTHENTICATED when the credential is not (or no more) good."""

    def principal_of(request: Request) -> str:
        request.state.principal = world.principal_of(bearer_of(request))
        return request.state.principal

    return principal_of


def admin(world: World) -> Callable[[Request], None]:
    """Make the dependency that lets only the holder of the admin credential through."""

    def check(request: Request) -> None:
        if not secrets.compare_digest(bearer_of(request), world.admin_token):
            raise ApiError(401, "UNAUTHENTICATED", "this route wants the admin credential printed at start")

    return check


@dataclass
class Login:
    """OAuth for machines: client credentials in, a bearer that expires out."""

    world: World

    async def token(self, request: Request) -> JSONResponse:
        form = {key: values[-1] for key, values in parse_qs((await request.body()).decode()).items()}
        if form.get("grant_type") != "client_credentials":
            return _refused(400, "unsupported_grant_type", "only client_credentials is served")
        if "all-apis" not in form.get("scope", "").split():
            return _refused(400, "invalid_scope", "scope must hold all-apis")
        client, secret = _client(request, form)
        known = self.world.clients.get(client)
        if known is None or not secrets.compare_digest(known.secret, secret):
            return _refused(401, "invalid_client", "Client authentication failed")
        lasts = known.lifetime_seconds
        given = self.world.new_token(known.principal, lifetime_seconds=lasts)
        return JSONResponse(
            {"access_token": given, "token_type": "Bearer", "expires_in": int(lasts), "scope": "all-apis"}
        )

    def server(self) -> dict[str, Any]:
        root = f"{self.world.url}/oidc"
        return {
            "issuer": root,
            "authorization_endpoint": f"{root}/v1/authorize",
            "token_endpoint": f"{root}/v1/token",
            "grant_types_supported": ["client_credentials"],
            "scopes_supported": ["all-apis"],
        }

    def host(self) -> dict[str, Any]:
        return {"oidc_endpoint": f"{self.world.url}/oidc", "workspace_id": self.world.workspace_id}


def router(world: World) -> APIRouter:
    """Login and discovery, the only routes without a credential."""
    login, routes = Login(world), APIRouter()
    routes.add_api_route("/oidc/v1/token", login.token, methods=["POST"])
    routes.add_api_route("/oidc/.well-known/oauth-authorization-server", login.server, methods=["GET"])
    routes.add_api_route("/.well-known/databricks-config", login.host, methods=["GET"])
    return routes


def _client(request: Request, form: dict[str, str]) -> tuple[str, str]:
    header = request.headers.get("Authorization", "")
    if header[:6].lower() == "basic ":
        client, _, secret = base64.b64decode(header[6:]).decode().partition(":")
        return client, secret
    return form.get("client_id", ""), form.get("client_secret", "")


def _refused(status: int, error: str, description: str) -> JSONResponse:
    return JSONResponse({"error": error, "error_description": description}, status_code=status)

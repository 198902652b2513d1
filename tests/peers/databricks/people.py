"""Principals, their groups and the credentials given to them."""

from __future__ import annotations

import secrets
import threading
import time

from tests.peers.databricks import privileges
from tests.peers.databricks.errors import ApiError
from tests.peers.databricks.model import ALL_USERS, Bearer, ClientRow, PrincipalRow, State


class People:
    """Who there is in a workspace, and by which credential each is known."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.lock = threading.RLock()
        self.bearers: dict[str, Bearer] = {}
        self.clients: dict[str, ClientRow] = {}

    def add_principal(self, name: str, *, service: bool = False, groups: tuple[str, ...] = ()) -> PrincipalRow:
        with self.lock:
            row = self.state.principals.setdefault(name, PrincipalRow(name=name, service=service))
            for group in groups:
                self.state.groups.setdefault(group, set()).add(name)
            return row

    def new_token(self, principal: str, *, lifetime_seconds: float = float("inf")) -> str:
        """Give a principal (made if it is new) a bearer."""
        self.add_principal(principal)
        given = f"dapi{secrets.token_hex(16)}"
        self.bearers[given] = Bearer(principal=principal, expires_at=time.time() + lifetime_seconds)
        return given

    def new_client(self, principal: str, *, lifetime_seconds: float = 3600) -> tuple[str, str]:
        """Give a service principal an OAuth secret: (client id, client secret)."""
        self.add_principal(principal, service=True)
        secret = f"dose{secrets.token_hex(16)}"
        self.clients[principal] = ClientRow(principal=principal, secret=secret, lifetime_seconds=lifetime_seconds)
        return principal, secret

    def expire(self, principal: str) -> None:
        """Every bearer of a principal is good no more."""
        for bearer in list(self.bearers.values()):
            if bearer.principal == principal:
                bearer.expires_at = 0

    def principal_of(self, token: str) -> str:
        """Name the owner of a bearer; 401 when it is not known or has expired."""
        if not token:
            text = "Credential was not sent or was of an unsupported type for this API."
            raise ApiError(401, "UNAUTHENTICATED", text)
        bearer = self.bearers.get(token)
        if bearer is None:
            raise ApiError(401, "UNAUTHENTICATED", "Invalid access token.")
        if bearer.expired:
            raise ApiError(401, "UNAUTHENTICATED", "Access token has expired.")
        return bearer.principal

    def groups_of(self, principal: str) -> set[str]:
        """The groups a principal is in, nested ones too."""
        return privileges.identities_of(self.state, principal) - {principal}

    def require_known(self, principal: str) -> None:
        """404 PRINCIPAL_DOES_NOT_EXIST unless a user, service principal or group has this name."""
        if principal not in self.state.principals and principal not in {*self.state.groups, ALL_USERS}:
            raise ApiError(404, "PRINCIPAL_DOES_NOT_EXIST", f"Could not find principal with name {principal}")

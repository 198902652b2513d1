"""Signs pyiceberg in to a workspace with the workspace's own credential, renewed before it expires."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pyiceberg.catalog.rest.auth import AuthManager


class WorkspaceAuth(AuthManager):
    """Asks for the headers at every request, so that a client's hour-long credential never grows stale."""

    def __init__(self, headers: Callable[[], Mapping[str, str]]) -> None:
        self._headers = headers

    def auth_header(self) -> str | None:
        """The Authorization header of the next request."""
        return self._headers().get("Authorization")

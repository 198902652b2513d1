"""Pyiceberg's REST catalog with time limits: its own session would wait for ever for a server that hangs."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from pyiceberg.catalog.rest import Endpoints, RestCatalog
from pyiceberg.catalog.rest.response import _handle_non_200_response
from pyiceberg.exceptions import NoSuchNamespaceError
from pyiceberg.typedef import Identifier
from requests import HTTPError, PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
POOL = 64


class TimedRestCatalog(RestCatalog):
    """REST catalog whose requests end after ``rest.timeout-seconds`` (60) without an answer."""

    def _create_session(self) -> Session:
        session = super()._create_session()
        seconds = float(self.properties.get("rest.timeout-seconds", READ_SECONDS))
        adapter = _TimedAdapter(seconds)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        return session

    def list_namespaces(self, namespace: str | Identifier = ()) -> list[Identifier]:
        """List children of a namespace.

        Pyiceberg 0.12 percent-encodes the ``parent`` twice, so that children of ``a b`` are asked for below ``a%20b``.
        """
        parent = self.identifier_to_tuple(namespace)
        if all(quote(part, safe="") == part for part in parent):
            return list(super().list_namespaces(namespace))
        found: list[Identifier] = []
        params = {"parent": self._namespace_separator.join(parent)}
        while True:
            response = self._session.get(self.url(Endpoints.list_namespaces), params=params)
            try:
                response.raise_for_status()
            except HTTPError as error:
                _handle_non_200_response(error, {404: NoSuchNamespaceError})
            answer = response.json()
            found.extend(tuple(item) for item in answer.get("namespaces", ()))
            if not answer.get("next-page-token"):
                return found
            params["pageToken"] = answer["next-page-token"]


class _TimedAdapter(HTTPAdapter):
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(pool_maxsize=POOL)

    def send(self, request: PreparedRequest, *args: Any, **given: Any) -> Response:
        given["timeout"] = given.get("timeout") or (CONNECT_SECONDS, self.seconds)
        return super().send(request, *args, **given)

"""Statements of a program over the wire: JSON there, an Arrow stream back."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any


class Refused(Exception):
    """The gateway said no."""

    def __init__(self, error_class: str, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.error_class, self.sqlstate = error_class, sqlstate


class Wire:
    """Sends statements with the run's credential, and keeps the catalog and schema that USE chose."""

    def __init__(self, url: str, credential: str) -> None:
        self._url, self._credential = url, credential
        self._session: dict[str, Any] = {}

    def run(self, statement: str, parameters: Mapping[str, Any] | Sequence[Any]) -> Any:
        """The answer as an Arrow table; raises Refused."""
        body = {"statement": statement, "parameters": parameters, **self._session}
        headers = {"Authorization": f"Bearer {self._credential}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._url}/internal/runs/sql", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request) as answer:
                return self._table(answer.read())
        except urllib.error.HTTPError as error:
            raise _refusal(error) from None

    def _table(self, raw: bytes) -> Any:
        import pyarrow as pa

        table = pa.ipc.open_stream(raw).read_all()
        catalog, schema = json.loads((table.schema.metadata or {}).get(b"session", b"[null, null]"))
        self._session = {"catalog": catalog, "schema": schema}
        return table


def _refusal(error: urllib.error.HTTPError) -> Refused:
    try:
        said = json.loads(error.read())
    except ValueError:
        said = {}
    code = said.get("error_class") or said.get("error_code") or "INTERNAL_ERROR"
    return Refused(code, said.get("sqlstate", ""), said.get("message") or f"the gateway answered {error.code}")

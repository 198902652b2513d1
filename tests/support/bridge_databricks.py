"""A world of the bridge's contract suite whose events and source are in the local Databricks workspace."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from icebridge_provider.catalogs.unity.statements import Statements
from icebridge_provider.catalogs.unity.workspace import Login
from icebridge_provider.catalogs.unity.workspace import Workspace as Client
from icebridge_provider.engines.databricks.bridge import WorkspaceEventQueue
from icebridge_provider.engines.databricks.row_source import WorkspaceRowSource
from icebridge_provider.sql.identifiers import data_type, literal, quoted
from tests.support.bridge import DbApiWorld, Row, sqlite_world
from tests.support.databricks import Workspace
from tests.support.sql_estate import WAREHOUSE

TYPES = {"int": "BIGINT", "text": "STRING", "ci_text": "STRING", "number": "DECIMAL(10,2)"}


def statements(workspace: Workspace, principal: str = "admin") -> Statements:
    """The product's own way to say SQL to it."""
    client = Client("databricks", workspace.url, Login(token=workspace.token(principal)))
    return Statements(client, WAREHOUSE)


class DatabricksWorld:
    """Events and sources in a schema of their own; the target is a SQLite file."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        self.workspace, self.near = workspace, statements(workspace)
        self.catalog = f"bridge_{uuid.uuid4().hex[:8]}"
        self.origin = f"{self.catalog}.events"
        client = workspace.sdk()
        client.catalogs.create(self.catalog)
        client.schemas.create("events", self.catalog)
        self._target: DbApiWorld = sqlite_world(folder)
        self.schema, self.target, self.rows = self._target.schema, self._target.target, self._target.rows
        self.make_target = self._target.make_target
        self.events = f"{self.origin}.bridge_events"
        self.queue = WorkspaceEventQueue(self.near, self.events, pause_seconds=0.05)
        self.source = WorkspaceRowSource(self.near)

    def make_source(self, name: str, columns: Mapping[str, str], rows: Sequence[Row] = ()) -> None:
        listed = ", ".join(f"{quoted(column)} {data_type(TYPES[kind])}" for column, kind in columns.items())
        self.run(f"CREATE TABLE {self._name(name)} ({listed}) USING ICEBERG")
        self.add(name, rows)

    def add(self, name: str, rows: Sequence[Row]) -> None:
        listed = ", ".join(f"({', '.join(_literal(value) for value in row)})" for row in rows)
        if rows:
            self.run(f"INSERT INTO {self._name(name)} VALUES {listed}")

    def expire(self, event_id: str) -> None:
        self._on_event("claimed_until = TIMESTAMP'2000-01-01 00:00:00'", event_id)

    def redeliver(self, event_id: str) -> None:
        self._on_event("status = 'pending', claimed_by = NULL", event_id)

    def run(self, statement: str, values: Mapping[str, str] | None = None) -> list[tuple[str | None, ...]]:
        return list(self.near.run("prepare a test", statement, values).rows)

    def close(self) -> None:
        self._target.close()

    def _name(self, name: str) -> str:
        return quoted(*self.origin.split("."), name)

    def _on_event(self, change: str, event_id: str) -> None:
        self.run(f"UPDATE {self.events} SET {change} WHERE event_id = :id", {"id": event_id})


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    return literal(value) if isinstance(value, str) else str(value)

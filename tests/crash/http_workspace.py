"""The local workspace in this process, at an address of its own, and somebody who looks around every request.

Clients speak to it over a socket as to any server. What it knows can be kept and brought back, so that a history goes
on from any instant of another one, as after a kill: nothing of the killed process runs, not even what cleans up.
"""

from __future__ import annotations

import pickle
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import uvicorn
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import NestedField, StringType
from sqlalchemy import text

from tests.crash.privilege_random import UUIDS, give
from tests.crash.privilege_world import COPIER, SOURCE_NAME, STAGED_NAME, World
from tests.peers.databricks.app import build
from tests.peers.databricks.model import (
    ALL_USERS,
    ConnectionRow,
    FunctionRow,
    Policing,
    SchemaRow,
    State,
    WarehouseRow,
)
from tests.peers.databricks.statements import statements_of
from tests.peers.databricks.world import World as LocalWorkspace

WAREHOUSE, TOKEN = "0123456789abcdef", "copier-token"
COLUMNS = Schema(NestedField(1, "id", StringType()), NestedField(2, "password", StringType()))
_ENTRIES = "SELECT catalog_name, table_namespace, table_name, metadata_location FROM iceberg_tables"
_ENTER = (
    "INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, iceberg_type)"
    " VALUES (:c, :n, :t, :m, 'TABLE')"
)
Look = Callable[[str], None]


def _nobody(_: str) -> None:
    return None


class Watched:
    """ASGI middleware: calls before a request is served, and when it has been, before its answer goes out."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.before: Look = _nobody
        self.after: Look = _nobody

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"].startswith(("/admin", "/internal")):
            await self.app(scope, receive, send)
            return
        answer: list[dict[str, Any]] = []

        async def hold(message: dict[str, Any]) -> None:
            answer.append(message)

        line = f"{scope['method']} {scope['path']}"
        self.before(line)
        await self.app(scope, receive, hold)
        self.after(line)
        for message in answer:
            await send(message)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """All that a workspace knows at one instant."""

    state: State
    entries: tuple[tuple[str, ...], ...]


class HttpWorkspace:
    """One server for many worlds, one after the other; tables' files are made once and never changed."""

    def __init__(self, folder: Path) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio sets it for proto 6 only
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.local = LocalWorkspace(folder, self.url)
        self.database = f"sqlite:///{folder}/tables.db"
        self._catalogs = {
            name: SqlCatalog(name, uri=self.database, warehouse=f"file://{folder}/{name}") for name in ("f", "m")
        }
        self._made = {name: self._make(name) for name in UUIDS}
        self._entries = self._listed()
        self.watched = Watched(build(self.local))
        config = uvicorn.Config(self.watched, log_level="critical", access_log=False, timeout_keep_alive=600)
        self._server = uvicorn.Server(config)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True).start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True

    def _make(self, full_name: str) -> tuple[str, str, str]:
        """Metadata file, location and real uuid of one table."""
        catalog, schema, name = full_name.split(".")
        native = self._catalogs[catalog]
        native.create_namespace_if_not_exists(schema)
        properties = {"icebridge.plan-id": "w", "icebridge.token": "t"} if full_name == STAGED_NAME else {}
        table = native.create_table((schema, name), COLUMNS, properties=properties)
        return table.metadata_location, table.location(), str(table.metadata.table_uuid)

    def metadata_of(self, full_name: str) -> str:
        """Where a table's metadata was at the beginning."""
        return self._made[full_name][0]

    def uuid_of(self, full_name: str) -> str:
        """The table's uuid in its metadata."""
        return self._made[full_name][2]

    # Worlds

    def install(self, world: World) -> World:
        """Make a random world this workspace's; returns how the oracle sees it."""
        state = world.state
        state.metastore.external_access_enabled = True
        state.metastore.storage_root = f"file://{self.local.folder}/managed"
        state.warehouses[WAREHOUSE] = WarehouseRow(id=WAREHOUSE, name="warehouse")
        self._rights(state, foreign=world.foreign)
        self._rows(state, foreign=world.foreign)
        _functions(state)
        self.local.state = state
        self.local._iceberg = dict(self._catalogs)
        self.local.bearers.clear()
        self.local.bearers[TOKEN] = _bearer(self.local)
        statements_of(self.local).known.clear()
        self._enter(self._entries)
        return self.shown(world)

    def shown(self, world: World) -> World:
        """Bring what the oracle looks at in step with the workspace."""
        world.state = self.local.state
        world.files = {name: {"table-uuid": row.id} for name, row in world.state.tables.items()}
        return world

    def _rights(self, state: State, *, foreign: bool) -> None:
        """What the copier needs beside what the world gave it: docs/databricks.md says the same to users."""
        for side in ("m",) if foreign else ("f", "m"):
            give(state, "SCHEMA", f"{side}.s", COPIER, "USE_SCHEMA", "EXTERNAL_USE_SCHEMA", "CREATE_TABLE")
        if not foreign:
            give(state, "TABLE", SOURCE_NAME, COPIER, "MODIFY")

    def _rows(self, state: State, *, foreign: bool) -> None:
        for name, row in state.tables.items():
            row.id = UUIDS[name]
            row.metadata_location, row.storage_location, _ = self._made[name]
            row.kind = "TABLE_ICEBERG_UNIFORM_MANAGED"
            if foreign and row.catalog == "f":
                row.table_type, row.kind = "FOREIGN", "TABLE_FOREIGN_HIVE_METASTORE_ICEBERG"
                row.origin = (row.schema, row.name)
        if foreign:
            state.catalogs["f"].catalog_type, state.catalogs["f"].connection_name = "FOREIGN_CATALOG", "hms"
            state.connections["hms"] = ConnectionRow(name="hms")

    # Keeping and bringing back

    def mark(self) -> bytes:
        """Something that differs when the workspace does."""
        return pickle.dumps(self.local.state)

    def keep(self) -> Kept:
        """All that it knows now."""
        return Kept(state=deepcopy(self.local.state), entries=self._listed())

    def bring_back(self, kept: Kept) -> None:
        """Make it as it was."""
        self.local.state = deepcopy(kept.state)
        self._enter(kept.entries)

    def _listed(self) -> tuple[tuple[str, ...], ...]:
        with self._catalogs["m"].engine.connect() as connection:
            return tuple(tuple(row) for row in connection.execute(text(_ENTRIES)))

    def _enter(self, entries: tuple[tuple[str, ...], ...]) -> None:
        with self._catalogs["m"].engine.begin() as connection:
            connection.execute(text("DELETE FROM iceberg_tables"))
            connection.execute(text(_ENTER), [dict(zip("cntm", row, strict=True)) for row in entries])

    @contextmanager
    def looked_at(self, before: Look, after: Look) -> Iterator[None]:
        """Have somebody look around every request for a while."""
        self.watched.before, self.watched.after = before, after
        try:
            yield
        finally:
            self.watched.before = self.watched.after = _nobody


def _bearer(local: LocalWorkspace) -> Any:
    return local.bearers.pop(local.new_token(COPIER))


def _functions(state: State) -> None:
    """Filters and masks name functions, which take as many arguments as they are given; everybody may run them."""
    for row in state.tables.values():
        if row.row_filter:
            row.row_filter = _function(state, row.row_filter, 0)
        for column in row.columns:
            column.mask = _function(state, column.mask, 1) if column.mask else None
    for policy in state.policies:
        if policy.function_name:
            _function(state, Policing(function_name=policy.function_name), 1)


def _function(state: State, used: Policing, value: int) -> Policing:
    """Make the function; one that is used with more columns is another one."""
    named = f"{used.function_name}{len(used.columns) or ''}"
    catalog, schema, name = named.split(".")
    state.schemas.setdefault(f"{catalog}.{schema}", SchemaRow(name=schema, catalog=catalog))
    parameters = [(f"p{at}", "string") for at in range(len(used.columns) + value)]
    made = FunctionRow(name=name, catalog=catalog, schema=schema, owner="admin", parameters=parameters, body_sql="TRUE")
    state.functions.setdefault(named, made)
    give(state, "SCHEMA", f"{catalog}.{schema}", ALL_USERS, "USE_SCHEMA")
    give(state, "FUNCTION", named, ALL_USERS, "EXECUTE")
    return replace(used, function_name=named)


def ledger_mark(path: Path) -> tuple[object, ...]:
    """Something that differs when events or documents were added; extending a lease adds none."""
    with closing(sqlite3.connect(path)) as found:
        query = "SELECT (SELECT max(seq) FROM icebridge_events), (SELECT count(*) FROM icebridge_documents)"
        return tuple(found.execute(query).fetchone())


def ledger_bytes(path: Path) -> bytes:
    """The ledger as a process that was killed now would leave it."""
    with closing(sqlite3.connect(":memory:")) as memory:
        with closing(sqlite3.connect(path)) as found:
            found.backup(memory)
        return memory.serialize()

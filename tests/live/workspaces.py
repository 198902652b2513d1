"""The workspaces that the live tests ask: a person's own, when its connection is given, and the local one."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from databricks.sdk.service.catalog import PermissionsChange, Privilege

from icebridge_provider.catalogs.unity.catalog import UnityCatalog
from icebridge_provider.sql.identifiers import quoted
from icebridge_provider.state.ledger import SqlLedger
from tests.support import tables
from tests.support.airflow_cli import connection, environment
from tests.support.databricks import Workspace

VARIABLE = "ICEBRIDGE_LIVE_DATABRICKS"
FOREIGN = "ICEBRIDGE_LIVE_FOREIGN"
PRINCIPAL = "live"
ROWS = 1000
PATIENT = {"http_timeout_seconds": 120, "retry_timeout_seconds": 120}  # its Spark starts meanwhile
WHY_NOT = f"{VARIABLE} is not set, so no real workspace was asked: docs/databricks.md says what to put there"


@dataclass(frozen=True, kw_only=True)
class Live:
    """A managed catalog behind the connection ``live`` and two schemas of our own in it, which are gone afterwards."""

    folder: Path
    mark: str
    foreign: str = ""

    @property
    def catalog(self) -> UnityCatalog:
        from icebridge_provider.hooks.unity import UnityCatalogHook

        return UnityCatalogHook("live").catalog()

    @property
    def ledger(self) -> SqlLedger:
        return SqlLedger(f"sqlite:///{self.folder / 'ledger.db'}")

    @property
    def source(self) -> str:
        return f"icebridge_live_{self.mark}_from"

    @property
    def target(self) -> str:
        return f"icebridge_live_{self.mark}_to"

    def sql(self, statement: str) -> list[tuple[str | None, ...]]:
        return list(self.catalog.statements.run("set up the live test", statement).rows)

    def name(self, *parts: str) -> str:
        return quoted(self.catalog.catalog, *parts)

    def make(self) -> None:
        for schema in (self.source, self.target):
            self.sql(f"CREATE SCHEMA {self.name(schema)}")
        table = self.name(self.source, "orders")
        columns = "id BIGINT NOT NULL, city STRING, amount DECIMAL(12, 2), at TIMESTAMP, day DATE"
        self.sql(f"CREATE TABLE {table} ({columns}) USING ICEBERG")
        made = (
            "id, concat('city-', id % 7), CAST(id AS DECIMAL(12, 2)) / 100, "
            "timestamp_seconds(id * 86400), date_add(DATE'2024-01-01', CAST(id % 30 AS INT))"
        )
        self.sql(f"INSERT INTO {table} SELECT {made} FROM range({ROWS})")

    def drop(self) -> None:
        for schema in (self.source, self.target):
            self.sql(f"DROP SCHEMA IF EXISTS {self.name(schema)} CASCADE")


@contextmanager
def real(folder: Path) -> Iterator[Live | None]:
    """The workspace behind the environment variable; None when it is not set."""
    given = os.environ.get(VARIABLE)
    if not given:
        yield None
        return
    with _connected(folder, given, os.environ.get(FOREIGN, "")) as made:
        yield made


@contextmanager
def local(folder: Path, server: Workspace) -> Iterator[Live]:
    """The local workspace, with the principal and the grants of docs/databricks.md."""
    client, catalog = server.sdk(**PATIENT), f"live_{secrets.token_hex(3)}"
    server.settings(external_access_enabled=True)
    server.principal(PRINCIPAL)
    client.catalogs.create(catalog)
    rights = [Privilege.USE_CATALOG, Privilege.CREATE_SCHEMA, Privilege.EXTERNAL_USE_SCHEMA]
    client.grants.update("CATALOG", catalog, changes=[PermissionsChange(principal=PRINCIPAL, add=rights)])
    warehouse = next(iter(client.warehouses.list())).id
    cluster = {"spark_version": "17.3.x-scala2.13", "node_type_id": "i3.xlarge", "num_workers": 1}
    extra = {"catalog": catalog, "warehouse_id": warehouse, "cluster": cluster}
    where = {"host": server.host, "schema": "http", "port": server.port, "password": server.token(PRINCIPAL)}
    foreign = _lake(folder, server, {**where, "extra": {"warehouse_id": warehouse}})
    with _connected(folder, connection("databricks", **where, extra=extra), foreign) as made:
        yield made


def _lake(folder: Path, server: Workspace, fields: dict[str, Any]) -> str:
    """A foreign catalog over one on disk, as a person would name it in the environment."""
    origin, client, name = (
        tables.open_catalog(folder / "origin", "origin"),
        server.sdk(**PATIENT),
        f"lake_{secrets.token_hex(3)}",
    )
    tables.plain(origin, "seen")
    properties = dict(tables.catalog_properties(folder / "origin"))
    server.connection(f"to_{name}", properties)
    client.catalogs.create(name, connection_name=f"to_{name}", options={"authorized_paths": f"file://{folder}"})
    rights = [Privilege.USE_CATALOG, Privilege.USE_SCHEMA, Privilege.SELECT, Privilege.MANAGE]
    client.grants.update("CATALOG", name, changes=[PermissionsChange(principal=PRINCIPAL, add=rights)])
    shown = {"conn_type": "databricks", **fields, "extra": {**fields["extra"], "catalog": name}}
    behind = {"conn_type": "icebridge_catalog", "extra": {**properties, "read_only": True}}
    return json.dumps({"connection": shown, "origin": behind, "tables": ["lake.seen"]})


@contextmanager
def _connected(folder: Path, given: str, foreign: str) -> Iterator[Live]:
    made = Live(folder=folder, mark=secrets.token_hex(4), foreign=foreign)
    values = {
        "AIRFLOW_CONN_LIVE": given,
        "AIRFLOW_CONN_LIVE_SOURCE": given,  # the same catalog under another name
        "AIRFLOW_CONN_ICEBRIDGE_LEDGER": connection("icebridge_ledger", schema=str(folder / "ledger.db")),
        "AIRFLOW__ICEBRIDGE__ALLOW_UNAPPROVED_CUTOVER": "True",
        **_foreign(foreign),
    }
    with environment(**values):
        made.ledger.migrate()
        try:
            made.make()
            yield made
        finally:
            made.drop()


def _foreign(text: str) -> dict[str, str]:
    """The connections of a foreign catalog: ``{"connection": …, "origin": …, "tables": ["sales.orders"]}``."""
    if not text:
        return {}
    told: dict[str, Any] = json.loads(text)
    source = dict(told["connection"])
    source["extra"] = {**source.get("extra", {}), "origin_conn_id": "live_origin"}
    return {"AIRFLOW_CONN_LIVE_FOREIGN": json.dumps(source), "AIRFLOW_CONN_LIVE_ORIGIN": json.dumps(told["origin"])}

"""The workspace as its administrators set it up: catalogs, people, grants, a row filter and a mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from icebridge_provider.demo.databricks.lakes import GLUE, HMS
from icebridge_provider.demo.databricks.workspace import LocalWorkspace
from icebridge_provider.demo.lake import properties

COPIER = "icebridge"
ANALYST, COLLEAGUE = "ada", "ben"
TARGET = "managed"
CLUSTER = {"spark_version": "17.3.x-scala2.13", "node_type_id": "i3.xlarge", "autoscale": {"min": 1, "max": 4}}
FOREIGN = {GLUE: "glue_lake", HMS: "hms_lake"}
SCHEMAS = {GLUE: ("shop", "open"), HMS: ("flights", "tpch")}
# What analysts may read; in glue_lake.open they may read whatever the schema holds.
GRANTED = {
    GLUE: ("shop.customers", "shop.wide", "shop.deep"),
    HMS: ("flights.flights", "flights.planes", "tpch.orders", "tpch.lineitem"),
}
GUARDED = "glue_lake.shop.customers"
_POLICIES = (
    "CREATE SCHEMA main.guard",
    "CREATE FUNCTION main.guard.in_europe(region STRING) RETURNS BOOLEAN "
    "RETURN is_account_group_member('stewards') OR region = 'EU'",
    "CREATE FUNCTION main.guard.no_email(email STRING) RETURNS STRING "
    "RETURN CASE WHEN is_account_group_member('stewards') THEN email ELSE '***' END",
    f"ALTER TABLE {GUARDED} SET ROW FILTER main.guard.in_europe ON (region)",
    f"ALTER TABLE {GUARDED} ALTER COLUMN email SET MASK main.guard.no_email",
)
# What the owner of glue_lake.open does when IceBridge refuses to move tables that a schema's grant keeps readable.
MENDED = (
    "GRANT SELECT ON TABLE glue_lake.open.airports TO `analysts`",
    "GRANT SELECT ON TABLE glue_lake.open.airlines TO `analysts`",
    "REVOKE SELECT ON SCHEMA glue_lake.open FROM `analysts`",
)


def set_up(workspace: LocalWorkspace, folder: Path) -> None:
    """Federate both lakes, make the managed catalog, and let people read."""
    workspace.order("PATCH", "/settings", {"external_access_enabled": True})
    workspace.principal(COPIER, "stewards")
    workspace.principal(ANALYST, "analysts")
    workspace.principal(COLLEAGUE)
    _catalogs(workspace, folder)
    statements = [*_copier(), *_readers(), *_POLICIES, f"GRANT USE SCHEMA, EXECUTE ON SCHEMA main.guard TO `{COPIER}`"]
    for statement in statements:
        workspace.run(statement)


def connections(workspace: LocalWorkspace, folder: Path) -> dict[str, dict[str, Any]]:
    """Airflow's connections: the two foreign catalogs, the lakes behind them, and the managed catalog."""
    login = {"conn_type": "databricks", "host": "127.0.0.1", "schema": "http", "port": workspace.port}
    login["password"] = workspace.token(COPIER)
    warehouse = {"warehouse_id": workspace.warehouse}
    found: dict[str, dict[str, Any]] = {}
    for name, catalog in FOREIGN.items():
        found[name] = {**login, "extra": {"catalog": catalog, **warehouse, "origin_conn_id": f"{name}_origin"}}
        origin = {**properties(folder / name), "read_only": True}
        found[f"{name}_origin"] = {"conn_type": "icebridge_catalog", "extra": origin}
    runs = {"cluster": CLUSTER, "volume": "main.jobs.icebridge"}
    found[TARGET] = {**login, "extra": {"catalog": "main", **warehouse, **runs}}
    return found


def _catalogs(workspace: LocalWorkspace, folder: Path) -> None:
    from databricks.sdk.service.catalog import ConnectionType, VolumeType

    client = workspace.client("admin")
    for name, kind in ((GLUE, ConnectionType.GLUE), (HMS, ConnectionType.HIVE_METASTORE)):
        client.connections.create(name, kind, properties(folder / name))
        paths = {"authorized_paths": f"file://{folder / name}"}
        client.catalogs.create(FOREIGN[name], connection_name=name, options=paths)
    client.catalogs.create("main")
    for schema in (*SCHEMAS[GLUE], *SCHEMAS[HMS], "jobs"):
        client.schemas.create(schema, "main")
    client.volumes.create("main", "jobs", "icebridge", VolumeType.MANAGED)


def _copier() -> list[str]:
    """What docs/databricks.md asks for, and nothing else."""
    statements = [f"GRANT USE CATALOG ON CATALOG main TO `{COPIER}`"]
    rights = "USE SCHEMA, CREATE TABLE, SELECT, MODIFY, MANAGE, EXTERNAL USE SCHEMA"
    for name, catalog in FOREIGN.items():
        statements.append(f"GRANT USE CATALOG, BROWSE ON CATALOG {catalog} TO `{COPIER}`")
        for schema in SCHEMAS[name]:
            statements.append(f"GRANT USE SCHEMA, SELECT, MANAGE ON SCHEMA {catalog}.{schema} TO `{COPIER}`")
            statements.append(f"GRANT {rights} ON SCHEMA main.{schema} TO `{COPIER}`")
    return [*statements, f"GRANT USE SCHEMA, READ VOLUME, WRITE VOLUME ON SCHEMA main.jobs TO `{COPIER}`"]


def _readers() -> list[str]:
    statements = [
        f"GRANT USE CATALOG, USE SCHEMA ON CATALOG {catalog} TO `{who}`"
        for catalog in ("main", *FOREIGN.values())
        for who in ("analysts", COLLEAGUE)
    ]
    for name, tables in GRANTED.items():
        statements += [f"GRANT SELECT ON TABLE {FOREIGN[name]}.{table} TO `analysts`" for table in tables]
    statements.append("GRANT SELECT ON SCHEMA glue_lake.open TO `analysts`")
    return [*statements, f"GRANT SELECT ON TABLE hms_lake.flights.flights TO `{COLLEAGUE}`"]

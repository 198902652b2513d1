"""What administrators give the bridge: rights in the workspace and in SQL Server; and what Airflow is told of them."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from icebridge_provider.demo.databricks.workspace import LocalWorkspace
from icebridge_provider.demo.sqlserver.countries import COLOMBIA, COUNTRIES, SHARED
from icebridge_provider.demo.sqlserver.server import LocalSqlServer, odbc_environment

BRIDGE, ANALYST = "icebridge", "ada"
SCHEMA = "main.panel"
VOLUME = f"{SCHEMA}.raw"
LOCATION = "/Volumes/main/panel/raw"
LOGIN, INBOX = "panel_bridge", "icebridge_inbox"
SQLSERVER, DATABRICKS = "sqlserver", "databricks"
_RIGHTS = "USE SCHEMA, CREATE TABLE, SELECT, MODIFY, READ VOLUME"


def set_up(workspace: LocalWorkspace) -> None:
    """Make catalog, schema and volume; let the bridge write files, and an analyst tables."""
    from databricks.sdk.service.catalog import VolumeType

    client = workspace.client("admin")
    client.catalogs.create("main")
    client.schemas.create("panel", "main")
    client.volumes.create("main", "panel", "raw", VolumeType.MANAGED)
    for who in (BRIDGE, ANALYST):
        workspace.principal(who)
        workspace.run(f"GRANT USE CATALOG ON CATALOG main TO `{who}`")
        workspace.run(f"GRANT {_RIGHTS} ON SCHEMA {SCHEMA} TO `{who}`")
    workspace.run(f"GRANT WRITE VOLUME ON VOLUME {VOLUME} TO `{BRIDGE}`")


def let_in(server: LocalSqlServer) -> str:
    """Make the bridge's login with the rights that docs/sqlserver.md names, and its inbox; return the password."""
    from icebridge_provider.engines.mssql.target import SqlServerTarget

    password = f"Pb1!{secrets.token_urlsafe(16)}"
    server.run("master", f"CREATE LOGIN {LOGIN} WITH PASSWORD = N'{password}'")
    for country in COUNTRIES:
        read = (f"GRANT SELECT ON dbo.{table} TO {LOGIN}" for table in (*SHARED, country.purchases))
        server.run(country.database, f"CREATE USER {LOGIN} FOR LOGIN {LOGIN}", *read)
    SqlServerTarget(server.administrator(COLOMBIA.database)).prepare()
    writes = "INSERT, UPDATE, DELETE, VIEW DEFINITION"
    server.run(
        COLOMBIA.database,
        *(f"GRANT {writes} ON dbo.{table} TO {LOGIN}" for table in ("Produto", COLOMBIA.purchases)),
        f"GRANT VIEW DEFINITION ON dbo.Domicilio TO {LOGIN}",
        f"GRANT SELECT, INSERT, UPDATE ON dbo.{INBOX} TO {LOGIN}",
    )
    return password


def connections(workspace: LocalWorkspace, server: LocalSqlServer, password: str) -> dict[str, dict[str, Any]]:
    """Return the two connections, as a person enters them in Airflow's form."""
    login = {"conn_type": "databricks", "host": "127.0.0.1", "schema": "http", "port": workspace.port}
    extra = {"catalog": "main", "warehouse_id": workspace.warehouse}
    return {
        SQLSERVER: server.connection(COLOMBIA.database, LOGIN, password),
        DATABRICKS: {**login, "password": workspace.token(BRIDGE), "extra": extra},
    }


def settings(server: LocalSqlServer, syncs: Path, extraction: Path) -> dict[str, str]:
    """Return Airflow's settings and what its processes need to read by mssql-python."""
    return {
        "AIRFLOW__ICEBRIDGE__SYNCS_FILE": str(syncs),
        "AIRFLOW__ICEBRIDGE__EXTRACTION_FOLDER": str(extraction),
        "SSL_CERT_FILE": server.ca_file,  # the ODBC driver trusts no authority but the system's
        **odbc_environment(),
    }

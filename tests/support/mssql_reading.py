"""Logins and readers of the local SQL Server."""

from __future__ import annotations

from typing import Any

from icebridge_provider.engines.mssql.connect import SqlServerLogin, connect
from icebridge_provider.engines.mssql.reading import Client, SqlServerReader
from tests.peers.odbc import preload
from tests.support.mssql import SqlServer


def login(server: SqlServer, database: str, **more: Any) -> SqlServerLogin:
    """The administrator's login, the server's certificate checked."""
    given: dict[str, Any] = {
        "host": "localhost", "port": server.port, "database": database, "user": server.user, "secret": server.password,
        "ca_file": server.ca_file, "conn_id": "erp", **more,
    }  # fmt: skip
    return SqlServerLogin(**given)


def reader(server: SqlServer, database: str, client: Client = "odbc", **more: Any) -> SqlServerReader:
    preload()
    return SqlServerReader(login=login(server, database), client=client, **more)


def run(server: SqlServer, database: str, *statements: str) -> None:
    """Run statements, each for itself."""
    connection = connect(login(server, database))
    try:
        for statement in statements:
            connection.cursor().execute(statement)
    finally:
        connection.close()

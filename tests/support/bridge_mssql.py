"""A world of the bridge's contract suite whose target is the local SQL Server; events and source are a SQLite file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from icebridge_provider.engines.mssql.connect import SqlServerLogin, connected
from icebridge_provider.engines.mssql.target import SqlServerTarget
from icebridge_provider.sql.identifiers import quoted
from tests.support.bridge import DbApiWorld, Row, sqlite_world
from tests.support.mssql import SqlServer

TYPES = {
    "int": "bigint",
    "text": "nvarchar(200) COLLATE Latin1_General_100_BIN2",
    "ci_text": "nvarchar(100) COLLATE Latin1_General_100_CI_AS",
    "number": "decimal(10,2)",
}


def login_of(server: SqlServer, database: str, **more: Any) -> SqlServerLogin:
    """The product's description of the local SQL Server."""
    given = {"user": server.user, "secret": server.password, "port": server.port, "encrypt": "no", **more}
    return SqlServerLogin(host=server.host, database=database, **given)


class MssqlWorld:
    """A fresh database."""

    schema = "dbo"

    def __init__(self, server: SqlServer, folder: Path) -> None:
        self.server, self.database = server, server.database()
        self.login = login_of(server, self.database)
        self._near: DbApiWorld = sqlite_world(folder)
        self.origin, self.queue, self.source = self._near.origin, self._near.queue, self._near.source
        self.make_source, self.add = self._near.make_source, self._near.add
        self.expire, self.redeliver = self._near.expire, self._near.redeliver
        self.target = SqlServerTarget(self.login, lock_seconds=10)

    def make_target(
        self, name: str, columns: Mapping[str, str], key: Sequence[str] = ("id",), rows: Sequence[Row] = ()
    ) -> None:
        parts = [
            f"{_name(column)} {TYPES[kind]} {'NOT NULL' if column in key else 'NULL'}"
            for column, kind in columns.items()
        ]
        parts += [f"PRIMARY KEY ({', '.join(map(_name, key))})"] if key else []
        self.run(f"CREATE TABLE {_name(name)} ({', '.join(parts)})")
        for row in rows:
            self.run(f"INSERT INTO {_name(name)} VALUES ({', '.join(['%s'] * len(row))})", row)

    def rows(self, name: str) -> list[Row]:
        return sorted(self.run(f"SELECT * FROM {_name(name)}"), key=repr)

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Say SQL to it as the administrator."""
        with connected(self.login) as connection, connection.cursor() as cursor:
            cursor.execute(statement, *([tuple(values)] if values else []))
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

    def close(self) -> None:
        self.target.close()
        self._near.close()


def _name(part: str) -> str:
    return quoted(part, dialect="tsql")

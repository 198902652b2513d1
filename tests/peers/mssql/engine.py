"""SQL Server's engine on PostgreSQL: logins and databases."""

from __future__ import annotations

import hmac
import itertools
import threading
from collections.abc import Mapping
from typing import Any

import psycopg2

from tests.peers.mssql import bootstrap
from tests.peers.mssql.interface import SqlError
from tests.peers.mssql.session import PostgresSession
from tests.peers.mssql.translate.scope import TableInfo
from tests.peers.mssql.values import quoted
from tests.support.postgres import PostgresServer

_TEMPLATE = "mssql_template"


class PostgresEngine:
    """Implements :class:`interface.Engine`; everybody in ``logins`` is an administrator."""

    def __init__(self, server: PostgresServer, logins: Mapping[str, str]) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._spids = itertools.count(51)
        self._passwords = {name.casefold(): password for name, password in logins.items()}
        self.administrators = frozenset(self._passwords)
        self._databases: dict[str, tuple[str, str]] = {}
        self._sessions: set[PostgresSession] = set()
        self._versions: dict[str, int] = {}
        self._tables: dict[str, dict[tuple[str, str], TableInfo]] = {}
        self._prepare()
        self.create_database("master")
        for name in ("tempdb", "model", "msdb"):
            self._databases[name] = (name, "")  # made when somebody goes there

    def _prepare(self) -> None:
        self._admin(f"CREATE DATABASE {_TEMPLATE} ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        connection = self._server.connect(_TEMPLATE)
        try:
            with connection.cursor() as cursor:
                bootstrap.install(cursor)
            connection.commit()
        finally:
            connection.close()

    def _admin(self, sql: str) -> None:
        connection = self._server.connect("postgres")
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)
        finally:
            connection.close()

    @property
    def databases(self) -> list[str]:
        """Names, in the order they were made."""
        with self._lock:
            return [name for name, _ in self._databases.values()]

    def create_database(self, name: str) -> None:
        """:raises SqlError: 1801 when it is there."""
        with self._lock:
            if name.casefold() in self._databases:
                raise SqlError(1801, f"Database '{name}' already exists. Choose a different database name.")
            place = f"mssql_{next(self._numbers)}"
            self._admin(f"CREATE DATABASE {place} TEMPLATE {_TEMPLATE}")
            self._databases[name.casefold()] = (name, place)

    def drop_database(self, name: str, *, missing_ok: bool = False) -> None:
        """:raises SqlError: 3701 when it is not there."""
        with self._lock:
            found = self._databases.pop(name.casefold(), None)
        if found is None:
            if missing_ok:
                return
            raise SqlError(
                3701,
                f"Cannot drop the database '{name}', because it does not exist or you do not have permission.",
                severity=11,
            )
        self.redefined(found[0])
        if found[1]:
            self._admin(f"DROP DATABASE {found[1]} WITH (FORCE)")

    def set_option(self, database: str, option: str, value: str) -> None:
        """ALTER DATABASE … SET of another database."""
        connection = self.raw(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"INSERT INTO ms.options VALUES ({quoted(option.upper())}, {quoted(value.upper())}) "
                               "ON CONFLICT (name) DO UPDATE SET value = excluded.value")  # fmt: skip
            connection.commit()
        finally:
            connection.close()

    def known(self, database: str, key: tuple[str, str]) -> tuple[int, TableInfo | None]:
        """A table as it was last read, and the version of the database's definitions."""
        with self._lock:
            return self._versions.get(database, 0), self._tables.get(database, {}).get(key)

    def learn(self, database: str, version: int, key: tuple[str, str], table: TableInfo) -> None:
        """Keep a table, unless definitions changed since its version."""
        with self._lock:
            if self._versions.get(database, 0) == version:
                self._tables.setdefault(database, {})[key] = table

    def redefined(self, database: str) -> None:
        """Somebody's definitions were committed: what is known is void."""
        with self._lock:
            self._versions[database] = self._versions.get(database, 0) + 1
            self._tables.pop(database, None)

    def create_login(self, name: str, password: str) -> None:
        """A login without rights."""
        if name.casefold() in self._passwords:
            raise SqlError(15025, f"The server principal '{name}' already exists.")
        self._passwords[name.casefold()] = password

    def drop_login(self, name: str) -> None:
        if self._passwords.pop(name.casefold(), None) is None:
            raise SqlError(
                15151, f"Cannot drop the login '{name}', because it does not exist or you do not have permission."
            )

    def login(self, user: str, password: str, database: str) -> PostgresSession:
        """Open a session.

        :raises SqlError: 18456 for a wrong password, 4060 for a database that is not there.
        """
        held = self._passwords.get(user.casefold())
        if held is None or not hmac.compare_digest(held.encode(), password.encode()):
            raise SqlError(18456, f"Login failed for user '{user}'.", severity=14)
        try:
            session = PostgresSession(self, user, database or "master", next(self._spids))
        except SqlError as error:
            if error.number != 911:
                raise
            text = f'Cannot open database "{database}" requested by the login. The login failed.'
            raise SqlError(4060, text, severity=11) from error
        self._sessions.add(session)
        return session

    def forget(self, session: PostgresSession) -> None:
        self._sessions.discard(session)

    def raw(self, database: str) -> Any:
        """A PostgreSQL connection to a database.

        :raises SqlError: 911.
        """
        found = self._databases.get(database.casefold())
        if found is None:
            raise SqlError(911, f"Database '{database}' does not exist. Make sure that the name is entered correctly.")
        if not found[1]:
            with self._lock:
                self._databases.pop(database.casefold(), None)
            self.create_database(found[0])
            return self.raw(database)
        try:
            return self._server.connect(found[1])
        except psycopg2.OperationalError as error:
            raise SqlError(17809, f"Could not connect: {error}", severity=20) from error

    def connect(self, database: str, session: PostgresSession) -> tuple[str, Any]:
        """The database's name and a connection that knows who asks."""
        connection = self.raw(database)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(
                "SET search_path = pg_catalog, ms; SET deadlock_timeout = '200ms'; SET timezone = 'UTC'; SET jit = off;"
                f"SET ms.who = {quoted(session.user)}; SET ms.admin = '{int(session.admin)}'; SET datestyle = "
                f"'ISO, MDY';"
                "SET extra_float_digits = 1; SET bytea_output = 'hex'; SET client_min_messages = error"
            )
        return self._databases[database.casefold()][0], connection

    def close(self) -> None:
        for session in list(self._sessions):
            session.close()

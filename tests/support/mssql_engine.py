"""The local SQL Server's engine without its wire, for tests of T-SQL itself."""

from __future__ import annotations

import atexit
import itertools
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from tests.peers.mssql.engine import PostgresEngine
from tests.peers.mssql.interface import Count, Message, Parameter, ResultSet, SqlError
from tests.peers.mssql.session import PostgresSession
from tests.support.postgres import _shared

_numbers = itertools.count(1)


class Client:
    """A session whose answers are lists."""

    def __init__(self, session: PostgresSession) -> None:
        self.session = session

    def all(self, sql: str, *parameters: Parameter) -> list[Any]:
        """Everything a batch answers; rows as lists of tuples, counts as numbers, errors as they are."""
        found: list[Any] = []
        for item in self.session.batch(sql, parameters):
            if isinstance(item, ResultSet):
                found.append([tuple(row) for row in item.rows])
            elif isinstance(item, Count):
                found.append(item.rows)
            else:
                found.append(item.text if isinstance(item, Message) else item)
        return found

    def rows(self, sql: str, *parameters: Parameter) -> list[tuple[Any, ...]]:
        """The rows of the last result; an error is raised."""
        found = self.all(sql, *parameters)
        for item in found:
            if isinstance(item, SqlError):
                raise item
        return next((item for item in reversed(found) if isinstance(item, list)), [])

    def value(self, sql: str, *parameters: Parameter) -> Any:
        return self.rows(sql, *parameters)[0][0]

    def run(self, *batches: str) -> None:
        """Batches that must not fail."""
        for sql in batches:
            self.rows(sql)

    def error(self, sql: str, *parameters: Parameter) -> SqlError:
        """The error a batch ends with or passes on."""
        try:
            found = self.all(sql, *parameters)
        except SqlError as error:
            return error
        errors = [item for item in found if isinstance(item, SqlError)]
        assert errors, f"no error, but {found}"
        return errors[-1]

    def columns(self, sql: str) -> list[Any]:
        """Columns of the first result."""
        return next(list(item.columns) for item in self.session.batch(sql) if isinstance(item, ResultSet))


@cache
def engine() -> PostgresEngine:
    """One engine for the whole process."""
    found = PostgresEngine(_shared(), {"sa": "secret"})
    atexit.register(found.close)
    return found


class World:
    """A database of its own and whoever is logged in there."""

    def __init__(self) -> None:
        self.engine, self.name = engine(), f"world{next(_numbers)}"
        self.engine.create_database(self.name)
        self._open: list[Client] = []

    def login(self, user: str = "sa", password: str = "secret") -> Client:
        found = Client(self.engine.login(user, password, self.name))
        self._open.append(found)
        return found

    def close(self) -> None:
        for client in self._open:
            client.session.close()
        self.engine.drop_database(self.name)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A fresh database, shared by a module's tests."""
    found = World()
    yield found
    found.close()


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    """A fresh session."""
    found = world.login()
    yield found
    found.session.close()

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.bridge import COLUMNS, World, postgres_world, sqlite_world
from tests.support.bridge_databricks import DatabricksWorld
from tests.support.bridge_mssql import MssqlWorld
from tests.support.databricks import databricks  # noqa: F401 - fixture
from tests.support.mssql import mssql  # noqa: F401 - fixture
from tests.support.postgres import PostgresServer, postgres_server  # noqa: F401 - fixture

_DATABASE: list[str] = []  # one for all tests: a schema is made much faster
_NUMBERS = itertools.count(1)


def _sqlite(_: pytest.FixtureRequest, folder: Path) -> World:
    return sqlite_world(folder)


def _postgres(request: pytest.FixtureRequest, _: Path) -> World:
    server: PostgresServer = request.getfixturevalue("postgres_server")
    if not _DATABASE:
        _DATABASE.append(server.new_database())
    return postgres_world(_DATABASE[0], f"world{next(_NUMBERS)}")


def _mssql(request: pytest.FixtureRequest, folder: Path) -> World:
    return MssqlWorld(request.getfixturevalue("mssql"), folder)


def _databricks(request: pytest.FixtureRequest, folder: Path) -> World:
    return DatabricksWorld(request.getfixturevalue("databricks"), folder)


WORLDS: dict[str, Callable[[pytest.FixtureRequest, Path], World]] = {
    "sqlite": _sqlite,
    "postgres": _postgres,
    "mssql": _mssql,
}
if os.environ.get("ICEBRIDGE_SLOW_WORLDS"):  # minutes: a Spark statement takes half a second
    WORLDS["databricks"] = _databricks


@pytest.fixture(params=list(WORLDS))
def bare_world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Adapters with their own tables and no others."""
    found = WORLDS[request.param](request, tmp_path)
    found.queue.create()
    found.target.prepare()
    yield found
    found.close()


@pytest.fixture
def world(bare_world: World) -> World:
    """Adapters with a source table ``s`` of three rows and an empty target table ``t``, key ``id``."""
    bare_world.make_source("s", COLUMNS, [(1, "one"), (2, "two"), (3, "three")])
    bare_world.make_target("t", COLUMNS)
    return bare_world

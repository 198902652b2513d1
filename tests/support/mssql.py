"""A local SQL Server in its own process, for tests.

Its own process is a must: pymssql's and mssql-python's bulk loads hold the GIL while they wait for the server.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from icebridge_provider.demo import stand_in


class SqlServer:
    """A running server: ``with SqlServer(folder) as server``."""

    def __init__(self, folder: Path, *, canned: bool = False, options: tuple[str, ...] = ()) -> None:
        self.folder, self._options = folder, [*options, *(["--canned"] if canned else [])]
        self._names = (f"bridge{number}" for number in itertools.count(1))

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.peers.mssql", "--folder", str(self.folder), *self._options]
        self._process, started = stand_in.start(command)
        if not started:
            stand_in.end(self._process)
            raise RuntimeError("the SQL Server did not start; its error is above")
        self.host: str = started["host"]
        self.port: int = started["port"]
        self.user: str = started["user"]
        self.password: str = started["password"]
        self.ca_file: str = started["ca_file"]
        bearer = {"Authorization": f"Bearer {started['admin_token']}"}
        self.admin = httpx.Client(base_url=started["admin_url"], headers=bearer, timeout=60)
        return self

    def __exit__(self, *_: object) -> None:
        stand_in.end(self._process)
        self.admin.close()

    @property
    def process_id(self) -> int:
        return self._process.pid

    def order(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """Ask the admin routes for something; an error is raised."""
        answer = self.admin.request(method, path, json=body, params=query)
        assert answer.is_success, answer.text
        return answer.json()

    def database(self, *, allow_snapshot: bool = False) -> str:
        """Make an empty database; gives its name."""
        name = next(self._names)
        self.order("POST", "/databases", {"name": name, "allow_snapshot": allow_snapshot})
        return name

    def drop(self, database: str) -> None:
        """Hang up on a database's clients and drop it."""
        self.order("DELETE", "/databases", {"name": database})

    def pymssql(self, database: str = "master", **more: Any) -> Any:
        """A connection by pymssql."""
        import pymssql

        given = {"user": self.user, "password": self.password, "login_timeout": 20, **more}
        return pymssql.connect(server=self.host, port=str(self.port), database=database, **given)

    def mssql_python(self, database: str = "master", *, autocommit: bool = False, **more: str) -> Any:
        """A connection by mssql-python; keywords are those of its connection string."""
        from tests.peers.odbc import preload

        preload()
        import mssql_python

        return mssql_python.connect(self.odbc(database, **more), autocommit=autocommit)

    def odbc(self, database: str = "master", **more: str) -> str:
        """A connection string."""
        given = {
            "Server": f"tcp:{self.host},{self.port}", "Database": database, "UID": self.user,
            "PWD": f"{{{self.password}}}", "Encrypt": "yes", "TrustServerCertificate": "yes", **more,
        }  # fmt: skip
        return "".join(f"{key}={value};" for key, value in given.items())

    def fail(self, fault: int | str, statement: str = "", **more: Any) -> None:
        """Order a fault for the next statement (or ``times``) whose text fits a regular expression.

        An error's number, ``drop``, ``drop_after``, ``drop_before_commit``, ``drop_after_commit``, ``cut`` (``rows``)
        or ``latency_ms`` (``milliseconds``); see :class:`tests.peers.mssql.faults.Fault`.
        """
        self.order("POST", "/faults", [{"fault": fault, "statement": statement, **more}])

    def waiting_faults(self) -> list[dict[str, Any]]:
        """Faults that nothing has met yet."""
        return list(self.order("GET", "/faults"))

    def calm(self) -> None:
        """No more faults."""
        self.order("DELETE", "/faults")

    def statements(self, contains: str = "", **narrow: str) -> list[dict[str, Any]]:
        """What clients said since :meth:`forget_statements`; ``kind`` and ``database`` narrow it."""
        return list(self.order("GET", "/log", contains=contains, **narrow))

    def forget_statements(self) -> None:
        self.order("DELETE", "/log")

    def limits(self, **values: Any) -> None:
        """``max_connections`` (0: no limit), ``frozen`` (statements wait)."""
        self.order("PATCH", "/limits", values)

    def kill(self, database: str = "") -> int:
        """Hang up on a database's clients, or on all."""
        return int(self.order("POST", "/kill", {"database": database})["killed"])


@pytest.fixture(scope="session")
def mssql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlServer]:
    """A SQL Server; one for the session."""
    with SqlServer(tmp_path_factory.mktemp("mssql")) as server:
        yield server


@pytest.fixture(scope="session")
def mssql_wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlServer]:
    """The wire alone, over an engine that says what it is told."""
    with SqlServer(tmp_path_factory.mktemp("mssql-wire"), canned=True) as server:
        yield server

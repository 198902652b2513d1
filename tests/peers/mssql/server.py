"""The listener, a thread for each client, and the watch that hears attention while statements run."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from tests.peers.mssql.client import Client, Rules
from tests.peers.mssql.faults import Faults
from tests.peers.mssql.interface import Engine
from tests.peers.mssql.packets import Channel

WATCH_SECONDS = 0.02


@dataclass(kw_only=True)
class Server:
    """A TDS server for one engine."""

    engine: Engine
    rules: Rules
    faults: Faults = field(default_factory=Faults)
    limits: dict[str, Any] = field(default_factory=lambda: {"max_connections": 0, "frozen": False})
    port: int = 0

    def start(self) -> None:
        """Listen; returns at once."""
        self._open: set[Client] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self.port = self._listener.getsockname()[1]
        for work in (self._accept, self._watch):
            threading.Thread(target=work, daemon=True).start()

    def stop(self) -> None:
        """Take no more clients and hang up on those that are there."""
        self._listener.close()
        self.kill()

    def connections(self) -> list[dict[str, Any]]:
        with self._lock:
            return [{"spid": one.channel.spid, "busy": one.busy, "login": repr(one.login)} for one in self._open]

    def kill(self, database: str = "") -> int:
        """Hang up on all clients, or on those of a database."""
        with self._lock:
            found = [one for one in self._open if not database or one.database == database]
        for one in found:
            one.channel.interrupt()
        return len(found)

    def wait_gone(self, database: str, seconds: float = 10) -> None:
        """Wait until no client of a database is left."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with self._lock:
                if not any(one.database == database for one in self._open):
                    return
            time.sleep(0.01)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        connection = Client(
            channel=Channel(client), engine=self.engine, faults=self.faults, rules=self.rules, limits=self.limits
        )
        with self._lock:
            most = int(self.limits["max_connections"])
            full = bool(most) and len(self._open) >= most
            if not full:
                self._open.add(connection)
        if full:
            connection.channel.close(hard=True)
            return
        try:
            connection.serve()
        finally:
            with self._lock:
                self._open.discard(connection)

    def _watch(self) -> None:
        while True:
            time.sleep(WATCH_SECONDS)
            with self._lock:
                busy = [one for one in self._open if one.busy]
            for one in busy:
                if one.channel.peek():
                    one.cancel()

"""A way to a server that counts what goes through: bytes, and requests where they are plain HTTP."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from types import TracebackType
from typing import Self

_REQUEST = re.compile(rb"(GET|PUT|HEAD|POST|DELETE) (\S+) HTTP/1\.1\r\n")
_PIECE = 65536


class Counted:
    """Listens on the loopback and passes everything on: ``with Counted(host, port) as way: …``.

    ``sent`` and ``received`` are the client's bytes; ``requests`` are methods and addresses of plain HTTP.
    """

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.sent, self.received = 0, 0
        self.requests: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._listening.close()
        with self._lock:
            for item in self._open:
                with contextlib.suppress(OSError):
                    item.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(self._to)
            with self._lock:
                self._open |= {client, server}
            threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, to: socket.socket, of_client: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                self._count(piece, of_client)
                to.sendall(piece)
        with contextlib.suppress(OSError):
            to.shutdown(socket.SHUT_WR)

    def _count(self, piece: bytes, of_client: bool) -> None:
        with self._lock:
            self.sent += len(piece) if of_client else 0
            self.received += 0 if of_client else len(piece)
            if of_client:
                found = _REQUEST.findall(piece)
                self.requests += [(method.decode(), address.decode()) for method, address in found]

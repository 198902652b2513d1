"""A door in front of PostgreSQL that can lose the answer to a COMMIT: the server has it, the client does not know."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

COMMIT = b"COMMIT\x00"


class LossyDoor:
    """Listens on a socket of its own and passes everything on to the server in ``behind``.

    After :meth:`lose` the next COMMIT still reaches the server, but the connection ends before its answer does
    (``forward`` False: the COMMIT itself is lost).
    """

    def __init__(self, folder: Path, behind: Path) -> None:
        self.folder, self._behind = folder, behind
        self._armed: bool | None = None
        self.lost = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def lose(self, *, forward: bool) -> None:
        self._armed = forward

    def close(self) -> None:
        _end(self._listener)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(str(self._behind / ".s.PGSQL.5432"))
            answers = threading.Thread(target=self._answers, args=(client, server), daemon=True)
            answers.start()
            self._requests(client, server)
            answers.join()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if self._armed is not None and COMMIT in data:
                    self._lose(data, client, server)
                    return
                server.sendall(data)
        _end(server)

    def _lose(self, data: bytes, client: socket.socket, server: socket.socket) -> None:
        forward, self._armed = self._armed, None
        self.lost += 1
        _end(client)
        if forward:
            time.sleep(0.05)  # the client knows of the loss before the server knows of the commit
            server.sendall(data)
            time.sleep(0.05)
        _end(server)

    @staticmethod
    def _answers(client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
        _end(client)


def _end(side: socket.socket) -> None:
    with suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)

"""Packets and messages of TDS 7.4 on one socket, with TLS inside of them or around them.

Source: [MS-TDS] 2.2.3 (packets) and 2.2.6.5 (PRELOGIN's TLS: records travel in packets of type 0x12 until the
handshake is done, plain on the socket afterwards).
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass

BATCH, RPC, RESPONSE, ATTENTION, BULK, TRANSACTION, LOGIN, PRELOGIN = 0x01, 0x03, 0x04, 0x06, 0x07, 0x0E, 0x10, 0x12
LAST, IGNORE, RESET = 0x01, 0x02, 0x18  # the second reset keeps the transaction; here it does not
HEADER = struct.Struct(">BBHHBB")
READ_BYTES, FLUSH_BYTES, PEEK_LIMIT = 256 * 1024, 128 * 1024, 1024**2


class Gone(Exception):
    """The client is not there any more, or does not speak TDS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A whole request."""

    kind: int
    body: bytes
    reset: bool = False
    ignored: bool = False


class Channel:
    """One client's socket. One thread reads and writes; :meth:`peek` may be called by another."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._in, self._out = bytearray(), bytearray()
        self._reading, self._writing = threading.Lock(), threading.Lock()
        self._number = 0
        self.packet_size, self.spid = 4096, 0
        self.attention = self.gone = False

    # -- reading

    def message(self) -> Message:
        """Read a request whole.

        :raises Gone: the client hung up.
        """
        kind, status, body = self.packet()
        parts, reset = [body], bool(status & RESET)
        while not status & LAST:
            _, status, body = self.packet()
            parts.append(body)
        return Message(kind=kind, body=b"".join(parts), reset=reset, ignored=bool(status & IGNORE))

    def packets(self) -> Iterator[tuple[int, bytes]]:
        """Status and body of each packet of the message that comes next, as they come (bulk load)."""
        status = 0
        while not status & LAST:
            kind, status, body = self.packet()
            if kind == ATTENTION:
                self.attention = True
                return
            yield status, body

    def packet(self) -> tuple[int, int, bytes]:
        """Read one packet: kind, status, body."""
        self._need(8)
        kind, status, length, *_ = HEADER.unpack_from(self._in)
        if length < 8:
            raise Gone(f"a packet of {length} bytes")
        self._need(length)
        body = bytes(memoryview(self._in)[8:length])
        del self._in[:length]
        return kind, status, body

    def first_byte(self) -> int:
        """The first byte that the client sent; it stays to be read."""
        self._need(1)
        return self._in[0]

    def peek_kind(self) -> int:
        """Kind of the message that comes next; it stays to be read."""
        self._need(8)
        return self._in[0]

    def _need(self, count: int) -> None:
        while len(self._in) < count:
            with self._reading:
                if len(self._in) < count:
                    self._fill()

    def _fill(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except OSError as error:
            raise Gone(str(error)) from error
        if not data:
            raise Gone("closed")
        self._take(data)

    def _take(self, data: bytes) -> None:
        if self._tls is None:
            self._in += data
            return
        with self._writing:
            self._incoming.write(data)
            try:
                while plain := self._tls.read(READ_BYTES):
                    self._in += plain
            except ssl.SSLWantReadError:
                return
            except ssl.SSLError as error:
                raise Gone(str(error)) from error

    def peek(self) -> bool:
        """Look, while a statement runs, whether the client cancelled it (or went away): True once, when it did."""
        if self.attention or self.gone or len(self._in) > PEEK_LIMIT or not self._reading.acquire(blocking=False):
            return False
        try:
            if select.select([self._socket], [], [], 0)[0]:
                self._fill()
            self.attention = len(self._in) >= 8 and self._in[0] == ATTENTION
        except (Gone, OSError, ValueError):
            self.gone = True
        finally:
            self._reading.release()
        return self.attention or self.gone

    def take_attention(self) -> bool:
        """Whether the client cancelled; its packet is read then."""
        if not self.attention:
            return False
        if self._in[:1] == bytes([ATTENTION]):
            self.packet()
        self.attention = False
        return True

    # -- writing

    def write(self, data: bytes) -> None:
        """Add to the answer; sent when enough has come together."""
        self._out += data
        if len(self._out) >= FLUSH_BYTES:
            self._flush(last=False)

    def end(self) -> None:
        """Send the rest of the answer as its last packet."""
        self._flush(last=True)

    def send_all(self) -> None:
        """Send what there is of the answer, which does not end with it."""
        self._out, out = bytearray(), bytes(self._out)
        room = self.packet_size - 8
        for at in range(0, len(out), room):
            part = out[at : at + room]
            self.send(self._header(RESPONSE, 0, len(part)) + part)

    def _flush(self, *, last: bool) -> None:
        room, waiting = self.packet_size - 8, len(self._out)
        ready, view, at = bytearray(), memoryview(self._out), 0
        while waiting - at > room:
            ready += self._header(RESPONSE, 0, room) + view[at : at + room]
            at += room
        if last:
            ready += self._header(RESPONSE, LAST, waiting - at) + view[at:]
            at = waiting
        view.release()
        del self._out[:at]
        self.send(ready)

    def _header(self, kind: int, status: int, room: int) -> bytes:
        self._number = self._number % 255 + 1
        return HEADER.pack(kind, status, room + 8, self.spid & 0xFFFF, self._number, 0)

    def send(self, data: bytes | bytearray) -> None:
        """Put bytes on the wire, encrypted when TLS is on."""
        try:
            if self._tls is None:
                self._socket.sendall(data)
                return
            with self._writing:
                self._tls.write(data)
                data = self._outgoing.read()
            self._socket.sendall(data)
        except OSError as error:
            raise Gone(str(error)) from error

    def close(self, *, hard: bool = False) -> None:
        """Hang up; ``hard`` resets the connection, as a lost network does."""
        with contextlib.suppress(OSError):
            if hard:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def interrupt(self) -> None:
        """Hang up from another thread: whoever reads or writes gets :class:`Gone`."""
        self.gone = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    # -- TLS

    def encrypt(self, context: ssl.SSLContext, *, wrapped: bool) -> None:
        """Shake hands: in packets of PRELOGIN (``wrapped``) or on the bare socket (TDS 8.0, "strict")."""
        tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        if not wrapped:
            self._incoming.write(bytes(self._in))
            self._in.clear()
        done = False
        while not done:
            try:
                tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                self._hand(wrapped)
                self._incoming.write(self.packet()[2] if wrapped else self._receive())
            except ssl.SSLError as error:
                self._hand(wrapped)
                raise Gone(str(error)) from error
        self._hand(wrapped)
        self._tls = tls
        if not wrapped:
            self._take(b"")

    def _receive(self) -> bytes:
        data = self._socket.recv(READ_BYTES)
        if not data:
            raise Gone("closed while shaking hands")
        return data

    def _hand(self, wrapped: bool) -> None:
        records = self._outgoing.read()
        if records:
            self._socket.sendall(self._header(PRELOGIN, LAST, len(records)) + records if wrapped else records)

    def decrypt(self) -> None:
        """Go on without TLS: only the login was to be encrypted."""
        self._tls = None

"""PRELOGIN and LOGIN7 ([MS-TDS] 2.2.6.4 and 2.2.6.5), read and answered."""

from __future__ import annotations

import struct
from dataclasses import dataclass

OFF, ON, NOT_SUPPORTED, REQUIRED = 0, 1, 2, 3
VERSION = (16, 0, 4135)  # SQL Server 2022
SQL_TEXT_FIELDS = ("host", "user", "password", "application", "server", "", "library", "language", "database")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What a client says about itself. The password is not shown."""

    user: str
    password: str
    database: str
    application: str
    host: str
    library: str
    tds_version: int
    packet_size: int

    def __repr__(self) -> str:
        return f"Login({self.user!r}, {self.database!r}, {self.application!r})"


def prelogin_options(body: bytes) -> dict[int, bytes]:
    """Options of a PRELOGIN request."""
    found, at = {}, 0
    while at < len(body) and body[at] != 0xFF:
        token, offset, length = struct.unpack_from(">BHH", body, at)
        found[token] = body[offset : offset + length]
        at += 5
    return found


def prelogin_answer(encryption: int) -> bytes:
    """Version, encryption, no instance, no MARS."""
    version = struct.pack(">BBHH", *VERSION, 0)
    options = [(0, version), (1, bytes([encryption])), (2, b"\0"), (3, b""), (4, b"\0")]
    offset = 5 * len(options) + 1
    head = b""
    for token, value in options:
        head += struct.pack(">BHH", token, offset, len(value))
        offset += len(value)
    return head + b"\xff" + b"".join(value for _, value in options)


def agree(asked: int, *, supported: bool) -> int:
    """What server and client do: encrypt all, the login only (OFF), or nothing."""
    if not supported:
        return NOT_SUPPORTED
    return {OFF: OFF, ON: ON, NOT_SUPPORTED: NOT_SUPPORTED}.get(asked, ON)


def read_login(body: bytes) -> Login:
    """Read LOGIN7."""
    _, version, packet_size = struct.unpack_from("<III", body)
    found: dict[str, str] = {}
    at = 36
    for name in SQL_TEXT_FIELDS:
        offset, characters = struct.unpack_from("<HH", body, at)
        raw = body[offset : offset + characters * 2]
        if name == "password":
            raw = bytes(_unscramble(byte) for byte in raw)
        if name:
            found[name] = raw.decode("utf-16-le")
        at += 4
    found.pop("server"), found.pop("language")
    return Login(**found, tds_version=version, packet_size=packet_size)


def _unscramble(byte: int) -> int:
    byte ^= 0xA5
    return (byte << 4 | byte >> 4) & 0xFF

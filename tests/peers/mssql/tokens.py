"""Tokens of a response ([MS-TDS] 2.2.7) as bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import chain, repeat
from typing import Any

from tests.peers.mssql.interface import Column
from tests.peers.mssql.login import VERSION
from tests.peers.mssql.types import DEFAULT_COLLATION, column_encoder, encoder, type_info

FINAL, MORE, ERROR, COUNT, ATTENTION = 0x00, 0x01, 0x02, 0x10, 0x20
DONE, DONE_PROC, DONE_IN_PROC = 0xFD, 0xFE, 0xFF
SELECT, INSERT, OTHER = 0xC1, 0xC3, 0xFD
SERVER = "stand-in"
PRODUCT = "Microsoft SQL Server"
NO_METADATA = b"\x81\xff\xff"


def _short(text: str) -> bytes:
    return bytes([len(text.encode("utf-16-le")) // 2]) + text.encode("utf-16-le", "surrogatepass")


def _long(text: str) -> bytes:
    raw = text.encode("utf-16-le", "surrogatepass")[: 2 * 4000]
    return struct.pack("<H", len(raw) // 2) + raw


def _sized(token: int, body: bytes) -> bytes:
    return struct.pack("<BH", token, len(body)) + body


def login_acknowledged(tds_version: int) -> bytes:
    version = struct.pack(">I", tds_version) + _short(PRODUCT) + struct.pack(">BBH", *VERSION)
    return _sized(0xAD, b"\x01" + version)


def changed(kind: int, new: str, old: str) -> bytes:
    """ENVCHANGE of a text: 1 database, 2 language, 4 packet size."""
    return _sized(0xE3, bytes([kind]) + _short(new) + _short(old))


def changed_bytes(kind: int, new: bytes, old: bytes) -> bytes:
    """ENVCHANGE of bytes: 7 collation, 8 transaction begun, 9 committed, 10 rolled back, 18 connection reset."""
    return _sized(0xE3, bytes([kind, len(new)]) + new + bytes([len(old)]) + old)


def collation_changed() -> bytes:
    return changed_bytes(7, DEFAULT_COLLATION, b"")


def said(number: int, text: str, *, severity: int, state: int = 1, line: int = 1, procedure: str = "") -> bytes:
    """INFO, or ERROR from severity 11 on."""
    body = struct.pack("<iBB", number, state & 0xFF, severity) + _long(text) + _short(SERVER) + _short(procedure[:127])
    return _sized(0xAA if severity > 10 else 0xAB, body + struct.pack("<i", line))


def done(token: int, status: int, rows: int | None = None, command: int = OTHER) -> bytes:
    if rows is None:
        return struct.pack("<BHHQ", token, status, 0 if status & ATTENTION else command, 0)
    return struct.pack("<BHHQ", token, status | COUNT, command, rows)


def columns_described(columns: Sequence[Column]) -> bytes:
    """COLMETADATA."""
    parts = [struct.pack("<BH", 0x81, len(columns))]
    for column in columns:
        user_type, info = type_info(column.type, in_result=True)
        parts.append(struct.pack("<IH", user_type, _flags(column)) + info + _short(column.name[:128]))
    return b"".join(parts)


def _flags(column: Column) -> int:
    fixed = column.computed or column.type.name in {"rowversion", "timestamp"}
    return int(column.nullable) | 0x10 * column.identity | 0x20 * column.computed | (0 if fixed else 0x08)


def rows_encoder(columns: Sequence[Column]) -> Callable[[Sequence[Sequence[Any]]], bytes]:
    """What turns rows into ROW tokens, column by column."""
    encoders = [column_encoder(column.type) for column in columns]

    def encode(rows: Sequence[Sequence[Any]]) -> bytes:
        if not rows:
            return b""
        encoded = [one(values) for one, values in zip(encoders, zip(*rows, strict=True), strict=True)]
        return b"".join(chain.from_iterable(zip(repeat(b"\xd1"), *encoded, strict=False)))

    return encode


def returned(name: str, column: Column, value: Any) -> bytes:
    """RETURNVALUE: an output parameter."""
    user_type, info = type_info(column.type)
    head = struct.pack("<BH", 0xAC, 0) + _short(name) + struct.pack("<BIH", 1, user_type, 0)
    return head + info + encoder(column.type)(value)


def return_status(status: int) -> bytes:
    return struct.pack("<Bi", 0x79, status)

"""INSERT BULK: rows that a client streams ([MS-TDS] 2.2.6.1)."""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.peers.mssql.convert import converter
from tests.peers.mssql.declare import InsertBulk
from tests.peers.mssql.decode import FIXED, Decoder, Short, read_type
from tests.peers.mssql.interface import MAX, BulkOptions, Column, SqlError, SqlType
from tests.peers.mssql.packets import IGNORE, Channel
from tests.peers.mssql.types import INTEGERS

GATHERED = 128 * 1024
RowDecoder = Callable[[bytes, int, int, Callable[[list[Any]], None]], tuple[int, int | None]]
COLUMNS, ROW, NULL_ROW, DONE = 0x81, 0xD1, 0xD2, 0xFD


@dataclass(frozen=True, slots=True, kw_only=True)
class Wired:
    """A column as the client sends it; ``lengthy`` when its values say their length."""

    name: str
    type: SqlType
    decode: Decoder
    lengthy: bool = True


class Abandoned(Exception):
    """The client took the load back."""


class Stream:
    """The bytes of a bulk load, fetched as they are needed."""

    def __init__(self, channel: Channel) -> None:
        self._channel, self._packets = channel, channel.packets()
        self.data = bytearray()
        self.over = False

    def more(self, wanted: int = GATHERED) -> bool:
        """Fetch about so many bytes; False when there are no more."""
        before = len(self.data)
        while len(self.data) - before < wanted and not self.over:
            found = next(self._packets, None)
            if found is None:
                self.over = True
            elif found[0] & IGNORE:
                raise Abandoned
            else:
                self.data += found[1]
        if self._channel.attention:
            raise Abandoned
        return len(self.data) > before

    def drain(self) -> None:
        """Read the rest and forget it."""
        self.data.clear()
        while self.more():
            self.data.clear()


def options_of(statement: InsertBulk, columns: Sequence[Column]) -> BulkOptions:
    has = statement.options.__contains__
    return BulkOptions(
        keep_identity=any(column.identity for column in columns), check_constraints=has("check_constraints"),
        fire_triggers=has("fire_triggers"), keep_nulls=has("keep_nulls"), tablock=has("tablock"),
    )  # fmt: skip


def read_columns(stream: Stream) -> list[Wired]:
    """Read COLMETADATA.

    :raises SqlError: 4804 for what is none.
    """
    while True:
        try:
            found, at = _columns(stream.data)
        except (Short, struct.error, IndexError):
            if not stream.more():
                raise SqlError(4804, "Premature end-of-message while reading current row from host.") from None
            continue
        del stream.data[:at]
        return found


def _columns(data: bytearray) -> tuple[list[Wired], int]:
    if data[0] != COLUMNS:
        raise SqlError(4801, "The bulk load stream does not begin with its columns.")
    count, at, found = struct.unpack_from("<H", data, 1)[0], 3, []
    for _ in range(0 if count == 0xFFFF else count):
        lengthy = data[at + 6] not in FIXED
        kind, decode, at = read_type(data, at + 6, in_bulk=True)
        size = data[at] * 2
        if at + 1 + size > len(data):
            raise Short
        name = bytes(data[at + 1 : at + 1 + size]).decode("utf-16-le")
        at += 1 + size
        found.append(Wired(name=name, type=kind, decode=decode, lengthy=lengthy))
    return found, at


def rows(stream: Stream, wired: Sequence[Wired], columns: Sequence[Column]) -> Iterator[list[Any]]:
    """Decode rows as they come, converted to the types of the table's columns."""
    decoders, fast = [one.decode for one in wired], _row_decoder(wired)
    turned = [(place, turn) for place, (one, column) in enumerate(zip(wired, columns, strict=True))
              if (turn := converter(one.type, column.type)) is not None]  # fmt: skip
    wanted = GATHERED
    while True:
        found, at, over = _decode(stream.data, decoders, fast)
        del stream.data[:at]
        for row in found:
            for place, turn in turned:
                row[place] = turn(row[place])
            yield row
        if over:
            return
        wanted = GATHERED if found else wanted * 2  # one big value is not decoded again for every packet
        if not stream.more(wanted):
            if stream.data:
                raise SqlError(4804, "Premature end-of-message while reading current row from host.")
            return


def _row_decoder(wired: Sequence[Wired]) -> RowDecoder:
    """A function made for these columns: integers and short texts are read without a call for each value.

    It takes the bytes, where to begin, their end and what keeps a row; it gives the place behind the
    last whole row and the token there: None when the bytes end, else what is no plain row.
    """
    space: dict[str, Any] = {"whole": int.from_bytes, "text": codecs.utf_16_le_decode, "Short": Short, "ROW": ROW,
                             "struct_error": struct.error}  # fmt: skip
    body = ""
    for number, one in enumerate(wired):
        space[f"d{number}"] = one.decode
        body += _snippet(one).format(n=number)
    values = ", ".join(f"v{number}" for number in range(len(wired)))
    exec(_ROW_DECODER.format(body=body, values=values), space)
    return space["decode"]  # type: ignore[no-any-return]


_ROW_DECODER = """
def decode(data, at, end, keep):
    try:
        while at < end:
            if data[at] != ROW:
                return at, data[at]
            p = at + 1
{body}
            if p > end:
                return at, None
            keep([{values}])
            at = p
    except (Short, struct_error, IndexError):
        pass
    return at, None
"""
_WHOLE = """
            p, q = p + 1, p + 1 + data[p]
            if q > end: return at, None
            v{{n}} = whole(data[p:q], "little", signed={signed}) if q > p else None
            p = q
"""
_TEXT = """
            q = data[p] | data[p + 1] << 8
            if q == 65535: v{n}, p = None, p + 2
            else:
                p, q = p + 2, p + 2 + q
                if q > end: return at, None
                v{n} = text(data[p:q], "surrogatepass", True)[0]
                p = q
"""
_CALL = """
            v{n}, p = d{n}(data, p)
"""


def _snippet(one: Wired) -> str:
    if one.lengthy and one.type.name in INTEGERS:
        return _WHOLE.format(signed=one.type.name != "tinyint")
    if one.type.name in {"nvarchar", "nchar"} and one.type.length not in {MAX, 0}:
        return _TEXT
    return _CALL


def _decode(buffer: bytearray, decoders: Sequence[Decoder], fast: RowDecoder) -> tuple[list[list[Any]], int, bool]:
    """Whole rows in the bytes, the place behind the last, and whether DONE came."""
    found: list[list[Any]] = []
    data, at = bytes(buffer), 0
    while True:
        at, token = fast(data, at, len(data), found.append)
        if token is None:
            return found, at, False
        if token == DONE:
            return found, len(data), True
        if token != NULL_ROW:
            raise SqlError(4817, f"The bulk load stream holds a token 0x{token:02X}.")
        try:
            row, at = _null_row(data, at + 1, decoders)
        except (Short, struct.error, IndexError):
            return found, at, False
        found.append(row)


def _null_row(data: bytes, at: int, decoders: Sequence[Decoder]) -> tuple[list[Any], int]:
    """A row that begins with a bitmap of its nulls."""
    width = (len(decoders) + 7) // 8
    nulls, at = data[at : at + width], at + width
    row: list[Any] = []
    for number, decode in enumerate(decoders):
        value = None
        if not nulls[number >> 3] >> (number & 7) & 1:
            value, at = decode(data, at)
        row.append(value)
    if at > len(data):
        raise Short
    return row, at

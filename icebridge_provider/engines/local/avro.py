"""Avro object container files (Avro 1.12 specification) as bytes: header kept as it is, blocks unpacked and packed.

Only what the path rewrite needs. Values are never turned into Python objects and back, so what is not rewritten
stays byte for byte what its writer wrote.
"""

from __future__ import annotations

import bz2
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

MAGIC = b"Obj\x01"
SYNC = 16
_SMALL_BLOCK = 2048


class AvroError(ValueError):
    """The bytes are not what the Avro specification asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Header of a container file: its own bytes, its metadata, and the marker that ends every block."""

    raw: bytes
    metadata: dict[str, bytes]
    sync: bytes

    @property
    def schema(self) -> Any:
        """Writer's schema, parsed."""
        return json.loads(self.metadata["avro.schema"])

    @property
    def codec(self) -> str:
        """Name of the block codec."""
        return self.metadata.get("avro.codec", b"null").decode()


def read_long(data: bytes, position: int) -> tuple[int, int]:
    """Return a zig-zag variable-length number and the position after it.

    :raises AvroError: when the data ends first or the number has more than 64 bits.
    """
    try:
        byte = data[position]
        position += 1
        if byte < 128:
            return (byte >> 1) ^ -(byte & 1), position
        value, shift = byte & 127, 7
        while byte >= 128:
            byte = data[position]
            position += 1
            value |= (byte & 127) << shift
            shift += 7
    except IndexError:
        raise AvroError("ends within a number") from None
    if shift > 70:
        raise AvroError("holds a number of more than 64 bits")
    return (value >> 1) ^ -(value & 1), position


def write_long(value: int) -> bytes:
    """Return the zig-zag variable-length form of a number of at most 64 bits."""
    value = (value << 1) ^ (value >> 63)
    if value < 128:
        return bytes((value,))
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_bytes(data: bytes, position: int) -> tuple[bytes, int]:
    """Return a length-prefixed value and the position after it.

    :raises AvroError: when the data ends first.
    """
    length, position = read_long(data, position)
    end = position + length
    if length < 0 or end > len(data):
        raise AvroError("ends within a value")
    return data[position:end], end


def write_bytes(value: bytes) -> bytes:
    """Return the value with its length before it."""
    return write_long(len(value)) + value


def read_header(data: bytes) -> Header:
    """Read the header of a container file.

    :raises AvroError: when it is none.
    """
    if not data.startswith(MAGIC):
        raise AvroError("is not an Avro container file")
    metadata: dict[str, bytes] = {}
    position = len(MAGIC)
    while True:
        count, position = read_long(data, position)
        if count == 0:
            break
        if count < 0:
            _, position = read_long(data, position)
        for _ in range(abs(count)):
            key, position = read_bytes(data, position)
            metadata[key.decode()], position = read_bytes(data, position)
    end = position + SYNC
    if "avro.schema" not in metadata or end > len(data):
        raise AvroError("has no whole header")
    return Header(raw=data[:end], metadata=metadata, sync=data[position:end])


def read_blocks(header: Header, data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number of records and the unpacked bytes of each block.

    :raises AvroError: when a block is cut short or its marker is wrong.
    """
    unpack = _codec(header.codec)[0]
    position, end = len(header.raw), len(data)
    while position < end:
        count, position = read_long(data, position)
        packed, position = read_bytes(data, position)
        if data[position : position + SYNC] != header.sync:
            raise AvroError("has a block that does not end in the file's marker")
        position += SYNC
        try:
            yield count, unpack(packed)
        except AvroError:
            raise
        except (zlib.error, OSError, lzma.LZMAError, RuntimeError, ValueError, EOFError) as error:
            raise AvroError(f"has a block that cannot be unpacked: {error}") from None


def write_block(header: Header, count: int, block: bytes) -> bytes:
    """Return one block as the file holds it, packed by the file's codec."""
    packed = _codec(header.codec)[1](block)
    return b"".join((write_long(count), write_long(len(packed)), packed, header.sync))


def _deflate(data: bytes) -> bytes:
    if len(data) < _SMALL_BLOCK:
        # Setting up zlib's full window costs more than packing such a block; any inflater reads a smaller window.
        packer = zlib.compressobj(6, zlib.DEFLATED, -11, 4)
    else:
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def _inflate(data: bytes) -> bytes:
    packed = zlib.decompressobj(-15)  # not zlib.decompress: pyiceberg leaves bytes of a checksum behind the data
    found = packed.decompress(data)
    if not packed.eof:
        raise AvroError("has a block that is cut short")
    return found


def _unsnap(data: bytes) -> bytes:
    import pyarrow as pa

    size = shift = 0
    for byte in data:
        size |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    found: bytes = pa.decompress(data[:-4], decompressed_size=size, codec="snappy", asbytes=True)
    if zlib.crc32(found).to_bytes(4, "big") != data[-4:]:
        raise AvroError("has a block whose checksum is wrong")
    return found


def _snap(data: bytes) -> bytes:
    import pyarrow as pa

    packed: bytes = pa.compress(data, codec="snappy", asbytes=True)
    return packed + zlib.crc32(data).to_bytes(4, "big")


def _unzstd(data: bytes) -> bytes:
    import zstandard

    try:
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    except zstandard.ZstdError as error:
        raise AvroError(f"has a block that cannot be unpacked: {error}") from None


def _zstd(data: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor().compress(data)


_Packing = tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]
_CODECS: dict[str, _Packing] = {
    "null": (bytes, bytes),
    "deflate": (_inflate, _deflate),
    "snappy": (_unsnap, _snap),
    "zstandard": (_unzstd, _zstd),
    "bzip2": (bz2.decompress, bz2.compress),
    "xz": (lzma.decompress, lzma.compress),
}


def _codec(name: str) -> _Packing:
    try:
        return _CODECS[name]
    except KeyError:
        raise AvroError(f"is packed by {name!r}, which is none of {', '.join(_CODECS)}") from None

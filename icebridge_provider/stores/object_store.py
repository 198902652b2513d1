# ruff: noqa: PTH108, PTH112, PTH116, PTH123
# Descriptors and plain texts: a path object for each file costs more than the copying of a small one.
"""The one store: local files and object stores, told apart by the location."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from icebridge_provider.ports import FileStore
from icebridge_provider.stores import local
from icebridge_provider.stores.remote import SERVER_COPY_LIMIT, RemoteFiles

CHUNK = 8 * 1024 * 1024
UNKNOWN_CRC = -1


class ObjectStore:
    """:class:`icebridge_provider.ports.FileStore` for local paths and whatever pyiceberg's pyarrow FileIO reaches.

    Errors are Python's own: ``FileNotFoundError``, ``PermissionError``, ``ConnectionError`` (may work later),
    ``OSError``. Safe for several threads.

    :param io_properties: pyiceberg's file properties (``s3.endpoint``, …); may hold credentials, never shown.
    """

    def __init__(self, io_properties: Mapping[str, str] | None = None) -> None:
        self._properties = dict(io_properties or {})
        self._remote = RemoteFiles(self._properties)

    def __repr__(self) -> str:
        return "ObjectStore()"

    def size(self, location: str) -> int | None:
        """Bytes of the file, None when there is none."""
        path = local.local_path(location)
        if path is None:
            return self._remote.size(location)
        try:
            return os.stat(path).st_size if not os.path.isdir(path) else None
        except (FileNotFoundError, NotADirectoryError):
            return None

    def open(self, location: str) -> IO[bytes]:
        """Open for reading, seekable."""
        path = local.local_path(location)
        return self._remote.open(location) if path is None else open(path, "rb")

    def read(self, location: str) -> bytes:
        """Whole content of a small file."""
        path = local.local_path(location)
        if path is None:
            return self._remote.read(location)
        with open(path, "rb") as stream:
            return stream.read()

    def write(self, location: str, data: bytes) -> None:
        """Write a small file whole or not at all, replacing it."""
        self.write_from(location, (data,))

    def write_from(self, location: str, chunks: Iterable[bytes]) -> int:
        """Write a file of any length whole or not at all, replacing it; return its bytes."""
        path = local.local_path(location)
        return self._remote.write(location, chunks) if path is None else local.write_whole(path, chunks)

    def upload(self, location: str, path: Path) -> int:
        """Write a file of this machine whole or not at all, replacing what is there; return its bytes."""
        target = local.local_path(location)
        if target is not None:
            return local.copy_whole(str(path), target, path.stat().st_size)
        with path.open("rb") as stream:
            return self.write_from(location, _chunks(stream, lambda: False))

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Locations and sizes of all files below a folder, spelled as ``prefix`` is; nothing where there is none."""
        path = local.local_path(prefix)
        if path is None:
            yield from self._remote.list(prefix)
            return
        spelled = prefix.removesuffix(path) if prefix.endswith(path) else ""
        for found, size in local.files_below(path.rstrip("/") or "/"):
            yield f"{spelled}{found}", size

    def delete(self, location: str) -> None:
        """Delete a file; a missing one is success."""
        path = local.local_path(location)
        if path is None:
            self._remote.delete(location)
        else:
            _unlink(path)

    def file_io(self) -> Any:
        """Return pyiceberg's own file access with the same properties, for its reader and writer."""
        return self._remote.file_io

    def copied_by_server(self, other: FileStore, source: str, target: str, size: int) -> bool:
        """Copy from ``other`` without moving bytes through this process where both are one store; say if it was."""
        schemes = {source.partition("://")[0], target.partition("://")[0]}
        same = isinstance(other, ObjectStore) and other._properties == self._properties  # noqa: SLF001
        if not same or schemes != {"s3"} or size > SERVER_COPY_LIMIT:
            return False
        self._remote.copy(source, target)
        return True


def copy_file(
    source: FileStore, target: FileStore, from_location: str, to_location: str, size: int,
    stopped: Callable[[], bool] = lambda: False,
) -> tuple[int, int]:  # fmt: skip
    """Copy one file by the shortest way and return its bytes and CRC-32.

    The CRC is :data:`UNKNOWN_CRC` where the bytes did not pass through this process: reading them just for it would
    double the work, and the byte proof reads both sides anyway.

    :param size: bytes that are expected; only chooses the way.
    :raises InterruptedError: when ``stopped`` says so half-way.
    """
    reading, writing = local.local_path(from_location), local.local_path(to_location)
    if reading is not None and writing is not None:
        return local.copy_whole(reading, writing, size, stopped), UNKNOWN_CRC
    if isinstance(target, ObjectStore) and target.copied_by_server(source, from_location, to_location, size):
        return target.size(to_location) or 0, UNKNOWN_CRC
    return _stream(source, target, from_location, to_location, stopped)


def checksum(store: FileStore, location: str, stopped: Callable[[], bool] = lambda: False) -> tuple[int, int]:
    """Return bytes and CRC-32 of a file.

    :raises FileNotFoundError: when there is none.
    """
    size = crc = 0
    with store.open(location) as stream:
        for chunk in _chunks(stream, stopped):
            crc = zlib.crc32(chunk, crc)
            size += len(chunk)
    return size, crc


def _stream(
    source: FileStore, target: FileStore, from_location: str, to_location: str, stopped: Callable[[], bool]
) -> tuple[int, int]:
    crc = 0

    def passing() -> Iterator[bytes]:
        nonlocal crc
        with source.open(from_location) as stream:
            for chunk in _chunks(stream, stopped):
                crc = zlib.crc32(chunk, crc)
                yield chunk

    if isinstance(target, ObjectStore):
        return target.write_from(to_location, passing()), crc
    data = b"".join(passing())
    target.write(to_location, data)
    return len(data), crc


def _chunks(stream: IO[bytes], stopped: Callable[[], bool]) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK):
        if stopped():
            raise InterruptedError
        yield chunk


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        return

# ruff: noqa: PTH100, PTH103, PTH105, PTH108, PTH116, PTH118, PTH120
# Descriptors and plain texts: a path object for each file costs more than the copying of a small one.
"""Files on this host: whole or not there, and copied inside the kernel."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator

PART = ".icebridge-part"
BLOCK = 64 * 1024 * 1024
_BUFFER = 512 * 1024
_LARGE = 4 * 1024 * 1024  # below, reads into a kept buffer beat copy_file_range (measured on ext4)
_tag = secrets.token_hex(6)
_count = itertools.count()
_kept = threading.local()


def local_path(location: str) -> str | None:
    """Return the path behind ``file:///x``, ``file:/x``, ``file://localhost/x`` or a bare path, else None.

    Nothing is percent-decoded: Iceberg's own file systems do not, either.
    """
    if location.startswith("/"):
        return location
    scheme, colon, rest = location.partition(":")
    if not colon or "/" in scheme:
        return os.path.abspath(location)
    if scheme.lower() != "file":
        return None
    if not rest.startswith("//"):
        return rest
    host, slash, path = rest[2:].partition("/")
    return slash + path if host in {"", "localhost"} else None


def is_part(location: str) -> bool:
    """Say whether the file is what a killed process left of a write."""
    return location.endswith(PART)


def write_whole(path: str, chunks: Iterable[bytes]) -> int:
    """Write a file under a passing name and rename it, so that no reader sees half of it; return its bytes."""
    size = 0
    with _replacing(path) as descriptor:
        for chunk in chunks:
            _write_all(descriptor, chunk)
            size += len(chunk)
    return size


def copy_whole(source: str, target: str, expected: int, stopped: Callable[[], bool] = lambda: False) -> int:
    """Copy a file's bytes to a new file, which appears only when it is whole; return how many there were.

    Not flushed to the device: after a power cut the byte proof finds what is missing.

    :param expected: bytes that are expected; only chooses the way.
    :raises InterruptedError: when ``stopped`` says so between two blocks of 64 MiB.
    """
    reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with _replacing(target) as writing:
            return _copy_bytes(reading, writing, expected, stopped)
    finally:
        os.close(reading)


@contextlib.contextmanager
def _replacing(path: str) -> Iterator[int]:
    part = f"{os.path.dirname(path)}/.{_tag}-{next(_count)}{PART}"  # short: names may be 255 bytes long already
    descriptor = _create(part)
    try:
        try:
            yield descriptor
        finally:
            os.close(descriptor)
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def _create(path: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, flags, 0o666)


def _copy_bytes(reading: int, writing: int, expected: int, stopped: Callable[[], bool]) -> int:
    size = 0
    if expected < _LARGE:
        size = _copy_buffers(reading, writing)
        if size < _LARGE:
            return size
    while copied := _copy_block(reading, writing):
        size += copied
        if stopped():
            raise InterruptedError
    return size


def _copy_buffers(reading: int, writing: int) -> int:
    """Copy the first few buffers through a piece of memory that each thread keeps: fresh ones cost page faults."""
    buffer = getattr(_kept, "buffer", None)
    if buffer is None:
        buffer = _kept.buffer = bytearray(_BUFFER)
    size = 0
    while size < _LARGE:
        count = os.readv(reading, [buffer])
        _write_all(writing, memoryview(buffer)[:count])
        size += count
        if count == 0:
            break
    return size


def _copy_block(reading: int, writing: int) -> int:
    try:
        return os.copy_file_range(reading, writing, BLOCK)
    except OSError as error:
        if error.errno not in _NO_RANGE_COPY:
            raise
    return os.sendfile(writing, reading, None, BLOCK)


_NO_RANGE_COPY = {18, 22, 38, 95}  # EXDEV, EINVAL, ENOSYS, EOPNOTSUPP: other file systems, older kernels


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def files_below(folder: str) -> Iterator[tuple[str, int]]:
    """Paths and sizes of all files below a folder, by name; nothing for a folder that is not there."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(parent, name)
            with contextlib.suppress(FileNotFoundError):
                yield path, os.stat(path).st_size

"""Object stores through pyarrow's file systems, set up by pyiceberg from a catalog's properties."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import IO, Any, TypeVar, cast

T = TypeVar("T")
SERVER_COPY_LIMIT = 5 * 1024**3  # the most that S3's CopyObject takes
_DENIED = ("ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "HTTP STATUS 403", "FORBIDDEN")
_PASSING = ("SLOW_DOWN", "NETWORK_CONNECTION", "TIMEOUT", "TIMED OUT", "INTERNAL_FAILURE", "SERVICE_UNAVAILABLE",
            "REQUEST_EXPIRED", "HTTP STATUS 50", "HTTP STATUS 429", "CONNECTION")  # fmt: skip


class RemoteFiles:
    """Files of object stores. Errors are Python's own: missing, denied, or a connection that may work later."""

    def __init__(self, properties: Mapping[str, str]) -> None:
        self._properties = dict(properties)

    @cached_property
    def file_io(self) -> Any:
        """Pyiceberg's own file access with the same properties."""
        from pyiceberg.io.pyarrow import PyArrowFileIO

        return PyArrowFileIO(self._properties)

    def _at(self, location: str) -> tuple[Any, str]:
        scheme, _, rest = location.partition("://")
        bucket = rest.partition("/")[0]
        try:
            return self.file_io.fs_by_scheme(scheme, bucket), rest
        except ValueError:
            raise OSError(f"{scheme}:// is a storage system that cannot be read here ({location})") from None

    def size(self, location: str) -> int | None:
        """Bytes of the file, None when there is none."""
        filesystem, path = self._at(location)
        found = _said(location, lambda: filesystem.get_file_info(path))
        return int(found.size) if found.is_file else None

    def open(self, location: str) -> IO[bytes]:
        """Open for reading, seekable."""
        filesystem, path = self._at(location)
        return cast("IO[bytes]", _said(location, lambda: filesystem.open_input_file(path)))

    def read(self, location: str) -> bytes:
        """Whole content."""
        with self.open(location) as stream:
            return _said(location, stream.read)

    def write(self, location: str, chunks: Iterable[bytes]) -> int:
        """Upload a file; it appears when the upload ends."""
        filesystem, path = self._at(location)

        def upload() -> int:
            size = 0
            stream = filesystem.open_output_stream(path)
            try:
                for chunk in chunks:
                    stream.write(chunk)
                    size += len(chunk)
            except BaseException:
                # Closing is the only way to end an upload, and it publishes what was sent so far.
                stream.close()
                filesystem.delete_file(path)
                raise
            stream.close()
            return size

        return _said(location, upload)

    def copy(self, source: str, target: str) -> None:
        """Let the server copy; both must be of one kind of store and within its limit."""
        filesystem, path = self._at(target)
        _said(target, lambda: filesystem.copy_file(self._at(source)[1], path))

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Locations and sizes of all files below a folder."""
        from pyarrow.fs import FileSelector

        filesystem, path = self._at(prefix)
        selector = FileSelector(path.rstrip("/"), allow_not_found=True, recursive=True)
        scheme = prefix.partition("://")[0]
        for found in sorted(_said(prefix, lambda: filesystem.get_file_info(selector)), key=lambda item: item.path):
            if found.is_file:
                yield f"{scheme}://{found.path}", int(found.size)

    def delete(self, location: str) -> None:
        """Delete a file; a missing one is success."""
        filesystem, path = self._at(location)
        with contextlib.suppress(FileNotFoundError):
            _said(location, lambda: filesystem.delete_file(path))


def _said(location: str, call: Callable[[], T]) -> T:
    """Run a call and turn pyarrow's one kind of error into Python's."""
    try:
        return call()
    except (FileNotFoundError, PermissionError, ConnectionError, TimeoutError):
        raise
    except OSError as error:
        text = str(error).upper()
        if any(mark in text for mark in _DENIED):
            raise PermissionError(f"{location}: access denied") from None
        if any(mark in text for mark in _PASSING):
            raise ConnectionError(f"{location}: {_first_line(error)}") from None
        raise


def _first_line(error: OSError) -> str:
    return str(error).splitlines()[0][:300] if str(error) else type(error).__name__

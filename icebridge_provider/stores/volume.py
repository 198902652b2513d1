"""Files of Unity Catalog's volumes, ``/Volumes/catalog/schema/volume/…``, by the Files API."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeVar, cast

from icebridge_provider.exceptions import ConfigurationError, IceBridgeError
from icebridge_provider.model.volumes import volume_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

T = TypeVar("T")
_MISSING = "IB-243"


class VolumeWorkspace(Protocol):
    """What is needed of a workspace: ``catalogs/unity/workspace.py`` fits. It raises :class:`IceBridgeError` only."""

    @property
    def client(self) -> Any:
        """The SDK's ``WorkspaceClient``."""

    def read(self, what: str, function: Callable[[], T], right: str = "") -> T:
        """Make a call that may safely run twice, up to three times."""


class VolumeStore:
    """:class:`icebridge_provider.ports.FileStore` over volumes. Safe for several threads.

    A file appears when its upload is over, and an upload may be made again: it replaces the file with the same bytes.

    :raises IceBridgeError: every method, as the workspace explains it; IB-828 for a path that is in no volume.
    """

    def __init__(self, workspace: VolumeWorkspace) -> None:
        self._workspace = workspace

    def __repr__(self) -> str:
        return "VolumeStore()"

    def size(self, location: str) -> int | None:
        """Bytes of the file, None when there is none."""
        files = self._workspace.client.files
        found = self._or_none(lambda: self._read("look at", location, lambda: files.get_metadata(location)))
        return None if found is None else int(found.content_length or 0)

    def open(self, location: str) -> IO[bytes]:
        """Open for reading, seekable: ranges of the file are fetched as they are asked for."""
        size = self.size(location)
        if size is None:
            raise FileNotFoundError(location)
        return cast("IO[bytes]", io.BufferedReader(_Ranges(self, location, size), 1024 * 1024))

    def read(self, location: str) -> bytes:
        """Whole content of a small file."""
        files = self._workspace.client.files

        def fetch() -> bytes:
            with files.download(location).contents as stream:
                return bytes(stream.read())

        found = self._or_none(lambda: self._read("read", location, fetch))
        if found is None:
            raise FileNotFoundError(location)
        return found

    def read_range(self, location: str, start: int, length: int) -> bytes:
        """Bytes from ``start`` on; the Files API takes the header Range."""
        api = self._workspace.client.api_client
        header = {"Range": f"bytes={start}-{start + length - 1}", "Accept": "application/octet-stream"}
        path = f"/api/2.0/fs/files{_escaped(location)}"

        def fetch() -> bytes:
            answer = api.do("GET", path, headers=header, raw=True, response_headers=["content-range"])
            with answer["contents"] as stream:
                content = bytes(stream.read())
            # a server that takes no ranges sends the whole file
            return content if answer.get("content-range") else content[start : start + length]

        return self._read("read", location, fetch)

    def write(self, location: str, data: bytes) -> None:
        """Write a small file whole or not at all, replacing it."""
        files = self._workspace.client.files
        self._read("write", location, lambda: files.upload(location, io.BytesIO(data), overwrite=True), write=True)

    def upload(self, location: str, path: Path) -> int:
        """Write a file of this machine, replacing what is there; return its bytes. Large ones go up in pieces."""
        files = self._workspace.client.files

        def send() -> int:
            with path.open("rb") as stream:
                files.upload(location, stream, overwrite=True)
            return path.stat().st_size

        return self._read("write", location, send, write=True)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Locations and sizes of all files below a folder; nothing for a folder that is not there."""
        files = self._workspace.client.files
        folder = prefix.rstrip("/")
        found = self._or_none(
            lambda: self._read("list", folder, lambda: list(files.list_directory_contents(f"{folder}/")))
        )
        for item in sorted(found or (), key=lambda entry: str(entry.path)):
            if item.is_directory:
                yield from self.list(str(item.path))
            else:
                yield str(item.path), int(item.file_size or 0)

    def delete(self, location: str) -> None:
        """Delete a file; a missing one is success."""
        files = self._workspace.client.files
        self._or_none(lambda: self._read("delete", location, lambda: files.delete(location), write=True))

    def _read(self, verb: str, location: str, call: Callable[[], T], *, write: bool = False) -> T:
        volume = volume_of(location)
        if not volume:
            raise _no_volume(location)
        right = f"{'READ VOLUME and WRITE VOLUME' if write else 'READ VOLUME'} on {'.'.join(volume)}"
        return self._workspace.read(f"{verb} {location}", call, right)

    @staticmethod
    def _or_none(call: Callable[[], T]) -> T | None:
        try:
            return call()
        except IceBridgeError as error:
            if error.code == _MISSING:
                return None
            raise


class _Ranges(io.RawIOBase):
    """A file of a volume, fetched range by range."""

    def __init__(self, store: VolumeStore, location: str, size: int) -> None:
        super().__init__()
        self._store, self._location, self._size = store, location, size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        length = min(len(view), self._size - self._at)
        if length <= 0:
            return 0
        data = self._store.read_range(self._location, self._at, length)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


def _escaped(location: str) -> str:
    from urllib.parse import quote

    return quote(location)


def _no_volume(location: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-828",
        f"{location[:200]!r} is no place in a volume.",
        remedy="Give /Volumes/<catalog>/<schema>/<volume>/<folder>, without . and .. parts.",
        location=location[:200],
    )

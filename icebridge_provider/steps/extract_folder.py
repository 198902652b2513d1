"""The folder of one extraction job: parts that are checked after their upload, and the manifest that speaks of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

from icebridge_provider.crash import side_effect
from icebridge_provider.engines.local.faults import from_os
from icebridge_provider.exceptions import IceBridgeError, TransientError
from icebridge_provider.model import codec
from icebridge_provider.model.extraction import MANIFEST, Manifest, Part
from icebridge_provider.ports import FileStore
from icebridge_provider.retry import transient
from icebridge_provider.stores.local import is_part
from icebridge_provider.stores.object_store import checksum

if TYPE_CHECKING:
    from icebridge_provider.engines.parquet import SpooledPart

T = TypeVar("T")
_PART = re.compile(r"part-\d{5}(?:-\d{5})?\.parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """Where one job's files are.

    :param name: ``country/query``, for messages.
    :param read_back: read every byte of an uploaded part again, besides its size and its end.
    """

    store: FileStore
    location: str
    name: str
    read_back: bool = False

    def at(self, name: str) -> str:
        """Return the location of a file."""
        return f"{self.location}/{name}"

    def manifest(self) -> Manifest | None:
        """Return the manifest that is there; None without one, or with one that cannot be read."""
        with self._told(MANIFEST):
            try:
                content = self._again(lambda: self.store.read(self.at(MANIFEST)))
                return codec.from_json(Manifest, json.loads(content))
            except (FileNotFoundError, ValueError):
                return None

    def holds(self, parts: Iterable[Part]) -> bool:
        """Say whether all these parts are there with their sizes."""
        sizes = self._sizes()
        return all(sizes.get(part.name) == part.size for part in parts)

    def clear(self, keep: Collection[str]) -> None:
        """Delete the manifest, then every part that is not kept: what comes next must not be mixed with them.

        What a killed process left half-written of a local file goes too.
        """
        names = [name for name in self._sizes() if name not in keep]
        gone = [MANIFEST, *(name for name in names if _PART.fullmatch(name) or is_part(name))]
        for name in gone:
            with self._told(name), side_effect("extract.clear"):
                self._again(lambda name=name: self.store.delete(self.at(name)))  # type: ignore[misc]

    def clear_range(self, first: str) -> None:
        """Delete the parts of one range that is read anew, by the name of its first one."""
        stem = first.removesuffix("00000.parquet")
        for name in self._sizes():
            if _PART.fullmatch(name) and name.startswith(stem):
                with self._told(name), side_effect("extract.clear"):
                    self._again(lambda name=name: self.store.delete(self.at(name)))  # type: ignore[misc]

    def put(self, name: str, part: SpooledPart) -> Part:
        """Upload a part and look at what arrived.

        :raises TransientError: IB-832 when it is not what was sent.
        """
        with self._told(name):
            with side_effect("extract.upload"):
                self._again(lambda: self.store.upload(self.at(name), part.path))
            self._again(lambda: self._check(name, part))
        return Part(name=name, rows=part.rows, size=part.size, crc32=part.crc32)

    def write_manifest(self, manifest: Manifest) -> None:
        """Write the manifest: from now on the job's rows are there."""
        content = json.dumps(codec.to_json(manifest), indent=1, ensure_ascii=False).encode()
        with self._told(MANIFEST), side_effect("extract.manifest"):
            self._again(lambda: self.store.write(self.at(MANIFEST), content))

    def _check(self, name: str, part: SpooledPart) -> None:
        """Compare size and end (a Parquet file's end tells rows and place of all its columns), or every byte."""
        size = self.store.size(self.at(name))
        if size != part.size:
            raise self._differs(name, f"{size} bytes instead of {part.size}")
        if self.read_back:
            if checksum(self.store, self.at(name)) != (part.size, part.crc32):
                raise self._differs(name, "other bytes than were sent")
            return
        with self.store.open(self.at(name)) as stream:
            stream.seek(part.size - len(part.footer))
            if stream.read(len(part.footer)) != part.footer:
                raise self._differs(name, "another end than was sent")

    def _sizes(self) -> dict[str, int]:
        with self._told(""):
            start = len(self.location) + 1
            found = self._again(lambda: list(self.store.list(self.location)))
            return {location[start:]: size for location, size in found if "/" not in location[start:]}

    def _differs(self, name: str, what: str) -> TransientError:
        return TransientError(
            "IB-832",
            f"Part {name} of {self.name} has {what} after its upload to {self.location}.",
            remedy="Run the job again; if it stays so, somebody else writes that folder, or its storage is broken.",
            changed="No manifest was written: readers who go by it see nothing of this job.",
            location=self.at(name),
        )

    @staticmethod
    def _again(call: Callable[[], T]) -> T:
        """Call up to three times; what is told as an error of ours was tried often enough by the store itself."""

        def once() -> tuple[T, None] | tuple[None, IceBridgeError]:
            try:
                return call(), None
            except IceBridgeError as error:
                return None, error

        found, error = transient(once)
        if error is not None:
            raise error
        return cast("T", found)

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """Turn what stores raise into errors of ours."""
        try:
            yield
        except (IceBridgeError, FileNotFoundError):
            raise
        except OSError as error:
            raise from_os(self.name, self.at(name), error) from None

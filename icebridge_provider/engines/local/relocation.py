"""Where each file of a table goes: one pure function from old paths to new ones."""

from __future__ import annotations

import hashlib
import posixpath
import re

_ODD = re.compile(r"(^|/)(\.{0,2})(/|$)")
_S3 = re.compile(r"s3[an]?://", re.IGNORECASE)


def canonical(location: str) -> str:
    """Return one spelling of a place: ``/x`` for ``file:///x``, ``file:/x`` and ``/x``; ``s3://`` for s3a and s3n."""
    scheme, colon, rest = location.partition(":")
    if colon and scheme.lower() == "file":
        path = rest.removeprefix("//")
        return "/" + path.removeprefix("localhost").lstrip("/") if rest.startswith("//") else "/" + rest.lstrip("/")
    return _S3.sub("s3://", location, count=1) if _S3.match(location) else location


class Relocation:
    """Maps paths below a table's location to the same paths below another; all others to names of their own there.

    Paths outside the old location (``add_files``, an older location, ``write.data.path``) go to
    ``outside/<digest of the path>/<file name>``. The mapping depends on nothing but the two locations and the path,
    so a position delete that names a file long gone maps like the file would have.
    """

    def __init__(self, source: str, target: str) -> None:
        self.source = source.rstrip("/")
        self.target = target.rstrip("/")
        self._prefix = self.source + "/"
        self._canonical = canonical(self.source).rstrip("/") + "/"
        self._raw_prefix = self._prefix.encode()
        self._raw_target = self.target.encode() + b"/"

    def __call__(self, path: str) -> str:
        """Return the new path of a file."""
        if path.startswith(self._prefix):
            return self._inside(path, path[len(self._prefix) :])
        plain = canonical(path)
        if plain.startswith(self._canonical):
            return self._inside(path, plain[len(self._canonical) :])
        return self._outside(path)

    def _inside(self, path: str, rest: str) -> str:
        if ("//" in rest or "./" in rest or rest[:1] in {"/", ""} or rest[-1] in "./") and _ODD.search(rest):
            return self._outside(path)
        return f"{self.target}/{rest}"

    def _outside(self, path: str) -> str:
        plain = canonical(path)
        name = posixpath.basename(plain.rstrip("/"))
        name = "file" if name in {"", ".", ".."} else name
        return f"{self.target}/outside/{hashlib.sha256(plain.encode()).hexdigest()[:16]}/{name}"

    def keeps_order(self, paths: list[str]) -> bool:
        """Say whether ``paths`` and their new paths sort alike, by UTF-8 bytes as the Iceberg spec sorts."""
        ordered = sorted(paths, key=str.encode)
        moved = [self(path).encode() for path in ordered]
        return moved == sorted(moved)

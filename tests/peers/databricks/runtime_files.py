"""Files mounted for a program: paths below /Volumes and /Workspace lead to the files, once the workspace has agreed."""

from __future__ import annotations

import builtins
import functools
import io
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

ROOTS = ("/Volumes/", "/Workspace/")
READS = ("stat", "lstat", "listdir", "scandir", "access", "readlink")
WRITES = ("mkdir", "remove", "unlink", "rmdir", "truncate", "utime", "chmod")
MOVES = ("rename", "replace", "link", "symlink")


class Mounts:
    """Asks the workspace where a path is, with the run's own credential."""

    def __init__(self, url: str, credential: str) -> None:
        self._url, self._credential = url, credential

    def local(self, path: Any, *, write: bool = False) -> Any:
        """The path on this machine of a mounted path, any other path as it is."""
        text = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
        if not text.startswith(ROOTS):
            return path
        query = {"path": text} | ({"write": "1"} if write else {})
        request = urllib.request.Request(
            f"{self._url}/internal/files/mounted?{urllib.parse.urlencode(query)}",
            headers={"Authorization": f"Bearer {self._credential}"},
        )
        try:
            with urllib.request.urlopen(request) as answer:
                return json.loads(answer.read())["local"]
        except urllib.error.HTTPError as error:
            said = json.loads(error.read())
            kind = PermissionError if error.code == 403 else FileNotFoundError
            raise kind(13 if error.code == 403 else 2, said["message"], text) from None


def mount(url: str, credential: str) -> None:
    """Let open() and the functions of os see the mounted files."""
    mounts = Mounts(url, credential)
    opened = io.open

    @functools.wraps(opened)
    def open_mounted(file: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
        return opened(mounts.local(file, write=bool(set(mode) & set("wax+"))), mode, *more, **named)

    builtins.open = io.open = open_mounted  # type: ignore[assignment]
    for name in READS:
        setattr(os, name, _led(getattr(os, name), mounts, write=False))
    for name in WRITES:
        setattr(os, name, _led(getattr(os, name), mounts, write=True))
    for name in MOVES:
        setattr(os, name, _led(getattr(os, name), mounts, write=True, both=True))


def _led(call: Callable[..., Any], mounts: Mounts, *, write: bool, both: bool = False) -> Callable[..., Any]:
    @functools.wraps(call)
    def led(path: Any = ".", *more: Any, **named: Any) -> Any:
        if both and more:
            more = (mounts.local(more[0], write=write), *more[1:])
        return call(mounts.local(path, write=write), *more, **named)

    return led

"""Writes a file whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from icebridge_provider.exceptions import ConfigurationError

T = TypeVar("T")


def write_whole(what: str, path: Path, write: Callable[[Path], T]) -> T:
    """Let ``write`` fill a file beside ``path`` and give it its name when it is complete; return what it returns.

    :param what: what the file is, for the message, with its article: "The backup".
    :raises ConfigurationError: IB-118 when it cannot be written; what was there before is still there.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        made = write(partial)
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise ConfigurationError(
            "IB-118",
            f"{what} {path} cannot be written: {error.strerror or error}.",
            remedy="Give a path in a folder you may write to, with enough space.",
            path=str(path),
        ) from None
    return made

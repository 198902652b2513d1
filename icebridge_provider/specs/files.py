"""Reading files that people write: never more than a bound, never a device or a pipe."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from icebridge_provider.exceptions import ConfigurationError


def read_bounded(
    path: Path, most: int, *, follow: bool = True, private: bool = False, folder: int | None = None
) -> bytes:
    """Return a regular file's content.

    :param most: bytes it may have.
    :param follow: False refuses a symbolic link in place of the file.
    :param folder: open folder that a relative path starts at.
    :param private: True refuses a file that everybody may write.
    :raises ConfigurationError: IB-801 when it is missing, no regular file, too large or not readable.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags, dir_fd=folder)
    except FileNotFoundError:
        raise _unfit(path, "there is no such file") from None
    except (OSError, ValueError) as error:
        raise _unfit(path, f"it cannot be opened ({getattr(error, 'strerror', '') or error})") from None
    try:
        _refuse_odd(path, os.fstat(descriptor), private=private)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(most + 1)
    finally:
        os.close(descriptor)
    if len(content) > most:
        raise _unfit(path, f"it has more than {most:,} bytes")
    return content


def _refuse_odd(path: Path, facts: os.stat_result, *, private: bool) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise _unfit(path, "it is no regular file")
    if private and facts.st_mode & stat.S_IWOTH:
        raise _unfit(path, "everybody may write it; take that right away: chmod o-w")


def _unfit(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-801", f"{path} cannot be used: {why}.", remedy="Check the path and its rights.", path=str(path)
    )

"""Errors of copying, in the project's words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from icebridge_provider.exceptions import (
    ConfigurationError,
    IceBridgeError,
    LimitExceeded,
    PreflightFailed,
    TransientError,
)
from icebridge_provider.stores.local import local_path

_PARTLY = "Files copied so far are recorded and will be used by the next try."


def source_missing(table: object, path: str) -> PreflightFailed:
    """A live file is not there."""
    return PreflightFailed(
        "IB-410",
        f"A file of {table} is missing: {path}.",
        remedy="Restore it, or take it out of the table (Spark: CALL system.rewrite_manifests after deleting the "
        "entry; pyiceberg: table.delete over its partition), or expire the snapshots that need it.",
        changed=_PARTLY,
        table=str(table),
        file=path,
    )


def source_differs(table: object, path: str, size: int, expected: int) -> PreflightFailed:
    """A live file has another length than its manifest says."""
    return PreflightFailed(
        "IB-411",
        f"A file of {table} has {size} bytes, but its manifest says {expected}: {path}.",
        remedy="If it was cut short, restore it. If the manifest is wrong, rewrite the data file "
        "(Spark: CALL system.rewrite_data_files), then expire the older snapshots.",
        changed=_PARTLY,
        table=str(table),
        file=path,
        size=size,
        expected=expected,
    )


def copy_short(table: object, path: str, size: int, expected: int) -> TransientError:
    """The target has fewer or more bytes than were sent."""
    return TransientError(
        "IB-413",
        f"The copy of a file of {table} has {size} bytes instead of {expected}: {path}.",
        remedy="Run the step again; if it stays so, check the target storage.",
        changed=_PARTLY,
        table=str(table),
        file=path,
    )


def name_taken(staged: object) -> ConfigurationError:
    """The staged name belongs to somebody else."""
    return ConfigurationError(
        "IB-414",
        f"The staged name {staged} is taken by a table that this plan did not make.",
        remedy="Rename or drop that table, or make a new plan.",
        table=str(staged),
    )


def no_space(table: object, location: str, needed: int, free: int) -> LimitExceeded:
    """The target's file system is too small."""
    return LimitExceeded(
        "IB-420",
        f"{table} needs {needed} bytes, but only {free} are free where {location} lies.",
        remedy=f"Free at least {needed - free} bytes there, or give the target catalog another warehouse.",
        changed=_PARTLY,
        table=str(table),
        needed=needed,
        free=free,
    )


def from_os(table: object, path: str, error: OSError) -> IceBridgeError:
    """Return the error for what storage answered."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return no_space(table, path, free_bytes(path) + 1, free_bytes(path))
    if isinstance(error, PermissionError):
        return ConfigurationError(
            "IB-421",
            f"Storage refuses access to {path} of {table}.",
            remedy="Give the connection's principal read access to the source's files and write access to the "
            "target's, then run the step again.",
            changed=_PARTLY,
            table=str(table),
            file=path,
        )
    return TransientError(
        "IB-422",
        f"Storage failed on {path} of {table}: {type(error).__name__}, {os.strerror(error.errno or 0)}."
        if error.errno
        else f"Storage failed on {path} of {table}: {error}.",
        remedy="Run the step again.",
        changed=_PARTLY,
        table=str(table),
        file=path,
    )


def free_bytes(location: str) -> int:
    """Bytes free on the file system of a local place that may not exist yet."""
    path = Path(local_path(location) or "/")
    while not path.exists():
        path = path.parent
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def check_space(table: object, location: str, sizes: Iterable[int]) -> None:
    """Check that the files fit where they are to go; object stores have no end.

    :raises LimitExceeded: IB-420 with the bytes needed and free.
    """
    if local_path(location) is None:
        return
    needed, free = sum(sizes), free_bytes(location)
    if needed > free:
        raise no_space(table, location, needed, free)

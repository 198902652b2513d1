"""libltdl.so.7, which Microsoft's ODBC driver in the mssql-python wheel needs and a slim machine has not.

The system's is taken where there is one; else Debian's package is fetched by apt into ``.tox/odbc`` and unpacked there:
nothing is installed. ``python -m tests.peers.odbc`` prints the folder.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import fcntl
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path

LIBRARY, PACKAGE = "libltdl.so.7", "libltdl7"
ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib")


def located() -> Path:
    """Where the fetched library is or will be."""
    return Path(os.environ.get("ICEBRIDGE_ODBC") or ROOT / ".tox" / "odbc").absolute()


@cache
def ensure() -> Path:
    """Folder that holds the library.

    :raises RuntimeError: when it is not there and apt cannot fetch it.
    """
    for folder in map(Path, FOLDERS):
        if (folder / LIBRARY).exists():
            return folder
    target = located()
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(target.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _found(target) or _fetch(target)


@cache
def preload() -> None:
    """Load the library into this process: mssql_python's driver finds it then."""
    ctypes.CDLL(str(ensure() / LIBRARY), mode=ctypes.RTLD_GLOBAL)


def environment() -> dict[str, str]:
    """This process's environment with the library on the search path of a child."""
    paths = [str(ensure()), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(paths)}


def _found(target: Path) -> Path | None:
    return next((path.parent for path in sorted(target.rglob(LIBRARY))), None)


def _fetch(target: Path) -> Path:
    with tempfile.TemporaryDirectory() as work:
        if _run(["apt-get", "download", PACKAGE], work):
            _run(["apt-get", "update"], work)  # a fresh image has no package lists
            if said := _run(["apt-get", "download", PACKAGE], work):
                raise RuntimeError(f"{LIBRARY} is not here and apt cannot fetch {PACKAGE}; install it. {said}")
        package = next(Path(work).glob("*.deb"))
        if said := _run(["dpkg", "-x", str(package), str(target)], work):
            raise RuntimeError(said)
    found = _found(target)
    if found is None:
        raise RuntimeError(f"{package.name} holds no {LIBRARY}")
    return found


def _run(command: list[str], folder: str) -> str:
    """Empty when it went well, else what it said."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    except OSError as error:
        return str(error)
    return "" if done.returncode == 0 else f"{' '.join(command)}: {done.stderr[-500:] or done.returncode}"


if __name__ == "__main__":
    print(ensure())

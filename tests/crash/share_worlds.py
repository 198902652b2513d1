"""Examines random worlds in several processes and tells in one JSON document what came of it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def shared(
    worlds: range,
    workers: int,
    examine: Callable[[Sequence[int], Path], dict[str, Any]],
    *,
    most: int,
    indent: int | None = None,
) -> int:
    """Examine worlds, shared among processes, and print the sums; 0 when nothing was violated.

    :param examine: gives ``counts`` and ``violations`` of some worlds; the folder is its own.
    :param most: violations that are printed.
    """
    started, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="icebridge-worlds-", dir=quick_folder()))
    try:
        parts = _parts(worlds, workers, folder, examine)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    counts = sum((Counter(part["counts"]) for part in parts), Counter[str]())
    violations = [text for part in parts for text in part["violations"]]
    told = {"worlds": len(worlds), **counts, "seconds": round(time.monotonic() - started, 1)}
    print(json.dumps({**told, "violations": len(violations), "first": violations[:most]}, indent=indent))
    return 1 if violations else 0


def _parts(
    worlds: range, workers: int, folder: Path, examine: Callable[[Sequence[int], Path], dict[str, Any]]
) -> list[dict[str, Any]]:
    children = []
    for number in range(workers):
        (mine := folder / str(number)).mkdir()
        if (child := os.fork()) == 0:
            (mine / "out.json").write_text(json.dumps(examine(worlds[number::workers], mine)))
            os._exit(0)
        children.append((child, mine))
    ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child, _ in children]
    if any(ended):
        raise SystemExit("a worker failed")
    return [json.loads((mine / "out.json").read_text()) for _, mine in children]


def quick_folder() -> str | None:
    """Return memory to run in, where there is some: what is tested is the killing, not the disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

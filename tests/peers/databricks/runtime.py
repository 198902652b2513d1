"""What a cluster gives a program: a Spark session under the run's rights, mounted volumes, its arguments; nothing else.

Run as ``python -m tests.peers.databricks.runtime FILE ARGUMENTS…`` by run_process.py. The program succeeds when it
returns and fails when it raises, SystemExit included (also ``sys.exit(0)``), as on the real service; ``__file__`` is
not defined.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

TRACE_LINES = 200


def main(arguments: list[str]) -> int:
    """Run one program and write down how it ended."""
    file, *parameters = arguments
    context = _context()
    _end_with_parent()
    verdict = Path(context["verdict"])
    _prepare(context)
    sys.argv = [context["argument_zero"], *parameters]
    hidden = {"", os.environ.pop("PYTHONPATH", "")}
    sys.path[:] = [path for path in sys.path if path not in hidden]
    error, trace = _ran(Path(file))
    sys.stdout.flush()
    sys.stderr.flush()
    written = verdict.with_suffix(".tmp")
    written.write_text(json.dumps({"error": error, "trace": trace}))
    written.replace(verdict)
    os._exit(1 if error else 0)


def _context() -> dict[str, Any]:
    """What the workspace tells this process; its file is gone once read, for it holds a credential."""
    path = Path(os.environ.pop("LOCAL_WORKSPACE_CONTEXT"))
    found = json.loads(path.read_text())
    path.unlink()
    return found


def _end_with_parent() -> None:
    """End when the workspace ends: it holds the other end of this process's input."""
    held = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)

    def watch() -> None:
        while os.read(held, 1):
            pass
        os._exit(137)

    threading.Thread(target=watch, daemon=True).start()


def _prepare(context: dict[str, Any]) -> None:
    from tests.peers.databricks import runtime_files, runtime_session

    runtime_files.mount(context["url"], context["credential"])
    runtime_session.install(context)


def _ran(file: Path) -> tuple[str, str]:
    """(error, trace) of the program, both empty when it returned."""
    space: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    try:
        exec(compile(file.read_text(), sys.argv[0], "exec"), space)
    except BaseException as error:  # noqa: BLE001 - whatever a program raises is its ending
        shown = f"{type(error).__name__}: {error}"
        frames = traceback.format_exception(type(error), error, error.__traceback__)
        text = "".join(frames)
        print(text, file=sys.stderr)
        return shown, "\n".join(text.splitlines()[-TRACE_LINES:])
    return "", ""


if __name__ == "__main__":
    main(sys.argv[1:])

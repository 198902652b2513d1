"""One program of a run: its own process, its output in a file, ended when the run is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
KILL_SECONDS = 3.0
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH")


@dataclass(kw_only=True)
class Program:
    """What to run and where: the file, its arguments, the cluster's environment, what the runtime must know."""

    file: Path
    arguments: list[str]
    environment: dict[str, str] = field(repr=False)
    context: dict[str, Any] = field(repr=False)
    folder: Path

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.folder / "output.log"

    @property
    def verdict(self) -> Path:
        """Where the runtime says how the program ended."""
        return self.folder / "verdict.json"


class Running:
    """A program that runs; closing its input ends it, so that none outlives the workspace."""

    def __init__(self, program: Program) -> None:
        self.program = program
        work = program.folder / "work"
        work.mkdir(parents=True, exist_ok=True)
        context = program.folder / "context.json"
        context.touch(mode=0o600)
        context.write_text(json.dumps({**program.context, "verdict": str(program.verdict)}))
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        environment |= program.environment
        environment |= {"PYTHONPATH": str(ROOT), "LOCAL_WORKSPACE_CONTEXT": str(context), "PYTHONUNBUFFERED": "1"}
        with program.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.peers.databricks.runtime", str(program.file), *program.arguments],
                cwd=work,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self, seconds: float) -> bool:
        """Whether it has ended after at most so many seconds."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End it and everything it started."""
        for number, patience in ((signal.SIGTERM, KILL_SECONDS), (signal.SIGKILL, 10.0)):
            if self.process.poll() is None:
                os.killpg(self.process.pid, number)
                self.wait(patience)

    def ending(self) -> tuple[str, str, str, str]:
        """(code, message, error, trace) of a program that has ended."""
        if self.program.verdict.exists():
            verdict = json.loads(self.program.verdict.read_text())
            if not verdict["error"]:
                return "SUCCESS", "", "", ""
            return "RUN_EXECUTION_ERROR", "", verdict["error"], verdict["trace"]
        status = self.process.returncode
        if status < 0:
            text = "The spark driver has stopped unexpectedly and is restarting."
            return "DRIVER_ERROR", text, text, ""
        return "RUN_EXECUTION_ERROR", "", f"The Python process exited with exit code {status}.", ""

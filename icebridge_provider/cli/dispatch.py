"""Runs one command: prepares the process, prints the answer or the refusal, returns the exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from typing import Any

from icebridge_provider.cli.output import INTERRUPTED, OK, Answer, Output
from icebridge_provider.exceptions import IceBridgeError


def execute(run: str, arguments: Any, output: Output | None = None) -> int:
    """Run ``module:function`` of ``cli.commands`` and return 0, 1 (refused or failed) or 130 (interrupted).

    An :class:`IceBridgeError` is printed with its code, remedy and what changed, never as a traceback.
    """
    output = output or Output(as_json=bool(getattr(arguments, "json", False)))
    code = OK
    try:
        code = _said(run, arguments, output)
        output.stdout.flush()  # here, not when the interpreter ends, which would make an error of a closed pipe
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return code


def _said(run: str, arguments: Any, output: Output) -> int:
    try:
        return output.show(_answer(run, arguments, output))
    except IceBridgeError as error:
        return output.refuse(error)
    except KeyboardInterrupt:
        output.note("Interrupted. What runs in Airflow goes on; `icebridge status` shows it.")
        return INTERRUPTED


def _answer(run: str, arguments: Any, output: Output) -> Answer:
    # as Airflow's own commands that read connections do: without it only environment variables are looked at
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    module, _, name = run.partition(":")
    with _standard_output_kept_clean():
        command = getattr(import_module(f"icebridge_provider.cli.commands.{module}"), name)
        found: Answer = command(arguments, output)
        return found


@contextmanager
def _standard_output_kept_clean() -> Iterator[None]:
    """Send to standard error what Airflow's loggers and any library print: standard output is for the answer."""
    with redirect_stdout(sys.stderr):
        if sys.__stdout__ is None or sys.__stdout__.closed:
            yield
            return
        sys.__stdout__.flush()
        kept = os.dup(1)
        os.dup2(2, 1)
        try:
            yield
        finally:
            sys.__stdout__.flush()
            os.dup2(kept, 1)
            os.close(kept)

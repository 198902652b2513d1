"""Runs one command: prepares the process, prints the answer or the refusal, returns the exit code."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from icebridge_provider.cli.output import INTERRUPTED, OK, Answer, Output
from icebridge_provider.exceptions import IceBridgeError


def execute(run: str, arguments: Any, output: Output | None = None) -> int:
    """Run ``module:function`` of ``cli.commands`` and return 0, 1 (refused or failed) or 130 (interrupted).

    An :class:`IceBridgeError` is printed with its code, remedy and what changed, never as a traceback.
    """
    output = output or Output(as_json=bool(getattr(arguments, "json", False)))
    _prepare()
    module, _, name = run.partition(":")
    try:
        command = getattr(import_module(f"icebridge_provider.cli.commands.{module}"), name)
        answer: Answer = command(arguments, output)
        return output.show(answer)
    except IceBridgeError as error:
        return output.refuse(error)
    except KeyboardInterrupt:
        output.note("Interrupted. What runs in Airflow goes on; `icebridge status` shows it.")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return OK


def _prepare() -> None:
    """Let this process read connections as Airflow's servers do, and keep log lines out of standard output."""
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    from airflow.cli.utils import redirect_stdout_log_handlers_to_stderr

    redirect_stdout_log_handlers_to_stderr()

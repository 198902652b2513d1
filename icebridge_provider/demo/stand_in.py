"""Starts stand-ins of the source checkout: each tells where it is in one line, and ends when its input closes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import icebridge_provider
from icebridge_provider.exceptions import ConfigurationError

CHECKOUT = Path(icebridge_provider.__file__).resolve().parents[1]
PATIENCE_SECONDS = 20
_KEPT_OUT = ("DATABRICKS_", "SQLSERVER_", "SNOWFLAKE_", "AWS_", "AIRFLOW")


def start(
    command: Sequence[str], log: Path | None = None, environment: Mapping[str, str] | None = None
) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """Return the process and what it told of itself; empty when it ended without a word.

    :param log: where its errors go; this process's own without one.
    :param environment: variables for it, above those of this process.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_KEPT_OUT)}
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") if log is not None else nullcontext() as errors:
        process = subprocess.Popen(  # noqa: S603 - our own arguments
            list(command),
            cwd=CHECKOUT, env={**kept, **(environment or {}), "PYTHONUNBUFFERED": "1"}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
        )  # fmt: skip
    line = process.stdout.readline() if process.stdout else ""
    return process, dict(json.loads(line)) if line else {}


def end(process: subprocess.Popen[str]) -> None:
    """Close its input, which tells it to end; kill it when it does not."""
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()


def tail(log: Path) -> str:
    """Return the end of a log, empty where there is none."""
    return log.read_text(errors="replace")[-1500:] if log.exists() else ""


def begin_anew(folder: Path, mark: str) -> None:
    """Empty a demo's folder: stand-ins keep nothing when they end, so what was made of them is made anew as well.

    :param mark: name of the file that says whose folder it is.
    :raises ConfigurationError: IB-755 for a folder that is not this demo's.
    """
    if folder.exists() and any(folder.iterdir()):
        if not (folder / mark).exists():
            raise ConfigurationError(
                "IB-755",
                f"The folder {folder} is not one of this demo's, which empties it.",
                remedy="Name another one with --home, or remove it yourself.",
                changed="Nothing was done.",
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / mark).touch()

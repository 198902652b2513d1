"""The commands as processes: entry points, exit codes, and a standard output that holds nothing but the answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.airflow_cli import connection, environment

pytestmark = pytest.mark.airflow
BIN = Path(sys.executable).parent


@pytest.fixture
def ledger(airflow_cli_home: Path, tmp_path: Path) -> Iterator[None]:
    path = str(tmp_path / "ledger.db")
    with environment(
        AIRFLOW_CONN_ICEBRIDGE_LEDGER=connection("icebridge_ledger", schema=path),
        AIRFLOW__LOGGING__LOGGING_LEVEL="INFO",
    ):
        yield


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / arguments[0]), *arguments[1:]]
    return subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("entry", [("icebridge",), ("airflow", "icebridge")], ids=" ".join)
def test_both_entry_points_keep_standard_output_clean_and_set_the_exit_code(
    entry: tuple[str, ...], ledger: None
) -> None:
    refused = run(*entry, "status", "--json")
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["error"]["code"] == "IB-111"
    assert "Traceback" not in refused.stderr
    migrated = run(*entry, "db", "migrate", "--json")
    assert migrated.returncode == 0, migrated.stderr[-2000:]
    assert json.loads(migrated.stdout) == {"migrated": True, "local": True}


def test_airflow_lists_the_group_and_refuses_wrong_usage(airflow_cli_home: Path) -> None:
    wrong = run("airflow", "icebridge", "apply")
    assert wrong.returncode == 2
    assert "PLAN|FILE" in wrong.stdout + wrong.stderr


def test_the_console_script_is_quick_to_help() -> None:
    said = run("icebridge", "--version")
    assert said.returncode == 0
    assert said.stdout.startswith("icebridge 0.")


def test_a_closed_pipe_is_no_error(ledger: None) -> None:
    run("icebridge", "db", "migrate")
    reader, writer = os.pipe()
    os.close(reader)
    said = subprocess.run(
        [f"{BIN}/icebridge", "status", "--all", "--json"],
        env={**os.environ, "PYTHONUNBUFFERED": ""}, stdout=writer, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(writer)
    assert (said.returncode, said.stderr) == (0, "")

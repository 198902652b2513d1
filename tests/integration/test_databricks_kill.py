"""A process is killed after it submitted its run and before anybody noted it; the next one finds just that run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.support.databricks import Workspace, databricks  # noqa: F401 - a fixture
from tests.support.databricks_estate import Estate, simple_lake


@pytest.fixture
def estate(databricks: Workspace, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Estate]:  # noqa: F811
    made = Estate(server=databricks, folder=tmp_path, mark=f"kill_{request.node.callspec.id}")
    simple_lake(tmp_path, ["one", "two"])
    made.federate()
    yield made
    databricks.order("PATCH", "/runs", {"start_seconds": 0.1})


def start(estate: Estate, plan_id: str, point: str = "") -> subprocess.CompletedProcess[str]:
    """Start the run in a process of its own, killed at a crash point if one is given."""
    place, token = json.dumps(asdict(estate.place)), estate.server.token(estate.copier)
    command = [sys.executable, "-m", "tests.support.databricks_estate", place, token, plan_id]
    environment = {**os.environ, "ICEBRIDGE_CRASH": point}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def wait_for_its_end(estate: Estate) -> None:
    deadline = time.monotonic() + 120
    while any(run["active"] for run in estate.runs()):
        assert time.monotonic() < deadline
        time.sleep(0.5)


@pytest.mark.parametrize("over", [False, True], ids=["active", "over"])
def test_a_run_that_nobody_noted_is_the_one_that_is_found(estate: Estate, over: bool) -> None:
    if not over:
        estate.server.order("PATCH", "/runs", {"start_seconds": 8})
    plan = estate.plan("k", "lake.*")
    killed = start(estate, "k", "copy.submit_run.after")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    [run] = estate.runs()
    noted = [event for event in estate.ledger.events("k") if event.data.get("run_id")]
    assert noted == []
    if over:
        wait_for_its_end(estate)

    found = start(estate, "k")
    assert found.stdout.strip() == str(run["run_id"]), found.stderr
    estate.start(plan)
    estate.each("copy", plan)
    assert [str(one["run_id"]) for one in estate.runs()] == [str(run["run_id"])]
    assert set(estate.states(plan).values()) == {"copied"}
    assert {str(state.copy["run_id"]) for state in estate.ledger.states("k")} == {str(run["run_id"])}
    assert [name.partition("__")[0] for name in estate.tables_in("lake")] == ["one", "two"]

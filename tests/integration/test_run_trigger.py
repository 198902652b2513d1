"""The trigger that waits for a run, over Airflow's own hook and a workspace in another process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk.service.workspace import ImportFormat

from tests.support.databricks import Workspace, databricks_uc  # noqa: F401 - fixture

pytestmark = pytest.mark.airflow
CLUSTER = {
    "spark_version": "16.4.x-scala2.12",
    "node_type_id": "m5d.xlarge",
    "num_workers": 1,
    "data_security_mode": "SINGLE_USER",
}
WHO = "waiter@example.com"


@pytest.fixture
def workspace(
    databricks_uc: Workspace,  # noqa: F811 - the fixture
    airflow_cli_home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Workspace]:
    server = databricks_uc
    server.principal(WHO)
    given = {
        "conn_type": "databricks",
        "host": server.host,
        "schema": "http",
        "port": server.port,
        "password": server.token(WHO),
    }
    monkeypatch.setenv("AIRFLOW_CONN_DBX", json.dumps(given))
    yield server
    server.calm()
    server.order("PATCH", "/runs", {"start_seconds": 0.1})


def submit(server: Workspace, program: bytes = b"print(1)") -> str:
    client, path = server.sdk(WHO), f"/Workspace/Users/{WHO}/program.py"
    client.workspace.upload(path, program, format=ImportFormat.AUTO, overwrite=True)
    task = {"task_key": "t", "spark_python_task": {"python_file": path}, "new_cluster": CLUSTER}
    return str(client.api_client.do("POST", "/api/2.2/jobs/runs/submit", body={"tasks": [task]})["run_id"])


def trigger(run_id: str) -> Any:
    from icebridge_provider.triggers.job import DatabricksRunTrigger

    return DatabricksRunTrigger("dbx", run_id, poll_seconds=0.05)


async def first(waiting: Any) -> dict[str, Any]:
    async for event in waiting.run():
        return dict(event.payload)
    raise AssertionError("the trigger ended without an event")


def fired(run_id: str) -> dict[str, Any]:
    return asyncio.run(asyncio.wait_for(first(trigger(run_id)), 30))


@pytest.mark.parametrize(("program", "state"), [(b"print(1)", "SUCCESS"), (b"raise ValueError(1)", "FAILED")])
def test_it_fires_when_the_run_is_over(workspace: Workspace, program: bytes, state: str) -> None:
    run_id = submit(workspace, program)
    assert fired(run_id) == {"run_id": run_id, "state": state}


def test_it_waits_without_holding_the_event_loop(workspace: Workspace) -> None:
    workspace.order("PATCH", "/runs", {"start_seconds": 1.0})

    async def both() -> tuple[dict[str, Any], int]:
        waiting = asyncio.create_task(first(trigger(submit(workspace))))
        ticks = 0
        while not waiting.done():
            await asyncio.sleep(0.02)
            ticks += 1
        return await waiting, ticks

    event, ticks = asyncio.run(asyncio.wait_for(both(), 30))
    assert event["state"] == "SUCCESS"
    assert ticks > 20


def test_a_busy_workspace_is_asked_again(workspace: Workspace) -> None:
    run_id = submit(workspace)
    workspace.fail(503, path="/api/2.2/jobs/runs/get")
    assert fired(run_id)["state"] == "SUCCESS"


def test_a_run_that_cannot_be_looked_at_ends_the_wait_with_the_problem(workspace: Workspace) -> None:
    event = fired("123456789")
    assert (event["run_id"], event["state"]) == ("123456789", "")
    assert "400" in event["problem"]
    assert workspace.token(WHO) not in str(event)


def test_it_is_rebuilt_from_ids_alone(workspace: Workspace) -> None:
    path, arguments = trigger("7").serialize()
    assert path == "icebridge_provider.triggers.job.DatabricksRunTrigger"
    assert arguments == {"conn_id": "dbx", "run_id": "7", "poll_seconds": 0.05, "plan_id": "", "step": "copy"}


def test_a_person_who_ends_the_task_ends_the_run(workspace: Workspace) -> None:
    workspace.order("PATCH", "/runs", {"start_seconds": 30})
    run_id = submit(workspace)
    asyncio.run(trigger(run_id).on_kill())
    until = time.monotonic() + 20
    while not (event := fired(run_id)).get("state"):
        assert time.monotonic() < until
    assert event["state"] == "CANCELED"

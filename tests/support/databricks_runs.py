"""Programs run as jobs in a local workspace, for tests."""

from __future__ import annotations

import io
import itertools
import time
from typing import Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.service import compute, jobs
from databricks.sdk.service.workspace import ImportFormat

from tests.support.databricks import Workspace

CLUSTER = {
    "spark_version": "17.3.x-scala2.13",
    "node_type_id": "i3.xlarge",
    "num_workers": 1,
    "runtime_engine": "PHOTON",
    "data_security_mode": "SINGLE_USER",
}
_NUMBERS = itertools.count()


class Programs:
    """Runs source text as a `spark_python_task` of a principal."""

    def __init__(self, server: Workspace, principal: str = "admin") -> None:
        self.server, self.principal = server, principal
        self.sdk: WorkspaceClient = server.sdk(principal)
        self.path = ""

    def upload(self, source: str) -> str:
        """Put a program into the workspace; gives its path."""
        self.path = f"/Shared/program-{next(_NUMBERS)}-{time.monotonic_ns()}.py"
        self.sdk.workspace.upload(self.path, io.BytesIO(source.encode()), format=ImportFormat.RAW)
        return self.path

    def body(self, *tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
        """A body of runs/submit."""
        return {"run_name": "test", "tasks": list(tasks), **more}

    def task(self, source: str, key: str = "main", parameters: list[str] | None = None, **more: Any) -> dict[str, Any]:
        """One task of it; `cluster` changes fields of its cluster."""
        cluster = CLUSTER | more.pop("cluster", {})
        program = {"python_file": self.upload(source), "parameters": parameters or []}
        return {"task_key": key, "spark_python_task": program, "new_cluster": cluster, **more}

    def submit(self, body: dict[str, Any]) -> int:
        """Submit a body as it is; gives the run's id."""
        return int(self.sdk.api_client.do("POST", "/api/2.2/jobs/runs/submit", body=body)["run_id"])

    def wait(self, run_id: int, seconds: float = 30) -> jobs.Run:
        """The run once it has ended."""
        return self.until(run_id, lambda run: run.status.state.value == "TERMINATED", seconds)

    def until(self, run_id: int, fits: Any, seconds: float = 30) -> jobs.Run:
        """The run once it fits."""
        limit = time.monotonic() + seconds
        while not fits(run := self.sdk.jobs.get_run(run_id)):
            assert time.monotonic() < limit, run
            time.sleep(0.05)
        return run

    def run(self, source: str, *parameters: str, **more: Any) -> jobs.Run:
        """Run one program to its end."""
        named = {name: more.pop(name) for name in ("run_as", "idempotency_token", "queue") if name in more}
        return self.wait(self.submit(self.body(self.task(source, parameters=list(parameters), **more), **named)))

    def output(self, run: jobs.Run, number: int = 0) -> jobs.RunOutput:
        """What a task of it printed."""
        return self.sdk.jobs.get_run_output(run.tasks[number].run_id)


def spec(**changes: Any) -> compute.ClusterSpec:
    """The cluster as the SDK's own object."""
    return compute.ClusterSpec.from_dict(CLUSTER | changes)

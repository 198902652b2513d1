"""Which job file a run does, and which files active runs need; read from the JSON of Jobs 2.2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from icebridge_provider.engines.databricks.peer import DatabricksWorkspace

RUNS = "/api/2.2/jobs/runs"
PAGE = 25  # most runs of a page that shows their tasks


def document_path(answer: Mapping[str, Any]) -> str:
    """Return the path of the job file, the last parameter of the run's program; empty for a run of something else."""
    for task in answer.get("tasks") or ():
        parameters = (task.get("spark_python_task") or {}).get("parameters") or ()
        if parameters:
            return str(parameters[-1])
    return ""


def active_runs(workspace: DatabricksWorkspace) -> Iterator[dict[str, Any]]:
    """Yield the principal's runs that are not over and were submitted as one-time runs."""
    query: dict[str, Any] = {"active_only": "true", "expand_tasks": "true", "run_type": "SUBMIT_RUN", "limit": PAGE}
    while True:
        page = workspace.get("list active runs", f"{RUNS}/list", query)
        yield from page.get("runs") or ()
        if not page.get("next_page_token"):
            return
        query = {**query, "page_token": page["next_page_token"]}


def files_in_use(workspace: DatabricksWorkspace) -> set[str]:
    """Return the programs and job files of all active runs."""
    used: set[str] = set()
    for answer in active_runs(workspace):
        for task in answer.get("tasks") or ():
            program = task.get("spark_python_task") or {}
            used.update(str(part) for part in (program.get("python_file"), *(program.get("parameters") or ())) if part)
    return used

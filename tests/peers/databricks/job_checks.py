"""What is refused before a run or a job is made, beyond the shapes of its fields."""

from __future__ import annotations

import re
from typing import Any

from tests.peers.databricks.clusters import Clusters
from tests.peers.databricks.errors import ApiError, invalid
from tests.peers.databricks.job_shapes import KEY, TASK_KINDS
from tests.peers.databricks.run_program import PYTHON_FILE

COMPUTE = ("new_cluster", "existing_cluster_id", "job_cluster_key", "environment_key")
MOST_TOKEN = 64
MOST_PARAMETER_BYTES = 10_000


def checked_tasks(body: dict[str, Any], run_as: str, clusters: Clusters) -> list[dict[str, Any]]:
    """The tasks of a run or job, with their cluster specifications as they will be launched; ApiError otherwise."""
    tasks = body.get("tasks") or []
    if not tasks:
        raise invalid("At least one task must be specified.")
    shared = {one["job_cluster_key"]: one.get("new_cluster") for one in body.get("job_clusters") or []}
    environments = {one["environment_key"] for one in body.get("environments") or []}
    found = []
    for number, task in enumerate(tasks):
        where = f"tasks[{number}]"
        if not re.fullmatch(KEY, task["task_key"]):
            raise invalid(f"Invalid task key '{task['task_key']}': only letters, digits, '-' and '_', at most 100.")
        _kind(task)
        _limits(task, where)
        found.append(_compute(task, where, run_as, clusters, shared, environments))
    _order(tasks)
    return found


def check_token(token: str) -> None:
    """An idempotency token has at most 64 characters."""
    if len(token) > MOST_TOKEN:
        raise invalid(f"The idempotency_token must have at most {MOST_TOKEN} characters, it has {len(token)}.")


def check_parameters(parameters: list[str], where: str) -> None:
    """Parameters of a program have at most 10,000 bytes together."""
    size = sum(len(text.encode()) + 3 for text in parameters)
    if size > MOST_PARAMETER_BYTES:
        raise invalid(f"The parameters of {where} have {size} bytes, the most is {MOST_PARAMETER_BYTES}.")


def principal_of(body: dict[str, Any], caller: str, *, admin: bool) -> str:
    """Who the run runs as: the caller, unless an admin names somebody else."""
    asked = body.get("run_as") or {}
    if len(asked) > 1 or "group_name" in asked:
        raise invalid("run_as needs exactly one of user_name and service_principal_name.")
    named = asked.get("user_name") or asked.get("service_principal_name") or caller
    if named != caller and not admin:
        raise ApiError(403, "PERMISSION_DENIED", f"{caller} is not authorized to run a job as {named}.")
    return named


def _kind(task: dict[str, Any]) -> None:
    kinds = [kind for kind in TASK_KINDS if kind in task]
    if len(kinds) != 1:
        raise invalid(f"Task '{task['task_key']}' must have exactly one kind of task, it has {kinds or 'none'}.")
    if kinds[0] != "spark_python_task":
        raise ApiError(400, "FEATURE_DISABLED", f"The local workspace runs spark_python_task only, not {kinds[0]}.")
    asked = task["spark_python_task"]
    if asked.get("source") == "GIT":
        raise ApiError(400, "FEATURE_DISABLED", "The local workspace has no Git source.")
    if not PYTHON_FILE.fullmatch(asked["python_file"]):
        words = "Please visit Databricks user guide for supported URI schemes."
        raise invalid(f"Invalid python file URI: {asked['python_file']}. {words}")
    check_parameters(asked.get("parameters") or [], task["task_key"])


def _limits(task: dict[str, Any], where: str) -> None:
    for name, least in (("timeout_seconds", 0), ("max_retries", -1), ("min_retry_interval_millis", 0)):
        if task.get(name, 0) < least:
            raise invalid(f"{where}.{name} must be at least {least}, it is {task[name]}.")


def _compute(
    task: dict[str, Any], where: str, run_as: str, clusters: Clusters, shared: dict[str, Any], environments: set[str]
) -> dict[str, Any]:
    given = [name for name in COMPUTE if name in task]
    if len(given) != 1:
        raise invalid(f"{where}: exactly one of {', '.join(COMPUTE)} must be given, there is {given or 'none'}.")
    if "new_cluster" in task:
        return {**task, "new_cluster": _job_cluster(task["new_cluster"], f"{where}.new_cluster", run_as, clusters)}
    if "existing_cluster_id" in task:
        clusters.usable(task["existing_cluster_id"], run_as)
    if "environment_key" in task and task["environment_key"] not in environments:
        raise invalid(f"{where}: the environment '{task['environment_key']}' is not among environments.")
    if "job_cluster_key" in task:
        if task["job_cluster_key"] not in shared:
            raise invalid(f"{where}: the job cluster '{task['job_cluster_key']}' is not among job_clusters.")
        spec = _job_cluster(shared[task["job_cluster_key"]], "job_clusters.new_cluster", run_as, clusters)
        return {**task, "new_cluster": spec}
    return task


def _job_cluster(spec: dict[str, Any], where: str, run_as: str, clusters: Clusters) -> dict[str, Any]:
    for name in ("autotermination_minutes", "cluster_name"):
        if spec.get(name):
            raise invalid(f"{where}: {name} is not allowed for a job cluster.")
    return clusters.accepted(spec, run_as, where)


def _order(tasks: list[dict[str, Any]]) -> None:
    """Every dependency is there, and none goes in a circle."""
    needs = {task["task_key"]: {need["task_key"] for need in task.get("depends_on") or ()} for task in tasks}
    for key, wanted in needs.items():
        for missing in sorted(wanted - set(needs)):
            raise invalid(f"Task '{key}' depends on '{missing}', which is not a task of this job.")
    done: set[str] = set()
    while len(done) < len(needs):
        ready = {key for key, wanted in needs.items() if key not in done and wanted <= done}
        if not ready:
            raise invalid(f"The tasks depend on each other in a circle: {', '.join(sorted(set(needs) - done))}.")
        done |= ready

"""From a task to a program: its file fetched as the run's principal, parameters filled in, secrets resolved."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path
from typing import Any

from tests.peers.databricks.cluster_rules import runtime_of
from tests.peers.databricks.clusters import Cluster
from tests.peers.databricks.errors import ApiError
from tests.peers.databricks.files import Volumes
from tests.peers.databricks.run_model import Run, TaskRun
from tests.peers.databricks.run_process import Program
from tests.peers.databricks.secrets import secrets_of
from tests.peers.databricks.workspace_files import tree_of
from tests.peers.databricks.world import World

PYTHON_FILE = re.compile(r"(/|dbfs:/|file:/)[^\x00-\x1f]*\.py")


def program_of(world: World, run: Run, task: TaskRun, cluster: Cluster, credential: str) -> Program:
    """The program of a spark_python_task; ApiError when its file, a secret or a library is not to be had."""
    asked = task.spec["spark_python_task"]
    folder = world.folder / "runs" / str(task.run_id)
    folder.mkdir(parents=True, exist_ok=True)
    _installed(task.spec.get("libraries") or [])
    environment = _resolved(world, run, task, cluster.spec.get("spark_env_vars") or {})
    conf = _resolved(world, run, task, cluster.spec.get("spark_conf") or {})
    version = ".".join(str(part) for part in runtime_of(cluster.spec["spark_version"]))
    return Program(
        file=_file(world, asked["python_file"], run.run_as, folder),
        arguments=[_filled(text, run, task) for text in _parameters(run, asked)],
        environment={**environment, "DATABRICKS_RUNTIME_VERSION": version},
        context={
            "url": world.url,
            "credential": credential,
            "conf": {**conf, "spark.databricks.clusterUsageTags.clusterId": cluster.cluster_id},
            "unity_catalog": cluster.has_unity_catalog,
            "argument_zero": asked["python_file"],
        },
        folder=folder,
    )


def _parameters(run: Run, asked: dict[str, Any]) -> list[str]:
    if run.python_params is not None:
        return run.python_params
    parameters = list(asked.get("parameters") or [])
    for name, value in run.parameters.items():
        parameters += [f"--{name}", value] if not parameters else []
    return parameters


def _filled(text: str, run: Run, task: TaskRun) -> str:
    known = {
        "job.id": run.job_id,
        "job.run_id": run.run_id,
        "job.name": run.name,
        "task.run_id": task.run_id,
        "task.name": task.key,
        "run_id": task.run_id,
        "parent_run_id": run.run_id,
        **{f"job.parameters.{name}": value for name, value in run.parameters.items()},
    }
    return re.sub(r"\{\{\s*([\w.]+)\s*\}\}", lambda match: str(known.get(match[1], match[0])), text)


def _file(world: World, path: str, principal: str, folder: Path) -> Path:
    """A copy of the program, read with the rights of the run's principal."""
    place = folder / path.rpartition("/")[2]
    try:
        place.write_bytes(_content(world, path.removeprefix("dbfs:").removeprefix("file:"), principal))
    except (ApiError, FileNotFoundError) as error:
        text = f"Cannot read the python file {path}. Please check driver logs for more details. ({error})"
        raise ApiError(400, "RESOURCE_NOT_FOUND", text) from None
    return place


def _content(world: World, path: str, principal: str) -> bytes:
    if path.startswith("/Volumes/"):
        local = Volumes(world).spot(path, principal).local
        if not local.is_file():
            raise ApiError(404, "NOT_FOUND", "No such file")
        return local.read_bytes()
    item = tree_of(world).get(path, principal)
    if item.object_type != "FILE":
        raise ApiError(400, "RESOURCE_NOT_FOUND", f"{path} is a {item.object_type.lower()}, not a file")
    return item.content


def _resolved(world: World, run: Run, task: TaskRun, given: dict[str, str]) -> dict[str, str]:
    """Settings with their `{{secrets/scope/key}}` replaced; what was put in is hidden in the output."""
    found = {}
    for name, text in given.items():
        try:
            found[name], used = secrets_of(world).resolve(text, run.run_as)
        except ApiError as error:
            words = f"Cluster could not be started: the secret in '{name}' could not be resolved: {error.message}"
            raise ApiError(400, "INVALID_CLUSTER_REQUEST", words) from None
        task.hidden += used
    return found


def _installed(libraries: list[dict[str, Any]]) -> None:
    for library in libraries:
        name = re.split(r"[^\w.-]", (library.get("pypi") or {}).get("package", ""), maxsplit=1)[0]
        try:
            importlib.metadata.distribution(name or "-")
        except (importlib.metadata.PackageNotFoundError, ValueError):
            text = (
                f"Library installation failed for library due to user error: {library} is not to be had in the stand-in"
            )
            raise ApiError(400, "LIBRARY_INSTALLATION_ERROR", text) from None

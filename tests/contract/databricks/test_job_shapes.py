"""Jobs, clusters and files speak as databricks-sdk does: no field unknown to it, none of its fields unknown here."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from databricks.sdk.service import compute, jobs, workspace

from tests.peers.databricks import cluster_shapes, job_shapes, outcomes
from tests.support.databricks import Workspace
from tests.support.databricks_runs import Programs


@pytest.mark.parametrize(
    ("shape", "known"),
    [
        (cluster_shapes.CLUSTER, compute.ClusterSpec),
        (cluster_shapes.AWS, compute.AwsAttributes),
        (cluster_shapes.AUTOSCALE, compute.AutoScale),
        (cluster_shapes.LIBRARY, compute.Library),
        (job_shapes.SUBMIT_TASK, jobs.SubmitTask),
        (job_shapes.JOB_TASK, jobs.Task),
        (job_shapes.PYTHON_TASK, jobs.SparkPythonTask),
        (job_shapes.SETTINGS, jobs.JobSettings),
    ],
)
def test_every_field_the_sdk_sends_has_a_shape(shape: Any, known: type) -> None:
    assert set(shape.known) == {field.name for field in dataclasses.fields(known)}


@pytest.mark.parametrize(
    ("shape", "call"),
    [
        (job_shapes.SUBMIT, jobs.JobsAPI.submit),
        (job_shapes.RUN_NOW, jobs.JobsAPI.run_now),
        (job_shapes.REPAIR, jobs.JobsAPI.repair_run),
        (job_shapes.CREATE, jobs.JobsAPI.create),
        (cluster_shapes.NEW_POLICY, compute.ClusterPoliciesAPI.create),
        (cluster_shapes.NEW_POOL, compute.InstancePoolsAPI.create),
    ],
)
def test_every_argument_of_the_sdk_has_a_shape(shape: Any, call: Callable[..., Any]) -> None:
    assert set(shape.known) == set(inspect.signature(call).parameters) - {"self"}


@pytest.mark.parametrize(
    ("words", "known"),
    [
        (cluster_shapes.SECURITY_MODES, compute.DataSecurityMode),
        (cluster_shapes.AVAILABILITY, compute.AwsAvailability),
        (job_shapes.RUN_IF, jobs.RunIf),
    ],
)
def test_every_word_is_one_of_the_sdk(words: frozenset[str], known: Any) -> None:
    assert words == {one.value for one in known}


def test_every_ending_is_in_the_words_of_the_sdk() -> None:
    endings = outcomes.ENDINGS.values()
    assert set(outcomes.ENDINGS) <= {one.value for one in jobs.TerminationCodeCode}
    assert {ending.life_cycle for ending in endings} <= {one.value for one in jobs.RunLifeCycleState}
    assert {ending.result for ending in endings} <= {one.value for one in jobs.RunResultState}
    assert {ending.kind for ending in endings} <= {one.value for one in jobs.TerminationTypeType}


def stripped(value: Any) -> Any:
    """Without empty lists and objects, which the SDK does not keep."""
    if isinstance(value, dict):
        kept = {key: stripped(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if inner not in ([], {}, None)}
    return [stripped(inner) for inner in value] if isinstance(value, list) else value


def raw(server: Workspace, path: str, query: dict[str, Any]) -> dict[str, Any]:
    bearer = {"Authorization": f"Bearer {server.token('admin')}"}
    answer = httpx.get(f"{server.url}/api/{path}", params=query, headers=bearer, timeout=30)
    assert answer.is_success, answer.text
    return dict(answer.json())


def test_no_answer_has_anything_the_sdk_does_not_know(databricks_uc: Workspace) -> None:
    programs = Programs(databricks_uc)
    good = programs.run("print('done')")
    bad = programs.run("raise ValueError('no')")
    task = good.tasks[0].run_id
    for path, query, known in (
        ("2.2/jobs/runs/get", {"run_id": good.run_id, "include_history": "true"}, jobs.Run),
        ("2.2/jobs/runs/get", {"run_id": bad.run_id}, jobs.Run),
        ("2.2/jobs/runs/list", {"expand_tasks": "true"}, jobs.ListRunsResponse),
        ("2.2/jobs/runs/get-output", {"run_id": task}, jobs.RunOutput),
        ("2.2/jobs/runs/get-output", {"run_id": bad.tasks[0].run_id}, jobs.RunOutput),
        ("2.1/clusters/get", {"cluster_id": good.tasks[0].cluster_instance.cluster_id}, compute.ClusterDetails),
        ("2.1/clusters/list", {}, compute.ListClustersResponse),
        ("2.1/clusters/list-node-types", {}, compute.ListNodeTypesResponse),
        ("2.1/clusters/spark-versions", {}, compute.GetSparkVersionsResponse),
        ("2.0/policy-families", {}, compute.ListPolicyFamiliesResponse),
        ("2.0/workspace/list", {"path": "/Shared"}, workspace.ListResponse),
        ("2.0/workspace/get-status", {"path": programs.path}, workspace.ObjectInfo),
    ):
        said = raw(databricks_uc, path, query)
        assert stripped(known.from_dict(said).as_dict()) == stripped(said), path

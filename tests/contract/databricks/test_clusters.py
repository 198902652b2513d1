"""Cluster specifications, policies and secrets: field by field as the service checks them, through the SDK."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from databricks.sdk.errors import (
    BadRequest,
    InvalidParameterValue,
    NotFound,
    PermissionDenied,
    ResourceAlreadyExists,
    ResourceDoesNotExist,
)
from databricks.sdk.service import compute, iam, workspace

from tests.support.databricks import Workspace
from tests.support.databricks_runs import CLUSTER, Programs, spec

ANN = "ann@example.com"


@pytest.fixture
def programs(databricks_uc: Workspace) -> Iterator[Programs]:
    databricks_uc.token(ANN)
    yield Programs(databricks_uc)
    databricks_uc.order("PUT", "/clusters/restricted", {"principals": []})


def submit(programs: Programs, cluster: dict[str, Any]) -> int:
    task = programs.task("print(1)")
    return programs.submit(programs.body(task | {"new_cluster": cluster}))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"spark_version": "99.9.x-scala2.13"}, "Invalid spark version 99.9.x-scala2.13"),
        ({"spark_version": "15.4.x-scala2.12"}, "16.4 or above"),
        ({"spark_version": None}, "spark_version"),
        ({"node_type_id": "i9.huge"}, "Node type i9.huge is not supported"),
        ({"node_type_id": "m5.large"}, "worker node type m5.large does not support Photon"),
        ({"driver_node_type_id": "m5.large"}, "driver node type m5.large does not support Photon"),
        ({"runtime_engine": "photon"}, "Invalid value 'photon'"),
        ({"spark_version": "17.3.x-photon-scala2.13", "runtime_engine": "STANDARD"}, "must not be STANDARD"),
        ({"autoscale": {"min_workers": 1, "max_workers": 2}}, "Exactly one of num_workers or autoscale"),
        ({"num_workers": 0}, "SingleNode"),
        ({"num_workers": "2"}, "Expected Integer"),
        ({"num_workers": None, "autoscale": {"min_workers": 3, "max_workers": 2}}, "must be less than"),
        (
            {"num_workers": None, "autoscale": {"min": 1, "max": 2}},
            "autoscale.min'. There are min_workers, max_workers",
        ),
        ({"data_security_mode": "DEDICATED"}, "Invalid value 'DEDICATED'"),
        ({"data_security_mode": "NONE", "single_user_name": "admin"}, "needs data_security_mode SINGLE_USER"),
        ({"single_user_name": ANN}, "is not the run's user"),
        ({"aws_attributes": {"availability": "SPOT_ONLY"}}, "Invalid value 'SPOT_ONLY'"),
        ({"aws_attributes": {"instance_profile_arn": "role"}}, "Invalid instance profile ARN"),
        ({"aws_attributes": {"zone": "a"}}, "Unknown field.*zone_id"),
        ({"custom_tags": {"Vendor": "me"}}, "set by Databricks"),
        ({"custom_tags": {"team": 1}}, "Expected String"),
        ({"spark_conf": {"a": True}}, "Expected String"),
        ({"autotermination_minutes": 10}, "not allowed for a job cluster"),
        ({"policy_id": "NONE"}, "Can't find a cluster policy"),
        ({"instance_pool_id": "none"}, "Can't find instance pool"),
        ({"sparkversion": "x"}, "Did you mean 'spark_version'"),
    ],
)
def test_a_specification_the_service_would_refuse_is_refused(
    programs: Programs, change: dict[str, Any], says: str
) -> None:
    cluster = {name: value for name, value in (CLUSTER | change).items() if value is not None}
    with pytest.raises(BadRequest, match=says):
        submit(programs, cluster)


@pytest.mark.parametrize(
    "change",
    [
        {"runtime_engine": "STANDARD", "node_type_id": "m5.large"},
        {"num_workers": None, "autoscale": {"min_workers": 1, "max_workers": 8}},
        {"num_workers": None, "is_single_node": True, "kind": "CLASSIC_PREVIEW"},
        {"data_security_mode": "USER_ISOLATION"},
        {"aws_attributes": {"availability": "SPOT_WITH_FALLBACK", "first_on_demand": 1, "zone_id": "auto"}},
        {"aws_attributes": {"instance_profile_arn": "arn:aws:iam::123456789012:instance-profile/role"}},
        {"custom_tags": {"icebridge.run": "r1", "cost-centre": "42"}},
        {"single_user_name": "admin"},
    ],
)
def test_a_specification_the_service_would_take_is_taken(programs: Programs, change: dict[str, Any]) -> None:
    cluster = {name: value for name, value in (CLUSTER | change).items() if value is not None}
    run = programs.wait(submit(programs, cluster))
    assert run.state.result_state.value == "SUCCESS"


def test_a_policy_is_checked_rule_by_rule(programs: Programs) -> None:
    rules = {
        "spark_version": {"type": "allowlist", "values": ["17.3.x-scala2.13"]},
        "autoscale.max_workers": {"type": "range", "maxValue": 8},
        "num_workers": {"type": "forbidden"},
        "custom_tags.team": {"type": "fixed", "value": "lake"},
        "node_type_id": {"type": "regex", "pattern": "i3.*"},
        "cluster_type": {"type": "fixed", "value": "job"},
        "aws_attributes.availability": {"type": "unlimited", "defaultValue": "SPOT"},
    }
    sdk = programs.sdk
    policy = sdk.cluster_policies.create(name="only i3", definition=json.dumps(rules)).policy_id
    wrong = {**CLUSTER, "policy_id": policy, "node_type_id": "m5d.xlarge"}
    with pytest.raises(InvalidParameterValue) as told:
        submit(programs, wrong)
    assert 'Validation failed for node_type_id, the value must match the regex i3.* (is "m5d.xlarge")' in str(
        told.value
    )
    assert "Validation failed for num_workers, the value cannot be present" in str(told.value)
    assert "Validation failed for custom_tags.team, the value must be present" in str(told.value)
    right = {**CLUSTER, "policy_id": policy, "autoscale": {"min_workers": 1, "max_workers": 8}}
    del right["num_workers"]
    submit(programs, {**right, "custom_tags": {"team": "lake"}})
    filled = programs.wait(submit(programs, {**right, "apply_policy_default_values": True})).tasks[0].new_cluster
    assert filled.custom_tags == {"team": "lake"}
    assert filled.aws_attributes.availability.value == "SPOT"
    with pytest.raises(InvalidParameterValue, match=r"at most 8"):
        submit(programs, {**right, "custom_tags": {"team": "lake"}, "autoscale": {"min_workers": 1, "max_workers": 9}})
    assert sdk.cluster_policies.get(policy).name == "only i3"
    assert [one.policy_id for one in sdk.cluster_policies.list()] == [policy]


def test_a_policy_is_used_by_whom_it_is_for(programs: Programs) -> None:
    policy = programs.sdk.cluster_policies.create(name="anns", policy_family_id="job-cluster").policy_id
    anns = Programs(programs.server, ANN)
    cluster = {**CLUSTER, "policy_id": policy}
    with pytest.raises(PermissionDenied, match="does not have permission to use the policy"):
        submit(anns, cluster)
    right = compute.ClusterPolicyAccessControlRequest(
        user_name=ANN, permission_level=compute.ClusterPolicyPermissionLevel.CAN_USE
    )
    programs.sdk.cluster_policies.update_permissions(policy, access_control_list=[right])
    anns.wait(submit(anns, cluster))
    programs.server.order("PUT", "/clusters/restricted", {"principals": [ANN]})
    with pytest.raises(PermissionDenied, match="not authorized to create clusters"):
        submit(anns, CLUSTER)
    anns.wait(submit(anns, cluster))
    with pytest.raises(PermissionDenied, match="Only workspace admins"):
        anns.sdk.cluster_policies.create(name="mine", definition="{}")


def test_a_pool_names_the_node_type(programs: Programs) -> None:
    pool = programs.sdk.instance_pools.create("warm", "m5.large").instance_pool_id
    assert programs.sdk.instance_pools.get(pool).state is compute.InstancePoolState.ACTIVE
    cluster = {name: value for name, value in CLUSTER.items() if name != "node_type_id"}
    with pytest.raises(BadRequest, match=r"m5\.large does not support Photon"):
        submit(programs, {**cluster, "instance_pool_id": pool})
    submit(programs, {**cluster, "instance_pool_id": pool, "runtime_engine": "STANDARD"})
    with pytest.raises(BadRequest, match="cannot be supplied when an instance pool ID"):
        submit(programs, {**CLUSTER, "instance_pool_id": pool})
    with pytest.raises(NotFound):
        programs.sdk.instance_pools.get("none")


def test_an_existing_cluster_serves_its_user_only(programs: Programs) -> None:
    made = programs.sdk.api_client.do("POST", "/api/2.1/clusters/create", body=CLUSTER)["cluster_id"]
    task = programs.task("print(1)")
    del task["new_cluster"]
    run = programs.wait(programs.submit(programs.body({**task, "existing_cluster_id": made})))
    assert run.tasks[0].cluster_instance.cluster_id == made
    assert programs.sdk.clusters.get(made).state is compute.State.RUNNING
    with pytest.raises(PermissionDenied, match="Single-user check failed"):
        Programs(programs.server, ANN).submit(programs.body({**task, "existing_cluster_id": made}))
    with pytest.raises(ResourceDoesNotExist, match="Cluster none does not exist"):
        programs.sdk.clusters.get("none")
    job_cluster = programs.run("print(1)").tasks[0].cluster_instance.cluster_id
    with pytest.raises(BadRequest, match="job cluster"):
        programs.submit(programs.body({**task, "existing_cluster_id": job_cluster}))


def test_photon_can_be_selected_by_the_sdk(programs: Programs) -> None:
    chosen = programs.sdk.clusters.select_node_type(photon_worker_capable=True, photon_driver_capable=True, min_cores=4)
    version = programs.sdk.clusters.select_spark_version(long_term_support=True, latest=True)
    assert submit(programs, spec(node_type_id=chosen, spark_version=version).as_dict())


def test_serverless_wants_a_declared_environment(programs: Programs) -> None:
    task = programs.task("print('serverless')")
    del task["new_cluster"]
    with pytest.raises(BadRequest, match="is not among environments"):
        programs.submit(programs.body({**task, "environment_key": "default"}))
    environments = [{"environment_key": "default", "spec": {"environment_version": "4"}}]
    body = programs.body({**task, "environment_key": "default"}, environments=environments)
    assert programs.output(programs.wait(programs.submit(body))).logs == "serverless\n"


def test_secrets_reach_the_cluster_of_who_may_read_them_and_no_log(programs: Programs) -> None:
    sdk = programs.sdk
    sdk.secrets.create_scope("icebridge")
    sdk.secrets.put_secret("icebridge", "catalog", string_value="hunter2")
    with pytest.raises(ResourceAlreadyExists):
        sdk.secrets.create_scope("icebridge")
    assert base64.b64decode(sdk.secrets.get_secret("icebridge", "catalog").value) == b"hunter2"
    assert [secret.as_dict().keys() for secret in sdk.secrets.list_secrets("icebridge")] == [
        {"key": 1, "last_updated_timestamp": 1}.keys()
    ]
    source = "import os\nvalue = os.environ['PASSWORD']\nprint(len(value), value)\nraise ValueError(value)"
    cluster = {"spark_env_vars": {"PASSWORD": "{{secrets/icebridge/catalog}}"}}
    output = programs.output(programs.run(source, cluster=cluster))
    assert output.logs.startswith("7 [REDACTED]\n")
    assert "hunter2" not in str(output.as_dict())
    anns = Programs(programs.server, ANN)
    run = anns.run(source, cluster=cluster)
    assert run.tasks[0].status.termination_details.code.value == "INVALID_CLUSTER_REQUEST"
    assert "does not have READ permission on scope icebridge" in run.tasks[0].state.state_message
    with pytest.raises(PermissionDenied):
        anns.sdk.secrets.get_secret("icebridge", "catalog")
    assert not list(anns.sdk.secrets.list_scopes())
    sdk.secrets.put_acl("icebridge", ANN, workspace.AclPermission.READ)
    assert anns.output(anns.run(source, cluster=cluster)).logs.startswith("7 [REDACTED]\n")
    with pytest.raises(PermissionDenied):
        anns.sdk.secrets.put_secret("icebridge", "mine", string_value="x")
    with pytest.raises(ResourceDoesNotExist):
        sdk.secrets.get_secret("icebridge", "none")


def test_admins_and_others_are_told_apart(programs: Programs) -> None:
    assert isinstance(programs.sdk.current_user.me(), iam.User)

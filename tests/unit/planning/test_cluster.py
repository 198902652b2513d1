"""The cluster builder: what a person writes becomes a spec that Databricks takes, or an error that says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.planning.cluster import build_photon_cluster

GOOD: dict[str, Any] = {"spark_version": "16.4.x-scala2.12", "node_type_id": "m5d.xlarge", "num_workers": 2}
SCALED: dict[str, Any] = {**GOOD, "autoscale": {"min": 1, "max": 8}}
del SCALED["num_workers"]


def test_the_least_that_is_needed() -> None:
    assert build_photon_cluster(GOOD) == {
        "spark_version": "16.4.x-scala2.12",
        "node_type_id": "m5d.xlarge",
        "num_workers": 2,
        "runtime_engine": "PHOTON",
        "data_security_mode": "SINGLE_USER",
    }


def test_all_of_it() -> None:
    arn = "arn:aws:iam::123456789012:instance-profile/copier"
    spec = build_photon_cluster(
        {
            **SCALED,
            "driver_node_type_id": "m5d.2xlarge",
            "policy_id": "0001",
            "spot": True,
            "instance_profile_arn": arn,
            "custom_tags": {"cost": "42"},
            "spark_conf": {"spark.sql.shuffle.partitions": "auto"},
            "photon": False,
            "data_security_mode": "USER_ISOLATION",
        }
    )
    assert spec["autoscale"] == {"min_workers": 1, "max_workers": 8}
    assert spec["aws_attributes"] == {
        "availability": "SPOT_WITH_FALLBACK",
        "first_on_demand": 1,
        "instance_profile_arn": arn,
    }
    assert (spec["runtime_engine"], spec["apply_policy_default_values"]) == ("STANDARD", True)
    assert (spec["policy_id"], spec["custom_tags"]) == ("0001", {"cost": "42"})


@pytest.mark.parametrize(
    ("node", "spot", "attributes"),
    [
        ("m5d.xlarge", False, {"aws_attributes": {"availability": "ON_DEMAND", "first_on_demand": 1}}),
        ("Standard_D8ds_v5", True, {"azure_attributes": {"availability": "SPOT_WITH_FALLBACK_AZURE"}}),
        ("n2-highmem-8", True, {"gcp_attributes": {"availability": "PREEMPTIBLE_WITH_FALLBACK_GCP"}}),
    ],
)
def test_spot_is_said_in_the_words_of_the_cloud(node: str, spot: bool, attributes: dict[str, Any]) -> None:
    spec = build_photon_cluster({**GOOD, "node_type_id": node, "spot": spot})
    assert {key: spec[key] for key in spec if key.endswith("_attributes")} == attributes


def test_no_workers_is_a_single_node() -> None:
    spec = build_photon_cluster({**GOOD, "num_workers": 0, "custom_tags": {"a": "b"}})
    assert spec["custom_tags"] == {"a": "b", "ResourceClass": "SingleNode"}
    assert spec["spark_conf"]["spark.databricks.cluster.profile"] == "singleNode"


def test_a_pool_decides_on_nodes() -> None:
    spec = build_photon_cluster({"spark_version": "17.3.x-scala2.13", "instance_pool_id": "p", "num_workers": 1})
    assert "node_type_id" not in spec


def test_a_policy_may_give_what_is_missing() -> None:
    assert build_photon_cluster({"policy_id": "0001"})["policy_id"] == "0001"


def test_a_credential_may_be_a_reference() -> None:
    conf = {"spark.hadoop.fs.s3a.secret.key": "{{secrets/icebridge/key}}", "x.credentials.provider": "some.Class"}
    assert build_photon_cluster({**GOOD, "spark_conf": conf})["spark_conf"] == conf


@pytest.mark.parametrize(
    ("code", "change", "said"),
    [
        ("IB-440", {"num_worker": 2}, "num_workers"),
        ("IB-440", {"zzz": 1}, "autoscale"),
        ("IB-441", {"num_workers": "2"}, "whole number"),
        ("IB-441", {"num_workers": True}, "whole number"),
        ("IB-441", {"num_workers": -1}, "whole number"),
        ("IB-441", {"spark_version": "latest"}, "16.4.x"),
        ("IB-441", {"spark_version": ""}, "text"),
        ("IB-441", {"photon": "yes"}, "true or false"),
        ("IB-441", {"custom_tags": {"a": 1}}, "texts"),
        ("IB-441", {"custom_tags": []}, "texts"),
        ("IB-441", {"instance_profile_arn": "copier"}, "arn:aws"),
        ("IB-441", {"data_security_mode": "NONE"}, "SINGLE_USER"),
        ("IB-441", {"data_security_mode": "LEGACY_TABLE_ACL"}, "Unity Catalog"),
        ("IB-442", {"spark_version": "15.4.x-scala2.12"}, "16.4"),
        ("IB-442", {"spark_version": "9.1.x-scala2.12"}, "16.4"),
        ("IB-443", {"autoscale": {"min": 1, "max": 2}}, "Keep one"),
        ("IB-443", {"instance_pool_id": "p"}, "Keep one"),
        ("IB-443", {"num_workers": None}, "Give num_workers or autoscale"),
        ("IB-443", {"node_type_id": None}, "Give node_type_id or instance_pool_id"),
        ("IB-443", {"spark_version": None}, "Give spark_version"),
        ("IB-443", {"node_type_id": None, "instance_pool_id": "p", "spot": True}, "Leave out spot"),
        ("IB-444", {"spark_conf": {"fs.s3a.secret.key": "hunter2"}}, "{{secrets/"),
        ("IB-444", {"spark_conf": {"a.Password": "{{secrets/a}}"}}, "{{secrets/"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_write(code: str, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build_photon_cluster({**GOOD, **change})
    assert caught.value.code == code
    assert said in caught.value.remedy
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("scale", [{"min": 1}, {"min": 4, "max": 2}, {"min": 0, "max": 0}, 3, {"min": "1", "max": 2}])
def test_a_range_goes_up(scale: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build_photon_cluster({**SCALED, "autoscale": scale})
    assert caught.value.code == "IB-441"

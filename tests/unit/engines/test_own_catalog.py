"""The source's own catalog on the cluster: its credentials are references, whatever they are called."""

from __future__ import annotations

import re
from typing import Any

import pytest

from icebridge_provider.engines.databricks.own_catalog import PREFIX, refuse_method, secret_keys, spark_conf
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.planning.cluster import build_photon_cluster

CANARY = "c4n4ry-s3cr3t"
REST = {"type": "rest", "uri": "https://catalog.example.com/api", "warehouse": "lake", "client.region": "eu-central-1"}
SECRETS = (
    "credential", "token", "s3.secret-access-key", "s3.access-key-id", "s3.session-token", "header.Authorization",
    "header.x-api-key", "adls.sas-token", "client.secret", "oauth.password",
)  # fmt: skip


def test_what_is_no_secret_stands_there_as_it_is() -> None:
    conf = spark_conf("glue", REST, "icebridge")
    assert conf[PREFIX] == "org.apache.iceberg.spark.SparkCatalog"
    assert conf[f"{PREFIX}.uri"] == REST["uri"]
    assert conf[f"{PREFIX}.warehouse"] == "lake"
    assert conf[f"{PREFIX}.header.X-Iceberg-Access-Delegation"] == "vended-credentials"
    assert secret_keys("glue", REST) == []


@pytest.mark.parametrize("key", SECRETS)
def test_no_secret_is_in_it(key: str) -> None:
    conf = spark_conf("gl ue", {**REST, key: CANARY}, "icebridge")
    assert CANARY not in str(conf)
    [name] = secret_keys("gl ue", {**REST, key: CANARY})
    assert conf[f"{PREFIX}.{key}"] == f"{{{{secrets/icebridge/{name}}}}}"
    assert re.fullmatch(r"[\w\-@.]+", name)


def test_a_property_that_nobody_knows_is_left_out() -> None:
    assert CANARY not in str(spark_conf("glue", {**REST, "my-own": CANARY}, "icebridge"))


def test_the_cluster_builder_takes_it() -> None:
    conf = spark_conf("glue", {**REST, **dict.fromkeys(SECRETS, CANARY)}, "icebridge")
    made = build_photon_cluster({"policy_id": "p", "spark_conf": conf})
    assert made["spark_conf"] == conf


@pytest.mark.parametrize(
    ("properties", "scope"),
    [
        ({"type": "glue", "uri": "x"}, "s"),
        ({"type": "rest"}, "s"),
        (REST, "a b"),
        (REST, "a/b"),
        ({**REST, "uri": f"https://me:{CANARY}@catalog.example.com"}, "s"),
    ],
)
def test_what_cannot_be_is_refused_without_its_values(properties: dict[str, Any], scope: str) -> None:
    with pytest.raises(ConfigurationError, match="IB-454") as caught:
        spark_conf("glue", properties, scope)
    assert CANARY not in str(caught.value)


def test_only_a_statement_reads_another_catalog() -> None:
    refuse_method("insert_select")
    for method in ("auto", "deep_clone"):
        with pytest.raises(ConfigurationError, match="IB-457"):
            refuse_method(method)

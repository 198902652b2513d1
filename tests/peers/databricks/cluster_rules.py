"""Which cluster specifications are accepted: versions, node types, Photon, sizes, access modes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.peers.databricks.cluster_shapes import CLUSTER, DEDICATED_MODES
from tests.peers.databricks.errors import invalid
from tests.peers.databricks.shapes import check

SPARK_VERSIONS = {
    "18.0.x-scala2.13": "18.0 (includes Apache Spark 4.1, Scala 2.13)",
    "17.3.x-scala2.13": "17.3 LTS (includes Apache Spark 4.0, Scala 2.13)",
    "17.3.x-photon-scala2.13": "17.3 LTS Photon (includes Apache Spark 4.0, Scala 2.13)",
    "17.3.x-cpu-ml-scala2.13": "17.3 LTS ML (includes Apache Spark 4.0, Scala 2.13)",
    "16.4.x-scala2.13": "16.4 LTS (includes Apache Spark 3.5.2, Scala 2.13)",
    "16.4.x-scala2.12": "16.4 LTS (includes Apache Spark 3.5.2, Scala 2.12)",
    "16.4.x-photon-scala2.12": "16.4 LTS Photon (includes Apache Spark 3.5.2, Scala 2.12)",
    "15.4.x-scala2.12": "15.4 LTS (includes Apache Spark 3.5.0, Scala 2.12)",
}
OLDEST = (16, 4)

# name: cores, memory in MiB, category, Photon on workers, Photon on the driver, ARM
NODE_TYPES: dict[str, tuple[int, int, str, bool, bool, bool]] = {
    "i3.xlarge": (4, 31232, "Storage Optimized", True, True, False),
    "i3.2xlarge": (8, 62464, "Storage Optimized", True, True, False),
    "i4i.xlarge": (4, 32768, "Storage Optimized", True, True, False),
    "i4i.2xlarge": (8, 65536, "Storage Optimized", True, True, False),
    "r5d.xlarge": (4, 32768, "Memory Optimized", True, True, False),
    "r6id.xlarge": (4, 32768, "Memory Optimized", True, True, False),
    "m5d.xlarge": (4, 16384, "General Purpose", True, True, False),
    "m6gd.xlarge": (4, 16384, "General Purpose", True, True, True),
    "c5d.2xlarge": (8, 16384, "Compute Optimized", True, True, False),
    "m5.large": (2, 8192, "General Purpose", False, False, False),
    "m4.large": (2, 8192, "General Purpose", False, False, False),
    "g4dn.xlarge": (4, 16384, "GPU Accelerated", False, False, False),
}
ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:instance-profile/[\w+=,.@/-]+")
RESERVED_TAGS = frozenset(
    {"Vendor", "Creator", "ClusterName", "ClusterId", "DatabricksEnvironment", "RunName", "JobId"}
)


def check_cluster(spec: Any, where: str, pools: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ApiError for the first thing in a cluster specification that the service would refuse."""
    check(spec, CLUSTER, where)
    _version(spec, where)
    _nodes(spec, where, pools)
    _photon(spec, where, pools)
    _size(spec, where)
    _access(spec, where)
    _aws(spec.get("aws_attributes") or {}, where)
    _tags(spec.get("custom_tags") or {}, where)


def _version(spec: Mapping[str, Any], where: str) -> None:
    version = spec.get("spark_version")
    if not version:
        raise invalid(f"Missing required field: {where}.spark_version")
    if version not in SPARK_VERSIONS:
        raise invalid(f"Invalid spark version {version}.")
    if runtime_of(version) < OLDEST:
        raise invalid(f"Invalid spark version {version}: managed Iceberg tables need Databricks Runtime 16.4 or above.")


def runtime_of(version: str) -> tuple[int, int]:
    """(17, 3) of "17.3.x-scala2.13"."""
    major, minor, *_ = version.split(".")
    return int(major), int(minor)


def _nodes(spec: Mapping[str, Any], where: str, pools: Mapping[str, Any]) -> None:
    pool = spec.get("instance_pool_id")
    if pool and pool not in pools:
        raise invalid(f"Can't find instance pool '{pool}'.")
    if pool and (spec.get("node_type_id") or spec.get("driver_node_type_id")):
        raise invalid("The field 'node_type_id' cannot be supplied when an instance pool ID is provided.")
    if not pool and not spec.get("node_type_id"):
        raise invalid(f"Missing required field: {where}.node_type_id")
    for field in ("node_type_id", "driver_node_type_id"):
        if spec.get(field) and spec[field] not in NODE_TYPES:
            raise invalid(f"Node type {spec[field]} is not supported. Supported node types: {', '.join(NODE_TYPES)}")


def _photon(spec: Mapping[str, Any], where: str, pools: Mapping[str, Mapping[str, Any]]) -> None:
    version = spec["spark_version"]
    if "-photon-" in version and spec.get("runtime_engine") == "STANDARD":
        raise invalid(f"{where}: the Spark version {version} is a Photon one, runtime_engine must not be STANDARD.")
    if spec.get("runtime_engine") != "PHOTON" and "-photon-" not in version:
        return
    if "-ml-" in version and "-gpu-" in version:
        raise invalid("Photon is not supported with GPU machine learning runtimes.")
    worker = spec.get("node_type_id") or pools[spec["instance_pool_id"]]["node_type_id"]
    driver = spec.get("driver_node_type_id") or worker
    if not NODE_TYPES[worker][3]:
        raise invalid(
            f"The worker node type {worker} does not support Photon. Please select a Photon-capable node type."
        )
    if not NODE_TYPES[driver][4]:
        raise invalid(
            f"The driver node type {driver} does not support Photon. Please select a Photon-capable node type."
        )


def _size(spec: Mapping[str, Any], where: str) -> None:
    workers, scale = spec.get("num_workers"), spec.get("autoscale")
    single = spec.get("is_single_node") is True
    if single:
        if spec.get("kind") != "CLASSIC_PREVIEW":
            raise invalid(f"{where}: is_single_node needs kind = CLASSIC_PREVIEW.")
        if workers or scale:
            raise invalid(f"{where}: a single node cluster has neither num_workers nor autoscale.")
        return
    if (workers is None) == (scale is None):
        raise invalid("Exactly one of num_workers or autoscale must be specified in the cluster specification.")
    if scale is not None:
        _autoscale(scale)
    elif workers == 0:
        _single_node_by_conf(spec)
    elif not 1 <= workers <= 100_000:
        raise invalid(f"num_workers must be between 0 and 100000, got {workers}.")


def _autoscale(scale: Mapping[str, int]) -> None:
    least, most = scale.get("min_workers", 0), scale["max_workers"]
    if least < 0 or most < 1 or least >= most:
        raise invalid(f"Invalid autoscale range: min_workers ({least}) must be less than max_workers ({most}).")


def _single_node_by_conf(spec: Mapping[str, Any]) -> None:
    conf, tags = spec.get("spark_conf") or {}, spec.get("custom_tags") or {}
    wanted = conf.get("spark.databricks.cluster.profile") == "singleNode" and conf.get("spark.master", "").startswith(
        "local"
    )
    if not wanted or tags.get("ResourceClass") != "SingleNode":
        raise invalid(
            "NumWorkers could be 0 only for SingleNode clusters. See the documentation of single node clusters for the "
            "spark_conf and custom_tags they need."
        )


def _access(spec: Mapping[str, Any], where: str) -> None:
    mode = spec.get("data_security_mode")
    if spec.get("single_user_name") and mode not in DEDICATED_MODES:
        raise invalid(f"{where}: single_user_name needs data_security_mode SINGLE_USER.")
    if mode == "DATA_SECURITY_MODE_AUTO" and spec.get("kind") != "CLASSIC_PREVIEW":
        raise invalid(f"{where}: data_security_mode {mode} needs kind = CLASSIC_PREVIEW.")


def _aws(aws: Mapping[str, Any], where: str) -> None:
    arn = aws.get("instance_profile_arn")
    if arn and not ARN.fullmatch(arn):
        raise invalid(f"Invalid instance profile ARN '{arn}'.")
    percent = aws.get("spot_bid_price_percent")
    if percent is not None and not 1 <= percent <= 10_000:
        raise invalid(f"{where}.aws_attributes.spot_bid_price_percent must be between 1 and 10000, got {percent}.")
    if aws.get("first_on_demand", 0) < 0:
        raise invalid(f"{where}.aws_attributes.first_on_demand must not be negative.")


def _tags(tags: Mapping[str, str], where: str) -> None:
    for key, value in tags.items():
        if key in RESERVED_TAGS:
            raise invalid(f"{where}.custom_tags: the tag '{key}' is set by Databricks and cannot be changed.")
        if not key or len(key) > 127 or len(value) > 255:
            raise invalid(f"{where}.custom_tags: the tag '{key[:40]}' is too long or empty.")

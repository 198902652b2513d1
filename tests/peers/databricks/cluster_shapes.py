"""Shapes of cluster specifications, libraries and cluster policies, as databricks-sdk writes them."""

from __future__ import annotations

from tests.peers.databricks.shapes import ANY, BOOLEAN, INTEGER, OBJECT, TEXT, Each, Fields, Pairs

AVAILABILITY = frozenset({"ON_DEMAND", "SPOT", "SPOT_WITH_FALLBACK"})
SECURITY_MODES = frozenset(
    {
        "DATA_SECURITY_MODE_AUTO",
        "DATA_SECURITY_MODE_DEDICATED",
        "DATA_SECURITY_MODE_STANDARD",
        "LEGACY_PASSTHROUGH",
        "LEGACY_SINGLE_USER",
        "LEGACY_SINGLE_USER_STANDARD",
        "LEGACY_TABLE_ACL",
        "NONE",
        "SINGLE_USER",
        "USER_ISOLATION",
    }
)
DEDICATED_MODES = frozenset({"SINGLE_USER", "DATA_SECURITY_MODE_DEDICATED"})
CATALOG_MODES = DEDICATED_MODES | {"USER_ISOLATION", "DATA_SECURITY_MODE_STANDARD", "DATA_SECURITY_MODE_AUTO"}

AUTOSCALE = Fields({"min_workers": INTEGER, "max_workers": INTEGER}, ("max_workers",))
AWS = Fields(
    {
        "availability": AVAILABILITY,
        "ebs_volume_count": INTEGER,
        "ebs_volume_iops": INTEGER,
        "ebs_volume_size": INTEGER,
        "ebs_volume_throughput": INTEGER,
        "ebs_volume_type": frozenset({"GENERAL_PURPOSE_SSD", "THROUGHPUT_OPTIMIZED_HDD"}),
        "first_on_demand": INTEGER,
        "instance_profile_arn": TEXT,
        "spot_bid_price_percent": INTEGER,
        "zone_id": TEXT,
    }
)
LIBRARY = Fields(
    {
        "cran": OBJECT,
        "egg": TEXT,
        "jar": TEXT,
        "maven": Fields({"coordinates": TEXT, "exclusions": Each(TEXT), "repo": TEXT}, ("coordinates",)),
        "pypi": Fields({"package": TEXT, "repo": TEXT}, ("package",)),
        "requirements": TEXT,
        "whl": TEXT,
    }
)
CLUSTER = Fields(
    {
        "apply_policy_default_values": BOOLEAN,
        "autoscale": AUTOSCALE,
        "autotermination_minutes": INTEGER,
        "aws_attributes": AWS,
        "azure_attributes": OBJECT,
        "cluster_log_conf": OBJECT,
        "cluster_name": TEXT,
        "custom_tags": Pairs(45),
        "data_security_mode": SECURITY_MODES,
        "dependency_mode": ANY,
        "docker_image": OBJECT,
        "driver_instance_pool_id": TEXT,
        "driver_node_type_flexibility": OBJECT,
        "driver_node_type_id": TEXT,
        "enable_elastic_disk": BOOLEAN,
        "enable_local_disk_encryption": BOOLEAN,
        "gcp_attributes": OBJECT,
        "init_scripts": Each(OBJECT, 10),
        "instance_pool_id": TEXT,
        "is_single_node": BOOLEAN,
        "kind": frozenset({"CLASSIC_PREVIEW"}),
        "node_type_id": TEXT,
        "num_workers": INTEGER,
        "policy_id": TEXT,
        "remote_disk_throughput": INTEGER,
        "runtime_engine": frozenset({"NULL", "PHOTON", "STANDARD"}),
        "single_user_name": TEXT,
        "spark_conf": Pairs(),
        "spark_env_vars": Pairs(),
        "spark_version": TEXT,
        "ssh_public_keys": Each(TEXT, 10),
        "total_initial_remote_disk_size": INTEGER,
        "use_ml_runtime": BOOLEAN,
        "worker_node_type_flexibility": OBJECT,
        "workload_type": OBJECT,
    }
)
NEW_POLICY = Fields(
    {
        "definition": TEXT,
        "description": TEXT,
        "libraries": Each(LIBRARY),
        "max_clusters_per_user": INTEGER,
        "name": TEXT,
        "policy_family_definition_overrides": TEXT,
        "policy_family_id": TEXT,
    }
)
NEW_POOL = Fields(
    {
        "aws_attributes": OBJECT,
        "azure_attributes": OBJECT,
        "custom_tags": Pairs(45),
        "disk_spec": OBJECT,
        "enable_elastic_disk": BOOLEAN,
        "gcp_attributes": OBJECT,
        "idle_instance_autotermination_minutes": INTEGER,
        "instance_pool_name": TEXT,
        "max_capacity": INTEGER,
        "min_idle_instances": INTEGER,
        "node_type_flexibility": OBJECT,
        "node_type_id": TEXT,
        "preloaded_docker_images": Each(OBJECT),
        "preloaded_spark_versions": Each(TEXT),
        "remote_disk_throughput": INTEGER,
        "total_initial_remote_disk_size": INTEGER,
    },
    ("instance_pool_name", "node_type_id"),
)

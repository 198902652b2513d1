"""Clusters, cluster policies and instance pools: kept, checked and listed; nothing is rented."""

from __future__ import annotations

import functools
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Depends, Request

from tests.peers.databricks import policies
from tests.peers.databricks.auth import admin, caller
from tests.peers.databricks.cluster_rules import NODE_TYPES, SPARK_VERSIONS, check_cluster
from tests.peers.databricks.cluster_shapes import CATALOG_MODES, CLUSTER, NEW_POLICY, NEW_POOL
from tests.peers.databricks.errors import ApiError, invalid
from tests.peers.databricks.model import now_ms
from tests.peers.databricks.requests_in import ASKED, BODY
from tests.peers.databricks.shapes import TEXT, Each, Fields, check
from tests.peers.databricks.world import World

ONE_CLUSTER = Fields({"cluster_id": TEXT}, ("cluster_id",))
ONE_POLICY = Fields({"policy_id": TEXT}, ("policy_id",))
ACCESS = Fields(
    {
        "access_control_list": Each(
            Fields({"user_name": TEXT, "group_name": TEXT, "service_principal_name": TEXT, "permission_level": TEXT})
        )
    }
)


@dataclass(kw_only=True)
class Cluster:
    """One cluster: its specification after the policy's defaults, and its life."""

    cluster_id: str
    spec: dict[str, Any]
    creator: str
    source: str = "API"
    state: str = "PENDING"
    message: str = "Starting Spark"
    started_at: int = field(default_factory=now_ms)
    ended_at: int = 0
    reason: dict[str, Any] = field(default_factory=dict)

    @property
    def single_user(self) -> str:
        """The only principal that may use it, empty when it is shared."""
        dedicated = self.spec.get("data_security_mode") in {"SINGLE_USER", "DATA_SECURITY_MODE_DEDICATED"}
        return (self.spec.get("single_user_name") or self.creator) if dedicated else ""

    @property
    def has_unity_catalog(self) -> bool:
        """Whether its access mode reaches Unity Catalog at all."""
        return self.spec.get("data_security_mode") in CATALOG_MODES

    def end(self, code: str, kind: str, **parameters: str) -> None:
        """Terminate it for a reason, once."""
        if self.state not in {"TERMINATED", "ERROR"}:
            self.state, self.message, self.ended_at = "TERMINATED", "", now_ms()
            self.reason = {"code": code, "type": kind, "parameters": parameters}

    def as_json(self) -> dict[str, Any]:
        """A ClusterDetails."""
        asked = {key: value for key, value in self.spec.items() if key != "apply_policy_default_values"}
        found = {
            **asked,
            "cluster_id": self.cluster_id,
            "creator_user_name": self.creator,
            "cluster_source": self.source,
            "state": self.state,
            "state_message": self.message,
            "start_time": self.started_at,
            "default_tags": {"Vendor": "Databricks", "Creator": self.creator, "ClusterId": self.cluster_id},
            "spec": dict(self.spec),
        }
        if self.ended_at:
            found |= {"terminated_time": self.ended_at, "termination_reason": self.reason}
        return found


@dataclass
class Clusters:
    """All clusters, policies and pools of a workspace; `restricted` principals need a policy to create a cluster."""

    world: World
    clusters: dict[str, Cluster] = field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    pools: dict[str, dict[str, Any]] = field(default_factory=dict)
    users: dict[str, set[str]] = field(default_factory=dict)
    restricted: set[str] = field(default_factory=set)
    lock: threading.RLock = field(default_factory=threading.RLock)

    # Specifications

    def accepted(self, spec: Any, principal: str, where: str) -> dict[str, Any]:
        """The specification as it will be launched, or ApiError."""
        check(spec, CLUSTER, where)
        policy_id = spec.get("policy_id")
        if policy_id:
            rules = policies.parse(self._usable_policy(policy_id, principal)["definition"])
            if spec.get("apply_policy_default_values"):
                spec = policies.with_defaults(spec, rules)
            check_cluster(spec, where, self.pools)
            policies.check_policy(spec, rules)
        elif principal in self.restricted:
            raise ApiError(
                403,
                "PERMISSION_DENIED",
                "You are not authorized to create clusters. Please contact your administrator.",
            )
        else:
            check_cluster(spec, where, self.pools)
        user = spec.get("single_user_name")
        if user and user != principal and user not in self.world.groups_of(principal):
            raise invalid(
                f"Single user access mode: the cluster's single user '{user}' is not the run's user '{principal}'."
            )
        return spec

    def is_admin(self, principal: str) -> bool:
        """Whether somebody is a workspace admin."""
        return "admins" in self.world.groups_of(principal)

    def _usable_policy(self, policy_id: str, principal: str) -> dict[str, Any]:
        policy = self.policies.get(policy_id)
        if policy is None:
            raise invalid(f"Can't find a cluster policy with id: {policy_id}.")
        allowed = self.users.get(policy_id, set())
        names = {principal, *self.world.groups_of(principal)}
        if not (allowed & names or self.is_admin(principal)):
            raise ApiError(
                403, "PERMISSION_DENIED", f"{principal} does not have permission to use the policy {policy_id}."
            )
        return policy

    # Clusters

    def launch(self, spec: dict[str, Any], creator: str, source: str) -> Cluster:
        """A new cluster in state PENDING."""
        stamp = time.strftime("%m%d-%H%M%S", time.gmtime())
        cluster = Cluster(cluster_id=f"{stamp}-{secrets.token_hex(4)}", spec=spec, creator=creator, source=source)
        with self.lock:
            self.clusters[cluster.cluster_id] = cluster
        return cluster

    def cluster(self, cluster_id: str) -> Cluster:
        """A cluster, or the service's odd 400 for one that is not there."""
        found = self.clusters.get(cluster_id)
        if found is None:
            raise invalid(f"Cluster {cluster_id} does not exist")
        return found

    def usable(self, cluster_id: str, principal: str) -> Cluster:
        """An all-purpose cluster that a run may use."""
        cluster = self.cluster(cluster_id)
        if cluster.source == "JOB":
            raise invalid(f"Cluster {cluster_id} is a job cluster and cannot be used as an existing cluster.")
        if cluster.single_user and cluster.single_user != principal:
            text = f"Single-user check failed: user '{principal}' attempted to run a command on single-user cluster"
            allowed = f"but the single user of this cluster is '{cluster.single_user}'"
            raise ApiError(403, "PERMISSION_DENIED", f"{text} {cluster_id}, {allowed}")
        return cluster

    # Policies

    def create_policy(self, body: Any, creator: str) -> dict[str, Any]:
        """Keep a new policy; only workspace admins may."""
        check(body, NEW_POLICY)
        self._only_admins(creator)
        family = body.get("policy_family_id")
        if family and body.get("definition"):
            raise invalid("Only one of definition and policy_family_id may be given.")
        if family and family not in policies.FAMILIES:
            raise invalid(f"Can't find a policy family with id: {family}.")
        rules = dict(policies.FAMILIES[family]["definition"]) if family else {}
        rules |= policies.parse(body.get("policy_family_definition_overrides") or body.get("definition") or "{}")
        if any(policy["name"] == body.get("name") for policy in self.policies.values()):
            raise invalid(f"Policy with name '{body.get('name')}' already exists.")
        policy_id = secrets.token_hex(8).upper()
        self.policies[policy_id] = {
            **body,
            "definition": policies.json.dumps(rules),
            "policy_id": policy_id,
            "creator_user_name": creator,
            "created_at_timestamp": now_ms(),
            "is_default": False,
        }
        return {"policy_id": policy_id}

    def policy(self, policy_id: str) -> dict[str, Any]:
        """A policy, 404 RESOURCE_DOES_NOT_EXIST without it."""
        if policy_id not in self.policies:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Can't find a cluster policy with id: {policy_id}.")
        return self.policies[policy_id]

    def create_pool(self, body: Any, creator: str) -> dict[str, Any]:
        """Keep a new instance pool; only workspace admins may."""
        check(body, NEW_POOL)
        self._only_admins(creator)
        if body["node_type_id"] not in NODE_TYPES:
            raise invalid(f"Node type {body['node_type_id']} is not supported.")
        pool_id = f"{time.strftime('%m%d-%H%M%S', time.gmtime())}-pool-{secrets.token_hex(4)}"
        stats = dict.fromkeys(("used_count", "idle_count", "pending_used_count", "pending_idle_count"), 0)
        self.pools[pool_id] = {**body, "instance_pool_id": pool_id, "state": "ACTIVE", "stats": stats, "status": {}}
        return {"instance_pool_id": pool_id}

    def pool(self, pool_id: str) -> dict[str, Any]:
        """A pool, 404 RESOURCE_DOES_NOT_EXIST without it."""
        if pool_id not in self.pools:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Can't find instance pool '{pool_id}'.")
        return self.pools[pool_id]

    def allow(self, policy_id: str, body: Any, principal: str) -> dict[str, Any]:
        """Let principals use a policy."""
        check(body, ACCESS)
        self._only_admins(principal)
        self.policy(policy_id)
        for entry in body.get("access_control_list", []):
            name = entry.get("user_name") or entry.get("group_name") or entry.get("service_principal_name")
            if entry.get("permission_level") != "CAN_USE" or not name:
                raise invalid("A policy's access_control_list holds principals with permission_level CAN_USE.")
            self.users.setdefault(policy_id, set()).add(name)
        granted = [{"permission_level": "CAN_USE", "inherited": False}]
        entries = [{"user_name": name, "all_permissions": granted} for name in sorted(self.users.get(policy_id, ()))]
        object_id = f"/cluster-policies/{policy_id}"
        return {"object_id": object_id, "object_type": "cluster-policy", "access_control_list": entries}

    def _only_admins(self, principal: str) -> None:
        if not self.is_admin(principal):
            raise ApiError(403, "PERMISSION_DENIED", "Only workspace admins may do this.")


def node_types() -> list[dict[str, Any]]:
    """The node types there are."""
    return [
        {
            "node_type_id": name,
            "instance_type_id": name,
            "memory_mb": memory,
            "num_cores": float(cores),
            "num_gpus": 1 if category.startswith("GPU") else 0,
            "description": name,
            "category": category,
            "is_deprecated": False,
            "is_hidden": False,
            "is_graviton": arm,
            "photon_worker_capable": worker,
            "photon_driver_capable": driver,
            "support_cluster_tags": True,
            "support_ebs_volumes": True,
            "support_port_forwarding": True,
        }
        for name, (cores, memory, category, worker, driver, arm) in NODE_TYPES.items()
    ]


@functools.cache
def clusters_of(world: World) -> Clusters:
    """The clusters of a workspace, one object for every router."""
    return Clusters(world)


def router(world: World) -> APIRouter:
    """The routes of clusters, node types, versions, policies and pools."""
    api, clusters, who = APIRouter(), clusters_of(world), Depends(caller(world))
    _cluster_routes(api, clusters, who)
    _policy_routes(api, clusters, who)

    @api.put("/admin/clusters/restricted", dependencies=[Depends(admin(world))])
    def restrict(body: Any = BODY) -> dict[str, Any]:
        check(body, Fields({"principals": Each(TEXT)}))
        clusters.restricted = set(body.get("principals", []))
        return {}

    @api.get("/api/2.0/instance-pools/get")
    def get_pool(request: Request, _: str = who) -> dict[str, Any]:
        return clusters.pool(request.query_params.get("instance_pool_id", ""))

    @api.get("/api/2.0/instance-pools/list")
    def list_pools(_: str = who) -> dict[str, Any]:
        return {"instance_pools": list(clusters.pools.values())}

    @api.post("/api/2.0/instance-pools/create")
    def create_pool(body: Any = BODY, principal: str = who) -> dict[str, Any]:
        return clusters.create_pool(body, principal)

    return api


def _cluster_routes(api: APIRouter, clusters: Clusters, who: Any) -> None:
    @api.get("/api/2.1/clusters/spark-versions")
    def spark_versions(_: str = who) -> dict[str, Any]:
        return {"versions": [{"key": key, "name": name} for key, name in SPARK_VERSIONS.items()]}

    @api.get("/api/2.1/clusters/list-node-types")
    def list_node_types(_: str = who) -> dict[str, Any]:
        return {"node_types": node_types()}

    @api.get("/api/2.1/clusters/list-zones")
    def list_zones(_: str = who) -> dict[str, Any]:
        return {"zones": ["local-1a", "local-1b"], "default_zone": "local-1a"}

    @api.get("/api/2.1/clusters/get")
    def get_cluster(given: Any = ASKED, _: str = who) -> dict[str, Any]:
        return clusters.cluster(given.get("cluster_id", "")).as_json()

    @api.get("/api/2.1/clusters/list")
    def list_clusters(_: str = who) -> dict[str, Any]:
        return {"clusters": [cluster.as_json() for cluster in list(clusters.clusters.values())]}

    @api.post("/api/2.1/clusters/create")
    def create_cluster(body: Any = BODY, principal: str = who) -> dict[str, Any]:
        cluster = clusters.launch(clusters.accepted(body, principal, "cluster"), principal, "API")
        cluster.state, cluster.message = "RUNNING", ""
        return {"cluster_id": cluster.cluster_id}

    @api.post("/api/2.1/clusters/delete")
    def terminate_cluster(body: Any = BODY, principal: str = who) -> dict[str, Any]:
        check(body, ONE_CLUSTER)
        clusters.cluster(body["cluster_id"]).end("USER_REQUEST", "SUCCESS", username=principal)
        return {}

    @api.post("/api/2.1/clusters/start")
    def start_cluster(body: Any = BODY, _: str = who) -> dict[str, Any]:
        check(body, ONE_CLUSTER)
        cluster = clusters.cluster(body["cluster_id"])
        if cluster.state != "TERMINATED" or cluster.source == "JOB":
            raise ApiError(
                400, "INVALID_STATE", f"Cluster {cluster.cluster_id} is in unexpected state {cluster.state}."
            )
        cluster.state, cluster.message, cluster.ended_at = "RUNNING", "", 0
        return {}


def _policy_routes(api: APIRouter, clusters: Clusters, who: Any) -> None:
    @api.get("/api/2.0/policies/clusters/get")
    def get_policy(request: Request, _: str = who) -> dict[str, Any]:
        return clusters.policy(request.query_params.get("policy_id", ""))

    @api.get("/api/2.0/policies/clusters/list")
    def list_policies(_: str = who) -> dict[str, Any]:
        return {"policies": list(clusters.policies.values()), "total_count": len(clusters.policies)}

    @api.post("/api/2.0/policies/clusters/create")
    def create_policy(body: Any = BODY, principal: str = who) -> dict[str, Any]:
        return clusters.create_policy(body, principal)

    @api.post("/api/2.0/policies/clusters/delete")
    def delete_policy(body: Any = BODY, _: str = who) -> dict[str, Any]:
        check(body, ONE_POLICY)
        clusters.policy(body["policy_id"])
        del clusters.policies[body["policy_id"]]
        return {}

    @api.get("/api/2.0/policy-families")
    def list_families(_: str = who) -> dict[str, Any]:
        return {"policy_families": [_family(family_id) for family_id in policies.FAMILIES]}

    @api.get("/api/2.0/policy-families/{family_id}")
    def get_family(family_id: str, _: str = who) -> dict[str, Any]:
        if family_id not in policies.FAMILIES:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Can't find a policy family with id: {family_id}.")
        return _family(family_id)

    @api.patch("/api/2.0/permissions/cluster-policies/{policy_id}")
    @api.put("/api/2.0/permissions/cluster-policies/{policy_id}")
    def allow(policy_id: str, body: Any = BODY, principal: str = who) -> dict[str, Any]:
        return clusters.allow(policy_id, body, principal)


def _family(family_id: str) -> dict[str, Any]:
    family = policies.FAMILIES[family_id]
    return {
        "policy_family_id": family_id,
        "name": family["name"],
        "description": f"The rules of {family['name']}.",
        "definition": policies.json.dumps(family["definition"]),
    }

"""The workspace itself: who one is, its metastore, quotas, SQL warehouses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request

from tests.peers.databricks import privileges
from tests.peers.databricks.auth import BODY, caller
from tests.peers.databricks.errors import ApiError
from tests.peers.databricks.model import WarehouseRow, now_ms
from tests.peers.databricks.requests_in import number, page_of
from tests.peers.databricks.shapes import BOOLEAN, TEXT, Fields, check
from tests.peers.databricks.uc_api import PREFIX, principal_of
from tests.peers.databricks.world import World


@dataclass
class Workspace:
    """The work of the routes."""

    world: World

    def me(self, request: Request) -> dict[str, Any]:
        """The caller as SCIM shows it."""
        row = self.world.state.principals[principal_of(request)]
        groups = [{"display": name, "value": name, "type": "direct"} for name in sorted(self._direct_groups(row.name))]
        shown = {"id": row.id, "userName": row.name, "displayName": row.name, "active": True}
        mail = [] if row.service else [{"value": row.name, "primary": True, "type": "work"}]
        schemas = ["urn:ietf:params:scim:schemas:core:2.0:User"]
        more = {"groups": groups, "emails": mail, "schemas": schemas}
        return {**shown, **{key: value for key, value in more.items() if value}}

    def _direct_groups(self, name: str) -> set[str]:
        return {group for group, members in self.world.state.groups.items() if name in members}

    # The metastore

    def summary(self) -> dict[str, Any]:
        return self._metastore() | {"region": "local", "cloud": "aws", "global_metastore_id": f"aws:local:{self._id}"}

    def assignment(self) -> dict[str, Any]:
        return {"workspace_id": int(self.world.workspace_id), "metastore_id": self._id}

    def metastores(self, request: Request) -> dict[str, Any]:
        self._admin(request)
        return {"metastores": [self._metastore()]}

    def metastore(self, request: Request, id: str) -> dict[str, Any]:  # noqa: A002 - the API's word
        self._admin(request)
        self.world.row("METASTORE", id)
        return self._metastore()

    def change_metastore(self, request: Request, id: str, body: Any = BODY) -> dict[str, Any]:  # noqa: A002
        check(body, Fields({"external_access_enabled": BOOLEAN, "owner": TEXT, "new_name": TEXT}))
        self._admin(request)
        with self.world.lock:
            row = self.world.row("METASTORE", id)
            if "owner" in body:
                self.world.require_known(body["owner"])
            row.external_access_enabled = body.get("external_access_enabled", row.external_access_enabled)
            row.owner, row.name = body.get("owner", row.owner), body.get("new_name", row.name)
            row.updated_at, row.updated_by = now_ms(), principal_of(request)
        return self._metastore()

    @property
    def _id(self) -> str:
        return self.world.state.metastore.id

    def _metastore(self) -> dict[str, Any]:
        row = self.world.state.metastore
        return {
            "metastore_id": row.id,
            "name": row.name,
            "owner": row.owner,
            "storage_root": row.storage_root,
            "external_access_enabled": row.external_access_enabled,
            "privilege_model_version": "1.0",
            "created_at": row.created_at,
            "created_by": row.created_by,
            "updated_at": row.updated_at,
            "updated_by": row.updated_by,
        }

    def _admin(self, request: Request) -> None:
        if not privileges.is_admin(self.world.state, principal_of(request)):
            raise ApiError(403, "PERMISSION_DENIED", "User is not an admin of the metastore.")

    # Quotas

    def quota(self, request: Request, parent_type: str, parent: str, quota_name: str) -> dict[str, Any]:
        kind = parent_type.upper()
        for (name, counted, parent_kind), limit in self.world.quotas.items():
            if (name, parent_kind) == (quota_name, kind):
                self.world.row(kind, parent, principal_of(request) if kind != "METASTORE" else "", browse=True)
                return {"quota_info": self._quota(name, counted, kind, parent.lower(), limit)}
        raise ApiError(404, "QUOTA_DOES_NOT_EXIST", f"Quota '{quota_name}' does not exist on {parent_type}.")

    def all_quotas(self, request: Request) -> dict[str, Any]:
        self._admin(request)
        found = [
            self._quota(name, counted, kind, parent, limit)
            for (name, counted, kind), limit in self.world.quotas.items()
            for parent in sorted(self.world.state.rows(kind))
        ]
        size = number(request.query_params, "max_results", 0) or self.world.page_size
        page, more = page_of(found, request.query_params.get("page_token"), size)
        answer: dict[str, Any] = {"quotas": list(page)} if page else {}
        return {**answer, "next_page_token": more} if more else answer

    def _quota(self, name: str, counted: str, kind: str, parent: str, limit: int) -> dict[str, Any]:
        return {
            "quota_name": name,
            "parent_securable_type": kind,
            "parent_full_name": parent,
            "quota_count": self.world.count(counted, kind, parent),
            "quota_limit": limit,
            "last_refreshed_at": now_ms(),
        }

    # Warehouses

    def warehouses(self) -> dict[str, Any]:
        return {"warehouses": [self._warehouse(row) for row in self.world.state.warehouses.values()]}

    def warehouse(self, id: str) -> dict[str, Any]:  # noqa: A002
        return self._warehouse(self._one(id))

    def start(self, id: str) -> dict[str, Any]:  # noqa: A002
        self._one(id).state = "RUNNING"
        return {}

    def stop(self, id: str) -> dict[str, Any]:  # noqa: A002
        self._one(id).state = "STOPPED"
        return {}

    def _one(self, warehouse_id: str) -> WarehouseRow:
        found = self.world.state.warehouses.get(warehouse_id)
        if found is None:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"SQL warehouse {warehouse_id} does not exist.")
        return found

    def _warehouse(self, row: WarehouseRow) -> dict[str, Any]:
        address, path = urlsplit(self.world.url), f"/sql/1.0/warehouses/{row.id}"
        odbc = {"hostname": address.hostname, "path": path, "port": address.port, "protocol": "https"}
        return {
            "id": row.id,
            "name": row.name,
            "state": row.state,
            "cluster_size": "2X-Small",
            "min_num_clusters": 1,
            "max_num_clusters": 1,
            "num_clusters": int(row.state == "RUNNING"),
            "num_active_sessions": 0,
            "auto_stop_mins": 10,
            "warehouse_type": "PRO",
            "enable_photon": True,
            "enable_serverless_compute": row.serverless,
            "spot_instance_policy": "COST_OPTIMIZED",
            "creator_name": "admin",
            "jdbc_url": f"jdbc:spark://{address.netloc}/default;transportMode=http;ssl=0;httpPath={path};",
            "odbc_params": odbc,
        }


def router(world: World) -> APIRouter:
    """The routes."""
    work = Workspace(world)
    routes = APIRouter(dependencies=[Depends(caller(world))])
    for method, path, handler in (
        ("GET", "/api/2.0/preview/scim/v2/Me", work.me),
        ("GET", f"{PREFIX}/metastore_summary", work.summary),
        ("GET", f"{PREFIX}/current-metastore-assignment", work.assignment),
        ("GET", f"{PREFIX}/metastores", work.metastores),
        ("GET", f"{PREFIX}/metastores/{{id}}", work.metastore),
        ("PATCH", f"{PREFIX}/metastores/{{id}}", work.change_metastore),
        ("GET", f"{PREFIX}/resource-quotas/all-resource-quotas", work.all_quotas),
        ("GET", f"{PREFIX}/resource-quotas/{{parent_type}}/{{parent}}/{{quota_name}}", work.quota),
        ("GET", "/api/2.0/sql/warehouses", work.warehouses),
        ("GET", "/api/2.0/sql/warehouses/{id}", work.warehouse),
        ("POST", "/api/2.0/sql/warehouses/{id}/start", work.start),
        ("POST", "/api/2.0/sql/warehouses/{id}/stop", work.stop),
    ):
        routes.add_api_route(path, handler, methods=[method], response_model=None)
    return routes

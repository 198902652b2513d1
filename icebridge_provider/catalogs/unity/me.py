"""Who the connection's principal is, and whether it is shown all there is: seeing less is no error anywhere."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from icebridge_provider.catalogs.unity.workspace import UNITY, Workspace, in_path
from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.model.access import Grant

EVERYBODY = "account users"
_ME = "/api/2.0/preview/scim/v2/Me"


class Me:
    """The signed-in principal: its names and groups, read once."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.RLock()
        self._owners: dict[str, str] = {}

    @property
    def name(self) -> str:
        """User name, or a service principal's application id."""
        return str(self._known.get("userName") or self._known.get("displayName") or "")

    @property
    def identities(self) -> frozenset[str]:
        """Every name that a grant to this principal may bear: its own, its groups', and everybody's.

        A display name is none: anybody may be called like a group.
        """
        groups = {str(group.get("display", "")) for group in self._known.get("groups") or ()}
        own = {str(self._known.get(key) or "") for key in ("userName", "applicationId")}
        return frozenset({*own, *groups, EVERYBODY} - {""})

    @property
    def _known(self) -> dict[str, Any]:
        with self._lock:
            return self._read

    @cached_property
    def _read(self) -> dict[str, Any]:
        return self._workspace.get("ask who the principal is", _ME)

    def sees_all_grants(self, info: Mapping[str, Any], grants: Iterable[Grant]) -> bool:
        """Whether Unity Catalog shows this principal all grants of a table, not only its own.

        It does so to the owner of the table, its schema or its catalog, to who holds MANAGE, and to metastore admins
        (Databricks: "Show, grant, and revoke privileges").

        :param info: the table as the REST interface gives it.
        """
        mine = self.identities
        if info.get("owner") in mine:
            return True
        if any(grant.privilege == "MANAGE" and grant.principal in mine for grant in grants):
            return True
        catalog, schema = str(info.get("catalog_name", "")), str(info.get("schema_name", ""))
        parents = (f"schemas/{in_path(f'{catalog}.{schema}')}", f"catalogs/{in_path(catalog)}", "metastore_summary")
        return any(self._owner(path) in mine for path in parents)

    def _owner(self, path: str) -> str:
        """Owner of a parent, asked for once; empty when it may not be read."""
        with self._lock:
            if path not in self._owners:
                try:
                    found = self._workspace.find("ask who the owner is", f"{UNITY}/{path}") or {}
                except IceBridgeError as error:
                    if error.retryable:
                        raise
                    found = {}
                self._owners[path] = str(found.get("owner", ""))
            return self._owners[path]

"""Which external location covers a folder of cloud storage, and what the principal may do there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from icebridge_provider.catalogs.unity.below import Below
from icebridge_provider.catalogs.unity.me import Me
from icebridge_provider.catalogs.unity.rights import answered, right
from icebridge_provider.catalogs.unity.workspace import UNITY, Workspace, in_path
from icebridge_provider.model.access import Grant, TableAccess
from icebridge_provider.planning.snowflake.export_rights import CoveringLocation, covers
from icebridge_provider.planning.unity_facts import Told

KIND = "EXTERNAL_LOCATION"


class ExternalLocations:
    """The external locations of a workspace's metastore, as one principal is shown them."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._me = Me(workspace)

    @property
    def principal(self) -> str:
        """Name of the signed-in principal, empty when the workspace does not tell."""
        return answered(lambda: self._me.name) or ""

    def covering(self, location: str) -> CoveringLocation | None:
        """Return the external location a folder is in; None when none is shown to the principal.

        :raises TransientError: when the workspace does not answer.
        """
        found = answered(lambda: self._found(location))
        if found is None:
            return None
        name = str(found["name"])
        below = answered(lambda: self._below(name, found))
        return CoveringLocation(
            name=name,
            url=str(found["url"]),
            write=self._told(below, "WRITE_FILES"),
            read=self._told(below, "READ_FILES"),
            read_only=bool(found.get("read_only", False)),
        )

    def _found(self, location: str) -> Mapping[str, Any] | None:
        query = {"include_browse": "true"}
        listed = self._workspace.pages(
            "list external locations", f"{UNITY}/external-locations", "external_locations", query
        )
        # They cannot overlap; were one inside the other, the inner one would count.
        fitting = [item for item in listed if covers(str(item.get("url", "?")), location)]
        return max(fitting, key=lambda item: len(str(item["url"])), default=None)

    def _below(self, name: str, info: Mapping[str, Any]) -> Below:
        path = f"{UNITY}/effective-permissions/{KIND.lower()}/{in_path(name)}"
        listed = self._workspace.pages(f"read the privileges of {name}", path, "privilege_assignments")
        grants = tuple(
            Grant(principal=str(item["principal"]), privilege=str(privilege["privilege"]))
            for item in listed
            for privilege in item.get("privileges") or ()
        )
        owner, mine = str(info.get("owner", "")), self._me.identities
        manages = any(grant.privilege == "MANAGE" and grant.principal in mine for grant in grants)
        access = TableAccess(table=name, owner=owner, grants=grants)
        return Below(parts=(name,), info=info, access=access, whole=manages or owner in mine)

    def _told(self, below: Below | None, privilege: str) -> Told:
        if below is None:
            return Told.UNKNOWN
        if below.access.owner in self._me.identities:
            return Told.YES
        return right(below, privilege, self._me.identities)

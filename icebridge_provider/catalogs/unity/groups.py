"""Which groups principals are in, by the workspace's SCIM interface: only what it shows is known, the rest is not.

Only groups that a grant names are looked up, with what is nested in them, in a bounded number of requests. Groups of
the workspace itself (``WorkspaceGroup``) hold no grants in Unity Catalog: one of the same name is another group.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

from icebridge_provider.catalogs.unity.workspace import Workspace
from icebridge_provider.exceptions import IceBridgeError

SCIM = "/api/2.0/preview/scim/v2"
NAMES_A_REQUEST, MOST_NAMES, MOST_NESTED = 20, 100, 50
KEPT_SECONDS = 60.0  # so that a wave asks once, and a membership taken away is noticed soon
_ATTRIBUTES = {"Groups": "id,displayName,members,meta", "Users": "id,userName", "ServicePrincipals": "id,applicationId"}
_NAMED = {"Groups": "displayName", "Users": "userName", "ServicePrincipals": "applicationId"}


class Groups:
    """Memberships of one workspace, each group and principal asked for once a minute at most."""

    def __init__(self, workspace: Workspace, clock: Callable[[], float] = time.monotonic) -> None:
        self._workspace = workspace
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], tuple[float, dict[str, Any] | None]] = {}

    def of(self, principals: Collection[str], among: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Return the groups ``among`` these that principals are known to be in; who is not known is left out."""
        with self._lock:
            try:
                return self._found(sorted(principals), sorted(among))
            except IceBridgeError as error:
                if error.retryable:
                    raise
                return {}  # SCIM is not open to this principal: nothing is known

    def _found(self, principals: list[str], among: list[str]) -> dict[str, tuple[str, ...]]:
        if len(principals) + len(among) > MOST_NAMES:
            return {}
        groups = {name: row for name, row in self._named("Groups", among).items() if _is_account_group(row)}
        ids = {**self._ids("Users", principals), **self._ids("ServicePrincipals", principals)}
        ids.update((name, f"Groups/{row['id']}") for name, row in self._named("Groups", principals).items())
        members = {name: self._members(row) for name, row in groups.items()}
        return {one: tuple(name for name in groups if ids[one] in members[name] and name != one) for one in ids}

    def _ids(self, kind: str, names: list[str]) -> dict[str, str]:
        return {name: f"{kind}/{row['id']}" for name, row in self._named(kind, names).items()}

    def _members(self, group: dict[str, Any]) -> set[str]:
        """References of everybody in a group, through nested ones."""
        found, todo = set[str](), [group]
        while todo and len(found) < MOST_NAMES * MOST_NESTED:
            for reference in _references(todo.pop()):
                if reference in found:
                    continue
                found.add(reference)
                if reference.startswith("Groups/"):
                    nested = self._by_id(reference)
                    todo += [nested] if nested else []
        return found

    def _named(self, kind: str, names: list[str]) -> dict[str, dict[str, Any]]:
        """Rows of one kind by name; names that are not there, or not shown, are left out."""
        unknown = [name for name in names if self._fresh((kind, name)) is None]
        for first in range(0, len(unknown), NAMES_A_REQUEST):
            part = unknown[first : first + NAMES_A_REQUEST]
            rows = {str(row.get(_NAMED[kind], "")): row for row in self._ask(kind, part)}
            for name in part:
                self._kept[kind, name] = (self._clock(), rows.get(name))
        found = {name: self._kept[kind, name][1] for name in names}
        return {name: row for name, row in found.items() if row is not None}

    def _by_id(self, reference: str) -> dict[str, Any] | None:
        key = ("id", reference)
        if self._fresh(key) is None:
            asked = sum(kind == "id" for kind, _ in self._kept)
            row = self._workspace.find("read a group", f"{SCIM}/{reference}") if asked < MOST_NESTED else None
            self._kept[key] = (self._clock(), row)
        return self._kept[key][1]

    def _fresh(self, key: tuple[str, str]) -> float | None:
        kept = self._kept.get(key)
        if kept is not None and self._clock() - kept[0] > KEPT_SECONDS:
            del self._kept[key]
            return None
        return None if kept is None else kept[0]

    def _ask(self, kind: str, names: list[str]) -> list[dict[str, Any]]:
        wanted = " or ".join(f"{_NAMED[kind]} eq {_quoted(name)}" for name in names)
        query = {"filter": wanted, "attributes": _ATTRIBUTES[kind], "count": str(len(names))}
        found = self._workspace.get(f"look up {kind.lower()}", f"{SCIM}/{kind}", query)
        return [dict(row) for row in found.get("Resources") or ()]


def _is_account_group(row: dict[str, Any]) -> bool:
    return str((row.get("meta") or {}).get("resourceType", "Group")) == "Group"


def _references(group: dict[str, Any]) -> Iterator[str]:
    for member in group.get("members") or ():
        if member.get("$ref"):
            yield "/".join(str(member["$ref"]).split("/")[-2:])


def _quoted(text: str) -> str:
    """Return a string of SCIM's filter language (RFC 7644: as in JSON)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

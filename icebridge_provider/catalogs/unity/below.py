"""What a schema or catalog of Unity Catalog hands down to the tables in it: grants and policies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from icebridge_provider.catalogs.unity.me import Me
from icebridge_provider.catalogs.unity.workspace import UNITY, Workspace, in_path
from icebridge_provider.model.access import Grant, Policy, TableAccess

_PLURAL = {1: ("CATALOG", "catalogs"), 2: ("SCHEMA", "schemas")}
_LETTING_IN = frozenset({"POLICY_TYPE_DENY", "POLICY_TYPE_GRANT"})
PolicyOf = Callable[[Mapping[str, Any], str], Policy]


@dataclass(frozen=True, slots=True, kw_only=True)
class Below:
    """A schema or catalog as one principal is shown it.

    ``info`` is its entry in the service's own words, empty when there is none for the principal. ``access`` holds what
    every table in it inherits; its ``owner`` is the schema's. ``whole`` says whether that is all: otherwise grants are
    the principal's own (and its groups'), and no policy is told.
    """

    parts: tuple[str, ...]
    info: Mapping[str, Any] = field(default_factory=dict)
    access: TableAccess
    whole: bool = False

    @property
    def there(self) -> bool:
        """Whether the principal is shown that it exists."""
        return bool(self.info)


def read_below(workspace: Workspace, me: Me, parts: tuple[str, ...], policy_of: PolicyOf) -> Below:
    """Read what is handed down by a catalog (one part) or a schema (two): at most three requests.

    :param policy_of: makes a policy of its JSON and the name of what it is in force on.
    """
    kind, plural = _PLURAL[len(parts)]
    name = ".".join(parts)
    info = workspace.find(f"read {name}", f"{UNITY}/{plural}/{in_path(name)}", {"include_browse": "true"})
    if info is None:
        return Below(parts=parts, access=TableAccess(table=name))
    grants = tuple(_grants(workspace, kind, name))
    whole = _sees_all(me, info, parts, grants)
    policies = tuple(_policies(workspace, kind, name, policy_of)) if whole else ()
    access = TableAccess(table=name, owner=str(info.get("owner", "")), grants=grants, policies=policies)
    return Below(parts=parts, info=info, access=access, whole=whole)


def _sees_all(me: Me, info: Mapping[str, Any], parts: tuple[str, ...], grants: Sequence[Grant]) -> bool:
    if len(parts) > 1:
        return me.sees_all_grants({**info, "catalog_name": parts[0], "schema_name": parts[1]}, grants)
    manages = any(grant.privilege == "MANAGE" and grant.principal in me.identities for grant in grants)
    return manages or info.get("owner") in me.identities


def _grants(workspace: Workspace, kind: str, name: str) -> Iterator[Grant]:
    path = f"{UNITY}/effective-permissions/{kind.lower()}/{in_path(name)}"
    for item in workspace.pages(f"read the privileges of {name}", path, "privilege_assignments"):
        for privilege in item.get("privileges") or ():
            yield Grant(
                principal=str(item["principal"]),
                privilege=str(privilege["privilege"]),
                inherited_from_type=str(privilege.get("inherited_from_type") or kind),
                inherited_from_name=str(privilege.get("inherited_from_name") or name),
            )


def _policies(workspace: Workspace, kind: str, name: str, policy_of: PolicyOf) -> Iterator[Policy]:
    """Policies for tables, and those that say who may use schemas and catalogs."""
    path, what = f"{UNITY}/policies/{kind}/{in_path(name)}", f"read the policies of {name}"
    for item in workspace.pages(what, path, "policies", {"include_inherited": "true"}, right=f"MANAGE on {name}"):
        if str(item.get("for_securable_type", "TABLE")).upper() == "TABLE" or item.get("policy_type") in _LETTING_IN:
            yield policy_of(item, name)

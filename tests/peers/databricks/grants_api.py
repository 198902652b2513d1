"""Permissions of Unity Catalog's REST: direct grants, effective ones, and changes (atomic per securable)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Depends, Request

from tests.peers.databricks import privileges
from tests.peers.databricks.auth import BODY, caller
from tests.peers.databricks.errors import ApiError, denied, invalid, spoken
from tests.peers.databricks.model import Securable
from tests.peers.databricks.privileges import APPLICABLE, Standing
from tests.peers.databricks.requests_in import number, page_of
from tests.peers.databricks.shapes import BOOLEAN, TEXT, Each, Fields, check
from tests.peers.databricks.uc_api import PREFIX, principal_of
from tests.peers.databricks.world import World

CHANGES = Fields(
    {
        "changes": Each(Fields({"principal": TEXT, "add": Each(TEXT), "remove": Each(TEXT)}, ("principal",))),
        "omit_permissions_in_response": BOOLEAN,
    }
)
KNOWN = frozenset().union(*APPLICABLE.values()) | {
    "ACCESS", "CREATE", "CREATE_FOREIGN_SECURABLE", "EXECUTE_CLEAN_ROOM_TASK", "MODIFY_CLEAN_ROOM", "READ_METADATA",
    "READ_PRIVATE_FILES", "USAGE", "USE_CONNECTION", "WRITE_PRIVATE_FILES",
}  # fmt: skip
LEAST_PAGE = 150


@dataclass
class Grants:
    """The work of the routes."""

    world: World

    def direct(self, request: Request, securable_type: str, full_name: str) -> dict[str, Any]:
        """Grants on the securable itself; who does not manage it sees only its own."""
        securable = self._securable(securable_type, full_name)
        found = [one for one in privileges.standings(self.world.state, securable) if not one.inherited_from_type]
        return self._answer(request, found, securable, "privileges", lambda one: one.privilege)

    def effective(self, request: Request, securable_type: str, full_name: str) -> dict[str, Any]:
        """Grants with the inherited ones. GRANT and DENY policies are not in it."""
        securable = self._securable(securable_type, full_name)
        found = privileges.standings(self.world.state, securable)
        return self._answer(request, found, securable, "privileges", _effective)

    def change(self, request: Request, securable_type: str, full_name: str, body: Any = BODY) -> dict[str, Any]:
        """All of the changes or none."""
        check(body, CHANGES)
        with self.world.lock:
            securable = self._securable(securable_type, full_name)
            self.apply(principal_of(request), securable, body.get("changes", []))
            if body.get("omit_permissions_in_response"):
                return {}
            found = [one for one in privileges.standings(self.world.state, securable) if not one.inherited_from_type]
        return {"privilege_assignments": _grouped(found, "privileges", lambda one: one.privilege)}

    def apply(self, principal: str, securable: Securable, changes: list[dict[str, Any]]) -> None:
        """Check every change, then make them; also what GRANT and REVOKE in SQL come to."""
        world = self.world
        with world.lock:
            for change in changes:
                world.require_known(change["principal"])
                for privilege in (*change.get("add", ()), *change.get("remove", ())):
                    self._check(principal, securable, privilege)
            standing = world.state.grants.setdefault(securable, {})
            for change in changes:
                held = standing.setdefault(change["principal"], set())
                held |= set(change.get("add", ()))
                held -= set(change.get("remove", ()))
                if not held:
                    del standing[change["principal"]]

    def _check(self, principal: str, securable: Securable, privilege: str) -> None:
        if privilege not in KNOWN:
            raise invalid(f"Privilege {privilege} is not a known privilege.")
        if privilege not in APPLICABLE[securable.kind]:
            entity = f"{securable.name}:{securable.kind}/{securable.kind}_STANDARD"
            text = f"Privilege {privilege.replace('_', ' ')} is not applicable to this entity [{entity}]."
            raise invalid(f"{text} If this seems incorrect, please check the privilege version of the metastore.")
        if privileges.may_grant(self.world.state, securable, principal, privilege):
            return
        if privilege == "EXTERNAL_USE_SCHEMA":
            text = "Only the owner of the parent catalog can grant or revoke EXTERNAL USE SCHEMA"
            raise ApiError(403, "PERMISSION_DENIED", f"{text} on {spoken(securable.kind)} '{securable.name}'.")
        self.world.row(securable.kind, securable.name, principal, browse=True)
        raise denied("MANAGE", *securable)

    def _securable(self, securable_type: str, full_name: str) -> Securable:
        kind = securable_type.upper()
        if kind not in APPLICABLE:
            raise invalid(f"Invalid value '{securable_type}' for securable_type.")
        if kind == "TABLE":
            self.world.table(full_name)
        self.world.row(kind, full_name)
        return Securable(kind, full_name.lower() if kind != "METASTORE" else full_name)

    def _answer(
        self, request: Request, found: Iterable[Standing], securable: Securable, key: str, shown: Any
    ) -> dict[str, Any]:
        who, state = principal_of(request), self.world.state
        if not privileges.may_manage(state, securable, who):
            self.world.row(securable.kind, securable.name, who, browse=True)
            mine = privileges.identities_of(state, who)
            found = [one for one in found if one.principal in mine]
        if only := request.query_params.get("principal"):
            self.world.require_known(only)
            found = [one for one in found if one.principal == only]
        page, more = self._page(request, _grouped(found, key, shown))
        answer: dict[str, Any] = {"privilege_assignments": page} if page else {}
        return {**answer, "next_page_token": more} if more else answer

    def _page(self, request: Request, groups: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
        size = number(request.query_params, "max_results")
        if size is None:
            return groups, ""
        if size < 0 or 0 < size < LEAST_PAGE:
            raise invalid(f"max_results must be 0 or at least {LEAST_PAGE}")
        page, more = page_of(groups, request.query_params.get("page_token"), size or self.world.page_size)
        return list(page), more


def router(world: World) -> APIRouter:
    """The routes."""
    grants = Grants(world)
    routes = APIRouter(prefix=PREFIX, dependencies=[Depends(caller(world))])
    one = "/{securable_type}/{full_name:path}"
    for method, path, handler in (
        ("GET", f"/permissions{one}", grants.direct),
        ("PATCH", f"/permissions{one}", grants.change),
        ("GET", f"/effective-permissions{one}", grants.effective),
    ):
        routes.add_api_route(path, handler, methods=[method], response_model=None)
    return routes


def _grouped(found: Iterable[Standing], key: str, shown: Any) -> list[dict[str, Any]]:
    groups: dict[str, list[Any]] = {}
    for one in found:
        groups.setdefault(one.principal, []).append(shown(one))
    return [{"principal": principal, key: items} for principal, items in sorted(groups.items())]


def _effective(one: Standing) -> dict[str, str]:
    source = {"inherited_from_type": one.inherited_from_type, "inherited_from_name": one.inherited_from_name}
    return {"privilege": one.privilege, **(source if one.inherited_from_type else {})}

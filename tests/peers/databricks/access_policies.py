"""Attribute-based access policies of Unity Catalog's REST: row filters, column masks, GRANT and DENY."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Depends, Request

from tests.peers.databricks import answers, privileges
from tests.peers.databricks.auth import BODY, caller
from tests.peers.databricks.errors import ApiError, invalid, present
from tests.peers.databricks.model import PolicyRow, Securable
from tests.peers.databricks.requests_in import number, page_of, switch
from tests.peers.databricks.shapes import TEXT, Each, Fields, check
from tests.peers.databricks.uc_api import PREFIX, principal_of
from tests.peers.databricks.world import World

ARGUMENT = Fields({"alias": TEXT, "constant": TEXT})
NEW = Fields(
    {
        "name": TEXT,
        "on_securable_type": frozenset({"CATALOG", "SCHEMA", "TABLE"}),
        "on_securable_fullname": TEXT,
        "for_securable_type": frozenset({"CATALOG", "SCHEMA", "TABLE", "VOLUME", "FUNCTION"}),
        "policy_type": frozenset(f"POLICY_TYPE_{kind}" for kind in ("COLUMN_MASK", "DENY", "GRANT", "ROW_FILTER")),
        "to_principals": Each(TEXT),
        "except_principals": Each(TEXT),
        "when_condition": TEXT,
        "comment": TEXT,
        "match_columns": Each(Fields({"alias": TEXT, "condition": TEXT}, ("condition",))),
        "grant": Fields({"privileges": Each(TEXT)}, ("privileges",)),
        "deny": Fields({"privileges": Each(TEXT)}, ("privileges",)),
        "row_filter": Fields({"function_name": TEXT, "using": Each(ARGUMENT)}, ("function_name",)),
        "column_mask": Fields(
            {"function_name": TEXT, "on_column": TEXT, "using": Each(ARGUMENT)}, ("function_name", "on_column")
        ),
    },
    ("name", "on_securable_type", "on_securable_fullname", "for_securable_type", "policy_type", "to_principals"),
)


@dataclass
class Policies:
    """The work of the routes."""

    world: World

    def create(self, request: Request, body: Any = BODY) -> dict[str, Any]:
        check(body, NEW)
        on = self._managed(request, body["on_securable_type"], body["on_securable_fullname"])
        row = self._row(body, on)
        row.created_by = principal_of(request)
        with self.world.lock:
            if any(one.on == on and one.name == row.name for one in self.world.state.policies):
                raise present("POLICY", row.name)
            self.world.state.policies.append(row)
        return answers.policy(row)

    def _row(self, body: dict[str, Any], on: Securable) -> PolicyRow:
        kind = body["policy_type"].removeprefix("POLICY_TYPE_")
        shape = body.get(kind.lower())
        if shape is None:
            raise invalid(f"{kind.lower()} is required for {body['policy_type']}")
        conditions = [body.get("when_condition", ""), *(one["condition"] for one in body.get("match_columns", ()))]
        for condition in conditions:
            if not privileges.condition_is_known(condition):
                raise invalid(f"The condition '{condition}' is not understood.")
        for principal in (*body["to_principals"], *body.get("except_principals", ())):
            self.world.require_known(principal)
        if "function_name" in shape:
            self.world.row("FUNCTION", shape["function_name"])
        return PolicyRow(
            name=body["name"],
            type=kind,
            on=on,
            for_type=body["for_securable_type"],
            to=tuple(body["to_principals"]),
            excepted=tuple(body.get("except_principals", ())),
            privileges=tuple(shape.get("privileges", ())),
            function_name=shape.get("function_name", ""),
            on_column=shape.get("on_column", ""),
            using=tuple(one.get("alias", "") for one in shape.get("using", ())),
            when=body.get("when_condition", ""),
            match_columns=tuple((one.get("alias", ""), one["condition"]) for one in body.get("match_columns", ())),
            comment=body.get("comment", ""),
        )

    def all(self, request: Request, securable_type: str, full_name: str) -> dict[str, Any]:
        """Policies that stand on the securable; with ``include_inherited`` those above it too."""
        on = self._managed(request, securable_type, full_name)
        steps = privileges.lineage(on) if switch(request.query_params, "include_inherited") else [on]
        found = [answers.policy(row) for row in self.world.state.policies if row.on in steps]
        size = number(request.query_params, "max_results", 0) or self.world.page_size
        page, more = page_of(found, request.query_params.get("page_token"), size)
        answer: dict[str, Any] = {"policies": list(page)} if page else {}
        return {**answer, "next_page_token": more} if more else answer

    def one(self, request: Request, securable_type: str, full_name: str, name: str) -> dict[str, Any]:
        return answers.policy(self._find(self._managed(request, securable_type, full_name), name))

    def drop(self, request: Request, securable_type: str, full_name: str, name: str) -> dict[str, Any]:
        with self.world.lock:
            self.world.state.policies.remove(self._find(self._managed(request, securable_type, full_name), name))
        return {}

    def _find(self, on: Securable, name: str) -> PolicyRow:
        for row in self.world.state.policies:
            if row.on == on and row.name == name:
                return row
        raise ApiError(404, "POLICY_DOES_NOT_EXIST", f"Policy '{name}' does not exist.")

    def _managed(self, request: Request, securable_type: str, full_name: str) -> Securable:
        kind = securable_type.upper()
        if kind not in {"CATALOG", "SCHEMA", "TABLE"}:
            raise invalid(f"Policies on {securable_type} are not supported.")
        self.world.require_manager(principal_of(request), kind, full_name)
        return Securable(kind, full_name.lower())


def router(world: World) -> APIRouter:
    """The routes."""
    policies = Policies(world)
    routes = APIRouter(prefix=f"{PREFIX}/policies", dependencies=[Depends(caller(world))])
    for method, path, handler in (
        ("POST", "", policies.create),
        ("GET", "/{securable_type}/{full_name}", policies.all),
        ("GET", "/{securable_type}/{full_name}/{name}", policies.one),
        ("DELETE", "/{securable_type}/{full_name}/{name}", policies.drop),
    ):
        routes.add_api_route(path, handler, methods=[method], response_model=None)
    return routes

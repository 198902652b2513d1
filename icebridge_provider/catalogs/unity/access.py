"""Privileges of Unity Catalog: who may do what with a table, read whole and changed in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from icebridge_provider.catalogs import refusals as shared
from icebridge_provider.catalogs.unity.me import Me
from icebridge_provider.catalogs.unity.workspace import UNITY, Workspace, in_path
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError
from icebridge_provider.model.access import Grant, GrantChange, Policy, PolicyKind, TableAccess
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.retry import transient

_OPTIONS = {
    PolicyKind.GRANT: "grant",
    PolicyKind.DENY: "deny",
    PolicyKind.ROW_FILTER: "row_filter",
    PolicyKind.COLUMN_MASK: "column_mask",
}
# Policies for schemas and catalogs bear on a table when they say who may use those.
_PARENTS = frozenset({"SCHEMA", "CATALOG"})
_LETTING_IN = frozenset({"POLICY_TYPE_DENY", "POLICY_TYPE_GRANT"})


class UnityAccess:
    """:class:`icebridge_provider.ports.AccessControl` over Unity Catalog's REST interface.

    Privileges are spelled as the interface spells them: ``SELECT``, ``USE_SCHEMA``, ``ALL_PRIVILEGES``. Answers are
    read as JSON: the SDK's classes drop values that are newer than the SDK, and a policy that is not seen is a hole.

    :param name: connection id.
    :param full_name: gives ``catalog.schema.table`` of an identifier.
    """

    def __init__(
        self, name: str, workspace: Workspace, full_name: Callable[[TableIdentifier], str], *, read_only: bool
    ) -> None:
        self._name = name
        self._workspace = workspace
        self._full_name = full_name
        self._read_only = read_only
        self._me = Me(workspace)

    def access_of(self, table: TableIdentifier) -> TableAccess:
        """Owner, effective grants, policies, filter, masks, comment and tags of one table: four requests.

        Where a policy holds under a condition on tags, those of its parents and columns are read too: one request each.

        :raises ConfigurationError: IB-208 when there is no such table, IB-256 for a policy of a kind that is not
            known here, IB-258 when the principal is shown its own grants only.
        """
        full_name = self._full_name(table)
        info = self._workspace.find(f"read {full_name}", f"{UNITY}/tables/{in_path(full_name)}")
        if info is None:
            raise shared.gone(table)
        grants = tuple(self._grants(full_name))
        if not self._me.sees_all_grants(info, grants):
            raise _half_seen(full_name, self._me.name, self._name)
        policies = tuple(self._policies(full_name))
        tags, of_columns = self._tags("tables", full_name), dict[str, dict[str, str]]()
        if any(policy.when for policy in policies):
            tags, of_columns = self._all_tags(full_name, tags, info.get("columns") or ())
        return TableAccess(
            table=full_name,
            owner=str(info.get("owner", "")),
            grants=grants,
            policies=policies,
            row_filter=str((info.get("row_filter") or {}).get("function_name", "")),
            masks=_masks(info.get("columns") or ()),
            comment=str(info.get("comment", "") or ""),
            tags=tags,
            column_tags=of_columns,
        )

    def writable(self) -> bool:
        """Whether this connection may change grants; those of foreign tables too, they are Unity Catalog's own."""
        return not self._read_only

    def change(self, table: TableIdentifier, changes: Sequence[GrantChange]) -> None:
        """Grant and revoke on one table in one call; what is so already is success.

        :raises ConfigurationError: IB-207 over a read-only connection, IB-208 when there is no such table, IB-241
            when the principal may not grant there, IB-634 when a principal of the changes does not exist.
        """
        full_name = self._full_name(table)
        what = f"change the privileges of {full_name}"
        if self._read_only:
            raise shared.read_only(self._name, what)
        body = {"changes": [_as_json(change) for change in changes if change.add or change.remove]}
        if not body["changes"]:
            return
        path = f"{UNITY}/permissions/table/{in_path(full_name)}"
        try:  # the same call again gives the same privileges, so a lost answer needs no look
            transient(lambda: self._workspace.send(what, "PATCH", path, body, right=f"MANAGE on {full_name}"))
        except IceBridgeError as error:
            if error.code != "IB-243":
                raise
            if "PRINCIPAL" in str(error.facts.get("error_code", "")):
                raise _no_principal(error, full_name, changes) from None
            raise shared.gone(table) from None

    def _grants(self, full_name: str) -> Iterable[Grant]:
        path = f"{UNITY}/effective-permissions/table/{in_path(full_name)}"
        what, right = f"read the privileges of {full_name}", f"MANAGE on {full_name}"
        for item in self._workspace.pages(what, path, "privilege_assignments", right=right):
            for privilege in item.get("privileges") or ():
                yield Grant(
                    principal=str(item["principal"]),
                    privilege=str(privilege["privilege"]),
                    inherited_from_type=str(privilege.get("inherited_from_type") or ""),
                    inherited_from_name=str(privilege.get("inherited_from_name") or ""),
                )

    def _policies(self, full_name: str) -> Iterable[Policy]:
        path = f"{UNITY}/policies/TABLE/{in_path(full_name)}"
        what, right = f"read the policies of {full_name}", f"MANAGE on {full_name}"
        for item in self._workspace.pages(what, path, "policies", {"include_inherited": "true"}, right=right):
            kind = str(item.get("for_securable_type", "TABLE")).upper()
            if kind == "TABLE" or (kind in _PARENTS and item.get("policy_type") in _LETTING_IN):
                yield _policy(item, full_name, self._name)

    def _tags(self, kind: str, full_name: str) -> dict[str, str]:
        path = f"{UNITY}/entity-tag-assignments/{kind}/{in_path(full_name)}/tags"
        found = self._workspace.pages(f"read the tags of {full_name}", path, "tag_assignments")
        return {str(item["tag_key"]): str(item.get("tag_value") or "") for item in found}

    def _all_tags(
        self, full_name: str, own: Mapping[str, str], columns: Iterable[Mapping[str, Any]]
    ) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        catalog, schema, _ = full_name.split(".")
        above = {**self._tags("catalogs", catalog), **self._tags("schemas", f"{catalog}.{schema}")}
        names = [str(column["name"]) for column in columns]
        of_columns = {name: self._tags("columns", f"{full_name}.{name}") for name in names}
        return {**above, **own}, {name: tags for name, tags in of_columns.items() if tags}


def _policy(item: Mapping[str, Any], full_name: str, name: str) -> Policy:
    try:
        kind = PolicyKind(str(item["policy_type"]).removeprefix("POLICY_TYPE_"))
    except ValueError:
        raise _unknown_policy(item, full_name, name) from None
    options = item.get(_OPTIONS.get(kind, "")) or {}
    return Policy(
        name=str(item.get("name", "")),
        kind=kind,
        on=f"{str(item.get('on_securable_type', '')).upper()} {item.get('on_securable_fullname', '')}".strip(),
        principals=tuple(item.get("to_principals") or ()),
        except_principals=tuple(item.get("except_principals") or ()),
        privileges=tuple(options.get("privileges") or ()),
        function=str(options.get("function_name", "")),
        columns=tuple(_inputs(options)),
        when=" AND ".join(_conditions(item)),
    )


def _inputs(options: Mapping[str, Any]) -> Iterable[str]:
    """What a filter or mask is put on and given: aliases of columns, constants."""
    if options.get("on_column"):
        yield str(options["on_column"])
    for given in options.get("using") or ():
        yield ", ".join(f"{key} {value}" for key, value in sorted(given.items()))


def _conditions(item: Mapping[str, Any]) -> Iterable[str]:
    if item.get("when_condition"):
        yield str(item["when_condition"])
    for match in item.get("match_columns") or ():
        yield f"{match.get('alias', '')}: {match.get('condition', '')}"


def _no_principal(error: IceBridgeError, full_name: str, changes: Sequence[GrantChange]) -> ConfigurationError:
    named = [change.principal for change in changes if change.principal in error.message]
    principal = max(named or [change.principal for change in changes], key=len)
    return ConfigurationError(
        "IB-634",
        f"The privileges of {full_name} could not be changed: there is no principal {principal!r} (any more).",
        remedy="Leave it out, or have an administrator restore it.",
        principal=principal,
        table=full_name,
    )


def _half_seen(full_name: str, principal: str, name: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-258",
        f"The principal {principal} of connection {name!r} is shown its own privileges on {full_name} only, not all.",
        remedy=f"GRANT MANAGE ON TABLE {full_name} TO `{principal}`, or on its schema or catalog.",
        conn_id=name,
        right="MANAGE",
    )


def _unknown_policy(item: Mapping[str, Any], full_name: str, name: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-256",
        f"The policy {item.get('name')!r} in force on {full_name} is of a kind that IceBridge does not know: "
        f"{item.get('policy_type')}.",
        remedy="Who may read the table cannot be told then: take the policy off it, or leave the table out.",
        conn_id=name,
    )


def _masks(columns: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {
        str(column["name"]): str(column["mask"].get("function_name", "")) for column in columns if column.get("mask")
    }


def _as_json(change: GrantChange) -> dict[str, Any]:
    return {"principal": change.principal, "add": list(change.add), "remove": list(change.remove)}

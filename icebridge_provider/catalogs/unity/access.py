"""Privileges of Unity Catalog: who may do what with a table, read whole and changed in one call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from icebridge_provider.catalogs import refusals as shared
from icebridge_provider.catalogs.unity.below import Below, read_below
from icebridge_provider.catalogs.unity.commits import Commits
from icebridge_provider.catalogs.unity.groups import Groups
from icebridge_provider.catalogs.unity.me import Me
from icebridge_provider.catalogs.unity.protect import Protector, definition_of, limit_of
from icebridge_provider.catalogs.unity.statements import Statements
from icebridge_provider.catalogs.unity.workspace import UNITY, Workspace, in_path
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError
from icebridge_provider.model.access import Grant, GrantChange, TableAccess
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.protection import Limit, Policy, PolicyKind, ProtectionChange
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
        self,
        name: str,
        workspace: Workspace,
        full_name: Callable[[TableIdentifier], str],
        statements: Statements,
        *,
        read_only: bool,
    ) -> None:
        self._name = name
        self._workspace = workspace
        self._full_name = full_name
        self._read_only = read_only
        self._me = Me(workspace)
        self._protector = Protector(workspace, statements)
        self._commits = Commits(statements)
        self._groups = Groups(workspace)

    def access_of(self, table: TableIdentifier, tags_of: Collection[str] = ()) -> TableAccess:
        """Owner, effective grants, policies, filter, masks and comment of one table: three requests.

        Where a policy holds under a condition on tags, those of the table and its parents are read too, one request
        each; where it looks for columns by their tags, those of all columns.

        :param tags_of: columns whose tags are read whatever the policies say; an empty name stands for the table. Then
            those of its parents are left out: they cannot be put on the table or taken off it.
        :raises ConfigurationError: IB-208 when there is no such table, IB-256 for a policy of a kind that is not
            known here, IB-258 when the principal is shown its own grants only.
        """
        full_name = self._full_name(table)
        info = self._info(full_name)
        if info is None:
            raise shared.gone(table)
        grants = tuple(self._grants(full_name))
        if not self._me.sees_all_grants(info, grants):
            raise _half_seen(full_name, self._me.name, self._name)
        policies = tuple(self._policies(full_name))
        columns = info.get("columns") or ()
        all_columns = any("match_columns" in policy.definition for policy in policies)
        tagged = [str(column["name"]) for column in columns if all_columns or column["name"] in tags_of]
        told = any(policy.when for policy in policies)
        return TableAccess(
            table=full_name,
            table_id=str(info.get("table_id", "")),
            owner=str(info.get("owner", "")),
            grants=grants,
            policies=policies,
            row_filter=_row_filter(info),
            masks=_masks(columns),
            comment=str(info.get("comment", "") or ""),
            tags=self._tags("tables", full_name) if tags_of else self._all_tags(full_name) if told else {},
            column_tags=self._column_tags(full_name, tagged) if tags_of or told else {},
        )

    def id_of(self, table: TableIdentifier) -> str | None:
        """Unity Catalog's own id of a table, None when there is none: one request."""
        info = self._info(self._full_name(table))
        return None if info is None else str(info.get("table_id", ""))

    def _info(self, full_name: str) -> dict[str, Any] | None:
        return self._workspace.find(f"read {full_name}", f"{UNITY}/tables/{in_path(full_name)}")

    def limits_on(self, table: TableIdentifier) -> list[str]:
        """Filter, masks and policies in force on a table, in words; none when they are not told."""
        try:
            found = self.access_of(table)
        except ConfigurationError:
            return []
        own = [f"row filter {found.row_filter}"] if found.row_filter else []
        own += [f"mask {limit} of column {column}" for column, limit in sorted(found.masks.items())]
        limiting = (PolicyKind.ROW_FILTER, PolicyKind.COLUMN_MASK)
        return own + [f"policy {one.name} on {one.on}" for one in found.policies if one.kind in limiting]

    def mark(self, table: TableIdentifier) -> str:
        """A mark of the table's newest commit, see ``catalogs/unity/commits.py``."""
        return self._commits.mark(self._full_name(table))

    def commits_since(self, table: TableIdentifier, mark: str) -> list[str]:
        """What came after a mark and may have changed rows or columns, in words."""
        return self._commits.since(self._full_name(table), mark)

    def groups_of(self, principals: Collection[str], among: Collection[str]) -> dict[str, tuple[str, ...]]:
        """The groups ``among`` these that principals are known to be in, nested ones too."""
        return self._groups.of(principals, among)

    def access_below(self, parts: tuple[str, ...]) -> Below:
        """What a schema (catalog, schema) or a catalog hands down to everything in it: three requests.

        :raises ConfigurationError: IB-241 when not even the principal's own grants may be read, IB-256 for a policy of
            a kind that is not known here.
        """
        return read_below(self._workspace, self._me, parts, lambda item, full: _policy(item, full, self._name))

    def writable(self) -> bool:
        """Whether this connection may change grants; those of foreign tables too, they are Unity Catalog's own."""
        return not self._read_only

    def protect(self, table: TableIdentifier, change: ProtectionChange) -> None:
        """Put filters, masks, policies, tags and comment on one table, or take them off, one after the other.

        :raises ConfigurationError: IB-207 over a read-only connection, IB-639 for a function that cannot be named.
        """
        full_name = self._full_name(table)
        if self._read_only:
            raise shared.read_only(self._name, f"protect {full_name}")
        self._protector.change(full_name, change)

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

    def _all_tags(self, full_name: str) -> dict[str, str]:
        """Tags of a table, and those of its parents where it has none of that name."""
        catalog, schema, _ = full_name.split(".")
        above = {**self._tags("catalogs", catalog), **self._tags("schemas", f"{catalog}.{schema}")}
        return {**above, **self._tags("tables", full_name)}

    def _column_tags(self, full_name: str, names: Iterable[str]) -> dict[str, dict[str, str]]:
        found = {name: self._tags("columns", f"{full_name}.{name}") for name in names}
        return {name: tags for name, tags in found.items() if tags}


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
        definition=definition_of(dict(item)),
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


def _row_filter(info: Mapping[str, Any]) -> Limit | None:
    shown = info.get("row_filter")
    return limit_of(shown, "input_arguments", "input_column_names") if shown else None


def _masks(columns: Iterable[Mapping[str, Any]]) -> dict[str, Limit]:
    return {
        str(column["name"]): limit_of(column["mask"], "using_arguments", "using_column_names")
        for column in columns
        if column.get("mask")
    }


def _as_json(change: GrantChange) -> dict[str, Any]:
    return {"principal": change.principal, "add": list(change.add), "remove": list(change.remove)}

"""Who may do what: inheritance, ALL PRIVILEGES, owners, groups, GRANT and DENY policies. Pure functions over a State.

Rules after Databricks' page "Unity Catalog privileges and securable objects"; what is not said there is named in
DIFFERENCES.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.peers.databricks.model import ALL_USERS, PolicyRow, Securable, State

_IN_SCHEMA = {
    "ALL_PRIVILEGES", "APPLY_TAG", "CREATE_FUNCTION", "CREATE_MATERIALIZED_VIEW", "CREATE_MODEL", "CREATE_TABLE",
    "CREATE_VIEW", "CREATE_VOLUME", "EXECUTE", "EXTERNAL_USE_SCHEMA", "MANAGE", "MODIFY", "READ_VOLUME", "REFRESH",
    "SELECT", "USE_SCHEMA", "WRITE_VOLUME",
}  # fmt: skip
APPLICABLE: dict[str, frozenset[str]] = {
    "METASTORE": frozenset({
        "CREATE_CATALOG", "CREATE_CLEAN_ROOM", "CREATE_CONNECTION", "CREATE_EXTERNAL_LOCATION", "CREATE_PROVIDER",
        "CREATE_RECIPIENT", "CREATE_SERVICE_CREDENTIAL", "CREATE_SHARE", "CREATE_STORAGE_CREDENTIAL",
        "MANAGE_ALLOWLIST", "SET_SHARE_PERMISSION", "USE_MARKETPLACE_ASSETS", "USE_PROVIDER", "USE_RECIPIENT",
        "USE_SHARE",
    }),
    "CATALOG": frozenset({*_IN_SCHEMA, "BROWSE", "CREATE_SCHEMA", "USE_CATALOG"}),
    "SCHEMA": frozenset(_IN_SCHEMA),
    "TABLE": frozenset({"ALL_PRIVILEGES", "APPLY_TAG", "MANAGE", "MODIFY", "SELECT"}),
    "VOLUME": frozenset({"ALL_PRIVILEGES", "APPLY_TAG", "MANAGE", "READ_VOLUME", "WRITE_VOLUME"}),
    "FUNCTION": frozenset({"ALL_PRIVILEGES", "EXECUTE", "MANAGE"}),
    "CONNECTION": frozenset({"ALL_PRIVILEGES", "CREATE_FOREIGN_CATALOG", "MANAGE", "USE_CONNECTION"}),
    "STORAGE_CREDENTIAL": frozenset({
        "ALL_PRIVILEGES", "CREATE_EXTERNAL_LOCATION", "CREATE_EXTERNAL_TABLE", "MANAGE", "READ_FILES", "WRITE_FILES",
    }),
    "EXTERNAL_LOCATION": frozenset({
        "ALL_PRIVILEGES", "BROWSE", "CREATE_EXTERNAL_TABLE", "CREATE_EXTERNAL_VOLUME", "CREATE_FOREIGN_SECURABLE",
        "CREATE_MANAGED_STORAGE", "EXTERNAL_USE_LOCATION", "MANAGE", "READ_FILES", "WRITE_FILES",
    }),
}  # fmt: skip
# Privileges that ALL PRIVILEGES does not hold.
APART = frozenset({"EXTERNAL_USE_LOCATION", "EXTERNAL_USE_SCHEMA", "MANAGE"})
# Privileges a child shows as inherited though they cannot be granted on it.
_THROUGH = frozenset({"BROWSE", "USE_CATALOG", "USE_SCHEMA", "EXTERNAL_USE_SCHEMA"})


class Standing(NamedTuple):
    """One privilege of one principal on a securable, and where it comes from (empty: from the securable itself)."""

    principal: str
    privilege: str
    inherited_from_type: str = ""
    inherited_from_name: str = ""


def effective(state: State, securable: Securable, principal: str) -> set[str]:
    """Everything a principal may do with a securable, ALL PRIVILEGES spelt out and DENY policies applied."""
    identities = identities_of(state, principal)
    found: set[str] = set()
    for step in lineage(securable):
        for holder, privileges in list(state.grants.get(step, {}).items()):
            if holder in identities:
                found |= _spelt_out(privileges, securable.kind)
    if owner_of(state, securable) in identities:
        found |= _reach(securable.kind) - {"EXTERNAL_USE_LOCATION", "EXTERNAL_USE_SCHEMA"} | {"MANAGE"}
    for policy in policies_for(state, securable, principal, "GRANT"):
        found |= _spelt_out(set(policy.privileges), securable.kind)
    for policy in policies_for(state, securable, principal, "DENY"):
        found -= _spelt_out(set(policy.privileges), securable.kind)
    return found & (_reach(securable.kind) | {"MANAGE"})


def standings(state: State, securable: Securable) -> list[Standing]:
    """Grants on a securable and those it inherits, as the effective-permissions API shows them (no policies)."""
    found: list[Standing] = []
    for step in lineage(securable):
        source = ("", "") if step == securable else (step.kind, step.name)
        for holder, privileges in sorted(state.grants.get(step, {}).items()):
            shown = privileges & (_reach(securable.kind) | {"ALL_PRIVILEGES"})
            found += [Standing(holder, privilege, *source) for privilege in sorted(shown)]
    return found


def missing(state: State, securable: Securable, principal: str, privilege: str) -> tuple[str, Securable] | None:
    """Give the first thing a principal lacks to use a privilege: USE CATALOG, USE SCHEMA, then the privilege."""
    *inside, _ = reversed(lineage(securable))
    if privilege.startswith("CREATE_") and securable.kind in {"CATALOG", "SCHEMA"}:
        inside.append(securable)
    for parent in inside:
        use = f"USE_{parent.kind}"
        if use not in effective(state, parent, principal):
            return use, parent
    return None if privilege in effective(state, securable, principal) else (privilege, securable)


def may_manage(state: State, securable: Securable, principal: str) -> bool:
    """Whether a principal may grant on it, change its owner or drop it.

    Owners of it or of what it is in may, the metastore admin too; MANAGE wants USE CATALOG and USE SCHEMA beside it.
    """
    if is_admin(state, principal):
        return True
    identities = identities_of(state, principal)
    owns = any(owner_of(state, step) in identities for step in lineage(securable))
    return owns or missing(state, securable, principal, "MANAGE") is None


def may_grant(state: State, securable: Securable, principal: str, privilege: str) -> bool:
    """EXTERNAL USE SCHEMA comes from the catalog's owner alone; the rest from whoever manages the securable."""
    if any("MANAGE_ACCESS_CONTROL" in one.privileges for one in policies_for(state, securable, principal, "DENY")):
        return False
    if privilege == "EXTERNAL_USE_SCHEMA":
        catalog = lineage(securable)[-1]
        return owner_of(state, catalog) in identities_of(state, principal)
    return may_manage(state, securable, principal)


def can_see(state: State, securable: Securable, principal: str, *, browse: bool = False) -> bool:
    """Whether lists and reads show a securable to a principal."""
    if may_manage(state, securable, principal):
        return True
    found = effective(state, securable, principal)
    if browse and "BROWSE" in found:
        return True
    if securable.kind in {"CATALOG", "SCHEMA"}:
        return f"USE_{securable.kind}" in found
    own = found & APPLICABLE[securable.kind]
    return any(missing(state, securable, principal, privilege) is None for privilege in own)


def lineage(securable: Securable) -> list[Securable]:
    """The securable, then its schema, then its catalog."""
    kind, name = securable
    if kind in {"TABLE", "VOLUME", "FUNCTION"}:
        catalog, schema, _ = name.split(".", 2)
        return [securable, Securable("SCHEMA", f"{catalog}.{schema}"), Securable("CATALOG", catalog)]
    if kind == "SCHEMA":
        return [securable, Securable("CATALOG", name.split(".", 1)[0])]
    return [securable]


def owner_of(state: State, securable: Securable) -> str:
    """The owner's name, empty when there is no such securable."""
    if securable.kind == "METASTORE":
        return state.metastore.owner
    row = state.rows(securable.kind).get(securable.name)
    return row.owner if row else ""


def is_admin(state: State, principal: str) -> bool:
    """Whether a principal is the metastore admin, itself or by a group."""
    return state.metastore.owner in identities_of(state, principal)


def identities_of(state: State, principal: str) -> set[str]:
    """The principal's own name and every group it is in, nested ones too."""
    found, todo = {principal, ALL_USERS}, [principal]
    while todo:
        member = todo.pop()
        new = {group for group, members in list(state.groups.items()) if member in members} - found
        found |= new
        todo += new
    return found


def policies_on(state: State, securable: Securable) -> list[PolicyRow]:
    """Policies that stand on a securable or above it, for its kind, and whose condition its tags meet."""
    steps = lineage(securable)
    return [
        policy
        for policy in state.policies
        if policy.on in steps and policy.for_type == securable.kind and _met(policy.when, _tags(state, securable))
    ]


def policies_for(state: State, securable: Securable, principal: str, kind: str) -> Iterator[PolicyRow]:
    """Policies of one kind in force for a principal."""
    if not state.policies:
        return
    identities = identities_of(state, principal)
    for policy in policies_on(state, securable):
        if policy.type == kind and identities & set(policy.to) and not identities & set(policy.excepted):
            yield policy


def _spelt_out(privileges: set[str], kind: str) -> set[str]:
    return privileges | (_reach(kind) - APART) if "ALL_PRIVILEGES" in privileges else privileges


def _reach(kind: str) -> frozenset[str]:
    through = _THROUGH if kind in {"SCHEMA", "TABLE", "VOLUME", "FUNCTION"} else frozenset()
    return (APPLICABLE[kind] | through) - {"ALL_PRIVILEGES"}


def _tags(state: State, securable: Securable) -> dict[str, str]:
    tags: dict[str, str] = {}
    for step in reversed(lineage(securable)):
        row = state.rows(step.kind).get(step.name)
        tags |= row.tags if row else {}
    return tags


_CONDITION = re.compile(
    r"""\s*(?:has_?tag\(\s*'([^']+)'\s*\)|has_?tag_?value\(\s*'([^']+)'\s*,\s*'([^']*)'\s*\)|true)\s*""", re.IGNORECASE
)


def condition_is_known(when: str) -> bool:
    """Whether a policy's condition is one this workspace evaluates."""
    return not when or _CONDITION.fullmatch(when) is not None


def _met(when: str, tags: dict[str, str]) -> bool:
    found = _CONDITION.fullmatch(when or "TRUE")
    if found is None:
        return False
    key, valued, value = found.groups()
    if key:
        return key in tags
    return tags.get(valued) == value if valued else True


class Policed(NamedTuple):
    """What a principal's reads of a table go through: row filters and masks as (function, arguments)."""

    filters: list[tuple[str, tuple[str, ...]]]
    masks: dict[str, tuple[str, tuple[str, ...]]]


def policed(state: State, table: str, principal: str) -> Policed:
    """Row filters and column masks in force for one reader, those of the table and those of policies."""
    row = state.tables[table]
    securable = Securable("TABLE", table)
    found = Policed([], {})
    if row.row_filter:
        found.filters.append((row.row_filter.function_name, row.row_filter.columns))
    for policy in policies_for(state, securable, principal, "ROW_FILTER"):
        if (aliases := _aliases(state, policy, table)) is not None:
            found.filters.append((policy.function_name, tuple(aliases.get(one, one) for one in policy.using)))
    for column in row.columns:
        if column.mask:
            found.masks[column.name] = (column.mask.function_name, column.mask.columns)
    for policy in policies_for(state, securable, principal, "COLUMN_MASK"):
        if (aliases := _aliases(state, policy, table)) is not None:
            column_name = aliases.get(policy.on_column, policy.on_column)
            more = tuple(aliases.get(one, one) for one in policy.using)
            found.masks.setdefault(column_name, (policy.function_name, more))
    return found


def _aliases(state: State, policy: PolicyRow, table: str) -> dict[str, str] | None:
    """Columns by the policy's aliases; None when a condition matches no column of the table."""
    found: dict[str, str] = {}
    for alias, condition in policy.match_columns:
        column = next((one for one in state.tables[table].columns if _met(condition, one.tags)), None)
        if column is None:
            return None
        found[alias] = column.name
    return found

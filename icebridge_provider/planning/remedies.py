"""Grants, and the statements that a person is told to run about them, in words."""

from __future__ import annotations

from collections.abc import Iterable

from icebridge_provider.model.access import Grant, GrantChange, TableAccess
from icebridge_provider.model.identifier import split_parts
from icebridge_provider.model.protection import Policy
from icebridge_provider.sql.identifiers import quoted
from icebridge_provider.sql.policies import create_policy, set_owner


def spoken(privilege: str) -> str:
    """Return a privilege as SQL spells it."""
    return privilege.replace("_", " ")


def placed(policy: Policy) -> str:
    """Return where a policy stands, with a blank before it."""
    return f" on {policy.on}" if policy.on else ""


def origin_of(grant: Grant, access: TableAccess) -> str:
    """Return a privilege and where it comes from."""
    if not grant.inherited_from_type:
        return f"{spoken(grant.privilege)} on {access.table}"
    return f"{spoken(grant.privilege)} on {grant.inherited_from_type.lower()} {grant.inherited_from_name}"


def grant_statement(privilege: str, kind: str, name: str, principal: str) -> str:
    """Return the SQL that grants."""
    return f"GRANT {spoken(privilege)} ON {kind} {_quoted(name)} TO {quoted(principal)}"


def revoke_statement(grant: Grant) -> str:
    """Return the SQL that revokes a grant where it stands."""
    place = f"{grant.inherited_from_type.upper()} {_quoted(grant.inherited_from_name)}"
    return f"REVOKE {spoken(grant.privilege)} ON {place} FROM {quoted(grant.principal)}"


def use_statement(privilege: str, access: TableAccess, principal: str) -> str:
    """Return the SQL that lets somebody into the catalog or schema of a table."""
    kind, parts = ("CATALOG", 1) if privilege == "USE_CATALOG" else ("SCHEMA", 2)
    return f"GRANT {spoken(privilege)} ON {kind} {quoted(*parts_of(access.table)[:parts])} TO {quoted(principal)}"


def _quoted(name: str) -> str:
    return quoted(*parts_of(name))


def parts_of(name: str) -> list[str]:
    """Return the parts of a full name as a catalog shows it."""
    try:
        return split_parts(name)
    except ValueError:
        return [name]


def revoke_statements(source: str, revokes: Iterable[GrantChange]) -> tuple[str, ...]:
    """Return the SQL of revocations on a table, for whoever may run it."""
    return tuple(
        f"REVOKE {', '.join(map(spoken, one.remove))} ON TABLE {_quoted(source)} FROM {quoted(one.principal)}"
        for one in revokes
    )


def owner_statement(owner: str, name: str, staged: str) -> str:
    """Return the SQL that gives the new table the owner of the old one, for whoever may run it."""
    return set_owner([*parts_of(staged)[:-1], name], owner)


def made_there(policy: Policy, target: TableAccess) -> str:
    """How to put a policy, which the source inherits, in the same place above the copy."""
    kind, parts = policy.on.partition(" ")[0], parts_of(target.table)
    on = {"CATALOG": ("CATALOG", parts[:1]), "SCHEMA": ("SCHEMA", parts[:2])}.get(kind, ("TABLE", parts))
    statement = create_policy(policy, *on)
    return f"Run: {statement}" if statement else f"Create it on {on[0].lower()} {quoted(*on[1])} first"

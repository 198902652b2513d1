"""Who must be granted what on the new table, and who loses what on the old one, so that nobody reads less or more.

The rules hold whatever groups people are in, known or not: a principal is carried over only when it reaches the rows
on both sides by its own name (or by a group it is known to be in), so what it stands for is the same people before and
after. Where that cannot be seen the table is refused, with the statement that makes it visible.

Rules after Databricks' pages on Unity Catalog privileges: grants on catalogs and schemas are inherited and cannot be
revoked on a table; reading takes USE CATALOG and USE SCHEMA besides SELECT; the owner always reads; ALL PRIVILEGES
holds SELECT.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from icebridge_provider.model.access import Grant, GrantChange, Policy, PolicyKind, TableAccess
from icebridge_provider.model.identifier import split_parts
from icebridge_provider.sql.identifiers import quoted

EVERYONE = "account users"
SELECT, ALL = "SELECT", "ALL_PRIVILEGES"
READS = frozenset({SELECT, ALL})
USES = ("USE_CATALOG", "USE_SCHEMA")
_HOLDS_USE = {"USE_CATALOG": frozenset({"CATALOG"}), "USE_SCHEMA": frozenset({"CATALOG", "SCHEMA"})}
_LIMITING = frozenset({PolicyKind.ROW_FILTER, PolicyKind.COLUMN_MASK, PolicyKind.DENY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """What moves the readers of one table: ``grants`` on the new table, then ``revokes`` on the old one.

    ``source`` is the old table in its catalog's words. Each of ``refusals`` says why it must not be done as things
    stand, and what to do about it.
    """

    source: str = ""

    grants: tuple[GrantChange, ...] = ()
    revokes: tuple[GrantChange, ...] = ()
    refusals: tuple[str, ...] = ()


def swap(source: TableAccess, target: TableAccess) -> Swap:
    """Return the changes that give every reader of ``source`` the same rows of ``target`` and take the old ones away.

    Only reading moves: SELECT is granted, also for ALL PRIVILEGES; other privileges stay where they are. The owner of
    the old table keeps it. So does the owner of the new one, who made the copy and could not roll back otherwise.

    :param target: the copy under its staged name, as it stands before anything is granted.
    """
    owners = {source.owner, target.owner} - {""}
    readers = [principal for principal in _direct_readers(source) if principal not in owners]
    refusals = (
        *_unequal_protections(source, target),
        *_unequal_policies(source, target),
        *_unequal_conditions(source, target),
        *_stays_readable(source, owners),
        *_out_of_reach(source, target, readers),
        *exposed(source, target),
    )
    grants, revokes = _grants(source, target, readers), _revokes(source, readers)
    return Swap(source=source.table, grants=grants, revokes=revokes, refusals=refusals)


def exposed(source: TableAccess, place: TableAccess) -> tuple[str, ...]:
    """Return who reads ``place`` and could not read ``source``, in words.

    :param place: the copy, or what a new table inherits in the schema where a copy is to be made.
    """
    held = [(grant.principal, _origin(grant, place)) for grant in place.grants if grant.privilege in READS]
    given = [
        (principal, f"policy {policy.name}")
        for policy in place.policies
        if policy.kind is PolicyKind.GRANT and READS & set(policy.privileges)
        for principal in policy.principals
    ]
    return tuple(
        f"{principal} would read {place.table} by {by}, and {source.table} is not open to it as far as grants show. "
        f"Take that away from it, or run: {_granted(SELECT, 'TABLE', source.table, principal)}"
        for principal, by in dict(sorted(held + given)).items()
        if principal != place.owner and not _reads(source, principal)
    )


def after(access: TableAccess, changes: Iterable[GrantChange]) -> TableAccess:
    """Return the access that ``changes`` on the table itself lead to."""
    grants = list(access.grants)
    for change in changes:
        grants = [
            grant
            for grant in grants
            if grant.inherited_from_type or grant.principal != change.principal or grant.privilege not in change.remove
        ]
        grants += [Grant(principal=change.principal, privilege=privilege) for privilege in change.add]
    return replace(access, grants=tuple(dict.fromkeys(grants)))


def inverse(changes: Iterable[GrantChange]) -> tuple[GrantChange, ...]:
    """Return the changes that take ``changes`` back, provided that each of them changed something."""
    return tuple(GrantChange(principal=one.principal, add=one.remove, remove=one.add) for one in changes)


def left_of(access: TableAccess, changes: Iterable[GrantChange]) -> tuple[GrantChange, ...]:
    """Return what of ``changes`` is not so yet."""
    found = []
    for change in changes:
        held = {grant.privilege for grant in _direct(access) if grant.principal == change.principal}
        add = tuple(privilege for privilege in change.add if privilege not in held)
        remove = tuple(privilege for privilege in change.remove if privilege in held)
        if add or remove:
            found.append(GrantChange(principal=change.principal, add=add, remove=remove))
    return tuple(found)


def drift(recorded: TableAccess, now: TableAccess) -> tuple[str, ...]:
    """Return in words what bears on who reads the table and is not as it was recorded.

    New USE CATALOG, USE SCHEMA and other inherited privileges open no table, so they are no drift; lost ones are.
    """
    facts = [
        ("owner", {recorded.owner}, {now.owner}),
        ("grant", _bearing(recorded), _bearing(now)),
        ("policy", set(map(_policy, recorded.policies)), set(map(_policy, now.policies))),
        ("row filter", {recorded.row_filter} - {""}, {now.row_filter} - {""}),
        ("mask", set(map(_pair, recorded.masks.items())), set(map(_pair, now.masks.items()))),
        ("tag", _weighing_tags(recorded), _weighing_tags(now)),
        ("way in", _ways(recorded, now), _ways(now, now) & _ways(recorded, now)),
    ]
    gone = [f"{what} {item} is gone" for what, before, there in facts for item in sorted(before - there)]
    new = [f"{what} {item} is new" for what, before, there in facts for item in sorted(there - before)]
    return (*gone, *new)


# What moves


def _grants(source: TableAccess, target: TableAccess, readers: list[str]) -> tuple[GrantChange, ...]:
    wanted = list(readers)
    if source.owner and source.owner != target.owner and _reads(source, source.owner) and _enters(target, source.owner):
        wanted.append(source.owner)
    there = _direct_readers(target)
    return tuple(GrantChange(principal=one, add=(SELECT,)) for one in sorted(wanted) if one not in there)


def _revokes(source: TableAccess, readers: list[str]) -> tuple[GrantChange, ...]:
    held = _direct_readers(source)
    return tuple(GrantChange(principal=one, remove=tuple(sorted(held[one]))) for one in sorted(readers))


def _direct(access: TableAccess) -> Iterator[Grant]:
    return (grant for grant in access.grants if not grant.inherited_from_type)


def _direct_readers(access: TableAccess) -> dict[str, set[str]]:
    """Principals that a grant on the table itself lets read, with the privileges that do."""
    found: dict[str, set[str]] = {}
    for grant in _direct(access):
        if grant.privilege in READS:
            found.setdefault(grant.principal, set()).add(grant.privilege)
    return found


# Why not


def _stays_readable(source: TableAccess, owners: set[str]) -> Iterator[str]:
    for grant in sorted(source.grants, key=str):
        if grant.inherited_from_type and grant.privilege in READS and grant.principal not in owners:
            yield (
                f"{grant.principal} would go on reading {source.table} by {_origin(grant, source)}, whatever is "
                f"revoked on the table. Run: {_revoked(grant)}, and grant SELECT on the tables it shall read"
            )
    for policy in source.policies:
        keeps = sorted(set(policy.principals) - owners)
        if policy.kind is PolicyKind.GRANT and READS & set(policy.privileges) and keeps:
            yield (
                f"policy {policy.name}{_on(policy)} would keep {source.table} readable for {', '.join(keeps)}. "
                f"Grant SELECT to them and take the table out of the policy"
            )


def _out_of_reach(source: TableAccess, target: TableAccess, readers: list[str]) -> Iterator[str]:
    for principal in sorted(readers):
        for privilege in _lacking(source, principal):
            yield (
                f"{principal} has SELECT on {source.table} but {_words(privilege)} not by its own name, so nobody "
                f"can tell by the grants who reads the table. Revoke its SELECT, or run: "
                f"{_use_granted(privilege, source, principal)}"
            )
        for privilege in _lacking(target, principal):
            yield (
                f"{principal} reads {source.table} and would not reach {target.table}: {_words(privilege)} is missing."
                f" Run: {_use_granted(privilege, target, principal)}"
            )


def _unequal_protections(source: TableAccess, target: TableAccess) -> Iterator[str]:
    if source.row_filter != target.row_filter:
        yield _differs("row filter", source, source.row_filter, target, target.row_filter)
    for column in sorted(source.masks.keys() | target.masks.keys()):
        one, two = source.masks.get(column, ""), target.masks.get(column, "")
        if one != two:
            yield _differs(f"mask of column {column}", source, one, target, two)


def _unequal_policies(source: TableAccess, target: TableAccess) -> Iterator[str]:
    one, two = ({_policy(item) for item in access.policies if item.kind in _LIMITING} for access in (source, target))
    for policy in sorted(one - two):
        yield f"policy {policy} is in force on {source.table} and not on {target.table}. Create it there first"
    for policy in sorted(two - one):
        yield f"policy {policy} is in force on {target.table} and not on {source.table}: readers would lose rows"


def _unequal_conditions(source: TableAccess, target: TableAccess) -> Iterator[str]:
    """Equal policies do the same only where their conditions on tags come out the same."""
    conditional = sorted({item.name for access in (source, target) for item in access.policies if item.when})
    one, two = _tags(source), _tags(target)
    if conditional and one != two:
        yield (
            f"policy {', '.join(conditional)} holds under a condition on tags, and {source.table} and {target.table} "
            f"differ in {', '.join(sorted(one ^ two))}. Set the same tags on both"
        )


def _differs(what: str, source: TableAccess, one: str, target: TableAccess, two: str) -> str:
    return (
        f"{what} is {one or 'none'} on {source.table} and {two or 'none'} on {target.table}. "
        f"Make both the same before anybody is granted access"
    )


# Who reads


def _names(access: TableAccess, principal: str) -> set[str]:
    return {principal, EVERYONE, *access.groups.get(principal, ())}


def _reads(access: TableAccess, principal: str) -> bool:
    """Whether the grants show that everybody a principal stands for reads the table, denials apart."""
    if not _enters(access, principal):
        return False
    names = _names(access, principal)
    return access.owner in names or any(
        grant.principal in names and grant.privilege in READS for grant in access.grants
    )


def _enters(access: TableAccess, principal: str) -> bool:
    return not _lacking(access, principal)


def _lacking(access: TableAccess, principal: str) -> list[str]:
    """Which of USE CATALOG and USE SCHEMA a principal has not by its own name or a group it is known to be in."""
    names = _names(access, principal)
    mine = [grant for grant in access.grants if grant.principal in names]
    return [use for use in USES if not any(_holds(grant, use) for grant in mine)]


def _holds(grant: Grant, use: str) -> bool:
    return grant.privilege == use or (grant.privilege == ALL and grant.inherited_from_type.upper() in _HOLDS_USE[use])


# What has changed


def _bearing(access: TableAccess) -> set[str]:
    """Grants on the table itself, and inherited ones that open it."""
    return {_grant(grant) for grant in access.grants if not grant.inherited_from_type or grant.privilege in READS}


def _ways(access: TableAccess, now: TableAccess) -> set[str]:
    """What lets principals in without a grant on the table; of whom nothing is told ``now``, nothing is expected."""
    uses = {_grant(grant) for grant in access.grants if grant.privilege in USES}
    return uses | {f"{one} in {group}" for one in access.groups.keys() & now.groups for group in access.groups[one]}


def _weighing_tags(access: TableAccess) -> set[str]:
    return _tags(access) if any(policy.when for policy in access.policies) else set()


def _tags(access: TableAccess) -> set[str]:
    of_columns = {
        f"{name}={value} of column {column}"
        for column, tags in access.column_tags.items()
        for name, value in tags.items()
    }
    return of_columns | {f"{name}={value}" for name, value in access.tags.items()}


def _grant(grant: Grant) -> str:
    by = f" of {grant.inherited_from_type} {grant.inherited_from_name}" if grant.inherited_from_type else ""
    return f"{_words(grant.privilege)}{by} to {grant.principal}"


def _policy(policy: Policy) -> str:
    """Return what a policy does, without where it was defined: source and copy lie in different catalogs."""
    excepted = f" except {', '.join(sorted(policy.except_principals))}" if policy.except_principals else ""
    does = ", ".join((*sorted(policy.privileges), *filter(None, [policy.function]), *policy.columns))
    when = f" when {policy.when}" if policy.when else ""
    return f"{policy.name} ({policy.kind} {does} for {', '.join(sorted(policy.principals))}{excepted}{when})"


def _pair(item: tuple[str, str]) -> str:
    return f"{item[1]} of column {item[0]}"


# Words


def _words(privilege: str) -> str:
    return privilege.replace("_", " ")


def _on(policy: Policy) -> str:
    return f" on {policy.on}" if policy.on else ""


def _origin(grant: Grant, access: TableAccess) -> str:
    if not grant.inherited_from_type:
        return f"{_words(grant.privilege)} on {access.table}"
    return f"{_words(grant.privilege)} on {grant.inherited_from_type.lower()} {grant.inherited_from_name}"


def _granted(privilege: str, kind: str, name: str, principal: str) -> str:
    return f"GRANT {_words(privilege)} ON {kind} {_quoted(name)} TO {quoted(principal)}"


def _revoked(grant: Grant) -> str:
    place = f"{grant.inherited_from_type.upper()} {_quoted(grant.inherited_from_name)}"
    return f"REVOKE {_words(grant.privilege)} ON {place} FROM {quoted(grant.principal)}"


def _use_granted(privilege: str, access: TableAccess, principal: str) -> str:
    kind, parts = ("CATALOG", 1) if privilege == "USE_CATALOG" else ("SCHEMA", 2)
    return f"GRANT {_words(privilege)} ON {kind} {quoted(*_parts(access.table)[:parts])} TO {quoted(principal)}"


def _quoted(name: str) -> str:
    return quoted(*_parts(name))


def _parts(name: str) -> list[str]:
    try:
        return split_parts(name)
    except ValueError:
        return [name]


def revoke_statements(moves: Swap) -> tuple[str, ...]:
    """Return the SQL of the revocations, for whoever may run it."""
    return tuple(
        f"REVOKE {', '.join(map(_words, one.remove))} ON TABLE {_quoted(moves.source)} FROM {quoted(one.principal)}"
        for one in moves.revokes
    )

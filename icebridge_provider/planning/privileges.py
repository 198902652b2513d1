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

from icebridge_provider.model.access import Grant, GrantChange, TableAccess
from icebridge_provider.model.protection import Limit, PolicyKind, ProtectionChange
from icebridge_provider.planning.protections import LIMITING, NOTHING, after_protection, wanted, words
from icebridge_provider.planning.remedies import (
    grant_statement,
    made_there,
    origin_of,
    placed,
    revoke_statement,
    spoken,
    use_statement,
)

EVERYONE = "account users"
SELECT, ALL = "SELECT", "ALL_PRIVILEGES"
READS = frozenset({SELECT, ALL})
USES = ("USE_CATALOG", "USE_SCHEMA")
_HOLDS_USE = {"USE_CATALOG": frozenset({"CATALOG"}), "USE_SCHEMA": frozenset({"CATALOG", "SCHEMA"})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """What moves the readers of one table: ``protections``, then ``grants`` on the new one, ``revokes`` on the old one.

    ``source`` and ``target`` are the tables in their catalogs' words, ``owner`` the old one's where the new one has
    another. Each of ``refusals`` says why it must not be done as things stand, and what to do about it.
    """

    source: str = ""
    target: str = ""
    owner: str = ""
    protections: ProtectionChange = NOTHING
    grants: tuple[GrantChange, ...] = ()
    revokes: tuple[GrantChange, ...] = ()
    refusals: tuple[str, ...] = ()


def swap(source: TableAccess, target: TableAccess) -> Swap:
    """Return the changes that give every reader of ``source`` the same rows of ``target`` and take the old ones away.

    Only reading moves: SELECT is granted, also for ALL PRIVILEGES; other privileges stay where they are. The owner of
    the old table keeps it. So does the owner of the new one, who made the copy and could not roll back otherwise.

    :param target: the copy under its staged name, as it stands before anything is granted.
    """
    protections = wanted(source, target)
    protected = after_protection(target, protections)
    owners = {source.owner, target.owner} - {""}
    readers = [principal for principal in _direct_readers(source) if principal not in owners]
    refusals = (
        *_unequal_protections(source, protected),
        *_unequal_policies(source, protected),
        *_unequal_conditions(source, protected),
        *_stays_readable(source, owners),
        *_out_of_reach(source, target, readers),
        *exposed(source, target),
    )
    return Swap(
        source=source.table,
        target=target.table,
        owner=source.owner if source.owner != target.owner else "",
        protections=protections,
        grants=_grants(source, target, readers),
        revokes=_revokes(source, readers),
        refusals=refusals,
    )


def exposed(source: TableAccess, place: TableAccess) -> tuple[str, ...]:
    """Return who reads ``place`` and could not read ``source``, or not all of it, in words.

    :param place: the copy, or what a new table inherits in the schema where a copy is to be made.
    """
    bare = wanted(source, place).add.limiting
    return tuple(
        _exposed(source, place, principal, by, bare=bare)
        for principal, by in sorted(readers_of(place).items())
        if bare or not _reads(source, principal)
    )


def _exposed(source: TableAccess, place: TableAccess, principal: str, by: str, *, bare: bool) -> str:
    if bare:
        return (
            f"{principal} would read {place.table} by {by}, where what limits the readers of {source.table} does not "
            f"stand before the cut-over. Take that away from it until the table is cut over"
        )
    return (
        f"{principal} would read {place.table} by {by}, and {source.table} is not open to it as far as grants show. "
        f"Take that away from it, or run: {grant_statement(SELECT, 'TABLE', source.table, principal)}"
    )


def readers_of(access: TableAccess) -> dict[str, str]:
    """Return who may read a table besides its owner, and by what; whether they may enter its schema is not asked."""
    held = {grant.principal: origin_of(grant, access) for grant in access.grants if grant.privilege in READS}
    given = {
        principal: f"policy {policy.name}"
        for policy in access.policies
        if policy.kind is PolicyKind.GRANT and READS & set(policy.privileges)
        for principal in policy.principals
    }
    return {principal: by for principal, by in {**held, **given}.items() if principal != access.owner}


def named_in(*accesses: TableAccess) -> tuple[set[str], set[str]]:
    """Return the principals whose groups bear on a swap (who reads, who owns), and the groups that may let them in."""
    opening = READS | set(USES)
    readers = {grant.principal for access in accesses for grant in access.grants if grant.privilege in READS}
    holders = {grant.principal for access in accesses for grant in access.grants if grant.privilege in opening}
    owners = {access.owner for access in accesses}
    return (readers | owners) - {"", EVERYONE}, (holders | owners) - {"", EVERYONE}


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
        ("table", {recorded.table_id}, {now.table_id}),
        ("owner", {recorded.owner}, {now.owner}),
        ("grant", _bearing(recorded), _bearing(now)),
        ("policy", set(map(words, recorded.policies)), set(map(words, now.policies))),
        ("row filter", _filter(recorded), _filter(now)),
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
                f"{grant.principal} would go on reading {source.table} by {origin_of(grant, source)}, whatever is "
                f"revoked on the table. Run: {revoke_statement(grant)}, and grant SELECT on the tables it shall read"
            )
    for policy in source.policies:
        keeps = sorted(set(policy.principals) - owners)
        if policy.kind is PolicyKind.GRANT and READS & set(policy.privileges) and keeps:
            yield (
                f"policy {policy.name}{placed(policy)} would keep {source.table} readable for {', '.join(keeps)}. "
                f"Grant SELECT to them and take the table out of the policy"
            )


def _out_of_reach(source: TableAccess, target: TableAccess, readers: list[str]) -> Iterator[str]:
    for principal in sorted(readers):
        for privilege in _lacking(source, principal):
            yield (
                f"{principal} has SELECT on {source.table} but {spoken(privilege)} not by its own name, so nobody "
                f"can tell by the grants who reads the table. Revoke its SELECT, or run: "
                f"{use_statement(privilege, source, principal)}"
            )
        for privilege in _lacking(target, principal):
            yield (
                f"{principal} reads {source.table} and would not reach {target.table}: {spoken(privilege)} is missing."
                f" Run: {use_statement(privilege, target, principal)}"
            )


def _unequal_protections(source: TableAccess, target: TableAccess) -> Iterator[str]:
    if source.row_filter != target.row_filter:
        yield _differs("row filter", source, source.row_filter, target, target.row_filter)
    for column in sorted(source.masks.keys() | target.masks.keys()):
        one, two = source.masks.get(column), target.masks.get(column)
        if one != two:
            yield _differs(f"mask of column {column}", source, one, target, two)


def _unequal_policies(source: TableAccess, target: TableAccess) -> Iterator[str]:
    one, two = (
        {words(policy): policy for policy in access.policies if policy.kind in LIMITING} for access in (source, target)
    )
    for said in sorted(one.keys() - two.keys()):
        yield f"policy {said} is in force on {source.table} and not on {target.table}. {made_there(one[said], target)}"
    for said in sorted(two.keys() - one.keys()):
        yield f"policy {said} is in force on {target.table} and not on {source.table}: readers would lose rows"


def _unequal_conditions(source: TableAccess, target: TableAccess) -> Iterator[str]:
    """Equal policies do the same only where their conditions on tags come out the same."""
    conditional = sorted({item.name for access in (source, target) for item in access.policies if item.when})
    one, two = _tags(source), _tags(target)
    if conditional and one != two:
        yield (
            f"policy {', '.join(conditional)} holds under a condition on tags, and {source.table} and {target.table} "
            f"differ in {', '.join(sorted(one ^ two))}. Set the same tags on both"
        )


def _differs(what: str, source: TableAccess, one: Limit | None, target: TableAccess, two: Limit | None) -> str:
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
    return f"{spoken(grant.privilege)}{by} to {grant.principal}"


def _filter(access: TableAccess) -> set[str]:
    return {str(access.row_filter)} if access.row_filter else set()


def _pair(item: tuple[str, Limit]) -> str:
    return f"{item[1]} of column {item[0]}"

"""What one principal may do, from what a workspace shows of grants: yes, no, or not to be told."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

from icebridge_provider.catalogs.unity.below import Below
from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.model.access import Grant, PolicyKind
from icebridge_provider.planning.unity_facts import Told

T = TypeVar("T")
ALL = "ALL_PRIVILEGES"
_APART = frozenset({"EXTERNAL_USE_SCHEMA", "MANAGE"})  # ALL PRIVILEGES does not hold them
_OF_CATALOG = frozenset({"USE_CATALOG", "CREATE_SCHEMA"})
_OF_SCHEMA = frozenset({"USE_SCHEMA", "CREATE_TABLE"})
_NO_GROUP = re.compile(r".*@.*|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")  # a user, a service principal


def answered(act: Callable[[], T]) -> T | None:
    """Return an answer, None where the workspace refuses to tell.

    :raises TransientError: when it may tell later.
    """
    try:
        return act()
    except IceBridgeError as error:
        if error.retryable:
            raise
        return None


def right(below: Below, privilege: str, mine: Collection[str], owners: Iterable[str] = ()) -> Told:
    """Say whether the principal has a privilege on what ``below`` stands for or on everything in it.

    A group that holds it and that the principal may be in without our knowing makes the answer unknown.

    :param mine: every name that a grant to the principal may bear.
    :param owners: owners of what is above: of the catalog, of the metastore.
    """
    if not below.there:
        return Told.UNKNOWN
    if owns(below, privilege, mine, owners) or _given_by_policy(below, privilege, mine):
        return Told.YES
    holders = {grant.principal for grant in below.access.grants if _gives(grant, privilege)}
    if holders & set(mine) or (holders and not below.whole):
        return Told.YES  # whoever is not shown all grants is shown those that it has, by groups too
    return Told.UNKNOWN if any(not _NO_GROUP.fullmatch(holder) for holder in holders) else Told.NO


def owns(below: Below, privilege: str, mine: Collection[str], owners: Iterable[str]) -> bool:
    """Whether owning gives the privilege: that of the thing itself; MANAGE also on everything in it."""
    above = list(owners)
    if privilege == "MANAGE":
        return bool({below.access.owner, *above} & set(mine))
    if privilege in _OF_CATALOG:
        return (below.access.owner if len(below.parts) == 1 else next(iter(above), "")) in mine
    return privilege in _OF_SCHEMA and len(below.parts) == 2 and below.access.owner in mine


def _gives(grant: Grant, privilege: str) -> bool:
    if grant.privilege != ALL or privilege in _APART:
        return grant.privilege == privilege
    return privilege not in _OF_CATALOG or grant.inherited_from_type.upper() == "CATALOG"


def _given_by_policy(below: Below, privilege: str, mine: Collection[str]) -> bool:
    return any(
        policy.kind is PolicyKind.GRANT
        and not policy.when
        and privilege in policy.privileges
        and set(policy.principals) & set(mine)
        and not set(policy.except_principals) & set(mine)
        for policy in below.access.policies
    )

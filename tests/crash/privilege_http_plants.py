"""Planted bugs in what is asked of the workspace, and some of those in the steps that only a kill brings to light."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from icebridge_provider.catalogs.unity import access as unity_access
from icebridge_provider.catalogs.unity.access import UnityAccess
from icebridge_provider.model.access import GrantChange
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.steps import actions, cut_over, rollback
from tests.crash.privilege_plants import _before, _reordered

EVERYBODY = "account users"


@dataclass(frozen=True, kw_only=True)
class HttpPlant:
    """What is replaced by what; it takes worlds with so much trouble, perhaps a kill, to see it."""

    holder: Any
    name: str
    make: Callable[[Any], Any]
    troubles: int | None = 0
    killed: bool = False


def _direct_only(real: Any) -> Any:
    """Who reads by a grant on a schema or a catalog is not seen."""
    reads = {"SELECT", "ALL_PRIVILEGES"}
    return lambda self, name: (
        one for one in real(self, name) if not (one.inherited_from_name and one.privilege in reads)
    )


def _no_policies(_: Any) -> Any:
    return lambda *_: ()


def _no_masks(_: Any) -> Any:
    return lambda *_: {}


def _all_at_once(real: Any) -> Any:
    """Readers are let in by a grant to everybody, which is taken back after it is settled who they are."""

    def change(self: UnityAccess, table: TableIdentifier, changes: list[GrantChange]) -> None:
        if any(one.add for one in changes):
            real(self, table, [GrantChange(principal=EVERYBODY, add=("SELECT",))])
        real(self, table, changes)
        if any(one.add for one in changes) and not any(one.principal == EVERYBODY for one in changes):
            real(self, table, [GrantChange(principal=EVERYBODY, remove=("SELECT",))])

    return change


def _first(action: str, other: str) -> Callable[[Any], Any]:
    """One action of a cut-over comes right before another."""
    return _reordered(_before(action, other))


def _back_in_name_only(_: Any) -> Any:
    return lambda *_: {}


def _only_applied(real: Any) -> Any:
    """Only what is known to be applied is undone."""
    return lambda site, plan, table, state, held: real(site, plan, table, replace(state, intent=None), held)


PLANTS = {
    "inherited grants are not read": HttpPlant(holder=UnityAccess, name="_grants", make=_direct_only, troubles=1),
    "policies are not read": HttpPlant(holder=UnityAccess, name="_policies", make=_no_policies, troubles=1),
    "masks are not read": HttpPlant(holder=unity_access, name="_masks", make=_no_masks),
    "a grant to everybody for a moment": HttpPlant(holder=UnityAccess, name="change", make=_all_at_once),
    "grant before protect": HttpPlant(holder=cut_over, name="actions", make=_first("grant", "protect")),
    "break before make": HttpPlant(holder=cut_over, name="actions", make=_first("revoke", "grant")),
    "revoke before publish": HttpPlant(holder=cut_over, name="actions", make=_first("revoke", "publish")),
    "nothing is given back": HttpPlant(holder=actions, name="_reverse", make=_back_in_name_only),
    "what was begun is forgotten": HttpPlant(holder=rollback, name="_undo_all", make=_only_applied, killed=True),
}


@contextmanager
def planted(name: str) -> Iterator[HttpPlant]:
    """Plant one bug for a while."""
    plant = PLANTS[name]
    real = getattr(plant.holder, plant.name)
    setattr(plant.holder, plant.name, plant.make(real))
    try:
        yield plant
    finally:
        setattr(plant.holder, plant.name, real)

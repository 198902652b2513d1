"""Planted bugs about privileges, each a mistake that somebody could make in this very code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from icebridge_provider.planning import cutover, privileges
from icebridge_provider.steps import actions, cut_over, rollback

Plant = tuple[Any, str, Callable[[Any], Any]]


def _none(_: Any) -> Any:
    return lambda *_: ()


def _nothing(_: Any) -> Any:
    return lambda *_, **__: None


def _reordered(order: Callable[[list[Any]], list[Any]]) -> Callable[[Any], Any]:
    return lambda real: lambda *given, **named: tuple(order(list(real(*given, **named))))


def _before(action: str, other: str) -> Callable[[list[Any]], list[Any]]:
    def order(listed: list[Any]) -> list[Any]:
        moved = [item for item in listed if item["action"] == action]
        rest = [item for item in listed if item["action"] != action]
        at = next((number for number, item in enumerate(rest) if item["action"] == other), len(rest))
        return [*rest[:at], *moved, *rest[at:]]

    return order


def _any_way_in(_: Any) -> Any:
    """USE CATALOG and USE SCHEMA are taken for granted."""
    return lambda *_: []


def _blind_inverse(_: Any) -> Any:
    """The inverse takes everything that was ever wanted, also what was there before."""
    return lambda changes: tuple(replace(one, add=one.remove, remove=(*one.add, "MODIFY")) for one in changes)


def _all_privileges_are_not_select(_: Any) -> Any:
    return frozenset({"SELECT"})


def _only_applied(real: Any) -> Any:
    """Only what is known to be applied is undone."""
    return lambda site, plan, table, state, held: real(site, plan, table, replace(state, intent=None), held)


def _without_protect(listed: list[Any]) -> list[Any]:
    return [item for item in listed if item["action"] != "protect"]


def _bared_first(real: Any) -> Any:
    """What protects the copy is taken off it before its readers are."""

    def undo_all(site: Any, plan: Any, table: Any, state: Any, held: Any) -> Any:
        ordered = sorted(state.applied, key=lambda action: action["action"] == "protect")
        return real(site, plan, table, replace(state, applied=tuple(ordered)), held)

    return undo_all


def _names_ignored(_: Any) -> Any:
    return lambda policy: policy.kind.value


# Module, name, the bug in its place; where it is looked for is "undisturbed" unless it says otherwise.
PLANTS: dict[str, Plant] = {
    "what is inherited is forgotten": (privileges, "_stays_readable", _none),
    "who cannot enter is carried over": (privileges, "_lacking", _any_way_in),
    "who reads the copy is not looked at": (privileges, "exposed", _none),
    "filters and masks are not put on": (cut_over, "actions", _reordered(_without_protect)),
    "filters and masks are put on last": (cut_over, "actions", _reordered(_before("protect", "publish"))),
    "filters and masks come off first": (rollback, "_undo_all", _bared_first),
    "filters and masks come off a copy with readers": (actions, "readers_of", lambda _: lambda *_: {}),
    "policies are not looked at": (privileges, "_unequal_policies", _none),
    "policies are compared by kind": (privileges, "words", _names_ignored),
    "conditions are not looked at": (privileges, "_unequal_conditions", _none),
    "ALL PRIVILEGES is not SELECT": (privileges, "READS", _all_privileges_are_not_select),
    "break before make": (cut_over, "actions", _reordered(_before("revoke", "grant"))),
    "revoke before publish": (cut_over, "actions", _reordered(_before("revoke", "publish"))),
    "the inverse takes too much": (cutover, "inverse", _blind_inverse),
    "nothing is given back": (actions, "_reverse", lambda _: lambda *_: {}),
    "nobody looks again": (cut_over, "check_access", _nothing),
    "nothing is undone": (cut_over, "_go_back", _nothing),
    "a principal that is gone stops the rollback": (actions, "NO_PRINCIPAL", lambda _: "IB-000"),
    "what was begun is forgotten": (rollback, "_undo_all", _only_applied),
}
WHERE = {
    "filters and masks come off a copy with readers": "disturbed",
    "nobody looks again": "disturbed",
    "nothing is undone": "disturbed",
    "a principal that is gone stops the rollback": "gone",
    "what was begun is forgotten": "aborted",
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Plant one bug for a while."""
    module, attribute, make = PLANTS[name]
    real = getattr(module, attribute)
    setattr(module, attribute, make(real))
    try:
        yield
    finally:
        setattr(module, attribute, real)

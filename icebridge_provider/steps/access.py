"""Who may read source and copy: as certified, as expected between two actions of a cut-over, and as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from icebridge_provider.exceptions import ValidationFailed
from icebridge_provider.model.access import TableAccess, from_record, to_record
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import TablePlan
from icebridge_provider.planning.cutover import SOURCE, TARGET, changes_of, protections_of
from icebridge_provider.planning.privileges import Swap, after, drift, named_in, swap
from icebridge_provider.planning.protections import after_protection, done_of
from icebridge_provider.ports import AccessControl
from icebridge_provider.steps.site import Site

SIDES = (SOURCE, TARGET)
SHOWN = 8
Actions = Sequence[Mapping[str, Any]]
Accesses = Mapping[str, TableAccess]
"""Who may read source and copy, by side."""


def certified_access(site: Site, table: TablePlan) -> dict[str, Any] | None:
    """Return who may read source and copy ``before`` the cut-over and ``after`` it, for the certificate.

    :returns: None unless both catalogs keep privileges.
    :raises ValidationFailed: IB-631 when the cut-over would change who reads what.
    """
    controls = controls_of(site)
    if controls is None:
        return None
    before = {SOURCE: controls[SOURCE].access_of(table.source), TARGET: controls[TARGET].access_of(table.staged)}
    moves = swap(before[SOURCE], before[TARGET])
    if moves.refusals:  # perhaps only because nobody looked who is in which group
        before = _with_groups(controls, before, *named_in(before[SOURCE], before[TARGET]))
        moves = swap(before[SOURCE], before[TARGET])
    if moves.refusals:
        raise _refused(table, moves.refusals)
    revokes = moves.revokes if controls[SOURCE].writable() else ()
    then = {
        SOURCE: after(before[SOURCE], revokes),
        TARGET: after(after_protection(before[TARGET], moves.protections), moves.grants),
    }
    return {
        "before": {side: to_record(before[side]) for side in SIDES},
        "after": {side: to_record(then[side]) for side in SIDES},
    }


def swap_of(site: Site, table: TablePlan, certified: Mapping[str, Any] | None) -> Swap | None:
    """Return what moves the readers, from the certificate alone; None when the catalogs keep no privileges.

    :raises ValidationFailed: IB-632 when they keep some and the certificate does not know.
    """
    if certified is not None:
        return swap(*(from_record(certified["before"][side]) for side in SIDES))
    if controls_of(site) is not None:
        raise _changed(table, ["the catalogs keep privileges now, and the certificate knows of none"])
    return None


def check_access(
    site: Site,
    table: TablePlan,
    certified: Mapping[str, Any] | None,
    applied: Actions = (),
    begun: Mapping[str, Any] | None = None,
) -> Accesses | None:
    """Make sure that nobody but this cut-over has changed who may read source and copy since they were certified.

    It reads back what the action before it did as well: what the catalog took and did not do is a difference.

    :param certified: what :func:`certified_access` returned.
    :param applied: actions of this cut-over that are in force.
    :param begun: one whose outcome is unknown.
    :returns: access as it is now; without a side whose name is not known until ``begun`` is finished.
    :raises ValidationFailed: IB-632 naming what changed.
    """
    controls = controls_of(site)
    if certified is None or controls is None:
        return None
    found = dict[str, TableAccess]()
    for side in SIDES:
        if begun is not None and begun.get("side") == side and "name" in begun:
            continue  # it may have either name; the action is finished first, then this looks again
        found[side] = controls[side].access_of(_name(table, side, applied))
    recorded = {side: from_record(certified["before"][side]) for side in SIDES}
    found = _asked_again(controls, recorded, found)
    for side, now in found.items():
        differences = _differences(recorded[side], now, side, applied, begun)
        if differences:
            raise _changed(table, [f"{now.table}: {what}" for what in differences])
    return found


def access_now(site: Site, table: TablePlan, applied: Actions) -> dict[str, TableAccess]:
    """Return who may read source and copy, by side, under the names that ``applied`` gave them."""
    controls = controls_of(site) or {}
    return {side: control.access_of(_name(table, side, applied)) for side, control in controls.items()}


def _asked_again(controls: Mapping[str, AccessControl], recorded: Accesses, found: Accesses) -> dict[str, TableAccess]:
    """Return access with the groups of those by whose groups it was certified."""
    known = {name: groups for access in recorded.values() for name, groups in access.groups.items()}
    among = {group for groups in known.values() for group in groups}
    return _with_groups(controls, found, set(known), among) if known else dict(found)


def _with_groups(
    controls: Mapping[str, AccessControl], found: Accesses, principals: set[str], among: set[str]
) -> dict[str, TableAccess]:
    return {
        side: replace(access, groups=dict(controls[side].groups_of(principals, among)))
        for side, access in found.items()
    }


def controls_of(site: Site) -> dict[str, AccessControl] | None:
    """Return the privileges of both catalogs by side, None unless both keep some."""
    source, target = site.source.access, site.target.access
    return None if source is None or target is None else {SOURCE: source, TARGET: target}


def _name(table: TablePlan, side: str, applied: Actions) -> TableIdentifier:
    name = table.source if side == SOURCE else table.staged
    for action in applied:
        if action.get("side") == side and "name" in action:
            name = name.named(action["name"])
    return name


def _differences(
    recorded: TableAccess, now: TableAccess, side: str, applied: Actions, begun: Mapping[str, Any] | None
) -> tuple[str, ...]:
    expected = recorded
    for action in applied:
        expected = _then(expected, side, action)
    differences = drift(expected, now)
    if differences and begun is not None:
        if begun.get("side") == side and "protections" in begun:  # some of it may be done
            expected = after_protection(expected, done_of(now, protections_of(begun)))
        return drift(_then(expected, side, begun), now) and drift(expected, now)
    return differences


def _then(access: TableAccess, side: str, action: Mapping[str, Any]) -> TableAccess:
    if action.get("side") != side:
        return access
    if "protections" in action:
        return after_protection(access, protections_of(action))
    return after(access, changes_of(action)) if "changes" in action else access


def _refused(table: TablePlan, refusals: Sequence[str]) -> ValidationFailed:
    return ValidationFailed(
        "IB-631",
        f"A cut-over of {table.source} would change who reads it: {_listed(refusals)}.",
        remedy="Do what each point says, then run the migration again.",
        changed="Nothing was cut over.",
        table=str(table.source),
        refusals=len(refusals),
    )


def _changed(table: TablePlan, differences: Sequence[str]) -> ValidationFailed:
    return ValidationFailed(
        "IB-632",
        f"Who may read {table.source} or its copy is not what was certified: {_listed(differences)}.",
        remedy="Run the migration again: it certifies access as it is now and asks again.",
        changed="Nothing was cut over, and what others changed was left as it is.",
        table=str(table.source),
    )


def _listed(points: Sequence[str]) -> str:
    more = len(points) - SHOWN
    return "; ".join(points[:SHOWN]) + (f"; and {more} more" if more > 0 else "")

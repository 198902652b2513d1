"""Undoes a migration of one table from wherever it stands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.event import LedgerEvent, Outcome, State, Step, TableState
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import MigrationPlan, TablePlan
from icebridge_provider.steps.actions import undo
from icebridge_provider.steps.history import purge_begun, was_in_use
from icebridge_provider.steps.identity import load_unless_withheld
from icebridge_provider.steps.lease import HeldLease, lease_on
from icebridge_provider.steps.leftovers import is_as_copied
from icebridge_provider.steps.site import Site

NOTHING_TO_UNDO = frozenset({State.DISCOVERED, State.PLANNED, State.ROLLED_BACK})


def rollback_table(site: Site, plan: MigrationPlan, table: TablePlan) -> dict[str, Any]:
    """Take the cut-over back, then remove the copy; what was used as the table is kept under its staged name.

    The source comes first: it has its name and its readers again before the copy gives up its own.

    :returns: ``undone`` (actions), ``kept`` (the staged name, when the copy was in use), ``already``, and, if there
        are such, ``without`` (principals that do not exist any more, whose grants are not back) and ``protected``
        (filters, masks and policies that stay on the kept copy because somebody may read it).
    :raises ConfigurationError: IB-630 when the purge of the archived source was begun: then there is nothing to go
        back to.
    """
    key = str(table.source)
    with lease_on(site, table) as held:
        state = site.ledger.state(plan.plan_id, key)
        events = list(site.ledger.events(plan.plan_id, key))
        if state.state is State.PURGED or purge_begun(events):
            raise ConfigurationError(
                "IB-630",
                f"The purge of {key} was begun; its rows are only in {table.target} now.",
                remedy="Migrate it back with source and target exchanged.",
                table=key,
            )
        if state.state in NOTHING_TO_UNDO and not state.applied and state.intent is None:
            return {"undone": [], "already": True}
        site.record(plan.plan_id, key, Step.ROLLBACK, Outcome.STARTED, {"from": state.state.value}, held.lease)
        undone, told = _undo_all(site, plan, table, state, held)
        kept = _kept(site, plan, table, events, state)
        if not kept:
            _remove_copy(site, plan, table, held)
        data: dict[str, object] = {"undone": undone, "kept": kept, **told}
        site.record(plan.plan_id, key, Step.ROLLBACK, Outcome.DONE, data, held.keep(now=True))
        return {**data, "already": False}


def _undo_all(
    site: Site, plan: MigrationPlan, table: TablePlan, state: TableState, held: HeldLease
) -> tuple[list[str], dict[str, list[str]]]:
    begun = [state.intent] if state.intent else []
    undone, told = [], dict[str, set[str]]()
    for action in [*begun, *reversed(state.applied)]:
        for what, names in undo(site, plan, table, action, held).items():
            told.setdefault(what, set()).update(names)
        undone.append(str(action["action"]))
    return undone, {what: sorted(names) for what, names in told.items()}


def _kept(site: Site, plan: MigrationPlan, table: TablePlan, events: Iterable[LedgerEvent], state: TableState) -> str:
    """Return the staged name when what it names was in use or written: it may hold rows that exist nowhere else.

    A copy whose metadata is withheld cannot be told to be as it was copied, and somebody may read it: it is kept.
    """
    staged, withheld = load_unless_withheld(site, table.staged)
    if withheld:
        return str(table.staged)
    if staged is None or staged.properties.get("icebridge.plan-id") != plan.plan_id:
        return ""
    if was_in_use(events):
        return str(table.staged)
    begun = not table.location and not state.copy  # by an engine that names files itself: nobody can have used it yet
    return "" if begun or is_as_copied(staged, state.copy) else str(table.staged)


def _remove_copy(site: Site, plan: MigrationPlan, table: TablePlan, held: HeldLease) -> None:
    """Drop the staged entry and delete the files of the folder that is this copy's own."""
    staged = site.target.load(table.staged)
    ours = staged is not None and staged.properties.get("icebridge.plan-id") == plan.plan_id
    held.keep(now=True)
    if ours:
        with side_effect("rollback.drop_staged"):
            site.target.drop_entry(table.staged)
    if not table.location:
        return  # a catalog that chooses folders deletes their files too
    if not ours and any(_lives_in(site, name, table.location) for name in site.target.tables(table.target.namespace)):
        return  # somebody gave the copy another name
    if _lives_in(site, table.target, table.location):
        return
    store = site.target.store()
    for location, _ in list(store.list(table.location)):
        held.keep()
        with side_effect("rollback.delete_file"):
            store.delete(location)


def _lives_in(site: Site, name: TableIdentifier, folder: str) -> bool:
    """Whether a table's metadata says that it lives in the folder."""
    loaded = site.target.load(name)
    return loaded is not None and str(loaded.metadata.get("location", "")).rstrip("/") == folder.rstrip("/")

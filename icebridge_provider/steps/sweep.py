"""Finds what migrations left behind, and takes away what nobody can need: half-made copies, files of runs long over.

Nothing that a live plan works with is touched: a table that may still be copied, cut over or rolled back is not looked
at, nor one that an active run writes; a copy that was in use, or that somebody wrote to, may hold rows that are nowhere
else, so it is listed and kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.engines.databricks.engine import DatabricksEngine
from icebridge_provider.engines.databricks.housekeeping import Housekeeping
from icebridge_provider.exceptions import IceBridgeError, TransientError
from icebridge_provider.model.event import State, TableState
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import MigrationPlan, TablePlan
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.planning.build import short_id
from icebridge_provider.planning.cutover import TARGET
from icebridge_provider.steps.history import was_in_use
from icebridge_provider.steps.identity import id_of
from icebridge_provider.steps.lease import lease_on
from icebridge_provider.steps.leftovers import is_as_copied
from icebridge_provider.steps.site import Site

DAYS = 7
OVER = frozenset({State.ROLLED_BACK, State.REFUSED, State.CUT_OVER, State.PURGED})
COPY, FILE = "staged copy", "run file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Something that was left behind: what, why, and whether a sweep takes it away."""

    kind: str
    name: str
    why: str
    swept: bool
    source: str = ""
    written: str = ""

    def row(self, outcome: str) -> dict[str, Any]:
        """Return it as people read it."""
        return {"kind": self.kind, "name": self.name, "outcome": outcome, "why": self.why, "written": self.written}


def leftovers(site: Site, plan: MigrationPlan, days: int = DAYS) -> list[Leftover]:
    """Return what a plan, and the runs of its workspace, left behind; nothing is changed.

    The target is listed by schema, and only what is found there is looked at.

    :param days: run files younger than this are not looked at.
    """
    keeper = _keeper(site)
    return [*_copies(site, plan, keeper), *(_files(site, keeper, days) if keeper else ())]


def sweep(site: Site, plan: MigrationPlan, days: int = DAYS, *, dry_run: bool = False) -> list[dict[str, Any]]:
    """Take away what can be; list the rest.

    :returns: one ``kind, name, outcome, why, written`` an item; ``outcome`` is ``swept``, ``kept``, ``would be swept``,
        or ``failed`` with the error as ``why``.
    """
    rows = []
    for item in leftovers(site, plan, days):
        if dry_run or not item.swept:
            rows.append(item.row("would be swept" if item.swept else "kept"))
            continue
        try:
            rows.append(_swept(site, plan, item))
        except IceBridgeError as error:
            rows.append({**item.row("failed"), "why": str(error)})
    return rows


def _keeper(site: Site) -> Housekeeping | None:
    return site.remote.housekeeping if isinstance(site.remote, DatabricksEngine) else None


# Staged copies


def _copies(site: Site, plan: MigrationPlan, keeper: Housekeeping | None) -> Iterator[Leftover]:
    states = {state.table: state for state in site.ledger.states(plan.plan_id)}
    over = [table for table in plan.tables if _state(states, table).state in OVER]
    there = _names(site, {table.staged.namespace for table in over})
    found = [table for table in over if _key(table.staged) in there]
    written = keeper.written_now() if keeper and found else frozenset()
    for table in found:
        item = _judged(site, plan, table, _state(states, table), written)
        if item is not None:
            yield item


def _names(site: Site, namespaces: Collection[tuple[str, ...]]) -> set[tuple[str, ...]]:
    return {_key(table) for namespace in sorted(namespaces) for table in site.target.tables(namespace)}


def _key(table: TableIdentifier) -> tuple[str, ...]:
    return tuple(part.casefold() for part in (*table.namespace, table.name))


def _state(states: dict[str, TableState], table: TablePlan) -> TableState:
    return states.get(str(table.source)) or TableState(plan_id="", table=str(table.source))


def _judged(
    site: Site, plan: MigrationPlan, table: TablePlan, state: TableState, written: Collection[tuple[str, ...]]
) -> Leftover | None:
    """Say what is to become of a staged table; None when it is not there any more, or not ours."""
    try:
        loaded = site.target.load(table.staged)
    except IceBridgeError as error:
        return _copy(table, f"it cannot be read: {error.message}", swept=False)
    if loaded is None:
        return None
    if _key(table.staged) in written:
        return _copy(table, "an active run writes it", swept=False)
    why = _why_kept(site, plan, table, state, loaded)
    return _copy(table, why or f"its table is {state.state.value}, and nobody wrote to it", swept=not why)


def _why_kept(site: Site, plan: MigrationPlan, table: TablePlan, state: TableState, loaded: LoadedTable) -> str:
    """Return why a staged table must stay, empty when it need not."""
    if not _is_ours(plan, table, loaded):
        return "this plan did not make it"
    if table.location:
        return "its files are in a folder that the rollback keeps on purpose: it was in use, or written to"
    if state.state in {State.CUT_OVER, State.PURGED}:
        there = id_of(site, TARGET, table.target) is not None
        return "" if there else f"{table.target} is gone: it may be the only copy"
    used = was_in_use(site.ledger.events(plan.plan_id, str(table.source)))
    untouched = is_as_copied(loaded, state.copy)
    if used and not untouched:
        return "it was in use under its final name: it may hold rows that are nowhere else"
    if state.copy and not untouched and "icebridge.token" in loaded.properties:
        return "somebody wrote to it after the copy: it may hold rows that are nowhere else"
    return ""


def _is_ours(plan: MigrationPlan, table: TablePlan, loaded: LoadedTable) -> bool:
    """Whether this plan made it: by its mark, or by its name, for a clone that was not finished carries no marks."""
    marked = loaded.properties.get("icebridge.plan-id")
    if marked == plan.plan_id:
        return True
    unfinished = loaded.properties.get("icebridge.source") != str(table.source)
    return not table.location and unfinished and table.staged.name.endswith(f"__icebridge_{short_id(plan.plan_id)}")


def _copy(table: TablePlan, why: str, *, swept: bool) -> Leftover:
    return Leftover(kind=COPY, name=str(table.staged), why=why, swept=swept, source=str(table.source))


# Files of runs


def _files(site: Site, keeper: Housekeeping, days: int) -> Iterator[Leftover]:
    before = (site.now() - timedelta(days=days)).timestamp()
    for file in keeper.unused(before):
        written = datetime.fromtimestamp(file.written, UTC).isoformat(timespec="seconds")
        why = f"no active run needs it, and it is older than {days} days"
        yield Leftover(kind=FILE, name=file.path, why=why, swept=True, written=written)


# Sweeping


def _swept(site: Site, plan: MigrationPlan, item: Leftover) -> dict[str, Any]:
    if item.kind == COPY:
        return _drop(site, plan, plan.table(item.source), item)
    keeper = _keeper(site)
    if keeper is not None:
        with side_effect("sweep.delete_file"):
            keeper.delete(item.name)
    return item.row("swept")


def _drop(site: Site, plan: MigrationPlan, table: TablePlan, item: Leftover) -> dict[str, Any]:
    """Drop one staged table, after looking again while nobody else works on it."""
    keeper = _keeper(site)
    try:
        with lease_on(site, table) as held:
            state = site.ledger.state(plan.plan_id, str(table.source))
            written = keeper.written_now() if keeper else frozenset()
            now = _judged(site, plan, table, state, written) if state.state in OVER else None
            if now is None or not now.swept:
                return (now or item).row("kept")
            held.keep(now=True)
            with side_effect("sweep.drop_staged"):
                site.target.drop_entry(table.staged)
    except TransientError as error:
        return {**item.row("kept"), "why": error.message}
    return item.row("swept")

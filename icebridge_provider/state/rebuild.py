"""Rebuilds lost records from what every copied table says of itself in its ``icebridge.*`` properties."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from icebridge_provider.model.event import Actor, LedgerEvent, Outcome, State, Step
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import CopyMethod, Estimate, MigrationPlan, MigrationRequest, Rates, TablePlan, Wave
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.planning.build import short_id, staged_name
from icebridge_provider.planning.cutover import ARCHIVE, MOVED_TO, POINTER, PUBLISH, SOURCE, TARGET, properties, rename
from icebridge_provider.ports import Catalog
from icebridge_provider.state import leases
from icebridge_provider.state.ledger import SqlLedger

_ACTOR = Actor(who="system", origin="db rebuild")
_BEHIND = frozenset({State.DISCOVERED, State.PLANNED, State.COPYING, State.COPIED, State.VALIDATED})
_UNKNOWN = frozenset({State.DISCOVERED})
_LEASE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A table of the target that says it is a copy: of which plan and source, and whether it is in use already."""

    plan_id: str
    table: TablePlan
    loaded: LoadedTable
    published: bool


def rebuild(ledger: SqlLedger, target: Catalog, source: Catalog | None = None) -> int:
    """Record what the tables of ``target`` show and the ledger does not know; return how many tables that were.

    A copy that is in use under its final name is recorded as cut over, a staged one as copied (it is proven anew).
    Tables somebody works on, and those whose record is complete, are left alone. Certificates, approvals and who did
    what cannot be rebuilt: keep backups.

    :param source: the source catalog; with it archived sources are found too, so that a rollback can restore them.
    """
    copies = list(copies_in(target))
    for plan_id in sorted({copy.plan_id for copy in copies} - set(ledger.plans())):
        _keep_plan(ledger, [copy for copy in copies if copy.plan_id == plan_id], target.name)
    return sum(_record(ledger, copy, source) for copy in copies)


def copies_in(target: Catalog) -> Iterator[Copy]:
    """Return the tables of a catalog that say they are copies, by name."""
    for namespace in target.namespaces():
        for identifier in target.tables(namespace):
            loaded = target.load(identifier)
            if loaded is not None and "icebridge.plan-id" in loaded.properties:
                found = _copy(identifier, loaded)
                if found is not None:
                    yield found


def _copy(identifier: TableIdentifier, loaded: LoadedTable) -> Copy | None:
    said = loaded.properties
    plan_id, suffix = said["icebridge.plan-id"], f"__icebridge_{short_id(said['icebridge.plan-id'])}"
    published = not identifier.name.endswith(suffix)
    final = identifier if published else identifier.named(identifier.name.removesuffix(suffix))
    try:
        source = TableIdentifier.parse(said.get("icebridge.source", ""))
        method = CopyMethod(said.get("icebridge.method", ""))
    except ValueError:
        return None  # somebody else's property of the same name
    summary = _summary(loaded)
    table = TablePlan(
        source=source,
        target=final,
        staged=staged_name(final, plan_id) if published else identifier,
        method=method,
        table_uuid=said.get("icebridge.source-uuid", ""),
        metadata_location=said.get("icebridge.source-metadata-location", ""),
        snapshot_id=_number(said.get("icebridge.source-snapshot-id")),
        location=str(loaded.metadata.get("location", "")),
        files=int(summary.get("total-data-files", 0)),
        bytes=int(summary.get("total-files-size", 0)),
        rows=int(summary.get("total-records", 0)),
        note="rebuilt from the table's properties",
    )
    return Copy(plan_id=plan_id, table=table, loaded=loaded, published=published)


def _summary(loaded: LoadedTable) -> dict[str, str]:
    current = loaded.current_snapshot_id
    found = (snapshot for snapshot in loaded.metadata.get("snapshots", ()) if snapshot["snapshot-id"] == current)
    current_one: dict[str, dict[str, str]] = next(found, {})
    return dict(current_one.get("summary", {}))


def _number(text: str | None) -> int | None:
    return int(text) if text and text.lstrip("-").isdigit() else None


def _keep_plan(ledger: SqlLedger, copies: list[Copy], target: str) -> None:
    tables = tuple(copy.table for copy in copies)
    total = sum(table.bytes for table in tables)
    with ledger.reading() as connection:
        now = leases.timestamp(connection)
    request = MigrationRequest(
        source_conn_id=tables[0].source.catalog,
        target_conn_id=target,
        tables=tuple(table.source.path for table in tables),
    )
    plan = MigrationPlan(
        plan_id=copies[0].plan_id,
        created_at=now,
        request=request,
        tables=tables,
        waves=(Wave(number=0, tables=len(tables), bytes=total),),
        findings=(),
        estimate=Estimate(bytes=total, seconds=0.0, cost=0.0, throughput_mb_s=request.throughput_mb_s, rates=Rates()),
    ).sealed()
    ledger.save_plan(plan)
    data = {"digest": plan.digest, "tables": len(tables), "rebuilt": True}
    ledger.append(_event(plan.plan_id, "", Step.PLAN, Outcome.DONE, data))


def _record(ledger: SqlLedger, copy: Copy, source: Catalog | None) -> bool:
    key = str(copy.table.source)
    lease = ledger.acquire(str(copy.table.target), f"rebuild of {copy.plan_id}", _LEASE_SECONDS)
    if lease is None:
        return False
    try:
        state = ledger.state(copy.plan_id, key).state
        if state not in (_BEHIND if copy.published else _UNKNOWN):
            return False
        ledger.append_many(list(_events(copy, key, source)), lease)
    finally:
        ledger.release(lease)
    return True


def _events(copy: Copy, key: str, source: Catalog | None) -> Iterable[LedgerEvent]:
    table, said = copy.table, copy.loaded.properties
    found: dict[str, object] = {
        "metadata_location": copy.loaded.metadata_location,
        "snapshot_id": table.snapshot_id,
        "target_snapshot_id": copy.loaded.current_snapshot_id,
        "source_metadata_location": said.get("icebridge.source-metadata-location", ""),
        "source_snapshot_id": table.snapshot_id,
        "rows": table.rows,
        "moved": True,
        "rebuilt": True,
    }
    yield _event(copy.plan_id, key, Step.COPY, Outcome.DONE, found)
    if not copy.published:
        return
    for action in (rename(PUBLISH, TARGET, table.staged, table.target), *_archived(table, source)):
        yield _event(copy.plan_id, key, Step.CUT_OVER, Outcome.APPLIED, action)
    names = {"source": key, "staged": str(table.staged), "target": str(table.target)}
    yield _event(copy.plan_id, key, Step.CUT_OVER, Outcome.DONE, {**names, "rebuilt": True})


def _archived(table: TablePlan, source: Catalog | None) -> Iterator[dict[str, object]]:
    """Return the actions that took the source away, if its archive points to this target."""
    if source is None or source.load(table.source) is not None:
        return
    for candidate in source.tables(table.source.namespace):
        loaded = source.load(candidate) if "__archived_" in candidate.name else None
        if loaded is not None and loaded.properties.get(MOVED_TO) == str(table.target):
            yield rename(ARCHIVE, SOURCE, table.source, candidate)
            yield properties(POINTER, SOURCE, candidate, {MOVED_TO: str(table.target)}, {MOVED_TO: ""})
            return


def _event(plan_id: str, table: str, step: Step, outcome: Outcome, data: dict[str, object]) -> LedgerEvent:
    return LedgerEvent(plan_id=plan_id, table=table, step=step, outcome=outcome, actor=_ACTOR, data=data)

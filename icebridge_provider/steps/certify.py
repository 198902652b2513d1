"""The final check before a person is asked: certificates of all proven tables, and one digest over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ValidationFailed
from icebridge_provider.model.event import Outcome, State, Step, TableState
from icebridge_provider.model.plan import MigrationPlan, TablePlan
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.state.signing import sealed
from icebridge_provider.steps.access import certified_access
from icebridge_provider.steps.copy_outcome import record_failure
from icebridge_provider.steps.identity import load_unless_withheld
from icebridge_provider.steps.lease import HeldLease, lease_on
from icebridge_provider.steps.pins import source_of
from icebridge_provider.steps.site import Site
from icebridge_provider.validation.certificate import FIRST, build_certificate, wave_digest

TO_CERTIFY = frozenset({State.VALIDATED, State.AWAITING_APPROVAL})
WRITERS = 3


def certify_wave(site: Site, plan: MigrationPlan, tables: Iterable[TablePlan]) -> dict[str, Any]:
    """Certify every table that is proven and unchanged; unchanged facts give the same digest again.

    A table whose source or copy moved since it was proven, whose copy limits its readers already, or whose readers a
    cut-over would change, is left out: it does not hold up the others. Certificates are chained in plan order, over
    tables that were cut over before as well, so that those left keep theirs. Why a table is left out is recorded.

    :returns: ``digest`` (empty when nothing is ready), ``tables`` (sources), ``losses``, ``writers`` (the last ones of
        each source), ``signed``, ``rows``, ``bytes``, ``moved`` (what was left out: source to reason).
    :raises ValidationFailed: when nothing is ready: IB-605 for what moved, IB-638 for a copy that limits its
        readers already, IB-631 for readers that would change.
    """
    states = {state.table: state for state in site.ledger.states(plan.plan_id)}
    previous, ready, digests, writers, moved = FIRST, list[TablePlan](), dict[str, str](), {}, dict[str, str]()
    for table in tables:
        key, state = str(table.source), states.get(str(table.source))
        if state is None or state.state not in TO_CERTIFY:
            previous = _in_force(state) or previous
            continue
        try:
            previous, writers[key] = _certify(site, plan, table, previous)
        except ValidationFailed as error:
            moved[key], last = str(error), error
            continue
        digests[key] = previous
        ready.append(table)
    if moved and not ready:
        raise last
    digest = wave_digest(list(digests.values())) if digests else ""
    if digest:
        with side_effect("certify.set"):
            site.ledger.save_document("certificate_set", f"{plan.plan_id}/{digest}", {"tables": digests})
    return {
        "digest": digest,
        "tables": list(digests),
        "losses": [loss.id for table in ready for loss in table.losses],
        "writers": writers,
        "signed": site.signer is not None,
        "rows": sum(table.rows for table in ready),
        "bytes": sum(table.bytes for table in ready),
        "moved": moved,
    }


def check_unmoved(site: Site, table: TablePlan, state: TableState) -> LoadedTable:
    """Make sure source and copy are what was proven, and return the source.

    :raises ValidationFailed: IB-605 naming the side that moved, IB-638 when the copy's metadata is withheld.
    """
    source, (staged, withheld) = source_of(site, table), load_unless_withheld(site, table.staged)
    if withheld:
        raise _protected_already(table)
    if source.metadata_location != state.validation.get("source_metadata_location"):
        raise moved(table, f"{table.source} changed", "Run the migration again: it catches up and proves anew.")
    if staged is None or staged.metadata_location != state.validation.get("metadata_location"):
        raise moved(table, f"the copy {table.staged} changed or is gone", "Roll the table back and migrate it again.")
    return source


def writers_of(loaded: LoadedTable) -> list[str]:
    """Return the last writers of a table in words, newest first."""
    found = []
    for snapshot in list(loaded.metadata.get("snapshots", ()))[::-1][:WRITERS]:
        summary: Mapping[str, str] = snapshot.get("summary", {})
        engine = summary.get("engine-name") or summary.get("iceberg-version") or "unnamed engine"
        app = summary.get("app-id") or summary.get("spark.app.id") or ""
        found.append(f"{engine} {app}".strip() + f" ({summary.get('operation', '?')} at {snapshot['timestamp-ms']})")
    return found


def _in_force(state: TableState | None) -> str:
    """Return the digest of the certificate by which a table was, or is being, cut over."""
    begun = state is not None and state.state in {State.CUTTING_OVER, State.CUT_OVER, State.PURGED}
    return str(state.certificate.get("digest", "")) if state is not None and begun else ""


def _certify(site: Site, plan: MigrationPlan, table: TablePlan, previous: str) -> tuple[str, list[str]]:
    with lease_on(site, table) as held:
        try:
            return _certified(site, plan, table, previous, held)
        except ValidationFailed as error:
            record_failure(site, plan.plan_id, str(table.source), Step.CERTIFY, error, held)
            raise


def _certified(
    site: Site, plan: MigrationPlan, table: TablePlan, previous: str, held: HeldLease
) -> tuple[str, list[str]]:
    key = str(table.source)
    state = site.ledger.state(plan.plan_id, key)
    source = check_unmoved(site, table, state)
    names = {"source": key, "staged": str(table.staged), "target": str(table.target)}
    certificate = build_certificate(
        plan=plan, table=table, source=source, validation=state.validation, previous=previous, names=names,
        access=certified_access(site, table),
    )  # fmt: skip
    document = sealed(certificate, site.signer)
    digest = str(document["digest"])
    there = state.certificate.get("digest") == digest and state.state is State.AWAITING_APPROVAL
    if not there or state.problem:
        with side_effect("certify.save"):
            site.ledger.save_document("proposal", f"{plan.plan_id}/{key}", document)
        data = {
            "digest": digest,
            "signed": document["signed"],
            "key_id": document["key_id"],
            "previous": previous,
            "source_snapshot_id": state.validation.get("source_snapshot_id"),
        }
        site.record(plan.plan_id, key, Step.CERTIFY, Outcome.DONE, data, held.keep(now=True))
    return digest, writers_of(source)


def moved(table: TablePlan, what: str, remedy: str) -> ValidationFailed:
    """Return IB-605: what was proven is not what is there."""
    return ValidationFailed(
        "IB-605",
        f"The proof no longer holds: {what} since.",
        remedy=remedy,
        changed="Nothing was cut over.",
        table=str(table.source),
    )


def _protected_already(table: TablePlan) -> ValidationFailed:
    """Return IB-638: a protection came before the proof, so nobody can tell that the copy is what was proven."""
    return ValidationFailed(
        "IB-638",
        f"Filters, masks or policies stand on the copy {table.staged} already, so it cannot be told to be what was "
        "proven: Unity Catalog does not give its metadata away.",
        remedy=f"Take them off {table.staged} (SHOW EFFECTIVE POLICIES ON TABLE tells where they come from): the "
        "cut-over puts those of the source on the copy by itself, before anybody reads it.",
        changed="Nothing was cut over.",
        table=str(table.source),
    )

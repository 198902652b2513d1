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
from icebridge_provider.steps.copy import source_of
from icebridge_provider.steps.lease import lease_on
from icebridge_provider.steps.site import Site
from icebridge_provider.validation.certificate import FIRST, build_certificate, wave_digest

TO_CERTIFY = frozenset({State.VALIDATED, State.AWAITING_APPROVAL})
WRITERS = 3


def certify_wave(site: Site, plan: MigrationPlan, tables: Iterable[TablePlan]) -> dict[str, Any]:
    """Certify every table that is proven and unchanged; unchanged facts give the same digest again.

    :returns: ``digest`` (empty when nothing is ready), ``tables`` (sources), ``losses``, ``writers`` (the last ones of
        each source), ``signed``, ``rows``, ``bytes``.
    :raises ValidationFailed: IB-605 when a source or copy moved since it was proven.
    """
    states = {state.table: state for state in site.ledger.states(plan.plan_id)}
    ready = [table for table in tables if _ready(states.get(str(table.source)))]
    previous, digests, writers = FIRST, {}, {}
    for table in ready:
        digests[str(table.source)], writers[str(table.source)] = _certify(site, plan, table, previous)
        previous = digests[str(table.source)]
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
    }


def check_unmoved(site: Site, table: TablePlan, state: TableState) -> LoadedTable:
    """Make sure source and copy are what was proven, and return the source.

    :raises ValidationFailed: IB-605 naming the side that moved.
    """
    source, staged = source_of(site, table), site.target.load(table.staged)
    if source.metadata_location != state.validation.get("source_metadata_location"):
        raise _moved(table, f"{table.source} changed", "Run the migration again: it catches up and proves anew.")
    if staged is None or staged.metadata_location != state.validation.get("metadata_location"):
        raise _moved(table, f"the copy {table.staged} changed or is gone", "Roll the table back and migrate it again.")
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


def _ready(state: TableState | None) -> bool:
    return state is not None and state.state in TO_CERTIFY


def _certify(site: Site, plan: MigrationPlan, table: TablePlan, previous: str) -> tuple[str, list[str]]:
    key = str(table.source)
    with lease_on(site, table) as held:
        state = site.ledger.state(plan.plan_id, key)
        source = check_unmoved(site, table, state)
        names = {"source": key, "staged": str(table.staged), "target": str(table.target)}
        certificate = build_certificate(
            plan=plan, table=table, source=source, validation=state.validation, previous=previous, names=names
        )
        document = sealed(certificate, site.signer)
        digest = str(document["digest"])
        if state.certificate.get("digest") != digest or state.state is not State.AWAITING_APPROVAL:
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


def _moved(table: TablePlan, what: str, remedy: str) -> ValidationFailed:
    return ValidationFailed(
        "IB-605",
        f"The proof no longer holds: {what} since.",
        remedy=remedy,
        changed="Nothing was cut over.",
        table=str(table.source),
    )

"""What people read in a bundle: lists that follow from the plan, the events and the certificates, and one page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from icebridge_provider.model import codec
from icebridge_provider.model.event import LedgerEvent, Outcome, Step, TableState, fold
from icebridge_provider.model.plan import MigrationPlan, TablePlan
from icebridge_provider.state import chain
from icebridge_provider.steps.evidence import Line, StoredCertificate

FINDINGS, LOSSES, APPROVALS, TABLES = "findings.json", "losses.json", "approvals.json", "tables.json"
_FOLDER = Path(__file__).parent


def derived(plan: MigrationPlan, lines: Sequence[Line], certificates: Iterable[StoredCertificate]) -> dict[str, Any]:
    """Return the lists, by file name: findings, accepted losses, approvals, tables before and after."""
    events = [chain.event_of(line) for line in lines]
    approvals = [event for event in events if event.step is Step.APPROVE and event.outcome is Outcome.DONE]
    states = _states(events)
    issued = {one.table: one.document for one in certificates}
    tables = [_table(table, states.get(str(table.source)), issued.get(str(table.source))) for table in plan.tables]
    return {
        FINDINGS: [codec.to_json(finding) for finding in plan.findings],
        LOSSES: {"accepted": list(plan.request.accept_losses), "tables": _losses(plan)},
        APPROVALS: [_approval(event) for event in approvals],
        TABLES: tables,
    }


def page(
    plan: MigrationPlan,
    documents: Mapping[str, Any],
    certificates: Sequence[StoredCertificate],
    last: Mapping[str, Any] | None,
    lines: Sequence[Line],
) -> str:
    """Return the page that shows all of it without any other file."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined)
    keys = sorted({str(one.document["key_id"]) for one in certificates if one.document.get("signed")})
    return environment.get_template("bundle.html.j2").render(
        plan=plan,
        tables=documents[TABLES],
        losses=documents[LOSSES]["tables"],
        findings=plan.findings,
        approvals=documents[APPROVALS],
        certificates=certificates,
        unsigned=sum(not one.document.get("signed") for one in certificates),
        keys=keys,
        last=last,
        events=lines,
        show=codec.canonical,
    )


def verify_text() -> str:
    """Return what to do to check a bundle, with IceBridge and without."""
    return (_FOLDER / "bundle_verify.txt").read_text(encoding="utf-8")


def _states(events: Iterable[LedgerEvent]) -> dict[str, TableState]:
    by_table = sorted((event for event in events if event.table), key=lambda event: (event.table, event.seq))
    return {table: fold(group) for table, group in groupby(by_table, key=lambda event: event.table)}


def _losses(plan: MigrationPlan) -> list[dict[str, str]]:
    return [
        {"table": str(table.source), "id": loss.id, "what": loss.what, "why": loss.why}
        for table in plan.tables
        for loss in table.losses
    ]


def _approval(event: LedgerEvent) -> dict[str, Any]:
    return {"table": event.table, "recorded_at": event.at, "recorded_by": event.actor.who, **event.data}


def _table(table: TablePlan, state: TableState | None, document: Mapping[str, Any] | None) -> dict[str, Any]:
    found = state or TableState(plan_id="", table=str(table.source))
    names = ((document or {}).get("certificate") or {}).get("names") or {}
    return {
        "source": str(table.source),
        "target": str(table.target),
        "archived": names.get("archived", ""),
        "instruction": names.get("instruction", ""),
        "method": table.method.value,
        "state": found.state.value,
        "problem": found.problem,
        "before": {
            "metadata_location": found.copy.get("source_metadata_location", table.metadata_location),
            "snapshot_id": found.copy.get("source_snapshot_id", table.snapshot_id),
        },
        "after": {
            "metadata_location": found.copy.get("metadata_location", ""),
            "snapshot_id": found.copy.get("target_snapshot_id"),
        },
        "proof": dict(found.validation),
        "certificate": (document or {}).get("digest", ""),
        "signed": bool((document or {}).get("signed")),
        "key_id": (document or {}).get("key_id"),
    }

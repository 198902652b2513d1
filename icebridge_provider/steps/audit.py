"""Checks the whole record: the chain of events, every plan, every certificate, every approval."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from icebridge_provider.model.plan import MigrationPlan
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.state.schema import DOCUMENTS, PLANS
from icebridge_provider.steps.bundle import bundle, verify_bundle
from icebridge_provider.steps.evidence import (
    Record,
    StoredCertificate,
    approval_problems,
    certificate_problems,
    plan_problems,
    unrecorded,
)

CERTIFICATE, CERTIFICATE_SET = "certificate", "certificate_set"


def verify_audit(
    ledger: SqlLedger,
    public_keys: Mapping[str, str],
    plan_id: str = "",
    checkpoints: Mapping[int, str] | None = None,
) -> dict[str, Any]:
    """Check the ledger; nothing is changed.

    :param public_keys: PEM texts by key id (:func:`icebridge_provider.state.signing.keys_by_id`).
    :param plan_id: check the certificates of this plan only; the chain is always checked wholly.
    :param checkpoints: event hashes by number, noted at an earlier time or taken from an earlier bundle
        (:func:`icebridge_provider.steps.bundle.checkpoints_of`); they show a record that was written anew.
    :returns: ``ok``, ``events``, ``head`` (worth noting down), ``plans``, ``certificates``, ``signed``, ``unsigned``,
        ``problems`` and ``notes`` (in words).
    """
    chain = ledger.verify_chain(checkpoints)
    problems = list(chain.problems)
    record = Record.of(line for line in ledger.lines() if not plan_id or line["plan_id"] == plan_id)
    plans = list(_plans(ledger, record, plan_id, problems))
    kept = list(_documents(ledger, CERTIFICATE, plan_id, problems))
    certificates = [_certificate(key, document) for key, document in kept]
    sets = dict(_documents(ledger, CERTIFICATE_SET, plan_id, problems))
    for plan in plans:
        problems.extend(plan_problems(plan, record))
        problems.extend(approval_problems(plan, record, _sets_of(plan, sets)))
    problems.extend(certificate_problems(certificates, record, public_keys))
    signed = sum(one.document.get("signed") is True for one in certificates)
    return {
        "ok": not problems,
        "events": chain.events,
        "head": chain.head,
        "plans": len(plans),
        "certificates": len(certificates),
        "signed": signed,
        "unsigned": len(certificates) - signed,
        "problems": problems,
        "notes": list(unrecorded(certificates, record)),
    }


def _plans(ledger: SqlLedger, record: Record, plan_id: str, problems: list[str]) -> Iterator[MigrationPlan]:
    query = sa.select(PLANS.c.plan_id, PLANS.c.digest, PLANS.c.content).order_by(PLANS.c.plan_id)
    with ledger.reading() as connection:
        rows = connection.execute(query.where(PLANS.c.plan_id == plan_id) if plan_id else query).all()
    for row in rows:
        try:
            plan = MigrationPlan.from_json(json.loads(row.content))
        except ValueError:
            problems.append(f"plan {row.plan_id} cannot be read any more")
            continue
        if (plan.plan_id, plan.digest) != (row.plan_id, row.digest):
            problems.append(f"plan {row.plan_id} was exchanged for another")
        yield plan
    known = {row.plan_id for row in rows}
    problems.extend(f"plan {missing} is missing; events speak of it" for missing in record.plans.keys() - known)


def _documents(ledger: SqlLedger, kind: str, plan_id: str, problems: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    query = sa.select(DOCUMENTS.c.key, DOCUMENTS.c.content).where(DOCUMENTS.c.kind == kind).order_by(DOCUMENTS.c.key)
    with ledger.reading() as connection:
        rows = connection.execute(query).all()
    for row in rows:
        if plan_id and not row.key.startswith(f"{plan_id}/"):
            continue
        try:
            content = json.loads(row.content)
        except ValueError:
            content = None
        if isinstance(content, dict):
            yield row.key, content
        else:
            problems.append(f"the {kind} of {row.key} cannot be read any more")


def _certificate(key: str, document: Mapping[str, Any]) -> StoredCertificate:
    plan_id, _, table = key.partition("/")
    return StoredCertificate(plan_id=plan_id, table=table, document=document)


def _sets_of(plan: MigrationPlan, sets: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, str]]:
    ours = {key.partition("/")[2]: doc for key, doc in sets.items() if key.startswith(f"{plan.plan_id}/")}
    return {digest: dict(doc.get("tables") or {}) for digest, doc in ours.items()}


__all__ = ["bundle", "verify_audit", "verify_bundle"]

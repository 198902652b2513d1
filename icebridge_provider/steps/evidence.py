"""Holds plans, certificates and approvals against the record of events; shared by ledgers and bundles. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from icebridge_provider.model.event import Outcome, Step
from icebridge_provider.model.plan import Approval, MigrationPlan
from icebridge_provider.state.signing import name_of, problems_of
from icebridge_provider.validation.certificate import FIRST, wave_digest

Line = Mapping[str, Any]
Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCertificate:
    """A certificate as it is kept: plan id and table from its key, and the stored form."""

    plan_id: str
    table: str
    document: Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class Record:
    """What the events say, gathered in one pass. Keys are plan id and table."""

    plans: dict[str, str] = field(default_factory=dict)
    certified: dict[str, Line] = field(default_factory=dict)
    approved: dict[Key, list[Line]] = field(default_factory=dict)
    cut_over: dict[Key, Line] = field(default_factory=dict)
    under_way: set[Key] = field(default_factory=set)

    def add(self, line: Line) -> None:
        """Take in one event."""
        key, data = (str(line["plan_id"]), str(line["table"])), _mapping(line["data"])
        match (line["step"], line["outcome"]):
            case (Step.PLAN, Outcome.DONE) if not key[1]:
                self.plans[key[0]] = str(data.get("digest", ""))
            case (Step.CERTIFY, Outcome.DONE):
                self.certified[str(data.get("digest"))] = line
            case (Step.APPROVE, Outcome.DONE):
                self.approved.setdefault(key, []).append(data)
            case (Step.CUT_OVER, Outcome.STARTED):
                self.under_way.add(key)
            case (Step.CUT_OVER, Outcome.DONE):
                self.cut_over[key] = line
                self.under_way.discard(key)
            case (Step.CUT_OVER, Outcome.FAILED) | (Step.ROLLBACK, Outcome.DONE):
                self.under_way.discard(key)

    @classmethod
    def of(cls, lines: Iterable[Line]) -> Record:
        """Gather what the events say, oldest first."""
        record = cls()
        for line in lines:
            record.add(line)
        return record


def plan_problems(plan: MigrationPlan, record: Record) -> Iterator[str]:
    """Say whether a plan is still the one that was recorded."""
    if plan.computed_digest() != plan.digest:
        yield f"plan {plan.plan_id} was changed: its digest does not fit"
    if record.plans.get(plan.plan_id, plan.digest) != plan.digest:
        yield f"plan {plan.plan_id} is not the one that was recorded when it was made"


def certificate_problems(
    certificates: Sequence[StoredCertificate], record: Record, public_keys: Mapping[str, str]
) -> Iterator[str]:
    """Say whether certificates are whole, rightly signed and those that the events speak of, and which are missing."""
    kept = {(one.plan_id, one.table): one for one in certificates}
    for key, one in kept.items():
        yield from problems_of(one.document, public_keys)
        if isinstance(one.document.get("certificate"), Mapping):
            yield from _against_record(key, one.document, record)
    for key in record.cut_over:
        if key not in kept and not record.cut_over[key]["data"].get("rebuilt"):
            yield f"the certificate of {key[1]} in plan {key[0]} is missing; its cut-over is recorded"


def approval_problems(plan: MigrationPlan, record: Record, sets: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Say whether every cut-over of a plan was approved, and for the certificates that were shown.

    :param sets: what each approved digest stands for: certificate digests by table.
    """
    for (plan_id, table), line in record.cut_over.items():
        if plan_id != plan.plan_id or line["data"].get("rebuilt"):
            continue
        approvals = record.approved.get((plan_id, table), [])
        if not approvals:
            yield f"the cut-over of {table} in plan {plan_id} was never approved"
        elif plan.request.approval is Approval.REQUIRED and not approvals[-1].get("writers_stopped"):
            yield f"the approval of {table} in plan {plan_id} lacks the tick that the writers were stopped"
    order = {str(table.source): number for number, table in enumerate(plan.tables)}
    for digest, tables in sets.items():
        listed = [tables[name] for name in sorted(tables, key=lambda name: order.get(name, len(order)))]
        if wave_digest(listed) != digest:
            yield f"the list of certificates behind the approved digest {digest[:16]} was changed"


def unrecorded(certificates: Iterable[StoredCertificate], record: Record) -> Iterator[str]:
    """Name certificates whose cut-over is not recorded yet: a run that was stopped, or is under way."""
    for one in certificates:
        if (one.plan_id, one.table) not in record.cut_over or (one.plan_id, one.table) in record.under_way:
            yield f"the cut-over of {one.table} in plan {one.plan_id} is not finished; run the migration again"


def _against_record(key: Key, document: Mapping[str, Any], record: Record) -> Iterator[str]:
    name, certificate = name_of(document), document["certificate"]
    if name != key[1]:
        yield f"the certificate kept for {key[1]} is that of {name}"
    plan = certificate.get("plan") or {}
    if record.plans.get(key[0], plan.get("digest")) != plan.get("digest") or plan.get("id") != key[0]:
        yield f"the certificate of {key[1]} was issued for another plan than {key[0]} as recorded"
    recorded = record.cut_over.get(key)
    if recorded and key not in record.under_way:
        data = recorded["data"]
        if not data.get("rebuilt") and (data.get("certificate"), data.get("signed")) != (
            document.get("digest"),
            document.get("signed"),
        ):
            yield f"the certificate of {key[1]} is not the one that was recorded at its cut-over"
    for field_name in ("previous", "approved_certificate"):
        digest = certificate.get(field_name)
        if digest not in {None, FIRST} and digest not in record.certified:
            yield f"the certificate of {key[1]} names a {field_name} certificate that was never recorded"
    approval = certificate.get("approval")
    if approval and dict(approval) not in [dict(given) for given in record.approved.get(key, [])]:
        yield f"the approval in the certificate of {key[1]} is not the one that was recorded"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

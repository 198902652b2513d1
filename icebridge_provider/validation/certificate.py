"""The certificate of one table: what was proven, when, by what, and who let it happen. Canonical JSON, chained."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from icebridge_provider.model import codec
from icebridge_provider.model.plan import MigrationPlan, TablePlan
from icebridge_provider.model.redaction import hidden
from icebridge_provider.model.table import LoadedTable

FORMAT = "icebridge-certificate-1"
FIRST = "0" * 64
NO_ACCESS = {"grants": {"before": [], "after": [], "note": "This catalog keeps no privileges; access is by name."}}


def build_certificate(
    *,
    plan: MigrationPlan,
    table: TablePlan,
    source: LoadedTable,
    validation: Mapping[str, Any],
    previous: str,
    names: Mapping[str, str],
    approval: Mapping[str, Any] | None = None,
    access: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the certificate of a proven copy; the same facts give the same certificate.

    What looks like a credential (in a comment on a column, say) is ``***`` before the digest is taken.

    :param validation: the verdict as the ledger has it, with sums and snapshots.
    :param previous: digest of the certificate before this one in the plan, :data:`FIRST` for the first.
    :param names: ``source, staged, target`` before approval; with ``archived`` or ``instruction`` after the cut-over.
    :param approval: who approved which digest and when; None before approval.
    :param access: who may read source and copy ``before`` and ``after``; None for catalogs that keep no privileges.
    """
    metadata = source.metadata
    made = {
        "format": FORMAT,
        "plan": {"id": plan.plan_id, "digest": plan.digest},
        "names": dict(names),
        "method": table.method.value,
        "losses": [loss.id for loss in table.losses],
        "source": {
            "table_uuid": metadata.get("table-uuid"),
            "metadata_location": source.metadata_location,
            "schema": _by_id(metadata, "schemas", "schema-id", "current-schema-id"),
            "partition_spec": _by_id(metadata, "partition-specs", "spec-id", "default-spec-id"),
            "sort_order": _by_id(metadata, "sort-orders", "order-id", "default-sort-order-id"),
            "snapshots": [snapshot["snapshot-id"] for snapshot in metadata.get("snapshots", ())],
        },
        "proof": dict(validation),
        **({"access": dict(access)} if access is not None else NO_ACCESS),
        "versions": dict(plan.versions),
        "approval": dict(approval) if approval else None,
        "previous": previous,
    }
    return dict(hidden(made))


def digest_of(certificate: Mapping[str, Any]) -> str:
    """SHA-256 of the certificate's canonical JSON."""
    return codec.digest(certificate)


def wave_digest(digests: Sequence[str]) -> str:
    """Return the one digest a person approves: SHA-256 over the tables' digests, in plan order, one a line."""
    return hashlib.sha256("".join(f"{digest}\n" for digest in digests).encode()).hexdigest()


def _by_id(metadata: Mapping[str, Any], list_key: str, id_key: str, current_key: str) -> Any:
    current = metadata.get(current_key)
    return next((item for item in metadata.get(list_key, ()) if item.get(id_key) == current), None)

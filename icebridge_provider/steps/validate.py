"""Proves one copied table against the source snapshot it was made of; Great Expectations gives the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from icebridge_provider.engines.local.engine import store_of
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, ValidationFailed
from icebridge_provider.model.event import Outcome, State, Step
from icebridge_provider.model.plan import MigrationPlan, TablePlan
from icebridge_provider.model.report import Fingerprint, ValidationReport
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.steps.copy_outcome import record_failure
from icebridge_provider.steps.lease import lease_on
from icebridge_provider.steps.pins import pinned_source
from icebridge_provider.steps.site import Site
from icebridge_provider.steps.target_reader import Reading, limits_on, read_copy
from icebridge_provider.steps.verdicts import keep_report, keep_verdict, report_key
from icebridge_provider.validation import byte_report, compare_fingerprints, differing_buckets, fingerprint_report

PROVEN = frozenset({State.VALIDATED, State.AWAITING_APPROVAL, State.CUTTING_OVER, State.CUT_OVER, State.PURGED})
SHOWN = 5
AGREE = "the files of the copy hold the source's rows: SQL shows others, by a filter, a mask or the engine"


def validate_table(site: Site, plan: MigrationPlan, table: TablePlan) -> dict[str, Any]:
    """Compare target and source as of the copied snapshot; a table that is proven already is left as it is.

    :returns: ``passed, kind, source_snapshot_id, target_snapshot_id, rows, sum128, crc_sum, report, at``.
    :raises ConfigurationError: IB-602 when the table is not copied yet.
    :raises ValidationFailed: IB-603 naming what differs; the whole report is kept in the ledger.
    """
    key = str(table.source)
    with lease_on(site, table) as held:
        state = site.ledger.state(plan.plan_id, key)
        if state.state in PROVEN:
            return {**state.validation, "already": True}
        if state.state is not State.COPIED:
            raise ConfigurationError(
                "IB-602",
                f"{key} is {state.state}, not copied.",
                remedy="Run the migration again: it goes on where it stopped.",
                table=key,
            )
        try:
            report = _report(site, table, state.copy)
            _judge(site, plan, report)
        except IceBridgeError as error:
            record_failure(site, plan.plan_id, key, Step.VALIDATE, error, held)
            raise
        data = _verdict(site, plan, report, state.copy)
        site.record(plan.plan_id, key, Step.VALIDATE, Outcome.DONE, data, held.keep(now=True))
        return {**data, "already": False}


def _judge(site: Site, plan: MigrationPlan, report: ValidationReport) -> None:
    """Let Great Expectations judge the report, keep both, and raise unless it passed."""
    from icebridge_provider.engines.gx import judge

    key = report_key(plan.plan_id, report.table)
    keep_report(site.ledger, key, report)
    result = judge(report)
    keep_verdict(site.ledger, key, report, result)
    if not result["success"]:
        raise _differs(report)


def _report(site: Site, table: TablePlan, copy: Mapping[str, Any]) -> ValidationReport:
    if table.method.rewrites:
        return _fingerprints(site, table, copy)
    from icebridge_provider.engines.local.byte_proof import prove_bytes

    checks, differences = prove_bytes(site.source, site.target, site.ledger, table, copy)
    return byte_report(
        table=table.source,
        target=table.target,
        source_snapshot_id=copy["source_snapshot_id"],
        target_snapshot_id=copy["target_snapshot_id"],
        checks=checks,
        differences=differences,
    )


def _fingerprints(site: Site, table: TablePlan, copy: Mapping[str, Any]) -> ValidationReport:
    from icebridge_provider.engines.fingerprint.reader import fingerprint

    before = pinned_source(site, table, str(copy["source_metadata_location"]))
    left = fingerprint(before, store_of(site.source, before), copy["source_snapshot_id"])
    right = read_copy(site, table)
    return fingerprint_report(
        table=table.source,
        target=table.target,
        source=left,
        target_fingerprint=right.found,
        differences=_differences(site, table, before, left, right),
        readers=right.readers(),
    )


def _differences(
    site: Site, table: TablePlan, before: LoadedTable, left: Fingerprint, right: Reading
) -> list[Mapping[str, Any]]:
    """Name what limits a reader of either side, and up to 100 rows; nothing when the fingerprints are the same."""
    if all(check.passed for check in compare_fingerprints(left, right.found)):
        return []
    sides = ((site.source, table.source), (site.target, table.staged))
    limits = [
        {"kind": "policy", "on": str(name), "policy": one}
        for catalog, name in sides
        for one in limits_on(catalog, name)
    ]
    return [*limits, *_rows(site, before, left, right)]


def _rows(site: Site, before: LoadedTable, left: Fingerprint, right: Reading) -> Sequence[Mapping[str, Any]]:
    """Look for the rows in the files of both sides: SQL does not tell where a row lies."""
    from icebridge_provider.engines.fingerprint.drilldown import differing_rows

    after, buckets = right.loaded, differing_buckets(left, right.found)
    if not buckets:
        return ()
    try:
        rows = differing_rows(
            before, store_of(site.source, before), left.snapshot_id,
            after, store_of(site.target, after), after.current_snapshot_id, buckets,
            show_values=site.settings.show_values,
        )  # fmt: skip
    except IceBridgeError as error:
        if not right.by_sql:
            raise
        return ({"kind": "files unread", "why": str(error)},)
    return rows or (({"kind": "files agree", "why": AGREE},) if right.by_sql else ())


def _verdict(site: Site, plan: MigrationPlan, report: ValidationReport, copy: Mapping[str, Any]) -> dict[str, object]:
    found: Fingerprint | None = report.fingerprint
    return {
        "passed": True,
        "kind": report.kind,
        "source_snapshot_id": report.source_snapshot_id,
        "target_snapshot_id": report.target_snapshot_id,
        "source_metadata_location": copy["source_metadata_location"],
        "metadata_location": copy["metadata_location"],
        "rows": found.rows if found else copy.get("rows"),
        "sum128": found.sum128 if found else None,
        "crc_sum": found.crc_sum if found else None,
        "crc_xor": found.crc_xor if found else None,
        "checks": len(report.checks),
        "readers": dict(report.readers),
        "report": report_key(plan.plan_id, report.table),
        "at": site.now().isoformat(timespec="seconds"),
    }


def _differs(report: ValidationReport) -> ValidationFailed:
    failed = [check for check in report.checks if not check.passed]
    shown = "; ".join(
        f"{check.name}: source {check.source}, target {check.target}" + (f" ({check.detail})" if check.detail else "")
        for check in failed[:SHOWN]
    )
    named = "; ".join(_difference(item) for item in report.differences[:SHOWN])
    more = len(report.differences) - SHOWN
    rest = f"; and {more} more" if more > 0 else ""
    return ValidationFailed(
        "IB-603",
        f"{report.target} is not {report.table}: {shown}." + (f" Named: {named}{rest}." if named else ""),
        remedy="Roll the table back and run the migration again; if it comes again, suspect the storage or a writer.",
        changed="The copy stays under its staged name; the source is untouched.",
        table=str(report.table),
        differences=len(report.differences),
    )


def _difference(item: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in item.items() if value not in (None, "", [], ()))

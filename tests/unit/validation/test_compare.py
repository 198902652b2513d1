"""Fingerprints to checks, checks to reports, reports to judged data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from icebridge_provider.model import codec
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.report import BucketFingerprint, Check, ColumnFingerprint, Fingerprint, ValidationReport
from icebridge_provider.validation import (
    byte_report,
    compare_fingerprints,
    differing_buckets,
    expectation_of,
    fingerprint_report,
    verdict_of,
)

TABLE = TableIdentifier(catalog="src", namespace=("a",), name="t")
TARGET = TableIdentifier(catalog="dst", namespace=("a",), name="t")


def column(name: str, **changes: Any) -> ColumnFingerprint:
    base = ColumnFingerprint(name=name, field_id=1, nulls=2, crc_sum=3, crc_xor=4, sum128="5", type="integer")
    return replace(base, **changes)


def fingerprint(**changes: Any) -> Fingerprint:
    base = Fingerprint(
        encoding="icebridge-1",
        snapshot_id=7,
        rows=10,
        crc_sum=11,
        crc_xor=12,
        sum128="13",
        columns=(column("a"), column("b")),
        buckets=(BucketFingerprint(bucket=0, rows=4, sum128="6"), BucketFingerprint(bucket=1, rows=6, sum128="7")),
    )
    return replace(base, **changes)


def failed(source: Fingerprint, target: Fingerprint) -> dict[str, Check]:
    return {check.name: check for check in compare_fingerprints(source, target) if not check.passed}


def test_equal_fingerprints_agree_in_every_check() -> None:
    checks = compare_fingerprints(fingerprint(), fingerprint(snapshot_id=99))
    assert [check.name for check in checks] == [
        "encoding", "rows", "crc32 sum", "crc32 xor", "sum128", "columns", "column a", "column b", "buckets",
    ]  # fmt: skip
    assert all(check.passed and not check.detail for check in checks)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"encoding": "icebridge-0"}, "encoding"),
        ({"rows": 9}, "rows"),
        ({"crc_sum": 0}, "crc32 sum"),
        ({"crc_xor": 0}, "crc32 xor"),
        ({"sum128": "0"}, "sum128"),
    ],
)
def test_each_sum_fails_its_own_check(change: dict[str, Any], name: str) -> None:
    assert set(failed(fingerprint(), fingerprint(**change))) == {name}


def test_rows_are_counted_into_words() -> None:
    assert failed(fingerprint(), fingerprint(rows=8))["rows"].detail == "2 rows missing from the target."
    assert failed(fingerprint(), fingerprint(rows=11))["rows"].detail == "1 rows too many in the target."


@pytest.mark.parametrize("change", [{"nulls": 0}, {"crc_sum": 0}, {"crc_xor": 0}, {"sum128": "0"}])
def test_a_differing_column_is_named(change: dict[str, Any]) -> None:
    found = failed(fingerprint(), fingerprint(columns=(column("a"), column("b", **change))))
    assert set(found) == {"column b"}
    assert found["column b"].detail


def test_columns_meet_by_name_and_encoding_not_by_position_or_id() -> None:
    assert failed(fingerprint(), fingerprint(columns=(column("b", field_id=9), column("a")))) == {}
    other = failed(fingerprint(), fingerprint(columns=(column("a"), column("b", type="text"))))
    assert set(other) == {"columns"}
    gone = failed(fingerprint(), fingerprint(columns=(column("a"),)))
    assert set(gone) == {"columns", "column b"}
    assert gone["column b"].detail == "The column is missing from the target."


def test_a_profile_without_columns_and_buckets_is_compared_by_its_sums() -> None:
    cheap = fingerprint(columns=(), buckets=())
    assert failed(fingerprint(), cheap) == {}
    assert set(failed(fingerprint(), replace(cheap, sum128="0"))) == {"sum128"}


def test_differing_buckets_are_numbered() -> None:
    other = fingerprint(buckets=(fingerprint().buckets[0], BucketFingerprint(bucket=1, rows=6, sum128="8")))
    assert differing_buckets(fingerprint(), other) == (1,)
    assert failed(fingerprint(), other)["buckets"].detail == "Rows differ in buckets 1."
    assert differing_buckets(fingerprint(), fingerprint()) == ()


def test_reports_carry_both_snapshots_and_survive_json() -> None:
    report = fingerprint_report(
        table=TABLE, target=TARGET, source=fingerprint(), target_fingerprint=fingerprint(snapshot_id=8)
    )
    assert (report.kind, report.source_snapshot_id, report.target_snapshot_id) == ("fingerprint", 7, 8)
    assert report.passed
    assert codec.from_json(ValidationReport, codec.to_json(report)) == report
    bad = fingerprint_report(table=TABLE, target=TARGET, source=fingerprint(), target_fingerprint=fingerprint(rows=9))
    assert not bad.passed


def test_a_byte_report_passes_only_with_checks() -> None:
    common = {"table": TABLE, "target": TARGET, "source_snapshot_id": 1, "target_snapshot_id": 1}
    assert not byte_report(**common, checks=()).passed
    assert byte_report(**common, checks=[Check(name="x", source="1", target="1", passed=True)]).passed


def report_of(*checks: Check) -> ValidationReport:
    return byte_report(table=TABLE, target=TARGET, source_snapshot_id=1, target_snapshot_id=1, checks=checks)


def test_the_verdict_is_reached_from_the_values_alone() -> None:
    good = Check(name="x", source="1", target="1", passed=True)
    lying = Check(name="y", source="1", target="2", passed=True)
    strict = Check(name="z", source="1", target="1", passed=False, detail="unreadable")
    assert verdict_of(expectation_of(report_of(good))) == {"success": True, "mismatches": {}}
    assert set(verdict_of(expectation_of(report_of(good, lying)))["mismatches"]) == {"y"}
    refused = verdict_of(expectation_of(report_of(good, strict)))
    assert refused["mismatches"] == {"z": {"source": "1", "target": "1", "detail": "unreadable"}}
    assert verdict_of(expectation_of(report_of()))["success"] is False


def test_checks_of_one_name_do_not_hide_each_other() -> None:
    twice = [Check(name="x", source="1", target=target, passed=target == "1") for target in ("2", "1", "1")]
    assert set(verdict_of(expectation_of(report_of(*twice)))["mismatches"]) == {"x"}
    assert len(expectation_of(report_of(*twice))["source_values"]) == 3

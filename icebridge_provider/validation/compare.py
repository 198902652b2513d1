"""Two fingerprints to checks, and checks to a report. Pure: reads nothing, knows no driver."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.report import BucketFingerprint, Check, ColumnFingerprint, Fingerprint, ValidationReport

_SHOWN = 20


def compare_fingerprints(source: Fingerprint, target: Fingerprint) -> tuple[Check, ...]:
    """Compare two fingerprints of what should be the same rows.

    The 128-bit sum certifies; the other checks say where a difference lies. Columns meet by name, so their order and
    their field ids may differ. A side that has no columns or buckets (a cheap profile) is not held against the other.

    :returns: checks ``encoding, rows, crc32 sum, crc32 xor, sum128, columns``, one ``column <name>`` each, ``buckets``.
    """
    checks = [
        _equal("encoding", source.encoding, target.encoding, "Both sides must be read by the same rules."),
        _equal("rows", source.rows, target.rows, _rows_detail(source.rows, target.rows)),
        _equal("crc32 sum", source.crc_sum, target.crc_sum),
        _equal("crc32 xor", source.crc_xor, target.crc_xor),
        _equal("sum128", source.sum128, target.sum128, "Some row differs."),
    ]
    if source.columns and target.columns:
        checks += _column_checks(source.columns, target.columns)
    if source.buckets and target.buckets:
        checks.append(_bucket_check(source.buckets, target.buckets))
    return tuple(checks)


def differing_buckets(source: Fingerprint, target: Fingerprint) -> tuple[int, ...]:
    """Return the numbers of the buckets whose rows or sums differ, in order.

    A bucket number holds a row's hash modulo the number of buckets, so both sides need the same number of buckets.
    """
    left = {bucket.bucket: bucket for bucket in source.buckets}
    right = {bucket.bucket: bucket for bucket in target.buckets}
    return tuple(number for number in sorted({*left, *right}) if left.get(number) != right.get(number))


def byte_report(
    *,
    table: TableIdentifier,
    target: TableIdentifier,
    source_snapshot_id: int | None,
    target_snapshot_id: int | None,
    checks: Iterable[Check],
    differences: Iterable[Mapping[str, Any]] = (),
    fingerprint: Fingerprint | None = None,
) -> ValidationReport:
    """Return the verdict on a file copy, whose checks compare files and metadata byte by byte."""
    return ValidationReport(
        table=table,
        target=target,
        kind="bytes",
        source_snapshot_id=source_snapshot_id,
        target_snapshot_id=target_snapshot_id,
        checks=tuple(checks),
        fingerprint=fingerprint,
        differences=tuple(differences),
    )


def fingerprint_report(
    *,
    table: TableIdentifier,
    target: TableIdentifier,
    source: Fingerprint,
    target_fingerprint: Fingerprint,
    differences: Iterable[Mapping[str, Any]] = (),
    checks: Iterable[Check] = (),
    readers: Mapping[str, str] | None = None,
) -> ValidationReport:
    """Return the verdict on a re-encoded table; its ``fingerprint`` is the source's.

    :param checks: further checks to stand beside those of the fingerprints.
    :param readers: who read ``source`` and ``target``.
    """
    return ValidationReport(
        table=table,
        target=target,
        kind="fingerprint",
        source_snapshot_id=source.snapshot_id,
        target_snapshot_id=target_fingerprint.snapshot_id,
        checks=(*compare_fingerprints(source, target_fingerprint), *checks),
        fingerprint=source,
        differences=tuple(differences),
        readers=readers or {},
    )


def _equal(name: str, source: object, target: object, detail: str = "") -> Check:
    passed = source == target
    return Check(name=name, source=str(source), target=str(target), passed=passed, detail="" if passed else detail)


def _rows_detail(source: int, target: int) -> str:
    word = "missing from" if source > target else "too many in"
    return f"{abs(source - target)} rows {word} the target."


def _column_checks(source: Sequence[ColumnFingerprint], target: Sequence[ColumnFingerprint]) -> Iterable[Check]:
    left = {column.name: column for column in source}
    right = {column.name: column for column in target}
    shapes = [sorted(f"{column.name} {column.type}".rstrip() for column in side) for side in (source, target)]
    yield _equal("columns", ", ".join(shapes[0]), ", ".join(shapes[1]), "The columns themselves differ.")
    for name in sorted({*left, *right}):
        yield _column_check(name, left.get(name), right.get(name))


def _column_check(name: str, source: ColumnFingerprint | None, target: ColumnFingerprint | None) -> Check:
    texts = [_column_text(side) for side in (source, target)]
    passed = texts[0] == texts[1]
    return Check(
        name=f"column {name}",
        source=texts[0],
        target=texts[1],
        passed=passed,
        detail="" if passed else _column_detail(source, target),
    )


def _column_text(column: ColumnFingerprint | None) -> str:
    if column is None:
        return "no such column"
    return f"nulls={column.nulls} crc_sum={column.crc_sum} crc_xor={column.crc_xor} sum128={column.sum128}"


def _column_detail(source: ColumnFingerprint | None, target: ColumnFingerprint | None) -> str:
    if source is None or target is None:
        return f"The column is missing from the {'source' if source is None else 'target'}."
    if source.nulls != target.nulls:
        return f"{source.nulls} nulls in the source, {target.nulls} in the target."
    return "Some value differs."


def _bucket_check(source: Sequence[BucketFingerprint], target: Sequence[BucketFingerprint]) -> Check:
    left, right = ({item.bucket: item for item in side} for side in (source, target))
    bad = [number for number in sorted({*left, *right}) if left.get(number) != right.get(number)]
    shown = ", ".join(map(str, bad[:_SHOWN])) + (" …" if len(bad) > _SHOWN else "")
    texts = [f"{sum(item.rows for item in side)} rows in {len(side)} buckets" for side in (source, target)]
    if bad and texts[0] == texts[1]:
        texts[1] += f", {len(bad)} of them different"
    detail = f"Rows differ in buckets {shown}." if bad else ""
    return Check(name="buckets", source=texts[0], target=texts[1], passed=not bad, detail=detail)

"""Findings and verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from icebridge_provider.model.identifier import TableIdentifier


class Severity(StrEnum):
    """``blocking`` drops the table; ``warning`` and ``info`` are shown."""

    BLOCKING = "blocking"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One rule's answer about one table: what was seen and what to do about it."""

    rule: str
    severity: Severity
    table: TableIdentifier
    message: str
    remedy: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnFingerprint:
    """Order-free sums over one column: nulls, CRC-32 sum and xor, 128-bit sum modulo 2**128 (decimal text).

    ``type`` names how its values are encoded (docs/fingerprint.md), which outlives a promotion such as int to long.
    """

    name: str
    field_id: int
    nulls: int
    crc_sum: int
    crc_xor: int
    sum128: str
    type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketFingerprint:
    """Order-free sums over the rows whose row hash falls into one bucket."""

    bucket: int
    rows: int
    sum128: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """The content of one snapshot, independent of row order, file layout and engine (docs/fingerprint.md).

    ``sum128`` certifies; the CRC-32 pair is kept because people ask for it. Sums of 128 bits are decimal text.
    """

    encoding: str
    snapshot_id: int | None
    rows: int
    crc_sum: int
    crc_xor: int
    sum128: str
    columns: tuple[ColumnFingerprint, ...] = ()
    buckets: tuple[BucketFingerprint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One comparison: a name, both sides as text, and whether they agree."""

    name: str
    source: str
    target: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationReport:
    """The verdict on one table as of one pinned source snapshot.

    ``kind`` is ``bytes`` for file copies and ``fingerprint`` for re-encoded tables. ``readers`` says who read the
    ``source`` and the ``target`` of a fingerprint, and ``why`` where another reader than usual had to.
    """

    table: TableIdentifier
    target: TableIdentifier
    kind: str
    source_snapshot_id: int | None
    target_snapshot_id: int | None
    checks: tuple[Check, ...]
    fingerprint: Fingerprint | None = None
    differences: tuple[Mapping[str, Any], ...] = ()
    readers: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """True when every check agreed; a report without checks proves nothing and does not pass."""
        return bool(self.checks) and all(check.passed for check in self.checks)

"""Comparisons and verdicts: pure functions over precomputed aggregates."""

from __future__ import annotations

from icebridge_provider.validation.compare import (
    byte_report,
    compare_fingerprints,
    differing_buckets,
    fingerprint_report,
)
from icebridge_provider.validation.expectations import expectation_of, verdict_of

__all__ = [
    "byte_report",
    "compare_fingerprints",
    "differing_buckets",
    "expectation_of",
    "fingerprint_report",
    "verdict_of",
]

"""Great Expectations' verdict on precomputed aggregates, and the Data Docs of a wave."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from icebridge_provider.engines.gx import build_data_docs, judge
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.report import BucketFingerprint, ColumnFingerprint, Fingerprint, ValidationReport
from icebridge_provider.validation import fingerprint_report


def report(number: int) -> ValidationReport:
    """A report as a table of 50 columns and 64 buckets gives it."""
    fingerprint = Fingerprint(
        encoding="icebridge-1",
        snapshot_id=number,
        rows=10**9,
        crc_sum=2**60,
        crc_xor=2**31,
        sum128=str(2**127),
        columns=tuple(
            ColumnFingerprint(
                name=f"c{at}", field_id=at, nulls=at, crc_sum=2**60, crc_xor=2**31, sum128=str(2**127 - at)
            )
            for at in range(50)
        ),
        buckets=tuple(BucketFingerprint(bucket=at, rows=10**7, sum128=str(2**127 + at)) for at in range(64)),
    )
    table = TableIdentifier(catalog="bench", namespace=("a",), name=f"t{number}")
    return fingerprint_report(table=table, target=table, source=fingerprint, target_fingerprint=fingerprint)


def main(arguments: list[str]) -> None:
    tables = 20 if "--fast" in arguments else 200
    reports = [report(number) for number in range(tables)]
    judge(reports[0])
    judged, spent = [], []
    for item in reports:
        start = time.process_time()
        judged.append((item, judge(item)))
        spent.append((time.process_time() - start) * 1000)
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        build_data_docs(judged, Path(folder))
        docs = (time.process_time() - start) * 1000 / tables
    tail = max(1, tables // 10)
    growth = statistics.median(spent[-tail:]) / statistics.median(spent[:tail])
    for name, value, unit, goal in (
        ("GX verdict", statistics.median(spent), "ms CPU per table", 10.0),
        ("GX verdict, last tenth against first", growth, "ratio", 1.5),
        ("data docs page of a kept verdict", docs, "ms CPU per table", 20.0),
    ):
        print(json.dumps({"name": name, "value": round(value, 2), "unit": unit, "goal": goal, "holds": value <= goal}))


if __name__ == "__main__":
    main(sys.argv[1:])

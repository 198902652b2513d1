"""Rows are published when exported = parsed = loaded = staged and the sums agree; anything else is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icebridge_provider.exceptions import TransientError, ValidationFailed
from icebridge_provider.model.snowflake import CopiedFile, ExportedFile, Mode, ShareManifest, SourceColumn
from icebridge_provider.planning.snowflake import gate
from icebridge_provider.planning.snowflake.schema import fit_columns

COLUMNS = fit_columns([SourceColumn(name="id", type="int"), SourceColumn(name="v", type="string")], None).columns
SUMS = ("30", "5", "6", "30", "7", "28", "8")
MANIFEST = ShareManifest(
    run_id="r", source="c.s.t", location="s3://bucket/x", asked="", columns=COLUMNS, rows=30, created_at="",
    files=(ExportedFile(name="a.parquet", size=1, rows=10), ExportedFile(name="b.parquet", size=2, rows=20),
           ExportedFile(name="empty.parquet", size=2, rows=0)),
    fingerprint=SUMS,
)  # fmt: skip


def copied(name: str, rows: int, status: str = "LOADED", parsed: int | None = None) -> CopiedFile:
    return CopiedFile(file=f"s3://bucket/x/{name}", status=status, rows_parsed=rows if parsed is None else parsed,
                      rows_loaded=rows)  # fmt: skip


RIGHT = [copied("a.parquet", 10), copied("b.parquet", 20)]


def test_equal_counts_and_sums_pass() -> None:
    checks = gate.staged(MANIFEST, RIGHT, 30, SUMS)
    assert all(item.passed for item in checks)
    assert [item.name for item in checks] == [
        "files", "rows of each file", "unknown files", "exported = parsed", "exported = loaded", "exported = staged",
        "fingerprint", "column id", "column v",
    ]  # fmt: skip
    gate.refuse_unpublished(checks, "T")


@pytest.mark.parametrize(
    ("answers", "rows", "sums", "named"),
    [
        (RIGHT[:1], 30, SUMS, {"files", "exported = parsed", "exported = loaded"}),
        ([RIGHT[0], copied("b.parquet", 19, parsed=20)], 30, SUMS, {"rows of each file", "exported = loaded"}),
        ([RIGHT[0], copied("b.parquet", 19)], 29, SUMS,
         {"rows of each file", "exported = parsed", "exported = loaded", "exported = staged"}),
        ([copied("a.parquet", 20), copied("b.parquet", 10)], 30, SUMS, {"rows of each file"}),
        ([*RIGHT, copied("stale.parquet", 5)], 30, SUMS, {"unknown files"}),
        ([RIGHT[0], copied("b.parquet", 20, "PARTIALLY_LOADED")], 30, SUMS,
         {"files", "exported = parsed", "exported = loaded"}),
        (RIGHT, 60, SUMS, {"exported = staged"}),
        (RIGHT, 30, ("30", "4", *SUMS[2:]), {"fingerprint"}),
        (RIGHT, 30, (*SUMS[:5], "27", "8"), {"column v"}),
        (RIGHT, 30, SUMS[:-1], {"fingerprint"}),
        (RIGHT, 30, (), {"fingerprint"}),
    ],
)  # fmt: skip
def test_each_difference_is_named_and_refused(
    answers: list[CopiedFile], rows: int, sums: tuple[str, ...], named: set[str]
) -> None:
    checks = gate.staged(MANIFEST, answers, rows, sums)
    assert {item.name for item in checks if not item.passed} == named
    with pytest.raises(ValidationFailed) as caught:
        gate.refuse_unpublished(checks, "T")
    assert caught.value.code == "IB-920"
    assert all(name in caught.value.message for name in named)


def test_a_repeated_copy_that_skips_is_judged_by_the_staging_table() -> None:
    """After a lost answer the files are told as skipped; the staging table's own rows and sums decide."""
    again = [copied("a.parquet", 0, "LOAD_SKIPPED"), copied("b.parquet", 20)]
    assert all(item.passed for item in gate.staged(MANIFEST, again, 30, SUMS))
    both = [*RIGHT, *(copied(name, 0, "LOAD_SKIPPED") for name in ("a.parquet", "b.parquet"))]
    assert all(item.passed for item in gate.staged(MANIFEST, both, 30, SUMS))
    lost = gate.staged(MANIFEST, again, 20, SUMS)
    assert [item.name for item in lost if not item.passed] == ["exported = staged"]


def test_no_checks_prove_nothing() -> None:
    for refuse in (gate.refuse_unpublished, gate.refuse_commit):
        with pytest.raises(ValidationFailed, match="nothing was checked"):
            refuse((), "T")


def test_an_export_without_a_fingerprint_is_not_published() -> None:
    bare = replace(MANIFEST, fingerprint=())
    assert not all(item.passed for item in gate.staged(bare, RIGHT, 30, SUMS))
    assert not all(item.passed for item in gate.staged(bare, RIGHT, 30, ()))


def test_keys_that_identify_no_single_row_are_refused() -> None:
    gate.refuse_unpublished(gate.keys((0, 0), 0), "T")
    for unfit, repeated in (((1, 0), 0), ((0, 1), 0), ((0, 0), 1)):
        with pytest.raises(ValidationFailed, match="key"):
            gate.refuse_unpublished(gate.keys(unfit, repeated), "T")


@settings(max_examples=300, deadline=None)
@given(
    mode=st.sampled_from(list(Mode)),
    rows=st.integers(0, 50),
    before=st.integers(0, 50),
    hit=st.integers(0, 50),
    lost=st.integers(0, 3),
    others=st.integers(-2, 2),
)
def test_the_transaction_is_committed_exactly_when_the_rows_came_in(
    mode: Mode, rows: int, before: int, hit: int, lost: int, others: int
) -> None:
    """Held against a table of numbers: ``lost`` rows did not come in, ``others`` came from another writer."""
    updated = min(hit, rows, before) if mode is Mode.UPSERT else 0
    inserted = max(rows - updated - lost, 0)
    lost = rows - updated - inserted
    deleted = before if mode is Mode.REPLACE else 0
    after = before - deleted + inserted + others
    checks = gate.published(mode, rows, before, after, inserted, updated, deleted)
    if lost:
        with pytest.raises(ValidationFailed) as refused:
            gate.refuse_commit(checks, "T")
        assert refused.value.code == "IB-921"
    elif others:
        with pytest.raises(TransientError) as again:
            gate.refuse_commit(checks, "T")
        assert again.value.code == "IB-922"
    else:
        gate.refuse_commit(checks, "T")

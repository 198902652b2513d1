"""The manifest speaks of whole files only, and everything that is otherwise later is named."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icebridge_provider.exceptions import ConfigurationError, ValidationFailed
from icebridge_provider.model.snowflake import (
    Export,
    FileColumn,
    ListedFile,
    LoadRecord,
    LoadState,
    Mode,
    ShareManifest,
    SourceColumn,
)
from icebridge_provider.planning.snowflake import manifest as manifests
from icebridge_provider.planning.snowflake.schema import fit_columns

SCHEMA = fit_columns(
    [
        SourceColumn(name="id", type="INTEGER"), SourceColumn(name="at", type="timestamp"),
        SourceColumn(name="d", type="decimal(10, 2)"), SourceColumn(name="c", type="char(3)"),
        SourceColumn(name="s", type="struct<a:int>"),
    ],
    None,
)  # fmt: skip
FOUND = [FileColumn(name=name, type=kind) for name, kind in
         (("id", "int"), ("at", "bigint"), ("d", "decimal(10,2)"), ("c", "string"), ("s", "string"))]  # fmt: skip
WORK = Export(run_id="r1", source=("c", "s", "t"), location="s3://bucket/runs/r/t", columns=SCHEMA.columns, limit=1000)
COUNTED = [("part-1.parquet", 200, 20), ("part-0.parquet", 100, 10)]
LISTED = [ListedFile(name="part-0.parquet", size=100, checksum='"AB"'), ListedFile(name="part-1.parquet", size=200),
          ListedFile(name="_SUCCESS", size=0), ListedFile(name="_committed_1", size=9)]  # fmt: skip
NOW = "2026-11-21T00:00:00+00:00"
SUMS = ("30", "1", "2", *("0",) * 10)


def made(**changes: object) -> ShareManifest:
    given = {"work": WORK, "source": "c.s.t", "counted": COUNTED, "listed": LISTED, "columns": FOUND,
             "fingerprint": SUMS, "created_at": NOW}  # fmt: skip
    return manifests.make_manifest(**{**given, **changes})  # type: ignore[arg-type]


def test_a_manifest_tells_files_rows_and_columns() -> None:
    manifest = made(limited="at most 1000 rows")
    assert [(item.name, item.size, item.rows) for item in manifest.files] == [
        ("part-0.parquet", 100, 10), ("part-1.parquet", 200, 20),
    ]  # fmt: skip
    assert (manifest.rows, manifest.asked, manifest.limited) == (30, WORK.digest, "at most 1000 rows")
    assert manifest.columns == SCHEMA.columns


def test_an_empty_table_has_a_manifest_too() -> None:
    manifest = made(counted=[], listed=[LISTED[2]], fingerprint=("0",) * 13)
    assert (manifest.rows, manifest.files) == (0, ())
    manifests.refuse_differences(manifest, manifests.differences(manifest, []))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"listed": LISTED[1:]}, "part-0.parquet has 100 bytes for the engine, no file in the store"),
        ({"listed": [replace(LISTED[0], size=99), LISTED[1]]}, "part-0.parquet has 100 bytes for the engine, 99 in"),
        ({"fingerprint": ("29", *SUMS[1:])}, "the fingerprint has 29 rows, the files have 30"),
        ({"work": replace(WORK, limit=29)}, "30 rows were exported, the limit is 29"),
    ],
)
def test_an_export_that_is_not_whole_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        made(**changes)
    assert caught.value.code == "IB-910"
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (FOUND[1:], "id is missing"),
        ([FileColumn(name="id", type="string"), *FOUND[1:]], "id is string, int is expected"),
        ([FOUND[0], FileColumn(name="at", type="timestamp"), *FOUND[2:]], "at is timestamp, bigint is expected"),
        ([*FOUND[:2], FileColumn(name="d", type="decimal(10,3)"), *FOUND[3:]], "d is decimal(10,3), decimal(10,2) is"),
        ([*FOUND, FileColumn(name="new", type="int")], "new was not asked for"),
        ([*FOUND, FOUND[0]], "id is there 2 times"),
        ([FileColumn(name="ID", type="int"), *FOUND[1:]], "id is missing"),
    ],
)
def test_schema_drift_is_named(found: list[FileColumn], said: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        made(columns=found)
    assert caught.value.code == "IB-911"
    assert said in caught.value.message


def test_a_file_is_read_back_as_it_was_written() -> None:
    manifest = made()
    assert manifests.load(manifests.dump(manifest), "x") == manifest


@settings(max_examples=200, deadline=None)
@given(cut=st.floats(0, 1, exclude_max=True))
def test_half_a_manifest_is_refused(cut: float) -> None:
    data = manifests.dump(made()).rstrip()
    with pytest.raises(ValidationFailed) as caught:
        manifests.load(data[: int(len(data) * cut)], "s3://x")
    assert caught.value.code == "IB-912"


@pytest.mark.parametrize("where", ["rows", "files", "location", "fingerprint"])
def test_a_manifest_that_was_changed_by_hand_is_refused(where: str) -> None:
    document = json.loads(manifests.dump(made()))
    document["manifest"][where] = {"rows": 31, "files": [], "location": "s3://else", "fingerprint": []}[where]
    with pytest.raises(ValidationFailed, match="changed after it was written"):
        manifests.load(json.dumps(document).encode(), "x")


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[]", b"{}", b'{"format": 2}', b'{"format": 1}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(ValidationFailed) as caught:
        manifests.load(data, "x")
    assert caught.value.code == "IB-912"


def test_a_used_run_id_is_refused_for_another_export() -> None:
    manifest = made()
    manifests.refuse_other_run(manifest, WORK)
    for other in (replace(WORK, where="id > 1"), replace(WORK, source=("c", "s", "u")), replace(WORK, limit=5),
                  replace(WORK, version=4), replace(WORK, run_id="r2")):  # fmt: skip
        with pytest.raises(ConfigurationError) as caught:
            manifests.refuse_other_run(manifest, other)
        assert caught.value.code == "IB-913"


def test_a_used_run_id_is_refused_for_other_files() -> None:
    manifest = made()
    record = LoadRecord(run_key="k", run_id="r1", target='"D"."S"."T"', mode=Mode.APPEND, manifest=manifest.digest,
                        rows_exported=30, state=LoadState.LOADED)  # fmt: skip
    manifests.refuse_other_load(record, manifest)
    with pytest.raises(ConfigurationError, match="used before") as caught:
        manifests.refuse_other_load(record, replace(manifest, rows=31))
    assert caught.value.code == "IB-913"


def test_a_plan_for_other_columns_is_refused() -> None:
    manifest = made()
    manifests.refuse_new_shape(manifest, SCHEMA)
    other = fit_columns([SourceColumn(name="id", type="bigint")], None)
    with pytest.raises(ValidationFailed) as caught:
        manifests.refuse_new_shape(manifest, other)
    assert caught.value.code == "IB-911"


@pytest.mark.parametrize(
    ("listed", "kinds"),
    [
        (LISTED, []),
        (LISTED[1:], [("missing", "part-0.parquet")]),
        ([replace(LISTED[0], size=99), LISTED[1]], [("truncated", "part-0.parquet")]),
        ([replace(LISTED[0], size=101), LISTED[1]], [("grown", "part-0.parquet")]),
        ([replace(LISTED[0], checksum="cd"), LISTED[1]], [("replaced", "part-0.parquet")]),
        ([replace(LISTED[0], checksum="ab"), LISTED[1]], []),
        ([replace(LISTED[0], checksum=""), replace(LISTED[1], checksum="x")], []),
        ([*LISTED, ListedFile(name="part-9.parquet", size=5)], [("stale", "part-9.parquet")]),
        ([*LISTED, ListedFile(name="sub/part-9.parquet", size=5)], [("stale", "sub/part-9.parquet")]),
    ],
)
def test_what_became_of_the_files_is_named(listed: list[ListedFile], kinds: list[tuple[str, str]]) -> None:
    found = manifests.differences(made(), listed)
    assert [(item.kind, item.file) for item in found] == kinds
    if any(kind != "stale" for kind, _ in kinds):
        with pytest.raises(ValidationFailed) as caught:
            manifests.refuse_differences(made(), found)
        assert caught.value.code == "IB-914"
        assert kinds[0][1] in caught.value.message
    else:
        manifests.refuse_differences(made(), found)

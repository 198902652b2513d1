"""The manifest file on a store: written last, found again, and refused when its files are not as they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from icebridge_provider.exceptions import ConfigurationError, ValidationFailed
from icebridge_provider.model.snowflake import MANIFEST, Export, ExportedFile, ListedFile, ShareManifest, SourceColumn
from icebridge_provider.planning.snowflake.schema import fit_columns
from icebridge_provider.steps import share_manifest as share
from icebridge_provider.stores.object_store import ObjectStore

COLUMNS = fit_columns([SourceColumn(name="id", type="int")], None).columns


def exported(folder: Path) -> tuple[Export, ShareManifest]:
    (folder / "part-0.parquet").write_bytes(b"12345")
    (folder / "_SUCCESS").write_bytes(b"")
    work = Export(run_id="r", source=("c", "s", "t"), location=str(folder), columns=COLUMNS)
    manifest = ShareManifest(
        run_id="r", source="c.s.t", location=str(folder), asked=work.digest, columns=COLUMNS, rows=1, created_at="now",
        files=(ExportedFile(name="part-0.parquet", size=5, rows=1),),
    )  # fmt: skip
    return work, manifest


def test_a_manifest_is_found_again_and_is_no_data(tmp_path: Path) -> None:
    store = ObjectStore()
    work, manifest = exported(tmp_path)
    assert share.find_manifest(store, work) is None
    share.write_manifest(store, manifest)
    assert share.find_manifest(store, work) == manifest
    assert MANIFEST.startswith("_"), "engines that read the folder as Parquet must leave it out"
    assert share.check_files(manifest, share.listed_files(store, work.location)) == []
    share.forget_manifest(store, work.location)
    share.forget_manifest(store, work.location)
    assert share.find_manifest(store, work) is None


def test_no_manifest_is_written_for_files_that_are_not_there(tmp_path: Path) -> None:
    _, manifest = exported(tmp_path)
    (tmp_path / "part-0.parquet").write_bytes(b"123")
    with pytest.raises(ValidationFailed, match=r"part-0\.parquet is truncated"):
        share.write_manifest(ObjectStore(), manifest)
    assert not (tmp_path / MANIFEST).exists()


@pytest.mark.parametrize(("content", "word"), [(None, "missing"), (b"123", "truncated"), (b"1234567", "grown")])
def test_an_export_whose_files_changed_is_not_taken_for_done(tmp_path: Path, content: bytes | None, word: str) -> None:
    work, manifest = exported(tmp_path)
    share.write_manifest(ObjectStore(), manifest)
    (tmp_path / "part-0.parquet").unlink()
    if content is not None:
        (tmp_path / "part-0.parquet").write_bytes(content)
    with pytest.raises(ValidationFailed, match=word) as caught:
        share.find_manifest(ObjectStore(), work)
    assert caught.value.code == "IB-914"


def test_stale_files_are_told_and_do_not_stop_a_load(tmp_path: Path) -> None:
    work, manifest = exported(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "old.parquet").write_bytes(b"1")
    share.write_manifest(ObjectStore(), manifest)
    assert share.find_manifest(ObjectStore(), work) == manifest
    (found,) = share.check_files(manifest, share.listed_files(ObjectStore(), work.location))
    assert (found.kind, found.file) == ("stale", "sub/old.parquet")


def test_a_used_run_id_and_half_a_manifest_are_refused(tmp_path: Path) -> None:
    work, manifest = exported(tmp_path)
    share.write_manifest(ObjectStore(), manifest)
    with pytest.raises(ConfigurationError) as other:
        share.find_manifest(ObjectStore(), replace(work, where="id > 1"))
    assert other.value.code == "IB-913"
    path = tmp_path / MANIFEST
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValidationFailed) as cut:
        share.find_manifest(ObjectStore(), work)
    assert cut.value.code == "IB-912"


def test_a_stage_names_files_from_the_bucket_on() -> None:
    rows = [("s3://bucket/in/runs/r/t/part-0.parquet", 5, '"ab"'), ("s3://bucket/in/runs/r/t/sub/x.parquet", 6, None)]
    assert share.staged_files(rows, "runs/r/t/") == [  # type: ignore[arg-type]
        ListedFile(name="part-0.parquet", size=5, checksum='"ab"'), ListedFile(name="sub/x.parquet", size=6),
    ]  # fmt: skip

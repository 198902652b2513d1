"""``register``: no file is copied, the source's folder is not touched, and the target cannot delete what is shared."""

from __future__ import annotations

import pytest

from icebridge_provider.model.plan import CopyMethod
from tests.support import tables
from tests.support.copying import CopyLake, content, local


@pytest.mark.parametrize("shape", sorted(tables.HEALTHY))
def test_both_entries_read_the_same_files(lake: CopyLake, shape: str) -> None:
    old = tables.HEALTHY[shape](lake.native)
    before = {path: path.stat().st_mtime_ns for path in (lake.folder / "source" / "warehouse").rglob("*")}
    job = lake.job(shape, CopyMethod.REGISTER)
    result = lake.run(job)
    new = lake.copied(job)
    assert content(new) == content(old)
    assert (result.files_copied, result.bytes_copied) == (0, 0)
    assert {path: path.stat().st_mtime_ns for path in (lake.folder / "source" / "warehouse").rglob("*")} == before
    assert [str(path) for path in local(job.location).rglob("*.*")] == [
        result.metadata_location.removeprefix("file://")
    ]
    assert new.properties["gc.enabled"] == "false"
    checks, differences = lake.proof(shape, job, result)
    assert all(check.passed for check in checks), differences


def test_what_is_written_later_goes_to_the_new_folder(lake: CopyLake) -> None:
    old = tables.plain(lake.native)
    job = lake.job("plain", CopyMethod.REGISTER)
    lake.run(job)
    lake.copied(job).append(tables.rows(900, 3))
    assert len(content(lake.copied(job))) == 103
    assert len(content(old.refresh())) == 100
    assert len(list(local(job.location).rglob("*.parquet"))) == 1


def test_the_proof_names_a_shared_file_that_is_gone(lake: CopyLake) -> None:
    old = tables.plain(lake.native)
    job = lake.job("plain", CopyMethod.REGISTER)
    result = lake.run(job)
    path = next(iter(old.scan().plan_files())).file.file_path
    local(path).unlink()
    checks, differences = lake.proof("plain", job, result)
    assert [check.name for check in checks if not check.passed] == ["files"]
    assert [(found["file"], found["what"]) for found in differences] == [(path, "is missing")]

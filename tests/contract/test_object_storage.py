"""Copies between local folders and S3, each way, by every method."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from icebridge_provider.exceptions import PreflightFailed
from icebridge_provider.model.plan import CopyMethod
from icebridge_provider.stores.object_store import ObjectStore
from tests.support import tables
from tests.support.copying import PLAN, CopyLake, content
from tests.support.s3 import BUCKET, s3_server


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    with s3_server() as properties:
        yield properties


@pytest.fixture(params=["local to s3", "s3 to local", "s3 to s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path, s3: dict[str, str]) -> CopyLake:
    def options(side: str) -> dict[str, str]:
        return {**s3, "warehouse": f"s3://{BUCKET}/{tmp_path.name}/{side}"}

    source, _, target = request.param.partition(" to ")
    return CopyLake(
        folder=tmp_path,
        source_io=options("source") if source == "s3" else {},
        target_io=options("target") if target == "s3" else {},
    )


@pytest.mark.parametrize("method", [CopyMethod.COPY_FILES, CopyMethod.INSERT_SELECT])
def test_rows_arrive_and_a_second_run_finds_them(lake: CopyLake, method: CopyMethod) -> None:
    old = tables.position_deletes(lake.native)
    job = lake.job("deletes", method)
    result = lake.run(job)
    assert content(lake.copied(job)) == content(old)
    assert lake.run(job).metadata_location == result.metadata_location
    if method is CopyMethod.COPY_FILES:
        checks, differences = lake.proof("deletes", job, result)
        assert all(check.passed for check in checks), differences


def test_lost_files_are_copied_again(lake: CopyLake) -> None:
    old = tables.history(lake.native)
    job = lake.job("history")
    first = lake.run(job)
    store = lake.target.store()
    path = next(path for path, _ in store.list(job.location) if path.endswith(".parquet"))
    store.delete(path)
    lake.target.drop_entry(job.staged)
    second = lake.run(job)
    assert (second.files_copied, second.files_reused) == (1, first.files_copied - 1)
    assert content(lake.copied(job)) == content(old)


@pytest.mark.parametrize("method", [CopyMethod.COPY_FILES, CopyMethod.INSERT_SELECT])
def test_a_table_in_s3_cannot_name_files_of_this_host(tmp_path: Path, s3: dict[str, str], method: CopyMethod) -> None:
    """Else whoever owns the foreign catalog could have the worker's own files copied to where they can be read."""
    lake = CopyLake(folder=tmp_path, source_io={**s3, "warehouse": f"s3://{BUCKET}/{tmp_path.name}/source"})
    table = tables.plain(lake.native)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    store = ObjectStore(s3)
    metadata = json.loads(store.read(table.metadata_location))
    metadata["snapshots"][0]["manifest-list"] = f"file://{secret}"
    store.write(table.metadata_location, json.dumps(metadata).encode())
    with pytest.raises(PreflightFailed) as caught:
        lake.run(lake.job("plain", method))
    assert (caught.value.code, caught.value.facts["file"]) == ("IB-409", f"file://{secret}")


def test_a_data_file_of_this_host_is_refused_too(tmp_path: Path, s3: dict[str, str]) -> None:
    lake = CopyLake(folder=tmp_path, source_io={**s3, "warehouse": f"s3://{BUCKET}/{tmp_path.name}/source"})
    table = tables.plain(lake.native)
    table.transaction().set_properties({"write.data.path": f"file://{tmp_path}/hidden"}).commit_transaction()
    table.append(tables.rows(0, 3))
    for method in (CopyMethod.COPY_FILES, CopyMethod.INSERT_SELECT):
        with pytest.raises(PreflightFailed) as caught:
            lake.run(lake.job("plain", method))
        assert caught.value.code == "IB-409"
    assert PLAN

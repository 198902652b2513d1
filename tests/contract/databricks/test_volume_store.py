"""VolumeStore over the Files API of the local workspace, and extraction into a volume."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from databricks.sdk.service.catalog import PermissionsChange, Privilege, VolumeType

from icebridge_provider.catalogs.unity.workspace import Login, Workspace
from icebridge_provider.exceptions import ConfigurationError, TransientError
from icebridge_provider.model.extraction import MANIFEST
from icebridge_provider.steps.extract import extract
from icebridge_provider.stores.object_store import checksum
from icebridge_provider.stores.volume import VolumeStore
from tests.support import databricks as local
from tests.support.extraction import SqliteReader, job, orders, site

NUMBERS = itertools.count()


@pytest.fixture
def volume(databricks_uc: local.Workspace) -> str:
    """A managed volume; its path."""
    sdk, catalog = databricks_uc.sdk(), f"landing{next(NUMBERS)}"
    sdk.catalogs.create(catalog)
    sdk.schemas.create("raw", catalog)
    sdk.volumes.create(catalog, "raw", "v", VolumeType.MANAGED)
    return f"/Volumes/{catalog}/raw/v"


def store(server: local.Workspace, principal: str = "admin") -> VolumeStore:
    return VolumeStore(Workspace("dbx", server.url, Login(token=server.token(principal))))


def test_files_are_written_read_listed_and_deleted(databricks_uc: local.Workspace, volume: str) -> None:
    files = store(databricks_uc)
    assert files.size(f"{volume}/a/x") is None
    assert list(files.list(f"{volume}/a")) == []
    files.write(f"{volume}/a/x", b"one")
    files.write(f"{volume}/a/x", b"other")
    files.write(f"{volume}/a/sub/y z%20ä", b"")
    assert files.read(f"{volume}/a/x") == b"other"
    assert list(files.list(f"{volume}/a/")) == [(f"{volume}/a/sub/y z%20ä", 0), (f"{volume}/a/x", 5)]
    files.delete(f"{volume}/a/x")
    files.delete(f"{volume}/a/x")
    assert files.size(f"{volume}/a/x") is None
    for missing in (lambda: files.read(f"{volume}/a/x"), lambda: files.open(f"{volume}/a/x")):
        with pytest.raises(FileNotFoundError):
            missing()


def test_a_file_is_uploaded_and_read_by_ranges(databricks_uc: local.Workspace, volume: str, tmp_path: Path) -> None:
    files, content = store(databricks_uc), bytes(range(256)) * 20_000
    (tmp_path / "part").write_bytes(content)
    assert files.upload(f"{volume}/p ä", tmp_path / "part") == len(content)
    databricks_uc.forget_requests()
    with files.open(f"{volume}/p ä") as stream:
        stream.seek(-10, 2)
        assert stream.read() == content[-10:]
        stream.seek(1000)
        assert stream.read(3) == content[1000:1003]
    with files.open(f"{volume}/p ä") as stream:
        assert stream.read() == content
    assert checksum(files, f"{volume}/p ä")[0] == len(content)


def test_a_lost_answer_to_an_upload_makes_no_second_file(
    databricks_uc: local.Workspace, volume: str, tmp_path: Path
) -> None:
    files = store(databricks_uc)
    (tmp_path / "part").write_bytes(b"rows" * 1000)
    databricks_uc.fail("lost", path=".*/fs/files/.*", method="PUT")
    files.upload(f"{volume}/x/part", tmp_path / "part")
    assert list(files.list(f"{volume}/x")) == [(f"{volume}/x/part", 4000)]
    assert files.read(f"{volume}/x/part") == b"rows" * 1000


@pytest.mark.parametrize(
    "path",
    ["/Volumes/a/b", "/Volumes/a/b/c/../d", "/Volumes/a/b/c//d", "/tmp/x", "Volumes/a/b/c/d", "/Volumes/a/b/c/d\n"],
)
def test_a_path_that_is_in_no_volume_is_refused_before_it_is_sent(databricks_uc: local.Workspace, path: str) -> None:
    databricks_uc.forget_requests()
    with pytest.raises(ConfigurationError, match="IB-828"):
        store(databricks_uc).write(path, b"")
    assert databricks_uc.requests("/fs/") == []


def test_a_missing_privilege_is_named(databricks_uc: local.Workspace, volume: str) -> None:
    bob = databricks_uc.principal("bob@example.com")
    catalog = volume.split("/")[2]
    admin = databricks_uc.sdk()
    admin.grants.update("catalog", catalog, changes=[PermissionsChange(principal=bob, add=[
        Privilege.USE_CATALOG, Privilege.USE_SCHEMA, Privilege.READ_VOLUME,
    ])])  # fmt: skip
    with pytest.raises(ConfigurationError, match=r"IB-241.*WRITE VOLUME"):
        store(databricks_uc, bob).write(f"{volume}/x", b"")


def test_rows_are_extracted_into_a_volume(databricks_uc: local.Workspace, volume: str, tmp_path: Path) -> None:
    expected = orders(tmp_path / "source.db", 700, nulls=3)
    files = store(databricks_uc)
    reader = SqliteReader(path=tmp_path / "source.db")
    manifest = extract(site(tmp_path, reader, store=files, root=volume, read_back=True), job(3))
    folder = f"{volume}/co/orders"
    assert {location for location, _ in files.list(folder)} == {
        f"{folder}/{name}" for name in (MANIFEST, *(part.name for part in manifest.parts))
    }
    tables = [pq.read_table(files.open(f"{folder}/{part.name}")) for part in manifest.parts]
    rows = [(row["id"], row["name"], row["amount"] and str(row["amount"])) for t in tables for row in t.to_pylist()]
    assert Counter(rows) == Counter(expected)


def test_a_volume_that_stays_out_of_reach_ends_the_job_without_a_manifest(
    databricks_uc: local.Workspace, volume: str, tmp_path: Path
) -> None:
    orders(tmp_path / "source.db", 700)
    where = site(tmp_path, SqliteReader(path=tmp_path / "source.db"), store=store(databricks_uc), root=volume)
    databricks_uc.fail(503, path=".*part-00001.*", method="PUT", times=3)
    with pytest.raises(TransientError, match="IB-240"):
        extract(where, job())
    files = store(databricks_uc)
    assert files.size(f"{volume}/co/orders/{MANIFEST}") is None
    assert extract(where, job()).rows == 700
    assert files.size(f"{volume}/co/orders/{MANIFEST}")

"""One behaviour over local files and S3 (a server of its own on the loopback)."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icebridge_provider.stores import local, object_store
from icebridge_provider.stores.object_store import UNKNOWN_CRC, ObjectStore, checksum, copy_file
from tests.support.s3 import s3_server


@pytest.fixture(scope="session")
def s3_properties() -> Iterator[dict[str, str]]:
    with s3_server() as properties:
        yield properties


@pytest.fixture(params=["path", "file://", "file:", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ObjectStore, str]:
    if request.param == "s3":
        return ObjectStore(request.getfixturevalue("s3_properties")), f"s3://bucket/{tmp_path.name}"
    return ObjectStore(), f"{'' if request.param == 'path' else request.param}{tmp_path}"


def test_files_are_written_read_listed_and_deleted(place: tuple[ObjectStore, str]) -> None:
    store, base = place
    assert store.size(f"{base}/a/x") is None
    assert list(store.list(f"{base}/a")) == []
    store.write(f"{base}/a/x", b"one")
    store.write(f"{base}/a/x", b"other")
    store.write(f"{base}/a/sub/y z", b"")
    assert store.read(f"{base}/a/x") == b"other"
    assert (store.size(f"{base}/a/x"), store.size(f"{base}/a/sub/y z")) == (5, 0)
    assert store.size(f"{base}/a") is None
    expected = [(f"{base}/a/sub/y z", 0), (f"{base}/a/x", 5)]
    assert sorted(store.list(f"{base}/a")) == sorted(store.list(f"{base}/a/")) == expected
    store.delete(f"{base}/a/x")
    store.delete(f"{base}/a/x")
    assert list(store.list(f"{base}/a")) == [(f"{base}/a/sub/y z", 0)]


def test_a_missing_file_is_a_file_not_found(place: tuple[ObjectStore, str]) -> None:
    store, base = place
    with pytest.raises(FileNotFoundError):
        store.read(f"{base}/none")
    with pytest.raises(FileNotFoundError):
        checksum(store, f"{base}/none")


def test_open_files_are_seekable(place: tuple[ObjectStore, str]) -> None:
    store, base = place
    store.write(f"{base}/x", b"0123456789")
    with store.open(f"{base}/x") as stream:
        stream.seek(-3, os.SEEK_END)
        assert stream.read() == b"789"


def test_a_write_that_fails_leaves_nothing(place: tuple[ObjectStore, str]) -> None:
    store, base = place

    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("the source broke off")

    with pytest.raises(RuntimeError):
        store.write_from(f"{base}/x", chunks())
    assert list(store.list(base)) == []


SIZES = [0, 1, 500_000, local._BUFFER, local._LARGE, local._LARGE + 1, 3 * local._LARGE + 5]


@pytest.mark.parametrize("size", SIZES)
def test_a_copy_has_the_same_bytes(place: tuple[ObjectStore, str], tmp_path: Path, size: int) -> None:
    store, base = place
    data = os.urandom(size)
    origin = tmp_path / "origin"
    origin.write_bytes(data)
    for number, claimed in enumerate((size, 0, 1 << 40)):  # a wrong manifest must not cut the copy
        target = f"{base}/deep/down/{number}"
        copied, crc = copy_file(ObjectStore(), store, str(origin), target, claimed)
        assert copied == size
        assert crc in {UNKNOWN_CRC, zlib.crc32(data)}
        assert checksum(store, target) == (size, zlib.crc32(data))


def test_between_buckets_of_one_server_no_byte_passes_through(s3_properties: dict[str, str], tmp_path: Path) -> None:
    store = ObjectStore(s3_properties)
    source, target = (f"s3://bucket/{tmp_path.name}/{name}" for name in ("one", "other"))
    store.write(source, b"data")
    assert copy_file(store, ObjectStore(s3_properties), source, target, 4) == (4, UNKNOWN_CRC)
    assert store.read(target) == b"data"


def test_from_s3_to_disk_the_crc_is_taken_on_the_way(s3_properties: dict[str, str], tmp_path: Path) -> None:
    store = ObjectStore(s3_properties)
    source = f"s3://bucket/{tmp_path.name}/one"
    store.write(source, b"data")
    assert copy_file(store, ObjectStore(), source, f"{tmp_path}/x", 4) == (4, zlib.crc32(b"data"))
    assert (tmp_path / "x").read_bytes() == b"data"


def test_an_unreachable_server_may_answer_later(s3_properties: dict[str, str]) -> None:
    store = ObjectStore({**s3_properties, "s3.endpoint": "http://127.0.0.1:9", "s3.connect-timeout": "0.2"})
    with pytest.raises(ConnectionError):
        store.read("s3://bucket/x")


def test_an_unknown_scheme_is_named() -> None:
    with pytest.raises(OSError, match="gopher://"):
        ObjectStore().read("gopher://x/y")


def test_a_copy_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    origin = tmp_path / "in" / "x"
    origin.parent.mkdir()
    origin.write_bytes(bytes(local._LARGE + 1))
    with pytest.raises(InterruptedError):
        copy_file(ObjectStore(), ObjectStore(), str(origin), f"{tmp_path}/out/x", local._LARGE + 1, lambda: True)
    assert list((tmp_path / "out").iterdir()) == []


def test_names_of_the_greatest_length_can_be_written(tmp_path: Path) -> None:
    store = ObjectStore()
    name = f"{tmp_path}/{'n' * 255}"
    store.write(name, b"x")
    assert store.read(name) == b"x"


def test_credentials_are_never_shown() -> None:
    store = ObjectStore({"s3.secret-access-key": "canary-7f3a"})
    assert "canary" not in f"{store!r} {store!s}"


@given(st.text(alphabet=st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1, max_size=20))
def test_local_spellings_name_one_path(name: str) -> None:
    path = f"/x/{name}"
    assert local.local_path(path) == path
    for spelled in (f"file://{path}", f"file:{path}", f"FILE://{path}", f"file://localhost{path}"):
        assert local.local_path(spelled) == path


@pytest.mark.parametrize("location", ["s3://b/k", "gs://b", "file://host/x", "hdfs://n/x"])
def test_remote_places_are_not_local(location: str) -> None:
    assert local.local_path(location) is None


@settings(deadline=None, max_examples=20)
@given(st.lists(st.binary(max_size=50), max_size=5))
def test_checksum_is_that_of_all_chunks(tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes]) -> None:
    path = str(tmp_path_factory.mktemp("crc") / "x")
    assert ObjectStore().write_from(path, chunks) == sum(map(len, chunks))
    assert checksum(ObjectStore(), path) == (len(b"".join(chunks)), zlib.crc32(b"".join(chunks)))
    assert object_store.CHUNK > 0

"""Extraction over SQLite into a local folder: parts, manifest, ledger, resume, and what must never be seen."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from icebridge_provider.exceptions import ConfigurationError, FencedOut, TransientError
from icebridge_provider.model import codec
from icebridge_provider.model.event import Outcome, State
from icebridge_provider.model.extraction import MANIFEST, Manifest
from icebridge_provider.steps.extract import extract
from icebridge_provider.stores.object_store import ObjectStore
from tests.crash.driver import time_passes
from tests.support.extraction import SqliteReader, job, orders, rows_in, site


class Stopped(Exception):
    """Stands for a process that ends."""


@pytest.fixture
def reader(tmp_path: Path) -> SqliteReader:
    orders(tmp_path / "source.db", 1000)
    return SqliteReader(path=tmp_path / "source.db")


def out(tmp_path: Path) -> Path:
    return tmp_path / "out" / "co" / "orders"


def stopped_at(batch: int) -> Any:
    def before(number: int) -> None:
        if number == batch:
            raise Stopped

    return before


def manifest_in(folder: Path) -> Manifest:
    return codec.from_json(Manifest, json.loads((folder / MANIFEST).read_text()))


def test_rows_become_parts_and_the_manifest_tells_them_all(tmp_path: Path, reader: SqliteReader) -> None:
    where = site(tmp_path, reader)
    manifest = extract(where, job())
    folder = out(tmp_path)
    assert Counter(rows_in(folder, manifest)) == Counter(orders(tmp_path / "source.db", 1000))
    assert manifest == manifest_in(folder)
    assert (manifest.rows, manifest.isolation, manifest.parameters) == (1000, "snapshot", {"unwanted": "50%"})
    assert [part.name for part in manifest.parts] == [f"part-{n:05d}.parquet" for n in range(len(manifest.parts))]
    assert len(manifest.parts) > 2
    for part in manifest.parts:
        content = (folder / part.name).read_bytes()
        assert (len(content), zlib.crc32(content)) == (part.size, part.crc32)
    assert [(item.name, item.sql_type, item.arrow) for item in manifest.columns] == [
        ("id", "int", "int32"), ("name", "nvarchar(50)", "string"), ("amount", "decimal(20,4)", "decimal128(20,4)"),
    ]  # fmt: skip
    state = where.ledger.state("run-1", "co/orders")
    assert (state.state, state.copy["rows"], state.copy["isolation"]) == (State.COPIED, 1000, "snapshot")
    assert where.ledger.document("manifest", "run-1/co/orders") == codec.to_json(manifest)


def test_the_fingerprint_is_of_the_rows_and_not_of_their_order_or_files(tmp_path: Path, reader: SqliteReader) -> None:
    one = extract(site(tmp_path, reader), job())
    backwards = job(job_id="run-2", statement="SELECT id, name, amount FROM orders ORDER BY id DESC", values={})
    other = extract(site(tmp_path, reader, root=f"{tmp_path}/other"), backwards)
    ranged = extract(site(tmp_path, reader, root=f"{tmp_path}/ranged"), job(7, job_id="run-3"))
    assert one.fingerprint == other.fingerprint == ranged.fingerprint
    assert {part.crc32 for part in one.parts} != {part.crc32 for part in other.parts}
    orders(tmp_path / "source.db", 999)
    assert extract(site(tmp_path, reader), job(job_id="run-4")).fingerprint != one.fingerprint


def test_a_finished_job_is_not_read_again(tmp_path: Path, reader: SqliteReader) -> None:
    where = site(tmp_path, reader)
    first = extract(where, job())
    assert extract(where, job()) == first
    assert len(reader.read_statements) == 1
    (out(tmp_path) / first.parts[1].name).unlink()
    assert extract(where, job()).parts == first.parts
    assert len(reader.read_statements) == 2, "a part was gone"


def test_no_rows_make_one_file_with_the_schema(tmp_path: Path) -> None:
    orders(tmp_path / "source.db", 0)
    manifest = extract(site(tmp_path, SqliteReader(path=tmp_path / "source.db")), job())
    assert [(part.name, part.rows) for part in manifest.parts] == [("part-00000.parquet", 0)]
    table = pq.read_table(out(tmp_path) / "part-00000.parquet")
    assert (table.num_rows, table.schema.names) == (0, ["id", "name", "amount"])


def test_an_interrupted_query_without_ranges_starts_anew_and_leaves_nothing_old(tmp_path: Path) -> None:
    source = tmp_path / "source.db"
    orders(source, 1000)
    where = site(tmp_path, SqliteReader(path=source))
    assert len(extract(where, job(job_id="run-0")).parts) > 2
    (out(tmp_path) / "mine.txt").write_text("not a part")
    broken = SqliteReader(path=source, before=stopped_at(12))
    with pytest.raises(Stopped):
        extract(replace(where, reader=lambda _: broken), job())
    assert not (out(tmp_path) / MANIFEST).exists(), "the old manifest would speak of new parts"
    expected = orders(source, 120)
    manifest = extract(where, job())
    assert Counter(rows_in(out(tmp_path))) == Counter(expected), "no part of the runs before is left"
    assert manifest.rows == 120
    assert (out(tmp_path) / "mine.txt").exists()


@pytest.mark.parametrize("threads", [1, 3])
def test_ranges_hold_every_row_once_rows_without_a_key_too(tmp_path: Path, threads: int) -> None:
    expected = orders(tmp_path / "source.db", 1000, nulls=7)
    reader = SqliteReader(path=tmp_path / "source.db")
    manifest = extract(site(tmp_path, reader, threads=threads), job(7))
    assert Counter(rows_in(out(tmp_path))) == Counter(rows_in(out(tmp_path), manifest)) == Counter(expected)
    assert {part.name[:10] for part in manifest.parts} == {f"part-{n:05d}" for n in range(7)}
    assert manifest.isolation == "fuzzy", "each range saw a state of its own"


def test_ranges_that_are_whole_are_kept(tmp_path: Path) -> None:
    expected = orders(tmp_path / "source.db", 1000)
    reader = SqliteReader(path=tmp_path / "source.db")
    batches = iter(range(1000))

    def before(_: int) -> None:
        if next(batches) == 12:
            raise Stopped

    where = site(tmp_path, reader)
    with pytest.raises(Stopped):
        extract(replace(where, reader=lambda _: SqliteReader(path=reader.path, before=before)), job(5))
    manifest = extract(where, job(5))
    assert Counter(rows_in(out(tmp_path), manifest)) == Counter(rows_in(out(tmp_path))) == Counter(expected)
    assert len(reader.read_statements) == 3, "two of five ranges were whole, and the bounds were known"
    whole = extract(site(tmp_path, reader, root=f"{tmp_path}/other"), job(5, job_id="run-2"))
    assert (manifest.fingerprint, manifest.parts) == (whole.fingerprint, whole.parts)


def test_ranges_of_another_statement_are_not_kept(tmp_path: Path) -> None:
    orders(tmp_path / "source.db", 1000)
    reader = SqliteReader(path=tmp_path / "source.db")
    where = site(tmp_path, reader)
    extract(where, job(5))
    reader.read_statements.clear()
    changed = job(
        5, digest="d2", statement="SELECT id, name, amount FROM orders WHERE id < 100 AND name <> %(unwanted)s"
    )
    assert extract(where, changed).rows == 100
    assert len(reader.read_statements) == 6, "the bounds and all five ranges"


def test_rows_written_between_the_bounds_and_the_reads_fall_into_the_outer_ranges(tmp_path: Path) -> None:
    source = tmp_path / "source.db"
    orders(source, 100)
    reader = SqliteReader(path=source)

    class Growing(SqliteReader):
        def read(self, statement: str, *rest: Any) -> Any:
            found = super().read(statement, *rest)
            if "MIN(" in statement:
                orders(source, 200)
            return found

    manifest = extract(site(tmp_path, Growing(path=source)), job(3))
    assert Counter(rows_in(out(tmp_path), manifest)) == Counter(orders(source, 200))
    assert reader.snapshots


@pytest.mark.parametrize(
    ("column", "said"), [("nope", "no such column; it has id, name"), ("amount", "it is decimal(20,4)")]
)
def test_a_key_that_cannot_be_cut_is_refused_by_name(
    tmp_path: Path, reader: SqliteReader, column: str, said: str
) -> None:
    from icebridge_provider.model.extraction import Partition

    where = site(tmp_path, reader)
    with pytest.raises(ConfigurationError, match=r"IB-833") as error:
        extract(where, job(partition=Partition(column=column, count=3)))
    assert said in str(error.value)
    failed = [event for event in where.ledger.events("run-1") if event.outcome is Outcome.FAILED]
    assert [event.data["code"] for event in failed] == ["IB-833"]


class Cutting(ObjectStore):
    """Loses the last byte of every part, or changes one in the middle."""

    def __init__(self, damage: str) -> None:
        super().__init__()
        self.damage = damage

    def upload(self, location: str, path: Path) -> int:
        content = path.read_bytes()
        damaged = content[:-1] if self.damage == "short" else content[:20] + b"!" + content[21:]
        damaged = content[:-9] + b"!" + content[-8:] if self.damage == "end" else damaged
        self.write(location, damaged)
        return len(content)


@pytest.mark.parametrize(("damage", "read_back"), [("short", False), ("end", False), ("middle", True)])
def test_an_upload_that_arrives_otherwise_ends_the_job_without_a_manifest(
    tmp_path: Path, reader: SqliteReader, damage: str, read_back: bool
) -> None:
    where = site(tmp_path, reader, store=Cutting(damage), read_back=read_back)
    with pytest.raises(TransientError, match=r"IB-832.*part-00000\.parquet of co/orders"):
        extract(where, job())
    assert not (out(tmp_path) / MANIFEST).exists()


def test_a_database_that_allows_no_snapshot_after_all_is_read_without(tmp_path: Path, reader: SqliteReader) -> None:
    reader.refuse_snapshot = ConfigurationError("IB-824", "Snapshots are off.", remedy="", number=3952)
    assert extract(site(tmp_path, reader), job()).isolation == "fuzzy"
    reader.snapshots, reader.refuse_snapshot = False, None
    assert extract(site(tmp_path, reader), job(job_id="run-2")).isolation == "fuzzy"


@pytest.mark.parametrize("ranges", [0, 4])
def test_a_range_that_must_be_asked_for_in_another_way_is_read_anew(
    tmp_path: Path, reader: SqliteReader, ranges: int
) -> None:
    left = ["name", "amount"]

    def before(number: int) -> None:
        if number == 4 and left:
            raise TransientError("IB-835", f"{left.pop()} again.", remedy="", again=True)

    reader.before = before
    manifest = extract(site(tmp_path, reader), job(ranges))
    assert left == []
    assert Counter(rows_in(out(tmp_path))) == Counter(rows_in(out(tmp_path), manifest))
    assert manifest.rows == 1000
    whole = extract(site(tmp_path, reader, root=f"{tmp_path}/other"), job(ranges, job_id="run-2"))
    assert (manifest.fingerprint, manifest.parts) == (whole.fingerprint, whole.parts)


def test_whoever_lost_the_folder_writes_no_more(tmp_path: Path, reader: SqliteReader) -> None:
    where = site(tmp_path, reader)
    other = site(tmp_path, reader)

    def overtake(number: int) -> None:
        while number == 12:
            time_passes(tmp_path)
            if other.ledger.acquire(f"extract:{where.folder(job()).location}", "another", 300) is not None:
                return

    with pytest.raises(FencedOut):
        extract(replace(where, reader=lambda _: SqliteReader(path=reader.path, before=overtake)), job())
    assert not (out(tmp_path) / MANIFEST).exists()
    with pytest.raises(TransientError, match="IB-600"):
        extract(other, job())


def test_progress_tells_each_range(tmp_path: Path, reader: SqliteReader) -> None:
    told: list[Any] = []
    extract(site(tmp_path, reader, progress=told.append), job(4))
    assert [item["outcome"] for item in told] == ["started", *["progress"] * 4, "done"]
    assert sum(item.get("rows", 0) for item in told if item["outcome"] == "progress") == 1000


def test_the_manifest_is_told_to_the_ledger_of_a_job_that_was_killed_right_after_it(
    tmp_path: Path, reader: SqliteReader
) -> None:
    where = site(tmp_path, reader)
    extract(where, job())
    (tmp_path / "other").mkdir()
    fresh = site(tmp_path / "other", reader, root=where.root)
    extract(fresh, job())
    assert fresh.ledger.state("run-1", "co/orders").state is State.COPIED
    assert len(reader.read_statements) == 1

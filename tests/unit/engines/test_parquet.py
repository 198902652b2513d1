"""Batches to parts: sizes, memory, empty results, and a fetching thread that hands its errors on."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icebridge_provider.engines.columns import Tally, arrow_schema, fields_of, fingerprint
from icebridge_provider.engines.fingerprint.rows import RowHasher, Totals
from icebridge_provider.engines.parquet import Layout, SpooledPart, prefetched, spooled_parts
from icebridge_provider.model import codec
from icebridge_provider.model.extraction import ColumnType

COLUMNS = (
    ColumnType(name="id", sql_type="bigint", arrow="int64"),
    ColumnType(name="text", sql_type="nvarchar(max)", arrow="string"),
    ColumnType(name="amount", sql_type="decimal(38,10)", arrow="decimal128(38,10)"),
)
SCHEMA = arrow_schema(COLUMNS)


def batch(start: int, rows: int, width: int = 10) -> pa.RecordBatch:
    ids = list(range(start, start + rows))
    texts = [str(number).zfill(width) for number in ids]
    amounts = pa.array([str(number) for number in ids], pa.string()).cast(pa.decimal128(38, 10))
    return pa.RecordBatch.from_arrays([pa.array(ids), pa.array(texts, pa.string()), amounts], schema=SCHEMA)


def batches(sizes: list[int], width: int = 10) -> Iterator[pa.RecordBatch]:
    start = 0
    for size in sizes:
        yield batch(start, size, width)
        start += size


def ids(part: SpooledPart) -> list[int]:
    assert (part.path.stat().st_size, zlib.crc32(part.path.read_bytes())) == (part.size, part.crc32)
    assert part.path.read_bytes().endswith(part.footer)
    table = pq.read_table(part.path)
    assert table.num_rows == part.rows
    return table.column("id").to_pylist()


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), max_size=5),
    part_bytes=st.integers(200, 4000),
    group_bytes=st.integers(200, 4000),
    group_rows=st.integers(2, 60),
)
def test_every_row_is_in_one_part_in_order(
    sizes: list[int], part_bytes: int, group_bytes: int, group_rows: int
) -> None:
    layout = Layout(part_bytes=part_bytes, group_bytes=group_bytes, group_rows=group_rows)
    found: list[int] = []
    numbers = []
    for part in spooled_parts(batches(sizes), SCHEMA, layout):
        found += ids(part)
        numbers.append(part.number)
        groups = pq.ParquetFile(part.path).metadata
        assert all(groups.row_group(n).num_rows < 2 * group_rows for n in range(groups.num_row_groups))
    assert found == list(range(sum(sizes)))
    assert numbers == list(range(len(numbers)))


def test_parts_end_with_the_row_group_that_reaches_their_size() -> None:
    layout = Layout(
        part_bytes=20_000, group_bytes=10_000, group_rows=10_000, compression="none", compression_level=None
    )
    sizes = [part.size for part in spooled_parts(batches([100] * 50), SCHEMA, layout)]
    assert len(sizes) > 3
    assert all(20_000 <= size < 45_000 for size in sizes[:-1])


def test_the_file_of_a_part_is_gone_after_its_turn() -> None:
    paths = [part.path for part in spooled_parts(batches([50] * 4), SCHEMA, Layout(part_bytes=1, group_rows=50))]
    assert len(paths) == 4
    assert not any(path.exists() or path.parent.exists() for path in paths)


def test_no_rows_make_one_part_with_the_schema() -> None:
    [(rows, names)] = [
        (part.rows, pq.read_schema(part.path).names) for part in spooled_parts(iter(()), SCHEMA, Layout())
    ]
    assert (rows, names) == (0, ["id", "text", "amount"])


def test_memory_does_not_grow_with_the_rows() -> None:
    layout = Layout(part_bytes=2_000_000, group_bytes=1_000_000)
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    most = 0
    for number, _ in enumerate(spooled_parts(batches([2000] * 150, width=100), SCHEMA, layout)):
        most = max(most, pool.bytes_allocated() - before)
        assert number < 100
    assert 0 < most < 8_000_000, "36 MB of rows went through"


def test_a_fetching_thread_gives_all_and_then_ends() -> None:
    before = threading.active_count()
    with prefetched(iter(range(1000)), depth=3) as found:
        assert list(found) == list(range(1000))
    assert threading.active_count() == before


def test_what_the_fetching_thread_raises_is_raised_where_the_items_are_used() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ConnectionError("lost")

    with prefetched(items()) as found:
        assert next(found) == 1
        with pytest.raises(ConnectionError, match="lost"):
            next(found)


def test_leaving_early_ends_the_thread_and_fetches_little_more() -> None:
    fetched = []

    def items() -> Iterator[int]:
        for number in range(1000):
            fetched.append(number)
            yield number

    with prefetched(items(), depth=2) as found:
        assert next(found) == 0
        time.sleep(0.05)
    assert len(fetched) < 10
    assert not any(thread.name == "icebridge-fetch" for thread in threading.enumerate())


def test_the_fingerprint_counts_every_batch_and_not_their_borders() -> None:
    one, many = Tally(COLUMNS), Tally(COLUMNS)
    one.take(batch(0, 500))
    for piece in batches([1, 0, 250, 249]):
        many.take(piece)
    assert fingerprint(one.sums()) == fingerprint(many.sums())
    many.take(batch(0, 1))
    assert fingerprint(one.sums()) != fingerprint(many.sums())
    assert fingerprint(one.sums())["rows"] == 500


def test_the_sums_over_rows_are_those_of_the_fingerprint() -> None:
    rows = batch(0, 400, width=20)
    gaps = pa.array([number % 3 == 0 for number in range(400)])
    holes = [pa.compute.if_else(gaps, pa.scalar(None, array.type), array) for array in rows.columns]
    for some in (rows, pa.RecordBatch.from_arrays(holes, schema=SCHEMA), rows.slice(7, 100)):
        tally, hasher = Tally(COLUMNS), RowHasher(fields_of(COLUMNS))
        tally.take(some)
        totals = Totals(columns=3, buckets=64)
        arrays = [some.column(item.field_id - 1) for item in hasher.fields]
        totals.add(hasher.hash(arrays, some.num_rows, "x"))
        whole = totals.folded().fingerprint(hasher.fields, None)
        found = fingerprint(tally.sums())
        assert (found["sum128"], found["rows"]) == (whole.sum128, whole.rows)
        assert found["buckets"] == [codec.to_json(item) for item in whole.buckets if item.rows]

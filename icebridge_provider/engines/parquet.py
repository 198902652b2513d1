"""Arrow batches to Parquet parts of bounded size, in memory that does not grow with the rows."""

from __future__ import annotations

import itertools
import queue
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

T = TypeVar("T")
_Taken = tuple[int, Any]  # what it is, and the item or the error
_ITEM, _ERROR, _OVER = range(3)
_BLOCK = 1024 * 1024
FOOTER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How rows become files. Memory is about three row groups and two batches.

    :param part_bytes: a part ends after the row group with which it reaches this.
    :param group_bytes: Arrow bytes of a row group, before encoding.
    :param group_rows: a row group ends with the batch with which it reaches this; larger batches are cut.
    """

    part_bytes: int = 256 * 1024 * 1024
    group_bytes: int = 16 * 1024 * 1024
    group_rows: int = 1024 * 1024
    compression: str = "zstd"
    compression_level: int | None = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledPart:
    """One whole Parquet file on this machine. ``footer`` is its end, up to 64 KiB; the file is gone after its turn."""

    number: int
    path: Path
    rows: int
    size: int
    crc32: int
    footer: bytes


def spooled_parts(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, layout: Layout, folder: Path | None = None
) -> Iterator[SpooledPart]:
    """Write parts one after the other and hand each on; no rows make one file with the schema alone.

    :param folder: where files wait for their upload; None is the system's place for passing files.
    """
    groups = _groups(batches, schema, layout)
    for number in itertools.count():
        with tempfile.TemporaryDirectory(prefix="icebridge-", dir=folder) as place:
            path = Path(place) / "part.parquet"
            rows, over = _written(path, groups, schema, layout)
            if rows or number == 0:
                yield _looked_at(path, number, rows)
        if over:
            return


def _written(path: Path, groups: Iterator[pa.Table], schema: pa.Schema, layout: Layout) -> tuple[int, bool]:
    """Write one part; return its rows, and whether there are no more."""
    rows = 0
    with _writer(path, schema, layout) as write:
        for group in groups:
            rows += group.num_rows
            if write(group) >= layout.part_bytes:
                return rows, False
    return rows, True


@contextmanager
def _writer(path: Path, schema: pa.Schema, layout: Layout) -> Iterator[Callable[[pa.Table], int]]:
    """Give a function that writes one row group and returns the bytes of the file so far."""
    with pa.OSFile(str(path), "wb") as sink, pq.ParquetWriter(
        sink, schema, compression=layout.compression, compression_level=layout.compression_level, version="2.6",
        data_page_version="1.0", write_statistics=True, store_schema=False,
    ) as writer:  # fmt: skip

        def write(group: pa.Table) -> int:
            writer.write_table(group, row_group_size=max(group.num_rows, 1))
            return int(sink.tell())

        yield write


def _groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema, layout: Layout) -> Iterator[pa.Table]:
    """Collect batches to tables of a row group's size."""
    kept: list[pa.RecordBatch] = []
    size = rows = 0
    for batch in batches:
        for piece in _pieces(batch, layout):
            kept.append(piece)
            size, rows = size + piece.nbytes, rows + piece.num_rows
            if size >= layout.group_bytes or rows >= layout.group_rows:
                yield pa.Table.from_batches(kept, schema)
                kept, size, rows = [], 0, 0
    if kept:
        yield pa.Table.from_batches(kept, schema)


def _pieces(batch: pa.RecordBatch, layout: Layout) -> Iterator[pa.RecordBatch]:
    for start in range(0, batch.num_rows, layout.group_rows):
        yield batch.slice(start, layout.group_rows)


def _looked_at(path: Path, number: int, rows: int) -> SpooledPart:
    """Read the written file once for its size, CRC-32 and end."""
    size = crc = 0
    footer = b""
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            size, crc = size + len(block), zlib.crc32(block, crc)
            footer = (block if len(block) >= FOOTER_BYTES else footer + block)[-FOOTER_BYTES:]
    return SpooledPart(number=number, path=path, rows=rows, size=size, crc32=crc, footer=footer)


@contextmanager
def prefetched(items: Iterable[T], depth: int = 1) -> Iterator[Iterator[T]]:
    """Give the items while a thread fetches the next ones: the network and the encoder work at the same time.

    What the thread raises is raised here. On leaving, the thread has ended; it is not interrupted in a fetch.
    """
    waiting: queue.Queue[_Taken] = queue.Queue(maxsize=max(depth, 1))
    stop = threading.Event()
    thread = threading.Thread(target=_fetch, args=(items, waiting, stop), name="icebridge-fetch", daemon=True)
    thread.start()
    try:
        yield _given(waiting)
    finally:
        stop.set()
        while thread.is_alive():
            _drain(waiting)
            thread.join(0.05)


def _fetch(items: Iterable[Any], waiting: queue.Queue[_Taken], stop: threading.Event) -> None:
    try:
        for item in items:
            waiting.put((_ITEM, item))
            if stop.is_set():
                return
        waiting.put((_OVER, None))
    except BaseException as error:  # noqa: BLE001 - it is raised again where the items are used
        waiting.put((_ERROR, error))


def _given(waiting: queue.Queue[_Taken]) -> Iterator[Any]:
    while True:
        kind, value = waiting.get()
        if kind == _ERROR:
            raise value
        if kind == _OVER:
            return
        yield value


def _drain(waiting: queue.Queue[_Taken]) -> None:
    with suppress(queue.Empty):
        while True:
            waiting.get_nowait()

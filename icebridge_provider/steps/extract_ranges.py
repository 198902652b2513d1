"""Ranges of one query: where they are cut, how each becomes parts, and several of them at once."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from icebridge_provider.engines.columns import Tally, arrow_schema
from icebridge_provider.engines.fingerprint.rows import Sums
from icebridge_provider.engines.mssql.faults import SNAPSHOT_OFF
from icebridge_provider.engines.parquet import Layout, prefetched, spooled_parts
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError
from icebridge_provider.model.extraction import ColumnType, Extraction, Part
from icebridge_provider.ports import SqlReader
from icebridge_provider.sql import extraction as sql
from icebridge_provider.steps.extract_folder import Folder
from icebridge_provider.steps.lease import HeldLease

ROWS_A_BATCH = 65536
MOST_RANGES = 10_000
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - SQL Server's times have no zone
_MICROSECOND = dt.timedelta(microseconds=1)
_NUMBERS = {"int16", "int32", "int64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Rows whose key lies from ``low`` up to below ``high``; None is no end. ``number`` is None for a whole query."""

    number: int | None = None
    low: Any = None
    high: Any = None

    def part(self, number: int) -> str:
        """Return the name of its ``number``-th file."""
        return f"part-{number:05d}.parquet" if self.number is None else f"part-{self.number:05d}-{number:05d}.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeResult:
    """What one range gave: its files, the sums of its rows, and whether it saw one state of the database."""

    parts: tuple[Part, ...]
    sums: Sums
    consistent: bool

    @property
    def rows(self) -> int:
        """How many rows."""
        return sum(part.rows for part in self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What all ranges of a job share."""

    reader: SqlReader
    job: Extraction
    columns: tuple[ColumnType, ...]
    consistent: bool
    folder: Folder
    layout: Layout
    spool: Path | None
    held: HeldLease
    stop: threading.Event = field(default_factory=threading.Event)


def cuts(work: Work) -> list[Any]:
    """Ask for the key's least and greatest value and return where the ranges meet, fewer where values are few.

    :raises ConfigurationError: IB-833 for a key that is no whole number, date or time.
    """
    asked = work.job.partition
    if asked is None:
        return []
    key = _key(work)
    if not 1 <= asked.count <= MOST_RANGES:
        raise _no_key(work, f"{asked.count} is no number of ranges (1 to {MOST_RANGES})")
    statement = sql.bounds(work.job.statement, key.name)
    with closing(work.reader.read(statement, work.job.values, 1)) as found:
        low, high = (column[0].as_py() for column in found.read_all().columns)
    if low is None or high is None:
        return []
    first, last = _number(low), _number(high)
    inner = {first + (last - first + 1) * number // asked.count for number in range(1, asked.count)}
    return [_value(number, key) for number in sorted(inner - {first})]


def ranges_between(found: Sequence[Any], partitioned: bool) -> list[Range]:
    """Return the ranges that meet at these values."""
    if not partitioned:
        return [Range()]
    ends = [None, *found, None]
    return [Range(number=number, low=ends[number], high=ends[number + 1]) for number in range(len(ends) - 1)]


def _key(work: Work) -> ColumnType:
    wanted = work.job.partition.column if work.job.partition else ""
    fitting = [column for column in work.columns if column.name.casefold() == wanted.casefold()]
    if not fitting:
        names = ", ".join(column.name for column in work.columns[:20])
        raise _no_key(work, f"the query has no such column; it has {names}")
    if fitting[0].arrow not in {*_NUMBERS, "date32", "timestamp[us]"}:
        raise _no_key(work, f"it is {fitting[0].sql_type}; ranges need a whole number, a date or a time")
    return fitting[0]


def _no_key(work: Work, why: str) -> ConfigurationError:
    column = work.job.partition.column if work.job.partition else ""
    return ConfigurationError(
        "IB-833",
        f"{work.job.name} cannot be read in ranges of {column!r}: {why}.",
        remedy="Name a column of the query in its line `-- partition: column, count`, or take the line out.",
        query=work.job.name,
        column=column,
    )


def _number(value: Any) -> int:
    if isinstance(value, dt.datetime):
        return (value - _EPOCH) // _MICROSECOND
    return value.toordinal() if isinstance(value, dt.date) else int(value)


def _value(number: int, key: ColumnType) -> Any:
    if key.arrow in _NUMBERS:
        return number
    return dt.date.fromordinal(number) if key.arrow == "date32" else _EPOCH + number * _MICROSECOND


def plain_value(value: Any) -> Any:
    """Return where two ranges meet as JSON."""
    return value.isoformat() if isinstance(value, dt.date) else value


def kept_value(value: Any) -> Any:
    """Return what :func:`plain_value` kept."""
    if not isinstance(value, str):
        return value
    return dt.datetime.fromisoformat(value) if "T" in value else dt.date.fromisoformat(value)


def read_range(work: Work, item: Range) -> RangeResult:
    """Read one range and put its parts into the folder.

    Where SNAPSHOT isolation turns out to be off in a database that the query reads, it is read without. Where the
    reader must ask for a column in another way (once for each column), the range is read anew.
    """
    consistent = work.consistent
    for _ in range(len(work.columns) + 1):
        try:
            return _read(work, item, consistent)
        except IceBridgeError as error:
            if error.facts.get("number") == SNAPSHOT_OFF and consistent:
                consistent = False
            elif not error.facts.get("again"):
                raise
        work.folder.clear_range(item.part(0))
    return _read(work, item, consistent)


def _read(work: Work, item: Range, consistent: bool) -> RangeResult:
    statement, values = _asked(work.job, item)
    tally, parts = Tally(work.columns), []
    schema = arrow_schema(work.columns)
    with (
        closing(work.reader.read(statement, values, ROWS_A_BATCH, consistent)) as rows,
        prefetched(rows) as batches,
    ):
        for spooled in spooled_parts(_watched(work, batches, tally), schema, work.layout, work.spool):
            work.held.keep(now=True)  # nobody else may write the folder by now
            parts.append(work.folder.put(item.part(spooled.number), spooled))
    return RangeResult(parts=tuple(parts), sums=tally.sums(), consistent=consistent)


def _watched(work: Work, batches: Iterator[Any], tally: Tally) -> Iterator[Any]:
    for batch in batches:
        if work.stop.is_set():
            raise InterruptedError("another range failed")
        work.held.keep()
        yield tally.take(batch)


def _asked(job: Extraction, item: Range) -> tuple[str, Mapping[str, Any]]:
    """Return the statement of one range and its values."""
    if item.number is None or job.partition is None:
        return job.statement, job.values
    first, last = item.low is None, item.high is None
    where = sql.within(job.partition.column, first=first, last=last)
    ends = {} if first else {sql.LOW: item.low}
    ends |= {} if last else {sql.HIGH: item.high}
    return sql.wrapped(job.statement, ["[icebridge].*"], where), {**job.values, **ends}


def run_ranges(
    work: Work, items: Sequence[Range], threads: int, finished: Callable[[Range, RangeResult], None]
) -> dict[Range, RangeResult]:
    """Read ranges, several at once; ``finished`` is called in this thread after each. The first failure ends all."""
    if len(items) <= 1 or threads <= 1:
        results = {}
        for item in items:
            results[item] = read_range(work, item)
            finished(item, results[item])
        return results
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="icebridge-range") as pool:
        running = {pool.submit(read_range, work, item): item for item in items}
        try:
            return _collected(running, finished)
        except BaseException:
            work.stop.set()
            for future in running:
                future.cancel()
            raise


def _collected(
    running: Mapping[Future[RangeResult], Range], finished: Callable[[Range, RangeResult], None]
) -> dict[Range, RangeResult]:
    results: dict[Range, RangeResult] = {}
    left = set(running)
    while left:
        done, left = wait(left, return_when=FIRST_COMPLETED)
        for future in done:
            results[running[future]] = future.result()
            finished(running[future], results[running[future]])
    return results

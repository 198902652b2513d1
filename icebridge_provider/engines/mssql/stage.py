"""Stages an event's rows in a temporary table of the session, each value checked against the target's column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from icebridge_provider.engines.mssql.faults import number_of
from icebridge_provider.engines.mssql.session import ConnectionGone, Session
from icebridge_provider.engines.mssql.values import Convert, converter
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.bridge import TargetColumn, TargetTable, Work
from icebridge_provider.planning.event_outcome import refused_keys
from icebridge_provider.sql import mssql as sql

ONE_BATCH = 1_000_000_000  # rows between two answers of the bulk load: it is one batch, nothing reads it meanwhile
_OF_THE_CLIENT = {0, *range(20000, 21000)}  # what FreeTDS tells when a load breaks: nothing was done yet
_CODE_PAGES = frozenset({"char", "varchar", "text"})


class Stage:
    """The staged rows of one event; dropped by :meth:`drop`, or with the session.

    :raises ConfigurationError: IB-863 for a column whose type events cannot write.
    """

    def __init__(self, session: Session, work: Work) -> None:
        self.session, self._work = session, work
        self.columns = tuple(column_of(work.table, name) for name in work.columns)
        self.keys = self.columns[: len(work.keys)]
        session.stages += 1
        self.name = sql.stage_name(session.stages)
        self.rows = 0
        self._lossy: set[int] = set()

    def load(self, reader: Any) -> None:
        """Bulk-load the rows and have the server check them.

        :param reader: ``pyarrow.RecordBatchReader`` with the columns of the work.
        :raises ConfigurationError: IB-864 for a value that the column cannot hold exactly.
        :raises PreflightFailed: IB-846 for a key that is NULL, or that several rows have as the target compares them.
        """
        self.session.run(sql.create_stage(self.name, self.columns))
        rows = self._staged(reader, [converter(column) for column in self.columns])
        first = next(rows, None)
        if first is not None:  # a load without rows is an error to the client
            self._bulk_load(chain([first], rows))
        self._check()

    def _bulk_load(self, rows: Iterator[tuple[Any, ...]]) -> None:
        try:
            with self.session.watched():
                self.session.connection.bulk_copy(self.name, rows, batch_size=ONE_BATCH)
        except BaseException as error:
            self.session.close()  # the load was cut in the middle: the connection takes no statement any more
            if isinstance(error, Exception) and number_of(error) in _OF_THE_CLIENT:
                raise ConnectionGone(error) from None
            raise

    def _staged(self, reader: Any, converters: Sequence[Convert]) -> Iterator[tuple[Any, ...]]:
        for batch in reader:
            columns = [
                self._converted(place, batch.column(batch.schema.get_field_index(column.name)), convert)
                for place, (column, convert) in enumerate(zip(self.columns, converters, strict=True))
            ]
            yield from zip(*columns, strict=True)
            self.rows += batch.num_rows

    def _converted(self, place: int, values: Any, convert: Convert) -> list[Any]:
        column = self.columns[place]
        if sql.type_parts(column.type)[0] in _CODE_PAGES:
            self._note_lossy(place, values)
        try:
            found = values.to_pylist()
            if place < len(self.keys) and values.null_count:
                raise refused_keys(self._work, nulls=values.null_count, twice=0)
            return [None if value is None else convert(value) for value in found]
        except (ValueError, OverflowError) as error:
            raise self._unfit(column, values, convert, str(error)) from None

    def _note_lossy(self, place: int, values: Any) -> None:
        import pyarrow as pa
        from pyarrow import compute

        texts = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
        if texts and compute.all(compute.string_is_ascii(values)).as_py() is False:
            self._lossy.add(place)

    def _unfit(self, column: TargetColumn, values: Any, convert: Convert, why: str) -> ConfigurationError:
        row = next((row for row, value in enumerate(values) if not _fits(value, convert)), 0)
        return _unfit_value(self._work, column, self.rows + row, why)

    def _check(self) -> None:
        for place in sorted(self._lossy):
            column = self.columns[place]
            if self.session.count(sql.count_lossy(self.name, column, place)):
                raise _unfit_value(self._work, column, None, f"is not in the code page of {column.collation}")
        several = self.keys and self.rows > 1
        twice = self.session.count(sql.count_double_keys(self.name, self.keys)) if several else 0
        if twice:
            raise refused_keys(self._work, nulls=0, twice=twice)

    def drop(self) -> None:
        """Drop it; with a broken session it is gone already."""
        self.session.try_to(sql.drop_stage(self.name))


def column_of(table: TargetTable, name: str) -> TargetColumn:
    """Return a column that is staged."""
    found = table.column(name)
    if found is None:
        raise ConfigurationError(
            "IB-863",
            f"{table.path} has no column {name!r}.",
            remedy="Leave it out of the source (a view does).",
            table=table.path,
            column=name,
        )
    return found


def _fits(value: Any, convert: Convert) -> bool:
    try:
        found = value.as_py()
        if found is not None:
            convert(found)
    except (ValueError, OverflowError):
        return False
    return True


def _unfit_value(work: Work, column: TargetColumn, row: int | None, why: str) -> ConfigurationError:
    place = "" if row is None else f" in row {row + 1:,} of the source's answer"
    return ConfigurationError(
        "IB-864",
        f"A value of column {column.name!r}{place} does not fit {column.type} of {work.table.path} exactly: it {why}.",
        remedy="Correct the value in the source, or give the target's column a wider type.",
        table=work.table.path,
        column=column.name,
        event_id=work.event.event_id,
    )

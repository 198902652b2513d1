"""An engine that says what it is told: for tests of the wire alone.

``EVAL <expression>`` gives the results that a Python expression over ``interface`` stands for, ``TABLE t (a int, …)``
makes a table for bulk loads, ``READ t`` gives its rows, ``ECHO`` the call's parameters, ``SLEEP n`` sleeps until it is
cancelled, ``MANY n`` gives n rows of four columns, ``COMMITS`` how many transactions were committed.
"""

from __future__ import annotations

import datetime
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from tests.peers.mssql import interface
from tests.peers.mssql.declare import Declared, insert_bulk
from tests.peers.mssql.interface import BulkOptions, Column, Count, Parameter, Result, ResultSet, SqlError, SqlType

NAMES = {**vars(interface), "Decimal": Decimal, "UUID": uuid.UUID, "datetime": datetime}
FOUR = [
    Column(name="id", type=SqlType(name="bigint")), Column(name="name", type=SqlType(name="nvarchar", length=50)),
    Column(name="amount", type=SqlType(name="float")), Column(name="day", type=SqlType(name="date")),
]  # fmt: skip


class CannedSession:
    """One login."""

    def __init__(self, engine: CannedEngine, database: str) -> None:
        self.database, self.trancount, self._engine = database, 0, engine
        self._cancelled = threading.Event()
        self.outputs: dict[str, Any] = {}

    def batch(self, sql: str, parameters: Sequence[Parameter] = ()) -> Iterator[Result]:
        word, _, rest = sql.strip().partition(" ")
        self._cancelled.clear()
        work = getattr(self, f"_{word.lower()}", None)
        if work is None:
            yield from self._ordinary(sql)
        else:
            yield from work(rest.strip(), parameters)

    def _ordinary(self, sql: str) -> Iterator[Result]:
        low = sql.lower()
        if "begin tran" in low:
            self.trancount += 1
        if "commit tran" in low and self.trancount:
            self.commit()
        if "rollback tran" in low:
            self.trancount = 0
        if "sys.columns" in low:
            yield self._ids(sql.split("'")[1].removeprefix("tempdb.."))
            yield Count(rows=None)
            return
        yield Count(rows=None)

    def _ids(self, table: str) -> ResultSet:
        names = [("column_id", "int"), ("system_type_name", "sysname"), ("is_identity", "bit")]
        columns = [Column(name=name, type=SqlType(name=kind)) for name, kind in names]
        found = self._engine.tables[table][0]
        return ResultSet(columns=columns, rows=[[at + 1, one.type.name, one.identity] for at, one in enumerate(found)])

    def _eval(self, text: str, _: Sequence[Parameter]) -> Iterator[Result]:
        yield from eval(text, NAMES)

    def _echo(self, _: str, parameters: Sequence[Parameter]) -> Iterator[Result]:
        columns = [Column(name=one.name or "x", type=one.type) for one in parameters]
        yield ResultSet(columns=columns, rows=[[one.value for one in parameters]])
        yield Count(rows=1)

    def _exec(self, _: str, parameters: Sequence[Parameter]) -> Iterator[Result]:
        """A procedure: its output parameters become 42."""
        self.outputs = {one.name: (one.value or 21) * 2 for one in parameters if one.output}
        yield Count(rows=None)

    def _table(self, text: str, _: Sequence[Parameter]) -> Iterator[Result]:
        declared = insert_bulk(f"insert bulk {text}")
        self._engine.tables[declared.table] = ([_column(one) for one in declared.columns], [])
        yield Count(rows=None)

    def _read(self, table: str, _: Sequence[Parameter]) -> Iterator[Result]:
        columns, rows = self._engine.tables[table]
        yield ResultSet(columns=columns, rows=rows)
        yield Count(rows=len(rows))

    def _many(self, text: str, _: Sequence[Parameter]) -> Iterator[Result]:
        day = datetime.date(2024, 2, 29)
        yield ResultSet(columns=FOUR, rows=((at, f"name {at}", at / 4, day) for at in range(int(text))))
        yield Count(rows=int(text))

    def _commits(self, _: str, __: Sequence[Parameter]) -> Iterator[Result]:
        yield ResultSet(columns=FOUR[:1], rows=[[self._engine.commits]])
        yield Count(rows=1)

    def _sleep(self, text: str, _: Sequence[Parameter]) -> Iterator[Result]:
        if self._cancelled.wait(float(text)):
            raise SqlError(3617, "cancelled")
        yield Count(rows=None)

    def describe(self, sql: str, parameters: Sequence[Parameter] = ()) -> Sequence[Column]:
        table = sql.lower().rpartition(" from ")[2].strip(" []")
        return self._engine.tables[table][0] if table in self._engine.tables else []

    def bulk_columns(self, table: str, names: Sequence[str]) -> Sequence[Column]:
        table = table.rpartition(".")[2].strip("[]")
        if table not in self._engine.tables:
            raise SqlError(208, f"Invalid object name '{table}'.")
        columns = self._engine.tables[table][0]
        return [next(one for one in columns if one.name == name) for name in names]

    def bulk_insert(
        self, table: str, columns: Sequence[Column], rows: Iterable[Sequence[Any]], options: BulkOptions
    ) -> int:
        kept, count = self._engine.tables[table.rpartition(".")[2].strip("[]")][1], 0
        for row in rows:
            if row and row[0] == -1:
                raise SqlError(2627, "Violation of PRIMARY KEY constraint.", severity=14)
            count += 1
            if len(kept) < 10_000:
                kept.append(list(row))
        return count

    def begin(self) -> None:
        self.trancount += 1

    def commit(self) -> None:
        if not self.trancount:
            raise SqlError(3902, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.")
        self.trancount -= 1
        self._engine.commits += 1

    def rollback(self) -> None:
        if not self.trancount:
            raise SqlError(3903, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.")
        self.trancount = 0

    def cancel(self) -> None:
        self._cancelled.set()

    def close(self) -> None:
        self.trancount = 0


class CannedEngine:
    """Logins with the one password; tables in memory."""

    def __init__(self, password: str) -> None:
        self._password, self.commits = password, 0
        self.tables: dict[str, tuple[list[Column], list[list[Any]]]] = {}

    def login(self, user: str, password: str, database: str) -> CannedSession:
        if password != self._password:
            raise SqlError(18456, f"Login failed for user '{user}'.", severity=14)
        return CannedSession(self, database)

    def close(self) -> None:
        self.tables.clear()


def _column(one: Declared) -> Column:
    return Column(name=one.name, type=one.type)

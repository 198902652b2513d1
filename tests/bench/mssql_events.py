"""Event sync into SQL Server: against the row-by-row form of the seed, events a second, and from insert to applied.

The queue and the source are SQLite files, so that what is measured is the way into SQL Server.
"""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from icebridge_provider.engines.dbapi.database import DbApi
from icebridge_provider.engines.dbapi.queue import DbApiEventQueue
from icebridge_provider.engines.dbapi.source import DbApiRowSource
from icebridge_provider.engines.mssql.connect import SqlServerLogin
from icebridge_provider.engines.mssql.target import SqlServerTarget
from icebridge_provider.model.bridge import Access, BridgeEvent, Grant, Rights
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps import events
from icebridge_provider.steps.sync_site import SyncOptions, SyncSite
from tests.support.mssql import SqlServer

Report = Callable[..., None]
MANY, FEW = 10_000, 200
SINGLE, FEW_SINGLE = 1_000, 20
LOOKS, FEW_LOOKS = 50, 3
CHANGED = "UPDATE dbo.factors SET name = %s, factor = %s WHERE id = %s"


class Allowed:
    """A permissions file that lets the bench write."""

    def rights(self) -> Rights:
        grant = Grant(table="dbo.factors", access=Access.READ_WRITE, max_delete_rows=MANY)
        return Rights(user="bench", grants=(grant,))

    def audit(self, **_: Any) -> None:
        return


class Bench:
    """A target table, a source of as many rows, and a queue."""

    def __init__(self, server: SqlServer, folder: Path, rows: int) -> None:
        self._server, self._rows, self._number = server, rows, 0
        self.name = server.database()
        near = DbApi(lambda: sqlite3.connect(folder / "near.db"), "sqlite")
        self._near, self.queue = near, DbApiEventQueue(near)
        login = SqlServerLogin(
            host=server.host, port=server.port, user=server.user, secret=server.password, database=self.name,
            trust_certificate=True,
        )  # fmt: skip
        ledger = SqlLedger(f"sqlite:///{folder}/ledger.db")
        ledger.migrate()
        self.site = SyncSite(
            queue=self.queue, source=DbApiRowSource(near), target=SqlServerTarget(login), permissions=Allowed(),
            options=SyncOptions(name="bench", max_events_per_poll=1000), ledger=ledger,
        )  # fmt: skip
        events.prepare(self.site)
        self._make()

    def _make(self) -> None:
        with self._near.transaction() as cursor:
            cursor.execute("CREATE TABLE factors (id BIGINT, name TEXT, factor NUMERIC(18, 4))")
        with self._server.pymssql(self.name, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE dbo.factors (id int PRIMARY KEY, name nvarchar(50), factor decimal(18, 4))")
            cursor.execute(
                "INSERT INTO dbo.factors SELECT CAST(value AS int), N'before', CAST(0 AS decimal(18, 4)) "
                f"FROM GENERATE_SERIES(1, {self._rows})"
            )

    def fill(self, rows: int) -> None:
        """Give the source its next rows; their values tell the round."""
        self._number += 1
        with self._near.transaction() as cursor:
            cursor.execute("DELETE FROM factors")
            given = [(key, f"round {self._number}", f"{key}.{self._number:04}") for key in range(1, rows + 1)]
            cursor.executemany("INSERT INTO factors VALUES (?, ?, ?)", given)

    def event(self, **more: Any) -> BridgeEvent:
        self._number += 1
        return BridgeEvent(
            event_id=f"e{self._number}", operation="UPDATE", source_table="main.factors", target_table="dbo.factors",
            primary_keys=("id",), **more,
        )  # fmt: skip

    def poll(self, expected: int) -> None:
        done = 0
        while done < expected:
            told = events.poll(self.site)
            assert told.completed, told
            done += len(told.completed)

    def changed(self) -> int:
        """Rows of the target with the newest values."""
        with self._server.pymssql(self.name) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM dbo.factors WHERE name <> N'before'")
            return int(cursor.fetchone()[0])

    def row_by_row(self, rows: int) -> None:
        """The seed's form: a statement for each row, in one transaction."""
        with self._server.pymssql(self.name) as connection, connection.cursor() as cursor:
            for key in range(1, rows + 1):
                cursor.execute(CHANGED, (f"by row {self._number}", f"{key}.5", key))
            connection.commit()


def bench_events(server: SqlServer, report: Report, *, fast: bool) -> None:
    rows, single, looks = (FEW, FEW_SINGLE, FEW_LOOKS) if fast else (MANY, SINGLE, LOOKS)
    with tempfile.TemporaryDirectory(prefix="icebridge-bench-") as folder:
        bench = Bench(server, Path(folder), rows)
        _against_rows(bench, rows, report, rounds=1 if fast else 3)
        _singles(bench, single, report)
        _latency(bench, looks, report)


def _against_rows(bench: Bench, rows: int, report: Report, rounds: int) -> None:
    """An event of many rows, set-based, against a statement for each row; in turns."""
    ratios = []
    for number in range(rounds + 1):
        bench.fill(rows)
        events.emit(bench.queue, [bench.event()])
        ours = _timed(lambda: bench.poll(1))
        theirs = _timed(lambda: bench.row_by_row(rows))
        ratios += [theirs / ours] if number or rounds == 1 else []  # the first only warms
    assert bench.changed() == rows
    value = statistics.median(ratios)
    report(f"event of {rows:,} rows, speed against row by row", value, "x", ">= 20", value >= 20)


def _singles(bench: Bench, count: int, report: Report) -> None:
    bench.fill(count)
    events.emit(bench.queue, [bench.event(filter_conditions={"id": str(key)}) for key in range(1, count + 1)])
    seconds = _timed(lambda: bench.poll(count))
    report("events of one row each", count / seconds, "events/s")


def _latency(bench: Bench, looks: int, report: Report) -> None:
    """From the insert of an event to its commit in the target, when a poll comes at once."""
    found = []
    for _ in range(looks):
        event = bench.event(filter_conditions={"id": "1"})
        started = time.perf_counter()
        events.emit(bench.queue, [event])
        bench.poll(1)
        found.append(time.perf_counter() - started)
    report("one event, from insert to applied, without the waiting for a poll", statistics.median(found), "s")


def _timed(call: Callable[[], None]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started

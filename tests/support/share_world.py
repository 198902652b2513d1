"""A source of shares without Spark: its state is on disk, so that it survives killed workers, and it fails on order.

    world = SourceWorld(folder, s3)
    world.table(("main", "s", "t"), [SourceColumn(name="id", type="bigint")], pa.table({"id": [1, 2]}))
    site = site_of(folder, world, target_of(account, database))
    result = followed(site, share_of(world, ("main", "s", "t"), database), sleep=briefly)

The "system" is whoever asks: a statement runs within ``start``, or, when it is slow, within the ``look`` at which it is
due. Several processes may ask at once.
"""

from __future__ import annotations

import fcntl
import json
import random
import re
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from icebridge_provider.exceptions import ConfigurationError, TransientError
from icebridge_provider.model.running import Answer, QueryState, QueryStatus
from icebridge_provider.model.share import Share
from icebridge_provider.model.snowflake import Place, SourceColumn, Statement
from icebridge_provider.ports import LoadTarget
from icebridge_provider.steps.share_site import ShareSite
from icebridge_provider.stores.object_store import ObjectStore
from tests.support.ledgers import sqlite_ledger
from tests.support.s3 import BUCKET
from tests.support.share_engine import SourceError, Table, execute

_SCHEMA = """
CREATE TABLE IF NOT EXISTS statements (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE, tag TEXT, text TEXT, given TEXT, state TEXT, message TEXT DEFAULT '',
    code TEXT DEFAULT '', retryable INTEGER DEFAULT 0, answer TEXT DEFAULT '', looks INTEGER DEFAULT 0,
    due REAL DEFAULT 0, half INTEGER DEFAULT 0, late INTEGER DEFAULT 0, expired INTEGER DEFAULT 0);
CREATE INDEX IF NOT EXISTS statements_by_tag ON statements (tag);
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY, fault TEXT, statement TEXT, times INTEGER, skip INTEGER, rate REAL, more TEXT);
CREATE TABLE IF NOT EXISTS tables (name TEXT PRIMARY KEY, columns TEXT, file TEXT, files INTEGER);
CREATE TABLE IF NOT EXISTS counts (what TEXT PRIMARY KEY, count INTEGER);
"""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One order that hit."""

    fault: str
    more: Mapping[str, Any]


class SourceWorld:
    """Tables, statements and orders of a source; two objects on one folder are the same world."""

    def __init__(self, folder: Path, s3: Mapping[str, str], seed: int = 0) -> None:
        self.folder, self.s3, self.seed = folder, dict(s3), seed
        folder.mkdir(parents=True, exist_ok=True)
        with self._open() as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.executescript(_SCHEMA)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.folder / "source.db", timeout=60)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA synchronous=OFF")
            with connection:
                yield connection

    # Tables

    def table(
        self, name: str | Sequence[str], columns: Sequence[SourceColumn], rows: pa.Table | Path, files: int = 2
    ) -> None:
        """Make a table, or make it anew.

        :param name: three parts, or a text with dots between them.
        :param rows: in the order of ``columns``, whatever its own names; or a Parquet file with columns c0, c1, ….
        :param files: that an export writes, at most.
        """
        parts = tuple(name.split(".")) if isinstance(name, str) else tuple(name)
        file = rows if isinstance(rows, Path) else self.folder / f"{uuid.uuid4().hex}.parquet"
        if not isinstance(rows, Path):
            pq.write_table(rows.rename_columns([f"c{number}" for number in range(rows.num_columns)]), file)
        listed = json.dumps([[item.name, item.type] for item in columns])
        with self._open() as database:
            values = (json.dumps(parts), listed, str(file), files)
            database.execute("INSERT OR REPLACE INTO tables VALUES (?, ?, ?, ?)", values)

    def drop(self, name: str | Sequence[str]) -> None:
        """Drop a table."""
        parts = tuple(name.split(".")) if isinstance(name, str) else tuple(name)
        with self._open() as database:
            database.execute("DELETE FROM tables WHERE name = ?", (json.dumps(parts),))

    def columns(self, name: str | Sequence[str]) -> tuple[SourceColumn, ...]:
        """A table's columns, for a :class:`Share`."""
        found = self._find(tuple(name.split(".")) if isinstance(name, str) else tuple(name))
        assert found is not None, name
        return tuple(found[0])

    def _find(self, name: tuple[str, ...]) -> Table | None:
        with self._open() as database:
            row = database.execute("SELECT * FROM tables WHERE name = ?", (json.dumps(name),)).fetchone()
        if row is None:
            return None
        columns = [SourceColumn(name=found, type=kind) for found, kind in json.loads(row["columns"])]
        return columns, Path(row["file"]), int(row["files"])

    # Orders

    def order(
        self, fault: str, statement: str = "", *, times: int = 1, skip: int = 0, rate: float = 1.0, **more: Any
    ) -> None:
        """Order a fault for the next statements whose text fits a regular expression.

        ``lost``: it is done, the answer is not told. ``cut``: it is not done. ``late``: it is done, the answer lost,
        and ``find`` does not show it for ``finds`` times. ``slow``: it runs for ``looks`` looks (-1: for ever) or
        ``seconds``, and is done then. ``fail``: it fails with ``message``, ``code``, ``retryable``. ``half``: an INSERT
        leaves files and fails. ``gone``: it is done, and nobody knows it. ``expired``: its answer is no longer kept.
        ``lost_look``, ``lost_answer``, ``lost_find``, ``lost_cancel``: an answer of these is lost.

        :param times: how often; -1 always. ``skip``: fitting ones before the first. ``rate``: chance of each.
        """
        with self._open() as database:
            values = (fault, statement, times, skip, rate, json.dumps(more))
            sql = "INSERT INTO orders (fault, statement, times, skip, rate, more) VALUES (?, ?, ?, ?, ?, ?)"
            database.execute(sql, values)

    def calm(self) -> None:
        """No more faults."""
        with self._open() as database:
            database.execute("DELETE FROM orders")

    def due(self, faults: Sequence[str], text: str) -> Fault | None:
        """The first order that hits; it is counted."""
        with self._open() as database:
            marks = ", ".join("?" * len(faults))
            rows = database.execute(f"SELECT * FROM orders WHERE fault IN ({marks}) ORDER BY number", faults).fetchall()
            for row in rows:
                if row["times"] == 0 or not re.search(row["statement"], text, re.DOTALL | re.IGNORECASE):
                    continue
                if row["rate"] < 1.0 and self._dice(database).random() >= row["rate"]:
                    continue
                column = "skip" if row["skip"] else "times"
                if row["skip"] or row["times"] > 0:
                    database.execute(f"UPDATE orders SET {column} = {column} - 1 WHERE number = ?", (row["number"],))
                if not row["skip"]:
                    return Fault(fault=row["fault"], more=json.loads(row["more"]))
        return None

    def _dice(self, database: sqlite3.Connection) -> random.Random:
        database.execute("INSERT INTO counts VALUES ('dice', 1) ON CONFLICT (what) DO UPDATE SET count = count + 1")
        (count,) = database.execute("SELECT count FROM counts WHERE what = 'dice'").fetchone()
        return random.Random(f"{self.seed}:{count}")

    def statements(self, text: str = "") -> list[dict[str, Any]]:
        """All statements seen whose text holds this: ``id, tag, text, state``, the oldest first."""
        with self._open() as database:
            rows = database.execute("SELECT id, tag, text, state FROM statements ORDER BY number").fetchall()
        return [dict(row) for row in rows if text in row["text"]]

    def runner(self, name: str = "databricks") -> LocalSource:
        """Who runs statements here."""
        return LocalSource(self, name)


class LocalSource:
    """A ``SqlRunner`` over a :class:`SourceWorld`."""

    def __init__(self, world: SourceWorld, name: str) -> None:
        self._world, self._name = world, name

    @property
    def name(self) -> str:
        return self._name

    def run(self, what: str, statement: Statement, tag: str = "") -> Answer:
        for left in (2, 1, 0):
            query_id = self._arrived(statement, tag)
            fault = self._world.due(("lost",), statement.text)
            self._finish(query_id)
            if fault is None:
                return self._told(what, query_id)
            if not left:
                raise _lost(what)
        raise AssertionError

    def start(self, what: str, statement: Statement, tag: str) -> str:
        known = self.find(tag)
        if known and self._row(known)["state"] in (QueryState.RUNNING, QueryState.DONE):
            return known
        if self._world.due(("cut",), statement.text):
            raise _lost(what)
        query_id = self._arrived(statement, tag)
        row = self._row(query_id)
        if not row["looks"] and not row["due"]:
            self._finish(query_id)
        if fault := self._world.due(("lost", "late", "gone", "expired"), statement.text):
            if fault.fault == "late":
                self._set(query_id, late=int(fault.more.get("finds", 2)))
            if fault.fault == "gone":
                self._set(query_id, state=QueryState.GONE, tag="")
            if fault.fault == "expired":
                self._set(query_id, expired=1)
            if fault.fault in {"lost", "late"}:
                raise _lost(what)
        return query_id

    def find(self, tag: str) -> str:
        if self._world.due(("lost_find",), tag):
            raise _lost("find a statement")
        with self._world._open() as database:
            sql = "SELECT id, late FROM statements WHERE tag = ? ORDER BY number DESC"
            for row in database.execute(sql, (tag,)).fetchall():
                if not row["late"]:
                    return str(row["id"])
                database.execute("UPDATE statements SET late = late - 1 WHERE id = ?", (row["id"],))
        return ""

    def look(self, query_id: str) -> QueryStatus:
        row = self._row(query_id)
        if not row:
            return QueryStatus(state=QueryState.GONE)
        if self._world.due(("lost_look",), row["text"]):
            raise _lost("look at a statement")
        if row["state"] == QueryState.RUNNING and self._is_due(row):
            self._finish(query_id)
            row = self._row(query_id)
        return QueryStatus(
            state=QueryState(row["state"]), message=row["message"], code=row["code"], retryable=bool(row["retryable"])
        )

    def answer(self, query_id: str) -> Answer:
        row = self._row(query_id)
        if self._world.due(("lost_answer",), row.get("text", "")) or not row or row["expired"]:
            raise _lost("read a result")
        return self._told("read a result", query_id)

    def cancel(self, query_id: str) -> None:
        row = self._row(query_id)
        if row and row["state"] == QueryState.RUNNING:
            self._set(query_id, state=QueryState.CANCELLED, message="Query was cancelled")
        if self._world.due(("lost_cancel",), row.get("text", "")):
            raise _lost("cancel a statement")

    # The system

    def _arrived(self, statement: Statement, tag: str) -> str:
        query_id = uuid.uuid4().hex
        given: dict[str, Any] = {"id": query_id, "tag": tag, "text": statement.text, "state": QueryState.RUNNING}
        given["given"] = json.dumps(dict(statement.values), default=str)
        if slow := self._world.due(("slow",), statement.text):
            given["looks"] = int(slow.more.get("looks", 0))
            given["due"] = time.time() + float(slow.more["seconds"]) if "seconds" in slow.more else 0
        if failing := self._world.due(("fail", "half"), statement.text):
            given["half"] = 1 if failing.fault == "half" else 2
            more = failing.more
            given["message"] = str(more.get("message", "ordered by a test"))
            given |= {"code": str(more.get("code", "JOB_FAILED")), "retryable": int(more.get("retryable", False))}
        with self._world._open() as database:
            marks = ", ".join("?" * len(given))
            database.execute(f"INSERT INTO statements ({', '.join(given)}) VALUES ({marks})", tuple(given.values()))
        return query_id

    def _is_due(self, row: Mapping[str, Any]) -> bool:
        if row["due"]:
            return bool(time.time() >= row["due"])
        if row["looks"] > 0:
            self._set(row["id"], looks=row["looks"] - 1)
        return not row["looks"]

    def _finish(self, query_id: str) -> None:
        """Do what a statement says, once, whoever asks first; one that a killed process began is begun anew."""
        with (self._world.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            row = self._row(query_id)
            if row["state"] != QueryState.RUNNING:
                return
            if row["half"] == 2:
                self._set(query_id, state=QueryState.FAILED)
                return
            statement = Statement(text=row["text"], values=json.loads(row["given"]))
            try:
                answer = execute(statement, self._world._find, self._world.s3, half=row["half"] == 1)
            except SourceError as error:
                code = str(error).partition("]")[0].lstrip("[")
                self._set(query_id, state=QueryState.FAILED, message=str(error), code=code)
                return
            kept = json.dumps([answer.columns, answer.types, answer.rows, answer.affected], default=_plain)
            self._set(query_id, state=QueryState.DONE, answer=kept, message="", code="")

    def _told(self, what: str, query_id: str) -> Answer:
        row = self._row(query_id)
        if row["state"] != QueryState.DONE:
            text = f"Databricks could not {what}: {row['message']}."
            if row["retryable"]:
                raise TransientError("IB-240", text, remedy="It is tried again.")
            raise ConfigurationError("IB-247", text, remedy="Mend what it names.", error_class=row["code"])
        columns, types, rows, affected = json.loads(row["answer"])
        told = tuple(tuple(item) for item in rows)
        return Answer(columns=tuple(columns), types=tuple(types), rows=told, affected=affected)

    def _row(self, query_id: str) -> dict[str, Any]:
        with self._world._open() as database:
            row = database.execute("SELECT * FROM statements WHERE id = ?", (query_id,)).fetchone()
        return dict(row) if row else {}

    def _set(self, query_id: str, **values: Any) -> None:
        with self._world._open() as database:
            sets = ", ".join(f"{name} = ?" for name in values)
            database.execute(f"UPDATE statements SET {sets} WHERE id = ?", (*values.values(), query_id))


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else str(value)


def _lost(what: str) -> TransientError:
    return TransientError("IB-248", f"The workspace did not say whether it could {what}.", remedy="It is tried again.")


# Surroundings


def briefly(_seconds: float) -> None:
    """Wait a moment: ``sleep`` of :func:`followed`."""
    time.sleep(0.05)


def target_of(account: Any, database: str) -> Any:
    """The product's own engine over the unmodified connector."""
    from icebridge_provider.engines.snowflake.target import SnowflakeTarget

    return SnowflakeTarget(lambda: account.connect(database), name="snowflake")


def site_of(folder: Path, world: SourceWorld, target: LoadTarget, **more: Any) -> ShareSite:
    """A site with a ledger of its own in ``folder``; two sites on one folder share it."""
    from icebridge_provider.state.ledger import SqlLedger

    is_new = not (folder / "ledger.db").exists()
    ledger = sqlite_ledger(folder) if is_new else SqlLedger(f"sqlite:///{folder}/ledger.db")
    given: dict[str, Any] = {"source": world.runner(), "store": ObjectStore(world.s3), "ledger": ledger, **more}
    return ShareSite(target=target, **given)


def place_of(database: str, target: Sequence[str] = ("PUBLIC", "T")) -> Place:
    """A place in a database whose stage LAND is over ``s3://bucket/<database>/`` (``account.stage``)."""
    schema, table = target
    return Place(
        target=(database, schema, table), stage=(database, "PUBLIC", "LAND"), stage_root=f"s3://{BUCKET}/{database}",
        control=(database, "PUBLIC"),
    )  # fmt: skip


def share_of(world: SourceWorld, name: str | Sequence[str], database: str, **more: Any) -> Share:
    """A share of one of the world's tables to ``<database>.PUBLIC.T``, below the stage LAND."""
    parts = name.split(".") if isinstance(name, str) else list(name)
    given: dict[str, Any] = {"run_id": "run-1", "place": place_of(database), "columns": world.columns(name), **more}
    return Share(source=(parts[0], parts[1], parts[2]), location=f"s3://{BUCKET}/{database}", **given)

"""A session: its connection to the engine, its transaction, its parameters."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import duckdb

from tests.peers.snowflake.errors import SnowflakeError, canceled, missing
from tests.peers.snowflake.lexer import quoted
from tests.peers.snowflake.world import Query, World

ATTEMPTS = 200


@dataclass(eq=False)
class Session:
    """One login. Its statements run one after another."""

    world: World
    user: str
    role: str
    token: str
    id: int
    conn: Any
    warehouse: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    autocommit: bool = True
    # What the open transaction has done so far, None outside of one.
    steps: list[Callable[[], Any]] | None = None
    begun: bool = False
    lost: bool = False
    touched: float = field(default_factory=time.monotonic)
    held: set[tuple[str, ...]] = field(default_factory=set)
    running: Query | None = None
    latest: str | None = None  # id of its newest statement

    @property
    def duck(self) -> Any:
        return self.conn._duck_conn

    def use(self, database: str | None, schema: str | None) -> None:
        """Change the current database and schema; both must be there."""
        if database is not None:
            self._must_exist(
                "Database", database, "SELECT 1 FROM duckdb_databases() WHERE database_name = ?", [database]
            )
            found = self.duck.execute(
                "SELECT 1 FROM duckdb_schemas() WHERE database_name = ? AND schema_name = 'PUBLIC'", [database]
            )
            inner = schema or ("PUBLIC" if found.fetchone() else None)
            if schema:
                where = "SELECT 1 FROM duckdb_schemas() WHERE database_name = ? AND schema_name = ?"
                self._must_exist("Schema", f"{database}.{schema}", where, [database, schema])
            self.duck.execute(f"USE {quoted(database, inner or 'main')}")
            self.conn.database, self.conn.database_set = database, True
            self.conn._schema, self.conn.schema_set = inner, inner is not None

    def _must_exist(self, kind: str, name: str, sql: str, values: list[str]) -> None:
        if self.duck.execute(sql, values).fetchone() is None:
            raise missing(kind, name)

    def resolve(self, name: tuple[str, ...]) -> tuple[str, str, str]:
        """Database, schema and name of an object named in part."""
        if len(name) > 3:
            raise SnowflakeError(1003, "42000", f"SQL compilation error:\ntoo many parts: {'.'.join(name)}")
        database, schema = self.conn.database, self.conn._schema
        if len(name) == 1 and not (database and schema):
            raise SnowflakeError(
                90105, "22000", "Cannot perform operation. This session does not have a current database. "
                "Call 'USE DATABASE', or use a qualified name.",
            )  # fmt: skip
        whole = (*(database, schema)[: 3 - len(name)], *name)
        return str(whole[0]), str(whole[1] or "PUBLIC"), str(whole[2])

    # Transactions

    def begin(self) -> None:
        if self.steps is None:
            self.steps, self.lost = [], False

    def commit(self) -> None:
        self._end("COMMIT")

    def rollback(self) -> None:
        self._end("ROLLBACK")

    def _end(self, how: str) -> None:
        try:
            if self.begun:
                self.duck.execute(how)
        except duckdb.TransactionException as error:
            raise SnowflakeError(625, "57014", f"Statement aborted: {error}") from error
        finally:
            self.steps, self.begun = None, False
            self.release()

    def release(self) -> None:
        with self.world.lock:
            self.held.clear()

    def perform(self, work: Callable[[], Any], *, writes: tuple[str, ...] | None, changes: bool) -> Any:
        """Do a statement's work in the open transaction, or in one of its own if ``changes``.

        A failed statement undoes itself only: the engine gives up its whole transaction, so what was done before is
        done again. ``writes`` is a table that UPDATE, DELETE, MERGE or TRUNCATE locks.
        """
        if self.lost:
            self.lost = False
            raise SnowflakeError(
                90143, "25000", "The transaction was aborted: it was idle and blocked another session."
            )
        if self.steps is None and changes and not self.autocommit:
            self.begin()
        alone = self.steps is None
        if alone and changes:
            self.steps = []
        try:
            if writes is not None:
                self._seize(writes)
            result = self._attempt(work, opens=changes)
            if self.steps is not None and changes:
                self.steps.append(work)
        except BaseException:
            if alone and changes:
                self.rollback()
            raise
        if alone and changes:
            self.commit()
        self.touched = time.monotonic()
        return result

    def _attempt(self, work: Callable[[], Any], *, opens: bool) -> Any:
        for _ in range(ATTEMPTS):
            try:
                if opens:
                    self._open()
                return work()
            except duckdb.TransactionException:
                self._again()
                self.wait(0.02)
            except Exception as error:
                self._again()
                if not _is_conflict(error):
                    raise
                self.wait(0.02)
        raise SnowflakeError(625, "57014", "Statement aborted: another session holds a lock on the table.")

    def _open(self) -> None:
        if self.steps is not None and not self.begun:
            self.duck.execute("BEGIN TRANSACTION")
            self.begun = True

    def _again(self) -> None:
        """After a failure: the engine's transaction anew, with the steps that had succeeded."""
        if not self.begun:
            return
        self.duck.execute("ROLLBACK")
        self.begun = False
        if self.steps:
            self._open()
            for step in self.steps:
                step()

    def _seize(self, table: tuple[str, ...]) -> None:
        limit = time.monotonic() + float(
            self.parameters.get("LOCK_TIMEOUT") or self.world.settings["lock_timeout_seconds"]
        )
        while True:
            with self.world.lock:
                holder = next(
                    (one for one in self.world.sessions.values() if one is not self and table in one.held), None
                )
                if holder is None:
                    self.held.add(table)
                    return
            if holder.abort_idle():
                continue
            if time.monotonic() > limit:
                raise SnowflakeError(
                    625, "57014", f"Statement aborted: lock on table '{table[-1]}' was not acquired in time."
                )
            self.wait(0.01)

    def abort_idle(self) -> bool:
        """End this session's transaction if it has been idle for too long; for one that waits behind it."""
        idle = time.monotonic() - self.touched >= self.world.settings["idle_abort_seconds"]
        if not idle or not self.lock.acquire(blocking=False):
            return False
        try:
            if self.steps is not None:
                self.rollback()
                self.lost = True
        finally:
            self.lock.release()
        return True

    def wait(self, seconds: float) -> None:
        """Sleep, unless the running statement is canceled."""
        if self.running is None:
            time.sleep(seconds)
        elif self.running.cancel.wait(seconds):
            raise canceled()

    def close(self) -> None:
        """End the session: an open transaction is rolled back."""
        with self.lock:
            self.rollback()
            with self.world.lock:
                self.world.sessions.pop(self.token, None)
            self.duck.close()


def _is_conflict(error: BaseException) -> bool:
    text = str(error)
    return "onflict" in text and ("TransactionContext" in text or "Transaction" in text or "write-write" in text)

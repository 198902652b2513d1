"""A login at work: batches run statement by statement."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from tests.peers.mssql import bulk, catalog, errors, views
from tests.peers.mssql.connection import Connection
from tests.peers.mssql.interface import (
    BulkOptions,
    Column,
    Parameter,
    Result,
    SqlError,
    SqlType,
)
from tests.peers.mssql.interpreter import Interpreter
from tests.peers.mssql.knowledge import Knowledge
from tests.peers.mssql.tables import Temporary
from tests.peers.mssql.translate import commands, tree
from tests.peers.mssql.translate.merge import Merges
from tests.peers.mssql.translate.scope import Found, Scope, TableInfo
from tests.peers.mssql.translate.statements import parse
from tests.peers.mssql.triggers import Triggers

_parsed = lru_cache(maxsize=500)(parse)


class PostgresSession(Interpreter, Triggers, Knowledge):
    """Implements :class:`interface.Session`."""

    def __init__(self, engine: Any, user: str, database: str, number: int) -> None:
        self.engine, self.user, self.number = engine, user, number
        self.database = ""
        self.outputs: dict[str, Any] = {}
        self.temporary: dict[str, Temporary] = {}
        self.frames: list[dict[str, list[Any]]] = [{}]
        self.rowcount, self.error, self.identity = 0, 0, None
        self.options: dict[str, Any] = {"XACT_ABORT": False, "NOCOUNT": False, "FMTONLY": False, "IMPLICIT": False}
        self.identity_insert = ""
        self.caught: list[SqlError] = []
        self.saved: set[str] = set()
        self.defining = False
        self.trying = 0
        self._temporaries = 0
        self._before: dict[str, Temporary] = {}
        self._cancelled = threading.Event()
        self.connection: Connection = None  # type: ignore[assignment]
        self.use(database)

    # What the interface asks for.

    @property
    def trancount(self) -> int:
        return self.connection.trancount

    def batch(self, sql: str, parameters: Sequence[Parameter] = ()) -> Iterator[Result | SqlError]:  # type: ignore[override]
        """See the interface; the values of OUTPUT parameters stand in :attr:`outputs` afterwards."""
        if len(parameters) > 2100:
            text = ("The incoming request has too many parameters. The server supports a maximum of 2100 "
                "parameters. Reduce "
                    "the number of parameters and resend the request.")  # fmt: skip
            raise SqlError(8003, text)
        frame = {item.name.casefold(): [item.value, item.type] for item in parameters}
        self._cancelled.clear()
        try:
            yield from self.play(self.parsed(sql), frame)
            if self.connection.doomed:
                self.abandon()
                raise SqlError(
                    3998,
                    "Uncommittable transaction is detected at the end of the batch. The transaction is rolled back.",
                )
        finally:
            self.outputs = {item.name: frame[item.name.casefold()][0] for item in parameters if item.output}
            self.forget_variables()

    def parsed(self, sql: str) -> list[Any]:
        if len(sql) > 100_000:
            return parse(sql)
        try:
            return _parsed(sql)
        except RecursionError:
            raise SqlError(191, "Some part of your SQL statement is nested too deeply.", severity=15) from None

    def describe(self, sql: str, parameters: Sequence[Parameter] = ()) -> Sequence[Column]:
        self.frames.append({item.name.casefold(): [item.value, item.type] for item in parameters})
        try:
            with self.connection.statement():
                return self.first_columns(self.parsed(sql))
        finally:
            self.frames.pop()

    def bulk_columns(self, table: str, names: Sequence[str]) -> Sequence[Column]:
        with self.connection.statement():
            return bulk.columns(self, table, names)

    def bulk_insert(
        self, table: str, columns: Sequence[Column], rows: Iterable[Sequence[Any]], options: BulkOptions
    ) -> int:
        try:
            with self.statement():
                count = bulk.insert(self, table, columns, rows, options)
        except SqlError as error:
            self.after_error(error)
            raise
        self.rowcount = count
        return count

    def begin(self) -> None:
        if self.connection.trancount == 0:
            self._before = self.temporary
        self.connection.begin()

    def commit(self) -> None:
        self.connection.commit()
        self.settled()

    def rollback(self) -> None:
        self.connection.rollback()
        self.settled()
        self.temporary = self._kept_variables(self._before)

    def abandon(self) -> None:
        """Roll back whatever is open."""
        if self.connection.trancount:
            self.connection.abandon()
            self.settled()
            self.temporary = self._kept_variables(self._before)

    def cancel(self) -> None:
        self._cancelled.set()
        self.connection.cancel()

    def close(self) -> None:
        self.engine.forget(self)
        self.connection.close()
        self.settled()

    # What the parts of the session ask each other for.

    @property
    def admin(self) -> bool:
        return self.user.casefold() in self.engine.administrators

    def use(self, database: str) -> None:
        """Change the database.

        :raises SqlError: 911 or 4060 for one that is not there.
        """
        name, raw = self.engine.connect(database, self)
        if self.connection is not None:
            self.connection.close()
        self.database, self.connection = name, Connection(raw, self)
        self.temporary = {}

    def reset(self) -> None:
        """As new, for a connection pool."""
        self.abandon()
        for item in self.temporary.values():
            with self.connection.statement():
                self.run(f"DROP TABLE IF EXISTS {item.info.pg}")
        self.temporary, self.identity_insert, self.identity = {}, "", None
        self.options = dict.fromkeys(self.options, False)
        self.connection.isolation = "READ COMMITTED"
        self.connection.set_lock_timeout(-1)

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.run(sql)

    def statement(self) -> Any:
        return _Statement(self)

    def binder(self) -> Merges:
        found = Merges(self)
        found.identity_insert = self.identity_insert
        return found

    def next_temporary(self) -> int:
        self._temporaries += 1
        return self.number * 100_000 + self._temporaries

    def table(self, parts: Sequence[str]) -> TableInfo | None:
        """A table by its name; ``#t`` and ``@t`` are the session's."""
        name = parts[-1]
        if name.startswith(("#", tree.VARIABLE)):
            held = self.temporary.get(name.casefold())
            return held.info if held else None
        shadow = self.images.get(name.casefold()) if len(parts) == 1 else None
        if shadow is not None:
            return shadow
        if len(parts) > 2 and parts[-3] and parts[-3].casefold() != self.database.casefold():
            raise SqlError(
                40510, f"The local SQL Server cannot reach the database '{parts[-3]}' from '{self.database}'."
            )
        return self._defined(parts[-2] if len(parts) > 1 and parts[-2] else "dbo", name)

    def _defined(self, schema: str, name: str) -> TableInfo | None:
        """From the engine's memory, else from the catalogue; a transaction that defines things reads its own."""
        key = (schema.casefold(), name.casefold())
        version, found = self.engine.known(self.database, key)
        if found is not None and not self.defining:
            return found  # type: ignore[no-any-return]
        table = catalog.by_name(self.run, schema, name)
        if table is not None and not self.defining and self.connection.isolation.startswith("READ"):
            self.engine.learn(self.database, version, key, table)
        return table

    def settled(self) -> None:
        """A transaction is over: what it defined is for everybody."""
        if self.defining and not self.connection.busy:
            self.defining = False
            self.engine.redefined(self.database)

    def variable(self, name: str) -> tuple[Any, SqlType]:
        held = self.frames[-1].get(name.casefold())
        if held is None:
            raise SqlError(137, f'Must declare the scalar variable "{name}".', severity=15)
        return held[0], held[1]

    def system_view(self, schema: str, name: str, *, temporary: bool) -> tuple[str, list[tuple[str, SqlType]]] | None:
        return views.view(self, schema, name, temporary=temporary)

    def table_named(self, pg: str) -> tuple[str, str]:
        """``dbo.t`` and ``db.dbo.t`` of a PostgreSQL table's name."""
        held = self._by_number(pg[1:])
        if held is not None:
            return held.label, f"{'tempdb' if held.object_id < 0 else self.database}.{held.label}"
        return pg, pg

    def _by_number(self, digits: str) -> TableInfo | None:
        if not digits.isdigit():
            return None
        for item in self.temporary.values():
            if item.info.object_id == -int(digits):
                return item.info
        rows = self._aside(lambda run: catalog.read_table(run, f"o.object_id = {int(digits)}"))
        return rows if isinstance(rows, TableInfo) else None

    def _aside(self, ask: Any) -> Any:
        """Ask the catalogue over a connection of its own: this one's transaction may be broken."""
        raw = self.engine.raw(self.database)
        try:
            raw.autocommit = True
            with raw.cursor() as cursor:

                def run(sql: str) -> list[tuple[Any, ...]]:
                    cursor.execute("SET search_path = pg_catalog, ms")
                    cursor.execute(sql)
                    return list(cursor.fetchall())

                return ask(run)
        finally:
            raw.close()

    def column_named(self, pg_table: str, pg_column: str) -> str:
        held = self._by_number(pg_table[1:])
        found = next((item.name for item in held.columns if item.pg == pg_column), "") if held else ""
        return found or pg_column

    def constraint_named(self, pg: str) -> tuple[str, str, str, bool]:
        """Table, name, kind, whether it is a constraint (not just an index)."""
        if pg.startswith("i"):
            table, _, number = pg[1:].partition("_")
            held = self._by_number(table)
            label = held.label if held else pg
            rows: Any = [row for item in self.temporary.values() if held is item.info for row in item.rows["indexes"]]
            found = [(row[2], row[4], row[5]) for row in rows if row[1] == int(number)]
            if not found and table.isdigit():
                found = self._aside(lambda run: run(
                    f"SELECT name::text, is_primary, is_constraint FROM ms.indexes WHERE object_id = {table} "
                    f"AND index_id = {int(number)}"))  # fmt: skip
            name, primary, constraint = found[0] if found else (pg, False, True)
            return label, name, "PRIMARY KEY" if primary else "UNIQUE KEY", bool(constraint)
        if pg[1:].isdigit():
            found = self._aside(lambda run: run(
                f"SELECT ms.schema_of(parent_id) || '.' || ms.object_name(parent_id), name::text FROM ms.objects "
                f"WHERE object_id = {int(pg[1:])}"))  # fmt: skip
            if found:
                return str(found[0][0]), str(found[0][1]), "", True
        return pg, pg, "", True

    def described(self, columns: Sequence[Found]) -> list[Column]:
        """Columns of a result as the wire shows them."""
        return [described(item) for item in columns]

    def first_columns(self, statements: Sequence[Any]) -> list[Column]:
        """Columns of the first statement that answers with rows."""
        for node in statements:
            if isinstance(node, commands.Declare):
                for name, kind, _ in node.variables:
                    self.frames[-1].setdefault(name.casefold(), [None, kind])
            if isinstance(node, (tree.Select, tree.SetOperation)) and not getattr(node, "into", ()):
                bound = self.binder().query(node, None)
                if not bound.assigned:
                    return self.described(bound.columns)
            if isinstance(node, (tree.Insert, tree.Update, tree.Delete)) and node.output and not node.output.into:
                binder = self.binder()
                change = getattr(binder, type(node).__name__.lower())(node)
                return self.described(change.columns or [])
            if isinstance(node, commands.If):
                found = self.first_columns([node.then])
                if found:
                    return found
            if isinstance(node, commands.Block):
                found = self.first_columns(node.statements)
                if found:
                    return found
        return []

    def forget_variables(self) -> None:
        """Table variables end with their batch."""
        if any(item.variable for item in self.temporary.values()):
            self.temporary = {name: item for name, item in self.temporary.items() if not item.variable}

    def _kept_variables(self, before: dict[str, Temporary]) -> dict[str, Temporary]:
        return dict(before)

    def evaluate(self, node: Any) -> Any:
        """A value outside of a query: asked of the database, read as the interface wants it."""
        from tests.peers.mssql.translate.typed import shown
        from tests.peers.mssql.values import reader

        if isinstance(node, tree.Literal):
            return node.value, node.type
        binder = self.binder()
        typed = binder.typed(node, Scope())
        self.check_rights(binder)
        rows = self.run(f"SELECT {shown(typed)}")
        read = reader(typed.type) if typed.type else None
        value = rows[0][0]
        return (read(value) if read and value is not None else value), typed.type

    def check_rights(self, binder: Merges) -> None:
        """:raises SqlError: 229 for what the login may not do, 3952 for a snapshot the database does not allow."""
        if self.connection.isolation == "SNAPSHOT" and binder.needs and not self.snapshot_allowed():
            text = (f"Snapshot isolation transaction failed accessing database '{self.database}' because "
                f"snapshot isolation "
                    "is not allowed in this database. Use ALTER DATABASE to allow snapshot isolation.")  # fmt: skip
            raise SqlError(3952, text)
        if self.admin:
            return
        for table, need in binder.needs:
            if table.object_id < 0:
                continue
            asked = f"SELECT ms.allowed('{need}', {table.object_id}, {table.schema_id})"
            if not self.run(asked)[0][0]:
                text = (f"The {need} permission was denied on the object '{table.name}', database "
                    f"'{self.database}', schema "
                        f"'{table.schema}'.")  # fmt: skip
                raise SqlError(229, text, severity=14, state=5)

    def snapshot_allowed(self) -> bool:
        return bool(self.run("SELECT value = 'ON' FROM ms.options WHERE name = 'ALLOW_SNAPSHOT_ISOLATION'")[0][0])

    def after_error(self, error: SqlError) -> None:
        """What an error does to the transaction."""
        self.error, self.rowcount = error.number, 0
        if error.number in errors.ROLLS_BACK or error.doomed or self.options["XACT_ABORT"]:
            if self.trying and self.connection.trancount:
                self.connection.doom(at_once=error.number in {1205, 3960})
            else:
                self.abandon()


class _Statement:
    """A statement's savepoint, with the session's own memory."""

    def __init__(self, session: PostgresSession) -> None:
        self.session = session
        self.inner = session.connection.statement()

    def __enter__(self) -> None:
        self.temporary = self.session.temporary
        self.inner.__enter__()

    def __exit__(self, *about: object) -> Any:
        if about[0] is not None:
            self.session.temporary = self.temporary
        try:
            return self.inner.__exit__(*about)
        finally:
            self.session.settled()


def described(item: Found) -> Column:
    """A bound column as the wire shows it."""
    typed = item.typed
    kind = typed.type or SqlType(name="int")
    info = typed.column if typed.column is not None and typed.column is not True else None
    return Column(name=item.name, type=kind, nullable=typed.nullable, identity=bool(info and info.identity),
                  computed=bool(info and (info.computed or kind.name == "rowversion")))  # fmt: skip

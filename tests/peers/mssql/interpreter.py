"""Batches run statement by statement: queries, changes, control flow, transactions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from tests.peers.mssql import errors
from tests.peers.mssql.definitions import Definer
from tests.peers.mssql.flow import Flow, Jumped
from tests.peers.mssql.interface import Count, Result, ResultSet, SqlError, SqlType
from tests.peers.mssql.options import Options
from tests.peers.mssql.procedures import Procedures
from tests.peers.mssql.translate import commands, tree
from tests.peers.mssql.translate.changes import Change
from tests.peers.mssql.translate.scope import TableInfo
from tests.peers.mssql.translate.typed import Typed, convert
from tests.peers.mssql.values import literal, reader, rows_reader

Answer = Iterator[Result | SqlError]


class Interpreter(Flow, Procedures, Definer, Options):
    """Runs trees of statements on a session."""

    images: dict[str, TableInfo] = {}  # noqa: RUF012 - replaced, never changed

    def play(self, statements: Sequence[Any], frame: dict[str, list[Any]]) -> Answer:
        """Run a batch with variables of its own."""
        self.frames.append(frame)
        try:
            yield from self.block(statements)
        except Jumped as jump:
            if jump.verb != "RETURN":
                raise SqlError(135, "Cannot use a BREAK statement outside the scope of a WHILE statement.") from None
            self.returned = jump.value
        finally:
            self.frames.pop()

    returned = 0

    def block(self, statements: Sequence[Any]) -> Answer:
        for node in statements:
            yield from self.one(node)

    def one(self, node: Any) -> Answer:
        """One statement; an error ends the batch or is passed on, as SQL Server does."""
        if self._cancelled.is_set():
            raise SqlError(0, "Operation cancelled by user.", severity=11)
        try:
            yield from self._run_statement(node)
        except SqlError as error:
            self.after_error(error)
            if self.trying or error.severity >= 20 or not errors.goes_on(error) or self.options["XACT_ABORT"]:
                raise
            if isinstance(
                node, (commands.Raise, commands.If, commands.While, commands.Block, commands.Try, commands.Execute)
            ):
                raise
            yield error

    def _run_statement(self, node: Any) -> Answer:
        method = getattr(self, f"_run_{type(node).__name__.lower()}", None)
        if method is None:
            raise SqlError(40510, f"The local SQL Server does not know {type(node).__name__}.")
        if self.options["IMPLICIT"] and not self.trancount and type(node).__name__ in _IMPLICIT:
            self.begin()
        if self.connection.doomed and type(node).__name__ in _WRITES:
            raise SqlError(3930, "The current transaction cannot be committed and cannot support operations that "
                "write to "
                                 "the log file. Roll back the transaction.")  # fmt: skip
        self.connection.verb = type(node).__name__.upper()
        if type(node).__name__ in _DEFINES:
            self.defining = True
        yield from method(node)
        if type(node).__name__ not in _KEEPS_COUNT:
            self.error = 0

    def counted(self, rows: int | None) -> Count:
        if rows is not None:
            self.rowcount = rows
        return Count(rows=None if self.options["NOCOUNT"] else rows)

    # Queries.

    def _run_select(self, node: Any) -> Answer:
        if getattr(node, "into", ()):
            yield from self._select_into(node)
            return
        with self.statement():
            binder = self.binder()
            bound = binder.query(node, None)
            self.check_rights(binder)
            columns = self.described(bound.columns)
            if self.options["FMTONLY"]:
                yield ResultSet(columns=columns, rows=())
                return
            self.take_locks(binder)
            read = rows_reader([column.type for column in columns])
            if bound.assigned:
                self._assign(bound, read)
                self.error = 0
                return
            stream = _Stream(self.connection.stream(bound.sql), read)
            yield ResultSet(columns=columns, rows=stream)
            for _ in stream:
                pass
            if stream.error is not None:
                raise stream.error
        self.rowcount = stream.count
        yield self.counted(stream.count)

    _run_setoperation = _run_select

    def take_locks(self, binder: Any) -> None:
        for table, mode in dict.fromkeys(binder.locks):
            self.run(f"LOCK TABLE {table} IN {mode} MODE")

    def _assign(self, bound: Any, read: Any) -> None:
        rows = [row for block in self.connection.stream(bound.sql) for row in block]
        if rows:
            values = read(rows[-1:])[0]
            for name, value, column in zip(bound.assigned, values, bound.columns, strict=True):
                self.set_variable(name, value, column.typed.type)
        self.rowcount = len(rows)

    def set_variable(self, name: str, value: Any, kind: SqlType | None) -> None:
        """A value into a variable, converted to its type."""
        held = self.frames[-1].get(name.casefold())
        if held is None:
            raise SqlError(137, f'Must declare the scalar variable "{name}".', severity=15)
        if value is None or kind == held[1]:
            held[0] = value
            return
        sql = convert(Typed(literal(value, kind), kind), held[1])
        read = reader(held[1])
        found = self.run(f"SELECT {sql}")[0][0]
        held[0] = read(found) if read and found is not None else found

    def _select_into(self, node: Any) -> Answer:
        target, node = node.into, replace(node, into=())
        with self.statement():
            binder = self.binder()
            bound = binder.query(node, None)
            self.check_rights(binder)
            single = isinstance(node, tree.Select) and isinstance(node.source, tree.Table) and not node.group
            columns = [_definition(item, keep_identity=single) for item in bound.columns]
            if any(not item.name for item in columns):
                raise SqlError(1038, "An object or column name is missing or empty. For SELECT INTO statements, "
                    "verify each "
                                     "column has a name.", severity=15)  # fmt: skip
            info = self.create_table(commands.CreateTable(target, columns, []))
            chosen = [item for item in info.columns if item.writable]
            places = [place for place, item in enumerate(info.columns, 1) if item.writable]
            names = ", ".join(item.pg for item in chosen)
            given = ", ".join(f"c{place + 1}" for place in range(len(info.columns)))
            cells = ", ".join(f"q.c{place}" for place in places)
            count, _ = self.connection.change(
                f"INSERT INTO {info.pg} ({names}) SELECT {cells} FROM ({bound.sql}) AS q({given})"
            )
            self.renumber(info)
        yield self.counted(count)

    # Changes.

    def _run_insert(self, node: tree.Insert) -> Answer:
        if isinstance(node.source, commands.Execute):
            raise SqlError(40510, "The local SQL Server does not know INSERT … EXEC.")
        yield from self._changed(node, "insert")

    def _run_update(self, node: tree.Update) -> Answer:
        yield from self._changed(node, "update")

    def _run_delete(self, node: tree.Delete) -> Answer:
        yield from self._changed(node, "delete")

    def _run_merge(self, node: tree.Merge) -> Answer:
        yield from self._changed(node, "merge")

    def _changed(self, node: Any, verb: str) -> Answer:
        result: ResultSet | None = None
        messages: list[Any] = []
        with self.statement():
            binder = self.binder()
            if self.options["FMTONLY"]:
                return
            triggers = self.triggers_of(binder, node, verb)
            if triggers:
                count = self.fire(binder, node, verb, triggers, messages)
            else:
                change: Change = getattr(binder, verb)(node)
                self.check_rights(binder)
                self.take_locks(binder)
                count, rows = self.connection.change(change.sql)
                if verb == "insert":
                    self._numbered(change)
                if change.columns is not None:
                    columns = self.described(change.columns)
                    result = ResultSet(columns=columns, rows=rows_reader([column.type for column in columns])(rows))
        if result is not None:
            yield result
        yield from messages
        yield self.counted(count)

    def _numbered(self, change: Change) -> None:
        """Remember what identity was given."""
        column = next((item for item in change.table.columns if item.identity), None)
        if column is None:
            return
        if change.identity is not None:
            self.renumber(change.table)
        self.identity = (change.table, column)

    def renumber(self, table: TableInfo) -> None:
        """After explicit values the numbering goes on from the largest."""
        column = next((item for item in table.columns if item.identity), None)
        if column is not None:
            name = f"pg_get_serial_sequence('{table.pg}', '{column.pg}')"
            self.run(f"SELECT setval({name}, greatest((SELECT max({column.pg}) FROM {table.pg}), "
                     f"(SELECT last_value FROM pg_sequences WHERE schemaname || '.' || sequencename = "
                         f"{name})))")  # fmt: skip

    def _run_truncate(self, node: commands.Truncate) -> Answer:
        with self.statement():
            table = self.binder().table_info(tree.Table(node.table))
            self.need(table, "ALTER")
            self.run(f"TRUNCATE {table.pg} RESTART IDENTITY")
        yield self.counted(None)


class _Stream:
    """A result's rows; once through. The first block is read at once: most errors come before any row."""

    def __init__(self, blocks: Iterator[list[tuple[Any, ...]]], read: Any) -> None:
        self.count = 0
        self.error: SqlError | None = None
        self._rows = self._all(read, blocks, next(blocks, None))

    def _all(
        self, read: Any, blocks: Iterator[list[tuple[Any, ...]]], block: list[tuple[Any, ...]] | None
    ) -> Iterator[Any]:
        while block is not None:
            self.count += len(block)
            yield from read(block)
            try:
                block = next(blocks, None)
            except SqlError as error:
                self.error = error
                raise

    def __iter__(self) -> Iterator[Any]:
        return self._rows


def _definition(item: Any, *, keep_identity: bool) -> commands.ColumnDefinition:
    identity = (1, 1) if keep_identity and getattr(item.typed.column, "identity", False) else None
    kind = item.typed.type or SqlType(name="int")
    if kind.name == "sysname":
        kind = replace(kind, name="nvarchar")
    return commands.ColumnDefinition(item.name, kind, item.typed.nullable, identity)


_IMPLICIT = frozenset({"Select", "SetOperation", "Insert", "Update", "Delete", "Merge", "Truncate", "CreateTable",
                       "Drop",                        "AlterTable"})  # fmt: skip
_DEFINES = frozenset({"CreateTable", "CreateIndex", "AlterTable", "Drop", "Create"})
_WRITES = _IMPLICIT - {"Select", "SetOperation"}
_KEEPS_COUNT = frozenset({"Raise", "If", "While", "Block", "Try", "Execute"})

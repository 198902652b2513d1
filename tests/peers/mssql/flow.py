"""Variables, IF, WHILE, TRY and transactions, run on a session."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.peers.mssql.interface import Count, Message, SqlError, SqlType
from tests.peers.mssql.translate import commands, tree
from tests.peers.mssql.translate.scope import Scope


class Jumped(Exception):
    """BREAK, CONTINUE or RETURN on its way out."""

    def __init__(self, verb: str, value: int = 0) -> None:
        super().__init__(verb)
        self.verb, self.value = verb, value


class Flow:
    """Runs control flow on a session."""

    def _run_declare(self: Any, node: commands.Declare) -> Iterator[Any]:
        for name, kind, value in node.variables:
            if name.casefold() in self.frames[-1] and self.frames[-1][name.casefold()][1] != kind:
                text = (
                    f"The variable name '{name}' has already been declared. Variable names must be unique "
                    f"within a query batch or stored procedure."
                )
                raise SqlError(134, text, severity=15)
            self.frames[-1][name.casefold()] = [None, kind]
            if value is not None:
                self._set(name, value)
        if node.table is not None:
            with self.statement():
                self.create_table(node.table)
        yield from ()

    def _set(self: Any, name: str, value: Any) -> None:
        with self.statement():
            found, kind = self.evaluate(value)
            self.set_variable(name, found, kind)

    def _run_setvariable(self: Any, node: commands.SetVariable) -> Iterator[Any]:
        value = tree.Binary(node.operator, tree.Variable(node.name), node.value) if node.operator else node.value
        self._set(node.name, value)
        yield from ()

    def _test(self: Any, condition: Any) -> bool:
        with self.statement():
            binder = self.binder()
            sql = binder.condition(condition, Scope())
            self.check_rights(binder)
            return bool(self.run(f"SELECT coalesce({sql}, false)")[0][0])

    def _run_if(self: Any, node: commands.If) -> Iterator[Any]:
        if self._test(node.condition):
            yield from self.one(node.then)
        elif node.otherwise is not None:
            yield from self.one(node.otherwise)

    def _run_while(self: Any, node: commands.While) -> Iterator[Any]:
        while self._test(node.condition):
            try:
                yield from self.one(node.body)
            except Jumped as jump:
                if jump.verb == "BREAK":
                    return
                if jump.verb == "RETURN":
                    raise

    def _run_block(self: Any, node: commands.Block) -> Iterator[Any]:
        yield from self.block(node.statements)

    def _run_try(self: Any, node: commands.Try) -> Iterator[Any]:
        self.trying += 1
        try:
            yield from self.block(node.body.statements)
        except SqlError as error:
            self.trying -= 1
            if error.severity >= 20:
                self.trying += 1
                raise
            self.caught.append(error)
            try:
                yield from self.block(node.handler.statements)
            finally:
                self.caught.pop()
                self.trying += 1
        finally:
            self.trying -= 1

    def _run_jump(self: Any, node: commands.Jump) -> Iterator[Any]:
        value = 0
        if node.value is not None:
            with self.statement():
                value = self.evaluate(node.value)[0]
        raise Jumped(node.verb, value or 0)
        yield

    def _run_print(self: Any, node: commands.Print) -> Iterator[Any]:
        with self.statement():
            value, _ = self.evaluate(tree.Cast(node.value, SqlType(name="nvarchar", length=4000)))
        yield Message(number=0, text=value or " ")

    def _run_raise(self: Any, node: commands.Raise) -> Iterator[Any]:
        if node.verb == "THROW" and not node.arguments:
            if not self.caught:
                raise SqlError(
                    10704, "To rethrow an error, a THROW statement must be used inside a CATCH block.", severity=15
                )
            raise self.caught[-1]
        with self.statement():
            values = [self.evaluate(item)[0] for item in node.arguments]
        if node.verb == "THROW":
            raise SqlError(int(values[0]), str(values[1]), state=int(values[2]))
        text = str(values[0]) if isinstance(values[0], str) else f"Error {values[0]}"
        number = 50000 if isinstance(values[0], str) else int(values[0])
        text = _formatted(text, values[3:])
        severity = int(values[1])
        self.error = number if severity > 10 else 0
        if severity <= 10:
            yield Message(number=number, text=text, severity=severity)
            return
        error = SqlError(number, text, severity=severity, state=int(values[2]))
        if self.trying or severity >= 20:
            raise error
        yield error

    def _run_waitfor(self: Any, node: commands.WaitFor) -> Iterator[Any]:
        with self.statement():
            value = str(self.evaluate(node.seconds)[0])
        hours, minutes, seconds = [*value.split(":"), "0", "0"][:3]
        wait = int(hours) * 3600 + int(minutes) * 60 + float(seconds or 0)
        if self._cancelled.wait(wait):
            raise SqlError(0, "Operation cancelled by user.", severity=11)
        yield self.counted(None)

    def _run_transaction(self: Any, node: commands.Transaction) -> Iterator[Any]:
        name = node.name
        if isinstance(name, tree.Variable):
            name = self.variable(name.name)[0]
        if node.verb == "BEGIN":
            self.begin()
        elif node.verb == "COMMIT":
            self.commit()
        elif node.verb == "SAVE":
            if not self.trancount:
                raise SqlError(628, "Cannot issue SAVE TRANSACTION when there is no active transaction.")
            self.connection.save(name)
            self.saved.add(name.casefold())
        elif name and name.casefold() in self.saved:
            self.connection.rollback_to(name)
        else:
            self.rollback()
            self.saved.clear()
        yield Count(rows=None)

    def _run_use(self: Any, node: commands.Use) -> Iterator[Any]:
        if node.database.casefold() != self.database.casefold():
            if self.trancount:
                raise SqlError(226, "USE statement not allowed within a transaction here.")
            self.use(node.database)
        yield Message(number=5701, text=f"Changed database context to '{self.database}'.")
        yield Count(rows=None)

    def _run_nothing(self: Any, node: commands.Nothing) -> Iterator[Any]:
        yield Count(rows=None)


def _formatted(text: str, values: list[Any]) -> str:
    given = iter(values)
    return re.sub(r"%(?:[-+ 0#]*\d*(?:\.\d+)?)([sdiuxX])", lambda _: str(next(given, "(null)")), text).replace(
        "%%", "%"
    )

"""Variables, control flow, transactions and EXEC read into a tree."""

from __future__ import annotations

from typing import Any

from tests.peers.mssql.interface import SqlType
from tests.peers.mssql.translate import commands, tree
from tests.peers.mssql.translate.definitions import Definitions
from tests.peers.mssql.translate.tokens import END, NATIONAL, NUMBER, STRING, VARIABLE

OPERATORS = {"=": "", "+=": "+", "-=": "-", "*=": "*", "/=": "/", "%=": "%", "&=": "&", "|=": "|", "^=": "^"}


class Control(Definitions):
    """Reads control flow."""

    def statement(self) -> Any:
        """One statement, by the class that knows all."""
        raise AttributeError

    def _declare_statement(self) -> Any:
        self.expect("DECLARE")
        found = commands.Declare([])
        while True:
            if self.now.kind != VARIABLE:
                raise self.wrong()
            name = self.next().value
            self.take("AS")
            if self.take("TABLE"):
                columns, constraints = self.table_body()
                found.table = commands.CreateTable((tree.VARIABLE + name,), columns, constraints)
            elif self.see("CURSOR"):
                raise self.refused("cursors")
            else:
                kind = self.type()
                found.variables.append((name, kind, self.expression() if self.take("=") else None))
            if not self.take(","):
                return found

    def _set_statement(self) -> Any:
        self.expect("SET")
        if self.now.kind == VARIABLE:
            name = self.next().value
            operator = self.next()
            if operator.upper not in OPERATORS:
                raise self.wrong(operator)
            return commands.SetVariable(name, OPERATORS[operator.upper], self.expression())
        if self.take("TRANSACTION"):
            self.expect("ISOLATION", "LEVEL")
            words = [self.next().upper]
            if words[0] in {"READ", "REPEATABLE"}:
                words.append(self.next().upper)
            return commands.SetOption(["ISOLATION"], " ".join(words))
        if self.take("IDENTITY_INSERT"):
            table = self.names()
            return commands.SetOption(["IDENTITY_INSERT"], self._on(), table)
        names = [self.next().value.upper()]
        if names == ["STATISTICS"]:
            names = [f"STATISTICS {self.next().upper}"]
        while self.take(","):
            names.append(self.next().value.upper())
        if self.now.upper in {"ON", "OFF"}:
            return commands.SetOption(names, self._on())
        if self.now.kind in {NUMBER, STRING, NATIONAL, VARIABLE} or self.see("-"):
            return commands.SetOption(names, self.value())
        return commands.SetOption(names, self.next().value)

    def _on(self) -> bool:
        word = self.take_one("ON", "OFF")
        if not word:
            raise self.wrong()
        return word == "ON"

    def _if_statement(self) -> commands.If:
        self.expect("IF")
        condition = self.condition()
        self.take(";")
        then = self.statement()
        at = self.at
        self.take(";")
        if self.take("ELSE"):
            return commands.If(condition, then, self.statement())
        self.at = at
        return commands.If(condition, then)

    def _while_statement(self) -> commands.While:
        self.expect("WHILE")
        return commands.While(self.condition(), self.statement())

    def _begin_statement(self) -> Any:
        self.expect("BEGIN")
        if self.take_one("TRAN", "TRANSACTION"):
            return commands.Transaction("BEGIN", self._transaction_name())
        if self.take("DISTRIBUTED"):
            raise self.refused("distributed transactions")
        if self.take("TRY"):
            body = self._block_until("TRY")
            self.take(";")
            self.expect("BEGIN", "CATCH")
            return commands.Try(body, self._block_until("CATCH"))
        return self._block_until("")

    def _block_until(self, word: str) -> commands.Block:
        found = []
        while True:
            while self.take(";"):
                pass
            if self.take("END"):
                if word:
                    self.expect(word)
                return commands.Block(found)
            found.append(self.statement())

    def _transaction_name(self) -> Any:
        if self.now.kind == VARIABLE:
            found: Any = tree.Variable(self.next().value)
        else:
            found = self.name() if self.is_name() else ""
        if self.take("WITH"):
            self.next()
            if self.now.kind == STRING:
                self.next()
        return found

    def _commit_statement(self) -> commands.Transaction:
        self.expect("COMMIT")
        named = self.take_one("TRAN", "TRANSACTION", "WORK")
        name = self._transaction_name() if named in {"TRAN", "TRANSACTION"} else ""
        if self.take("WITH"):  # COMMIT TRAN WITH (DELAYED_DURABILITY = ON)
            self.skip_parentheses()
        return commands.Transaction("COMMIT", name)

    def _rollback_statement(self) -> commands.Transaction:
        self.expect("ROLLBACK")
        named = self.take_one("TRAN", "TRANSACTION", "WORK")
        return commands.Transaction("ROLLBACK", self._transaction_name() if named in {"TRAN", "TRANSACTION"} else "")

    def _save_statement(self) -> commands.Transaction:
        self.expect("SAVE")
        self.take_one("TRAN", "TRANSACTION")
        return commands.Transaction("SAVE", self._transaction_name())

    def _exec_statement(self) -> commands.Execute:
        self.next()
        return self._execute()

    _execute_statement = _exec_statement

    def _execute(self) -> commands.Execute:
        if self.take("("):
            text = self.expression()
            self.expect(")")
            return commands.Execute((), [], text)
        result = ""
        if self.now.kind == VARIABLE:
            result = self.next().value
            self.expect("=")
        found = commands.Execute(self.names(), [], None, result)
        if self.now.kind != END and not self.see(";") and self._sees_argument():
            found.arguments.append(self._argument())
            while self.take(","):
                found.arguments.append(self._argument())
        return found

    def _sees_argument(self) -> bool:
        return self.now.kind in {VARIABLE, STRING, NATIONAL, NUMBER} or self.now.upper in {"-", "NULL", "DEFAULT"} or (
            self.is_name() and self.now.upper not in {"THROW", "GO"}
        )  # fmt: skip

    def _argument(self) -> tuple[str, Any, bool]:
        name = ""
        if self.now.kind == VARIABLE and self.ahead().upper == "=":
            name = self.next().value
            self.next()
        value = self.expression()
        if isinstance(value, tree.Name) and len(value.parts) == 1:
            value = tree.Literal(value.parts[0], SqlType(name="nvarchar", length=4000))
        return name, value, bool(self.take_one("OUTPUT", "OUT"))

    def _print_statement(self) -> commands.Print:
        self.expect("PRINT")
        return commands.Print(self.expression())

    def _raiserror_statement(self) -> commands.Raise:
        self.expect("RAISERROR", "(")
        arguments = self.expressions()
        self.expect(")")
        if self.take("WITH"):
            while self.take_one("NOWAIT", "LOG", "SETERROR"):
                self.take(",")
        return commands.Raise("RAISERROR", arguments)

    def _throw_statement(self) -> commands.Raise:
        self.expect("THROW")
        if self.now.kind in {NUMBER, VARIABLE}:
            found = [self.value()]
            for _ in range(2):
                self.expect(",")
                found.append(self.value())
            return commands.Raise("THROW", found)
        return commands.Raise("THROW", [])

    def _return_statement(self) -> commands.Jump:
        self.expect("RETURN")
        plain = self.now.kind in {NUMBER, VARIABLE} or self.see("-") or self.see("(")
        return commands.Jump("RETURN", self.value() if plain else None)

    def _break_statement(self) -> commands.Jump:
        return commands.Jump(self.next().upper)

    _continue_statement = _break_statement

    def _use_statement(self) -> commands.Use:
        self.expect("USE")
        return commands.Use(self.name())

    def _waitfor_statement(self) -> commands.WaitFor:
        self.expect("WAITFOR", "DELAY")
        return commands.WaitFor(self.value())

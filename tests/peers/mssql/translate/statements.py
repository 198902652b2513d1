"""Statements and control flow read into a tree."""

from __future__ import annotations

from typing import Any

from tests.peers.mssql.interface import SqlError
from tests.peers.mssql.translate import commands, tree
from tests.peers.mssql.translate.control import OPERATORS, Control
from tests.peers.mssql.translate.tokens import END, VARIABLE


def parse(sql: str) -> list[Any]:
    """Read a batch.

    :raises SqlError: 102 and its kin; nothing of the batch has run then, as in SQL Server.
    """
    return Statements(sql).batch()


class Statements(Control):
    """Reads statements."""

    def batch(self) -> list[Any]:
        found = []
        while True:
            while self.take(";"):
                pass
            if self.now.kind == END:
                return found
            found.append(self.statement())

    def statement(self) -> Any:
        """One statement; what is not known is refused."""
        token = self.now
        method = getattr(self, f"_{token.upper.lower()}_statement", None) if token.upper else None
        if method is None and token.upper == "(":
            method = self._select_statement
        if method is None:
            if self.at == 0 and self.is_name():  # a batch may call a procedure by its bare name
                return self._execute()
            raise self.wrong()
        self.depth += 1
        if self.depth > 100:
            raise self.refused("statements nested that deep")
        found = method()
        self.depth -= 1
        return found

    def _select_statement(self) -> Any:
        return self.query()

    def _with_statement(self) -> Any:
        with_ = self.with_clause()
        found = self.statement()
        if not hasattr(found, "with_"):
            raise self.wrong()
        found.with_ = with_
        return found

    def _target(self) -> tree.Table:
        line = self.now.line
        if self.now.kind == VARIABLE:
            return tree.Table((tree.VARIABLE + self.next().value,))
        found = tree.Table(self.names(), line=line)
        if self.see("WITH") and self.ahead().upper == "(":
            self.next()
            found.hints = self.hints()
        return found

    def _insert_statement(self) -> tree.Insert:
        self.expect("INSERT")
        if self.see("BULK"):
            raise self.refused("INSERT BULK outside of a bulk load")
        top = self.top()
        self.take("INTO")
        found = tree.Insert(self._target(), (), None, top=top)
        if self.see("(") and self.ahead().upper not in {"SELECT", "WITH"}:
            found.columns = self.name_list()
        found.output = self._output()
        if self.take("DEFAULT", "VALUES"):
            found.source = "default"
        elif self.see("VALUES"):
            found.source = self.values()
            if len(found.source.rows) > 1000:
                text = ("The number of row value expressions in the INSERT statement exceeds the maximum allowed "
                    "number "
                        "of 1000 row values.")  # fmt: skip
                raise SqlError(10738, text, severity=15)
        elif self.now.upper in {"EXEC", "EXECUTE"}:
            found.source = self._exec_statement()
        else:
            found.source = self.query()
        self.options()
        return found

    def _output(self) -> tree.Output | None:
        if not self.take("OUTPUT"):
            return None
        found = tree.Output([self._item()])
        while self.take(","):
            found.items.append(self._item())
        if self.take("INTO"):
            found.into = (tree.VARIABLE + self.next().value,) if self.now.kind == VARIABLE else self.names()
            found.into_columns = self.name_list() if self.see("(") else ()
            if self.see("OUTPUT"):
                raise self.refused("two OUTPUT clauses")
        return found

    def _update_statement(self) -> Any:
        self.expect("UPDATE")
        if self.take("STATISTICS"):
            self.names()
            return commands.Nothing("UPDATE STATISTICS")
        top = self.top()
        found = tree.Update(self._target(), [], top)
        self.expect("SET")
        found.sets = self._sets()
        found.output = self._output()
        found.source = self.sources() if self.take("FROM") else None
        found.where = self._where()
        self.options()
        return found

    def _where(self) -> Any:
        if not self.take("WHERE"):
            return None
        if self.see("CURRENT"):
            raise self.refused("WHERE CURRENT OF")
        return self.condition()

    def _sets(self) -> list[tuple[Any, Any]]:
        found = [self._set_item()]
        while self.take(","):
            found.append(self._set_item())
        return found

    def _set_item(self) -> tuple[Any, Any]:
        target: Any
        if self.now.kind == VARIABLE:
            target = tree.Variable(self.next().value)
            if self.see("=") and self.is_name(self.ahead()) and self.ahead(2).upper == "=":
                raise self.refused("SET @variable = column = expression")
        else:
            target = tree.Name(self.names(), self.now.line)
        operator = self.next()
        if operator.upper not in OPERATORS:
            raise self.wrong(operator)
        value = self.expression()
        if OPERATORS[operator.upper]:
            value = tree.Binary(OPERATORS[operator.upper], target, value)
        return target, value

    def _delete_statement(self) -> tree.Delete:
        self.expect("DELETE")
        top = self.top()
        self.take("FROM")
        found = tree.Delete(self._target(), top)
        found.output = self._output()
        found.source = self.sources() if self.take("FROM") else None
        found.where = self._where()
        self.options()
        return found

    def _merge_statement(self) -> tree.Merge:
        self.expect("MERGE")
        self.top()
        self.take("INTO")
        target = self._target()
        target.alias = self.alias()
        if self.see("WITH") and self.ahead().upper == "(":
            self.next()
            target.hints = self.hints()
        self.expect("USING")
        source = self._source()
        self.expect("ON")
        found = tree.Merge(target, source, self.condition(), [])
        while self.see("WHEN"):
            found.whens.append(self._when())
        found.output = self._output()
        self.options()
        if not self.take(";"):
            text = "A MERGE statement must be terminated by a semi-colon (;)."
            raise SqlError(10713, text, severity=15, line=self.now.line)
        return found

    def _when(self) -> tree.When:
        self.expect("WHEN")
        matched = not self.take("NOT")
        self.expect("MATCHED")
        kind = "matched" if matched else "target"
        if self.take("BY"):
            kind = "source" if self.take_one("SOURCE", "TARGET") == "SOURCE" else "target"
        condition = self.condition() if self.take("AND") else None
        self.expect("THEN")
        action = self.take_one("UPDATE", "DELETE", "INSERT")
        found = tree.When(kind, condition, action)
        if action == "UPDATE":
            self.expect("SET")
            found.sets = self._sets()
        elif action == "INSERT":
            found.columns = self.name_list() if self.see("(") else ()
            if not self.take("DEFAULT", "VALUES"):
                found.values = self.values().rows[0]
        elif not action:
            raise self.wrong()
        return found

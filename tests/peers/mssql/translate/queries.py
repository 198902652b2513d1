"""SELECT with all that stands in it, read into a tree."""

from __future__ import annotations

from typing import Any

from tests.peers.mssql.translate import tree
from tests.peers.mssql.translate.expressions import Expressions
from tests.peers.mssql.translate.tokens import END, STRING, VARIABLE, WORD

HINTS = frozenset(
    [
        "NOLOCK",
        "READUNCOMMITTED",
        "READCOMMITTED",
        "READCOMMITTEDLOCK",
        "REPEATABLEREAD",
        "SERIALIZABLE",
        "HOLDLOCK",
        "SNAPSHOT",
        "UPDLOCK",
        "XLOCK",
        "TABLOCK",
        "TABLOCKX",
        "ROWLOCK",
        "PAGLOCK",
        "READPAST",
        "NOWAIT",
        "NOEXPAND",
        "FORCESEEK",
        "KEEPIDENTITY",
        "KEEPDEFAULTS",
        "IGNORE_CONSTRAINTS",
        "IGNORE_TRIGGERS",
        "INDEX",
        "FORCESCAN",
    ]
)
_NO_ALIAS = frozenset({"WHEN", "USING", "OUTPUT", "GO", "THROW", "LIMIT", "OFFSET"})


class Queries(Expressions):
    """Reads queries."""

    def query(self) -> Any:
        """``[WITH …] SELECT … [UNION …] [ORDER BY …]``."""
        with_ = self.with_clause()
        left = self._set_operations()
        if with_:
            left.with_ = with_
        self._tail(left)
        return left

    def with_clause(self) -> list[tuple[str, tuple[str, ...], Any]]:
        """Common table expressions, if any."""
        found: list[tuple[str, tuple[str, ...], Any]] = []
        if not self.take("WITH"):
            return found
        while True:
            name = self.name()
            names = self.name_list() if self.see("(") else ()
            self.expect("AS", "(")
            found.append((name, names, self.query()))
            self.expect(")")
            if not self.take(","):
                return found

    def _set_operations(self) -> Any:
        left = self._intersections()
        while self.now.upper in {"UNION", "EXCEPT"}:
            operator = self.next().upper
            if operator == "UNION" and self.take("ALL"):
                operator = "UNION ALL"
            left = tree.SetOperation(operator, left, self._intersections())
        return left

    def _intersections(self) -> Any:
        left = self._block()
        while self.take("INTERSECT"):
            left = tree.SetOperation("INTERSECT", left, self._block())
        return left

    def _block(self) -> Any:
        if self.take("("):
            inner = self.query()
            self.expect(")")
            return inner
        return self._select()

    def _tail(self, query: Any) -> None:
        if self.see("ORDER"):
            query.order = self.order()
            if self.take("OFFSET"):
                query.offset = self.value()
                self.take_one("ROW", "ROWS")
                if self.take("FETCH"):
                    self.take_one("FIRST", "NEXT")
                    query.fetch = self.value()
                    self.take_one("ROW", "ROWS")
                    self.expect("ONLY")
        if self.see("FOR"):
            if self.ahead().upper != "BROWSE":
                raise self.refused("FOR XML and FOR JSON")
            self.at += 2
        self.options()

    def options(self) -> None:
        """``OPTION (RECOMPILE, MAXDOP 1)``: hints to a planner that is not there."""
        if self.take("OPTION"):
            self.skip_parentheses()

    def _select(self) -> tree.Select:
        self.expect("SELECT")
        distinct = self.take("DISTINCT")
        self.take("ALL")
        found = tree.Select([], distinct, self.top())
        found.items.append(self._item())
        while self.take(","):
            found.items.append(self._item())
        if self.take("INTO"):
            found.into = self.names()
        if self.take("FROM"):
            found.source = self.sources()
        if self.take("WHERE"):
            found.where = self.condition()
        if self.take("GROUP"):
            self.expect("BY")
            if self.now.upper in {"ROLLUP", "CUBE", "GROUPING"}:
                raise self.refused("ROLLUP, CUBE and GROUPING SETS")
            found.group = self.expressions()
        if self.take("HAVING"):
            found.having = self.condition()
        return found

    def top(self) -> tree.Top | None:
        """``TOP (n) [PERCENT] [WITH TIES]``."""
        if not self.take("TOP"):
            return None
        if self.take("("):
            count = self.expression()
            self.expect(")")
        else:
            count = self._primary()
        percent = self.take("PERCENT")
        return tree.Top(count, percent, self.take("WITH", "TIES"))

    def _item(self) -> tree.Item:
        if self.now.kind == VARIABLE and self.ahead().upper == "=":
            name = self.next().value
            self.next()
            return tree.Item(self.expression(), variable=name)
        if self.is_name() and self.ahead().upper == "=":
            alias = self.name()
            self.next()
            return tree.Item(self.expression(), alias)
        expression = self.expression()
        return tree.Item(expression, self.alias())

    def alias(self) -> str:
        """An alias with or without AS; a string is one too."""
        if self.take("AS"):
            return self.next().value if self.now.kind == STRING else self.name()
        if self.now.kind == STRING:
            return self.next().value
        if self.is_name() and self.now.upper not in _NO_ALIAS and not self._starts_statement():
            return self.name()
        return ""

    def _starts_statement(self) -> bool:
        """``SELECT a THROW …``, ``FROM t GO``: words that are no names where a statement may begin."""
        return self.now.kind == WORD and self.now.upper in {"DISABLE", "ENABLE"} and self.ahead().upper == "TRIGGER"

    def sources(self) -> Any:
        """FROM's list: joins, commas as cross joins."""
        left = self._joined()
        while self.take(","):
            left = tree.Join("cross", left, self._joined())
        return left

    def _joined(self) -> Any:
        left = self._source()
        while True:
            kind = self._join_kind()
            if not kind:
                return left
            if kind == "cross" or kind.endswith("apply"):
                left = tree.Join(kind, left, self._source())
                continue
            right = self._source()
            while not self.see("ON"):  # a JOIN b JOIN c ON … ON …
                inner = self._join_kind()
                if not inner:
                    raise self.wrong()
                below = self._source()
                self.expect("ON")
                right = tree.Join(inner, right, below, self.condition())
            self.expect("ON")
            left = tree.Join(kind, left, right, self.condition())

    def _join_kind(self) -> str:
        if self.take("CROSS", "JOIN"):
            return "cross"
        for word in ("CROSS", "OUTER"):
            if self.take(word, "APPLY"):
                return f"{word.lower()} apply"
        start = self.at
        kind = self.take_one("INNER", "LEFT", "RIGHT", "FULL").lower() or "inner"
        self.take("OUTER")
        self.take_one("HASH", "LOOP", "MERGE", "REMOTE")
        if self.take("JOIN"):
            return kind
        self.at = start
        return ""

    def _source(self) -> Any:
        if self.take("("):
            if self.see("SELECT") or self.see("WITH"):
                return self._derived(self.query())
            if self.see("VALUES"):
                return self._derived(self.values())
            if self.see("("):
                return self._nested()
            inner = self.sources()
            self.expect(")")
            return inner
        if self.now.kind == VARIABLE:
            found = tree.Table((tree.VARIABLE + self.next().value,))
            found.alias = self.alias()
            return found
        return self.table()

    def _nested(self) -> Any:
        start = self.at
        try:
            return self._derived(self.query())
        except Exception:  # noqa: BLE001 - it may be a join in parentheses instead
            self.at = start
        inner = self.sources()
        self.expect(")")
        return inner

    def _derived(self, query: Any) -> tree.Derived:
        self.expect(")")
        alias = self.alias()
        if not alias:
            raise self.wrong()
        return tree.Derived(query, alias, self.name_list() if self.see("(") else ())

    def values(self) -> tree.Values:
        """``VALUES (…), (…)``."""
        self.expect("VALUES")
        rows = [self._row()]
        while self.take(","):
            rows.append(self._row())
        if any(len(row) != len(rows[0]) for row in rows):
            raise _error(10709, "The number of columns for each row in a table value constructor must be the same.")
        return tree.Values(rows)

    def _row(self) -> list[Any]:
        self.expect("(")
        row = self.expressions()
        self.expect(")")
        return row

    def table(self) -> Any:
        """A table with alias and hints, or a function that returns rows."""
        line = self.now.line
        parts = self.names()
        if self.see("(") and not self._sees_hints():
            return self._table_call(parts, line)
        found = tree.Table(parts, line=line)
        if self.see("(") and self._sees_hints():
            found.hints = self.hints(bare=True)
        found.alias = self.alias()
        if self.see("WITH") and self.ahead().upper == "(":
            self.next()
            found.hints = self.hints()
        elif self.see("(") and self._sees_hints():
            found.hints = self.hints()
        if self.see("FOR", "SYSTEM_TIME") or self.see("TABLESAMPLE"):
            raise self.refused("temporal queries and samples")
        if self.see("PIVOT") or self.see("UNPIVOT"):
            raise self.refused("PIVOT")
        return found

    def _sees_hints(self) -> bool:
        return self.ahead().upper in HINTS and self.ahead(2).upper in {")", ",", "(", "="}

    def hints(self, *, bare: bool = False) -> tuple[str, ...]:
        """``(TABLOCK, HOLDLOCK)``; an unknown one is refused as SQL Server does (321)."""
        self.expect("(")
        found = []
        while not self.take(")"):
            token = self.next()
            if token.kind == END:
                raise self.wrong()
            if token.upper not in HINTS:
                text = f'"{token.value}" is not a recognized table hints option.'
                raise _error(321, text, severity=15, line=token.line)
            found.append(token.upper)
            if self.see("("):
                self.skip_parentheses()
            elif self.take("="):
                self.next()
            self.take(",")
        return tuple(found)

    def _table_call(self, parts: tuple[str, ...], line: int) -> tree.TableCall:
        call = self._call(".".join(parts), line)
        found = tree.TableCall(call)
        if self.see("WITH") and self.ahead().upper == "(":
            self.next()
            found.columns = self._schema()
        found.alias = self.alias()
        if self.see("("):
            found.names = self.name_list()
        return found

    def _schema(self) -> list[tuple[str, Any, str]]:
        """OPENJSON's ``WITH (a int '$.a', b nvarchar(max) AS JSON)``."""
        self.expect("(")
        found = []
        while True:
            name, kind = self.name(), self.type()
            path = self.next().value if self.now.kind == STRING else f"$.{name}"
            if self.take("AS"):
                self.expect("JSON")
            found.append((name, kind, path))
            if not self.take(","):
                break
        self.expect(")")
        return found


def _error(number: int, text: str, *, severity: int = 15, line: int = 1) -> Exception:
    from tests.peers.mssql.interface import SqlError

    return SqlError(number, text, severity=severity, line=line)

"""SELECT, its sources and set operations, bound and said in PostgreSQL's words."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from tests.peers.mssql.interface import SqlError, SqlType
from tests.peers.mssql.translate import tree, types
from tests.peers.mssql.translate.calls import Calls
from tests.peers.mssql.translate.scope import Found, Relation, Scope, TableInfo
from tests.peers.mssql.translate.typed import BIGINT, UNTYPED, Typed, convert, keyed, shown


@dataclass(slots=True)
class Bound:
    """A query that is ready; ``assigned`` names the variables of ``SELECT @a = …``."""

    sql: str
    columns: list[Found]
    assigned: list[str] = field(default_factory=list)


class Relations(Calls):
    """Binds queries."""

    def query(self, node: Any, scope: Scope | None) -> Bound:
        """A query with its CTEs, order and limit; any of SELECT, a set operation, VALUES."""
        if isinstance(node, tree.Values):
            return self._values(node, scope)
        inner = Scope(parent=scope)
        prefix = self.with_clause(node.with_, inner)
        bound = self._select(node, inner) if isinstance(node, tree.Select) else self._operation(node, inner)
        return replace(bound, sql=prefix + bound.sql)

    def with_clause(self, ctes: list[tuple[str, tuple[str, ...], Any]], scope: Scope) -> str:
        """``WITH …`` in PostgreSQL's words; its names become known in the scope."""
        parts = []
        for name, names, query in ctes:
            alias = self.alias()
            if isinstance(query, tree.SetOperation) and query.operator == "UNION ALL":
                try:
                    self._register(scope, name, alias, names, self.query(query.left, scope))
                except SqlError as error:
                    if error.number != 208:
                        raise
            bound = self.query(query, scope)
            columns = self._register(scope, name, alias, names, bound)
            parts.append(f"{alias}({', '.join(f'c{n + 1}' for n in range(columns))}) AS ({bound.sql})")
        return f"WITH RECURSIVE {', '.join(parts)} " if parts else ""

    def _register(self, scope: Scope, name: str, alias: str, names: tuple[str, ...], bound: Bound) -> int:
        labels = self._labels(name, names, bound)
        scope.ctes[name.casefold()] = (
            alias,
            [(label, item.typed) for label, item in zip(labels, bound.columns, strict=True)],
        )
        return len(labels)

    @staticmethod
    def _labels(name: str, names: tuple[str, ...], bound: Bound) -> list[str]:
        if names and len(names) != len(bound.columns):
            more = "fewer" if len(names) > len(bound.columns) else "more"
            number, text = (8158, "more") if more == "more" else (8159, "fewer")
            raise SqlError(number, f"'{name}' has {text} columns than were specified in the column list.")
        labels = list(names) or [item.name for item in bound.columns]
        for place, label in enumerate(labels):
            if not label:
                raise SqlError(8155, f"No column name was specified for column {place + 1} of '{name}'.")
        folded = [label.casefold() for label in labels]
        for label in labels:
            if folded.count(label.casefold()) > 1:
                raise SqlError(8156, f"The column '{label}' was specified multiple times for '{name}'.")
        return labels

    def _values(self, node: tree.Values, scope: Scope | None) -> Bound:
        inner = Scope(parent=scope)
        rows = [[self.typed(item, inner) for item in row] for row in node.rows]
        columns = [self.unified(list(column)) for column in zip(*rows, strict=True)]
        typed = [Typed("", kind or SqlType(name="int"), True) for kind, _ in columns]
        cells = [
            [shown(replace(item, sql=sql)) for sql in sides] for item, (_, sides) in zip(typed, columns, strict=True)
        ]
        lines = ", ".join("(" + ", ".join(row) + ")" for row in zip(*cells, strict=True))
        return Bound(f"VALUES {lines}", [Found("", item) for item in typed])

    def _select(self, node: tree.Select, scope: Scope) -> Bound:
        source = self.source(node.source, scope) if node.source is not None else ""
        where = self.condition(node.where, scope) if node.where is not None else ""
        groups = [self.typed(item, scope) for item in node.group]
        scope.groups = [
            (item, replace(found, sql=self._group(found))) for item, found in zip(node.group, groups, strict=True)
        ]
        scope.grouped = bool(groups) or node.having is not None
        items, columns, assigned = self._items(node, scope)
        having = self.condition(node.having, scope) if node.having is not None else ""
        sql = f"SELECT {'DISTINCT ' if node.distinct else ''}{', '.join(items) or '1'}"
        sql += f" FROM {source}" if source else ""
        sql += f" WHERE {where}" if where else ""
        sql += f" GROUP BY {', '.join(found.sql for _, found in scope.groups)}" if groups else ""
        sql += f" HAVING {having}" if having else ""
        sql += self._order(node, columns, [item.expression for item in self._expanded(node, scope)], scope)
        sql += self._limit(node, scope)
        return Bound(sql + self._row_locks(node, scope), columns, assigned)

    @staticmethod
    def _group(found: Typed) -> str:
        return found.sql if found.column is not None else keyed(found)

    def _row_locks(self, node: tree.Select, scope: Scope) -> str:
        wanted = [item for item in scope.relations if item.table and {"UPDLOCK", "XLOCK"} & set(item.hints)]
        if not wanted:
            return ""
        if node.distinct or scope.grouped or scope.parent is not None:
            self.locks.extend((item.table.pg, "SHARE ROW EXCLUSIVE") for item in wanted if item.table)
            return ""
        return f" FOR UPDATE OF {', '.join(item.pg for item in wanted)}"

    def _expanded(self, node: tree.Select, scope: Scope) -> list[tree.Item]:
        found = []
        for item in node.items:
            if isinstance(item.expression, tree.Star):
                found.extend(tree.Item(column, column.name) for column in scope.star(item.expression.parts))
            else:
                found.append(item)
        return found

    def _items(self, node: tree.Select, scope: Scope) -> tuple[list[str], list[Found], list[str]]:
        sqls, columns, assigned = [], [], []
        for item in self._expanded(node, scope):
            typed = item.expression.typed if isinstance(item.expression, Found) else self.typed(item.expression, scope)
            if typed.type is None:
                typed = UNTYPED
            sqls.append(shown(typed))
            columns.append(Found(item.alias or _own_name(item.expression), typed))
            if item.variable:
                assigned.append(item.variable)
        if assigned and len(assigned) != len(sqls):
            text = (
                "A SELECT statement that assigns a value to a variable must not be combined with "
                "data-retrieval operations."
            )
            raise SqlError(141, text, severity=15)
        return sqls, columns, assigned

    def _order(self, node: Any, columns: list[Found], expressions: list[Any], scope: Scope) -> str:
        if not node.order:
            return ""
        return " ORDER BY " + ", ".join(self._order_item(item, columns, expressions, scope) for item in node.order)

    def _order_item(self, item: tree.Order, columns: list[Found], expressions: list[Any], scope: Scope) -> str:
        place = self._ordinal(item.expression, columns, expressions)
        if place is not None and columns[place].typed.name != "datetimeoffset":
            sql = str(place + 1)
        elif not isinstance(node_value := item.expression, tree.Literal):
            sql = keyed(self.typed(node_value, scope))
        else:
            raise SqlError(
                108, "The ORDER BY position number is out of range of the number of items in the select list."
            )
        return sql + (" DESC NULLS LAST" if item.descending else " ASC NULLS FIRST")

    @staticmethod
    def _ordinal(node: Any, columns: list[Found], expressions: list[Any]) -> int | None:
        if isinstance(node, tree.Literal) and isinstance(node.value, int) and 1 <= node.value <= len(columns):
            return node.value - 1
        if isinstance(node, tree.Name) and len(node.parts) == 1:
            for place, column in enumerate(columns):
                if column.name.casefold() == node.parts[0].casefold():
                    return place
        return next((place for place, item in enumerate(expressions) if item == node), None)

    def _limit(self, node: Any, scope: Scope) -> str:
        top = getattr(node, "top", None)
        if top is not None:
            if top.percent:
                if self.constant(top.count, scope) != 100:
                    raise SqlError(40510, "The local SQL Server does not know TOP … PERCENT.")
                return ""
            rows = convert(self.typed(top.count, scope), BIGINT)
            return f" FETCH FIRST ({rows}) ROWS WITH TIES" if top.ties else f" LIMIT {rows}"
        if node.offset is None:
            return ""
        text = f" OFFSET {convert(self.typed(node.offset, scope), BIGINT)}"
        return text + (f" LIMIT {convert(self.typed(node.fetch, scope), BIGINT)}" if node.fetch is not None else "")

    def _operation(self, node: tree.SetOperation, scope: Scope) -> Bound:
        left, right = self.query(node.left, scope), self.query(node.right, scope)
        if len(left.columns) != len(right.columns):
            text = ("All queries combined using a UNION, INTERSECT or EXCEPT operator must have an equal number of "
                    "expressions in their target lists.")  # fmt: skip
            raise SqlError(205, text)
        columns = []
        for first, second in zip(left.columns, right.columns, strict=True):
            kind = types.combined(*(None if side.typed == UNTYPED else side.typed.type for side in (first, second)))
            columns.append(
                Found(first.name, Typed("", kind or SqlType(name="int"), first.typed.nullable or second.typed.nullable))
            )
        sql = f"{self._converted(left, columns)} {node.operator} {self._converted(right, columns)}"
        inner = Scope(parent=scope, relations=[Relation("", columns)])
        order = self._order(node, columns, [], inner)
        return Bound(sql + order + self._limit(node, scope), columns)

    def _converted(self, bound: Bound, columns: list[Found]) -> str:
        same = all(item.typed.type == column.typed.type for item, column in zip(bound.columns, columns, strict=True))
        if same:
            return f"({bound.sql})"
        alias = self.alias()
        cells = []
        for place, (item, column) in enumerate(zip(bound.columns, columns, strict=True)):
            assert column.typed.type is not None
            given = Typed("NULL", None) if item.typed == UNTYPED else replace(item.typed, sql=f"{alias}.c{place + 1}")
            value = convert(given, column.typed.type)
            cells.append(shown(Typed(value, column.typed.type)))
        names = ", ".join(f"c{place + 1}" for place in range(len(columns)))
        return f"(SELECT {', '.join(cells)} FROM ({bound.sql}) AS {alias}({names}))"

    def source(self, node: Any, scope: Scope) -> str:
        """One source or a tree of joins; its relations become known in the scope."""
        if isinstance(node, tree.Join):
            return self._join(node, scope)
        if isinstance(node, tree.Derived):
            return self._derived(node, scope, lateral=False)
        if isinstance(node, tree.TableCall):
            return self.table_call(node, scope)
        return self._table(node, scope)

    def _join(self, node: tree.Join, scope: Scope) -> str:
        left = self.source(node.left, scope)
        if node.kind.endswith("apply"):
            right = node.right
            if isinstance(right, tree.Derived):
                sql = self._derived(right, scope, lateral=True)
            else:
                sql = self.source(right, scope)
            word = "CROSS JOIN" if node.kind == "cross apply" else "LEFT JOIN"
            return f"{left} {word} {sql}" + (" ON true" if word == "LEFT JOIN" else "")
        right_sql = self.source(node.right, scope)
        if isinstance(node.right, tree.Join):
            right_sql = f"({right_sql})"
        if node.kind == "cross":
            return f"{left} CROSS JOIN {right_sql}"
        return f"{left} {node.kind.upper()} JOIN {right_sql} ON {self.condition(node.on, scope)}"

    def _derived(self, node: tree.Derived, scope: Scope, *, lateral: bool) -> str:
        bound = self.query(node.query, scope if lateral else scope.parent_only())
        alias = self.alias()
        if isinstance(node.query, tree.Values) and not node.names:
            raise SqlError(8155, f"No column name was specified for column 1 of '{node.alias}'.")
        labels = self._labels(node.alias, node.names, bound)
        self._relate(
            scope, node.alias, alias, [(label, item.typed) for label, item in zip(labels, bound.columns, strict=True)]
        )
        names = ", ".join(f"c{place + 1}" for place in range(len(labels)))
        return f"{'LATERAL ' if lateral else ''}({bound.sql}) AS {alias}({names})"

    def _relate(self, scope: Scope, name: str, alias: str, columns: list[tuple[str, Typed]]) -> None:
        found = [
            Found(
                label,
                Typed(
                    f"{alias}.c{place + 1}", typed.type, typed.nullable, typed.column or True, max(typed.strength, 1)
                ),
            )
            for place, (label, typed) in enumerate(columns)
        ]
        scope.relations.append(Relation(name, found, alias))

    def _table(self, node: tree.Table, scope: Scope) -> str:
        name = node.parts[-1]
        cte = scope.cte(name) if len(node.parts) == 1 else None
        if cte:
            alias = self.alias()
            self._relate(scope, node.alias or name, alias, cte[1])
            return f"{cte[0]} AS {alias}({', '.join(f'c{place + 1}' for place in range(len(cte[1])))})"
        return self._system(node, scope) or self.real_table(node, scope)[0]

    def _system(self, node: tree.Table, scope: Scope) -> str:
        schema = node.parts[-2].casefold() if len(node.parts) > 1 else ""
        if schema not in {"sys", "information_schema"}:
            return ""
        temporary = len(node.parts) > 2 and node.parts[-3].casefold() == "tempdb"
        found = self.context.system_view(schema, node.parts[-1], temporary=temporary)
        if found is None:
            return ""
        alias = self.alias()
        columns = [(label, Typed("", kind)) for label, kind in found[1]]
        self._relate(scope, node.alias or node.parts[-1], alias, columns)
        names = ", ".join(f"c{place + 1}" for place in range(len(columns)))
        return f"({found[0]}) AS {alias}({names})"

    def real_table(self, node: tree.Table, scope: Scope, need: str = "SELECT") -> tuple[str, Relation]:
        """A table or view of the database, or a temporary table.

        :raises SqlError: 208.
        """
        table = self.table_info(node)
        self.needs.append((table, need))
        if table.kind == "V":
            return self._view(node, table, scope)
        alias = self.alias()
        relation = relation_of(table, node.alias or node.parts[-1], alias)
        relation.hints = node.hints
        if need == "SELECT":
            self._table_locks(table, node.hints)
        scope.relations.append(relation)
        return f"{table.pg} AS {alias}", relation

    def table_info(self, node: tree.Table) -> TableInfo:
        table = self.context.table(node.parts)
        if table is None:
            if node.parts[0].startswith(tree.VARIABLE):
                raise SqlError(
                    1087, f'Must declare the table variable "{node.parts[0][1:]}".', severity=15, line=node.line
                )
            raise SqlError(208, f"Invalid object name '{'.'.join(node.parts)}'.", line=node.line)
        return table

    def _table_locks(self, table: TableInfo, hints: tuple[str, ...]) -> None:
        held = set(hints)
        if "TABLOCKX" in held:
            self.locks.append((table.pg, "EXCLUSIVE"))
        elif held & {"HOLDLOCK", "SERIALIZABLE"} and held & {"UPDLOCK", "XLOCK"}:
            self.locks.append((table.pg, "SHARE ROW EXCLUSIVE"))
        elif held & {"HOLDLOCK", "SERIALIZABLE"}:
            self.locks.append((table.pg, "SHARE"))

    def _view(self, node: tree.Table, table: TableInfo, scope: Scope) -> tuple[str, Relation]:
        from tests.peers.mssql.translate.statements import Statements

        outer, needed = Scope(), list(self.needs)
        bound = self.query(Statements(table.definition).query(), outer)
        self.needs = needed  # a view is read with its owner's rights
        alias = self.alias()
        pairs = [(column.name, item.typed) for column, item in zip(table.columns, bound.columns, strict=True)]
        self._relate(scope, node.alias or node.parts[-1], alias, pairs)
        names = ", ".join(f"c{place + 1}" for place in range(len(pairs)))
        scope.relations[-1].schema = table.schema
        return f"({bound.sql}) AS {alias}({names})", scope.relations[-1]


def relation_of(table: TableInfo, name: str, alias: str) -> Relation:
    """A table under an alias."""
    columns = [
        Found(item.name, Typed(f"{alias}.{item.pg}", item.type, item.nullable, item, 1)) for item in table.columns
    ]
    return Relation(name, columns, alias, table.schema, table)


def _own_name(node: Any) -> str:
    if isinstance(node, tree.Name):
        return node.parts[-1]
    return node.name if isinstance(node, Found) else ""

"""INSERT, UPDATE, DELETE, MERGE bound and said in PostgreSQL's words."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from tests.peers.mssql.interface import SqlError
from tests.peers.mssql.translate import tree, types
from tests.peers.mssql.translate.relations import Bound, Relations, relation_of
from tests.peers.mssql.translate.scope import ColumnInfo, Found, Relation, Scope, TableInfo
from tests.peers.mssql.translate.typed import BIGINT, NULL, UNTYPED, Place, Typed, convert

_VERSION = "int8send(nextval('ms.row_versions'))"
STRONG = "SHARE ROW EXCLUSIVE"


@dataclass(slots=True)
class Change:
    """A statement that writes; ``columns`` is set when it answers with rows (OUTPUT)."""

    sql: str
    table: TableInfo
    columns: list[Found] | None = None
    identity: ColumnInfo | None = None
    assigned: list[str] = field(default_factory=list)


class Changes(Relations):
    """Binds statements that write."""

    identity_insert = ""

    def place(self, table: TableInfo, column: ColumnInfo) -> Place:
        database = "tempdb" if table.name.startswith("#") else self.context.database
        return Place(f"{database}.{table.label}", column.name)

    def assigned(self, table: TableInfo, column: ColumnInfo, value: Typed) -> str:
        """A value on its way into a column."""
        sql = convert(value, column.type, place=self.place(table, column))
        return f"({sql})::{types.plain(column.type)}"

    def _column(self, table: TableInfo, name: str) -> ColumnInfo:
        found = table.column(name)
        if found is None:
            raise SqlError(207, f"Invalid column name '{name}'.")
        return found

    def _base(self, table: TableInfo, need: str) -> None:
        if table.kind != "U":
            raise SqlError(40510, f"The local SQL Server cannot write to the view '{table.name}'.")
        self.needs.append((table, need))

    def insert(self, node: tree.Insert) -> Change:
        """INSERT with VALUES, a query or defaults."""
        table = self.table_info(node.target)
        self._base(table, "INSERT")
        if "TABLOCKX" in node.target.hints:
            self.locks.append((table.pg, "EXCLUSIVE"))
        scope = Scope()
        prefix = self.with_clause(node.with_, scope)
        columns = self._insert_columns(table, node.columns)
        if node.source == "default":
            columns, source = [], "DEFAULT VALUES"
        elif isinstance(node.source, tree.Values):
            source = self._insert_values(table, columns, node.source, scope)
        else:
            source = self._insert_query(table, columns, self.query(node.source, scope))
        target = relation_of(table, node.target.parts[-1], self.alias())
        names = f" ({', '.join(column.pg for column in columns)})" if columns else ""
        sql = f"INSERT INTO {table.pg} AS {target.pg}{names} {source}"
        identity = next((column for column in table.columns if column.identity), None)
        given = identity if identity in columns else None
        return self._with_output(prefix, sql, table, target, node.output, {"inserted"}, identity=given)

    def _insert_columns(self, table: TableInfo, names: tuple[str, ...]) -> list[ColumnInfo]:
        explicit = self.identity_insert == str(table.object_id)
        if not names:
            if explicit and any(column.identity for column in table.columns):
                text = (f"An explicit value for the identity column in table '{table.name}' can only be "
                    f"specified when a "
                        "column list is used and IDENTITY_INSERT is ON.")  # fmt: skip
                raise SqlError(8101, text)
            return [column for column in table.columns if column.writable and not column.identity]
        columns = [self._column(table, name) for name in names]
        for column in columns:
            if [item.pg for item in columns].count(column.pg) > 1:
                raise SqlError(264, f"The column name '{column.name}' is specified more than once in the SET clause or "
                                    "column list of an INSERT.")  # fmt: skip
            self._writable(table, column)
            if column.identity and not explicit:
                text = (f"Cannot insert explicit value for identity column in table '{table.name}' when "
                    f"IDENTITY_INSERT "
                        "is set to OFF.")  # fmt: skip
                raise SqlError(544, text, state=1)
        if explicit and any(item.identity and item not in columns for item in table.columns):
            text = (f"Explicit value must be specified for identity column in table '{table.name}' either when "
                    "IDENTITY_INSERT is set to ON or when a replication user is inserting into a NOT FOR REPLICATION "
                    "identity column.")  # fmt: skip
            raise SqlError(545, text)
        return columns

    @staticmethod
    def _writable(table: TableInfo, column: ColumnInfo) -> None:
        if column.computed:
            raise SqlError(271, f'The column "{column.name}" cannot be modified because it is either a computed '
                f'column or '
                                "is the result of a UNION operator.")  # fmt: skip
        if column.type.name == "rowversion":
            raise SqlError(273, "Cannot insert an explicit value into a timestamp column. Use INSERT with a "
                "column list to "
                                "exclude the timestamp column, or insert a DEFAULT into the timestamp "
                                    "column.")  # fmt: skip

    def _insert_values(self, table: TableInfo, columns: list[ColumnInfo], node: tree.Values, scope: Scope) -> str:
        rows = []
        for row in node.rows:
            self._counted(len(columns), len(row), table)
            cells = []
            for column, item in zip(columns, row, strict=True):
                if isinstance(item, tree.Default):
                    cells.append("DEFAULT")
                else:
                    cells.append(self.assigned(table, column, self.typed(item, scope)))
            rows.append(f"({', '.join(cells)})")
        return f"VALUES {', '.join(rows)}"

    @staticmethod
    def _counted(columns: int, values: int, table: TableInfo) -> None:
        if columns != values:
            fewer = "There are fewer columns in the INSERT statement than values specified in the VALUES clause."
            more = "There are more columns in the INSERT statement than values specified in the VALUES clause."
            if values > columns:
                raise SqlError(110, f"{fewer} The number of values in the VALUES clause must match the number of "
                    f"columns "
                                    "specified in the INSERT statement.", severity=15)  # fmt: skip
            raise SqlError(213 if not columns else 109, f"{more} The number of values in the VALUES clause must "
                f"match the "
                                                       "number of columns specified in the INSERT "
                                                           "statement.")  # fmt: skip

    def _insert_query(self, table: TableInfo, columns: list[ColumnInfo], bound: Bound) -> str:
        if len(bound.columns) != len(columns):
            number, word = (120, "fewer") if len(bound.columns) < len(columns) else (121, "more")
            raise SqlError(number, f"The select list for the INSERT statement contains {word} items than the "
                f"insert list. "
                                   "The number of SELECT values must match the number of INSERT columns.")  # fmt: skip
        alias = self.alias()
        cells = [
            self.assigned(
                table, column, NULL if item.typed == UNTYPED else replace(item.typed, sql=f"{alias}.c{place + 1}")
            )
            for place, (column, item) in enumerate(zip(columns, bound.columns, strict=True))
        ]
        names = ", ".join(f"c{place + 1}" for place in range(len(cells)))
        return f"SELECT {', '.join(cells)} FROM ({bound.sql}) AS {alias}({names})"

    def _with_output(
        self, prefix: str, sql: str, table: TableInfo, target: Relation, output: tree.Output | None,
        images: set[str], *, old: Relation | None = None, identity: ColumnInfo | None = None,
    ) -> Change:  # fmt: skip
        if output is None:
            return Change(prefix + sql, table, None, identity)
        scope = Scope(relations=[])
        for image in images:
            relation = old if image == "deleted" and old is not None else target
            scope.relations.append(replace(relation, alias=image, schema=""))
        if old is not None and "deleted" not in images:
            scope.relations.append(replace(old, alias="deleted", schema=""))
        node = tree.Select(output.items)
        items, columns, _ = self._items(node, scope)
        returning = f"{sql} RETURNING {', '.join(items)}"
        if not output.into:
            return Change(prefix + returning, table, columns, identity)
        receiver = self.table_info(tree.Table(output.into))
        self._base(receiver, "INSERT")
        into = self._insert_columns(receiver, output.into_columns)
        alias = self.alias()
        cells = [
            self.assigned(receiver, column, replace(item.typed, sql=f"{alias}.c{place + 1}"))
            for place, (column, item) in enumerate(zip(into, columns, strict=True))
        ]
        names = ", ".join(f"c{place + 1}" for place in range(len(cells)))
        joined = f"{prefix[:-1]}, " if prefix else "WITH "
        whole = (f"{joined}{alias}({names}) AS ({returning}) INSERT INTO {receiver.pg} "
                 f"({', '.join(column.pg for column in into)}) SELECT {', '.join(cells)} FROM {alias}")  # fmt: skip
        return Change(whole, table, None, identity)

    def update(self, node: tree.Update) -> Change:
        """UPDATE, also with FROM."""
        scope = Scope()
        prefix = self.with_clause(node.with_, scope)
        where, target, extra = self._targeted(node, scope, "UPDATE")
        table = target.table
        assert table is not None
        sets, values = self._set_list(table, node.sets, scope)
        needs_old = node.output is not None and _mentions(node.output, "deleted")
        if where is None or node.top is not None or needs_old:
            return self._indirect_update(node, prefix, scope, target, sets, values, extra)
        pairs = [f"{column.pg} = {value}" for column, value in zip(sets, values, strict=True)]
        sql = f"UPDATE {table.pg} AS {target.pg} SET {', '.join(pairs)}{extra[0] and ' FROM ' + extra[0]}"
        sql += f" WHERE {where}" if where else ""
        return self._with_output(prefix, sql, table, target, node.output, {"inserted"})

    def _set_list(
        self, table: TableInfo, items: list[tuple[Any, Any]], scope: Scope
    ) -> tuple[list[ColumnInfo], list[str]]:
        columns, values = [], []
        for name, expression in items:
            if isinstance(name, tree.Variable):
                raise SqlError(40510, "The local SQL Server does not know UPDATE … SET @variable.")
            column = self._column(table, name.parts[-1])
            if column.identity:
                raise SqlError(8102, f"Cannot update identity column '{column.name}'.")
            if column.type.name == "rowversion":
                raise SqlError(272, "Cannot update a timestamp column.")
            self._writable(table, column)
            if column in columns:
                raise SqlError(264, f"The column name '{column.name}' is specified more than once in the SET clause or "
                                    "column list of an INSERT.")  # fmt: skip
            columns.append(column)
            default = isinstance(expression, tree.Default)
            values.append("DEFAULT" if default else self.assigned(table, column, self.typed(expression, scope)))
        for column in table.columns:
            if column.type.name == "rowversion":
                columns.append(column)
                values.append(_VERSION)
        return columns, values

    def _targeted(self, node: Any, scope: Scope, need: str) -> tuple[str | None, Relation, tuple[str, str]]:
        """Find the target among FROM's tables.

        :returns: the whole condition, the target, (the other tables, …) - or no condition and (all of FROM, condition)
            where PostgreSQL cannot say it directly.
        """
        leaves: list[Any] = []
        conditions: list[Any] = []
        flat = node.source is None or _flatten(node.source, leaves, conditions)
        chosen = self._chosen(node, leaves if flat else _tables(node.source), scope)
        if node.source is not None and chosen is not None and not flat:
            return self._whole(node, chosen, scope, need)
        if chosen is None:
            table_node = node.target
            source_rest = leaves
        else:
            table_node = replace(chosen, hints=(*chosen.hints, *node.target.hints))
            source_rest = [leaf for leaf in leaves if leaf is not chosen]
        table = self.table_info(table_node)
        self._base(table, need)
        relation = relation_of(table, table_node.alias or table_node.parts[-1], self.alias())
        scope.relations.append(relation)
        self._table_locks(table, table_node.hints)
        others = ", ".join(self.source(leaf, scope) for leaf in source_rest)
        tests = [self.condition(item, scope) for item in conditions]
        if node.where is not None:
            tests.append(self.condition(node.where, scope))
        return " AND ".join(tests), relation, (others, "")

    def _whole(
        self, node: Any, chosen: tree.Table, scope: Scope, need: str
    ) -> tuple[str | None, Relation, tuple[str, str]]:
        before = len(scope.relations)
        sql = self.source(node.source, scope)
        name = (chosen.alias or chosen.parts[-1]).casefold()
        relation = next(item for item in scope.relations[before:] if item.alias.casefold() == name and item.table)
        assert relation.table is not None
        self._base(relation.table, need)
        return None, relation, (sql, self.condition(node.where, scope) if node.where is not None else "true")

    def _chosen(self, node: Any, leaves: list[Any], scope: Scope) -> tree.Table | None:
        """The leaf that the statement's target names: by alias, else by being the same table."""
        tables = [leaf for leaf in leaves if isinstance(leaf, tree.Table)]
        parts = node.target.parts
        if len(parts) == 1:
            for leaf in tables:
                if leaf.alias.casefold() == parts[0].casefold():
                    return leaf
        if len(parts) == 1 and scope.cte(parts[0]):
            raise SqlError(40510, "The local SQL Server cannot write through a common table expression.")
        wanted = self.context.table(parts)
        same = [leaf for leaf in tables if wanted and self.context.table(leaf.parts) == wanted]
        if len(same) > 1:
            raise SqlError(8154, f"The table '{parts[-1]}' is ambiguous.")
        return same[0] if same else None

    def _found(self, node: Any, where: str | None, target: Relation, extra: tuple[str, str], scope: Scope) -> str:
        """The rows that are meant, by their place: FROM and WHERE of a query over the target."""
        assert target.table is not None
        self.locks.append((target.table.pg, STRONG))
        if where is None:
            return f"FROM {extra[0]} WHERE {extra[1]}"
        others = f", {extra[0]}" if extra[0] else ""
        return f"FROM {target.table.pg} AS {target.pg}{others}" + (f" WHERE {where}" if where else "")

    def _top(self, node: Any, scope: Scope) -> str:
        if node.top is None:
            return ""
        if node.top.percent:
            raise SqlError(40510, "The local SQL Server does not know TOP … PERCENT.")
        return f" LIMIT {convert(self.typed(node.top.count, scope), BIGINT)}"

    def _indirect_update(
        self, node: tree.Update, prefix: str, scope: Scope, target: Relation, sets: list[ColumnInfo],
        values: list[str], extra: tuple[str, str],
    ) -> Change:  # fmt: skip
        where = None if extra[1] else self._where_again(node, scope)
        table = target.table
        assert table is not None
        found = self._found(node, where, target, extra, scope)
        names = [f"v{place}" for place in range(len(sets))]
        picked = [
            f"{value} AS {name}"
            for name, value in zip(names, values, strict=True)
            if value not in {"DEFAULT", _VERSION}
        ]
        olds = [f"{target.pg}.{column.pg} AS old_{column.pg}" for column in table.columns]
        inner = (
            f"SELECT DISTINCT ON ({target.pg}.ctid) {', '.join([f'{target.pg}.ctid AS at', *picked, *olds])} {found}"
        )
        inner += self._top(node, scope)
        new, query = self.alias(), self.alias()
        pairs = [
            f"{column.pg} = {value if value in {'DEFAULT', _VERSION} else f'{query}.{name}'}"
            for column, name, value in zip(sets, names, values, strict=True)
        ]
        sql = (
            f"UPDATE {table.pg} AS {new} SET {', '.join(pairs)} FROM ({inner}) AS {query} WHERE {new}.ctid = {query}.at"
        )
        now = relation_of(table, "inserted", new)
        old = relation_of(table, "deleted", query)
        for column in old.columns:
            column.typed = replace(column.typed, sql=column.typed.sql.replace(f"{query}.", f"{query}.old_"))
        return self._with_output(prefix, sql, table, now, node.output, {"inserted"}, old=old)

    def _where_again(self, node: Any, scope: Scope) -> str:
        leaves: list[Any] = []
        conditions: list[Any] = []
        if node.source is not None:
            _flatten(node.source, leaves, conditions)
        tests = [self.condition(item, scope) for item in conditions]
        if node.where is not None:
            tests.append(self.condition(node.where, scope))
        return " AND ".join(tests)

    def delete(self, node: tree.Delete) -> Change:
        """DELETE, also with a second FROM."""
        scope = Scope()
        prefix = self.with_clause(node.with_, scope)
        where, target, extra = self._targeted(node, scope, "DELETE")
        table = target.table
        assert table is not None
        if where is None or node.top is not None:
            found = self._found(node, where, target, extra, scope)
            old = self.alias()
            inner = f"SELECT {target.pg}.ctid {found}{self._top(node, scope)}"
            sql = f"DELETE FROM {table.pg} AS {old} WHERE {old}.ctid = ANY (ARRAY({inner}))"
            return self._with_output(prefix, sql, table, relation_of(table, "deleted", old), node.output, {"deleted"})
        sql = f"DELETE FROM {table.pg} AS {target.pg}{extra[0] and ' USING ' + extra[0]}"
        sql += f" WHERE {where}" if where else ""
        return self._with_output(prefix, sql, table, target, node.output, {"deleted"})


def _flatten(node: Any, leaves: list[Any], conditions: list[Any]) -> bool:
    """Inner and cross joins as a list of tables and conditions; False when there is any other join."""
    if not isinstance(node, tree.Join):
        leaves.append(node)
        return True
    if node.kind not in {"inner", "cross"}:
        return False
    if not (_flatten(node.left, leaves, conditions) and _flatten(node.right, leaves, conditions)):
        return False
    if node.on is not None:
        conditions.append(node.on)
    return True


def _tables(node: Any) -> list[Any]:
    return [*_tables(node.left), *_tables(node.right)] if isinstance(node, tree.Join) else [node]


def _mentions(output: tree.Output, image: str) -> bool:
    parts = [item.expression.parts for item in output.items if isinstance(item.expression, (tree.Name, tree.Star))]
    plain = len(parts) == len(output.items)
    return not plain or any(part and part[0].casefold() == image for part in parts)

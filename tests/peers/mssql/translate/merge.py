"""MERGE bound and said in PostgreSQL's words."""

from __future__ import annotations

from tests.peers.mssql.interface import SqlError
from tests.peers.mssql.translate import tree
from tests.peers.mssql.translate.changes import STRONG, Change, Changes
from tests.peers.mssql.translate.relations import relation_of
from tests.peers.mssql.translate.scope import Scope, TableInfo


class Merges(Changes):
    """Binds every statement that writes."""

    def merge(self, node: tree.Merge) -> Change:
        """MERGE as PostgreSQL's own; what that has not is refused."""
        scope = Scope()
        prefix = self.with_clause(node.with_, scope)
        if node.output is not None or any(when.kind == "source" for when in node.whens):
            raise SqlError(40510, "The local SQL Server does not know MERGE with OUTPUT or NOT MATCHED BY SOURCE.")
        table = self.table_info(node.target)
        for when in node.whens:
            self._base(table, when.action)
        if {"HOLDLOCK", "SERIALIZABLE", "TABLOCKX"} & set(node.target.hints):
            self.locks.append((table.pg, STRONG))
        target = relation_of(table, node.target.alias or node.target.parts[-1], self.alias())
        source = self.source(node.source, scope)
        given = Scope(relations=list(scope.relations), ctes=scope.ctes)
        scope.relations.insert(0, target)
        parts = [self._when(table, when, scope, given) for when in node.whens]
        sql = (
            f"MERGE INTO {table.pg} AS {target.pg} USING {source} ON {self.condition(node.on, scope)} {' '.join(parts)}"
        )
        return Change(prefix + sql, table)

    def _when(self, table: TableInfo, when: tree.When, scope: Scope, given: Scope) -> str:
        names = scope if when.kind == "matched" else given
        test = f" AND {self.condition(when.condition, names)}" if when.condition is not None else ""
        head = f"WHEN {'' if when.kind == 'matched' else 'NOT '}MATCHED{test} THEN "
        if when.action == "DELETE":
            return head + "DELETE"
        if when.action == "UPDATE":
            columns, values = self._set_list(table, when.sets, scope)
            return head + "UPDATE SET " + ", ".join(f"{c.pg} = {v}" for c, v in zip(columns, values, strict=True))
        columns = self._insert_columns(table, when.columns)
        self._counted(len(columns), len(when.values), table)
        cells = [
            "DEFAULT" if isinstance(item, tree.Default) else self.assigned(table, column, self.typed(item, given))
            for column, item in zip(columns, when.values, strict=True)
        ]
        return head + f"INSERT ({', '.join(column.pg for column in columns)}) VALUES ({', '.join(cells)})"

"""AFTER triggers: the statement's rows as ``inserted`` and ``deleted``, then the trigger's batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.peers.mssql.interface import ResultSet, SqlError
from tests.peers.mssql.translate import tree, types
from tests.peers.mssql.translate.scope import ColumnInfo, TableInfo


class Triggers:
    """Fires triggers on a session."""

    def triggers_of(self: Any, binder: Any, node: Any, verb: str) -> list[tuple[TableInfo, str]]:
        """The triggers of the table a statement writes to."""
        target = self.table(node.target.parts)
        if target is None and getattr(node, "source", None) is not None:
            target = self._aliased(node.source, node.target.parts[-1])
        if target is None or not target.triggers:
            return []
        if verb == "merge":
            raise SqlError(40510, "The local SQL Server does not know MERGE on a table with triggers.")
        return [(target, body) for _, events, body in target.triggers if verb.upper() in events]

    def _aliased(self: Any, source: Any, alias: str) -> TableInfo | None:
        if isinstance(source, tree.Join):
            return self._aliased(source.left, alias) or self._aliased(source.right, alias)  # type: ignore[no-any-return]
        if isinstance(source, tree.Table) and source.alias.casefold() == alias.casefold():
            return self.table(source.parts)  # type: ignore[no-any-return]
        return None

    def fire(
        self: Any, binder: Any, node: Any, verb: str, triggers: list[tuple[TableInfo, str]], messages: list[Any]
    ) -> int:
        """Run the statement, keep its rows aside, run the triggers; the count is the statement's own."""
        if node.output is not None and not node.output.into:
            raise SqlError(334, f"The target table '{triggers[0][0].name}' of the DML statement cannot have any "
                f"enabled "
                                "triggers if the statement contains an OUTPUT clause without INTO clause.")  # fmt: skip
        if node.output is not None:
            raise SqlError(40510, "The local SQL Server does not know OUTPUT INTO on a table with triggers.")
        table = triggers[0][0]
        place, columns = self._images(table, verb)
        images = ["inserted", "deleted"] if verb == "update" else ["inserted" if verb == "insert" else "deleted"]
        holder = TableInfo(object_id=-1, schema="dbo", name="#images", pg=place, columns=tuple(columns))
        outer = self.images
        self.images = {**outer, "#images": holder}
        try:
            output = tree.Output([tree.Item(tree.Star((image,))) for image in images], ("$images",))
            changed = replace(node, output=output)
            self.images["$images"] = holder
            change = getattr(binder, verb)(changed)
            self.check_rights(binder)
            self.take_locks(binder)
            count, _ = self.connection.change(change.sql)
            if verb == "insert":
                self._numbered(change)
            self.rowcount = count
            self.images = {**outer, **_views(table, verb, place)}
            self._bodies(triggers, messages)
        finally:
            self.images = outer
        self.run(f"DROP TABLE {place}")
        return int(count)

    def _bodies(self: Any, triggers: list[tuple[TableInfo, str]], messages: list[Any]) -> None:
        before = dict(self.options)
        for _, body in triggers:
            for result in self.play(self.parsed(body), {}):
                if isinstance(result, SqlError):
                    raise result
                if isinstance(result, ResultSet):
                    list(result.rows)
                elif not self.options["NOCOUNT"]:
                    messages.append(result)
        self.options.update(before)

    def _images(self: Any, table: TableInfo, verb: str) -> tuple[str, list[ColumnInfo]]:
        number = self.next_temporary()
        sides = ("n", "o") if verb == "update" else ("n",) if verb == "insert" else ("o",)
        columns = [
            ColumnInfo(name=f"{side}{place}", type=_kept(item), pg=f"{side}{item.pg}")
            for side in sides for place, item in enumerate(table.columns)
        ]  # fmt: skip
        lines = ", ".join(f"{item.pg} {types.stored(item.type)}" for item in columns)
        self.run(f"CREATE TEMP TABLE im{number} ({lines})")
        return f"pg_temp.im{number}", columns


def _kept(item: ColumnInfo) -> Any:
    """A row version is kept as the bytes it is."""
    from tests.peers.mssql.interface import SqlType

    return SqlType(name="binary", length=8) if item.type.name == "rowversion" else item.type


def _views(table: TableInfo, verb: str, place: str) -> dict[str, TableInfo]:
    found = {}
    for name, side in (("inserted", "n"), ("deleted", "o")):
        there = verb == "update" or (verb == "insert") == (side == "n")
        columns = tuple(replace(item, pg=f"{side}{item.pg}", identity=False, computed=False) for item in table.columns)
        if there:
            pg = place
        else:
            nulls = ", ".join(f"NULL::{types.plain(item.type)} AS {item.pg}" for item in columns)
            pg = f"(SELECT {nulls} WHERE false)"
        found[name] = TableInfo(object_id=-2, schema="dbo", name=name, pg=pg, columns=columns)
    return found

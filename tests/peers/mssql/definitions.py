"""CREATE, ALTER, DROP, GRANT and SET, run on a session."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from tests.peers.mssql.catalog import column_row, insert_rows, text
from tests.peers.mssql.interface import Count, SqlError
from tests.peers.mssql.tables import Builder
from tests.peers.mssql.translate import commands, tree, types
from tests.peers.mssql.translate.scope import TableInfo
from tests.peers.mssql.translate.typed import Typed, convert
from tests.peers.mssql.values import quoted


class Definer:
    """Runs definitions on a session."""

    def need(self: Any, table: TableInfo, permission: str) -> None:
        """:raises SqlError: 1088 as SQL Server says it to those who may not alter."""
        if self.admin or table.object_id < 0:
            return
        if not self.run(f"SELECT ms.allowed('{permission}', {table.object_id}, {table.schema_id})")[0][0]:
            raise SqlError(1088, f'Cannot find the object "{table.label}" because it does not exist or you do not have '
                                 "permissions.", state=13)  # fmt: skip

    def need_database(self: Any, permission: str) -> None:
        if not self.admin and not self.run(f"SELECT ms.allowed('{permission}', 0, 0)")[0][0]:
            raise SqlError(262, f"{permission} permission denied in database '{self.database}'.", severity=14)

    def create_table(self: Any, node: commands.CreateTable) -> TableInfo:
        if not node.name[-1].startswith(("#", tree.VARIABLE)):
            self.defining = True
            self.need_database("CREATE TABLE")
        return Builder(self, node).create()

    def _run_createtable(self: Any, node: commands.CreateTable) -> Iterator[Any]:
        if node.name[-1].startswith("##"):
            raise SqlError(40510, "The local SQL Server does not know global temporary tables.")
        with self.statement():
            self.create_table(node)
        yield Count(rows=None)

    def _existing(self: Any, parts: Sequence[str]) -> tuple[Builder, TableInfo]:
        info = self.table(parts)
        if info is None:
            raise SqlError(
                4902,
                f'Cannot find the object "{".".join(parts)}" because it does not exist or you do not have permissions.',
            )
        self.need(info, "ALTER")
        return Builder(self, commands.CreateTable((info.schema, info.name), [], [])), info

    def _run_createindex(self: Any, node: commands.CreateIndex) -> Iterator[Any]:
        with self.statement():
            builder, info = self._existing(node.table)
            builder.key(info, node.constraint, constraint=False)
            builder.keep(info)
        yield Count(rows=None)

    def _run_altertable(self: Any, node: commands.AlterTable) -> Iterator[Any]:
        with self.statement():
            builder, info = self._existing(node.table)
            if builder.temporary:
                raise SqlError(40510, "The local SQL Server does not alter temporary tables.")
            {
                "add": self._add,
                "add default": self._add_default,
                "drop column": self._drop_column,
                "drop constraint": self._drop_constraint,
                "alter column": self._alter_column,
            }[node.action](builder, info, node)
            self.run(f"UPDATE ms.objects SET modified = now()::timestamp WHERE object_id = "
                f"{info.object_id}")  # fmt: skip
        yield Count(rows=None)

    def _add(self: Any, builder: Builder, info: TableInfo, node: commands.AlterTable) -> None:
        number = int(
            self.run(f"SELECT coalesce(max(column_id), 0) FROM ms.columns WHERE object_id = {info.object_id}")[0][0]
        )
        number = max(
            number, int(self.run(f"SELECT max(attnum) FROM pg_attribute WHERE attrelid = '{info.pg}'::regclass")[0][0])
        )
        for item in node.columns:
            number += 1
            if info.column(item.name):
                raise SqlError(2705, f"Column names in each table must be unique. Column name '{item.name}' in table "
                                     f"'{info.label}' is specified more than once.")  # fmt: skip
            if item.computed is None:
                column = builder.column(number, item, set())
            else:
                typed = builder.expression(info, item.computed)
                column = replace(builder.column(number, replace(item, type=typed.type), set()), computed=True)
            info = replace(info, columns=(*info.columns, column))
            self.run(f"ALTER TABLE {info.pg} ADD COLUMN {builder.line(info, number, item)}")
        for constraint in node.constraints:
            builder.constraint(info, constraint)
        builder.keep(info)

    def _add_default(self: Any, builder: Builder, info: TableInfo, node: commands.AlterTable) -> None:
        for item in node.columns:
            column = info.column(item.name)
            if column is None:
                raise SqlError(
                    1752, f"Column '{item.name}' in table '{info.name}' is invalid for creating a default constraint."
                )
            extra = builder.default(info, column, item)
            self.run(
                f"ALTER TABLE {info.pg} ALTER COLUMN {column.pg} SET DEFAULT "
                f"{builder.default_sql(info, column, item.default)}"
            )
            self.run(f"UPDATE ms.columns SET default_text = {quoted(extra['default'])}, default_id = "
                f"{extra['default_id']} "
                     f"WHERE object_id = {info.object_id} AND column_id = {column.pg[1:]}")  # fmt: skip
        builder.keep(info)

    def _drop_column(self: Any, builder: Builder, info: TableInfo, node: commands.AlterTable) -> None:
        for name in node.names:
            column = info.column(name)
            if column is None:
                raise SqlError(
                    4924,
                    f"ALTER TABLE DROP COLUMN failed because column '{name}' does not exist in table '{info.name}'.",
                )
            used = self.run(
                f"SELECT 1 FROM ms.index_columns WHERE object_id = {info.object_id} AND column_id = {column.pg[1:]}"
            )
            if used:
                raise SqlError(
                    4922, f"ALTER TABLE DROP COLUMN {name} failed because one or more objects access this column."
                )
            self.run(f"ALTER TABLE {info.pg} DROP COLUMN {column.pg}; DELETE FROM ms.columns WHERE object_id = "
                     f"{info.object_id} AND column_id = {column.pg[1:]}")  # fmt: skip

    def _drop_constraint(self: Any, builder: Builder, info: TableInfo, node: commands.AlterTable) -> None:
        for name in node.names:
            found = self.run(
                f"SELECT object_id, type FROM ms.objects WHERE parent_id = {info.object_id} AND name = {text(name)}"
            )
            if not found:
                if node.if_exists:
                    continue
                raise SqlError(3728, f"'{name}' is not a constraint.")
            number, kind = found[0]
            if kind == "D":
                rows = self.run(
                    f"UPDATE ms.columns SET default_text = NULL, default_id = NULL WHERE default_id = {number} "
                    f"RETURNING column_id"
                )
                self.run(f"ALTER TABLE {info.pg} ALTER COLUMN c{rows[0][0]} DROP DEFAULT")
            elif kind in {"PK", "UQ"}:
                self._drop_index(info, name)
            else:
                self.run(f"ALTER TABLE {info.pg} DROP CONSTRAINT {'f' if kind == 'F' else 'k'}{number}")
                self.run(
                    f"DELETE FROM ms.foreign_keys WHERE object_id = {number}; DELETE FROM ms.foreign_key_columns "
                    f"WHERE object_id = {number}"
                )
            self.run(f"DELETE FROM ms.objects WHERE object_id = {number}")

    def _drop_index(self: Any, info: TableInfo, name: str) -> None:
        found = self.run(f"SELECT index_id FROM ms.indexes WHERE object_id = {info.object_id} AND name = {text(name)}")
        if not found:
            raise SqlError(
                3701,
                f"Cannot drop the index '{info.label}.{name}', because it does not exist or you do not have "
                f"permission.",
                severity=11,
            )
        number, where = found[0][0], f"object_id = {info.object_id} AND index_id = {found[0][0]}"
        self.run(
            f"DROP INDEX data.i{info.object_id}_{number}; DELETE FROM ms.indexes WHERE {where}; DELETE FROM "
            f"ms.index_columns WHERE {where}"
        )

    def _alter_column(self: Any, builder: Builder, info: TableInfo, node: commands.AlterTable) -> None:
        item = node.columns[0]
        old = info.column(item.name)
        if old is None:
            raise SqlError(
                4924,
                f"ALTER TABLE ALTER COLUMN failed because column '{item.name}' does not exist in table '{info.name}'.",
            )
        column = replace(builder.column(int(old.pg[1:]), item, set()), name=old.name, identity=old.identity)
        value = convert(Typed(old.pg, old.type), column.type)
        rule = f" COLLATE ms.{types.text_class(column.type)}_order" if column.type.name in types.STRINGS else ""
        self.run(f"ALTER TABLE {info.pg} ALTER COLUMN {old.pg} TYPE {types.plain(column.type)}{rule} USING "
            f"({value})::{types.plain(column.type)}, "
                 f"ALTER COLUMN {old.pg} {'DROP' if column.nullable else 'SET'} NOT NULL")  # fmt: skip
        kept = self.run(f"DELETE FROM ms.columns WHERE object_id = {info.object_id} AND column_id = {old.pg[1:]} "
                        "RETURNING seed, increment, default_id, default_text")[0]  # fmt: skip
        extra = dict(zip(("seed", "increment", "default_id", "default"), kept, strict=True))
        self.run(insert_rows("columns", [column_row(info.object_id, int(old.pg[1:]), column, extra)]))

    def _run_drop(self: Any, node: commands.Drop) -> Iterator[Any]:
        for name in node.names:
            if node.kind == "DATABASE":
                self.engine.drop_database(name[-1], missing_ok=node.if_exists)
                continue
            with self.statement():
                self._drop_one(node, name)
        yield Count(rows=None)

    def _drop_one(self: Any, node: commands.Drop, name: tuple[str, ...]) -> None:
        if node.kind == "INDEX":
            _, info = self._existing(name[:-1])
            self._drop_index(info, name[-1])
            return
        if node.kind in {"LOGIN", "USER", "SCHEMA", "TRIGGER"}:
            self._drop_other(node, name)
            return
        info = self.table(name)
        if info is None or (info.kind == "V") != (node.kind == "VIEW"):
            if node.if_exists:
                return
            what = "table" if node.kind == "TABLE" else "view"
            raise SqlError(3701, f"Cannot drop the {what} '{'.'.join(name)}', because it does not exist or you "
                f"do not have permission.",
                           severity=11, state=5)  # fmt: skip
        self.need(info, "ALTER")
        if info.object_id < 0:
            self.run(f"DROP TABLE {info.pg}")
            self.temporary = {key: item for key, item in self.temporary.items() if item.info is not info}
            return
        if self.run(
            f"SELECT 1 FROM ms.foreign_keys WHERE referenced_id = {info.object_id} AND parent_id <> {info.object_id}"
        ):
            raise SqlError(
                3726, f"Could not drop object '{'.'.join(name)}' because it is referenced by a FOREIGN KEY constraint."
            )
        if info.kind == "U":
            self.run(f"DROP TABLE {info.pg}")
        number = info.object_id
        self.run(
            "; ".join(
                f"DELETE FROM ms.{table} WHERE object_id = {number}"
                for table in ("columns", "indexes", "index_columns")
            )
        )
        self.run(
            f"DELETE FROM ms.foreign_keys WHERE parent_id = {number}; DELETE FROM ms.foreign_key_columns WHERE "
            f"parent_id = {number}"
        )
        self.run(f"DELETE FROM ms.objects WHERE object_id = {number} OR parent_id = {number}")
        self.run(f"DELETE FROM ms.grants WHERE class = 'OBJECT' AND id = {number}")

    def _drop_other(self: Any, node: commands.Drop, name: tuple[str, ...]) -> None:
        if node.kind == "LOGIN":
            self.engine.drop_login(name[-1])
            return
        where = {"USER": f"ms.principals WHERE name = {text(name[-1])}", "SCHEMA": f"ms.schemas WHERE name = "
            f"{text(name[-1])}",
                 "TRIGGER": f"ms.objects WHERE type = 'TR' AND name = {text(name[-1])}"}[node.kind]  # fmt: skip
        if node.kind == "SCHEMA" and self.run(
            f"SELECT 1 FROM ms.objects o JOIN ms.schemas s USING (schema_id) WHERE s.name = {text(name[-1])}"
        ):
            raise SqlError(3729, f"Cannot drop schema '{name[-1]}' because it is being referenced by an object.")
        if not self.run(f"DELETE FROM {where} RETURNING 1") and not node.if_exists:
            raise SqlError(
                15151,
                f"Cannot drop the {node.kind.lower()} '{name[-1]}', because it does not exist or you do not have "
                f"permission.",
            )

    def _run_create(self: Any, node: commands.Create) -> Iterator[Any]:
        if node.kind == "DATABASE":
            if self.trancount:
                raise SqlError(226, "CREATE DATABASE statement not allowed within multi-statement transaction.")
            self.engine.create_database(node.name[-1])
        else:
            with self.statement():
                getattr(self, f"_create_{node.kind.lower()}")(node)
        yield Count(rows=None)

    def _create_schema(self: Any, node: commands.Create) -> None:
        self.need_database("CREATE SCHEMA")
        if self.run(f"SELECT 1 FROM ms.schemas WHERE name = {text(node.name[-1])}"):
            raise SqlError(2714, f"There is already an object named '{node.name[-1]}' in the database.", state=6)
        self.run(f"INSERT INTO ms.schemas VALUES (nextval('ms.schema_ids'), {text(node.name[-1])})")

    def _create_login(self: Any, node: commands.Create) -> None:
        self.engine.create_login(node.name[-1], node.text)

    def _create_user(self: Any, node: commands.Create) -> None:
        login = node.text or node.name[-1]
        self.run(f"INSERT INTO ms.principals (name, type, login) VALUES ({text(node.name[-1])}, 'S', {quoted(login)}) "
                 "ON CONFLICT (name) DO NOTHING")  # fmt: skip

    def _create_role(self: Any, node: commands.Create) -> None:
        raise SqlError(40510, "The local SQL Server knows only the fixed database roles.")

    def _create_view(self: Any, node: commands.Create) -> None:
        builder = Builder(self, commands.CreateTable(node.name, [], []))
        _, schema_id = builder.schema()
        bound = self.binder().query(node.body, None)
        names = node.options["columns"] or [item.name for item in bound.columns]
        number = builder.new_id()
        if self.run(f"SELECT 1 FROM ms.objects WHERE schema_id = {schema_id} AND name = {text(node.name[-1])}"):
            raise SqlError(2714, f"There is already an object named '{node.name[-1]}' in the database.")
        row = f"({number}, {schema_id}, {text(node.name[-1])}, 'V', 0, {quoted(node.text.rstrip().rstrip(';'))})"
        self.run(f"INSERT INTO ms.objects (object_id, schema_id, name, type, parent_id, definition) VALUES {row}")
        from tests.peers.mssql.translate.scope import ColumnInfo

        columns = [
            ColumnInfo(
                name=name,
                type=item.typed.type or types.declared("int", []),
                pg=f"c{place}",
                nullable=item.typed.nullable,
            )
            for place, (name, item) in enumerate(zip(names, bound.columns, strict=True), 1)
        ]
        self.run(insert_rows("columns", [column_row(number, place, item, {}) for place, item in enumerate(columns, 1)]))

    def _create_trigger(self: Any, node: commands.Create) -> None:
        info = self.table(node.options["table"])
        if info is None:
            raise SqlError(
                8197, f"The object '{'.'.join(node.options['table'])}' does not exist or is invalid for this operation."
            )
        number = int(self.run("SELECT nextval('ms.object_ids')::int")[0][0])
        words = quoted(",".join(node.options["events"]) + "\n" + node.text)
        self.run("INSERT INTO ms.objects (object_id, schema_id, name, type, parent_id, definition) VALUES "
                 f"({number}, {info.schema_id}, {text(node.name[-1])}, 'TR', {info.object_id}, {words})")  # fmt: skip

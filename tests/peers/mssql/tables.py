"""CREATE TABLE and its kin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from tests.peers.mssql.catalog import Run, column_row, insert_rows, sql, text
from tests.peers.mssql.interface import SqlError, SqlType
from tests.peers.mssql.translate import commands, tree, types
from tests.peers.mssql.translate.bind import check_collation
from tests.peers.mssql.translate.merge import Merges
from tests.peers.mssql.translate.relations import relation_of
from tests.peers.mssql.translate.scope import ColumnInfo, Scope, TableInfo
from tests.peers.mssql.translate.typed import INT, Typed, convert


@dataclass(slots=True)
class Temporary:
    """A temporary table: what ms.* keeps of the others, kept by the session."""

    info: TableInfo
    rows: dict[str, list[list[Any]]] = field(default_factory=dict)
    variable: bool = False


class Owner(Protocol):
    """The session, as the definitions need it."""

    database: str
    run: Run
    temporary: dict[str, Temporary]

    def table(self, parts: Sequence[str]) -> TableInfo | None: ...

    def binder(self) -> Merges: ...

    def next_temporary(self) -> int: ...


class Builder:
    """Makes one table."""

    def __init__(self, owner: Owner, node: commands.CreateTable) -> None:
        self.owner, self.node = owner, node
        self.temporary = node.name[-1].startswith(("#", tree.VARIABLE))
        self.rows: dict[str, list[list[Any]]] = {"columns": [], "indexes": [], "index_columns": [], "objects": [],
                                                 "foreign_keys": [], "foreign_key_columns": []}  # fmt: skip
        self.after: list[str] = []

    def create(self) -> TableInfo:
        """Create the table and its constraints.

        :raises SqlError: 2714 when it is there, 2760 without the schema, 2705 for a column twice.
        """
        owner, name = self.owner, self.node.name[-1]
        if self.temporary:
            if owner.table((name,)) is not None:
                raise SqlError(2714, f"There is already an object named '{name}' in the database.", state=6)
            schema, schema_id, object_id = "dbo", 1, -owner.next_temporary()
            place = f"pg_temp.t{-object_id}"
        else:
            schema, schema_id = self.schema()
            if owner.run(f"SELECT 1 FROM ms.objects WHERE schema_id = {schema_id} AND name = {text(name)}"):
                raise SqlError(2714, f"There is already an object named '{name}' in the database.", state=6)
            object_id = int(owner.run("SELECT nextval('ms.object_ids')::int")[0][0])
            place = f"data.t{object_id}"
        keys = {
            column.casefold() for item in self.node.constraints if item.kind == "primary" for column in item.columns
        }
        plain = [
            self.column(place_, item, keys) for place_, item in enumerate(self.node.columns, 1) if item.computed is None
        ]
        info = TableInfo(
            object_id=object_id, schema=schema, name=name, pg=place, schema_id=schema_id, columns=tuple(plain)
        )
        columns = tuple(self.computed(number, item, info) for number, item in enumerate(self.node.columns, 1))
        self._unique_names(columns)
        info = replace(info, columns=columns)
        lines = [self.line(info, number, item) for number, item in enumerate(self.node.columns, 1)]
        owner.run(f"CREATE {'TEMP ' if self.temporary else ''}TABLE {place} ({', '.join(lines)})")
        self.rows["objects"].append([object_id, schema_id, name, "U", 0, None])
        for constraint in self.node.constraints:
            self.constraint(info, constraint)
        self.keep(info)
        return info

    def schema(self) -> tuple[str, int]:
        """The schema's name and number.

        :raises SqlError: 2760.
        """
        given = self.node.name[-2] if len(self.node.name) > 1 and self.node.name[-2] else "dbo"
        if (
            len(self.node.name) > 2
            and self.node.name[-3]
            and self.node.name[-3].casefold() != self.owner.database.casefold()
        ):
            raise SqlError(40510, "The local SQL Server creates tables only in the database of the connection.")
        rows = self.owner.run(f"SELECT schema_id, name::text FROM ms.schemas WHERE name = {text(given)}")
        if not rows:
            text_ = (
                f'The specified schema name "{given}" either does not exist or you do not have permission to use it.'
            )
            raise SqlError(2760, text_)
        return str(rows[0][1]), int(rows[0][0])

    @staticmethod
    def _unique_names(columns: Sequence[ColumnInfo]) -> None:
        seen: set[str] = set()
        for item in columns:
            if item.name.casefold() in seen:
                text_ = (
                    f"Column names in each table must be unique. Column name '{item.name}' is specified more than once."
                )
                raise SqlError(2705, text_, state=3)
            seen.add(item.name.casefold())

    def column(self, number: int, item: commands.ColumnDefinition, keys: set[str]) -> ColumnInfo:
        """A plain column."""
        kind = item.type or SqlType(name="int")
        check_collation(kind.collation)
        nullable = item.nullable if item.nullable is not None else True
        if item.name.casefold() in keys:
            if item.nullable:
                text_ = f"Cannot define PRIMARY KEY constraint on nullable column in table '{self.node.name[-1]}'."
                raise SqlError(8111, text_)
            nullable = False
        if item.identity or kind.name == "rowversion":
            nullable = bool(item.nullable) and not item.identity
        return ColumnInfo(name=item.name, type=kind, pg=f"c{number}", nullable=nullable, identity=bool(item.identity),
                          default=item.default is not None)  # fmt: skip

    def computed(self, number: int, item: commands.ColumnDefinition, info: TableInfo) -> ColumnInfo:
        """The column, its type taken from its expression where it is computed."""
        if item.computed is None:
            return next(column for column in info.columns if column.pg == f"c{number}")
        typed = self.expression(info, item.computed)
        item.type = typed.type or INT
        return ColumnInfo(name=item.name, type=item.type, pg=f"c{number}", nullable=True, computed=True)

    def expression(self, info: TableInfo, node: Any) -> Typed:
        """An expression over the table's own columns."""
        return self.owner.binder().typed(node, own_scope(info))

    def line(self, info: TableInfo, number: int, item: commands.ColumnDefinition) -> str:
        """A column's line of CREATE TABLE in PostgreSQL; also notes it for the catalogue."""
        column = next(found for found in info.columns if found.pg == f"c{number}")
        words = [column.pg, types.stored(column.type)]
        extra: dict[str, Any] = {}
        if item.computed is not None:
            value = self.expression(info, item.computed)
            words.append(f"GENERATED ALWAYS AS ({value.sql}) STORED")
            extra.update(computed=f"({item.computed_text})", persisted=item.persisted)
        elif item.identity:
            seed, step = item.identity
            edge = f"MINVALUE {min(seed, -(2**62))}" if step < 0 else f"MINVALUE {min(seed, 1)}"
            words.append(f"GENERATED BY DEFAULT AS IDENTITY (START {seed} INCREMENT {step} {edge} CACHE 1)")
            if types.plain(column.type).startswith("numeric"):
                words[1:] = ["numeric", f"DEFAULT nextval('{self.sequence(info, seed, step)}')"]
            extra.update(seed=seed, increment=step)
        elif column.type.name == "rowversion":
            words.append("DEFAULT int8send(nextval('ms.row_versions'))")
        elif item.default is not None:
            extra.update(self.default(info, column, item))
            words.append(f"DEFAULT {self.default_sql(info, column, item.default)}")
        if not column.nullable:
            words.append("NOT NULL")
        if column.type.name == "tinyint":
            words.append(f"CHECK ({column.pg} BETWEEN 0 AND 255)")
        self.rows["columns"].append(column_row(info.object_id, number, column, extra))
        return " ".join(words)

    def sequence(self, info: TableInfo, seed: int, step: int) -> str:
        name = info.pg.replace(".t", ".s") if not self.temporary else f"pg_temp.s{-info.object_id}"
        kind = "TEMP SEQUENCE" if self.temporary else "SEQUENCE"
        self.owner.run(f"CREATE {kind} {name.removeprefix('pg_temp.')} START {seed} INCREMENT {step}"
                       if self.temporary else f"CREATE SEQUENCE {name} START {seed} INCREMENT {step}")  # fmt: skip
        return name.removeprefix("pg_temp.")

    def default_sql(self, info: TableInfo, column: ColumnInfo, node: Any) -> str:
        value = self.owner.binder().typed(node, Scope())
        return f"({convert(value, column.type)})::{types.plain(column.type)}"

    def default(self, info: TableInfo, column: ColumnInfo, item: commands.ColumnDefinition) -> dict[str, Any]:
        """The DEFAULT constraint as an object of its own."""
        number = self.new_id()
        name = item.default_name or f"DF__{info.name[:9]}__{column.name[:9]}__{number:08X}"
        self.rows["objects"].append([number, info.schema_id, name, "D", info.object_id, _wrapped(item.default_text)])
        return {"default": _wrapped(item.default_text), "default_id": number}

    def new_id(self) -> int:
        if self.temporary:
            return -self.owner.next_temporary()
        return int(self.owner.run("SELECT nextval('ms.object_ids')::int")[0][0])

    def constraint(self, info: TableInfo, item: commands.Constraint) -> None:
        """A key, index, check or foreign key."""
        kinds: dict[str, Callable[[TableInfo, commands.Constraint], None]] = {
            "primary": self.key, "unique": self.key, "index": self.key, "check": self.check, "foreign": self.foreign,
        }  # fmt: skip
        kinds[item.kind](info, item)

    def key(self, info: TableInfo, item: commands.Constraint, *, constraint: bool = True) -> None:
        """A primary key, unique constraint or index."""
        used = [int(row[1]) for row in self.rows["indexes"]] + self._used(info)
        number = 1 if item.clustered and 1 not in used else max([*used, 1]) + 1
        named = constraint and item.kind != "index"
        kind = {"primary": "PK", "unique": "UQ", "index": "IX"}[item.kind]
        identifier = self.new_id() if named else 0
        name = item.name or f"{kind}__{info.name[:9]}__{identifier:08X}"
        if not self.temporary and self.owner.run(
            f"SELECT 1 FROM ms.indexes WHERE object_id = {info.object_id} AND name = {text(name)}"
        ):
            raise SqlError(1913, f"The operation failed because an index or statistics with name '{name}' "
                f"already exists on "
                                 f"table '{info.label}'.")  # fmt: skip
        self.rows["indexes"].append([info.object_id, number, name, item.kind != "index", item.kind == "primary", named,
                                     bool(item.clustered), item.text or None])  # fmt: skip
        if named:
            self.rows["objects"].append([identifier, info.schema_id, name, kind, info.object_id, None])
        cells = self.key_columns(info, item, number)
        unique = "UNIQUE " if item.kind != "index" else ""
        nulls = " NULLS NOT DISTINCT" if unique else ""
        where = f" WHERE {self.owner.binder().condition(item.condition, own_scope(info))}" if item.condition else ""
        place = f"i{abs(info.object_id)}_{number}"
        self.owner.run(f"CREATE {unique}INDEX {place} ON {info.pg} ({', '.join(cells)}){nulls}{where}")

    def _used(self, info: TableInfo) -> list[int]:
        if info.name.startswith(("#", tree.VARIABLE)):
            held = self.owner.temporary.get(info.name.casefold())
            return [int(row[1]) for row in held.rows["indexes"]] if held else []
        return [
            int(row[0]) for row in self.owner.run(f"SELECT index_id FROM ms.indexes WHERE object_id = {info.object_id}")
        ]

    def key_columns(self, info: TableInfo, item: commands.Constraint, number: int) -> list[str]:
        cells = []
        directions = item.descending or tuple(False for _ in item.columns)
        for place, (name, descending) in enumerate(zip(item.columns, directions, strict=True), 1):
            column = info.column(name)
            if column is None:
                raise SqlError(1911, f"Column name '{name}' does not exist in the target table or view.")
            if column.type.length == types.MAX or column.type.name in {"xml", "text", "ntext", "image", "json"}:
                raise SqlError(1919, f"Column '{name}' in table '{info.label}' is of a type that is invalid for "
                    f"use as a "
                                     "key column in an index.")  # fmt: skip
            self.rows["index_columns"].append([info.object_id, number, place, int(column.pg[1:]), descending, False])
            kind = column.type.name
            cell = f"(({column.pg}).ticks)" if kind == "datetimeoffset" else column.pg
            cells.append(cell + (" DESC" if descending else ""))
        for place, name in enumerate(item.included, len(cells) + 1):
            column = info.column(name)
            if column is None:
                raise SqlError(1911, f"Column name '{name}' does not exist in the target table or view.")
            self.rows["index_columns"].append([info.object_id, number, place, int(column.pg[1:]), False, True])
        return cells

    def check(self, info: TableInfo, item: commands.Constraint) -> None:
        number = self.new_id()
        name = item.name or f"CK__{info.name[:9]}__{number:08X}"
        condition = self.owner.binder().condition(item.condition, own_scope(info))
        self.owner.run(f"ALTER TABLE {info.pg} ADD CONSTRAINT k{abs(number)} CHECK ({condition})")
        self.rows["objects"].append([number, info.schema_id, name, "C", info.object_id, f"({item.text})"])

    def foreign(self, info: TableInfo, item: commands.Constraint) -> None:
        """A foreign key, to the primary key where no columns are named.

        :raises SqlError: 1767 without the table, 1776 without a key there.
        """
        other = info if item.reference[-1].casefold() == info.name.casefold() else self.owner.table(item.reference)
        if other is None:
            number = 1767
            raise SqlError(number, f"Foreign key '{item.name}' references invalid table '{'.'.join(item.reference)}'.")
        wanted = item.reference_columns or self._primary(other)
        number = self.new_id()
        name = item.name or f"FK__{info.name[:9]}__{number:08X}"
        ours = [info.column(column) for column in item.columns]
        theirs = [other.column(column) for column in wanted]
        if None in ours or None in theirs:
            raise SqlError(1769, f"Foreign key '{name}' references invalid column in referencing table '{info.name}'.")
        left = ", ".join(column.pg for column in ours if column)
        right = ", ".join(column.pg for column in theirs if column)
        self.owner.run(f"ALTER TABLE {info.pg} ADD CONSTRAINT f{abs(number)} FOREIGN KEY ({left}) REFERENCES "
            f"{other.pg} "
                       f"({right}) ON DELETE {item.on_delete} ON UPDATE {item.on_update}")  # fmt: skip
        self.rows["objects"].append([number, info.schema_id, name, "F", info.object_id, None])
        self.rows["foreign_keys"].append([number, info.object_id, other.object_id, item.on_delete, item.on_update])
        for place, (our, their) in enumerate(zip(ours, theirs, strict=True), 1):
            assert our is not None
            assert their is not None
            self.rows["foreign_key_columns"].append(
                [number, place, info.object_id, int(our.pg[1:]), other.object_id, int(their.pg[1:])]
            )

    def _primary(self, other: TableInfo) -> tuple[str, ...]:
        rows = self.owner.run(
            f"SELECT c.name::text FROM ms.indexes i JOIN ms.index_columns x USING (object_id, index_id) JOIN "
            f"ms.columns c "
            f"ON c.object_id = i.object_id AND c.column_id = x.column_id WHERE i.object_id = {other.object_id} "
            "AND i.is_primary ORDER BY x.ordinal"
        )
        if not rows:
            raise SqlError(1773, f"Foreign key has implicit reference to object '{other.name}' which does not have a "
                                 "primary key defined on it.")  # fmt: skip
        return tuple(row[0] for row in rows)

    def keep(self, info: TableInfo) -> None:
        """Write down what was made: in the catalogue, or with the session for a temporary table."""
        if self.temporary:
            name = info.name.casefold()
            held = self.owner.temporary.get(name)
            rows = {key: [*(held.rows.get(key, []) if held else []), *value] for key, value in self.rows.items()}
            self.owner.temporary = {
                **self.owner.temporary,
                name: Temporary(info, rows, info.name.startswith(tree.VARIABLE)),
            }
            return
        for table, rows_ in self.rows.items():
            if rows_ and table == "objects":
                lines = ", ".join("(" + ", ".join(sql(value) for value in row) + ")" for row in rows_)
                self.owner.run(
                    "INSERT INTO ms.objects (object_id, schema_id, name, type, parent_id, definition) VALUES " + lines
                )
            elif rows_:
                self.owner.run(insert_rows(table, rows_))


def own_scope(info: TableInfo) -> Scope:
    """The table's columns by their bare names, for checks, computed columns and filters."""
    relation = relation_of(info, info.name, info.pg)
    for column, item in zip(relation.columns, info.columns, strict=True):
        column.typed = replace(column.typed, sql=item.pg)
    return Scope(relations=[relation])


def _wrapped(text_: str) -> str:
    """As SQL Server shows a default: ``((1.5))``, ``('x')``, ``(getdate())``."""
    bare = text_.strip()
    while bare.startswith("(") and bare.endswith(")") and not bare.endswith("()"):
        bare = bare[1:-1]
    return f"(({bare}))" if bare.lstrip("-").replace(".", "", 1).isdigit() else f"({bare})"

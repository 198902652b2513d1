"""A small Spark for programs of ``spark_apps``: keeps tables in memory, and takes no SQL but Databricks'."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import sqlglot
from sqlglot import exp

Name = tuple[str, ...]


class SparkError(Exception):
    """What pyspark raises: a condition and a message."""

    def __init__(self, condition: str, message: str) -> None:
        super().__init__(f"[{condition}] {message}" if condition else message)
        self._condition = condition

    def getCondition(self) -> str | None:  # noqa: N802 - pyspark's name
        return self._condition or None


@dataclass
class Table:
    fields: list[dict[str, Any]]
    rows: int
    properties: dict[str, str] = field(default_factory=dict)
    partitioned: list[str] = field(default_factory=list)


@dataclass
class Answer:
    """A DataFrame, as far as the programs look at one."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    names: tuple[str, ...] = ()
    fields: list[dict[str, Any]] = field(default_factory=list)

    @property
    def schema(self) -> Answer:
        return self

    def jsonValue(self) -> dict[str, Any]:  # noqa: N802 - pyspark's name
        return {"type": "struct", "fields": self.fields}

    def collect(self) -> list[Any]:
        return [Row(row, self.names) for row in self.rows]


@dataclass
class Row:
    values: tuple[Any, ...]
    names: tuple[str, ...]

    def __getitem__(self, place: int) -> Any:
        return self.values[place]

    def asDict(self) -> dict[str, Any]:  # noqa: N802 - pyspark's name
        return dict(zip(self.names, self.values, strict=True))


class FakeSpark:
    """``before`` sees every statement first, and may raise or change tables."""

    def __init__(self, before: Callable[[str], None] = lambda statement: None) -> None:
        self.tables: dict[Name, Table] = {}
        self.statements: list[str] = []
        self.before = before
        self._lock = threading.RLock()

    def sql(self, text: str) -> Answer:
        with self._lock:
            self.statements.append(text)
            self.before(text)
            return self._run(parsed(text), text)

    def _run(self, tree: exp.Expression, text: str) -> Answer:
        if text.startswith("SHOW TBLPROPERTIES "):
            found = self._table(_name(text.removeprefix("SHOW TBLPROPERTIES ")))
            return Answer(rows=list(found.properties.items()), names=("key", "value"))
        if text.startswith("REFRESH FOREIGN TABLE "):
            self._table(_name(text.removeprefix("REFRESH FOREIGN TABLE ")))
            return Answer()
        match tree:
            case exp.Create():
                return self._create(tree)
            case exp.Drop():
                self.tables.pop(_parts(tree.find(exp.Table)), None)
            case exp.Alter():
                self._table(_parts(tree.this)).properties.update(_properties(tree))
            case exp.Insert():
                return self._insert(tree)
            case exp.Select() if tree.args.get("from_") or tree.args.get("from"):
                return self._select(tree)
            case exp.Select():
                return Answer(rows=[(1,)], names=("1",))
            case _:
                raise AssertionError(f"unexpected statement {text}")
        return Answer()

    def _create(self, tree: exp.Create) -> Answer:
        schema = tree.this
        table = schema.this if isinstance(schema, exp.Schema) else schema
        name = _parts(table)
        if name in self.tables:
            raise SparkError("TABLE_OR_VIEW_ALREADY_EXISTS", f"{name} is there")
        clone = tree.args.get("clone")
        if clone is not None:
            source = self._table(_parts(clone.this))
            self.tables[name] = Table(source.fields, source.rows, dict(source.properties))
            return Answer(rows=[(source.rows,)], names=("source_num_of_files",))
        fields = [{"name": item.this.name, "sql": item.sql("databricks")} for item in schema.expressions]
        assert "USING ICEBERG" in tree.sql("databricks"), "without it the table is Delta"
        placed = tree.find(exp.PartitionedByProperty)
        columns = [column.name for column in placed.this.expressions] if placed else []
        self.tables[name] = Table(fields, 0, _properties(tree), columns)
        return Answer()

    def _insert(self, tree: exp.Insert) -> Answer:
        target = self._table(_parts(tree.this.this))
        source = self._table(_parts(tree.expression.find(exp.Table)))
        names = [column.name for column in tree.this.expressions]
        assert names == [column.name for column in tree.expression.expressions]
        target.rows += source.rows
        return Answer(rows=[(source.rows, source.rows)], names=("num_affected_rows", "num_inserted_rows"))

    def _select(self, tree: exp.Select) -> Answer:
        found = self._table(_parts(tree.find(exp.Table)))
        known = {item["name"]: item for item in found.fields}
        wanted = list(known) if tree.is_star else [column.name for column in tree.expressions]
        missing = [name for name in wanted if name not in known]
        if missing:
            raise SparkError("UNRESOLVED_COLUMN.WITH_SUGGESTION", f"no column {missing[0]}")
        return Answer(fields=[known[name] for name in wanted])

    def _table(self, name: Name) -> Table:
        if name not in self.tables:
            raise SparkError("TABLE_OR_VIEW_NOT_FOUND", f"The table {name} cannot be found.\n\tat org.apache")
        return self.tables[name]


def parsed(text: str) -> exp.Expression:
    """One statement of Databricks SQL; sqlglot knows CLONE but not DEEP, and some commands only by their words."""
    known = text.replace(" DEEP CLONE ", " CLONE ", 1) if text.startswith("CREATE TABLE `") else text
    [tree] = sqlglot.parse(known, read="databricks")
    assert tree is not None
    if isinstance(tree, exp.Command):
        assert text.startswith(("SHOW TBLPROPERTIES `", "REFRESH FOREIGN TABLE `")), text
    return tree


def _name(text: str) -> Name:
    return _parts(sqlglot.parse_one(text, read="databricks", into=exp.Table))


def _parts(table: Any) -> Name:
    assert all(part.args.get("quoted") for part in table.parts), table
    return tuple(part.name for part in table.parts)


def _properties(tree: exp.Expression) -> dict[str, str]:
    found = [item for item in tree.find_all(exp.Property) if type(item) is exp.Property]
    return {item.this.name: item.args["value"].name for item in found}

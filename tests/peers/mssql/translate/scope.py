"""What names mean where they stand, and what a translation needs to know of its session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.peers.mssql.interface import SqlError, SqlType
from tests.peers.mssql.translate import tree
from tests.peers.mssql.translate.typed import Typed


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnInfo:
    """A column of a table: ``pg`` is its name in PostgreSQL."""

    name: str
    type: SqlType
    pg: str
    nullable: bool = True
    identity: bool = False
    computed: bool = False
    default: bool = False

    @property
    def writable(self) -> bool:
        return not self.computed and self.type.name != "rowversion"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableInfo:
    """A table, view or temporary table; ``pg`` is what FROM says in PostgreSQL."""

    object_id: int
    schema: str
    name: str
    pg: str
    columns: tuple[ColumnInfo, ...]
    kind: str = "U"
    schema_id: int = 1
    definition: str = ""
    triggers: tuple[tuple[str, frozenset[str], str], ...] = ()

    def column(self, name: str) -> ColumnInfo | None:
        """By name, any case."""
        folded = name.casefold()
        return next((column for column in self.columns if column.name.casefold() == folded), None)

    @property
    def label(self) -> str:
        return f"{self.schema}.{self.name}"


class Context(Protocol):
    """The session, as a translation sees it."""

    database: str

    def table(self, parts: Sequence[str]) -> TableInfo | None: ...

    def variable(self, name: str) -> tuple[Any, SqlType]: ...

    def scalar(self, name: str, arguments: Sequence[Any]) -> tuple[Any, SqlType] | None:
        """A function whose answer the session itself knows (@@SPID, DB_NAME()), None if it is none of these."""

    def describe_rows(self, text: str, declared: str | None) -> Sequence[Sequence[Any]]:
        """Rows of dm_exec_describe_first_result_set."""

    def system_view(
        self, schema: str, name: str, *, temporary: bool
    ) -> tuple[str, list[tuple[str, SqlType]]] | None: ...


@dataclass(slots=True)
class Found:
    """A column a relation offers."""

    name: str
    typed: Typed


@dataclass(slots=True)
class Relation:
    """One thing in FROM; ``table`` is set for real tables."""

    alias: str
    columns: list[Found]
    pg: str = ""
    schema: str = ""
    table: TableInfo | None = None
    hints: tuple[str, ...] = ()


@dataclass(slots=True)
class Scope:
    """Names of one query; what it does not know its parent may."""

    parent: Scope | None = None
    relations: list[Relation] = field(default_factory=list)
    ctes: dict[str, tuple[str, list[tuple[str, Typed]]]] = field(default_factory=dict)
    groups: list[tuple[Any, Typed]] = field(default_factory=list)
    grouped: bool = False

    def parent_only(self) -> Scope:
        """What a derived table sees: the CTEs of its query, not its neighbours."""
        return Scope(parent=self.parent, ctes=self.ctes)

    def cte(self, name: str) -> tuple[str, list[tuple[str, Typed]]] | None:
        found = self.ctes.get(name.casefold())
        return found or (self.parent.cte(name) if self.parent else None)

    def column(self, name: tree.Name) -> Typed:
        """What a column's name means.

        :raises SqlError: 207, 209 or 4104.
        """
        scope: Scope | None = self
        while scope is not None:
            found = _matches(scope.relations, name)
            if len(found) > 1:
                raise SqlError(209, f"Ambiguous column name '{name.parts[-1]}'.", line=name.line)
            if found:
                return found[0]
            scope = scope.parent
        if len(name.parts) > 1:
            text = f'The multi-part identifier "{".".join(name.parts)}" could not be bound.'
            if not self._knows(name.parts[-2]):
                raise SqlError(4104, text, line=name.line)
        raise SqlError(207, f"Invalid column name '{name.parts[-1]}'.", line=name.line)

    def _knows(self, alias: str) -> bool:
        here = any(item.alias.casefold() == alias.casefold() for item in self.relations)
        return here or (self.parent._knows(alias) if self.parent else False)

    def star(self, parts: tuple[str, ...]) -> list[Found]:
        """``*`` or ``t.*``.

        :raises SqlError: 107 for an unknown prefix, 263 without FROM.
        """
        relations = [item for item in self.relations if not parts or _is(item, parts)]
        if not relations:
            if parts:
                text = (
                    f"The column prefix '{'.'.join(parts)}' does not match with a table name or alias name "
                    f"used in the query."
                )
                raise SqlError(107, text, severity=15)
            raise SqlError(263, "Must specify table to select from.")
        return [column for item in relations for column in item.columns]


def _is(relation: Relation, parts: tuple[str, ...]) -> bool:
    if relation.alias.casefold() != parts[-1].casefold():
        return False
    return len(parts) < 2 or not parts[-2] or (relation.schema or "dbo").casefold() == parts[-2].casefold()


def _matches(relations: list[Relation], name: tree.Name) -> list[Typed]:
    wanted = name.parts[-1].casefold()
    return [
        column.typed
        for relation in relations
        if len(name.parts) == 1 or _is(relation, name.parts[:-1])
        for column in relation.columns
        if column.name.casefold() == wanted
    ]

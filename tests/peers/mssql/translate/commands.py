"""What definitions, control flow and the other commands are made of once they are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.peers.mssql.interface import SqlType


@dataclass(slots=True)
class ColumnDefinition:
    name: str
    type: SqlType | None
    nullable: bool | None = None
    identity: tuple[int, int] | None = None
    default: Any = None
    default_text: str = ""
    default_name: str = ""
    computed: Any = None
    computed_text: str = ""
    persisted: bool = False


@dataclass(slots=True)
class Constraint:
    """``kind`` is primary, unique, check, foreign or index."""

    kind: str
    name: str = ""
    columns: tuple[str, ...] = ()
    descending: tuple[bool, ...] = ()
    clustered: bool | None = None
    condition: Any = None
    text: str = ""
    reference: tuple[str, ...] = ()
    reference_columns: tuple[str, ...] = ()
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"
    ignore_dup_key: bool = False
    included: tuple[str, ...] = ()


@dataclass(slots=True)
class CreateTable:
    name: tuple[str, ...]
    columns: list[ColumnDefinition]
    constraints: list[Constraint]


@dataclass(slots=True)
class CreateIndex:
    table: tuple[str, ...]
    constraint: Constraint
    unique: bool


@dataclass(slots=True)
class AlterTable:
    """``action`` is add, drop column, drop constraint, alter column, enable, disable."""

    table: tuple[str, ...]
    action: str
    columns: list[ColumnDefinition] = field(default_factory=list)
    constraints: list[Constraint] = field(default_factory=list)
    names: tuple[str, ...] = ()
    if_exists: bool = False


@dataclass(slots=True)
class Drop:
    """``kind`` is TABLE, VIEW, INDEX, SCHEMA, DATABASE, TRIGGER, …."""

    kind: str
    names: list[tuple[str, ...]]
    if_exists: bool = False


@dataclass(slots=True)
class Create:
    """``kind`` is SCHEMA, DATABASE, VIEW, TRIGGER, LOGIN, USER."""

    kind: str
    name: tuple[str, ...]
    body: Any = None
    text: str = ""
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class AlterDatabase:
    name: str
    option: str
    value: str


@dataclass(slots=True)
class Truncate:
    table: tuple[str, ...]


@dataclass(slots=True)
class Grant:
    """``verb`` is GRANT, DENY or REVOKE."""

    verb: str
    permissions: list[str]
    kind: str
    name: tuple[str, ...]
    principals: list[str]


@dataclass(slots=True)
class Declare:
    variables: list[tuple[str, SqlType, Any]]
    table: CreateTable | None = None


@dataclass(slots=True)
class SetVariable:
    name: str
    operator: str
    value: Any


@dataclass(slots=True)
class SetOption:
    names: list[str]
    value: Any
    table: tuple[str, ...] = ()


@dataclass(slots=True)
class If:
    condition: Any
    then: Any
    otherwise: Any = None


@dataclass(slots=True)
class While:
    condition: Any
    body: Any


@dataclass(slots=True)
class Block:
    statements: list[Any]


@dataclass(slots=True)
class Try:
    body: Block
    handler: Block


@dataclass(slots=True)
class Transaction:
    """``verb`` is BEGIN, COMMIT, ROLLBACK or SAVE."""

    verb: str
    name: Any = ""


@dataclass(slots=True)
class Execute:
    """``EXEC (text)`` has no name; ``result`` receives the return value."""

    name: tuple[str, ...]
    arguments: list[tuple[str, Any, bool]]
    text: Any = None
    result: str = ""


@dataclass(slots=True)
class Print:
    value: Any


@dataclass(slots=True)
class Raise:
    """RAISERROR or THROW; ``number`` None re-raises."""

    verb: str
    arguments: list[Any]


@dataclass(slots=True)
class Jump:
    """BREAK, CONTINUE, RETURN."""

    verb: str
    value: Any = None


@dataclass(slots=True)
class Use:
    database: str


@dataclass(slots=True)
class WaitFor:
    seconds: Any


@dataclass(slots=True)
class Nothing:
    """A statement that has no effect here."""

    verb: str

"""What T-SQL statements are made of once they are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.peers.mssql.interface import SqlType

VARIABLE = "\x01"  # before the name of a table variable, so that a table may be called [@t]


@dataclass(slots=True)
class Literal:
    value: Any
    type: SqlType


@dataclass(slots=True)
class Null:
    pass


@dataclass(slots=True)
class Default:
    pass


@dataclass(slots=True)
class Variable:
    name: str


@dataclass(slots=True)
class Name:
    parts: tuple[str, ...]
    line: int = 1


@dataclass(slots=True)
class Star:
    parts: tuple[str, ...] = ()


@dataclass(slots=True)
class Unary:
    operator: str
    operand: Any


@dataclass(slots=True)
class Binary:
    operator: str
    left: Any
    right: Any


@dataclass(slots=True)
class Over:
    partition: list[Any]
    order: list[Order]
    frame: str = ""


@dataclass(slots=True)
class Call:
    name: str
    arguments: list[Any]
    distinct: bool = False
    over: Over | None = None
    within: list[Order] | None = None
    line: int = 1


@dataclass(slots=True)
class Cast:
    operand: Any
    type: SqlType
    style: Any = None
    attempt: bool = False


@dataclass(slots=True)
class Case:
    operand: Any
    whens: list[tuple[Any, Any]]
    otherwise: Any


@dataclass(slots=True)
class In:
    operand: Any
    items: list[Any]
    query: Any = None
    negated: bool = False


@dataclass(slots=True)
class Between:
    operand: Any
    low: Any
    high: Any
    negated: bool = False


@dataclass(slots=True)
class Like:
    operand: Any
    pattern: Any
    escape: Any = None
    negated: bool = False


@dataclass(slots=True)
class IsNull:
    operand: Any
    negated: bool = False


@dataclass(slots=True)
class Distinct:
    """``a IS [NOT] DISTINCT FROM b``."""

    left: Any
    right: Any
    negated: bool


@dataclass(slots=True)
class Exists:
    query: Any


@dataclass(slots=True)
class Scalar:
    query: Any


@dataclass(slots=True)
class Quantified:
    operator: str
    operand: Any
    kind: str
    query: Any


@dataclass(slots=True)
class Collate:
    operand: Any
    collation: str


@dataclass(slots=True)
class Order:
    expression: Any
    descending: bool = False


@dataclass(slots=True)
class Item:
    """One item of a select list; ``variable`` for ``@x = …``."""

    expression: Any
    alias: str = ""
    variable: str = ""


@dataclass(slots=True)
class Table:
    parts: tuple[str, ...]
    alias: str = ""
    hints: tuple[str, ...] = ()
    line: int = 1


@dataclass(slots=True)
class Derived:
    query: Any
    alias: str
    names: tuple[str, ...] = ()


@dataclass(slots=True)
class TableCall:
    call: Call
    alias: str = ""
    names: tuple[str, ...] = ()
    columns: list[tuple[str, SqlType, str]] = field(default_factory=list)


@dataclass(slots=True)
class Join:
    """``kind`` is inner, left, right, full, cross, cross apply or outer apply."""

    kind: str
    left: Any
    right: Any
    on: Any = None


@dataclass(slots=True)
class Top:
    count: Any
    percent: bool = False
    ties: bool = False


@dataclass(slots=True)
class Select:
    items: list[Item]
    distinct: bool = False
    top: Top | None = None
    into: tuple[str, ...] = ()
    source: Any = None
    where: Any = None
    group: list[Any] = field(default_factory=list)
    having: Any = None
    order: list[Order] = field(default_factory=list)
    offset: Any = None
    fetch: Any = None
    with_: list[tuple[str, tuple[str, ...], Any]] = field(default_factory=list)


@dataclass(slots=True)
class SetOperation:
    operator: str
    left: Any
    right: Any
    order: list[Order] = field(default_factory=list)
    offset: Any = None
    fetch: Any = None
    with_: list[tuple[str, tuple[str, ...], Any]] = field(default_factory=list)


@dataclass(slots=True)
class Values:
    rows: list[list[Any]]


@dataclass(slots=True)
class Output:
    items: list[Item]
    into: tuple[str, ...] = ()
    into_columns: tuple[str, ...] = ()


@dataclass(slots=True)
class Insert:
    target: Table
    columns: tuple[str, ...]
    source: Any
    output: Output | None = None
    with_: list[tuple[str, tuple[str, ...], Any]] = field(default_factory=list)
    top: Top | None = None


@dataclass(slots=True)
class Update:
    target: Table
    sets: list[tuple[Name | Variable, Any]]
    top: Top | None = None
    output: Output | None = None
    source: Any = None
    where: Any = None
    with_: list[tuple[str, tuple[str, ...], Any]] = field(default_factory=list)


@dataclass(slots=True)
class Delete:
    target: Table
    top: Top | None = None
    output: Output | None = None
    source: Any = None
    where: Any = None
    with_: list[tuple[str, tuple[str, ...], Any]] = field(default_factory=list)


@dataclass(slots=True)
class When:
    """``matched``, ``target`` (not matched [by target]) or ``source`` (not matched by source)."""

    kind: str
    condition: Any
    action: str
    sets: list[tuple[Any, Any]] = field(default_factory=list)
    columns: tuple[str, ...] = ()
    values: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class Merge:
    target: Table
    source: Any
    on: Any
    whens: list[When]
    output: Output | None = None
    with_: list[tuple[str, tuple[str, ...], Any]] = field(default_factory=list)

"""What the wire (TDS) and the engine (T-SQL on PostgreSQL) of the stand-in say to each other.

Values between them, by declared type: bit → bool; tinyint … bigint → int; decimal, numeric, money, smallmoney →
``decimal.Decimal``; real, float → float; char … nvarchar, text, ntext, xml, sysname → str (surrogates as ``\\udXXX``);
binary, varbinary, image, rowversion → bytes; uniqueidentifier → ``uuid.UUID``; date → ``datetime.date``; datetime,
smalldatetime → ``datetime.datetime``; time, datetime2, datetimeoffset → the classes below (100 ns ticks); NULL → None.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

MAX = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlType:
    """A declared type: ``nvarchar(50)`` has length 50 (characters), ``varbinary(max)`` has length :data:`MAX`."""

    name: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    collation: str = "SQL_Latin1_General_CP1_CI_AS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    name: str
    type: SqlType
    nullable: bool = True
    identity: bool = False
    computed: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Time:
    """time(n): 100 ns ticks since midnight."""

    ticks: int


@dataclass(frozen=True, slots=True, order=True)
class DateTime2:
    """datetime2(n): days since 0001-01-01 (which is 0) and ticks of the day."""

    days: int
    ticks: int


@dataclass(frozen=True, slots=True, order=True)
class DateTimeOffset:
    """datetimeoffset(n): days and ticks in UTC, and the offset in minutes."""

    days: int
    ticks: int
    minutes: int


class SqlError(Exception):
    """An error as SQL Server says it; severity 20 and more ends the connection, ``doomed`` rolls everything back."""

    def __init__(
        self, number: int, message: str, *, severity: int = 16, state: int = 1, line: int = 1, procedure: str = "",
        doomed: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(number, message)
        self.number, self.message, self.severity = number, message, severity
        self.state, self.line, self.procedure, self.doomed = state, line, procedure, doomed


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultSet:
    columns: Sequence[Column]
    rows: Iterable[Sequence[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """A statement is over; ``rows`` is None where SQL Server gives no count (DDL, SET, or SET NOCOUNT ON)."""

    rows: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """PRINT, a low-severity RAISERROR, or a server's note."""

    number: int
    text: str
    severity: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of an RPC, ``@p1``."""

    name: str
    type: SqlType
    value: Any
    output: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkOptions:
    keep_identity: bool = False
    check_constraints: bool = False
    fire_triggers: bool = False
    keep_nulls: bool = False
    tablock: bool = False


Result = ResultSet | Count | Message


class Session(Protocol):
    """One login. All calls but :meth:`cancel` come from one thread; a result is read whole before the next call."""

    database: str
    trancount: int

    def batch(self, sql: str, parameters: Sequence[Parameter] = ()) -> Iterator[Result]:
        """Run a batch (with the parameters of sp_executesql bound); statement by statement.

        A statement's error comes as :class:`SqlError` raised from the iterator (the batch is over then) or, where SQL
        Server goes on after it, is yielded: the iterator may yield :class:`SqlError` values too.
        """

    def describe(self, sql: str, parameters: Sequence[Parameter] = ()) -> Sequence[Column]:
        """Columns of the first result of a batch, nothing run (SET FMTONLY ON, sp_prepare)."""

    def bulk_columns(self, table: str, names: Sequence[str]) -> Sequence[Column]:
        """The table's columns of an INSERT BULK, in the order of its list (all that can be written when empty)."""

    def bulk_insert(
        self, table: str, columns: Sequence[Column], rows: Iterable[Sequence[Any]], options: BulkOptions
    ) -> int: ...

    def begin(self) -> None: ...

    def commit(self) -> None:
        """:raises SqlError: 3902 without a transaction."""

    def rollback(self) -> None: ...

    def cancel(self) -> None:
        """Stop what runs (attention); from any thread."""

    def close(self) -> None:
        """Roll back and forget temporary tables."""


class Engine(Protocol):
    def login(self, user: str, password: str, database: str) -> Session:
        """:raises SqlError: 18456 for a wrong password, 4060 for a database that is not there."""

    def close(self) -> None: ...

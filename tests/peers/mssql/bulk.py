"""INSERT BULK by PostgreSQL's COPY."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tests.peers.mssql.interface import MAX, BulkOptions, Column, SqlError, SqlType
from tests.peers.mssql.translate import types
from tests.peers.mssql.translate.scope import ColumnInfo, TableInfo
from tests.peers.mssql.translate.statements import Statements
from tests.peers.mssql.values import DAY, guarded, literal

_SPECIAL = re.compile(r"[\\\t\n\r]")
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def columns(session: Any, table: str, names: Sequence[str]) -> list[Column]:
    """The columns an INSERT BULK writes.

    :raises SqlError: 208, 207.
    """
    info = _table(session, table)
    chosen: list[ColumnInfo] = []
    for name in names:
        found = info.column(name)
        if found is None:
            raise SqlError(207, f"Invalid column name '{name}'.")
        chosen.append(found)
    chosen = chosen or [item for item in info.columns if item.writable]
    return [
        Column(
            name=item.name, type=item.type, nullable=item.nullable, identity=item.identity, computed=not item.writable
        )
        for item in chosen
    ]


def _table(session: Any, table: str) -> TableInfo:
    parts = Statements(table).names()
    found = session.table(parts)
    if found is None:
        raise SqlError(208, f"Invalid object name '{table}'.")
    return found  # type: ignore[no-any-return]


def insert(
    session: Any, table: str, given: Sequence[Column], rows: Iterable[Sequence[Any]], options: BulkOptions
) -> int:
    """Copy rows in; an identity column is numbered by the server unless its values are to be kept."""
    info = _table(session, table)
    binder = session.binder()
    binder.needs.append((info, "INSERT"))
    session.check_rights(binder)
    targets = [info.column(item.name) for item in given]
    places = [
        place for place, item in enumerate(targets)
        if item is not None and item.writable and not (item.identity and not options.keep_identity)
    ]  # fmt: skip
    chosen = [targets[place] for place in places]
    if options.tablock:
        session.run(f"LOCK TABLE {info.pg} IN SHARE ROW EXCLUSIVE MODE")
    defaults = [item for item in chosen if item.default] if not options.keep_nulls else []
    names = ", ".join(item.pg for item in chosen)
    goal = info.pg
    if defaults:
        goal = f"pg_temp.b{session.next_temporary()}"
        session.run(f"CREATE TEMP TABLE {goal.removeprefix('pg_temp.')} AS SELECT {names} FROM {info.pg} WITH NO DATA")
    source = _Source(lines([item.type for item in chosen], [item.name for item in chosen], places, rows))
    count = session.connection.copy(f"COPY {goal} ({names}) FROM STDIN", source)
    if defaults:
        _from_staging(session, info, chosen, defaults, goal)
    if options.keep_identity:
        session.renumber(info)
    return int(count)


def _from_staging(
    session: Any, info: TableInfo, chosen: list[ColumnInfo], defaults: list[ColumnInfo], goal: str
) -> None:
    """NULL takes the column's default where nulls are not kept."""
    numbers = {item.pg for item in defaults}
    found = session.run(
        "SELECT attname, pg_get_expr(adbin, adrelid) FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid "
        f"AND a.attnum = d.adnum WHERE d.adrelid = '{info.pg}'::regclass"
    )
    known = dict(found)
    cells = ", ".join(f"coalesce({item.pg}, {known[item.pg]})" if item.pg in numbers else item.pg for item in chosen)
    session.run(
        f"INSERT INTO {info.pg} ({', '.join(item.pg for item in chosen)}) SELECT {cells} FROM {goal}; DROP TABLE {goal}"
    )


class _Source:
    """Lines as the file COPY reads."""

    def __init__(self, lines_: Iterator[str]) -> None:
        self._lines = lines_
        self._rest = b""
        self.error: BaseException | None = None

    def read(self, size: int = 65536) -> bytes:
        try:
            return self._read(size)
        except BaseException as error:
            self.error = error
            raise

    def _read(self, size: int) -> bytes:
        found, total = [self._rest], len(self._rest)
        while total < size:
            block = "".join([line for _, line in zip(range(256), self._lines, strict=False)]).encode()
            if not block:
                break
            found.append(block)
            total += len(block)
        whole = b"".join(found)
        self._rest = whole[size:]
        return whole[:size]


def lines(
    kinds: Sequence[SqlType], names: Sequence[str], places: Sequence[int], rows: Iterable[Sequence[Any]]
) -> Iterator[str]:
    """Rows in COPY's text form; the function for a row is made once."""
    space: dict[str, Any] = {
        f"f{n}": encoder(kind, name) for n, (kind, name) in enumerate(zip(kinds, names, strict=True))
    }
    cells = []
    for number, place in enumerate(places):
        value = _inline(kinds[number]).format(f"r[{place}]") or f"f{number}(r[{place}])"
        cells.append(f"{{N if r[{place}] is None else {value}}}")
    space["N"] = "\\N"
    body = "\t".join(cells).replace("\t", "\\t")
    encode = eval(f'lambda r: f"{body}\\n"', space)
    return map(encode, rows)


def _inline(kind: SqlType) -> str:
    """What needs no function of its own; PostgreSQL checks the digits of decimals."""
    if kind.name in {*types.INTEGERS, *types.DECIMALS, "date", "uniqueidentifier"}:
        return "{0}"
    return {"time": "{0}.ticks", "datetime2": f"{{0}}.days * {DAY} + {{0}}.ticks"}.get(kind.name, "")


def encoder(kind: SqlType, name: str) -> Callable[[Any], Any]:
    """What writes a value of a type for COPY.

    :raises SqlError: when called with a text or binary that is too long (4815 of the bulk load).
    """
    if kind.name in types.STRINGS:
        return _text(kind, name)
    if kind.name in types.BINARIES:
        return _bytes(kind, name)
    found: dict[str, Callable[[Any], Any]] = {
        "bit": lambda value: "t" if value else "f",
        "datetimeoffset": lambda value: f"({value.days * DAY + value.ticks},{value.minutes})",
        "datetime": lambda value: value.isoformat(" "),
        "smalldatetime": lambda value: value.isoformat(" "),
        "sql_variant": lambda value: literal(value, kind)[1:-7].replace("''", "'").translate(_ESCAPES),
        "real": repr,
        "float": repr,
    }
    return found.get(kind.name, str)


def _text(kind: SqlType, name: str) -> Callable[[str], str]:
    padded = kind.name in {"char", "nchar"}
    limit = kind.length

    def write(value: str) -> str:
        if limit != MAX and len(value) + (0 if value.isascii() else sum(c > "\uffff" for c in value)) > limit:
            if len(value.rstrip(" ")) > limit:
                raise SqlError(4863, f"Bulk load data conversion error (truncation) for row 1, column 1 ({name}).")
            value = value[:limit]
        if padded:
            value = value.ljust(limit)
        if not value.isascii() or "\0" in value:
            value = guarded(value)
        return value.translate(_ESCAPES) if _SPECIAL.search(value) else value

    return write


def _bytes(kind: SqlType, name: str) -> Callable[[bytes], str]:
    def write(value: bytes) -> str:
        if kind.length not in (MAX, 0) and len(value) > kind.length:
            raise SqlError(4863, f"Bulk load data conversion error (truncation) for row 1, column 1 ({name}).")
        if kind.name == "binary":
            value = value.ljust(kind.length, b"\0")
        return f"\\\\x{value.hex()}"

    return write

"""What the account must hold, worked out from what Databricks answers; and what it holds, by the plain connector."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from icebridge_provider.demo.databricks.workspace import LocalWorkspace
from icebridge_provider.demo.snowflake.account import LocalAccount
from icebridge_provider.demo.snowflake.estate import DATABASE, SCHEMA, Kind, Shared, Window

Row = tuple[Any, ...]
Columns = Sequence[tuple[str, Kind]]
_WRITES = ("COPY INTO", "INSERT", "DELETE", "ALTER TABLE", "CREATE", "MERGE", "UPDATE", "DROP")
_OWN = '"ICEBRIDGE_LOADS"'  # the bridge's own note of its runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One table of the account beside what it must hold.

    :param missing, extra: rows that it lacks, and that it should not have.
    :param sums: of one column, expected and by the account's own SUM.
    """

    table: str
    mode: str
    expected: int
    rows: int
    summed: str
    sums: tuple[Any, Any]
    missing: int
    extra: int

    @property
    def same(self) -> bool:
        """Whether every row is as it must be."""
        return self.missing == self.extra == 0 and self.expected == self.rows and self.sums[0] == self.sums[1]


class Expected:
    """What the account's tables must hold after each run: a plain model of append, replace and upsert."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Row]] = {}
        self._columns: dict[str, tuple[tuple[str, Kind], ...]] = {}

    def loaded(self, table: Shared, columns: Columns, rows: Iterable[Row]) -> None:
        """Take a run's rows into account, as read from the source by a query of our own."""
        given, names = list(rows), [name for name, _ in columns]
        width = len(self._columns.get(table.name, columns))
        before = [(*row, *(None for _ in columns[width:])) for row in self._rows.get(table.name, ())]
        if table.mode == "append":
            given = before + given
        elif table.mode == "upsert":
            at = [names.index(name) for name in table.key]
            given = list({tuple(row[place] for place in at): row for row in [*before, *given]}.values())
        self._rows[table.name], self._columns[table.name] = given, tuple(columns)

    def compare(self, account: LocalAccount, table: Shared) -> Compared:
        """Read every row of the account's table and hold it against the model."""
        columns, expected = self._columns[table.name], self._rows[table.name]
        found = target_rows(account, table.target(), columns)
        names = [name for name, _ in columns]
        at = names.index(table.summed)
        there, here = Counter(found), Counter(expected)
        return Compared(
            table=".".join(table.target()),
            mode=table.mode,
            expected=len(expected),
            rows=len(found),
            summed=table.summed,
            sums=(_sum(row[at] for row in expected), _rounded(_summed(account, table))),
            missing=(here - there).total(),
            extra=(there - here).total(),
        )


def source_rows(workspace: LocalWorkspace, table: Shared, columns: Columns, window: Window | None = None) -> list[Row]:
    """Read a table in Databricks, or its rows of some days, by SQL of our own."""
    shown = {Kind.JSON: "to_json({}, map('ignoreNullFields', 'false'))", Kind.BYTES: "hex({})"}
    chosen = ", ".join(shown.get(kind, "{}").format(f"`{name}`") for name, kind in columns)
    where = ""
    if table.where and window is not None:
        where = table.where.replace(":since", f"DATE '{window.since}'").replace(":until", f"DATE '{window.until}'")
        where = f" WHERE {where}"
    rows = workspace.run(f"SELECT {chosen} FROM {table.source}{where}")  # noqa: S608 - the demo's own names
    return [_row(row, columns) for row in rows]


def target_rows(account: LocalAccount, target: Sequence[str], columns: Columns) -> list[Row]:
    """Read a table of the account by the plain connector."""
    chosen = ", ".join(f'"{name}"' for name, _ in columns)
    rows = account.rows(f"SELECT {chosen} FROM {'.'.join(target)}")  # noqa: S608 - the demo's own names
    return [_row(row, columns) for row in rows]


def comment(account: LocalAccount, target: Sequence[str]) -> str:
    """Return what the account says of a table."""
    database, schema, name = target
    query = (
        f"SELECT COMMENT FROM {database}.INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = %(s)s AND TABLE_NAME = %(n)s"  # noqa: S608
    )
    rows = account.rows(query, {"s": schema, "n": name})
    return str(rows[0][0] or "") if rows else ""


def tables(account: LocalAccount) -> list[str]:
    """Return the names of all tables in the schema of the story."""
    query = f"SELECT TABLE_NAME FROM {DATABASE}.INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = %(schema)s ORDER BY 1"  # noqa: S608
    return [str(name) for (name,) in account.rows(query, {"schema": SCHEMA})]


def writes(workspace: LocalWorkspace, account: LocalAccount) -> tuple[int, int]:
    """Count the statements so far that write: exports in Databricks; in Snowflake all but the bridge's own notes."""
    exports = sum("INSERT OVERWRITE" in (item.query_text or "") for item in _history(workspace))
    return exports, writing(str(item["text"]) for item in account.queries())


def writing(statements: Iterable[str]) -> int:
    """Count the statements that write rows or tables, but for the bridge's own notes."""
    texts = (" ".join(text.upper().split()) for text in statements)
    return sum(text.startswith(_WRITES) and _OWN not in text for text in texts)


def _history(workspace: LocalWorkspace) -> list[Any]:
    api, found, token = workspace.client("admin").query_history, [], None
    while True:
        page = api.list(max_results=1000, page_token=token)
        found += list(page.res or ())
        token = page.next_page_token if page.has_next_page else None
        if not token:
            return found


def _summed(account: LocalAccount, table: Shared) -> Any:
    target = ".".join(table.target())
    return account.rows(f'SELECT SUM("{table.summed}") FROM {target}')[0][0]  # noqa: S608 - the demo's own names


def _sum(values: Iterable[Any]) -> Any:
    return _rounded(sum((Decimal(str(value)) for value in values if value is not None), Decimal(0)))


def _rounded(value: Any) -> Decimal:
    """Floats are added up in any order: two places are the same in all of them."""
    return Decimal(str(value or 0)).quantize(Decimal("0.01"))


def _row(values: Sequence[Any], columns: Columns) -> Row:
    return tuple(plain(value, kind) for value, (_, kind) in zip(values, columns, strict=True))


def plain(value: Any, kind: Kind) -> Any:
    """Return a value as it is compared, whether Databricks wrote it as text or the connector gave it as Python's."""
    if value is None:
        return None
    return _READ[kind](value) if isinstance(value, str) else _NATIVE.get(kind, _READ[kind])(value)


def _json(value: str) -> str:
    return json.dumps(json.loads(value), sort_keys=True, ensure_ascii=False)


def _instant(value: datetime) -> datetime:
    return value.astimezone(UTC)


_READ: dict[Kind, Callable[[Any], Any]] = {
    Kind.TEXT: str,
    Kind.WHOLE: int,
    Kind.DECIMAL: lambda value: Decimal(value).normalize(),
    Kind.FLOAT: float,
    Kind.BOOLEAN: lambda value: value == "true",
    Kind.DATE: date.fromisoformat,
    Kind.TIME: datetime.fromisoformat,
    Kind.INSTANT: lambda value: _instant(datetime.fromisoformat(value)),
    Kind.BYTES: str.upper,
    Kind.JSON: _json,
}
_NATIVE: dict[Kind, Callable[[Any], Any]] = {
    Kind.BOOLEAN: bool,
    Kind.DATE: lambda value: value,
    Kind.TIME: lambda value: value,
    Kind.INSTANT: _instant,
    Kind.BYTES: lambda value: bytes(value).hex().upper(),
}

"""INFORMATION_SCHEMA's table functions over queries and loads, put into a statement as rows."""

from __future__ import annotations

import datetime
from typing import Any

import pyarrow as pa

from tests.peers.snowflake.errors import SnowflakeError, compilation, refused
from tests.peers.snowflake.lexer import Reader, Token, closing
from tests.peers.snowflake.loads import history_table
from tests.peers.snowflake.session import Session
from tests.peers.snowflake.world import SUPER, Query

QUERY_FUNCTIONS = {"QUERY_HISTORY", "QUERY_HISTORY_BY_SESSION", "QUERY_HISTORY_BY_USER", "QUERY_HISTORY_BY_WAREHOUSE"}
QUERY_COLUMNS = {
    "QUERY_ID": "VARCHAR", "QUERY_TEXT": "VARCHAR", "DATABASE_NAME": "VARCHAR", "SCHEMA_NAME": "VARCHAR",
    "QUERY_TYPE": "VARCHAR", "SESSION_ID": "NUMBER", "USER_NAME": "VARCHAR", "ROLE_NAME": "VARCHAR",
    "WAREHOUSE_NAME": "VARCHAR", "QUERY_TAG": "VARCHAR", "EXECUTION_STATUS": "VARCHAR", "ERROR_CODE": "VARCHAR",
    "ERROR_MESSAGE": "VARCHAR", "START_TIME": "TIMESTAMP_LTZ", "END_TIME": "TIMESTAMP_LTZ",
    "TOTAL_ELAPSED_TIME": "NUMBER", "ROWS_PRODUCED": "NUMBER",
}  # fmt: skip
COPY_COLUMNS = {
    "FILE_NAME": "VARCHAR", "STAGE_LOCATION": "VARCHAR", "LAST_LOAD_TIME": "TIMESTAMP_LTZ", "ROW_COUNT": "NUMBER",
    "ROW_PARSED": "NUMBER", "FILE_SIZE": "NUMBER", "FIRST_ERROR_MESSAGE": "VARCHAR",
    "ERROR_COUNT": "NUMBER", "STATUS": "VARCHAR", "TABLE_CATALOG_NAME": "VARCHAR", "TABLE_SCHEMA_NAME": "VARCHAR",
    "TABLE_NAME": "VARCHAR",
}  # fmt: skip
HISTORY = "_IB_HISTORY_"
SPOKEN = {"LOADED": "Loaded", "PARTIALLY_LOADED": "Partially loaded", "LOAD_FAILED": "Load failed"}


def expand(session: Session, sql: str) -> tuple[str, dict[str, pa.Table]]:
    """The statement with every ``TABLE(INFORMATION_SCHEMA.F(…))`` of these functions replaced by a table's name.

    Gives the tables too: the engine must know them while it runs the statement.
    """
    tables: dict[str, pa.Table] = {}
    if "_HISTORY" not in sql.upper():
        return sql, tables
    reader = Reader(sql)
    found, pieces, last = reader.found, [], 0
    for place, token in enumerate(found):
        call = _call(found, place) if token.upper == "TABLE" else None
        if call is None:
            continue
        function, database, opened, end = call
        name = f"{HISTORY}{len(tables)}"
        tables[name] = _rows(session, function, database, found[opened + 1 : end - 1])
        pieces += [sql[last : token.start], name]
        last = found[end].end
    return "".join([*pieces, sql[last:]]), tables


def _call(found: list[Token], place: int) -> tuple[str, str | None, int, int] | None:
    """Of ``TABLE ( [db .] INFORMATION_SCHEMA . F ( … ) )``: F, db, the inner bracket and the last one."""
    at = place + 2
    if found[place + 1].raw != "(":
        return None
    database = None
    if found[at + 1].raw == "." and found[at + 2].upper == "INFORMATION_SCHEMA":
        database, at = found[at].value, at + 2
    if found[at].upper == "INFORMATION_SCHEMA":
        at += 2
    function = found[at].value
    if function not in QUERY_FUNCTIONS | {"COPY_HISTORY"}:
        return None
    return function, database, at + 1, closing(found, place + 1)


def _rows(session: Session, function: str, database: str | None, inner: list[Token]) -> pa.Table:
    given = _arguments(session, inner)
    if function == "COPY_HISTORY":
        return _table(COPY_COLUMNS, _loads(session, database, given))
    return _table(QUERY_COLUMNS, _queries(session, function, given))


def _arguments(session: Session, inner: list[Token]) -> dict[str, Any]:
    """``NAME => value``: texts, numbers, and times that the engine works out."""
    given: dict[str, Any] = {}
    at = 0
    while at < len(inner):
        if at + 1 >= len(inner) or inner[at + 1].raw != "=>":
            raise refused("arguments by place")
        start, depth, end = at + 2, 0, at + 2
        while end < len(inner) and (depth or inner[end].raw != ","):
            depth += {"(": 1, ")": -1}.get(inner[end].raw, 0) if inner[end].kind == "sign" else 0
            end += 1
        part = inner[start:end]
        given[inner[at].value] = part[0].value if len(part) == 1 else _time(session, part)
        at = end + 1
    return given


def _time(session: Session, part: list[Token]) -> datetime.datetime:
    """A time in the past, as ``DATEADD(unit, -n, CURRENT_TIMESTAMP())`` or ``'…'::timestamp_ltz`` give it."""
    if part[0].kind == "text":
        return _aware(part[0].value)
    words = [token.raw.upper() for token in part]
    if words[0] in {"CURRENT_TIMESTAMP", "SYSDATE", "GETDATE"}:
        return session.world.now()
    if words[0] not in {"DATEADD", "TIMESTAMPADD"} or words[3] != ",":
        raise refused("this expression of time")
    sign, number = (-1, words[5]) if words[4] == "-" else (1, words[4])
    unit = part[2].value.strip("'").lower().rstrip("s") + "s"
    return session.world.now() + sign * datetime.timedelta(**{unit: int(number)})


def _aware(text: str) -> datetime.datetime:
    found = datetime.datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def _queries(session: Session, function: str, given: dict[str, Any]) -> list[tuple[Any, ...]]:
    world = session.world
    limit = int(given.get("RESULT_LIMIT", 100))
    if not 1 <= limit <= 10_000:
        raise compilation(1006, "22023", "RESULT_LIMIT must be between 1 and 10000.")
    with world.lock:
        everything = list(reversed(world.queries.values()))
    wanted = int(given.get("SESSION_ID", session.id)) if function.endswith("SESSION") else None
    week = world.now() - datetime.timedelta(days=7)
    start, end = given.get("END_TIME_RANGE_START", week), given.get("END_TIME_RANGE_END", world.now())
    start, end = (_aware(one) if isinstance(one, str) else one for one in (start, end))
    found = [
        one
        for one in everything
        if (one.session.user == session.user or session.role in SUPER)
        and (wanted is None or one.session.id == wanted)
        and max(start, week) <= (one.ended or world.now()) <= end + datetime.timedelta(seconds=1)
    ]
    return [_query_row(session, one) for one in found[:limit]]


def _query_row(session: Session, one: Query) -> tuple[Any, ...]:
    ended = one.ended or session.world.now()
    return (
        one.id, one.text, one.database, one.schema, one.text.split(None, 1)[0].upper() if one.text.strip() else "",
        one.session.id, one.session.user, one.role, one.session.warehouse, one.tag, one.status,
        f"{one.error.code:06d}" if one.error else None, one.error.message if one.error else None,
        one.started, one.ended,
        int((ended - one.started).total_seconds() * 1000), one.rows,
    )  # fmt: skip


def _loads(session: Session, database: str | None, given: dict[str, Any]) -> list[tuple[Any, ...]]:
    if "TABLE_NAME" not in given or "START_TIME" not in given:
        raise compilation(1044, "42P13", "COPY_HISTORY needs TABLE_NAME and START_TIME.")
    reader = Reader(str(given["TABLE_NAME"]))
    name = reader.name()
    reader.done()
    if database is not None and len(name) < 3:
        name = (database, *(name if len(name) == 2 else (str(session.conn._schema), *name)))
    table = session.resolve(name)
    start, end = given["START_TIME"], given.get("END_TIME", session.world.now())
    start, end = (_aware(one) if isinstance(one, str) else one for one in (start, end))
    if start < session.world.now() - datetime.timedelta(days=14):
        raise SnowflakeError(
            1045, "22023", "Cannot retrieve data from more than 14 days ago by COPY_HISTORY (see ACCOUNT_USAGE)."
        )
    sql = (
        f"SELECT url, stage, epoch_us(loaded_at), loaded, parsed, size, first_error, errors, status "
        f"FROM {history_table(table[0])} WHERE schema_name = ? AND table_name = ? AND loaded_at BETWEEN ? AND ? "
        "ORDER BY loaded_at, url LIMIT 10000"
    )
    rows = session.duck.execute(sql, [*table[1:], start, end]).fetchall()
    return [(*row[:2], _moment(row[2]), *row[3:8], SPOKEN[row[8]], *table) for row in rows]


def _moment(micros: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(micros / 1e6, datetime.UTC)


def _table(columns: dict[str, str], rows: list[tuple[Any, ...]]) -> pa.Table:
    kinds = {"VARCHAR": pa.string(), "NUMBER": pa.int64(), "TIMESTAMP_LTZ": pa.timestamp("us", tz="UTC")}
    schema = pa.schema([(name, kinds[kind]) for name, kind in columns.items()])
    return pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in rows], schema=schema)

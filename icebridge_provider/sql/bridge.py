"""Statements of the event sync for databases behind a plain DB-API connection: SQLite and PostgreSQL.

Every name is quoted, every value bound: a statement has as many places (``?`` or ``%s``) as its docstring says.
Times are texts, ISO 8601 in UTC with microseconds, by the database's own clock.
"""

from __future__ import annotations

from collections.abc import Sequence

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.sql.identifiers import quoted

SQLITE, POSTGRES = "sqlite", "postgres"
STAGE = "icebridge_stage"
EVENT_COLUMNS = (
    "event_id", "operation", "source_table", "target_table", "primary_keys", "priority", "status", "rows_expected",
    "rows_affected", "discrepancy", "warning", "error_message", "filter_conditions", "metadata", "created_at",
    "processed_at", "attempt", "claimed_by", "claimed_until", "released_rows",
)  # fmt: skip
INBOX_COLUMNS = (
    "event_id", "payload", "attempt", "status", "rows_expected", "rows_affected", "discrepancy", "warning",
    "error_message", "settled_at",
)  # fmt: skip
_NUMBERS = {"priority", "rows_expected", "rows_affected", "discrepancy", "attempt", "released_rows"}
_ISO = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
_CLAIMABLE = "(status = 'pending' OR (status = 'processing' AND claimed_until <= {now}))"
_OPEN = "status IN ('pending', 'processing', 'blocked')"

Name = Sequence[str]


def check_dialect(dialect: str) -> str:
    """Return a dialect that these statements are written for.

    :raises ConfigurationError: IB-851 for another one.
    """
    if dialect in {SQLITE, POSTGRES}:
        return dialect
    raise ConfigurationError(
        "IB-851",
        f"Events cannot be synced with a database that speaks {dialect!r}.",
        remedy=f"Use a connection to SQL Server, Databricks, {SQLITE} or {POSTGRES}.",
    )


def place(dialect: str) -> str:
    """Return the mark of a bound value."""
    return "?" if dialect == SQLITE else "%s"


def now(dialect: str) -> str:
    """Return the expression for the database's time."""
    if dialect == SQLITE:
        return "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')"
    return f"to_char(clock_timestamp() AT TIME ZONE 'UTC', '{_ISO}')"


def _later(dialect: str) -> str:
    """Now plus a bound number of seconds."""
    if dialect == SQLITE:
        return "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', ? || ' seconds')"
    return f"to_char((clock_timestamp() + make_interval(secs => %s)) AT TIME ZONE 'UTC', '{_ISO}')"


def create_table(table: Name, columns: Sequence[str], dialect: str) -> str:
    """Create the events table or the inbox; texts compare by their code points."""
    text = "TEXT" if dialect == SQLITE else 'TEXT COLLATE "C"'
    parts = [f"{name} {'BIGINT' if name in _NUMBERS else text}" for name in columns]
    parts[0] += " NOT NULL PRIMARY KEY"
    return f"CREATE TABLE IF NOT EXISTS {_table(table, dialect)} ({', '.join(parts)})"


def creation_lock() -> str:
    """Let one transaction of PostgreSQL at a time create our tables."""
    return "SELECT pg_advisory_xact_lock(4949401142126)"  # any constant will do


def no_rows(table: Name, dialect: str) -> str:
    """Select nothing: only the columns are looked at."""
    return f"SELECT * FROM {_table(table, dialect)} WHERE 1 = 0"  # noqa: S608 - the name is quoted


def clock(table: Name, dialect: str) -> str:
    """Read the time, and the newest event's."""
    return f"SELECT {now(dialect)}, MAX(created_at) FROM {_table(table, dialect)}"  # noqa: S608 - the name is quoted


def insert_event(table: Name, dialect: str) -> str:
    """Add an event unless its id is there: a value for each of :data:`EVENT_COLUMNS`."""
    marks = [place(dialect)] * len(EVENT_COLUMNS)
    return (
        f"INSERT INTO {_table(table, dialect)} ({', '.join(EVENT_COLUMNS)}) VALUES ({', '.join(marks)})"  # noqa: S608
        " ON CONFLICT (event_id) DO NOTHING"
    )


def waiting(table: Name, dialect: str) -> str:
    """Count what can be claimed, and tell one such set from another."""
    return (
        "SELECT COUNT(*), COALESCE(SUM(attempt), 0), COALESCE(MIN(event_id), ''), COALESCE(MAX(event_id), ''),"  # noqa: S608
        f" COALESCE(MAX(created_at), '') FROM {_table(table, dialect)} WHERE {_claimable(dialect)}"
    )


def waiting_events(table: Name, dialect: str) -> str:
    """Events that can be claimed: a limit."""
    return (
        f"SELECT {_shown(dialect)} FROM {_table(table, dialect)} WHERE {_claimable(dialect)}"  # noqa: S608
        f" ORDER BY priority DESC, created_at, event_id LIMIT {place(dialect)}"
    )


def ahead(table: Name, lanes: int, dialect: str) -> str:
    """Open events of some target tables: each table, then a limit."""
    return (
        f"SELECT {', '.join(EVENT_COLUMNS)} FROM (SELECT {_shown(dialect)}, ROW_NUMBER() OVER"  # noqa: S608
        f" (PARTITION BY COALESCE(target_table, '') ORDER BY created_at, event_id) AS place_in_lane"
        f" FROM {_table(table, dialect)} WHERE {_OPEN}"
        f" AND COALESCE(target_table, '') IN ({_marks(lanes, dialect)})) AS lanes"
        f" WHERE place_in_lane <= {place(dialect)} ORDER BY target_table, created_at, event_id"
    )


def claim(table: Name, ids: int, dialect: str) -> str:
    """Claim events: owner, seconds, then each id."""
    return (
        f"UPDATE {_table(table, dialect)} SET status = 'processing', attempt = attempt + 1,"  # noqa: S608
        f" claimed_by = {place(dialect)}, claimed_until = {_later(dialect)}"
        f" WHERE event_id IN ({_marks(ids, dialect)}) AND {_claimable(dialect)}"
    )


def claimed(table: Name, dialect: str) -> str:
    """Events of one claim: its owner."""
    return (
        f"SELECT {', '.join(EVENT_COLUMNS)} FROM {_table(table, dialect)}"  # noqa: S608
        f" WHERE claimed_by = {place(dialect)} AND status = 'processing'"
    )


def finish(table: Name, dialect: str) -> str:
    """Write how a claimed event ended: status, affected, discrepancy, warning, error; id, owner, attempt.

    ``rows_expected`` stays as the sender wrote it: it is part of what was asked for.
    """
    mark = place(dialect)
    return (
        f"UPDATE {_table(table, dialect)} SET status = {mark},"  # noqa: S608
        f" rows_affected = {mark}, discrepancy = {mark}, warning = {mark}, error_message = {mark},"
        f" processed_at = {now(dialect)}, claimed_until = '' WHERE {_own(dialect)}"
    )


def give_back(table: Name, dialect: str) -> str:
    """Make a claimed event pending: message, claims to take off; id, owner, attempt."""
    mark = place(dialect)
    return (
        f"UPDATE {_table(table, dialect)} SET status = 'pending', error_message = {mark},"  # noqa: S608
        f" attempt = attempt - {mark}, claimed_by = '', claimed_until = '' WHERE {_own(dialect)}"
    )


def note(table: Name, dialect: str) -> str:
    """Write a pending event's warning: warning, id."""
    mark = place(dialect)
    return f"UPDATE {_table(table, dialect)} SET warning = {mark} WHERE event_id = {mark} AND status = 'pending'"  # noqa: S608


def release(table: Name, dialect: str) -> str:
    """Let a blocked event run again: rows, id."""
    mark = place(dialect)
    return (
        f"UPDATE {_table(table, dialect)} SET status = 'pending', released_rows = {mark}, warning = '',"  # noqa: S608
        f" error_message = '', claimed_by = '' WHERE event_id = {mark} AND status = 'blocked'"
    )


def reject(table: Name, dialect: str) -> str:
    """End a blocked event: message, id."""
    mark = place(dialect)
    return (
        f"UPDATE {_table(table, dialect)} SET status = 'rejected', error_message = {mark},"  # noqa: S608
        f" processed_at = {now(dialect)} WHERE event_id = {mark} AND status = 'blocked'"
    )


def events(table: Name, dialect: str, *, by: str = "") -> str:
    """Events, newest first: a value of the column ``by`` where it is given (``status`` or ``event_id``), a limit."""
    where = f" WHERE {quoted(by, dialect=dialect)} = {place(dialect)}" if by else ""
    return (
        f"SELECT {', '.join(EVENT_COLUMNS)} FROM {_table(table, dialect)}{where}"  # noqa: S608
        f" ORDER BY created_at DESC, event_id DESC LIMIT {place(dialect)}"
    )


def begin_settling(table: Name, dialect: str) -> str:
    """Take an event's place in the inbox, unless it is taken: id, payload, attempt. A second worker waits here."""
    mark = place(dialect)
    return (
        f"INSERT INTO {_table(table, dialect)} (event_id, payload, attempt, status)"  # noqa: S608
        f" VALUES ({mark}, {mark}, {mark}, 'processing') ON CONFLICT (event_id) DO NOTHING"
    )


def settled(table: Name, ids: int, dialect: str, *, lock: bool = False) -> str:
    """Read inbox rows: each id; ``lock`` keeps others out until the transaction ends."""
    end = " FOR UPDATE" if lock and dialect == POSTGRES else ""
    return (
        f"SELECT {', '.join(INBOX_COLUMNS)} FROM {_table(table, dialect)}"  # noqa: S608
        f" WHERE event_id IN ({_marks(ids, dialect)}){end}"
    )


def settle(table: Name, dialect: str) -> str:
    """Fill an inbox row: payload, attempt, status, expected, affected, discrepancy, warning, error, id."""
    changed = [f"{name} = {place(dialect)}" for name in INBOX_COLUMNS[1:-1]]
    return (
        f"UPDATE {_table(table, dialect)} SET {', '.join(changed)}, settled_at = {now(dialect)}"  # noqa: S608
        f" WHERE event_id = {place(dialect)}"
    )


def rows(table: Name, columns: Sequence[tuple[str, bool]], filters: Sequence[tuple[str, bool]], dialect: str) -> str:
    """Read a source's rows: a value for each filter.

    :param columns: each with whether it is read as the server's own text.
    :param filters: columns, each with whether it is a text, which is compared exactly.
    """
    read = [
        f"CAST({_column(name, dialect)} AS text)" if as_text else _column(name, dialect) for name, as_text in columns
    ]
    exact = " COLLATE BINARY" if dialect == SQLITE else ' COLLATE "C"'
    tests = [f"{_column(name, dialect)}{exact * text} = {place(dialect)}" for name, text in filters]
    where = f" WHERE {' AND '.join(tests)}" if tests else ""
    return f"SELECT {', '.join(read)} FROM {_table(table, dialect)}{where}"  # noqa: S608


def create_stage(table: Name, columns: Sequence[tuple[str, str]], dialect: str) -> str:
    """Make the stage with a target's columns: name and, for SQLite, declared type and collation."""
    if dialect == POSTGRES:
        names = _list([name for name, _ in columns], dialect)
        return (
            f"CREATE TEMPORARY TABLE {STAGE} ON COMMIT DROP AS SELECT {names} FROM {_table(table, dialect)}"  # noqa: S608
            " WITH NO DATA"
        )
    return f"CREATE TEMPORARY TABLE {STAGE} ({', '.join(f'{_column(name, dialect)}{rest}' for name, rest in columns)})"


def fill_stage(columns: int, rows_a_statement: int, dialect: str) -> str:
    """Add rows to the stage: their values, row by row."""
    row = f"({_marks(columns, dialect)})"
    return f"INSERT INTO {_stage(dialect)} VALUES {', '.join([row] * rows_a_statement)}"  # noqa: S608


def drop_stage(dialect: str) -> str:
    """Drop the stage."""
    return f"DROP TABLE {_stage(dialect)}"


def null_keys(keys: Sequence[str], dialect: str) -> str:
    """Count staged rows that lack a key."""
    tests = " OR ".join(f"{_column(name, dialect)} IS NULL" for name in keys)
    return f"SELECT COUNT(*) FROM {_stage(dialect)} WHERE {tests}"  # noqa: S608


def equal_keys(keys: Sequence[str], dialect: str) -> str:
    """Count keys that stand in the stage more than once, under their collations."""
    names = _list(keys, dialect)
    return (
        f"SELECT COUNT(*) FROM (SELECT 1 FROM {_stage(dialect)} GROUP BY {names}"  # noqa: S608
        " HAVING COUNT(*) > 1) AS twice"
    )


def insert_rows(table: Name, columns: Sequence[str], dialect: str, *, identity: bool = False) -> str:
    """Insert all staged rows; ``identity``: values are given for a column that the server would number."""
    names = _list(columns, dialect)
    given = " OVERRIDING SYSTEM VALUE" if identity and dialect == POSTGRES else ""
    return f"INSERT INTO {_table(table, dialect)} ({names}){given} SELECT {names} FROM {_stage(dialect)}"  # noqa: S608


def update_rows(table: Name, keys: Sequence[str], columns: Sequence[str], dialect: str) -> str:
    """Set the columns of the rows whose keys are staged."""
    changed = ", ".join(f"{_column(name, dialect)} = s.{_column(name, dialect)}" for name in columns)
    return (
        f"UPDATE {_table(table, dialect)} AS t SET {changed} FROM {_stage(dialect)} AS s"  # noqa: S608
        f" WHERE {_same(keys, dialect)}"
    )


def delete_rows(table: Name, keys: Sequence[str], dialect: str) -> str:
    """Delete the rows whose keys are staged."""
    return (
        f"DELETE FROM {_table(table, dialect)} AS t"  # noqa: S608
        f" WHERE EXISTS (SELECT 1 FROM {_stage(dialect)} AS s WHERE {_same(keys, dialect)})"
    )


def _same(keys: Sequence[str], dialect: str) -> str:
    return " AND ".join(f"t.{_column(name, dialect)} = s.{_column(name, dialect)}" for name in keys)


def _own(dialect: str) -> str:
    mark = place(dialect)
    return f"event_id = {mark} AND claimed_by = {mark} AND attempt = {mark} AND status = 'processing'"


def _claimable(dialect: str) -> str:
    return _CLAIMABLE.format(now=now(dialect))


def _shown(dialect: str) -> str:
    """The columns of an event; one whose claim is over shows as pending."""
    over = f"CASE WHEN {_claimable(dialect)} THEN 'pending' ELSE status END AS status"
    return ", ".join(over if name == "status" else name for name in EVENT_COLUMNS)


def _stage(dialect: str) -> str:
    return quoted("temp" if dialect == SQLITE else "pg_temp", STAGE, dialect=dialect)


def _table(name: Name, dialect: str) -> str:
    return escaped(quoted(*name, dialect=dialect), dialect)


def _column(name: str, dialect: str) -> str:
    return escaped(quoted(name, dialect=dialect), dialect)


def _list(names: Sequence[str], dialect: str) -> str:
    return ", ".join(_column(name, dialect) for name in names)


def _marks(count: int, dialect: str) -> str:
    return ", ".join([place(dialect)] * count)


def escaped(text: str, dialect: str) -> str:
    """Return SQL whose percent signs are no places for values."""
    return text.replace("%", "%%") if dialect == POSTGRES else text

"""COPY INTO a table from Parquet files of a stage, with Snowflake's load history."""

from __future__ import annotations

import glob
from dataclasses import dataclass, field
from typing import Any

import duckdb

from tests.peers.snowflake import loads
from tests.peers.snowflake.errors import SnowflakeError, compilation, denied, missing, refused, syntax
from tests.peers.snowflake.lexer import Reader, literal, quoted
from tests.peers.snowflake.results import COPY, Result
from tests.peers.snowflake.session import Session
from tests.peers.snowflake.stages import Remote, Stage, listed, reference

FILES_LIMIT = 1000
COLUMNS = (
    "file", "status", "rows_parsed", "rows_loaded", "error_limit", "errors_seen", "first_error", "first_error_line",
    "first_error_character", "first_error_column_name",
)  # fmt: skip
NUMBERS = frozenset({"rows_parsed", "rows_loaded", "error_limit", "errors_seen"})
COPY_OPTIONS = {
    "FILES", "PATTERN", "FILE_FORMAT", "ON_ERROR", "MATCH_BY_COLUMN_NAME", "FORCE", "LOAD_UNCERTAIN_FILES", "PURGE",
    "RETURN_FAILED_ONLY", "ENFORCE_LENGTH", "TRUNCATECOLUMNS", "SIZE_LIMIT",
}  # fmt: skip
PARQUET_OPTIONS = {
    "TYPE",
    "USE_LOGICAL_TYPE",
    "COMPRESSION",
    "SNAPPY_COMPRESSION",
    "BINARY_AS_TEXT",
    "USE_VECTORIZED_SCANNER",
}


@dataclass(kw_only=True)
class Order:
    """One statement, checked."""

    table: tuple[str, str, str]
    stage: Stage
    path: str
    files: list[str] | None
    pattern: str | None
    on_error: str
    match: str
    force: bool
    uncertain: bool
    failed_only: bool
    truncates: bool
    logical: bool


@dataclass(kw_only=True)
class Loaded:
    """What became of a file."""

    remote: Remote
    status: str
    parsed: int = 0
    loaded: int = 0
    errors: int = 0
    first_error: str | None = None
    column: str | None = None
    limit: int | None = 1

    def row(self) -> tuple[Any, ...]:
        return (
            self.remote.url, self.status, self.parsed, self.loaded, self.limit, self.errors, self.first_error, None,
            None, self.column,
        )  # fmt: skip


def read(session: Session, reader: Reader) -> Order:
    """Read ``COPY INTO t FROM @stage … options`` (after COPY INTO) and refuse what is wrong before a byte moves."""
    if reader.here.kind in {"stage", "text"}:
        raise refused("COPY INTO a stage (unload)")
    table = session.resolve(reader.name())
    if reader.here.upper == "(":
        raise refused("COPY INTO with a list of columns")
    reader.need("FROM")
    if reader.here.upper == "(":
        raise refused("COPY INTO with a transformation")
    stage, path = reference(session, reader.take())
    options = reader.options()
    _known(options)
    _may_insert(session, table)
    form = {**stage.file_format, **options.get("FILE_FORMAT", {})}
    if str(form.get("TYPE", "CSV")).upper() != "PARQUET" or set(form) - PARQUET_OPTIONS:
        raise refused(f"FILE_FORMAT {form}")
    files = options.get("FILES")
    if files is not None and len(files) > FILES_LIMIT:
        raise compilation(1084, "22023", f"The number of files in FILES exceeds the maximum of {FILES_LIMIT}.")
    return Order(
        table=table, stage=stage, path=path, files=files, pattern=options.get("PATTERN"),
        on_error=str(options.get("ON_ERROR", "ABORT_STATEMENT")).upper(),
        match=str(options.get("MATCH_BY_COLUMN_NAME", "NONE")).upper(), force=bool(options.get("FORCE", False)),
        uncertain=bool(options.get("LOAD_UNCERTAIN_FILES", False)),
        failed_only=bool(options.get("RETURN_FAILED_ONLY", False)),
        truncates=bool(options.get("TRUNCATECOLUMNS", False)) or options.get("ENFORCE_LENGTH") is False,
        logical=bool(form.get("USE_LOGICAL_TYPE", False)),
    )  # fmt: skip


def _known(options: dict[str, Any]) -> None:
    if "VALIDATION_MODE" in options:
        if options.get("MATCH_BY_COLUMN_NAME"):
            raise compilation(1090, "22023", "VALIDATION_MODE cannot be combined with MATCH_BY_COLUMN_NAME.")
        raise refused("VALIDATION_MODE")
    if unknown := sorted(set(options) - COPY_OPTIONS):
        raise syntax(unknown[0])
    for name in ("PURGE", "SIZE_LIMIT"):
        if options.get(name):
            raise refused(name)
    on_error = str(options.get("ON_ERROR", "ABORT_STATEMENT")).upper()
    if on_error not in {"ABORT_STATEMENT", "CONTINUE", "SKIP_FILE"}:
        raise refused(f"ON_ERROR = {on_error}")
    if options.get("FORCE") and options.get("LOAD_UNCERTAIN_FILES"):
        raise compilation(1091, "22023", "FORCE and LOAD_UNCERTAIN_FILES cannot be combined.")
    if str(options.get("MATCH_BY_COLUMN_NAME", "NONE")).upper() not in {"NONE", "CASE_SENSITIVE", "CASE_INSENSITIVE"}:
        raise compilation(1008, "22023", "Invalid value for parameter MATCH_BY_COLUMN_NAME")


def _may_insert(session: Session, table: tuple[str, str, str]) -> None:
    found = session.duck.execute(
        "SELECT 1 FROM duckdb_tables() WHERE database_name = ? AND schema_name = ? AND table_name = ?", list(table)
    ).fetchone()
    rights = [right for right in ("INSERT", "SELECT") if session.world.may(session.role, right, "TABLE", table)]
    if found is None or not rights:
        raise missing("Table", ".".join(table))
    if "INSERT" not in rights:
        raise denied("table", table[2])


def load(session: Session, order: Order, query_id: str) -> Result:
    """Load the files; to be called inside a transaction of the engine."""
    remotes = _remotes(session, order)
    if not remotes:
        return Result(rows=[("Copy executed with 0 files processed.",)], kind=COPY)
    history = loads.known(session, order.table)
    done: list[Loaded] = []
    target = _target(session, order)
    for remote in remotes:
        session.wait(0)
        reason = None if order.force else loads.skipped(session, order, remote, history)
        if reason is None:
            done.append(_load_file(session, order, target, remote))
        elif order.files is not None:
            done.append(Loaded(remote=remote, status="LOAD_SKIPPED", errors=1, first_error=reason, limit=None))
    loads.record(session, order, done, query_id)
    if not done:
        return Result(rows=[("Copy executed with 0 files processed.",)], kind=COPY)
    shown = [one for one in done if not order.failed_only or one.errors]
    return Result(columns=COLUMNS, rows=[one.row() for one in shown], kind=COPY, numbers=NUMBERS)


def _remotes(session: Session, order: Order) -> list[Remote]:
    found = listed(session, order.stage, order.path, None if order.files is not None else order.pattern)
    if order.files is None:
        return found
    prefix = f"{order.stage.url.rstrip('/')}/{order.path}"
    by_url = {one.url: one for one in found}
    wanted = [prefix + name for name in order.files]
    for url in wanted:
        if url not in by_url and order.on_error == "ABORT_STATEMENT":
            raise SnowflakeError(
                91016, "22000", f"Remote file '{url}' was not found. There are several potential causes. The file "
                "might not exist. The required credentials may be missing or invalid.",
            )  # fmt: skip
    return [by_url[url] for url in dict.fromkeys(wanted) if url in by_url]


# Rows


@dataclass(kw_only=True)
class Target:
    """The table's columns: name, engine's type, longest text, whether NULL is refused."""

    columns: list[tuple[str, str]]
    longest: dict[str, int] = field(default_factory=dict)
    solid: set[str] = field(default_factory=set)


def _target(session: Session, order: Order) -> Target:
    columns = session.duck.execute(
        "SELECT column_name, data_type, is_nullable FROM duckdb_columns() "
        "WHERE database_name = ? AND schema_name = ? AND table_name = ? ORDER BY column_index",
        list(order.table),
    ).fetchall()
    lengths = session.duck.execute(
        "SELECT ext_column_name, ext_character_maximum_length FROM _fs_global._fs_information_schema._fs_columns_ext "
        "WHERE ext_table_catalog = ? AND ext_table_schema = ? AND ext_table_name = ?",
        list(order.table),
    ).fetchall()
    if order.match == "NONE" and [kind for _, kind, _ in columns] != ["JSON"]:
        raise compilation(
            2019, "0A000", "PARQUET file format can produce one and only one column of type variant, object, or "
            "array. Load data into separate columns using the MATCH_BY_COLUMN_NAME copy option or copy with "
            "transformation.",
        )  # fmt: skip
    return Target(
        columns=[(name, kind) for name, kind, _ in columns],
        longest={name: int(size) for name, size in lengths if size},
        solid={name for name, _, nullable in columns if not nullable},
    )


def _load_file(session: Session, order: Order, target: Target, remote: Remote) -> Loaded:
    try:
        return _insert(session, order, target, remote)
    except SnowflakeError as error:
        if order.on_error == "ABORT_STATEMENT":
            raise
        return Loaded(remote=remote, status="LOAD_FAILED", errors=1, first_error=error.message)


def _insert(session: Session, order: Order, target: Target, remote: Remote) -> Loaded:
    duck, source = session.duck, f"read_parquet({literal(glob.escape(remote.url))})"
    with duck.cursor() as probe:  # an error here must not end the session's transaction
        given = _given(probe, source, remote)
        pairs = _matched(order, target, given)
        parsed = int(probe.execute(f"SELECT count(*) FROM {source}").fetchone()[0])
        bad, first, column = _bad_rows(probe, source, order, target, pairs)
    if bad and order.on_error == "ABORT_STATEMENT":
        raise SnowflakeError(*_code(first), f"{first}\n  File '{remote.url}', row 1\n  Row 1, column {column}")
    if bad and order.on_error == "SKIP_FILE":
        return Loaded(remote=remote, status="LOAD_FAILED", parsed=parsed, errors=bad, first_error=first, column=column)
    where = f" WHERE NOT ({_any_bad(order, target, pairs)})" if bad else ""
    names = ", ".join(quoted(name) for name, _, _ in pairs)
    values = ", ".join(_cast(order, kind, given_name, given[given_name]) for _, kind, given_name in pairs)
    duck.execute(f"INSERT INTO {quoted(*order.table)} ({names}) SELECT {values} FROM {source}{where}")
    count = int(duck.fetchone()[0])
    status = "LOADED" if not bad else ("PARTIALLY_LOADED" if count else "LOAD_FAILED")
    return Loaded(
        remote=remote, status=status, parsed=parsed, loaded=count, errors=bad, first_error=first, column=column,
        limit=1 if order.on_error != "CONTINUE" else parsed,
    )  # fmt: skip


def _given(duck: Any, source: str, remote: Remote) -> dict[str, str]:
    try:
        return {name: kind for name, kind, *_ in duck.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
    except duckdb.TransactionException:
        raise
    except duckdb.Error as error:
        raise SnowflakeError(
            100142, "22000", f"Error parsing the parquet file: Invalid: {str(error).splitlines()[0]}\n"
            f"  File '{remote.url}'",
        ) from error  # fmt: skip


def _matched(order: Order, target: Target, given: dict[str, str]) -> list[tuple[str, str, str]]:
    """Column, its type, and the file's column it comes from; a column the file lacks is NULL (or its default)."""
    if order.match == "NONE":
        raise refused("a Parquet file into one VARIANT column")
    folded = (lambda name: name) if order.match == "CASE_SENSITIVE" else (lambda name: name.upper())
    twice = [name for name in given if sum(folded(other) == folded(name) for other in given) > 1]
    if twice:
        raise SnowflakeError(100160, "22000", f"Duplicate column name found in the file: '{twice[0]}'")
    by_name = {folded(name): name for name in given}
    pairs = [(name, kind, by_name[folded(name)]) for name, kind in target.columns if folded(name) in by_name]
    if not pairs:
        raise SnowflakeError(100161, "22000", "None of the file's columns matches a column of the table.")
    lacking = target.solid - {name for name, _, _ in pairs}
    if lacking:
        raise SnowflakeError(100072, "22000", f"NULL result in a non-nullable column: {sorted(lacking)[0]}")
    return pairs


def _raw(order: Order, name: str, given: str) -> str:
    """A column of the file; without USE_LOGICAL_TYPE unsigned numbers become signed ones, times lose their zone."""
    column = quoted(name)
    if order.logical:
        return column
    signed = {"UTINYINT": "TINYINT", "USMALLINT": "SMALLINT", "UINTEGER": "INTEGER", "UBIGINT": "BIGINT"}
    if given in signed:
        bits = {"UTINYINT": 8, "USMALLINT": 16, "UINTEGER": 32, "UBIGINT": 64}[given]
        wide = f"{column}::HUGEINT"
        return f"(CASE WHEN {wide} >= {2 ** (bits - 1)} THEN {wide} - {2**bits} ELSE {wide} END)"
    return f"{column}::TIMESTAMP" if given == "TIMESTAMP WITH TIME ZONE" else column


def _cast(order: Order, kind: str, name: str, given: str) -> str:
    raw = _raw(order, name, given)
    if kind == "JSON":
        return f"to_json({raw})"
    return f"CAST({raw} AS {kind})"


def _bad_rows(
    duck: Any, source: str, order: Order, target: Target, pairs: list[tuple[str, str, str]]
) -> tuple[int, str | None, str | None]:
    """How many rows cannot be stored; why and by which column the first ones."""
    bad, first, column = 0, None, None
    for pair in pairs:
        condition = _bad(order, target, pair)
        if not condition:
            continue
        sql = f"SELECT count(*), any_value({quoted(pair[2])}::VARCHAR) FROM {source} WHERE {condition}"
        count, sample = duck.execute(sql).fetchone()
        if count and first is None:
            column, first = f'"{order.table[2]}"["{pair[0]}":{pair[1]}]', _reason(target, pair, sample)
        bad += count
    if bad:
        bad = int(duck.execute(f"SELECT count(*) FROM {source} WHERE {_any_bad(order, target, pairs)}").fetchone()[0])
    return bad, first, column


def _any_bad(order: Order, target: Target, pairs: list[tuple[str, str, str]]) -> str:
    return " OR ".join(f"({condition})" for pair in pairs if (condition := _bad(order, target, pair)))


def _bad(order: Order, target: Target, pair: tuple[str, str, str]) -> str:
    name, kind, source = pair
    column = quoted(source)
    parts = []
    if kind not in {"JSON", "VARCHAR"}:
        parts.append(f"({column} IS NOT NULL AND TRY_CAST({column} AS {kind}) IS NULL)")
    if name in target.longest and not order.truncates and kind == "VARCHAR":
        parts.append(f"coalesce(length({column}::VARCHAR) > {target.longest[name]}, FALSE)")
    if name in target.solid:
        parts.append(f"{column} IS NULL")
    return " OR ".join(parts)


def _reason(target: Target, pair: tuple[str, str, str], sample: str | None) -> str:
    if sample is None:
        return "NULL result in a non-nullable column"
    if pair[1] == "VARCHAR":
        return f"User character length limit ({target.longest[pair[0]]}) exceeded by string '{sample[:50]}'"
    if pair[1].startswith("DECIMAL"):
        return f"Numeric value '{sample[:50]}' is out of range or not recognized"
    return f"Value '{sample[:50]}' is not recognized as {pair[1]}"


def _code(reason: str | None) -> tuple[int, str]:
    if reason is None or reason.startswith("NULL"):
        return 100072, "22000"
    if reason.startswith("User character"):
        return 100074, "54000"
    return 100038, "22018"

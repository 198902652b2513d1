"""Every statement that IceBridge sends to Snowflake: one function each, names quoted in exact case, values bound.

Names are parts (``("DB", "PUBLIC", "ORDERS")``), never joined and never quoted by the caller. No statement holds a
credential: files are reached by a stage whose storage integration has the right to read them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.snowflake import Carried, CarriedColumn, LoadRecord, LoadState, Statement
from icebridge_provider.sql import identifiers

Parts = Sequence[str]
LOADS = "ICEBRIDGE_LOADS"
MOST_FILES = 1_000  # names that FILES of one COPY INTO takes, Snowflake's reference of COPY INTO <table>
FILE_FORMAT = "(TYPE = PARQUET USE_LOGICAL_TYPE = TRUE BINARY_AS_TEXT = FALSE)"
_LOAD_COLUMNS = (
    ("RUN_KEY", "VARCHAR(32) NOT NULL"), ("RUN_ID", "VARCHAR"), ("TARGET", "VARCHAR"), ("MODE", "VARCHAR(16)"),
    ("MANIFEST", "VARCHAR(64)"), ("ROWS_EXPORTED", "NUMBER(19,0)"), ("STATE", "VARCHAR(16)"),
    ("GENERATION", "NUMBER(10,0)"), ("ROWS_LOADED", "NUMBER(19,0)"), ("STARTED_AT", "TIMESTAMP_LTZ(6)"),
    ("FINISHED_AT", "TIMESTAMP_LTZ(6)"),
)  # fmt: skip
SESSION = (
    "ALTER SESSION SET TIMEZONE = 'UTC', ERROR_ON_NONDETERMINISTIC_MERGE = TRUE, TRANSACTION_ABORT_ON_ERROR = TRUE,"
    " ABORT_DETACHED_QUERY = FALSE"
)
BEGIN, COMMIT, ROLLBACK = "BEGIN TRANSACTION", "COMMIT", "ROLLBACK"


def name(*parts: str) -> str:
    """Return a name, every part quoted in its exact case.

    :raises ConfigurationError: IB-246 for a part that cannot be a name.
    """
    return identifiers.quoted(*parts, dialect="snowflake")


def text(value: str) -> str:
    """Return a text as an SQL string, for places that take no bound value."""
    return identifiers.literal(value, dialect="snowflake")


def names(columns: Iterable[str]) -> str:
    """Return column names, quoted, with commas between."""
    return ", ".join(name(column) for column in columns)


# The target and our own tables


def create_table(
    table: Parts,
    columns: Iterable[tuple[str, str]],
    comment: str = "",
    *,
    staging: bool = False,
) -> str:
    """Create a table if there is none; a staging table is made anew, without history or load metadata.

    :param columns: names and Snowflake types, the latter written by us (``planning.snowflake.types``).
    """
    how = "CREATE OR REPLACE TRANSIENT TABLE" if staging else "CREATE TABLE IF NOT EXISTS"
    listed = ", ".join(f"{name(column)} {kind}" for column, kind in columns)
    kept = " DATA_RETENTION_TIME_IN_DAYS = 0" if staging else ""
    return f"{how} {name(*table)} ({listed}){kept}" + (f" COMMENT = {text(comment)}" if comment else "")


def create_like(table: Parts, like: Parts) -> str:
    """Create an empty table with the columns, defaults, policies and grants of another."""
    return f"CREATE OR REPLACE TABLE {name(*table)} LIKE {name(*like)} COPY GRANTS"


def add_column(table: Parts, column: str, kind: str) -> str:
    """Add a column that may be NULL; one that is there is success."""
    return f"ALTER TABLE {name(*table)} ADD COLUMN IF NOT EXISTS {name(column)} {kind}"


def widen_column(table: Parts, column: str, kind: str) -> str:
    """Make a NUMBER or a VARCHAR longer."""
    return f"ALTER TABLE {name(*table)} ALTER COLUMN {name(column)} SET DATA TYPE {kind}"


def set_comment(table: Parts, comment: str) -> str:
    """Set the comment of a table."""
    return f"COMMENT ON TABLE {name(*table)} IS {text(comment)}"


def swap_tables(table: Parts, other: Parts) -> str:
    """Let two tables change names, in one step. Doing it twice undoes it: look before (:func:`comment_of`)."""
    return f"ALTER TABLE {name(*table)} SWAP WITH {name(*other)}"


def rename_table(table: Parts, new: str) -> str:
    """Give a table another name in its schema: whoever goes by the old name does not find it any more."""
    return f"ALTER TABLE {name(*table)} RENAME TO {name(*table[:2], new)}"


def drop_table(table: Parts) -> str:
    """Drop a table; one that is not there is success."""
    return f"DROP TABLE IF EXISTS {name(*table)}"


def describe_table(table: Parts) -> str:
    """List columns: name, type, kind, ``null?``, default and more."""
    return f"DESCRIBE TABLE {name(*table)}"


def comment_of(table: Parts) -> Statement:
    """Read the comment of a table; no row when there is no such table."""
    database, schema, table_name = table
    place = _doubled(f"{name(database)}.INFORMATION_SCHEMA.TABLES")
    return Statement(
        text=f"SELECT COMMENT FROM {place} WHERE TABLE_SCHEMA = %(schema)s AND TABLE_NAME = %(name)s",  # noqa: S608
        values={"schema": schema, "name": table_name},
    )


def tables_of(place: Parts, beginning: str) -> Statement:
    """List the tables of a schema whose names begin so: name and comment.

    :param place: database and schema.
    """
    database, schema = place
    tables = _doubled(f"{name(database)}.INFORMATION_SCHEMA.TABLES")
    return Statement(
        text=(
            f"SELECT TABLE_NAME, COMMENT FROM {tables} WHERE TABLE_SCHEMA = %(schema)s"  # noqa: S608 - quoted
            " AND STARTSWITH(TABLE_NAME, %(beginning)s) ORDER BY TABLE_NAME"
        ),
        values={"schema": schema, "beginning": beginning},
    )


def schema_named(place: Parts) -> Statement:
    """Look for a schema: one row when the role sees it.

    :param place: database and schema.
    """
    database, schema = place
    schemata = _doubled(f"{name(database)}.INFORMATION_SCHEMA.SCHEMATA")
    return Statement(
        text=f"SELECT SCHEMA_NAME FROM {schemata} WHERE SCHEMA_NAME = %(schema)s",  # noqa: S608 - quoted
        values={"schema": schema},
    )


# Files


def list_stage(stage: Parts, path: str) -> str:
    """List the files below a path of a stage: name, size, md5, last_modified."""
    return f"LIST {_staged(stage, path)}"


def copy_files(staging: Parts, stage: Parts, path: str, files: Sequence[str]) -> str:
    """Load files into a staging table, columns by their names; all of them or none.

    Never FORCE: a file that this table has loaded already stays loaded once.

    :raises ConfigurationError: IB-904 for no file, or more than 1,000.
    """
    if not 1 <= len(files) <= MOST_FILES:
        raise ConfigurationError(
            "IB-904",
            f"COPY INTO takes 1 to {MOST_FILES} files by name, {len(files)} were given.",
            remedy="Report this: the load plan cuts the list.",
        )
    listed = ", ".join(text(file) for file in files)
    return (
        f"COPY INTO {name(*staging)} FROM {_staged(stage, path)} FILES = ({listed}) FILE_FORMAT = {FILE_FORMAT}"
        " MATCH_BY_COLUMN_NAME = CASE_SENSITIVE ON_ERROR = ABORT_STATEMENT"
    )


def copy_history(staging: Parts, hours: int = 24) -> Statement:
    """Read what COPY INTO did to a table lately: file, status, rows parsed and loaded, first error."""
    place = _doubled(f"{name(staging[0])}.INFORMATION_SCHEMA.COPY_HISTORY")
    return Statement(
        text=(
            "SELECT FILE_NAME, STATUS, ROW_PARSED, ROW_COUNT, ERROR_COUNT, FIRST_ERROR_MESSAGE"  # noqa: S608
            f" FROM TABLE({place}(TABLE_NAME => %(table)s,"
            f" START_TIME => DATEADD('hour', -{int(hours)}, CURRENT_TIMESTAMP())))"
        ),
        values={"table": name(*staging)},
    )


# Rows


def count_rows(table: Parts) -> str:
    """Count the rows."""
    return f"SELECT COUNT(*) FROM {name(*table)}"  # noqa: S608 - quoted


def hash_rows(table: Parts, columns: Sequence[str]) -> str:
    """Hash the rows, whatever their order: equal for equal rows, within Snowflake only."""
    return f"SELECT HASH_AGG({names(columns)}) FROM {name(*table)}"  # noqa: S608 - quoted


def delete_rows(table: Parts) -> str:
    """Delete all rows, as DML: TRUNCATE would commit what stands before it."""
    return f"DELETE FROM {name(*table)}"  # noqa: S608 - quoted


def insert_rows(target: Parts, staging: Parts, columns: Sequence[CarriedColumn]) -> str:
    """Write a staging table's rows into the target, converted."""
    return (
        f"INSERT INTO {name(*target)} ({names(item.target for item in columns)})"  # noqa: S608 - quoted
        f" SELECT {', '.join(map(converted, columns))} FROM {name(*staging)}"
    )


def merge_rows(target: Parts, staging: Parts, columns: Sequence[CarriedColumn], keys: Sequence[CarriedColumn]) -> str:
    """Update the rows that have the keys of a staged row, and insert the others."""
    staged = ", ".join(f"{converted(item)} AS {name(item.target)}" for item in columns)
    on = " AND ".join(f'"t".{name(item.target)} = "s".{name(item.target)}' for item in keys)
    others = [item for item in columns if item not in keys]
    sets = ", ".join(f'"t".{name(item.target)} = "s".{name(item.target)}' for item in others)
    update = f" WHEN MATCHED THEN UPDATE SET {sets}" if sets else ""
    values = ", ".join(f'"s".{name(item.target)}' for item in columns)
    return (
        f'MERGE INTO {name(*target)} AS "t" USING (SELECT {staged} FROM {name(*staging)}) AS "s" ON {on}{update}'  # noqa: S608
        f" WHEN NOT MATCHED THEN INSERT ({names(item.target for item in columns)}) VALUES ({values})"
    )


def unfit_keys(staging: Parts, keys: Sequence[CarriedColumn]) -> str:
    """Count the staged rows without a key, and those whose key another one has.

    COUNT_IF is NULL where no row satisfies it, Snowflake's reference of COUNT_IF.
    """
    listed = names(item.file_name for item in keys)
    absent = f"COALESCE(COUNT_IF({' OR '.join(f'{name(item.file_name)} IS NULL' for item in keys)}), 0)"
    return f"SELECT {absent}, COUNT(*) - COUNT(DISTINCT {listed}) - {absent} FROM {name(*staging)}"  # noqa: S608 - quoted


def repeated_keys(target: Parts, staging: Parts, keys: Sequence[CarriedColumn]) -> str:
    """Count the staged keys that several rows of the target have: Snowflake enforces no primary key."""
    staged = ", ".join(f"{converted(item)} AS {name(item.target)}" for item in keys)
    on = " AND ".join(f'"t".{name(item.target)} = "s".{name(item.target)}' for item in keys)
    grouped = ", ".join(f'"s".{name(item.target)}' for item in keys)
    return (
        f'SELECT COUNT(*) FROM (SELECT {grouped} FROM (SELECT {staged} FROM {name(*staging)}) AS "s"'  # noqa: S608
        f' JOIN {name(*target)} AS "t" ON {on} GROUP BY {grouped} HAVING COUNT(*) > 1) AS "r"'
    )


def matched_rows(target: Parts, staging: Parts, keys: Sequence[CarriedColumn]) -> str:
    """Count the staged rows whose key the target has: as many as a MERGE will update."""
    staged = ", ".join(f"{converted(item)} AS {name(item.target)}" for item in keys)
    on = " AND ".join(f'"t".{name(item.target)} = "s".{name(item.target)}' for item in keys)
    return f'SELECT COUNT(*) FROM (SELECT {staged} FROM {name(*staging)}) AS "s" JOIN {name(*target)} AS "t" ON {on}'  # noqa: S608


def converted(column: CarriedColumn) -> str:
    """Return a staged value as the target's type."""
    staged = name(column.file_name)
    value, made = {
        Carried.PLAIN: (staged, _family(column.staged_type)),
        Carried.MICROS: (f"TO_TIMESTAMP_LTZ({staged}, 6)", "TIMESTAMP_LTZ"),
        Carried.JSON: (f"PARSE_JSON({staged})", "VARIANT"),
    }[column.carried]
    return value if made == _family(column.target_type) else f"CAST({value} AS {column.target_type})"


# The loads' own table


def create_loads(control: Parts) -> str:
    """Create the table that says which loads have been published."""
    listed = ", ".join(f"{name(column)} {kind}" for column, kind in _LOAD_COLUMNS)
    return f"CREATE TABLE IF NOT EXISTS {name(*control, LOADS)} ({listed})"


def begin_load(control: Parts, record: LoadRecord) -> Statement:
    """Write a load's row unless there is one."""
    values = {
        "run_key": record.run_key, "run_id": record.run_id, "target": record.target, "mode": record.mode.value,
        "manifest": record.manifest, "rows_exported": record.rows_exported, "state": record.state.value,
        "generation": record.generation,
    }  # fmt: skip
    columns = names(value.upper() for value in values)
    given = ", ".join(f"%({value})s" for value in values)
    return Statement(
        text=(
            f'MERGE INTO {_doubled(name(*control, LOADS))} AS "t" USING (SELECT %(run_key)s AS "RUN_KEY") AS "s"'  # noqa: S608
            f' ON "t"."RUN_KEY" = "s"."RUN_KEY" WHEN NOT MATCHED THEN INSERT ({columns}, "STARTED_AT")'
            f" VALUES ({given}, CURRENT_TIMESTAMP())"
        ),
        values=values,
    )


def look_load(control: Parts, run_key: str) -> Statement:
    """Read a load's row, columns as :class:`LoadRecord` has them."""
    columns = names(("RUN_KEY", "RUN_ID", "TARGET", "MODE", "MANIFEST", "ROWS_EXPORTED", "STATE", "GENERATION",
                     "ROWS_LOADED"))  # fmt: skip
    return Statement(
        text=f'SELECT {columns} FROM {_doubled(name(*control, LOADS))} WHERE "RUN_KEY" = %(run_key)s',  # noqa: S608
        values={"run_key": run_key},
    )


def next_try(control: Parts, record: LoadRecord) -> Statement:
    """Count a new try, so that an older one can no longer publish. It must hit one row."""
    return Statement(
        text=(
            f'UPDATE {_doubled(name(*control, LOADS))} SET "GENERATION" = %(next)s, "STATE" = %(state)s'  # noqa: S608
            ' WHERE "RUN_KEY" = %(run_key)s AND "GENERATION" = %(generation)s AND "STATE" = %(state)s'
        ),
        values={
            "next": record.generation + 1,
            "state": LoadState.STAGING.value,
            "run_key": record.run_key,
            "generation": record.generation,
        },
    )


def settle_load(control: Parts, record: LoadRecord, before: LoadState, after: LoadState) -> Statement:
    """Say that a load has come from one state to another. It must hit one row: none means another try did it."""
    return Statement(
        text=(
            f'UPDATE {_doubled(name(*control, LOADS))} SET "STATE" = %(after)s, "ROWS_LOADED" = %(rows)s,'  # noqa: S608
            ' "FINISHED_AT" = CURRENT_TIMESTAMP() WHERE "RUN_KEY" = %(run_key)s AND "GENERATION" = %(generation)s'
            ' AND "MANIFEST" = %(manifest)s AND "STATE" = %(before)s'
        ),
        values={
            "after": after.value,
            "rows": record.rows_exported,
            "run_key": record.run_key,
            "generation": record.generation,
            "manifest": record.manifest,
            "before": before.value,
        },
    )


# Sessions and queries


def set_query_tag(tag: str) -> str:
    """Tag the statements that follow in this session."""
    return f"ALTER SESSION SET QUERY_TAG = {text(tag)}"


def find_query(database: str, tag: str, hours: int = 24) -> Statement:
    """Find a statement by its tag: id, status and error, the newest first."""
    place = _doubled(f"{name(database)}.INFORMATION_SCHEMA.QUERY_HISTORY")
    return Statement(
        text=(
            f"SELECT QUERY_ID, EXECUTION_STATUS, ERROR_CODE, ERROR_MESSAGE FROM TABLE({place}(END_TIME_RANGE_START =>"  # noqa: S608
            f" DATEADD('hour', -{int(hours)}, CURRENT_TIMESTAMP()), RESULT_LIMIT => 10000))"
            " WHERE QUERY_TAG = %(tag)s AND QUERY_TEXT NOT ILIKE 'ALTER SESSION %%' ORDER BY START_TIME DESC"
        ),
        values={"tag": tag},
    )


def cancel_query(query_id: str) -> Statement:
    """Cancel a running statement."""
    return Statement(text="SELECT SYSTEM$CANCEL_QUERY(%(query_id)s)", values={"query_id": query_id})


def _family(kind: str) -> str:
    return kind.split("(", 1)[0]


def _doubled(quoted: str) -> str:
    return quoted.replace("%", "%%")


def _staged(stage: Parts, path: str) -> str:
    """Return a path of a stage. As a text in quotes, it may hold any name."""
    return text(f"@{name(*stage)}/{path}")

"""From a statement's text to its answer: what the shim does itself, and what goes to the engine."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Any

from sqlglot import exp

from tests.peers.snowflake import copy_into, history, privileges, stages, tables
from tests.peers.snowflake.engine import parse
from tests.peers.snowflake.errors import SnowflakeError, canceled, denied, missing, refused, taken
from tests.peers.snowflake.lexer import Reader
from tests.peers.snowflake.results import Result, said
from tests.peers.snowflake.session import Session
from tests.peers.snowflake.world import SUPER, Query

DDL = {"CREATE", "DROP", "ALTER", "COMMENT", "GRANT", "REVOKE", "UNDROP"}
PARAMETERS = {
    "QUERY_TAG", "LOCK_TIMEOUT", "STATEMENT_TIMEOUT_IN_SECONDS", "TIMEZONE", "AUTOCOMMIT", "TIMESTAMP_TYPE_MAPPING",
    "QUOTED_IDENTIFIERS_IGNORE_CASE", "ERROR_ON_NONDETERMINISTIC_MERGE", "TRANSACTION_ABORT_ON_ERROR",
    "ABORT_DETACHED_QUERY", "MULTI_STATEMENT_COUNT", "PYTHON_CONNECTOR_QUERY_RESULT_FORMAT", "WEEK_START",
    "CLIENT_SESSION_KEEP_ALIVE", "CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED", "CLIENT_TELEMETRY_ENABLED",
}  # fmt: skip
_LIKE_RESULT_SCAN = re.compile(r"\s*select \* from table\(result_scan\('([0-9a-f-]{36})'\)\)\s*;?\s*", re.IGNORECASE)
_CANCEL = re.compile(r"\s*select system\$cancel_query\s*\(\s*'([0-9a-f-]{36})'\s*\)\s*;?\s*", re.IGNORECASE)
_CANCEL_ALL = re.compile(r"\s*select system\$cancel_all_queries\s*\(\s*(\d+)\s*\)\s*;?\s*", re.IGNORECASE)


class Batch(list[Any]):
    """Rows of bindings of one INSERT, as executemany sends them."""


def run(query: Query, bindings: Any) -> dict[str, Any]:
    """Do a statement and give its answer's ``data``; raises SnowflakeError."""
    session = query.session
    text = query.text.strip()
    if match := _LIKE_RESULT_SCAN.fullmatch(text):
        return _result_of(session, match[1])
    if match := _CANCEL.fullmatch(text):
        return _cancel(session, match[1]).data()
    if match := _CANCEL_ALL.fullmatch(text):
        return _cancel_all(session, int(match[1])).data()
    reader = Reader(text)
    if not reader.found:
        raise SnowflakeError(900, "42601", "SQL compilation error:\nEmpty SQL statement.")
    if any(token.raw == ";" for token in reader.found):
        raise SnowflakeError(8, "0A000", "Actual statement count 2 did not match the desired statement count 1.")
    first = reader.found[0].upper
    if first in DDL and not (first == "ALTER" and reader.found[1].upper == "SESSION"):
        session.commit()  # DDL commits what is open, whatever becomes of it itself
    done = _own(session, reader, query)
    if done is None:
        return _engine(query, bindings)
    if bindings:
        raise refused("bindings in this statement")
    return {**done.data(), "finalDatabaseName": session.conn.database, "finalSchemaName": session.conn.schema}


def _result_of(session: Session, wanted: str) -> dict[str, Any]:
    found = session.world.queries.get(wanted)
    if found is None or found.data is None or found.session.user != session.user or _expired(session, found):
        raise SnowflakeError(709, "02000", f"Statement {wanted} not found")
    return found.data


def _expired(session: Session, query: Query) -> bool:
    """Results are kept for 24 hours."""
    return query.ended is not None and session.world.now() - query.ended > datetime.timedelta(hours=24)


def _cancel(session: Session, wanted: str) -> Result:
    found = session.world.queries.get(wanted)
    if found is None:
        raise SnowflakeError(709, "02000", f"Statement {wanted} not found")
    text = "query [{0}] terminated." if cancel(found) else "Identified SQL statement is not currently executing."
    return Result(columns=("SYSTEM$CANCEL_QUERY",), rows=[(text.format(wanted),)])


def _cancel_all(session: Session, wanted: int) -> Result:
    """What runs, or waits to run, in a session of the caller's user."""
    with session.world.lock:
        queries = list(session.world.queries.values())
    count = sum(cancel(one) for one in queries if one.session.id == wanted and one.session.user == session.user)
    text = f"{count} queries terminated." if count else "No queries executing in the session."
    return Result(columns=("SYSTEM$CANCEL_ALL_QUERIES",), rows=[(text,)])


def cancel(query: Query) -> bool:
    """Ask a running statement to end; whether it was running."""
    if query.ended is not None:
        return False
    query.cancel.set()
    if query.session.running is query:
        query.session.duck.interrupt()
    return True


def _own(session: Session, reader: Reader, query: Query) -> Result | None:
    """What the shim does itself; None for the engine's statements."""
    for words, work in _WORK.items():
        if reader.skip(*words):
            return work(session, reader)
    if reader.skip("COPY", "INTO"):
        return _copy(session, reader, query)
    if reader.skip("CREATE"):
        return _create(session, reader)
    if reader.skip("ALTER", "TABLE"):
        return tables.alter(session, reader)
    return None


def _copy(session: Session, reader: Reader, query: Query) -> Result:
    order = copy_into.read(session, reader)
    result: Result = session.perform(lambda: copy_into.load(session, order, query.id), writes=None, changes=True)
    if result.columns == copy_into.COLUMNS:
        query.rows = sum(int(row[3]) for row in result.rows)
    return result


def _create(session: Session, reader: Reader) -> Result | None:
    replace = reader.skip("OR", "REPLACE")
    reader.skip("TEMPORARY")
    if reader.skip("STAGE"):
        return stages.create_stage(session, reader, replace=replace)
    if reader.skip("STORAGE", "INTEGRATION"):
        return stages.create_integration(session, reader, replace=replace)
    if reader.skip("WAREHOUSE") or reader.skip("USER") or reader.skip("FILE", "FORMAT"):
        raise refused("CREATE " + reader.found[reader.at - 1].raw.upper())
    if reader.skip("ROLE"):
        return _create_role(session, reader)
    if reader.skip("DATABASE"):
        return _create_database(session, reader)
    if reader.skip("SCHEMA"):
        return _create_schema(session, reader)
    return None


def _create_role(session: Session, reader: Reader) -> Result:
    if session.role not in SUPER:
        raise denied("account", session.world.account)
    exists = reader.skip("IF", "NOT", "EXISTS")
    (name,) = reader.name()
    if name in session.world.roles and not exists:
        raise taken(name)
    session.world.roles.add(name)
    return said(f"Role {name} successfully created.")


def _create_database(session: Session, reader: Reader) -> Result:
    if session.role not in SUPER:
        raise denied("account", session.world.account)
    exists = reader.skip("IF", "NOT", "EXISTS")
    (name,) = reader.name()
    if not re.fullmatch(r"[A-Z_][A-Z0-9_$]*", name):
        raise refused("a database name that needs quotes")
    if session.duck.execute("SELECT 1 FROM duckdb_databases() WHERE upper(database_name) = ?", [name]).fetchone():
        if exists:
            return said(f"{name} already exists, statement succeeded.")
        raise taken(name)
    tables.make_database(session, name)
    session.world.owners["DATABASE", (name,)] = session.role
    session.use(name, "PUBLIC")
    return said(f"Database {name} successfully created.")


def _create_schema(session: Session, reader: Reader) -> Result:
    exists = reader.skip("IF", "NOT", "EXISTS")
    name = reader.name()
    database, schema = name if len(name) == 2 else (session.conn.database, *name)
    if not session.world.may(session.role, "CREATE SCHEMA", "DATABASE", (str(database),)):
        raise denied("database", str(database))
    made = tables.make_schema(session, str(database), str(schema))
    if not made and not exists:
        raise taken(str(schema))
    if made:
        session.world.owners["SCHEMA", (str(database), str(schema))] = session.role
        session.use(str(database), str(schema))
    return said(f"Schema {schema} successfully created.")


def _begin(session: Session, reader: Reader) -> Result:
    reader.skip("TRANSACTION") or reader.skip("WORK")
    if reader.skip("NAME"):
        reader.take()
    reader.done()
    session.begin()
    return said("Statement executed successfully.", 0x5000)


def _end(how: Callable[[Session], None]) -> Callable[[Session, Reader], Result]:
    def work(session: Session, reader: Reader) -> Result:
        reader.skip("WORK")
        reader.done()
        if session.lost:
            session.lost = False
            raise SnowflakeError(
                90143, "25000", "The transaction was aborted: it was idle and blocked another session."
            )
        how(session)
        return said("Statement executed successfully.", 0x5000)

    return work


def _use(session: Session, reader: Reader) -> Result:
    if reader.skip("SECONDARY", "ROLES"):
        return said("Statement executed successfully.", 0x4300)
    kind = reader.take().value if reader.here.upper in {"ROLE", "WAREHOUSE", "DATABASE", "SCHEMA"} else ""
    name = reader.name()
    reader.done()
    if kind == "ROLE":
        change_role(session, name[0])
    elif kind == "WAREHOUSE":
        session.warehouse = name[0]
    elif kind == "SCHEMA" or len(name) == 2:
        session.use(str(name[0] if len(name) == 2 else session.conn.database), name[-1])
    else:
        session.use(name[0], None)
    return said("Statement executed successfully.", 0x4300)


def change_role(session: Session, role: str) -> None:
    if role not in session.world.users[session.user].roles:
        raise SnowflakeError(
            3013, "42501", f"Requested role '{role}' is not assigned to the executing user. Specify another role."
        )
    session.role = role


def _alter_session(session: Session, reader: Reader) -> Result:
    if reader.skip("UNSET"):
        while reader.here.kind != "end":
            session.parameters.pop(reader.take().value, None)
            reader.skip(",")
        return said("Statement executed successfully.")
    reader.need("SET")
    for name, value in reader.options().items():
        set_parameter(session, name, value)
    return said("Statement executed successfully.")


def set_parameter(session: Session, name: str, value: Any) -> None:
    """A session parameter; one that the stand-in does not know is refused, as a misspelt one is."""
    if name not in PARAMETERS:
        raise SnowflakeError(1006, "22023", f"SQL compilation error:\ninvalid parameter '{name}'")
    if name == "QUERY_TAG" and len(str(value)) > 2000:
        raise SnowflakeError(1007, "22023", "SQL compilation error:\ninvalid value for parameter 'QUERY_TAG'")
    if name == "QUOTED_IDENTIFIERS_IGNORE_CASE" and str(value).lower() == "true":
        raise refused("QUOTED_IDENTIFIERS_IGNORE_CASE")
    session.parameters[name] = value
    if name == "AUTOCOMMIT":
        if value and not session.autocommit:
            session.commit()
        session.autocommit = bool(value)


def _engine(query: Query, bindings: Any) -> dict[str, Any]:
    """What is left: queries, DML and most DDL, by fakesnow."""
    session = query.session
    sql, given = history.expand(session, query.text)
    tree = parse(sql)
    if isinstance(bindings, Batch) and not (isinstance(tree, exp.Insert) and bindings):
        raise refused("rows of bindings in this statement")
    if isinstance(tree, exp.Set) or (isinstance(tree, exp.Command) and tree.name.upper() != "SHOW"):
        raise refused(query.text.split("\n")[0][:80])
    privileges.check(session, tree)
    tables.exact_names(session, tree)
    changes = isinstance(tree, exp.Insert | exp.Update | exp.Delete | exp.Merge | exp.TruncateTable)
    writes = tables.locked(session, tree)
    context = _context(query)

    def work() -> dict[str, Any]:
        if query.cancel.is_set():
            raise canceled()
        for name, rows in given.items():
            session.duck.register(name, rows)
        rows = bindings if isinstance(bindings, Batch) else [bindings]
        for row in rows:
            found = session.world.engine.run(session.conn, context, sql, row)
        if isinstance(bindings, Batch):
            found["rowset"] = [[str(len(rows))]]
        tables.afterwards(session, tree)
        return found

    data: dict[str, Any] = session.perform(work, writes=writes, changes=changes)
    query.rows = int(data.get("total", 0))
    if changes and data.get("rowset"):
        query.rows = sum(int(value or 0) for value in data["rowset"][0] if str(value).isdigit())
    return data


def _context(query: Query) -> dict[str, Any]:
    session = query.session
    return {
        "CURRENT_WAREHOUSE": session.warehouse, "CURRENT_ROLE": session.role, "CURRENT_USER": session.user,
        "CURRENT_SESSION": session.id, "CURRENT_ACCOUNT": session.world.account,
        "CURRENT_REGION": "LOCAL", "CURRENT_TIMESTAMP": session.world.now().isoformat(),
        "SYSDATE": session.world.now().isoformat(), "LAST_QUERY_ID": query.previous,
    }  # fmt: skip


def _drop_integration(session: Session, reader: Reader) -> Result:
    exists = reader.skip("IF", "EXISTS")
    (name,) = reader.name()
    if session.world.integrations.pop(name, None) is None and not exists:
        raise missing("Integration", name)
    return said(f"{name} successfully dropped.")


_WORK: dict[tuple[str, ...], Callable[[Session, Reader], Result]] = {
    ("BEGIN",): _begin,
    ("START",): _begin,
    ("COMMIT",): _end(Session.commit),
    ("ROLLBACK",): _end(Session.rollback),
    ("USE",): _use,
    ("ALTER", "SESSION"): _alter_session,
    ("LIST",): stages.show_files,
    ("LS",): stages.show_files,
    ("REMOVE",): stages.remove_files,
    ("RM",): stages.remove_files,
    ("SHOW", "STAGES"): stages.show_stages,
    ("DESC", "STAGE"): stages.describe_stage,
    ("DESCRIBE", "STAGE"): stages.describe_stage,
    ("DROP", "STAGE"): stages.drop_stage,
    ("DESC", "INTEGRATION"): stages.describe_integration,
    ("DESC", "STORAGE", "INTEGRATION"): stages.describe_integration,
    ("DESCRIBE", "INTEGRATION"): stages.describe_integration,
    ("DROP", "INTEGRATION"): _drop_integration,
    ("DESC", "TABLE"): tables.describe,
    ("DESCRIBE", "TABLE"): tables.describe,
    ("SHOW", "PRIMARY", "KEYS", "IN"): tables.show_keys,
    ("GRANT",): lambda session, reader: privileges.grant(session, reader, revoke=False),
    ("REVOKE",): lambda session, reader: privileges.grant(session, reader, revoke=True),
}

"""Tables: exact names, SWAP and changes of columns, locks, and the notes that belong to a table."""

from __future__ import annotations

import re
from typing import Any

import fakesnow.info_schema
import fakesnow.macros
from sqlglot import exp

from tests.peers.snowflake.errors import compilation, denied, missing, refused, taken
from tests.peers.snowflake.lexer import Reader, quoted
from tests.peers.snowflake.loads import history_table, make_history
from tests.peers.snowflake.privileges import name_of, tables_of, written
from tests.peers.snowflake.results import Result, said
from tests.peers.snowflake.session import Session
from tests.peers.snowflake.world import Name

EXTRA = "_fs_global._fs_information_schema"
_TABLES = "SELECT table_name FROM duckdb_tables() WHERE database_name = ? AND schema_name = ?"
_VIEWS = "SELECT view_name FROM duckdb_views() WHERE database_name = ? AND schema_name = ?"


def make_database(session: Session, name: str) -> None:
    session.duck.execute(f"ATTACH ':memory:' AS {quoted(name)}")
    session.duck.execute(fakesnow.info_schema.per_db_creation_sql(name))
    session.duck.execute(fakesnow.macros.creation_sql(name))
    make_history(session.duck, name)
    make_schema(session, name, "PUBLIC")


def make_schema(session: Session, database: str, schema: str) -> bool:
    """Whether it was not there before."""
    where = "SELECT 1 FROM duckdb_schemas() WHERE database_name = ? AND schema_name = ?"
    if session.duck.execute("SELECT 1 FROM duckdb_databases() WHERE database_name = ?", [database]).fetchone() is None:
        raise missing("Database", database)
    if session.duck.execute(where, [database, schema]).fetchone():
        return False
    session.duck.execute(f"CREATE SCHEMA {quoted(database, schema)}")
    return True


def exists(session: Session, table: Name) -> bool:
    """Whether a table or view has exactly this name: to the engine upper and lower case are one."""
    place, name = list(table[:2]), table[2]
    names = session.duck.execute(f"{_TABLES} UNION ALL {_VIEWS}", [*place, *place]).fetchall()
    return (name,) in names


def exact_names(session: Session, tree: exp.Expression) -> None:
    """Refuse names that the engine would find though they differ in case from what is there."""
    target, _ = written(tree)
    names = []
    for table in tables_of(tree):
        if isinstance(tree, exp.Show | exp.Use | exp.Comment) or (not table.db and session.conn._schema is None):
            continue
        name = session.resolve(name_of(table))
        if name[1].upper() in {"_FS_INFORMATION_SCHEMA", "INFORMATION_SCHEMA"}:
            continue
        if isinstance(tree, exp.Create) and table is target:
            _new_name(session, name)
        elif not (isinstance(tree, exp.Drop | exp.Alter) and tree.args.get("exists")) and not exists(session, name):
            raise missing("Object", ".".join(name))
        else:
            names.append(name)
    _exact_columns(session, tree, names)


def _exact_columns(session: Session, tree: exp.Expression, names: list[Name]) -> None:
    """Refuse a column whose name fits one of the statement's tables but for its case."""
    if not isinstance(tree, exp.Query | exp.DML | exp.Merge | exp.Update | exp.Delete | exp.Insert):
        return
    there = {column for name in names for column, _ in _kinds(session, name)}
    made = {_ident(part) for one in tree.find_all(exp.Alias, exp.TableAlias) for part in one.find_all(exp.Identifier)}
    folded = {column.upper() for column in there}
    columns = [one.this for one in tree.find_all(exp.Column) if isinstance(one.this, exp.Identifier)]
    if isinstance(tree, exp.Insert) and isinstance(tree.this, exp.Schema):
        columns += [one for one in tree.this.expressions if isinstance(one, exp.Identifier)]
    for part in columns:
        name = _ident(part)
        if name.upper() in folded and name not in there | made:
            raise compilation(904, "42000", f"error line 1 at position 0\ninvalid identifier '{part.sql('snowflake')}'")


def _new_name(session: Session, name: Name) -> None:
    names = session.duck.execute(_TABLES, list(name[:2])).fetchall()
    other = next((one for (one,) in names if one.upper() == name[2].upper() and one != name[2]), None)
    if other is not None:
        raise refused(f"two tables whose names differ in case only: {other}, {name[2]}")
    if len(name[2]) > 255:
        raise compilation(2028, "42601", f"identifier '{name[2][:40]}…' exceeds the limit of 255 characters")


def locked(session: Session, tree: exp.Expression) -> Name | None:
    """The table that a statement locks until its transaction ends; INSERT and COPY lock none."""
    target, _ = written(tree)
    is_locking = isinstance(tree, exp.Update | exp.Delete | exp.Merge | exp.TruncateTable)
    is_locking |= isinstance(tree, exp.Insert) and bool(tree.args.get("overwrite"))
    return session.resolve(name_of(target)) if is_locking and target is not None else None


def afterwards(session: Session, tree: exp.Expression) -> None:
    """Notes that follow a statement: owners, keys, load history."""
    target, _ = written(tree)
    if target is None:
        return
    if isinstance(tree, exp.Create) and tree.kind == "TABLE":
        name = session.resolve(name_of(target))
        session.world.owners.setdefault(("TABLE", name), session.role)
        if isinstance(tree.this, exp.Schema):
            session.world.keys[name] = _keys(tree.this)
        if tree.args.get("replace"):
            _forget_loads(session, name)
    elif isinstance(tree, exp.TruncateTable) or (isinstance(tree, exp.Drop) and tree.args.get("kind") == "TABLE"):
        name = session.resolve(name_of(target))
        _forget_loads(session, name)
        if isinstance(tree, exp.Drop):
            session.world.owners.pop(("TABLE", name), None)
            session.world.keys.pop(name, None)


def _keys(schema: exp.Schema) -> list[str]:
    for key in schema.find_all(exp.PrimaryKey):
        return [_ident(part.find(exp.Identifier)) for part in key.expressions]
    return [
        _ident(column.this)
        for column in schema.find_all(exp.ColumnDef)
        if any(isinstance(one.kind, exp.PrimaryKeyColumnConstraint) for one in column.args.get("constraints") or [])
    ]


def _ident(part: Any) -> str:
    return str(part.this) if part.quoted else str(part.this).upper()


def _forget_loads(session: Session, name: Name) -> None:
    for table in (history_table(name[0]), quoted(name[0], "_FS_INFORMATION_SCHEMA", "_FS_LOAD_HISTORY")):
        session.duck.execute(f"DELETE FROM {table} WHERE schema_name = ? AND table_name = ?", list(name[1:]))


def show_keys(session: Session, reader: Reader) -> Result:
    """``SHOW PRIMARY KEYS IN [TABLE] t``."""
    reader.skip("TABLE")
    name = session.resolve(reader.name())
    if not exists(session, name):
        raise missing("Table", ".".join(name))
    columns = (
        "created_on",
        "database_name",
        "schema_name",
        "table_name",
        "column_name",
        "key_sequence",
        "constraint_name",
    )
    keys = session.world.keys.get(name, [])
    rows = [("", *name, column, place, "SYS_CONSTRAINT") for place, column in enumerate(keys, 1)]
    return Result(columns=columns, rows=rows, numbers=frozenset({"key_sequence"}))


def describe(session: Session, reader: Reader) -> Result:
    """``DESC TABLE t``."""
    name = session.resolve(reader.name())
    if not exists(session, name) or not session.world.may(session.role, "SELECT", "TABLE", name):
        raise missing("Table", ".".join(name))
    found = session.duck.execute(
        "SELECT column_name, data_type, is_nullable, column_default, character_maximum_length FROM "
        f"{EXTRA}._fs_columns WHERE table_catalog = ? AND table_schema = ? AND table_name = ? "
        "ORDER BY ordinal_position",
        list(name),
    ).fetchall()
    kinds = dict(_kinds(session, name))
    keys = session.world.keys.get(name, [])
    rows = [
        (column, spoken(kinds[column], length), "COLUMN", "Y" if null == "YES" else "N", default,
         "Y" if column in keys else "N", "N", None, None, None)
        for column, _, null, default, length in found
    ]  # fmt: skip
    columns = (
        "name",
        "type",
        "kind",
        "null?",
        "default",
        "primary key",
        "unique key",
        "check",
        "expression",
        "comment",
    )
    return Result(columns=columns, rows=rows, kind=0x4500)


def _kinds(session: Session, name: Name) -> list[tuple[str, str]]:
    return session.duck.execute(
        "SELECT column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = ? AND schema_name = ? AND table_name = ?",
        list(name),
    ).fetchall()


def spoken(kind: str, length: int | None) -> str:
    """An engine's type in Snowflake's words."""
    if match := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind):
        return f"NUMBER({match[1]},{match[2]})"
    names = {
        "VARCHAR": f"VARCHAR({length or 16777216})", "DOUBLE": "FLOAT", "FLOAT": "FLOAT", "BIGINT": "NUMBER(38,0)",
        "BLOB": "BINARY(8388608)", "TIMESTAMP": "TIMESTAMP_NTZ(9)", "TIMESTAMP WITH TIME ZONE": "TIMESTAMP_LTZ(9)",
        "TIME": "TIME(9)", "JSON": "VARIANT",
    }  # fmt: skip
    return names.get(kind, "NUMBER(38,0)" if kind.endswith("INT") or kind == "INTEGER" else kind)


# ALTER TABLE


def alter(session: Session, reader: Reader) -> Result | None:
    """SWAP WITH and RENAME TO; a change of type is checked and left to the engine."""
    start = reader.at
    reader.skip("IF", "EXISTS")
    name = session.resolve(reader.name())
    if reader.skip("SWAP", "WITH"):
        return _swap(session, name, session.resolve(reader.name()))
    if reader.skip("RENAME", "TO"):
        return _rename(session, name, session.resolve(reader.name()))
    _check_change(session, name, reader)
    reader.at = start
    return None


def _owned(session: Session, *names: Name) -> None:
    for name in names:
        if not exists(session, name):
            raise missing("Table", ".".join(name))
        if not session.world.may(session.role, "OWNERSHIP", "TABLE", name):
            raise denied("table", name[-1])


def _swap(session: Session, one: Name, other: Name) -> Result:
    """Both names change their table at once; comments, keys, lengths and load history go with the tables."""
    _owned(session, one, other)
    if one[:2] != other[:2]:
        raise refused("SWAP WITH a table of another schema")
    between = (*one[:2], f"_IB_SWAP_{session.id}")
    duck = session.duck
    duck.execute("BEGIN TRANSACTION")
    try:
        for old, new in ((one, between), (other, one), (between, other)):
            duck.execute(f"ALTER TABLE {quoted(*old)} RENAME TO {quoted(new[2])}")
            _move_loads(session, old, new)
        duck.execute("COMMIT")
    except BaseException:
        duck.execute("ROLLBACK")
        raise
    for old, new in ((one, between), (other, one), (between, other)):
        _move_notes(session, old, new)
    return said("Statement executed successfully.")


def _rename(session: Session, old: Name, new: Name) -> Result:
    _owned(session, old)
    if old[:2] != new[:2]:
        raise refused("RENAME TO another schema")
    if exists(session, new):
        raise taken(new[2])
    _new_name(session, new)
    session.duck.execute(f"ALTER TABLE {quoted(*old)} RENAME TO {quoted(new[2])}")
    _move_loads(session, old, new)
    _move_notes(session, old, new)
    return said("Statement executed successfully.")


def _move_loads(session: Session, old: Name, new: Name) -> None:
    for table in (history_table(old[0]), quoted(old[0], "_FS_INFORMATION_SCHEMA", "_FS_LOAD_HISTORY")):
        sql = f"UPDATE {table} SET table_name = ? WHERE schema_name = ? AND table_name = ?"
        session.duck.execute(sql, [new[2], *old[1:]])


def _move_notes(session: Session, old: Name, new: Name) -> None:
    world = session.world
    for notes, was, now in ((world.owners, ("TABLE", old), ("TABLE", new)), (world.keys, old, new)):
        if was in notes:
            notes[now] = notes.pop(was)
    for table in ("_fs_tables_ext", "_fs_columns_ext"):
        session.duck.execute(
            f"UPDATE {EXTRA}.{table} SET ext_table_name = ? "
            "WHERE ext_table_catalog = ? AND ext_table_schema = ? AND ext_table_name = ?",
            [new[2], *old],
        )


def _check_change(session: Session, name: Name, reader: Reader) -> None:
    """``ALTER|MODIFY [COLUMN] c [SET DATA] TYPE t``: only wider, and a NUMBER keeps its scale."""
    if not (reader.skip("ALTER") or reader.skip("MODIFY")):
        return
    reader.skip("COLUMN")
    column = reader.name()[0]
    if not (reader.skip("SET", "DATA", "TYPE") or reader.skip("TYPE")):
        return
    kinds = dict(_kinds(session, name))
    if column not in kinds:
        raise missing("Column", column)
    word = reader.take().value
    sizes = [int(token.raw) for token in reader.found[reader.at :] if token.kind == "number"]
    old = kinds[column]
    match = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", old)
    if match and word in {"NUMBER", "DECIMAL", "NUMERIC"}:
        precision, scale = (*sizes, 38, 0)[:2] if len(sizes) != 1 else (sizes[0], 0)
        if precision >= int(match[1]) and scale == int(match[2]):
            return
    elif old == "VARCHAR" and word in {"VARCHAR", "TEXT", "STRING"}:
        length = session.duck.execute(
            f"SELECT ext_character_maximum_length FROM {EXTRA}._fs_columns_ext WHERE ext_table_catalog = ? AND "
            "ext_table_schema = ? AND ext_table_name = ? AND ext_column_name = ?",
            [*name, column],
        ).fetchone()
        if (sizes[0] if sizes else 16777216) >= (length[0] if length and length[0] else 16777216):
            return
    elif not sizes and spoken(old, None).split("(")[0] == word:
        return
    new = f"{word}({','.join(map(str, sizes))})" if sizes else word
    raise compilation(2108, "22000", f"cannot change column {column} from type {spoken(old, None)} to {new}")

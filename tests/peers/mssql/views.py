"""sys.* and INFORMATION_SCHEMA, of the database and of tempdb."""

# ruff: noqa: E501 - tables of columns: one line each

from __future__ import annotations

from typing import Any

from tests.peers.mssql.catalog import sql
from tests.peers.mssql.interface import Column, SqlType
from tests.peers.mssql.translate import types
from tests.peers.mssql.translate.types import declared

_I, _S, _T, _B = declared("int", []), declared("smallint", []), declared("tinyint", []), declared("bit", [])
_N, _M = declared("sysname", []), declared("nvarchar", [types.MAX])
_D, _C = declared("datetime", []), declared("char", [2])
_W, _L = declared("nvarchar", [60]), declared("bigint", [])

_KINDS = ("CASE trim(o.type) WHEN 'U' THEN 'USER_TABLE' WHEN 'V' THEN 'VIEW' WHEN 'PK' THEN "
    "'PRIMARY_KEY_CONSTRAINT' WHEN 'UQ' "
          "THEN 'UNIQUE_CONSTRAINT' WHEN 'F' THEN 'FOREIGN_KEY_CONSTRAINT' WHEN 'C' THEN 'CHECK_CONSTRAINT' WHEN "
              "'D' THEN "
          "'DEFAULT_CONSTRAINT' ELSE 'SQL_TRIGGER' END")  # fmt: skip
_OBJECT = [("name", _N, "o.name"), ("object_id", _I, "o.object_id"), ("schema_id", _I, "o.schema_id"),
           ("parent_object_id", _I, "o.parent_id"), ("type", _C, "o.type"), ("type_desc", _W, _KINDS),
           ("create_date", _D, "ms.datetime(ms.ticks(o.created))"), ("modify_date", _D, "ms.datetime(ms.ticks(o.modified))"), ("is_ms_shipped", _B, "false")]  # fmt: skip
_SEEN = "ms.visible(o.object_id)"
_COLUMN = [
    ("object_id", _I, "c.object_id"), ("name", _N, "c.name"), ("column_id", _I, "c.column_id"),
    ("system_type_id", _T, "ms.system_type_id(c.type_name)"), ("user_type_id", _I, "ms.type_id(c.type_name)"),
    ("max_length", _S, "c.max_length"), ("precision", _T, "c.shown_precision"), ("scale", _T, "c.shown_scale"),
    ("collation_name", _N, "CASE WHEN c.type_name IN ('char','varchar','nchar','nvarchar','text','ntext','sysname') THEN c.\"collation\" END"),
    ("is_nullable", _B, "c.nullable"), ("is_ansi_padded", _B, "true"), ("is_rowguidcol", _B, "false"),
    ("is_identity", _B, "c.identity"), ("is_computed", _B, "c.computed IS NOT NULL"),
    ("default_object_id", _I, "coalesce(c.default_id, 0)"), ("generated_always_type", _T, "0"), ("is_hidden", _B, "false"),
    ("is_sparse", _B, "false"), ("is_masked", _B, "false"), ("is_filestream", _B, "false"),
]  # fmt: skip
_IDENTITY = [
    *_COLUMN,
    ("seed_value", _L, "c.seed"),
    ("increment_value", _L, "c.increment"),
    ("last_value", _L, "NULL::int8"),
]
_COMPUTED = [*_COLUMN, ("definition", _M, "c.computed"), ("is_persisted", _B, "c.persisted")]
_CSEEN = "ms.visible(c.object_id)"
_INDEX = [
    ("object_id", _I, "i.object_id"), ("name", _N, "i.name"), ("index_id", _I, "i.index_id"),
    ("type", _T, "CASE WHEN i.clustered THEN 1 ELSE 2 END"),
    ("type_desc", _W, "CASE WHEN i.clustered THEN 'CLUSTERED' ELSE 'NONCLUSTERED' END"), ("is_unique", _B, "i.is_unique"),
    ("data_space_id", _I, "1"), ("ignore_dup_key", _B, "false"), ("is_primary_key", _B, "i.is_primary"),
    ("is_unique_constraint", _B, "i.is_constraint AND NOT i.is_primary"), ("fill_factor", _T, "0"),
    ("is_disabled", _B, "false"), ("is_hypothetical", _B, "false"), ("has_filter", _B, "i.filter IS NOT NULL"),
    ("filter_definition", _M, "i.filter"),
]  # fmt: skip
_INDEX_COLUMN = [
    ("object_id", _I, "x.object_id"), ("index_id", _I, "x.index_id"), ("index_column_id", _I, "x.ordinal"),
    ("column_id", _I, "x.column_id"), ("key_ordinal", _T, "CASE WHEN x.included THEN 0 ELSE x.ordinal END"),
    ("partition_ordinal", _T, "0"), ("is_descending_key", _B, "x.descending"), ("is_included_column", _B, "x.included"),
]  # fmt: skip
_PARENT = "JOIN ms.objects t ON t.object_id = o.parent_id"

# name → (columns, FROM … WHERE …)
_SYS: dict[str, tuple[list[tuple[str, SqlType, str]], str]] = {
    "objects": (_OBJECT, f"{{objects}} o WHERE {_SEEN}"),
    "all_objects": (_OBJECT, f"{{objects}} o WHERE {_SEEN}"),
    "tables": ([*_OBJECT, ("temporal_type", _T, "0"), ("is_memory_optimized", _B, "false"), ("lock_escalation", _T, "0"),
                ("is_external", _B, "false"), ("is_node", _B, "false"), ("is_edge", _B, "false")],
               f"{{objects}} o WHERE o.type = 'U' AND {_SEEN}"),
    "views": (_OBJECT, f"{{objects}} o WHERE o.type = 'V' AND {_SEEN}"),
    "triggers": ([("name", _N, "o.name"), ("object_id", _I, "o.object_id"), ("parent_id", _I, "o.parent_id"),
                  ("parent_class", _T, "1"), ("type", _C, "o.type"), ("is_disabled", _B, "false"),
                  ("is_instead_of_trigger", _B, "false")], f"{{objects}} o WHERE o.type = 'TR' AND {_SEEN}"),
    "columns": (_COLUMN, f"{{columns}} c WHERE {_CSEEN}"),
    "all_columns": (_COLUMN, f"{{columns}} c WHERE {_CSEEN}"),
    "identity_columns": (_IDENTITY, f"{{columns}} c WHERE c.identity AND {_CSEEN}"),
    "computed_columns": (_COMPUTED, f"{{columns}} c WHERE c.computed IS NOT NULL AND {_CSEEN}"),
    "indexes": (_INDEX, "{indexes} i WHERE ms.visible(i.object_id)"),
    "index_columns": (_INDEX_COLUMN, "{index_columns} x WHERE ms.visible(x.object_id)"),
    "key_constraints": ([*_OBJECT, ("unique_index_id", _I, "i.index_id"), ("is_system_named", _B, "false")],
                        "{objects} o JOIN {indexes} i ON i.object_id = o.parent_id AND i.name::text = o.name::text "
                        f"WHERE o.type IN ('PK', 'UQ') AND {_SEEN}"),
    "check_constraints": ([*_OBJECT, ("definition", _M, "o.definition"), ("is_disabled", _B, "false"),
                           ("is_not_trusted", _B, "false")], f"{{objects}} o WHERE o.type = 'C' AND {_SEEN}"),
    "default_constraints": ([*_OBJECT, ("parent_column_id", _I, "c.column_id"), ("definition", _M, "o.definition")],
                            f"{{objects}} o JOIN {{columns}} c ON c.default_id = o.object_id WHERE o.type = 'D' "
                                f"AND {_SEEN}"),
    "foreign_keys": ([*_OBJECT, ("referenced_object_id", _I, "f.referenced_id"), ("is_disabled", _B, "false"),
                      ("delete_referential_action_desc", _W, "replace(f.on_delete, ' ', '_')"),
                      ("update_referential_action_desc", _W, "replace(f.on_update, ' ', '_')")],
                     f"{{objects}} o JOIN {{foreign_keys}} f ON f.object_id = o.object_id WHERE {_SEEN}"),
    "foreign_key_columns": ([("constraint_object_id", _I, "f.object_id"), ("constraint_column_id", _I, "f.ordinal"),
                             ("parent_object_id", _I, "f.parent_id"), ("parent_column_id", _I, "f.parent_column"),
                             ("referenced_object_id", _I, "f.referenced_id"),
                             ("referenced_column_id", _I, "f.referenced_column")], "{foreign_key_columns} f"),
    "schemas": ([("name", _N, "s.name"), ("schema_id", _I, "s.schema_id"), ("principal_id", _I, "1")], "ms.schemas s"),
    "types": ([("name", _N, "t.name"), ("system_type_id", _T, "t.system_type_id"), ("user_type_id", _I, "t.user_type_id"),
               ("schema_id", _I, "4"), ("max_length", _S, "t.max_length"), ("precision", _T, 't."precision"'),
               ("scale", _T, "t.scale"), ("is_nullable", _B, "true"), ("is_user_defined", _B, "false"),
               ("is_assembly_type", _B, "false"), ("is_table_type", _B, "false"),
               ("collation_name", _N, f"CASE WHEN t.collated THEN '{types.COLLATION}' END")], "ms.types t"),
    "sql_modules": ([("object_id", _I, "o.object_id"), ("definition", _M, "o.definition")],
                    "{objects} o WHERE o.type IN ('V', 'TR') AND ms.allowed('VIEW DEFINITION', o.object_id, "
                        "o.schema_id)"),
    "database_principals": ([("name", _N, "p.name"), ("principal_id", _I, "p.principal_id"), ("type", _C, "p.type"),
                             ("default_schema_name", _N, "'dbo'")], "ms.principals p"),
    "partitions": ([("object_id", _I, "o.object_id"), ("index_id", _I, "0"), ("partition_number", _I, "1"),
                    ("rows", _L, "(SELECT greatest(p.reltuples, 0)::int8 FROM pg_class p WHERE p.relname = 't' "
                        "|| o.object_id)")],
                   f"{{objects}} o WHERE o.type = 'U' AND {_SEEN}"),
    "extended_properties": ([("class", _T, "0"), ("major_id", _I, "0"), ("minor_id", _I, "0"), ("name", _N, "''"),
                             ("value", _M, "''")], "ms.options z WHERE false"),
}  # fmt: skip
_IS_TABLE = "ms.objects o JOIN ms.schemas s ON s.schema_id = o.schema_id"
_DATA_TYPE = "CASE c.type_name WHEN 'rowversion' THEN 'timestamp' WHEN 'sysname' THEN 'nvarchar' ELSE c.type_name END"
_LENGTH = ("CASE WHEN c.type_name IN ('text', 'image') THEN 2147483647 WHEN c.type_name = 'ntext' THEN 1073741823 WHEN "
           "c.type_name IN ('char','varchar','nchar','nvarchar','binary','varbinary','xml','sysname') THEN "
               "c.length END")  # fmt: skip
_CONSTRAINT = [("CONSTRAINT_CATALOG", _N, "{database}"), ("CONSTRAINT_SCHEMA", _N, "s.name"), ("CONSTRAINT_NAME", _N, "o.name"),
               ("TABLE_CATALOG", _N, "{database}"), ("TABLE_SCHEMA", _N, "s.name"), ("TABLE_NAME", _N, "t.name")]  # fmt: skip
_INFORMATION: dict[str, tuple[list[tuple[str, SqlType, str]], str]] = {
    "tables": ([("TABLE_CATALOG", _N, "{database}"), ("TABLE_SCHEMA", _N, "s.name"), ("TABLE_NAME", _N, "o.name"),
                ("TABLE_TYPE", declared("varchar", [10]), "CASE o.type WHEN 'U' THEN 'BASE TABLE' ELSE 'VIEW' END")],
               f"{_IS_TABLE} WHERE o.type IN ('U', 'V') AND {_SEEN}"),
    "columns": ([("TABLE_CATALOG", _N, "{database}"), ("TABLE_SCHEMA", _N, "s.name"), ("TABLE_NAME", _N, "o.name"),
                 ("COLUMN_NAME", _N, "c.name"), ("ORDINAL_POSITION", _I, "c.column_id"), ("COLUMN_DEFAULT", _M, "c.default_text"),
                 ("IS_NULLABLE", declared("varchar", [3]), "CASE WHEN c.nullable THEN 'YES' ELSE 'NO' END"),
                 ("DATA_TYPE", _N, _DATA_TYPE), ("CHARACTER_MAXIMUM_LENGTH", _I, _LENGTH),
                 ("CHARACTER_OCTET_LENGTH", _I, "CASE WHEN c.type_name LIKE 'n%char' AND c.length > 0 THEN "
                     "c.length * 2 ELSE "
                  f"({_LENGTH}) END"),
                 ("NUMERIC_PRECISION", _T, "CASE WHEN c.type_name IN ('tinyint','smallint','int','bigint','decimal','numeric',"
                  "'money','smallmoney','float','real') THEN c.shown_precision END"),
                 ("NUMERIC_PRECISION_RADIX", _S, "CASE WHEN c.type_name IN ('float','real') THEN 2 WHEN c.type_name IN "
                  "('tinyint','smallint','int','bigint','decimal','numeric','money','smallmoney') THEN 10 END"),
                 ("NUMERIC_SCALE", _I, "CASE WHEN c.type_name IN ('tinyint','smallint','int','bigint','decimal','numeric',"
                  "'money','smallmoney') THEN c.shown_scale END"),
                 ("DATETIME_PRECISION", _S, "CASE WHEN c.type_name IN ('date','smalldatetime') THEN 0 WHEN "
                     "c.type_name IN "
                  "('time','datetime','datetime2','datetimeoffset') THEN c.shown_scale END"),
                 ("COLLATION_NAME", _N, "CASE WHEN c.type_name IN ('char','varchar','nchar','nvarchar','text','ntext','sysname') "
                  'THEN c."collation" END')],
                f"ms.columns c JOIN {_IS_TABLE} ON o.object_id = c.object_id WHERE {_SEEN}"),
    "table_constraints": ([*_CONSTRAINT, ("CONSTRAINT_TYPE", declared("varchar", [11]), "CASE o.type WHEN 'PK' "
        "THEN 'PRIMARY KEY' "
                           "WHEN 'UQ' THEN 'UNIQUE' WHEN 'F' THEN 'FOREIGN KEY' ELSE 'CHECK' END")],
                          f"{_IS_TABLE} {_PARENT} WHERE o.type IN ('PK', 'UQ', 'F', 'C') AND {_SEEN}"),
    "key_column_usage": ([*_CONSTRAINT, ("COLUMN_NAME", _N, "c.name"), ("ORDINAL_POSITION", _I, "x.ordinal")],
                         f"{_IS_TABLE} {_PARENT} JOIN ms.indexes i ON i.object_id = t.object_id AND i.name = o.name "
                         "JOIN ms.index_columns x ON x.object_id = i.object_id AND x.index_id = i.index_id AND "
                             "NOT x.included "
                         "JOIN ms.columns c ON c.object_id = i.object_id AND c.column_id = x.column_id "
                         f"WHERE o.type IN ('PK', 'UQ') AND {_SEEN}"),
    "schemata": ([("CATALOG_NAME", _N, "{database}"), ("SCHEMA_NAME", _N, "s.name"), ("SCHEMA_OWNER", _N, "'dbo'")], "ms.schemas s"),
    "views": ([("TABLE_CATALOG", _N, "{database}"), ("TABLE_SCHEMA", _N, "s.name"), ("TABLE_NAME", _N, "o.name"),
               ("VIEW_DEFINITION", _M, "o.definition")], f"{_IS_TABLE} WHERE o.type = 'V' AND {_SEEN}"),
}  # fmt: skip
_BASE = {
    "objects": (("object_id", "schema_id", "name", "type", "parent_id", "definition"), ("int", "int", "text", "text", "int", "text")),
    "columns": (("object_id", "column_id", "name", "type_name", "length", '"precision"', "scale", '"collation"', "nullable",
                 "identity", "seed", "increment", "computed", "persisted", "default_id", "default_text", "max_length",
                 "shown_precision", "shown_scale"),
                ("int", "int", "text", "text", "int", "int", "int", "text", "boolean", "boolean", "int8", "int8", "text",
                 "boolean", "int", "text", "int", "int", "int")),
    "indexes": (("object_id", "index_id", "name", "is_unique", "is_primary", "is_constraint", "clustered", "filter"),
                ("int", "int", "text", "boolean", "boolean", "boolean", "boolean", "text")),
    "index_columns": (("object_id", "index_id", "ordinal", "column_id", "descending", "included"),
                      ("int", "int", "int", "int", "boolean", "boolean")),
    "foreign_keys": (("object_id", "parent_id", "referenced_id", "on_delete", "on_update"), ("int", "int", "int", "text", "text")),
    "foreign_key_columns": (("object_id", "ordinal", "parent_id", "parent_column", "referenced_id", "referenced_column"),
                            ("int",) * 6),
}  # fmt: skip


def view(session: Any, schema: str, name: str, *, temporary: bool) -> tuple[str, list[tuple[str, SqlType]]] | None:
    """A system view's query and columns; None when there is none of that name."""
    folded = name.casefold()
    if schema == "sys" and folded == "databases":
        return _databases(session)
    if schema == "sys" and folded in {"dm_exec_sessions", "dm_exec_connections"}:
        return _sessions(session)
    found = (_SYS if schema == "sys" else _INFORMATION).get(folded)
    if found is None:
        return None
    columns, source = found
    base = {table: _temporary(session, table) if temporary else f"ms.{table}" for table in _BASE}
    database = _text("tempdb" if temporary else session.database)
    cells = []
    for _, kind, expression in columns:
        value = f"({expression.replace('{database}', database)})"
        if kind.name in types.STRINGS:
            value = f"{value}::text::{types.stored(kind)}"
        else:
            value = f"{value}::{types.plain(kind)}"
        cells.append(value)
    return f"SELECT {', '.join(cells)} FROM {source.format(**base)}", [(label, kind) for label, kind, _ in columns]


def _text(words: str) -> str:
    return "'" + words.replace("'", "''") + "'"


def _temporary(session: Any, table: str) -> str:
    names, kinds = _BASE[table]
    extra = ", now()::timestamp AS created, now()::timestamp AS modified" if table == "objects" else ""
    rows = [row for item in session.temporary.values() for row in item.rows.get(table, [])]
    if not rows:
        empty = ", ".join(f"NULL::{kind} AS {name}" for name, kind in zip(names, kinds, strict=True))
        return f"(SELECT {empty}{extra} WHERE false)"
    lines = ", ".join(
        "(" + ", ".join(f"{sql(value)}::{kind}" for value, kind in zip(row, kinds, strict=True)) + ")" for row in rows
    )
    return f"(SELECT *{extra} FROM (VALUES {lines}) AS v({', '.join(names)}))"


def _databases(session: Any) -> tuple[str, list[tuple[str, SqlType]]]:
    flags = dict(session.run("SELECT name, value FROM ms.options"))
    lines = []
    for number, name in enumerate(session.engine.databases, 1):
        own = name == session.database
        snapshot = 1 if own and flags.get("ALLOW_SNAPSHOT_ISOLATION") == "ON" else 0
        committed = own and flags.get("READ_COMMITTED_SNAPSHOT") == "ON"
        lines.append(f"({_text(name)}::ms.ci COLLATE ms.ci_order, {number}, {_text(types.COLLATION)}::ms.ci "
            f"COLLATE ms.ci_order, "
                     f"'{['OFF', 'ON'][snapshot]}'::ms.ci COLLATE ms.ci_order, {snapshot}::int2, "
                         f"{str(committed).lower()}, "
                     f"'ONLINE'::ms.ci COLLATE ms.ci_order, 0::int2, 160::int2, now()::timestamp, false)")  # fmt: skip
    columns = [("name", _N), ("database_id", _I), ("collation_name", _N), ("snapshot_isolation_state_desc", _W),
               ("snapshot_isolation_state", _T), ("is_read_committed_snapshot_on", _B), ("state_desc", _W), ("state", _T),
               ("compatibility_level", _T), ("create_date", _D), ("is_read_only", _B)]  # fmt: skip
    return f"VALUES {', '.join(lines)}", columns


def _sessions(session: Any) -> tuple[str, list[tuple[str, SqlType]]]:
    row = (
        f"({session.number}::int2, {_text(session.user)}::ms.ci COLLATE ms.ci_order, 'localhost'::ms.ci "
        f"COLLATE ms.ci_order, 1::int2, 'FALSE'::ms.ci COLLATE ms.ci_order, 'TCP'::ms.ci COLLATE ms.ci_order)"
    )
    levels = {"READ UNCOMMITTED": 1, "READ COMMITTED": 2, "REPEATABLE READ": 3, "SERIALIZABLE": 4, "SNAPSHOT": 5}
    level = levels[session.connection.isolation]
    return (f"SELECT q.*, {level}::int2 FROM (VALUES {row}) AS q",
            [("session_id", _S), ("login_name", _N), ("host_name", _N), ("is_user_process", _T), ("encrypt_option", _W),
             ("net_transport", _W), ("transaction_isolation_level", _S)])  # fmt: skip


def describe_columns() -> list[tuple[str, SqlType]]:
    """Columns of sp_describe_first_result_set (those that are used)."""
    return [("is_hidden", _B), ("column_ordinal", _I), ("name", _N), ("is_nullable", _B), ("system_type_id", _I),
            ("system_type_name", declared("nvarchar", [256])), ("max_length", _S), ("precision", _T), ("scale", _T),
            ("collation_name", _N), ("user_type_id", _I), ("is_identity_column", _B), ("is_updateable", _B),
            ("is_computed_column", _B), ("error_number", _I), ("error_message", declared("nvarchar", [4000]))]  # fmt: skip


_IDS = {"image": 34, "text": 35, "uniqueidentifier": 36, "date": 40, "time": 41, "datetime2": 42, "datetimeoffset": 43,
        "tinyint": 48, "smallint": 52, "int": 56, "smalldatetime": 58, "real": 59, "money": 60, "datetime": 61, "float": 62,
        "sql_variant": 98, "ntext": 99, "bit": 104, "decimal": 106, "numeric": 108, "smallmoney": 122, "bigint": 127,
        "varbinary": 165, "varchar": 167, "binary": 173, "char": 175, "rowversion": 189, "nvarchar": 231, "sysname": 231,
        "nchar": 239, "xml": 241, "hierarchyid": 240, "geometry": 240, "geography": 240, "json": 244, "vector": 255}  # fmt: skip


def describe_row(place: int, item: Column) -> tuple[Any, ...]:
    """One column's row."""
    precision, scale = types.numbers(item.type)
    text = item.type.name in types.STRINGS
    spelled = types.spelled(item.type) if item.type.name != "sysname" else "nvarchar(128)"
    return (False, place, item.name, item.nullable, _IDS[item.type.name], spelled, types.size(item.type), precision, scale,
            item.type.collation if text else None, None, item.identity, not item.computed, item.computed, None, None)  # fmt: skip

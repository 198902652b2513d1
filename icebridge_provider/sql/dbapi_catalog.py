"""Questions to the catalogs of SQLite and PostgreSQL; every value is bound."""

from __future__ import annotations

from icebridge_provider.sql.identifiers import quoted

SQLITE_COLUMNS = 'SELECT cid, name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?, ?)'
SQLITE_INDEXES = 'SELECT seq, name, "unique", origin, partial FROM pragma_index_list(?, ?)'
SQLITE_INDEX_COLUMNS = 'SELECT seqno, cid, name, "desc", coll, key FROM pragma_index_xinfo(?, ?) ORDER BY seqno'

POSTGRES_DATABASE = "SELECT current_database()"
# Schema and table as given, then both in lower case.
POSTGRES_TABLES = (
    "SELECT n.nspname, c.relname, c.oid FROM pg_catalog.pg_class c"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE ((n.nspname = %s AND c.relname = %s) OR (lower(n.nspname) = %s AND lower(c.relname) = %s))"
    " AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
)
POSTGRES_COLUMNS = (
    "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity <> '',"
    " a.attgenerated <> '', a.atthasdef, l.collname FROM pg_catalog.pg_attribute a"
    " LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation"
    " WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
)
# Only keys that hold for every row at the end of every statement.
POSTGRES_KEYS = (
    "SELECT array_agg(a.attname::text ORDER BY k.place) FROM pg_catalog.pg_index i"
    " CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)"
    " JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"
    " WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL"
    " AND k.place <= i.indnkeyatts GROUP BY i.indexrelid, i.indisprimary ORDER BY i.indisprimary DESC, i.indexrelid"
)


def sqlite_tables(schema: str) -> str:
    """Names of the tables and views of one attached database."""
    return f"SELECT name FROM {quoted(schema, 'sqlite_master', dialect='sqlite')} WHERE type IN ('table', 'view')"  # noqa: S608

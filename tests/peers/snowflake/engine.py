"""fakesnow's engine, mended where it differs from Snowflake in what a statement means."""

from __future__ import annotations

from base64 import b64encode
from collections import OrderedDict
from typing import Any

import duckdb
import fakesnow.arrow
import fakesnow.info_schema
import fakesnow.transforms
import pyarrow as pa
import snowflake.connector.errors
from fakesnow.arrow import to_ipc, to_sf
from fakesnow.conn import FakeSnowflakeConnection
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.instance import FakeSnow
from fakesnow.rowtype import describe_as_rowtype
from fakesnow.statement_type import DML_TYPE_IDS, statement_type_id
from sqlglot import exp

from tests.peers.snowflake.errors import SnowflakeError

INTEGERS = {
    exp.DataType.Type.INT,
    exp.DataType.Type.BIGINT,
    exp.DataType.Type.SMALLINT,
    exp.DataType.Type.TINYINT,
}
_STRUCT = fakesnow.arrow.timestamp_to_sf_struct
KEYS = (exp.PrimaryKeyColumnConstraint, exp.UniqueColumnConstraint, exp.Reference)


def whole_numbers(expression: exp.Expression) -> exp.Expression:
    """INT, BIGINT, NUMBER and DECIMAL without sizes are NUMBER(38,0); fakesnow makes them 64 bits wide."""
    if not isinstance(expression, exp.DataType):
        return expression
    plain = expression.this == exp.DataType.Type.DECIMAL and not expression.expressions
    if not plain and expression.this not in INTEGERS:
        return expression
    sizes = [exp.DataTypeParam(this=exp.Literal.number(size)) for size in (38, 0)]
    return exp.DataType(this=exp.DataType.Type.DECIMAL, expressions=sizes)


def mend() -> None:
    """Replace what fakesnow's own functions get wrong, in this process."""
    fakesnow.transforms.integer_precision = whole_numbers
    fakesnow.arrow.timestamp_to_sf_struct = _seconds_and_fraction
    comment, lengths = fakesnow.info_schema.insert_table_comment_sql, fakesnow.info_schema.insert_text_lengths_sql
    fakesnow.info_schema.insert_table_comment_sql = lambda *texts: comment(*(_doubled(text) for text in texts))
    fakesnow.info_schema.insert_text_lengths_sql = lambda catalog, schema, table, sizes: lengths(
        _doubled(catalog), _doubled(schema), _doubled(table), [(_doubled(name), size) for name, size in sizes]
    )


def _seconds_and_fraction(times: pa.ChunkedArray) -> pa.Array:
    """Times as the connector wants them; fakesnow forgets that some are NULL."""
    whole = times.combine_chunks()
    found = _STRUCT(whole)
    return pa.StructArray.from_arrays(
        [found.field(place) for place in range(found.type.num_fields)],
        fields=list(found.type),
        mask=whole.is_null(),
    )


def _doubled(text: str) -> str:
    return text.replace("'", "''")


class Cursor(FakeSnowflakeCursor):
    """Keys are not enforced; functions of the session and HASH_AGG are there."""

    context: dict[str, Any]

    def _transform_explode(self, expression: exp.Expression) -> list[exp.Expression]:
        expression = expression.transform(self._of_session, copy=False)
        if isinstance(expression, exp.Create) and isinstance(expression.this, exp.Schema):
            _drop_keys(expression.this)
        return super()._transform_explode(expression)

    def _transform(self, expression: exp.Expression, params: Any) -> exp.Expression:
        return super()._transform(expression, params).transform(_hash_agg, copy=False)

    def _of_session(self, node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Anonymous) and node.name.upper() in self.context:
            return _constant(self.context[node.name.upper()])
        if isinstance(node, exp.CurrentUser | exp.CurrentRole | exp.CurrentWarehouse | exp.CurrentAccount):
            return _constant(self.context[node.sql_name().upper()])
        if isinstance(node, exp.CurrentTimestamp | exp.Localtimestamp):
            return exp.cast(_constant(self.context["CURRENT_TIMESTAMP"]), "TIMESTAMP_LTZ", dialect="snowflake")
        return node


def _constant(value: Any) -> exp.Expression:
    return exp.Null() if value is None else exp.Literal.string(str(value))


def _drop_keys(schema: exp.Schema) -> None:
    """Primary, unique and foreign keys are notes to Snowflake; a primary key's columns are NOT NULL all the same."""
    kept, solid = [], set()
    for part in schema.expressions:
        inner = part.expressions[0] if isinstance(part, exp.Constraint) and part.expressions else part
        if isinstance(inner, exp.PrimaryKey):
            solid |= {column.name.upper() for column in inner.expressions}
        elif not isinstance(inner, exp.UniqueColumnConstraint | exp.ForeignKey):
            kept.append(part)
    schema.set("expressions", kept)
    for column in schema.find_all(exp.ColumnDef):
        constraints = column.args.get("constraints") or []
        is_key = any(isinstance(one.kind, exp.PrimaryKeyColumnConstraint) for one in constraints)
        rest = [one for one in constraints if not isinstance(one.kind, KEYS)]
        has = any(isinstance(one.kind, exp.NotNullColumnConstraint) for one in rest)
        if (is_key or column.name.upper() in solid) and not has:
            rest.append(exp.ColumnConstraint(kind=exp.NotNullColumnConstraint()))
        column.set("constraints", rest)


def _hash_agg(node: exp.Expression) -> exp.Expression:
    """A signed 64-bit sum of row hashes, blind to order, as Snowflake's (the values are the engine's own)."""
    if isinstance(node, exp.HashAgg):
        columns = [node.this, *node.expressions]
    elif isinstance(node, exp.Anonymous) and node.name.upper() == "HASH_AGG":
        columns = node.expressions
    else:
        return node
    given = [exp.Var(this="*COLUMNS(*)") if isinstance(one, exp.Star) else one for one in columns]
    row = exp.Anonymous(this="HASH", expressions=given)
    total = exp.Anonymous(this="COALESCE", expressions=[exp.Anonymous(this="SUM", expressions=[row]), _number(0)])
    folded = exp.Sub(this=exp.Paren(this=exp.Mod(this=total, expression=_number(2**64))), expression=_number(2**63))
    return exp.Cast(this=exp.Paren(this=folded), to=exp.DataType.build("BIGINT"))


def _number(value: int) -> exp.Expression:
    return exp.Literal.number(value)


class Engine:
    """One account's data: DuckDB by fakesnow."""

    def __init__(self, filesystem: Any) -> None:
        mend()
        self.fake = FakeSnow(create_database_on_connect=False, create_schema_on_connect=False)
        self.fake.results_cache = OrderedDict()
        if filesystem is not None:
            self.fake.duck_conn.register_filesystem(filesystem)

    def connect(self) -> FakeSnowflakeConnection:
        return self.fake.connect()

    def run(self, conn: FakeSnowflakeConnection, context: dict[str, Any], sql: str, params: Any) -> dict[str, Any]:
        """Execute one statement; gives the ``data`` of its answer. Raises SnowflakeError."""
        cursor = Cursor(conn, conn._duck_conn)
        cursor.context = context
        try:
            cursor.execute(sql, binding_params=params, server=True)
            return _data(cursor, conn)
        except SnowflakeError:
            raise
        except duckdb.InterruptException as error:
            raise SnowflakeError(604, "57014", "SQL execution canceled") from error
        except snowflake.connector.errors.Error as error:
            raise SnowflakeError(int(error.errno or 603), str(error.sqlstate or "XX000"), str(error.raw_msg)) from error
        finally:
            while len(self.fake.results_cache) > 20:
                self.fake.results_cache.popitem(last=False)


def _data(cursor: Cursor, conn: FakeSnowflakeConnection) -> dict[str, Any]:
    kind = statement_type_id(cursor._last_transformed)
    rowtype = describe_as_rowtype(cursor._describe_last_sql())
    table = cursor._arrow_table
    data = {
        "parameters": [{"name": "TIMEZONE", "value": "Etc/UTC"}],
        "rowtype": rowtype,
        "total": table.num_rows,
        "returned": table.num_rows,
        "statementTypeId": kind,
        "finalDatabaseName": conn.database,
        "finalSchemaName": conn.schema,
    }
    if kind in DML_TYPE_IDS:
        rows = zip(*[column.to_pylist() for column in table.columns], strict=True)
        rowset = [[None if value is None else str(value) for value in row] for row in rows]
        return {**data, "queryResultFormat": "json", "rowset": rowset}
    if not table.num_rows:
        return {**data, "queryResultFormat": "arrow", "rowsetBase64": ""}
    body = to_ipc(to_sf(_narrow(table), rowtype))
    return {**data, "queryResultFormat": "arrow", "rowsetBase64": b64encode(body).decode()}


def _narrow(table: pa.Table) -> pa.Table:
    """Whole numbers that fit go as 64-bit integers, as Snowflake sends them."""
    for place, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type) and field.type.scale == 0:
            try:
                table = table.set_column(place, field.name, table.column(place).cast(pa.int64()))
            except pa.ArrowInvalid:
                continue
    return table

"""fakesnow's engine, mended where it differs from Snowflake in what a statement means."""

from __future__ import annotations

import string
from base64 import b64encode
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

import duckdb
import fakesnow.arrow
import fakesnow.cursor
import fakesnow.info_schema
import fakesnow.transforms
import pyarrow as pa
import snowflake.connector.errors
from fakesnow.arrow import to_ipc, to_sf
from fakesnow.conn import FakeSnowflakeConnection
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.dialect import parse_one
from fakesnow.instance import FakeSnow
from fakesnow.rowtype import describe_as_rowtype
from fakesnow.statement_type import DML_TYPE_IDS, MERGE, statement_type_id
from sqlglot import exp

from tests.peers.snowflake.errors import SnowflakeError
from tests.peers.snowflake.results import Result

INTEGERS = {
    exp.DataType.Type.INT,
    exp.DataType.Type.BIGINT,
    exp.DataType.Type.SMALLINT,
    exp.DataType.Type.TINYINT,
}
_STRUCT = fakesnow.arrow.timestamp_to_sf_struct
OF_SESSION = (exp.CurrentUser, exp.CurrentRole, exp.CurrentWarehouse, exp.CurrentAccount, exp.CurrentSession)
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
    fakesnow.transforms.numeric_agg_implicit_cast = lambda expression: expression  # it makes exact sums floats
    for name in ("SQL_CREATED_TABLE", "SQL_CREATED_VIEW", "SQL_CREATED_SEQUENCE", "SQL_DROPPED"):
        setattr(fakesnow.cursor, name, _Said(getattr(fakesnow.cursor, name).template))
    comment, lengths = fakesnow.info_schema.insert_table_comment_sql, fakesnow.info_schema.insert_text_lengths_sql
    fakesnow.info_schema.insert_table_comment_sql = _comment(comment)
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


class _Said(string.Template):
    """A message as SQL, whatever stands in the name."""

    def substitute(self, *, name: str) -> str:
        return super().substitute(name=_doubled(name))


def _comment(written: Callable[..., str]) -> Callable[..., str]:
    """No comment is no row, not the word None; and a quote in a name or comment is doubled."""

    def sql(catalog: str, schema: str, table: str, comment: str | None) -> str:
        if comment is None:
            return "SELECT 1"
        return written(*(_doubled(text) for text in (catalog, schema, table, comment)))

    return sql


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
        found = super()._transform(expression, params).transform(_hash_agg, copy=False)
        return found.transform(_half_of_md5, copy=False)

    def _inline_variables(self, sql: str) -> str:
        """Session variables are refused before: looking for them would find $x inside quoted names."""
        return sql

    def _of_session(self, node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Anonymous) and node.name.upper() in self.context:
            return _constant(self.context[node.name.upper()])
        if isinstance(node, OF_SESSION):
            return _constant(self.context[node.sql_name().upper()])
        if isinstance(node, exp.CurrentTimestamp | exp.Localtimestamp):
            zone = "TIMESTAMP_NTZ" if node.args.get("sysdate") else "TIMESTAMP_LTZ"
            now = self.context["CURRENT_TIMESTAMP"]
            return exp.cast(_constant(now[:26] if node.args.get("sysdate") else now), zone, dialect="snowflake")
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
    total = exp.Anonymous(this="SUM", expressions=[row])
    folded = exp.Sub(this=exp.Paren(this=exp.Mod(this=total, expression=_number(2**64))), expression=_number(2**63))
    signed = exp.Cast(this=exp.Paren(this=folded), to=exp.DataType.build("BIGINT"))
    return exp.Anonymous(this="COALESCE", expressions=[signed, _number(0)])


def _half_of_md5(node: exp.Expression) -> exp.Expression:
    """MD5_NUMBER_UPPER64 and …LOWER64: halves of the big-endian digest as unsigned whole numbers, summed exactly."""
    if not isinstance(node, exp.MD5NumberUpper64 | exp.MD5NumberLower64):
        return node
    start = 1 if isinstance(node, exp.MD5NumberUpper64) else 17
    digits = exp.func("SUBSTR", exp.Anonymous(this="MD5", expressions=[node.this]), _number(start), _number(16))
    number = exp.cast(exp.Concat(expressions=[exp.Literal.string("0x"), digits]), "UBIGINT", dialect="duckdb")
    return exp.Cast(this=number, to=exp.DataType.build("DECIMAL(38, 0)"))


def _number(value: int) -> exp.Expression:
    return exp.Literal.number(value)


def parse(sql: str) -> exp.Expression:
    """A statement's tree; raises SnowflakeError."""
    try:
        return parse_one(sql)
    except snowflake.connector.errors.Error as error:
        raise _translated(error) from error
    except ValueError as error:  # what sqlglot's tokenizer raises
        raise SnowflakeError(1003, "42000", f"SQL compilation error:\n{error}") from error


def _translated(error: snowflake.connector.errors.Error) -> SnowflakeError:
    """fakesnow's error, with Snowflake's number where fakesnow has but one for all a catalog can say."""
    text, code, state = str(error.raw_msg), int(error.errno or 603), str(error.sqlstate or "XX000")
    if code == 2003 and "already exists" in text:
        code, state = 2002, "42710"
    elif code == 2003 and "Function with name" in text:
        code, state = 2140, "42601"
    return SnowflakeError(code, state, text)


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
            tree = parse(sql)
            if isinstance(tree, exp.Merge):
                return _merge(cursor, tree, params)
            cursor.execute(sql, binding_params=params, server=True)
            return _data(cursor, conn)
        except SnowflakeError:
            raise
        except duckdb.InterruptException as error:
            raise SnowflakeError(604, "57014", "SQL execution canceled") from error
        except snowflake.connector.errors.Error as error:
            raise _translated(error) from error
        finally:
            while len(self.fake.results_cache) > 20:
                self.fake.results_cache.popitem(last=False)


def _merge(cursor: Cursor, tree: exp.Merge, params: Any) -> dict[str, Any]:
    """MERGE by the engine's own: fakesnow's knows no alias of a source table. One row of counts, as Snowflake's."""
    tree = tree.transform(cursor._of_session, copy=False)
    _one_source_row(cursor, tree.copy())
    clauses = tree.args["whens"].expressions
    for change in (one for when in clauses for one in when.args["then"].expressions if isinstance(one, exp.EQ)):
        change.this.set("table", None)
    kinds = {"INSERT" if not when.args.get("matched") else _action(when.args["then"]) for when in clauses}
    sql = cursor._transform(tree, params).sql(dialect="duckdb")
    duck = cursor._duck_conn.execute(f"{sql} RETURNING merge_action", params)
    done = Counter(action for (action,) in duck.fetchall())
    shown = [kind for kind in ("INSERT", "UPDATE", "DELETE") if kind in kinds]
    words = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted"}
    columns = tuple(f"number of rows {words[kind]}" for kind in shown)
    row = tuple(done[kind] for kind in shown)
    return Result(columns=columns, rows=[row], kind=MERGE, numbers=frozenset(columns)).data()


def _action(then: exp.Expression) -> str:
    return "UPDATE" if isinstance(then, exp.Update) else "DELETE"


def _one_source_row(cursor: Cursor, tree: exp.Merge) -> None:
    """Refuse a target row that several source rows match: ERROR_ON_NONDETERMINISTIC_MERGE is on by default."""
    if not any(when.args.get("matched") for when in tree.args["whens"].expressions):
        return
    alias = tree.this.args.get("alias")
    row = exp.Column(this=exp.to_identifier("rowid"), table=(alias.this if alias else tree.this.this).copy())
    twice = exp.select(row).from_(tree.this).join(tree.args["using"], on=tree.args["on"]).group_by(row.copy())
    sql = cursor._transform(twice.having("COUNT(*) > 1").limit(1), None).sql(dialect="duckdb")
    if cursor._duck_conn.execute(sql).fetchone() is not None:
        raise SnowflakeError(100090, "42P18", "Duplicate row detected during DML action")


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

"""Runs our own statements of the source side without Spark: DuckDB over a Parquet file, files to and from S3.

It knows the statements of ``sql.snowflake_export`` and ``sql.snowflake_fingerprint`` and nothing else. The fingerprint
is computed anew from the files' types, not by our statement.
"""

from __future__ import annotations

import os
import re
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import sqlglot
from sqlglot import exp

from icebridge_provider.model.running import Answer
from icebridge_provider.model.snowflake import SourceColumn, Statement
from tests.support.s3 import BUCKET

Table = tuple[Sequence[SourceColumn], Path, int]  # columns, its rows in columns c0, c1, …, files of an export
_INSERT = re.compile(r"INSERT OVERWRITE DIRECTORY '([^']*)' USING PARQUET (SELECT .*)", re.DOTALL)
_FILES = re.compile(r" FROM parquet\.`([^`]*)`")
_clients: dict[int, Any] = {}


class SourceError(Exception):
    """What Databricks would say."""


def execute(
    statement: Statement, table: Callable[[tuple[str, ...]], Table | None], s3: Mapping[str, str], half: bool = False
) -> Answer:
    """Run one statement.

    :param half: stop in the midst of an INSERT: files are left, without marks.
    """
    text = statement.text
    if found := _INSERT.match(text):
        return _insert(found[1], found[2], statement.values, table, s3, half)
    if text.startswith("DESCRIBE TABLE "):
        columns = _known(sqlglot.parse_one(f"SELECT 1 FROM {text[15:]}", dialect="databricks"), table)[0]
        return Answer(columns=("col_name", "data_type", "comment"), rows=tuple((c.name, c.type, None) for c in columns))
    location = _FILES.search(text)
    if location is None:
        raise SourceError(f"[PARSE_SYNTAX_ERROR] {text[:200]}")
    with tempfile.TemporaryDirectory() as folder:
        files = _fetched(location[1], s3, Path(folder))
        return _read(text, files)


def _read(text: str, files: Sequence[Path]) -> Answer:
    if not files:
        raise SourceError("[UNABLE_TO_INFER_SCHEMA] Unable to infer schema for Parquet. It must be specified manually.")
    schema = pq.read_schema(files[0])
    if text.startswith("SELECT _metadata.file_name"):
        counted = [(item.name, item.stat().st_size, pq.read_metadata(item).num_rows) for item in files]
        return Answer(columns=("file_name", "file_size", "count(1)"), rows=tuple(row for row in counted if row[2]))
    if text.startswith("SELECT * FROM"):
        return Answer(columns=tuple(schema.names), types=tuple(_declared(item.type) for item in schema))
    if text.startswith("SELECT probe FROM"):
        return Answer(columns=("probe",), rows=tuple((row,) for row in pq.read_table(files[0])["probe"].to_pylist()))
    if text.startswith("WITH cells AS"):
        return _added_up(schema, files)
    raise SourceError(f"[PARSE_SYNTAX_ERROR] {text[:200]}")


# INSERT OVERWRITE DIRECTORY


def _insert(
    location: str,
    select: str,
    values: Mapping[str, Any],
    table: Callable[[tuple[str, ...]], Table | None],
    s3: Mapping[str, str],
    half: bool,
) -> Answer:
    client = client_of(s3)
    key = _key(location)
    for old in _keys(client, key):
        client.delete_object(Bucket=BUCKET, Key=old)
    writer = uuid.uuid4()
    with tempfile.TemporaryDirectory() as folder:
        files, rows = _written(select, values, table, Path(folder))
        for number, item in enumerate(files):
            name = f"part-{number:05d}-tid-{writer.int % 10**18}-{writer}-{number}-1-c000.snappy.parquet"
            client.upload_file(str(item), BUCKET, f"{key}/{name}")
            if half:
                raise SourceError("[JOB_FAILED] Job aborted: the cluster was lost")
    for mark in ("_SUCCESS", f"_started_{writer.int % 10**18}", f"_committed_{writer.int % 10**18}"):
        client.put_object(Bucket=BUCKET, Key=f"{key}/{mark}", Body=b"")
    return Answer(columns=("num_affected_rows",), rows=((rows,),), affected=rows)


def _written(
    select: str, values: Mapping[str, Any], table: Callable[[tuple[str, ...]], Table | None], folder: Path
) -> tuple[list[Path], int]:
    tree = sqlglot.parse_one(select, dialect="databricks")
    with duckdb.connect(str(folder / "work.duckdb")) as duck:
        duck.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = true; SET threads = 1")
        if tree.args.get("from_") is None:  # the probe
            query, count = select, 1
        else:
            columns, rows, count = _known(tree, table)
            query = _selected(tree, columns, rows, values)
        numbered = f"SELECT *, row_number() OVER () - 1 AS __row FROM ({query})"
        duck.execute(f"CREATE TABLE done AS {numbered}")
        (total,) = duck.execute("SELECT count(*) FROM done").fetchone() or (0,)
        files = [folder / f"{number}.parquet" for number in range(max(1, min(count, total)))]
        for number, item in enumerate(files):
            part = f"SELECT * EXCLUDE (__row) FROM done WHERE __row % {len(files)} = {number}"
            duck.execute(f"COPY ({part}) TO '{item}' (FORMAT parquet)")
        return files, int(total)


def _known(tree: Any, table: Callable[[tuple[str, ...]], Table | None]) -> Table:
    name = tuple(str(part.this) for part in tree.find(exp.Table).parts)
    found = table(name)
    if found is None:
        raise SourceError(f"[TABLE_OR_VIEW_NOT_FOUND] The table or view {'.'.join(name)} cannot be found.")
    return found


def _selected(tree: Any, columns: Sequence[SourceColumn], rows: Path, values: Mapping[str, Any]) -> str:
    numbers = {item.name.lower(): number for number, item in enumerate(columns)}
    parts = []
    for item in tree.expressions:
        name = item.find(exp.Column).name
        column = _placed(name, numbers)
        value = item.this
        made = column if isinstance(value, exp.Column) else f"to_json({column})"
        made = f"epoch_us({column})" if isinstance(value, exp.UnixMicros) else made
        parts.append(f"{made} AS {exp.to_identifier(item.alias, quoted=True).sql('duckdb')}")
    where = tree.args.get("where")
    condition = f" WHERE {_condition(where.this, numbers, values)}" if where else ""
    limit = tree.args.get("limit")
    limit_text = f" LIMIT {limit.expression.this}" if limit else ""
    return f"SELECT {', '.join(parts)} FROM read_parquet('{rows}'){condition}{limit_text}"


def _placed(name: str, numbers: Mapping[str, int]) -> str:
    if name.lower() not in numbers:
        raise SourceError(f"[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column with name `{name}` cannot be resolved.")
    return f"c{numbers[name.lower()]}"


def _condition(tree: Any, numbers: Mapping[str, int], values: Mapping[str, Any]) -> str:
    def placed(node: Any) -> Any:
        if isinstance(node, exp.Column):
            return exp.column(_placed(node.name, numbers))
        if isinstance(node, exp.Placeholder):
            return exp.convert(values[str(node.this)])
        return node

    return str(tree.transform(placed).sql("duckdb"))


# Reading back


def _added_up(schema: pa.Schema, files: Sequence[Path]) -> Answer:
    names = [exp.to_identifier(name, quoted=True).sql("duckdb") for name in schema.names]
    texts = [_text(name, item.type) for name, item in zip(names, schema, strict=True)]
    cells = ", ".join(f"md5({text}) AS h{n}" for n, text in enumerate(texts))
    row = " || ".join(f"coalesce(h{n}, '-')" for n in range(len(texts)))
    sums = ["count(*)", f"sum({_half('r', 1)})", f"sum({_half('r', 17)})"]
    for n in range(len(texts)):
        sums += [f"count(h{n})", f"sum({_half(f'md5(h{n})', 17)})"]
    listed = ", ".join(f"'{item}'" for item in files)
    with duckdb.connect() as duck:
        duck.execute("SET TimeZone = 'UTC'; SET threads = 1")
        found = duck.execute(
            f"WITH cells AS (SELECT {cells} FROM read_parquet([{listed}])),"
            f" hashed AS (SELECT *, md5({row} || '.') AS r FROM cells) SELECT {', '.join(sums)} FROM hashed"
        ).fetchone()
    assert found is not None
    return Answer(columns=tuple(f"s{n}" for n in range(len(found))), rows=(tuple(found),))


def _half(text: str, start: int) -> str:
    return f"CAST('0x' || substr({text}, {start}, 16) AS UBIGINT)"


def _text(x: str, kind: pa.DataType) -> str:
    """What of a value is added up, as ``sql.snowflake_fingerprint`` describes it."""
    if pa.types.is_decimal(kind) and kind.scale:
        digits = f"regexp_replace(regexp_replace(CAST({x} AS VARCHAR), '[-.]', '', 'g'), '^0+', '')"
        known = f"WHEN {x} < 0 THEN '-' || {digits} ELSE coalesce(nullif({digits}, ''), '0') END"
        return f"CASE WHEN {x} IS NULL THEN NULL {known}"
    if pa.types.is_binary(kind):
        return f"hex({x})"
    if pa.types.is_date(kind):
        return f"CAST(date_diff('day', DATE '1970-01-01', {x}) AS VARCHAR)"
    if pa.types.is_timestamp(kind):
        return f"CAST(epoch_us({x}) AS VARCHAR)"
    if pa.types.is_floating(kind):
        size, sign = f"abs(CAST({x} AS DOUBLE))", f"CASE WHEN {x} < 0 THEN '-' ELSE '' END"
        whole = f"CAST(CAST(floor({size}) AS BIGINT) AS VARCHAR)"
        rest = f"CAST(CAST(floor(({size} - floor({size})) * 1048576) AS BIGINT) AS VARCHAR)"
        return (
            f"CASE WHEN {x} IS NULL THEN NULL WHEN isnan({x}) THEN 'nan' WHEN {size} >= 1e9 THEN {sign} || 'big'"
            f" ELSE {sign} || {whole} || '.' || {rest} END"
        )
    return f"CAST({x} AS VARCHAR)"


def _declared(kind: pa.DataType) -> str:
    """A type as Databricks writes it."""
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP" if kind.tz else "TIMESTAMP_NTZ"
    known = {"int8": "TINYINT", "int16": "SMALLINT", "int32": "INT", "int64": "BIGINT", "float": "FLOAT",
             "double": "DOUBLE", "bool": "BOOLEAN", "date32[day]": "DATE", "binary": "BINARY"}  # fmt: skip
    return known.get(str(kind), "STRING")


# S3


def client_of(s3: Mapping[str, str]) -> Any:
    """A client of this process."""
    import boto3

    if os.getpid() not in _clients:
        _clients[os.getpid()] = boto3.client(
            "s3",
            endpoint_url=s3["s3.endpoint"],
            aws_access_key_id=s3["s3.access-key-id"],
            aws_secret_access_key=s3["s3.secret-access-key"],
            region_name=s3["s3.region"],
        )
    return _clients[os.getpid()]


def _key(location: str) -> str:
    bucket, _, key = location.removeprefix("s3://").partition("/")
    if bucket != BUCKET or not key:
        raise SourceError(f"[NO_PARENT_EXTERNAL_LOCATION_FOR_PATH] No parent external location for {location}.")
    return key.rstrip("/")


def _keys(client: Any, key: str) -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{key}/")
    return [item["Key"] for page in pages for item in page.get("Contents", ())]


def _fetched(location: str, s3: Mapping[str, str], folder: Path) -> list[Path]:
    """Copies of the folder's data files, with their names."""
    client = client_of(s3)
    files = []
    for key in sorted(_keys(client, _key(location))):
        name = key.rsplit("/", 1)[-1]
        if name.endswith(".parquet") and not name.startswith(("_", ".")):
            client.download_file(BUCKET, key, str(folder / name))
            files.append(folder / name)
    return files

"""The text of every statement, that Snowflake's or Databricks' grammar takes it, and that names stay names."""

from __future__ import annotations

import inspect
import random
import re

import pytest
import sqlglot
from sqlglot import exp

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.snowflake import Carried, CarriedColumn, Export, LoadRecord, LoadState, Mode, Statement
from icebridge_provider.sql import snowflake as sql
from icebridge_provider.sql import snowflake_export as exports
from icebridge_provider.sql import snowflake_fingerprint as sums
from icebridge_provider.sql import snowflake_linked as linked

ODD = ('D"B', "s; DROP", "t'a%ble")
Q = '"D""B"."s; DROP"."t\'a%ble"'
PLAIN = ("DB", "S", "T")
P = '"DB"."S"."T"'
LOCATION = "s3://b/runs/r-1/t-2"


def _column(
    name: str, staged: str, target: str = "", carried: Carried = Carried.PLAIN, file: str = ""
) -> CarriedColumn:
    return CarriedColumn(
        source=name,
        source_type="x",
        file_name=file or name,
        staged_type=staged,
        target=name,
        target_type=target or staged,
        carried=carried,
    )


ID = _column("id", "NUMBER(19,0)")
TS = _column("ts", "NUMBER(19,0)", "TIMESTAMP_LTZ(6)", Carried.MICROS)
DOC = _column('d"oc', "VARCHAR", "ARRAY", Carried.JSON, "c3")
COLUMNS = (ID, TS, DOC)
RECORD = LoadRecord(
    run_key="k1", run_id="r'1", target=P, mode=Mode.APPEND, manifest="m1", rows_exported=7, generation=2
)
WORK = Export(run_id="r", source=("c", "s", "t`"), location=LOCATION, columns=COLUMNS, version=3, where="id > :n",
              values={"n": 1}, limit=1000)  # fmt: skip

GOLDEN = {
    "create_table": (
        sql.create_table(ODD, [("a", "NUMBER(19,0)"), ('b"', "VARCHAR")], "it's"),
        f'CREATE TABLE IF NOT EXISTS {Q} ("a" NUMBER(19,0), "b""" VARCHAR) COMMENT = \'it\\\'s\'',
    ),
    "create_like": (sql.create_like(PLAIN, ODD), f"CREATE OR REPLACE TABLE {P} LIKE {Q} COPY GRANTS"),
    "add_column": (
        sql.add_column(ODD, "a%", "VARIANT"),
        f'ALTER TABLE {Q} ADD COLUMN IF NOT EXISTS "a%" VARIANT',
    ),
    "widen_column": (
        sql.widen_column(ODD, "a", "NUMBER(38,0)"),
        f'ALTER TABLE {Q} ALTER COLUMN "a" SET DATA TYPE NUMBER(38,0)',
    ),
    "set_comment": (sql.set_comment(ODD, "a\\b"), f"COMMENT ON TABLE {Q} IS 'a\\\\b'"),
    "swap_tables": (sql.swap_tables(PLAIN, ODD), f"ALTER TABLE {P} SWAP WITH {Q}"),
    "rename_table": (
        sql.rename_table(ODD, 'n"w'),
        f'ALTER TABLE {Q} RENAME TO {sql.name(*ODD[:2])}."n""w"',
    ),
    "schema_named": (
        sql.schema_named(ODD[:2]).text,
        'SELECT SCHEMA_NAME FROM "D""B".INFORMATION_SCHEMA.SCHEMATA WHERE SCHEMA_NAME = %(schema)s',
    ),
    "tables_of": (
        sql.tables_of(ODD[:2], "A_").text,
        'SELECT TABLE_NAME, COMMENT FROM "D""B".INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = %(schema)s'
        " AND STARTSWITH(TABLE_NAME, %(beginning)s) ORDER BY TABLE_NAME",
    ),
    "drop_table": (sql.drop_table(ODD), f"DROP TABLE IF EXISTS {Q}"),
    "describe_table": (sql.describe_table(ODD), f"DESCRIBE TABLE {Q}"),
    "comment_of": (
        sql.comment_of(ODD).text,
        'SELECT COMMENT FROM "D""B".INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = %(schema)s'
        " AND TABLE_NAME = %(name)s",
    ),
    "list_stage": (sql.list_stage(ODD, "runs/r/"), 'LIST \'@"D""B"."s; DROP"."t\\\'a%ble"/runs/r/\''),
    "copy_files": (
        sql.copy_files(PLAIN, ("DB", "S", "ST"), "runs/r/", ["a.parquet", "b'.parquet"]),
        f"COPY INTO {P} FROM '@\"DB\".\"S\".\"ST\"/runs/r/' FILES = ('a.parquet', 'b\\'.parquet') FILE_FORMAT ="
        " (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE BINARY_AS_TEXT = FALSE) MATCH_BY_COLUMN_NAME = CASE_SENSITIVE"
        " ON_ERROR = ABORT_STATEMENT",
    ),
    "copy_history": (
        sql.copy_history(PLAIN, 3).text,
        'SELECT FILE_NAME, STATUS, ROW_PARSED, ROW_COUNT, ERROR_COUNT, FIRST_ERROR_MESSAGE FROM TABLE("DB"'
        ".INFORMATION_SCHEMA.COPY_HISTORY(TABLE_NAME => %(table)s, START_TIME => DATEADD('hour', -3,"
        " CURRENT_TIMESTAMP())))",
    ),
    "count_rows": (sql.count_rows(ODD), f"SELECT COUNT(*) FROM {Q}"),
    "hash_rows": (sql.hash_rows(ODD, ["a", "b"]), f'SELECT HASH_AGG("a", "b") FROM {Q}'),
    "delete_rows": (sql.delete_rows(ODD), f"DELETE FROM {Q}"),
    "insert_rows": (
        sql.insert_rows(ODD, PLAIN, COLUMNS),
        f'INSERT INTO {Q} ("id", "ts", "d""oc") SELECT "id", TO_TIMESTAMP_LTZ("ts", 6),'
        f' CAST(PARSE_JSON("c3") AS ARRAY) FROM {P}',
    ),
    "merge_rows": (
        sql.merge_rows(ODD, PLAIN, COLUMNS, (ID,)),
        f'MERGE INTO {Q} AS "t" USING (SELECT "id" AS "id", TO_TIMESTAMP_LTZ("ts", 6) AS "ts", CAST(PARSE_JSON("c3")'
        f' AS ARRAY) AS "d""oc" FROM {P}) AS "s" ON "t"."id" = "s"."id" WHEN MATCHED THEN UPDATE SET "t"."ts" ='
        ' "s"."ts", "t"."d""oc" = "s"."d""oc" WHEN NOT MATCHED THEN INSERT ("id", "ts", "d""oc") VALUES ("s"."id",'
        ' "s"."ts", "s"."d""oc")',
    ),
    "unfit_keys": (
        sql.unfit_keys(PLAIN, (ID, TS)),
        'SELECT COALESCE(COUNT_IF("id" IS NULL OR "ts" IS NULL), 0), COUNT(*) - COUNT(DISTINCT "id", "ts") -'
        f' COALESCE(COUNT_IF("id" IS NULL OR "ts" IS NULL), 0) FROM {P}',
    ),
    "repeated_keys": (
        sql.repeated_keys(ODD, PLAIN, (ID,)),
        f'SELECT COUNT(*) FROM (SELECT "s"."id" FROM (SELECT "id" AS "id" FROM {P}) AS "s" JOIN {Q} AS "t" ON "t"."id"'
        ' = "s"."id" GROUP BY "s"."id" HAVING COUNT(*) > 1) AS "r"',
    ),
    "matched_rows": (
        sql.matched_rows(ODD, PLAIN, (ID,)),
        f'SELECT COUNT(*) FROM (SELECT "id" AS "id" FROM {P}) AS "s" JOIN {Q} AS "t" ON "t"."id" = "s"."id"',
    ),
    "create_loads": (
        sql.create_loads(("DB", "S")),
        'CREATE TABLE IF NOT EXISTS "DB"."S"."ICEBRIDGE_LOADS" ("RUN_KEY" VARCHAR(32) NOT NULL, "RUN_ID" VARCHAR,'
        ' "TARGET" VARCHAR, "MODE" VARCHAR(16), "MANIFEST" VARCHAR(64), "ROWS_EXPORTED" NUMBER(19,0), "STATE"'
        ' VARCHAR(16), "GENERATION" NUMBER(10,0), "ROWS_LOADED" NUMBER(19,0), "STARTED_AT" TIMESTAMP_LTZ(6),'
        ' "FINISHED_AT" TIMESTAMP_LTZ(6))',
    ),
    "begin_load": (
        sql.begin_load(("DB", "S%"), RECORD).text,
        'MERGE INTO "DB"."S%%"."ICEBRIDGE_LOADS" AS "t" USING (SELECT %(run_key)s AS "RUN_KEY") AS "s" ON'
        ' "t"."RUN_KEY" = "s"."RUN_KEY" WHEN NOT MATCHED THEN INSERT ("RUN_KEY", "RUN_ID", "TARGET", "MODE",'
        ' "MANIFEST", "ROWS_EXPORTED", "STATE", "GENERATION", "STARTED_AT") VALUES (%(run_key)s, %(run_id)s,'
        " %(target)s, %(mode)s, %(manifest)s, %(rows_exported)s, %(state)s, %(generation)s, CURRENT_TIMESTAMP())",
    ),
    "look_load": (
        sql.look_load(("DB", "S"), "k1").text,
        'SELECT "RUN_KEY", "RUN_ID", "TARGET", "MODE", "MANIFEST", "ROWS_EXPORTED", "STATE", "GENERATION",'
        ' "ROWS_LOADED" FROM "DB"."S"."ICEBRIDGE_LOADS" WHERE "RUN_KEY" = %(run_key)s',
    ),
    "next_try": (
        sql.next_try(("DB", "S"), RECORD).text,
        'UPDATE "DB"."S"."ICEBRIDGE_LOADS" SET "GENERATION" = %(next)s, "STATE" = %(state)s WHERE "RUN_KEY" ='
        ' %(run_key)s AND "GENERATION" = %(generation)s AND "STATE" = %(state)s',
    ),
    "settle_load": (
        sql.settle_load(("DB", "S"), RECORD, LoadState.STAGING, LoadState.LOADED).text,
        'UPDATE "DB"."S"."ICEBRIDGE_LOADS" SET "STATE" = %(after)s, "ROWS_LOADED" = %(rows)s, "FINISHED_AT" ='
        ' CURRENT_TIMESTAMP() WHERE "RUN_KEY" = %(run_key)s AND "GENERATION" = %(generation)s AND "MANIFEST" ='
        ' %(manifest)s AND "STATE" = %(before)s',
    ),
    "set_query_tag": (sql.set_query_tag("a'b"), "ALTER SESSION SET QUERY_TAG = 'a\\'b'"),
    "find_query": (
        sql.find_query("D%", "tag").text,
        'SELECT QUERY_ID, EXECUTION_STATUS, ERROR_CODE, ERROR_MESSAGE FROM TABLE("D%%".INFORMATION_SCHEMA'
        ".QUERY_HISTORY(END_TIME_RANGE_START => DATEADD('hour', -24, CURRENT_TIMESTAMP()), RESULT_LIMIT => 10000))"
        " WHERE QUERY_TAG = %(tag)s AND QUERY_TEXT NOT ILIKE 'ALTER SESSION %%' ORDER BY START_TIME DESC",
    ),
    "cancel_query": (sql.cancel_query("q").text, "SELECT SYSTEM$CANCEL_QUERY(%(query_id)s)"),
    "catalog_integration": (
        linked.catalog_integration("UC", "x.cloud.databricks.com", "main", "s'1", "app"),
        'CREATE CATALOG INTEGRATION IF NOT EXISTS "UC" CATALOG_SOURCE = ICEBERG_REST TABLE_FORMAT = ICEBERG'
        " CATALOG_NAMESPACE = 's\\'1' REST_CONFIG = (CATALOG_URI ="
        " 'https://x.cloud.databricks.com/api/2.1/unity-catalog/iceberg-rest' WAREHOUSE = 'main'"
        " ACCESS_DELEGATION_MODE = VENDED_CREDENTIALS) REST_AUTHENTICATION = (TYPE = OAUTH OAUTH_TOKEN_URI ="
        " 'https://x.cloud.databricks.com/oidc/v1/token' OAUTH_CLIENT_ID = 'app' OAUTH_CLIENT_SECRET ="
        " '<client secret>' OAUTH_ALLOWED_SCOPES = ('all-apis')) ENABLED = TRUE",
    ),
    "linked_database": (
        linked.linked_database("LAKE", "UC", ["s"]),
        "CREATE DATABASE IF NOT EXISTS \"LAKE\" LINKED_CATALOG = (CATALOG = 'UC', ALLOWED_NAMESPACES = ('s'),"
        " ALLOWED_WRITE_OPERATIONS = NONE, SYNC_INTERVAL_SECONDS = 60)",
    ),
    "external_table": (
        linked.external_table(ODD, "UC", "v", "s", "t"),
        f"CREATE ICEBERG TABLE IF NOT EXISTS {Q} EXTERNAL_VOLUME = 'v' CATALOG = 'UC' CATALOG_NAMESPACE = 's'"
        " CATALOG_TABLE_NAME = 't' AUTO_REFRESH = TRUE",
    ),
    "iceberg_table": (
        linked.iceberg_table(PLAIN, [("a", "DATE")], "v", "base"),
        f"CREATE ICEBERG TABLE IF NOT EXISTS {P} (\"a\" DATE) CATALOG = 'SNOWFLAKE' EXTERNAL_VOLUME = 'v'"
        " BASE_LOCATION = 'base'",
    ),
    "add_files": (
        linked.add_files(PLAIN, ("DB", "S", "ST"), "runs/r/", ["a.parquet"]),
        f'COPY INTO {P} FROM \'@"DB"."S"."ST"/runs/r/\' FILES = (\'a.parquet\') FILE_FORMAT = (TYPE = PARQUET'
        " USE_VECTORIZED_SCANNER = TRUE) LOAD_MODE = ADD_FILES_COPY MATCH_BY_COLUMN_NAME = CASE_SENSITIVE ON_ERROR ="
        " ABORT_STATEMENT",
    ),
}
DATABRICKS = {
    "export": (
        exports.export(WORK).text,
        f"INSERT OVERWRITE DIRECTORY '{LOCATION}' USING PARQUET SELECT `id` AS `id`, unix_micros(`ts`) AS `ts`,"
        " to_json(`d\"oc`, map('ignoreNullFields', 'false')) AS `c3` FROM `c`.`s`.`t``` VERSION AS OF 3 WHERE (\n"
        "id > :n\n) LIMIT 1000",
    ),
    "exported_files": (
        exports.exported_files(LOCATION),
        f"SELECT _metadata.file_name, _metadata.file_size, count(*) FROM parquet.`{LOCATION}` GROUP BY 1, 2 ORDER BY 1",
    ),
    "exported_columns": (exports.exported_columns(LOCATION), f"SELECT * FROM parquet.`{LOCATION}` LIMIT 0"),
    "source_columns": (exports.source_columns(("c", "s`", "t")), "DESCRIBE TABLE `c`.`s```.`t`"),
    "write_probe": (
        exports.write_probe(LOCATION),
        f"INSERT OVERWRITE DIRECTORY '{LOCATION}' USING PARQUET SELECT 1 AS probe",
    ),
    "read_probe": (exports.read_probe(LOCATION), f"SELECT probe FROM parquet.`{LOCATION}`"),
}


@pytest.mark.parametrize("name", [*GOLDEN, *DATABRICKS])
def test_the_text_is_this(name: str) -> None:
    written, wanted = {**GOLDEN, **DATABRICKS}[name]
    assert written == wanted


@pytest.mark.parametrize("name", [name for name in GOLDEN if name not in {"catalog_integration", "cancel_query"}])
def test_snowflake_takes_it(name: str) -> None:
    found = sqlglot.parse(re.sub(r"%\((\w+)\)s", r":\1", GOLDEN[name][0]), dialect="snowflake")
    assert len(found) == 1
    assert not isinstance(found[0], exp.Command)


@pytest.mark.parametrize("name", DATABRICKS)
def test_databricks_takes_it(name: str) -> None:
    """sqlglot has no INSERT OVERWRITE DIRECTORY … USING: its head is compared, its SELECT is parsed."""
    text = DATABRICKS[name][0].removeprefix(f"INSERT OVERWRITE DIRECTORY '{LOCATION}' USING PARQUET ")
    found = sqlglot.parse(text, dialect="databricks")
    assert len(found) == 1
    assert isinstance(found[0], exp.Select | exp.Describe)


def test_every_statement_has_its_golden_text() -> None:
    made = {
        name
        for module in (sql, linked, exports)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    }
    assert made - {"name", "names", "text", "converted", "files"} == {*GOLDEN, *DATABRICKS}


def test_values_are_bound_under_the_names_that_the_text_uses() -> None:
    statements = [
        sql.comment_of(ODD), sql.copy_history(ODD), sql.begin_load(("D%", "S"), RECORD), sql.look_load(("D", "S"), "k"),
        sql.next_try(("D%", "S"), RECORD), sql.settle_load(("D", "S"), RECORD, LoadState.STAGING, LoadState.LOADED),
        sql.find_query("D%", "t"), sql.cancel_query("q"), sql.tables_of(("D%", "S"), "A"),
        sql.schema_named(("D%", "S")),
    ]  # fmt: skip
    for item in statements:
        assert set(re.findall(r"%\((\w+)\)s", item.text)) == set(item.values)
        sent = item.text % dict.fromkeys(item.values, "?")  # as the connector does
        assert "%%" not in sent
    assert "r'1" in sql.begin_load(("D", "S"), RECORD).values.values()
    assert isinstance(exports.export(WORK), Statement)
    assert exports.export(WORK).values == {"n": 1}


def test_the_claim_fits_one_try_of_one_manifest_only() -> None:
    values = sql.settle_load(("D", "S"), RECORD, LoadState.STAGING, LoadState.LOADED).values
    assert values == {
        "after": "loaded", "before": "staging", "rows": 7, "run_key": "k1", "generation": 2, "manifest": "m1",
    }  # fmt: skip
    assert sql.next_try(("D", "S"), RECORD).values["next"] == 3


def test_a_staging_table_is_always_made_anew_and_has_no_history() -> None:
    text = sql.create_table(PLAIN, [("a", "DATE")], staging=True)
    assert text == f'CREATE OR REPLACE TRANSIENT TABLE {P} ("a" DATE) DATA_RETENTION_TIME_IN_DAYS = 0'


@pytest.mark.parametrize("count", [0, 1001])
def test_a_copy_takes_one_to_a_thousand_files(count: int) -> None:
    with pytest.raises(ConfigurationError) as caught:
        sql.copy_files(PLAIN, ODD, "p/", ["f.parquet"] * count)
    assert caught.value.code == "IB-904"


def test_a_merge_of_keys_alone_updates_nothing() -> None:
    assert "WHEN MATCHED" not in sql.merge_rows(PLAIN, ODD, (ID,), (ID,))


def test_values_are_cast_only_where_the_target_has_another_type() -> None:
    assert sql.converted(_column("a", "NUMBER(10,0)", "NUMBER(38,2)")) == '"a"'
    assert sql.converted(_column("a", "NUMBER(10,0)", "FLOAT")) == 'CAST("a" AS FLOAT)'
    assert sql.converted(_column("a", "VARCHAR", "VARIANT", Carried.JSON)) == 'PARSE_JSON("a")'
    zoned = _column("a", "NUMBER(19,0)", "TIMESTAMP_TZ(9)", Carried.MICROS)
    assert sql.converted(zoned) == 'CAST(TO_TIMESTAMP_LTZ("a", 6) AS TIMESTAMP_TZ(9))'


def test_no_statement_holds_a_key_or_forces_a_load() -> None:
    for name, (text, _) in {**GOLDEN, **DATABRICKS}.items():
        upper = text.upper()
        assert "FORCE" not in upper
        assert "PURGE" not in upper
        assert "AWS_" not in upper
        assert "CREDENTIALS =" not in upper.replace("VENDED_CREDENTIALS", ""), name
        if "SECRET" in upper:
            assert f"'{linked.SECRET}'" in text


@pytest.mark.parametrize("host", ["", "x", "https://x.y", "x.y/z", "x.y' OR", "-x.y", "x..y", "x.y:1", "ü.de", "a.b\n"])
def test_a_host_is_a_host(host: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        linked.catalog_integration("UC", host, "c", "s", "id")
    assert caught.value.code == "IB-909"


HOSTILE = ('"', '""', "'", "''", "\\", ";", "--", "/*", "*/", "$$", "%", "%s", "%(x)s", "%%", ":a", "?", "@",
           "{{x}}", "${x}",
           "`", "DROP TABLE x", ") AS x", '"; DROP TABLE "x', "SELECT", " ", "ß", "表", "🧊", "İ", "\u00a0", ".",
           ",", "()",
           "x' OR '1'='1", "#", "\u202e", "a", "Z", "_", "0", "-")  # fmt: skip


def _odd_names(count: int) -> list[str]:
    source = random.Random(6)
    return ["".join(source.choices(HOSTILE, k=source.randint(1, 6)))[:255] for _ in range(count)]


def test_two_thousand_odd_names_stay_names() -> None:
    """Each stands as database, schema, table, column and key of the statements that move rows."""
    for name in _odd_names(2000):
        place, other = (name, name, name), ("D", "S", name)
        column = _column(name, "NUMBER(19,0)", file="c1")
        tree = sqlglot.parse(sql.insert_rows(place, other, (column,)), dialect="snowflake")
        assert len(tree) == 1
        assert isinstance(tree[0], exp.Insert)
        tables = [[part.name for part in table.parts] for table in tree[0].find_all(exp.Table)]
        assert sorted(tables) == sorted([list(place), list(other)])
        assert [item.name for item in tree[0].this.expressions] == [name]


def test_a_part_of_the_names_in_a_merge_a_copy_and_an_export() -> None:
    for name in _odd_names(200):
        column, other = _column(name, "NUMBER(19,0)", file="c1"), _column("v", "VARCHAR")
        merge = sqlglot.parse(
            sql.merge_rows((name, name, name), PLAIN, (column, other), (column,)), dialect="snowflake"
        )
        assert len(merge) == 1
        assert isinstance(merge[0], exp.Merge)
        assert [part.name for part in merge[0].this.parts] == [name, name, name]
        copy = sqlglot.parse(sql.copy_files(PLAIN, (name, "S", name), "r/", ["a.parquet"]), dialect="snowflake")
        assert len(copy) == 1
        assert isinstance(copy[0], exp.Copy)
        work = Export(run_id="r", source=("c", "s", name), location=LOCATION, columns=(column,))
        select = sqlglot.parse(exports.export(work).text.split("USING PARQUET ", 1)[1], dialect="databricks")
        assert len(select) == 1
        assert [table.parts[-1].name for table in select[0].find_all(exp.Table)] == [name]


@pytest.mark.parametrize("name", ["", "a\0", "a\n", "x" * 256, "\ud800"])
def test_what_is_no_name_is_refused(name: str) -> None:
    for make in (lambda: sql.count_rows(("D", "S", name)), lambda: exports.source_columns(("c", "s", name))):
        with pytest.raises(ConfigurationError) as caught:
            make()
        assert caught.value.code == "IB-246"


FAMILIES = [
    _column("n", "NUMBER(19,0)"), _column("d", "NUMBER(10,2)"), _column("t", "VARCHAR"), _column("b", "BINARY"),
    _column("o", "BOOLEAN"), _column("f", "FLOAT"), _column("y", "DATE"), _column("z", "TIMESTAMP_NTZ(6)"), TS, DOC,
]  # fmt: skip


def test_both_fingerprints_have_the_same_columns_and_parse() -> None:
    files = sums.of_files(exports.files(LOCATION), FAMILIES)
    staging = sums.of_staging(PLAIN, FAMILIES)
    for text, dialect in ((files, "databricks"), (staging, "snowflake")):
        tree = sqlglot.parse_one(text, dialect=dialect)
        assert isinstance(tree, exp.Select)
        assert len(tree.expressions) == sums.FIXED + sums.PER_COLUMN * len(FAMILIES)
    assert sums.sums([3, None, "12"]) == ("3", "0", "12")

"""COPY INTO from a stage on S3: what is loaded, skipped, refused, and remembered."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tests.contract.snowflake.conftest import Sql
from tests.support.snowflake import Account, parquet

ROWS = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "name": ["a", "b", None]})
MORE = pa.table({"id": pa.array([4], pa.int64()), "name": ["d"]})


@pytest.fixture
def land(account: Account, sql: Sql) -> str:
    """A stage of the test's own, with a table T; gives the prefix of its keys."""
    account.stage(sql.database, prefix=f"{sql.database}/")
    sql("CREATE TABLE t (id NUMBER(38,0), name VARCHAR(10))")
    return f"{sql.database}/"


def copy(*files: str, into: str = "t", more: str = "", logical: bool = True) -> str:
    listed = f"FILES = ({', '.join(repr(file) for file in files)})" if files else ""
    return (
        f"COPY INTO {into} FROM @land/run/ {listed} "
        f"FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = {logical}) "
        f"MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE {more}"
    )


def statuses(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [(row[0].rpartition("/")[2], row[1], row[2], row[3]) for row in rows]


def test_named_files_are_loaded_once(account: Account, sql: Sql, land: str) -> None:
    account.put(f"{land}run/a.parquet", ROWS)
    account.put(f"{land}run/b.parquet", MORE)
    account.put(f"{land}run/_SUCCESS", b"")
    first = sql(copy("a.parquet", "b.parquet"))
    assert statuses(first) == [("a.parquet", "LOADED", 3, 3), ("b.parquet", "LOADED", 1, 1)]
    assert sql("SELECT id, name FROM t ORDER BY id") == [(1, "a"), (2, "b"), (3, None), (4, "d")]
    again = sql(copy("a.parquet", "b.parquet", more="FORCE = FALSE"))
    assert statuses(again) == [("a.parquet", "LOAD_SKIPPED", 0, 0), ("b.parquet", "LOAD_SKIPPED", 0, 0)]
    assert sql(copy(more="PATTERN = '.*[.]parquet'")) == [("Copy executed with 0 files processed.",)]
    assert statuses(sql(copy("b.parquet", more="FORCE = TRUE"))) == [("b.parquet", "LOADED", 1, 1)]
    assert sql.one("SELECT COUNT(*) FROM t") == 5


def test_list_and_describe(account: Account, sql: Sql, land: str) -> None:
    size = account.put(f"{land}run/a.parquet", ROWS)
    account.put(f"{land}run/sub/b.parquet", MORE)
    account.put(f"{land}running", b"x")
    rows = sql("LIST @land/run/")
    assert rows[0][:2] == (f"s3://bucket/{land}run/a.parquet", size)
    assert len(rows) == 2
    assert len(rows[0][2]) == 32
    assert rows[0][3].endswith("GMT")
    assert [row[0] for row in sql("LIST @land PATTERN = '.*sub.*'")] == [f"s3://bucket/{land}run/sub/b.parquet"]
    assert len(sql("LIST @land/run")) == 3  # a prefix, not a folder
    values = {row[1]: row[3] for row in sql("DESC STAGE land")}
    assert values["URL"] == f'["s3://bucket/{land}"]'


def test_a_rollback_undoes_the_load_and_its_history(account: Account, sql: Sql, land: str) -> None:
    account.put(f"{land}run/a.parquet", ROWS)
    sql("BEGIN")
    sql(copy("a.parquet"))
    sql("ROLLBACK")
    assert sql.one("SELECT COUNT(*) FROM t") == 0
    assert statuses(sql(copy("a.parquet"))) == [("a.parquet", "LOADED", 3, 3)]


def test_history_expires_and_follows_the_content(account: Account, sql: Sql, land: str) -> None:
    account.put(f"{land}run/a.parquet", ROWS)
    sql(copy("a.parquet"))
    account.put(f"{land}run/a.parquet", MORE)  # same name, other bytes: loaded
    assert statuses(sql(copy("a.parquet"))) == [("a.parquet", "LOADED", 1, 1)]
    account.advance(days=65)
    skipped = sql(copy("a.parquet"))  # nobody knows any more
    assert statuses(skipped) == [("a.parquet", "LOAD_SKIPPED", 0, 0)]
    assert "unknown" in skipped[0][6]
    assert sql(copy("a.parquet", more="LOAD_UNCERTAIN_FILES = TRUE"))[0][1] == "LOADED"
    sql("CREATE TABLE u LIKE t")
    assert sql(copy("a.parquet", into="u"))[0][1] == "LOADED"  # a table that never loaded knows that it did not


def test_truncate_and_replace_forget_what_was_loaded(account: Account, sql: Sql, land: str) -> None:
    account.put(f"{land}run/a.parquet", ROWS)
    for forget in ("TRUNCATE TABLE t", "CREATE OR REPLACE TABLE t (id INT, name VARCHAR)"):
        sql(copy("a.parquet"))
        sql(forget)
        assert statuses(sql(copy("a.parquet"))) == [("a.parquet", "LOADED", 3, 3)]


def test_swap_takes_rows_comment_and_history_along(account: Account, sql: Sql, land: str) -> None:
    account.put(f"{land}run/a.parquet", ROWS)
    sql("CREATE TABLE u (id NUMBER(38,0), name VARCHAR(10)) COMMENT = 'LIMITED, it''s'")
    sql(copy("a.parquet", into="u"))
    sql("ALTER TABLE t SWAP WITH u")
    assert (sql.one("SELECT COUNT(*) FROM t"), sql.one("SELECT COUNT(*) FROM u")) == (3, 0)
    assert statuses(sql(copy("a.parquet"))) == [("a.parquet", "LOAD_SKIPPED", 0, 0)]
    assert sql("SELECT comment FROM information_schema.tables WHERE table_name = 'T'") == [("LIMITED, it's",)]
    assert statuses(sql(copy("a.parquet", into="u"))) == [("a.parquet", "LOADED", 3, 3)]


def test_copy_history(account: Account, sql: Sql, land: str) -> None:
    account.put(f"{land}run/a.parquet", ROWS)
    sql(copy("a.parquet"))
    query = (
        "SELECT file_name, row_count, status FROM TABLE(INFORMATION_SCHEMA.COPY_HISTORY("
        "TABLE_NAME => 'T', START_TIME => DATEADD(hours, -{}, CURRENT_TIMESTAMP())))"
    )
    assert sql(query.format(1)) == [(f"s3://bucket/{land}run/a.parquet", 3, "Loaded")]
    assert sql.error(query.format(24 * 15)) == 1045
    history = sql("SELECT file_name, row_count FROM information_schema.load_history WHERE table_name = 'T'")
    assert history == [(f"s3://bucket/{land}run/a.parquet", 3)]


def test_files_that_cannot_be_loaded(account: Account, sql: Sql, land: str) -> None:
    whole = parquet(ROWS)
    account.put(f"{land}run/cut.parquet", whole[:-20])
    account.put(f"{land}run/a.parquet", whole)
    assert sql.error(copy("a.parquet", "missing.parquet")) == 91016
    assert sql.error(copy("a.parquet", "cut.parquet")) == 100142
    assert sql.one("SELECT COUNT(*) FROM t") == 0  # all or nothing
    rows = sql(copy("a.parquet", "cut.parquet", more="ON_ERROR = SKIP_FILE"))
    assert statuses(rows) == [("a.parquet", "LOADED", 3, 3), ("cut.parquet", "LOAD_FAILED", 0, 0)]


def test_rows_that_do_not_fit(account: Account, sql: Sql, land: str) -> None:
    account.put(f"{land}run/a.parquet", pa.table({"id": ["1", "x", "3"], "name": ["a", "b", "c"]}))
    account.put(f"{land}run/long.parquet", pa.table({"id": [1], "name": ["01234567890"]}))
    assert sql.error(copy("a.parquet")) == 100038
    assert sql.error(copy("long.parquet")) == 100074
    rows = sql(copy("a.parquet", more="ON_ERROR = CONTINUE"))
    assert statuses(rows) == [("a.parquet", "PARTIALLY_LOADED", 3, 2)]
    assert sql.one("SELECT SUM(id) FROM t") == 4


def test_types_arrive_exactly(account: Account, sql: Sql, land: str) -> None:
    zone, when = datetime.UTC, datetime.datetime(2020, 2, 29, 23, 59, 59, 999999)  # noqa: DTZ001 - without a zone
    big = Decimal(12345678901234567890123456789012345678)
    account.put(
        f"{land}run/types.parquet",
        pa.table(
            {
                "big": pa.array([big], pa.decimal128(38, 0)),
                "money": pa.array([Decimal("-0.01")], pa.decimal128(18, 2)),
                "ntz": pa.array([when], pa.timestamp("us")),
                "ltz": pa.array([when.replace(tzinfo=zone)], pa.timestamp("us", tz="UTC")),
                "day": [when.date()],
                "raw": pa.array([b"\x00\xff"], pa.binary()),
                "nested": [{"a": [1, None], "b": "ü"}],
                "yes": [True],
                "real": [0.1],
                "wide": pa.array([2**64 - 1], pa.uint64()),
            }
        ),
    )
    sql(
        "CREATE TABLE k (big NUMBER(38,0), money NUMBER(18,2), ntz TIMESTAMP_NTZ, ltz TIMESTAMP_LTZ, day DATE, "
        "raw BINARY, nested VARIANT, yes BOOLEAN, real FLOAT, wide NUMBER(20,0))"
    )
    sql(copy("types.parquet", into="k"))
    ((big_, money, ntz, ltz, day, raw, nested, yes, real, wide),) = sql("SELECT * FROM k")
    assert (big_, money, ntz, day, bytes(raw)) == (int(big), Decimal("-0.01"), when, when.date(), b"\x00\xff")
    assert ltz == when.replace(tzinfo=zone)
    assert nested == '{"a":[1,null],"b":"ü"}'
    assert (yes, real, wide) == (True, 0.1, 2**64 - 1)
    sql("TRUNCATE TABLE k")
    sql(copy("types.parquet", into="k", logical=False))
    assert sql.one("SELECT wide FROM k") == -1  # read as signed without USE_LOGICAL_TYPE


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("COPY INTO t FROM 's3://bucket/x' FILE_FORMAT = (TYPE = PARQUET)", 3150),
        ("CREATE STAGE k URL = 's3://bucket/' CREDENTIALS = (AWS_KEY_ID = 'a' AWS_SECRET_KEY = 'b')", 3150),
        ("CREATE STAGE k URL = 's3://elsewhere/' STORAGE_INTEGRATION = ICEBRIDGE_S3", 3152),
        ("CREATE STAGE k URL = 's3://bucket-of-another/' STORAGE_INTEGRATION = ICEBRIDGE_S3", 3152),
        (copy("a.parquet", more="VALIDATION_MODE = RETURN_ERRORS"), 1090),
        (copy("a.parquet", more="FORCED = TRUE"), 1003),
        (copy("a.parquet", into="nope"), 2003),
        (copy(*(f"{number}.parquet" for number in range(1001))), 1084),
        ("COPY INTO t FROM @nope/run/ FILE_FORMAT = (TYPE = PARQUET)", 2003),
        ("COPY INTO t FROM @land/run/ FILE_FORMAT = (TYPE = PARQUET)", 2019),
        ("DESC STAGE nope", 2003),
    ],
)
def test_refused_before_a_byte_moves(account: Account, sql: Sql, land: str, statement: str, code: int) -> None:
    account.put(f"{land}run/a.parquet", ROWS)
    assert sql.error(statement) == code
    assert sql.one("SELECT COUNT(*) FROM t") == 0


def test_an_integration_that_is_off_stops_its_stages(sql: Sql, land: str) -> None:
    sql("CREATE STORAGE INTEGRATION own TYPE = EXTERNAL_STAGE STORAGE_PROVIDER = 'S3' ENABLED = TRUE "
        "STORAGE_AWS_ROLE_ARN = 'r' STORAGE_ALLOWED_LOCATIONS = ('s3://bucket/')")  # fmt: skip
    sql("CREATE STAGE mine URL = 's3://bucket/' STORAGE_INTEGRATION = own")
    sql("DROP INTEGRATION own")
    assert sql.error("LIST @mine") == 3167

"""Statements of the catch-up and of the fingerprint: their text, and that Databricks' grammar takes them."""

from __future__ import annotations

from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from icebridge_provider.engines.fingerprint.schema import Field, read_schema
from icebridge_provider.sql import fingerprint, sync
from tests.support import sql_types

ODD = ("ma`in", "s; DROP", "t'able")
Q = "`ma``in`.`s; DROP`.`t'able`"
COLUMNS = (("re`gion", "STRING"), ("day", "TIMESTAMP_NTZ"))
WHERE = (
    "(`re``gion` <=> CAST(:p0_0 AS STRING) AND `day` <=> CAST(:p0_1 AS TIMESTAMP_NTZ))"
    " OR (`re``gion` <=> CAST(:p1_0 AS STRING) AND `day` <=> CAST(:p1_1 AS TIMESTAMP_NTZ))"
)
GOLDEN = {
    "show_properties": (sync.show_properties(ODD), f"SHOW TBLPROPERTIES {Q}"),
    "delete_partitions": (sync.delete_partitions(ODD, COLUMNS, 2), f"DELETE FROM {Q} WHERE {WHERE}"),
    "insert_partitions": (
        sync.insert_partitions(("main", "s", "t"), ODD, ("a`", "b"), COLUMNS, 2),
        f"INSERT INTO `main`.`s`.`t` (`a```, `b`) SELECT `a```, `b` FROM {Q} WHERE {WHERE}",
    ),
}
SIMPLE = [{"id": 1, "name": "a`b", "type": "long"}, {"id": 2, "name": "t", "type": "string"}]
SUMS = (
    "WITH cells AS (SELECT unhex(lpad(hex(CAST(`_t`.`a``b` AS BIGINT)), 16, '0')) AS v0,"
    f" CAST(`_t`.`t` AS BINARY) AS v1 FROM {Q} AS `_t`),"
    " hashed AS (SELECT *, md5(v0) AS h0, md5(v1) AS h1 FROM cells),"
    " slots AS (SELECT *, concat(coalesce(concat(X'00000008', v0), X'FFFFFFFF0000000000000000'),"
    " coalesce(concat(unhex(lpad(hex(octet_length(v1)), 8, '0')), CASE WHEN octet_length(v1) <= 16 THEN"
    " rpad(v1, 16, X'00') ELSE unhex(h1) END), X'FFFFFFFF00000000000000000000000000000000')) AS r FROM hashed),"
    " digests AS (SELECT *, md5(r) AS h, crc32(r) AS c FROM slots)"
    " SELECT CAST(conv(substr(h, 29, 4), 16, 10) AS BIGINT) % 64 AS bucket, count(*), "
)


def shapes(fields: list[dict[str, Any]]) -> tuple[Field, ...]:
    return read_schema({"fields": fields}, "t")


@pytest.mark.parametrize("name", GOLDEN)
def test_the_text_is_this_and_databricks_takes_it(name: str) -> None:
    written, wanted = GOLDEN[name]
    assert written == wanted
    if name != "show_properties":
        assert isinstance(sqlglot.parse_one(written, dialect="databricks"), exp.Delete | exp.Insert)


def test_values_are_bound_by_place() -> None:
    assert sync.values([("x'; DROP TABLE t --", None), ("y", "2024-01-01")]) == {
        "p0_0": "x'; DROP TABLE t --", "p0_1": None, "p1_0": "y", "p1_1": "2024-01-01",
    }  # fmt: skip


def test_the_sums_are_this_statement() -> None:
    assert fingerprint.fingerprint(ODD, shapes(SIMPLE), 64).startswith(SUMS)


def test_databricks_takes_the_sums_of_every_type() -> None:
    columns = shapes(sql_types.FIELDS)
    tree = sqlglot.parse_one(fingerprint.fingerprint(ODD, columns, 64), dialect="databricks")
    assert isinstance(tree, exp.Select)
    assert len(tree.expressions) == fingerprint.FIXED + fingerprint.SUMS * len(columns)
    tables = [table for table in tree.find_all(exp.Table) if len(table.parts) > 1]
    assert [[part.name for part in table.parts] for table in tables] == [list(ODD)]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ([{"id": 1, "name": "u", "type": "uuid"}], "uuid"),
        ([{"id": 1, "name": "u", "type": "fixed[4]"}], "fixed"),
        ([{"id": 1, "name": "a", "type": "int"}, {"id": 2, "name": "A", "type": "int"}], "two columns are named"),
        ([{"id": 1, "name": "l", "type": {"type": "list", "element-id": 2, "element": "time",
                                         "element-required": True}}], "column l has the type time"),
    ],
)  # fmt: skip
def test_what_sql_cannot_say_is_named(fields: list[dict[str, Any]], said: str) -> None:
    assert said in fingerprint.unsayable(shapes(fields))
    assert fingerprint.unsayable(shapes(sql_types.FIELDS)) == ""

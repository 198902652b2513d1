"""The text of every statement, and that Databricks' grammar takes it."""

from __future__ import annotations

import inspect
import re

import pytest
import sqlglot
from sqlglot import exp

from icebridge_provider.sql import databricks as sql

ODD = ("ma`in", "s; DROP", "t'able")
Q = "`ma``in`.`s; DROP`.`t'able`"
GOLDEN = {
    "deep_clone": (sql.deep_clone(("main", "s", "t"), ODD), f"CREATE TABLE `main`.`s`.`t` DEEP CLONE {Q}"),
    "create_managed": (
        sql.create_managed(ODD, [("a`b", "int"), ("c", "decimal(9,2)")], ("c",), {"k'": "v\\"}, "it's"),
        f"CREATE TABLE {Q} (`a``b` INT, `c` DECIMAL(9, 2)) USING ICEBERG PARTITIONED BY (`c`) COMMENT 'it\\'s'"
        " TBLPROPERTIES ('k\\'' = 'v\\\\')",
    ),
    "create_as_select": (
        sql.create_as_select(("main", "s", "t"), ODD, ("a", "b"), ("b",)),
        f"CREATE TABLE `main`.`s`.`t` USING ICEBERG PARTITIONED BY (`b`) AS SELECT `a`, `b` FROM {Q}",
    ),
    "insert_select": (
        sql.insert_select(("main", "s", "t"), ODD, ("a`", "b")),
        f"INSERT INTO `main`.`s`.`t` (`a```, `b`) SELECT `a```, `b` FROM {Q}",
    ),
    "rename_table": (sql.rename_table(ODD, "new`"), f"ALTER TABLE {Q} RENAME TO `ma``in`.`s; DROP`.`new```"),
    "drop_table": (sql.drop_table(ODD), f"DROP TABLE IF EXISTS {Q}"),
    "set_properties": (
        sql.set_properties(ODD, {"icebridge.plan-id": "p'1"}),
        f"ALTER TABLE {Q} SET TBLPROPERTIES ('icebridge.plan-id' = 'p\\'1')",
    ),
    "unset_properties": (
        sql.unset_properties(ODD, ["a", "b'"]),
        f"ALTER TABLE {Q} UNSET TBLPROPERTIES IF EXISTS ('a', 'b\\'')",
    ),
    "comment": (sql.comment(ODD, "it's"), f"COMMENT ON TABLE {Q} IS 'it\\'s'"),
    "create_schema": (sql.create_schema(("main", "s`")), "CREATE SCHEMA IF NOT EXISTS `main`.`s```"),
    "refresh_foreign": (sql.refresh_foreign("TABLE", ODD), f"REFRESH FOREIGN TABLE {Q}"),
    "predictive_optimization": (
        sql.predictive_optimization("SCHEMA", ("main", "s"), "INHERIT"),
        "ALTER SCHEMA `main`.`s` INHERIT PREDICTIVE OPTIMIZATION",
    ),
    "describe_history": (sql.describe_history(ODD, 5), f"DESCRIBE HISTORY {Q} LIMIT 5"),
    "count_rows": (sql.count_rows(ODD), f"SELECT count(*) FROM {Q}"),
    "read_nothing": (sql.read_nothing(ODD), f"SELECT 1 FROM {Q} LIMIT 0"),
    "listed_tables": (
        sql.listed_tables(),
        "SELECT table_name, table_type, data_source_format FROM `system`.`information_schema`.`tables`"
        " WHERE table_catalog = :catalog AND table_schema = :schema",
    ),
}
# Databricks' own statements, for which sqlglot has no grammar; their shape, from Databricks' SQL reference.
BEYOND_SQLGLOT = {
    "deep_clone": r"CREATE TABLE NAME DEEP CLONE NAME",
    "refresh_foreign": r"REFRESH FOREIGN (CATALOG|SCHEMA|TABLE) NAME",
    "predictive_optimization": r"ALTER (CATALOG|SCHEMA) NAME (ENABLE|DISABLE|INHERIT) PREDICTIVE OPTIMIZATION",
    "unset_properties": r"ALTER TABLE NAME UNSET TBLPROPERTIES IF EXISTS \(TEXT(, TEXT)*\)",
    "describe_history": r"DESCRIBE HISTORY NAME LIMIT \d+",
}
_NAME = r"`(?:[^`]|``)+`(?:\.`(?:[^`]|``)+`)*"
_TEXT = r"'(?:[^'\\]|\\.)*'"


@pytest.mark.parametrize("name", GOLDEN)
def test_the_text_is_this(name: str) -> None:
    written, wanted = GOLDEN[name]
    assert written == wanted


@pytest.mark.parametrize("name", GOLDEN)
def test_databricks_takes_it(name: str) -> None:
    text = GOLDEN[name][0]
    if name in BEYOND_SQLGLOT:
        shape = BEYOND_SQLGLOT[name].replace("NAME", _NAME).replace("TEXT", _TEXT)
        assert re.fullmatch(shape, text)
        return
    found = sqlglot.parse(text, dialect="databricks")
    assert len(found) == 1
    assert not isinstance(found[0], exp.Command)


def test_every_statement_has_its_golden_text() -> None:
    made = {
        name
        for name, function in inspect.getmembers(sql, inspect.isfunction)
        if function.__module__ == sql.__name__ and not name.startswith("_")
    }
    assert made - {"names"} == set(GOLDEN)


def test_a_statement_names_exactly_its_tables() -> None:
    insert = sqlglot.parse_one(GOLDEN["insert_select"][0], dialect="databricks")
    named = [[part.name for part in table.parts] for table in insert.find_all(exp.Table)]
    assert sorted(named) == sorted([["main", "s", "t"], list(ODD)])

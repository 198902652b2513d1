"""What tables say about themselves, who may do what, names of any kind."""

from __future__ import annotations

import pytest

from tests.peers.mssql.interface import SqlError
from tests.support.mssql_engine import Client, World, client, world

__all__ = ["client", "world"]


@pytest.fixture(scope="module")
def tables(world: World) -> World:
    world.login().run(
        "CREATE SCHEMA sales",
        "CREATE TABLE sales.orders (line int NOT NULL, id int IDENTITY(5,2) NOT NULL, name nvarchar(20) COLLATE "
        "Latin1_General_100_BIN2 "
        "NULL, price decimal(12,4) NOT NULL CONSTRAINT df_price DEFAULT (1.5), total AS (price * 2), v "
        "rowversion, code varchar(max), "
        "CONSTRAINT pk_orders PRIMARY KEY CLUSTERED (id, line DESC), CONSTRAINT uq_orders UNIQUE (name), "
        "CONSTRAINT ck CHECK (price > 0))",
        "CREATE INDEX ix_price ON sales.orders (price) INCLUDE (code)",
        "CREATE UNIQUE INDEX fx ON sales.orders (line) WHERE line IS NOT NULL",
        "CREATE TABLE dbo.orders (id int PRIMARY KEY)",
    )
    return world


def test_columns(tables: World, client: Client) -> None:
    sql = (
        "SELECT c.name, t.name, c.max_length, c.precision, c.scale, c.is_nullable, c.is_identity, c.is_computed, "
        "c.collation_name "
        "FROM sys.columns AS c JOIN sys.types AS t ON t.user_type_id = c.user_type_id JOIN sys.tables AS o ON "
        "o.object_id = c.object_id "
        "JOIN sys.schemas AS s ON s.schema_id = o.schema_id WHERE s.name = N'SALES' AND o.name = N'Orders' ORDER "
        "BY c.column_id"
    )
    assert client.rows(sql) == [
        ("line", "int", 4, 10, 0, False, False, False, None),
        ("id", "int", 4, 10, 0, False, True, False, None),
        ("name", "nvarchar", 40, 0, 0, True, False, False, "Latin1_General_100_BIN2"),
        ("price", "decimal", 9, 12, 4, False, False, False, None),
        ("total", "decimal", 13, 23, 4, True, False, True, None),
        ("v", "timestamp", 8, 0, 0, False, False, False, None),
        ("code", "varchar", -1, 0, 0, True, False, False, "SQL_Latin1_General_CP1_CI_AS"),
    ]
    assert client.rows(
        "SELECT seed_value, increment_value FROM sys.identity_columns WHERE object_id = OBJECT_ID('sales.orders')"
    ) == [(5, 2)]
    assert client.rows(
        "SELECT name, definition FROM sys.computed_columns WHERE object_id = OBJECT_ID(N'[sales].[orders]')"
    ) == [("total", "((price * 2))")]
    assert client.rows("SELECT name, definition FROM sys.default_constraints") == [("df_price", "((1.5))")]
    shown = (
        "SELECT COLUMN_NAME, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_SCALE, IS_NULLABLE FROM "
        "INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = 'sales' AND COLUMN_NAME IN ('name', 'price', 'code') "
        "ORDER BY ORDINAL_POSITION"
    )
    assert client.rows(shown) == [
        ("name", "nvarchar", 20, None, "YES"), ("price", "decimal", None, 4, "NO"),
        ("code", "varchar", -1, None, "YES"),
    ]  # fmt: skip


def test_keys_by_schema_in_key_order(tables: World, client: Client) -> None:
    sql = (
        "SELECT i.name, i.is_primary_key, i.is_unique, i.is_unique_constraint, i.has_filter, ic.key_ordinal, "
        "c.name, ic.is_descending_key, "
        "ic.is_included_column FROM sys.indexes i JOIN sys.index_columns ic ON ic.object_id = i.object_id AND "
        "ic.index_id = i.index_id "
        "JOIN sys.columns c ON c.object_id = ic.object_id AND c.column_id = ic.column_id WHERE i.object_id = "
        "OBJECT_ID('sales.orders') "
        "ORDER BY i.name, ic.index_column_id"
    )
    assert client.rows(sql) == [
        ("fx", False, True, False, True, 1, "line", False, False),
        ("ix_price", False, False, False, False, 1, "price", False, False),
        ("ix_price", False, False, False, False, 0, "code", False, True),
        ("pk_orders", True, True, False, False, 1, "id", False, False),
        ("pk_orders", True, True, False, False, 2, "line", True, False),
        ("uq_orders", False, True, True, False, 1, "name", False, False),
    ]
    usage = (
        "SELECT COLUMN_NAME FROM INFORMATION_SCHEMA.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA = 'sales' AND "
        "CONSTRAINT_NAME = 'pk_orders' ORDER BY ORDINAL_POSITION"
    )
    assert client.rows(usage) == [("id",), ("line",)]


def test_results_described_without_running_them(tables: World, client: Client) -> None:
    sql = (
        "SELECT name, system_type_name, is_nullable, is_identity_column FROM "
        "sys.dm_exec_describe_first_result_set(N'SELECT id, price, name FROM sales.orders WHERE id = @p', N'@p "
        "int', 0) ORDER BY column_ordinal"
    )
    assert client.rows(sql) == [
        ("id", "int", False, True),
        ("price", "decimal(12,4)", False, False),
        ("name", "nvarchar(20)", True, False),
    ]
    found = client.rows("EXEC sp_describe_first_result_set N'SELECT COUNT(*) AS n FROM dbo.orders'")
    assert [(row[2], row[5]) for row in found] == [("n", "int")]
    assert client.error("EXEC sp_describe_first_result_set N'SELECT x FROM nosuch'").number == 208


def test_a_login_does_and_sees_what_it_was_granted(tables: World, client: Client) -> None:
    client.run(
        "CREATE LOGIN reader WITH PASSWORD = 'Pass1'", "CREATE USER reader FOR LOGIN "
            "reader", "GRANT SELECT, UPDATE ON sales.orders TO reader",
    )  # fmt: skip
    other = tables.login("reader", "Pass1")
    assert other.rows("SELECT name FROM sales.orders") == []
    denied = other.error("DELETE FROM sales.orders")
    assert (denied.number, "DELETE permission was denied on the object 'orders'" in denied.message) == (229, True)
    assert other.error("SELECT * FROM dbo.orders").number == 229
    assert other.error("CREATE TABLE mine (a int)").number == 262
    assert other.error("DROP TABLE sales.orders").number == 1088
    assert other.error("GRANT SELECT ON dbo.orders TO reader").number == 15151
    asked = (
        "SELECT HAS_PERMS_BY_NAME('sales.orders', 'OBJECT', 'UPDATE'), HAS_PERMS_BY_NAME('sales.orders', "
        "'OBJECT', 'DELETE'), IS_SRVROLEMEMBER('sysadmin'), SUSER_SNAME()"
    )
    assert other.rows(asked) == [(1, 0, 0, "reader")]
    assert other.rows("SELECT s.name FROM sys.tables t JOIN sys.schemas s ON s.schema_id = t.schema_id") == [("sales",)]
    client.run("DENY VIEW DEFINITION ON sales.orders TO reader")
    assert other.rows("SELECT name FROM sys.tables") == []
    assert other.rows("SELECT name FROM sys.columns WHERE object_id = OBJECT_ID('sales.orders')") == []
    assert other.rows("SELECT COUNT(*) FROM sales.orders") == [(0,)]
    other.run("CREATE TABLE #own (a int)", "INSERT INTO #own VALUES (1)")
    client.run("ALTER ROLE db_datareader ADD MEMBER reader", "DENY SELECT ON SCHEMA::sales TO reader")
    assert other.rows("SELECT COUNT(*) FROM dbo.orders") == [(0,)]
    assert other.error("SELECT * FROM sales.orders").number == 229
    with pytest.raises(SqlError, match="Login failed for user 'reader'") as caught:
        tables.login("reader", "wrong")
    assert caught.value.number == 18456
    with pytest.raises(SqlError, match="Cannot open database") as caught:
        tables.engine.login("sa", "secret", "nosuch")
    assert caught.value.number == 4060


NAMES = [
    "a]b'c\"d;--",
    "x" * 128,
    "\U0001f600é",
    "select",
    "  two  blanks",
    "%s{0}\\n",
    "Ä",
    "dot.ted",
    "\t",
    "/* c */",
    "$1",
    "@p",
    "N'",
    "c1",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_a_name(client: Client, name: str) -> None:
    quoted = "[" + name.replace("]", "]]") + "]"
    client.run(
        f"CREATE TABLE {quoted} ({quoted} int PRIMARY KEY, other nvarchar(5))", f"INSERT INTO {quoted} VALUES "
            f"(1, N'x')",
        f"UPDATE x SET {quoted} = 2 FROM {quoted} AS x JOIN (SELECT 1 AS k) s ON s.k = x.{quoted}",
    )  # fmt: skip
    assert client.columns(f"SELECT * FROM {quoted}")[0].name == name
    assert client.rows(f"SELECT {quoted} FROM {quoted}") == [(2,)]
    literal = "N'" + name.replace("'", "''") + "'"
    assert client.value(f"SELECT COUNT(*) FROM sys.tables WHERE name = {literal} COLLATE Latin1_General_100_BIN2") == 1
    client.run(f"DROP TABLE {quoted}")


def test_a_name_of_129_characters_is_too_long(client: Client) -> None:
    assert client.error(f"CREATE TABLE [{'x' * 129}] (a int)").number == 103


def test_tables_change(world: World, client: Client) -> None:
    other = world.login()
    client.run("CREATE TABLE grows (a int)", "INSERT INTO grows VALUES (1)")
    assert other.rows("SELECT * FROM grows") == [(1,)]
    client.run("ALTER TABLE grows ADD b nvarchar(5) NOT NULL CONSTRAINT df_b DEFAULT N'q', c AS (a + 1)")
    assert other.rows("SELECT * FROM grows") == [(1, "q", 2)]
    client.run("ALTER TABLE grows ALTER COLUMN b nvarchar(50) NULL", "ALTER TABLE grows DROP COLUMN c")
    assert other.columns("SELECT * FROM grows")[1].type.length == 50
    client.run("ALTER TABLE grows ADD CONSTRAINT ck_a CHECK (a < 5)", "ALTER TABLE grows ADD CONSTRAINT u UNIQUE (a)")
    assert other.error("INSERT INTO grows VALUES (9, N'')").number == 547
    assert other.error("INSERT INTO grows VALUES (1, N'')").number == 2627
    client.run(
        "ALTER TABLE grows DROP CONSTRAINT ck_a",
        "ALTER TABLE grows DROP CONSTRAINT df_b",
        "EXEC sp_rename 'grows', 'grown'",
    )
    other.run("INSERT INTO grown (a) VALUES (9)")
    assert other.rows("SELECT b FROM grown WHERE a = 9") == [(None,)]
    client.session.begin()
    client.run("DROP TABLE grown", "CREATE TABLE grown (z int)")
    client.session.rollback()
    assert client.rows("SELECT a FROM grown ORDER BY a") == [(1,), (9,)]


def test_databases(world: World, client: Client) -> None:
    name = f"{world.name} other"
    client.run(f"CREATE DATABASE [{name}]")
    try:
        assert client.error(f"CREATE DATABASE [{name}]").number == 1801
        assert client.value(f"USE [{name}]; SELECT DB_NAME()") == name
        assert client.rows("SELECT name FROM sys.tables") == []
        assert client.value(f"SELECT COUNT(*) FROM sys.databases WHERE name = N'{name}'") == 1
        assert client.error("USE nosuch").number == 911
    finally:
        client.run(f"USE master; DROP DATABASE [{name}]")

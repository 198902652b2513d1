"""T-SQL statements and what they answer."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.peers.mssql.interface import Parameter, SqlType
from tests.support.mssql_engine import Client, World, client, world

__all__ = ["client", "world"]

D = Decimal
VALUES: list[tuple[str, Any]] = [
    ("1 + 1", 2),
    ("7 / 2", 3),
    ("-7 / 2", -3),
    ("7 % 3", 1),
    ("-(-3) + -0.0000001", D("2.9999999")),
    ("-9223372036854775808 + CAST(0 AS bigint)", D("-9223372036854775808")),
    ("-2147483648 + 0", D("-2147483648")),
    ("-99999999999999999999999999999999999999 + 0", D("-" + "9" * 38)),
    ("7 / 2.0", D("3.500000")),
    ("1.0 / 3", D("0.333333333333")),
    ("5 & 6 | 8 ^ 1", 13),
    ("'a' + 'b'", "ab"),
    ("N'a' + NULL", None),
    ("CASE WHEN 'a' = 'A ' THEN 1 ELSE 0 END", 1),
    ("CASE WHEN 'é' = 'e' THEN 1 ELSE 0 END", 0),
    ("CASE WHEN N'a' COLLATE Latin1_General_100_BIN2 = N'A' THEN 1 ELSE 0 END", 0),
    ("CASE WHEN N'a' COLLATE Latin1_General_100_BIN2 = N'a ' THEN 1 ELSE 0 END", 1),
    ("CASE WHEN NULL = NULL THEN 1 ELSE 0 END", 0),
    ("CASE WHEN 'abc' LIKE 'A[a-c]_' THEN 1 ELSE 0 END", 1),
    ("CASE WHEN '50%' LIKE '50!%' ESCAPE '!' THEN 1 ELSE 0 END", 1),
    ("CASE WHEN 'a' IN ('B', 'A') THEN 1 ELSE 0 END", 1),
    ("LEN('ab  ')", 2),
    ("DATALENGTH(N'ab  ')", 8),
    ("LEN(N'\U0001f600')", 2),
    ("SUBSTRING('abcdef', 2, 3)", "bcd"),
    ("CHARINDEX('C', 'abc')", 3),
    ("REPLACE('aXbx', 'x', '-')", "a-b-"),
    ("QUOTENAME('a]b')", "[a]]b]"),
    ("CONCAT('a', NULL, 1)", "a1"),
    ("ISNULL(CAST(NULL AS nvarchar(3)), N'abcdef')", "abc"),
    ("COALESCE(NULL, 2, 3.5)", D("2.0")),
    ("NULLIF(1, 1)", None),
    ("IIF(1 = 1, 'x', 'yy')", "x"),
    ("ROUND(2.345, 2)", D("2.350")),
    ("CAST('12' AS int) + 1", 13),
    ("TRY_CAST('x' AS int)", None),
    ("CAST(2.9 AS int)", 2),
    ("CAST(CAST(2.5 AS money) AS int)", 3),
    ("CAST(255 AS varbinary(4))", b"\x00\x00\x00\xff"),
    ("CONVERT(varchar(20), 0x0AFF, 1)", "0x0AFF"),
    ("CONVERT(varbinary(4), '0x0aff', 1)", b"\x0a\xff"),
    ("CAST(N'ab' AS varbinary(8))", b"a\x00b\x00"),
    ("CONVERT(varchar(23), CAST('2020-03-04T05:06:07.123' AS datetime), 121)", "2020-03-04 05:06:07.123"),
    ("CONVERT(varchar(30), CAST('2020-03-04T05:06:07' AS datetime))", "Mar  4 2020  5:06AM"),
    ("CONVERT(char(8), CAST('2020-03-04' AS date), 112)", "20200304"),
    ("CAST(CAST('2020-03-04 05:06:07.1234567 +02:00' AS datetimeoffset) AS "
        "varchar(40))", "2020-03-04 05:06:07.1234567 +02:00"),
    ("DATEDIFF(day, '2020-01-01', '2020-02-01')", 31),
    ("DATEPART(week, CAST('2020-01-05' AS date))", 2),
    ("CAST(DATEADD(month, 1, CAST('2020-01-31' AS date)) AS varchar(10))", "2020-02-29"),
    ("CAST(NCHAR(8364) AS varchar(5))", "€"),
    ("CAST(N'日' AS varchar(5))", "?"),
    ("(SELECT MAX(v) FROM (VALUES (1), (3), (2)) AS x(v))", 3),
    ("(SELECT STRING_AGG(v, ',') WITHIN GROUP (ORDER BY v DESC) FROM (VALUES ('a'), ('b')) AS x(v))", "b,a"),
    ("@@TRANCOUNT", 0),
    ("XACT_STATE()", 0),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "expected"), VALUES, ids=[item[0][:60] for item in VALUES])
def test_an_expression(client: Client, expression: str, expected: Any) -> None:
    assert client.value(f"SELECT {expression}") == expected


@pytest.fixture(scope="module")
def tables(world: World) -> World:
    world.login().run(
        "CREATE TABLE people (id int PRIMARY KEY, name nvarchar(20) NULL, boss int NULL, pay decimal(10,2) NULL)",
        "INSERT INTO people VALUES (1, N'Ann', NULL, 100), (2, N'bob', 1, 50.5), (3, N'Cid', 1, NULL), (4, "
        "N'BOB', 2, 7)",
    )
    return world


QUERIES: list[tuple[str, list[tuple[Any, ...]]]] = [
    ("SELECT id FROM people WHERE name = 'BOB  ' ORDER BY id", [(2,), (4,)]),
    ("SELECT name, COUNT(*) FROM people GROUP BY name HAVING COUNT(*) > 1", [("bob", 2)]),
    ("SELECT COUNT(DISTINCT name), SUM(pay), AVG(id), MIN(name) FROM people", [(3, D("157.50"), 2, "Ann")]),
    ("SELECT TOP (2) id FROM people ORDER BY id DESC", [(4,), (3,)]),
    ("SELECT id FROM people ORDER BY boss, id OFFSET 1 ROWS FETCH NEXT 2 ROWS ONLY", [(2,), (3,)]),
    ("SELECT p.id, b.name FROM people p LEFT JOIN people b ON b.id = p.boss WHERE p.id < 3 ORDER BY "
        "p.id", [(1, None), (2, "Ann")]),
    ("SELECT id FROM people p WHERE EXISTS (SELECT 1 FROM people x WHERE x.boss = p.id) ORDER BY 1", [(1,), (2,)]),
    ("SELECT id FROM people WHERE id NOT IN (SELECT boss FROM people WHERE boss > 0) ORDER BY id", [(3,), (4,)]),
    ("SELECT id FROM people WHERE id > ALL (SELECT boss FROM people WHERE boss IS NOT NULL) ORDER BY id", [(3,), (4,)]),
    ("WITH t AS (SELECT id, boss FROM people WHERE boss IS NULL UNION ALL SELECT p.id, p.boss FROM people p JOIN "
        "t ON t.id = p.boss) "
     "SELECT COUNT(*) FROM t", [(4,)]),
    ("SELECT id FROM (SELECT id, ROW_NUMBER() OVER (PARTITION BY name ORDER BY id DESC) AS n FROM people) q "
        "WHERE n = 2", [(2,)]),
    ("SELECT id FROM people INTERSECT SELECT boss FROM people ORDER BY id", [(1,), (2,)]),
    ("SELECT 1 AS a UNION SELECT 1 UNION ALL SELECT 2.5", [(D("1.0"),), (D("2.5"),)]),
    ("SELECT p.id, t.v FROM people p CROSS APPLY (SELECT p.id * 2 AS v WHERE p.id > 2) t ORDER BY "
        "p.id", [(3, 6), (4, 8)]),
    ("SELECT p.id, t.v FROM people p OUTER APPLY (SELECT TOP 1 x.id AS v FROM people x WHERE x.boss = p.id ORDER "
        "BY x.id) t WHERE p.id > 1 ORDER BY p.id",
     [(2, 4), (3, None), (4, None)]),
    ("SELECT value FROM STRING_SPLIT('a,b', ',')", [("a",), ("b",)]),
    ("SELECT a, b FROM OPENJSON(N'[{\"a\":1,\"b\":\"x\"},{\"a\":2}]') WITH (a int, b "
        "nvarchar(10))", [(1, "x"), (2, None)]),
    ("SELECT 1 SELECT id FROM people WHERE id = 1", [(1,)]),
    ("SELECT x = id, 'y' AS [y z] FROM [dbo].[people] WITH (NOLOCK) WHERE [id] = 1 OPTION (RECOMPILE)", [(1, "y")]),
    ("SELECT LEFT(name, 1), COUNT(*) FROM people GROUP BY LEFT(name, 1) ORDER BY 1", [("A", 1), ("b", 2), ("C", 1)]),
    ("SELECT id, SUM(pay) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) FROM people WHERE pay IS NOT NULL AND id < "
        "4 ORDER BY id",
     [(1, D("100.00")), (2, D("150.50"))]),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), QUERIES, ids=[item[0][:70] for item in QUERIES])
def test_a_query(tables: World, client: Client, sql: str, expected: list[tuple[Any, ...]]) -> None:
    assert client.rows(sql) == expected


def test_changes_count_and_answer_their_rows(client: Client) -> None:
    client.run(
        "CREATE TABLE t (a int PRIMARY KEY, b nvarchar(10) DEFAULT N'new', c int NULL)",
        "INSERT INTO t (a, c) VALUES (1, 10), (2, 20), (3, 30)",
        "CREATE TABLE #s (a int, b nvarchar(10))",
        "INSERT INTO #s VALUES (1, N'one'), (2, N'two'), (9, N'nine')",
    )
    assert client.all("UPDATE t SET b = s.b, c += 1 FROM dbo.t AS t JOIN #s AS s ON s.a = t.a; SELECT @@ROWCOUNT") == [
        2,
        [(2,)],
        1,
    ]
    assert client.rows("SELECT a, b, c FROM t ORDER BY a") == [(1, "one", 11), (2, "two", 21), (3, "new", 30)]
    assert client.all("UPDATE t SET c = 0 OUTPUT deleted.c, inserted.c WHERE a = 1") == [[(11, 0)], 1]
    assert client.all("UPDATE t SET b = ISNULL(s.b, N'-') FROM t LEFT JOIN #s s ON s.a = t.a") == [3]
    assert client.all("DELETE TOP (1) FROM t OUTPUT deleted.a WHERE a = 3") == [[(3,)], 1]
    assert client.all("DELETE x FROM t AS x INNER JOIN #s AS s ON s.a = x.a WHERE s.b = 'TWO'") == [1]
    merge = (
        "MERGE INTO t WITH (HOLDLOCK) AS x USING #s AS s ON x.a = s.a WHEN MATCHED AND s.a = 1 THEN UPDATE SET b = s.b "
        "WHEN NOT MATCHED THEN INSERT (a, b) VALUES (s.a, s.b);"
    )
    assert client.all(merge) == [3]
    assert client.rows("SELECT a, b FROM t ORDER BY a") == [(1, "one"), (2, "two"), (9, "nine")]
    assert client.all(
        "INSERT INTO t (a, b) OUTPUT inserted.a, inserted.b SELECT 5, DEFAULT_B.b FROM (SELECT N'q' AS b) AS DEFAULT_B"
    ) == [[(5, "q")], 1]
    assert client.all("DELETE t OUTPUT deleted.a, deleted.b INTO #s WHERE a = 5; SELECT b FROM #s WHERE a = 5") == [
        1,
        [("q",)],
        1,
    ]
    client.run(
        "CREATE TABLE #n (d date, g uniqueidentifier)",
        "INSERT INTO #n SELECT NULL, NULL UNION ALL SELECT CAST(NULL AS date), NEWID()",
    )
    assert client.value("SELECT COUNT(g) FROM #n WHERE d IS NULL") == 1
    assert client.all("SELECT a INTO #copy FROM t; SELECT COUNT(*) FROM #copy; TRUNCATE TABLE #copy") == [
        3,
        [(3,)],
        1,
        None,
    ]


def test_an_update_whose_source_has_a_key_twice_counts_the_row_once(client: Client) -> None:
    client.run("CREATE TABLE once (a int PRIMARY KEY, b int)", "INSERT INTO once VALUES (1, 0)")
    sql = "UPDATE t SET b = s.b FROM once t JOIN (VALUES (1, 5), (1, 6)) AS s(a, b) ON s.a = t.a"
    assert client.all(sql) == [1]
    assert (
        client.error(
            "MERGE once AS t USING (VALUES (1, 5), (1, 6)) AS s(a, b) ON s.a = t.a WHEN MATCHED THEN UPDATE SET "
            "b = s.b;"
        ).number
        == 8672
    )


def test_identity_computed_and_row_version(client: Client) -> None:
    client.run(
        "CREATE TABLE i (id int IDENTITY(10, 5) PRIMARY KEY, n nvarchar(5), up AS UPPER(n) PERSISTED, rv rowversion)"
    )
    client.run("INSERT INTO i (n) VALUES (N'a')", "INSERT INTO i (n) VALUES (N'b')")
    assert client.rows("SELECT id, up FROM i ORDER BY id") == [(10, "A"), (15, "B")]
    assert client.value("SELECT SCOPE_IDENTITY()") == 15
    assert client.error("INSERT INTO i (id, n) VALUES (1, N'z')").number == 544
    client.run("SET IDENTITY_INSERT i ON; INSERT INTO i (id, n) VALUES (100, N'z'); SET IDENTITY_INSERT i OFF")
    client.run("INSERT INTO i (n) VALUES (N'c')")
    assert client.value("SELECT MAX(id) FROM i") == 105
    before = client.value("SELECT rv FROM i WHERE id = 10")
    client.run("UPDATE i SET n = N'q' WHERE id = 10")
    assert client.value("SELECT rv FROM i WHERE id = 10") > before
    assert client.error("INSERT INTO i (up) VALUES (N'x')").number == 271
    assert client.error("INSERT INTO i (rv) VALUES (0x01)").number == 273
    assert client.error("UPDATE i SET id = 3").number == 8102


def test_a_trigger_sees_the_rows_and_leaves_the_count(client: Client) -> None:
    client.run(
        "CREATE TABLE watched (a int PRIMARY KEY, b int)", "CREATE TABLE seen (what char(1), a int, b int)",
        "CREATE TRIGGER tr ON watched AFTER INSERT, UPDATE, DELETE AS BEGIN SET NOCOUNT ON; "
        "INSERT INTO seen SELECT 'i', a, b FROM inserted; INSERT INTO seen SELECT 'd', a, b FROM deleted; END",
    )  # fmt: skip
    assert client.all("INSERT INTO watched VALUES (1, 1), (2, 2); SELECT @@ROWCOUNT") == [2, [(2,)], 1]
    assert client.all("UPDATE watched SET b = 5 WHERE a = 1; DELETE FROM watched WHERE a = 2") == [1, 1]
    assert client.rows("SELECT what, a, b FROM seen ORDER BY a, what, b") == [
        ("d", 1, 1), ("i", 1, 1), ("i", 1, 5), ("d", 2, 2), ("i", 2, 2),
    ]  # fmt: skip
    client.run("CREATE TRIGGER chatty ON seen AFTER INSERT AS UPDATE seen SET b = b")
    assert client.all("INSERT INTO seen VALUES ('x', 1, 1)") == [6, 1]


def test_variables_and_control_flow(client: Client) -> None:
    loop = (
        "DECLARE @i int = 0, @s nvarchar(20) = N''; WHILE 1 = 1 BEGIN SET @i += 1; IF @i = 2 CONTINUE; IF @i "
        "> 4 BREAK; SET @s = @s + CAST(@i AS nvarchar(5)) END; SELECT @i, @s"
    )
    assert client.rows(loop) == [(5, "134")]
    assert client.rows("DECLARE @a int, @b nvarchar(3); SELECT @a = 5, @b = N'abcdef'; SELECT @a, @b") == [(5, "abc")]
    assert client.all("IF OBJECT_ID('nosuch') IS NULL PRINT 'no' ELSE PRINT 'yes'") == ["no"]
    assert client.rows(
        "BEGIN TRY SELECT 1 / 0 END TRY BEGIN CATCH SELECT ERROR_NUMBER(), ERROR_SEVERITY() END CATCH"
    ) == [(8134, 16)]
    assert client.error("BEGIN TRY THROW 50001, 'mine', 1 END TRY BEGIN CATCH THROW END CATCH").number == 50001
    assert client.rows("EXEC('SELECT 1 AS a; SELECT 2')") == [(2,)]
    assert client.rows(
        "DECLARE @o int; EXEC sp_executesql N'SET @x = @y * 2', N'@y int, @x int OUTPUT', @y = 21, @x = @o "
        "OUTPUT; SELECT @o"
    ) == [(42,)]
    table = (
        "DECLARE @t TABLE (a int PRIMARY KEY, b nvarchar(5)); INSERT INTO @t VALUES (1, N'x'); UPDATE @t SET "
        "b = N'y'; SELECT b FROM @t"
    )
    assert client.rows(table) == [("y",)]
    assert client.error("SELECT * FROM @t").number == 1087


def test_parameters_of_sp_executesql(client: Client) -> None:
    number = Parameter(name="@n", type=SqlType(name="int"), value=4)
    text = Parameter(name="@t", type=SqlType(name="nvarchar", length=20), value="it's \0 \ud800")
    out = Parameter(name="@o", type=SqlType(name="int"), value=None, output=True)
    assert client.rows("SELECT @n + 1, @t; SET @o = @n * 2", number, text, out) == [(5, "it's \0 \ud800")]
    assert client.session.outputs == {"@o": 8}
    described = client.session.describe("SELECT @n AS a, @t AS b", [number, text])
    assert [(item.name, item.type.name) for item in described] == [("a", "int"), ("b", "nvarchar")]
    assert client.rows("SET FMTONLY ON SELECT 1 AS a SET FMTONLY OFF") == []


def test_no_count(client: Client) -> None:
    assert client.all("SET NOCOUNT ON; SELECT 1; SELECT @@ROWCOUNT; SET NOCOUNT OFF; SELECT 2") == [
        None, [(1,)], None, [(1,)], None, None, [(2,)], 1,
    ]  # fmt: skip


def test_a_view(client: Client) -> None:
    client.run("CREATE TABLE base (a int, b nvarchar(5))", "INSERT INTO base VALUES (1, N'x'), (2, N'y')")
    client.run("CREATE VIEW over_base (n, t) AS SELECT a, b FROM base WHERE a > 1")
    assert client.rows("SELECT v.t FROM over_base v WHERE v.n = 2") == [("y",)]
    assert client.rows("SELECT name FROM sys.columns WHERE object_id = OBJECT_ID('over_base') ORDER BY column_id") == [
        ("n",),
        ("t",),
    ]


def test_what_it_does_not_know_is_refused(client: Client) -> None:
    for sql in (
        "SELECT FORMAT(1, 'C')", "SELECT 1 FOR JSON PATH", "SELECT * FROM OPENROWSET('a', 'b', 'c')",
        "MERGE a USING b ON 1 = 1 WHEN NOT MATCHED BY SOURCE THEN DELETE;", "CREATE PROCEDURE p AS SELECT 1",
        "SELECT * FROM other.dbo.t", "ALTER INDEX x ON y REBUILD; SELECT APPROX_PERCENTILE(1)",
    ):  # fmt: skip
        assert client.error(sql).number in {40510, 195, 208}, sql

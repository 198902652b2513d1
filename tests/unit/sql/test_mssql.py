from __future__ import annotations

import pytest

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.bridge import TargetColumn
from icebridge_provider.sql import mssql as sql

TABLE = ("dbo", "or]der's")
ID = TargetColumn(name="id", type="int", identity=True)
CODE = TargetColumn(name="co de", type="varchar(20)", collation="Polish_CI_AS")
NAME = TargetColumn(name="name", type="nvarchar(50)", collation="Latin1_General_100_CI_AS_SC_UTF8")
PRICE = TargetColumn(name="price", type="decimal(38,10)")
AT = TargetColumn(name="at", type="datetime2(7)")
BLOB = TargetColumn(name="blob", type="varbinary(max)")
RATE = TargetColumn(name="rate", type="real")
STAGE = sql.stage_name(3)


def test_the_stage_has_types_that_the_bulk_load_carries_exactly() -> None:
    binary = "COLLATE Latin1_General_100_BIN2"
    assert sql.create_stage(STAGE, [ID, CODE, PRICE, AT, BLOB, RATE]) == (
        f"CREATE TABLE #icebridge_stage_3 ([c0] bigint NULL, [c1] nvarchar(21) {binary} NULL,"
        f" [c2] nvarchar(128) {binary} NULL, [c3] nvarchar(128) {binary} NULL, [c4] varbinary(max) NULL,"
        " [c5] float NULL)"
    )
    kinds = ["nvarchar(4000)", "nvarchar(3999)", "varchar(8000)", "xml", "binary(8)", "varbinary(8000)"]
    staged = [sql.stage_type(TargetColumn(name="x", type=kind)).partition(" ")[0] for kind in kinds]
    assert staged == [
        "nvarchar(max)", "nvarchar(4000)", "nvarchar(max)", "nvarchar(max)", "varbinary(9)", "varbinary(max)",
    ]  # fmt: skip
    assert sql.drop_stage(STAGE) == "DROP TABLE #icebridge_stage_3"


def test_an_insert_converts_on_the_server_and_counts() -> None:
    assert sql.insert_staged(TABLE, STAGE, [ID, NAME, PRICE]) == (
        "INSERT INTO [dbo].[or]]der's] ([id], [name], [price]) SELECT CONVERT(int, s.[c0]),"
        " CONVERT(nvarchar(50), LEFT(s.[c1], LEN(s.[c1]) - 1) COLLATE Latin1_General_100_CI_AS_SC_UTF8)"
        " COLLATE Latin1_General_100_CI_AS_SC_UTF8,"
        " CONVERT(decimal(38,10), s.[c2]) FROM #icebridge_stage_3 AS s; SELECT @@ROWCOUNT AS [icebridge_affected]"
    )
    assert sql.identity_insert(TABLE, on=True) == "SET IDENTITY_INSERT [dbo].[or]]der's] ON"


def test_an_update_joins_whole_keys_under_the_columns_collation_and_sets_no_identity() -> None:
    assert sql.update_staged(TABLE, STAGE, [CODE, PRICE], [ID, AT, BLOB]) == (
        "UPDATE t SET t.[at] = CONVERT(datetime2(7), s.[c3], 126),"
        " t.[blob] = CONVERT(varbinary(max), SUBSTRING(s.[c4], 2, DATALENGTH(s.[c4])))"
        " FROM [dbo].[or]]der's] AS t INNER JOIN #icebridge_stage_3 AS s ON t.[co de] ="
        " CONVERT(varchar(20), LEFT(s.[c0], LEN(s.[c0]) - 1) COLLATE Polish_CI_AS) COLLATE Polish_CI_AS"
        " AND t.[price] = CONVERT(decimal(38,10), s.[c1]); SELECT @@ROWCOUNT AS [icebridge_affected]"
    )


def test_a_delete_joins_whole_keys() -> None:
    assert sql.delete_staged(("a", "b"), STAGE, [ID]) == (
        "DELETE t FROM [a].[b] AS t INNER JOIN #icebridge_stage_3 AS s ON t.[id] = CONVERT(int, s.[c0]);"
        " SELECT @@ROWCOUNT AS [icebridge_affected]"
    )


def test_double_keys_are_counted_as_the_target_compares_them() -> None:
    assert sql.count_double_keys(STAGE, [CODE, ID]) == (
        "SELECT COUNT(*) FROM (SELECT COUNT(*) AS n FROM #icebridge_stage_3 AS s GROUP BY"
        " CONVERT(varchar(20), LEFT(s.[c0], LEN(s.[c0]) - 1) COLLATE Polish_CI_AS) COLLATE Polish_CI_AS,"
        " CONVERT(int, s.[c1]) HAVING COUNT(*) > 1) AS d"
    )


def test_texts_outside_of_the_code_page_are_counted() -> None:
    text = "LEFT(s.[c2], LEN(s.[c2]) - 1)"
    there = f"CONVERT(varchar(max), {text} COLLATE Polish_CI_AS)"
    assert sql.count_lossy(STAGE, CODE, 2) == (
        f"SELECT COUNT(*) FROM #icebridge_stage_3 AS s WHERE CONVERT(nvarchar(max), {there}) COLLATE"
        f" Latin1_General_100_BIN2 <> {text} COLLATE Latin1_General_100_BIN2 OR DATALENGTH({there}) > 20"
    )


@pytest.mark.parametrize(
    ("declared", "expression"),
    [
        ("bit", "CONVERT(bit, s.[c0])"),
        ("float", "CONVERT(float, s.[c0])"),
        ("money", "CONVERT(money, s.[c0])"),
        ("date", "CONVERT(date, s.[c0], 23)"),
        ("datetime", "CONVERT(datetime, s.[c0], 126)"),
        ("smalldatetime", "CONVERT(smalldatetime, s.[c0], 126)"),
        ("time(7)", "CONVERT(time(7), s.[c0])"),
        ("datetimeoffset(3)", "CONVERT(datetimeoffset(3), s.[c0])"),
        ("uniqueidentifier", "CONVERT(uniqueidentifier, s.[c0])"),
        ("xml", "CONVERT(xml, LEFT(s.[c0], LEN(s.[c0]) - 1), 1)"),
        ("binary(8)", "CONVERT(binary(8), SUBSTRING(s.[c0], 2, DATALENGTH(s.[c0])))"),
    ],
)
def test_every_type_is_converted_independently_of_the_sessions_language(declared: str, expression: str) -> None:
    assert sql.staged_value(TargetColumn(name="x", type=declared), 0) == expression


@pytest.mark.parametrize("declared", ["sql_variant", "geography", "hierarchyid", "vector", "int; DROP TABLE x"])
def test_a_type_that_cannot_be_written_is_refused_by_the_columns_name(declared: str) -> None:
    with pytest.raises(ConfigurationError, match=r"IB-863.*'odd'"):
        sql.create_stage(STAGE, [TargetColumn(name="odd", type=declared)])


def test_old_large_texts_are_not_compared() -> None:
    column = TargetColumn(name="x", type="text", collation="Polish_CI_AS")
    assert sql.staged_value(column, 0) == "CONVERT(text, LEFT(s.[c0], LEN(s.[c0]) - 1) COLLATE Polish_CI_AS)"


def test_a_collation_is_a_name() -> None:
    with pytest.raises(ConfigurationError, match="IB-863"):
        sql.staged_value(TargetColumn(name="x", type="nvarchar(1)", collation="A); DROP TABLE x --"), 0)


def test_the_catalog_is_asked_by_object_id_of_a_quoted_name() -> None:
    where = "OBJECT_ID(N'[dbo].[or]]der''s]', N'U')"
    assert sql.table_id(TABLE) == f"SELECT {where}"
    for statement in (sql.columns_of(TABLE), sql.keys_of(TABLE), sql.spelling_of(TABLE)):
        assert f"object_id = {where}" in statement
    assert sql.may_see_definition(TABLE) == (
        "SELECT HAS_PERMS_BY_NAME(N'[dbo].[or]]der''s]', N'OBJECT', N'VIEW DEFINITION')"
    )


def test_the_inbox_binds_its_values() -> None:
    inbox = sql.Inbox("sync")
    assert inbox.create() == (
        "CREATE TABLE [sync].[icebridge_inbox] ([event_id] nvarchar(200) COLLATE Latin1_General_100_BIN2 NOT NULL"
        " PRIMARY KEY, [payload] varchar(128) NOT NULL, [attempt] int NOT NULL, [status] varchar(20) NOT NULL,"
        " [rows_expected] bigint NULL, [rows_affected] bigint NULL, [discrepancy] bigint NULL,"
        " [warning] nvarchar(4000) NOT NULL, [error_message] nvarchar(4000) NOT NULL,"
        " [settled_at] varchar(40) NOT NULL)"
    )
    columns = (
        "[event_id], [payload], [attempt], [status], [rows_expected], [rows_affected], [discrepancy], [warning],"
        " [error_message], [settled_at]"
    )
    assert inbox.read(2) == f"SELECT {columns} FROM [sync].[icebridge_inbox] WHERE [event_id] IN (%s, %s)"
    assert inbox.insert() == (
        f"INSERT INTO [sync].[icebridge_inbox] ({columns}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
    )
    changes = ", ".join(f"{name} = %s" for name in columns.split(", ")[1:])
    assert inbox.replace_blocked() == (
        f"UPDATE [sync].[icebridge_inbox] SET {changes} WHERE [event_id] = %s AND [status] = 'blocked'"
        " AND [payload] = %s AND [attempt] < %s; SELECT @@ROWCOUNT AS [icebridge_affected]"
    )


def test_an_inbox_whose_name_the_client_would_take_for_a_value_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"IB-860.*percent"):
        sql.Inbox("a%sb")


@pytest.mark.parametrize(
    ("text", "parts"),
    [("dbo.Table", ("dbo", "Table")), ("`my.schema`.`a``b`", ("my.schema", "a`b")), ("dbo.[x]", ("dbo", "[x]"))],
)
def test_a_tables_name_is_taken_apart(text: str, parts: tuple[str, str]) -> None:
    assert sql.table_parts(text) == parts


@pytest.mark.parametrize("text", ["", "t", "a.b.c", "a.", ".b", "`a.b", "a..b"])
def test_what_is_no_tables_name_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="IB-860"):
        sql.table_parts(text)


def test_names_of_more_than_128_characters_are_refused() -> None:
    assert sql.table_id(("dbo", "x" * 128))
    for name in ("x" * 129, "\U0001f600" * 65):
        with pytest.raises(ConfigurationError, match="IB-246"):
            sql.table_id(("dbo", name))


@pytest.mark.parametrize(
    ("name", "facts", "declared"),
    [
        ("nvarchar", (100, 0, 0), "nvarchar(50)"),
        ("varchar", (-1, 0, 0), "varchar(max)"),
        ("binary", (8, 0, 0), "binary(8)"),
        ("decimal", (17, 38, 10), "decimal(38,10)"),
        ("datetime2", (8, 27, 7), "datetime2(7)"),
        ("timestamp", (8, 0, 0), "rowversion"),
        ("sysname", (256, 0, 0), "nvarchar(128)"),
        ("int", (4, 10, 0), "int"),
    ],
)
def test_types_are_told_as_they_are_declared(name: str, facts: tuple[int, int, int], declared: str) -> None:
    length, precision, scale = facts
    assert sql.column_type(name, {"max_length": length, "precision": precision, "scale": scale}) == declared

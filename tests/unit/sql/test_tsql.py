"""T-SQL is cut where SQL Server cuts it, and a SELECT is told from everything else."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from icebridge_provider.model.query import Spot
from icebridge_provider.sql.select import MARKER, check_expression, name_parts, parsed, refuse_words, spots
from icebridge_provider.sql.tsql import NotUnderstood, Part, inner, placeholder, sections, tokens

bits = st.sampled_from(
    ["'", "''", "[", "]", '"', "--", "/*", "*/", "\n", " ", "a", "N'", "{x}", "{", "(", ")", "1e", "@", "#", ";", "é"]
)


@settings(max_examples=500, deadline=None)
@given(text=st.lists(bits, max_size=15).map("".join))
@example("/* /* */ ' */ 'x'")
def test_nothing_is_lost_between_tokens(text: str) -> None:
    try:
        found = tokens(text)
    except NotUnderstood as error:
        assert 0 <= error.position < len(text)
        return
    assert "".join(token.text for token in found) == text
    assert all(text.startswith(token.text, token.start) and token.text for token in found)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("'a''b' x", [Part.TEXT, Part.BLANK, Part.WORD]),
        ("N'--'", [Part.TEXT]),
        ("[a]]b].[c]", [Part.NAME, Part.MARK, Part.NAME]),
        ('"a""b"', [Part.NAME]),
        ("/* ' /* [ */ */a", [Part.COMMENT, Part.WORD]),
        ("a--b 'c\nd", [Part.WORD, Part.COMMENT, Part.BLANK, Part.WORD]),
        ("order#1 @@x #t", [Part.WORD, Part.BLANK, Part.WORD, Part.BLANK, Part.WORD]),
        ("{ a.b : literal }", [Part.PLACE]),
        ("{a-b}", [Part.MARK, Part.WORD, Part.MARK, Part.WORD, Part.MARK]),
    ],
)
def test_texts_names_and_comments_end_where_sql_server_ends_them(text: str, parts: list[Part]) -> None:
    assert [token.part for token in tokens(text)] == parts


@pytest.mark.parametrize(
    ("text", "position"),
    [("a 'b''", 2), ("x [b]]", 2), ('"', 0), ("/* /* */", 0), ("a)", 1), ("(a", 0), ("(" * 300, 200)],
)
def test_what_does_not_end_is_named_where_it_begins(text: str, position: int) -> None:
    with pytest.raises(NotUnderstood) as caught:
        tokens(text)
    assert caught.value.position == position


@settings(max_examples=200)
@given(text=st.text(min_size=0, max_size=20))
def test_quotes_are_undone(text: str) -> None:
    for sql in (
        "N'" + text.replace("'", "''") + "'",
        "[" + text.replace("]", "]]") + "]",
        '"' + text.replace('"', '""') + '"',
    ):
        if sql not in {"[]", '""'}:
            (token,) = tokens(sql)
            assert inner(token) == text


def test_placeholders() -> None:
    assert placeholder("{a.b}") == ("a.b", "")
    assert placeholder("{ a : literal }") == ("a", "literal")
    assert placeholder("x{a}") is placeholder("{}") is placeholder("{a}{b}") is placeholder("{1}") is None


@pytest.mark.parametrize(
    ("statement", "cut"),
    [
        ("SELECT a FROM t", ("", "SELECT a FROM t", "")),
        ("SELECT a FROM t ORDER BY a", ("", "SELECT a FROM t ", "ORDER BY a")),
        (
            "WITH c AS (SELECT 1 AS a ORDER BY b) SELECT a FROM c OPTION (MAXDOP 1)",
            ("WITH c AS (SELECT 1 AS a ORDER BY b) ", "SELECT a FROM c ", "OPTION (MAXDOP 1)"),
        ),
        (
            "SELECT a, SUM(b) OVER (ORDER BY c) AS s FROM t UNION ALL SELECT 1, 2",
            ("", "SELECT a, SUM(b) OVER (ORDER BY c) AS s FROM t UNION ALL SELECT 1, 2", ""),
        ),
        (
            "SELECT a FROM t FOR SYSTEM_TIME AS OF '2020' WHERE b = %(p0)s",
            ("", "SELECT a FROM t FOR SYSTEM_TIME AS OF '2020' WHERE b = %(p0)s", ""),
        ),
        ("SELECT a FROM t FOR XML AUTO", ("", "SELECT a FROM t ", "FOR XML AUTO")),
        ("SELECT 'ORDER' AS [order] -- ORDER\nFROM t", ("", "SELECT 'ORDER' AS [order] -- ORDER\nFROM t", "")),
    ],
)
def test_a_select_is_cut_into_its_sections(statement: str, cut: tuple[str, str, str]) -> None:
    assert sections(statement) == cut
    assert "".join(cut) == statement


@pytest.mark.parametrize(
    ("statement", "position"),
    [
        ("SELECT 1 SELECT 2", 9),
        ("SELECT a FROM t; SELECT b", 15),
        ("EXEC x", 0),
        ("", 0),
        ("(SELECT 1)", 0),
        ("SELECT a INTO b FROM c", 9),
        ("SELECT a FROM OPENROWSET('a','b','c')", 14),
        ("SELECT a FROM OPENQUERY(s, 'q')", 14),
        ("SELECT a FROM opendatasource('a','b').c.d.e", 14),
        ("WITH x AS (DELETE FROM t) SELECT a FROM x", 11),
        ("SELECT @x = 1", 7),
        ("SELECT @@VERSION", 7),
        ("SELECT a FROM #t", 14),
        ("SELECT a FROM [#t]", 14),
        ("SELECT xp_cmdshell('a')", 7),
        ("SELECT a FROM master..[xp_x]", 22),
        ("SELECT NEXT VALUE FOR s", 12),
        ("SELECT a FROM t WAITFOR DELAY '1'", 16),
        ("SELECT {a-b}", 7),
        ("SELECT a FROM t UPDATE t SET a = 1", 16),
        ("SELECT 1 AS a EXECUTE ('x')", 14),
        ("SELECT 1 dbcc x", 9),
        ("SELECT 1 BULK", 9),
    ],
)
def test_what_does_more_than_read_is_named_where_it_stands(statement: str, position: int) -> None:
    with pytest.raises(NotUnderstood) as caught:
        refuse_words(tokens(statement))
    assert caught.value.position == position


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT a FROM t INNER MERGE JOIN u ON t.a = u.a OPTION (MERGE JOIN)",
        "SELECT [update], [INTO], 'EXEC; DROP' AS x, \"delete\" FROM dbo.[exec]",
        "WITH c AS (SELECT 1 AS a) SELECT a FROM c EXCEPT SELECT 2 INTERSECT SELECT 3 UNION ALL SELECT 4",
        "SELECT a FROM t CROSS APPLY OPENJSON(t.j) WITH (x int '$.x') AS j WHERE EXISTS (SELECT 1 FROM u)",
        "SELECT spend, sp_price, order# FROM t /* EXEC */ -- INSERT",
        "SELECT REPLACE(a, 'x', 'y') AS r, IIF(a = 1, 2, 3) AS i, [value] FROM db..t AS set_ ORDER BY a OFFSET 5 ROWS",
    ],
)
def test_what_only_reads_is_taken(statement: str) -> None:
    refuse_words(tokens(statement))
    assert parsed(statement)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("SELECT a FROM s.d.o.t", "another server"),
        ("SELECT a FROM", "cannot be understood"),
        ("SELECT 1; SELECT 2", "not one statement"),
        ("VALUES (1)", "no SELECT"),
        ("SELECT a INTO b FROM c", "INTO is refused"),
        ("WITH x AS (DELETE FROM t OUTPUT deleted.a) SELECT a FROM x", "DELETE is refused"),
        ("INSERT INTO t SELECT 1", "no SELECT"),
    ],
)
def test_the_tree_is_looked_at_too(statement: str, why: str) -> None:
    with pytest.raises(NotUnderstood, match=why):
        parsed(statement)


def test_the_place_of_what_cannot_be_understood() -> None:
    with pytest.raises(NotUnderstood) as caught:
        parsed("SELECT a\nFROM t\nWHERE ORDER BY 1")
    assert caught.value.position >= len("SELECT a\nFROM t\n")


@pytest.mark.parametrize(
    ("statement", "spot"),
    [
        ("SELECT {} FROM t", Spot.ITEM),
        ("SELECT DISTINCT a, {} AS b FROM t", Spot.ITEM),
        ("SELECT a FROM t GROUP BY {}", Spot.ITEM),
        ("SELECT a FROM t ORDER BY a, {} DESC", Spot.ITEM),
        ("SELECT ROW_NUMBER() OVER (PARTITION BY {} ORDER BY a) AS r FROM t", Spot.ITEM),
        ("SELECT a FROM {}", Spot.NAME),
        ("SELECT a FROM {}.dbo.t", Spot.NAME),
        ("SELECT a FROM x.{}.t AS q", Spot.NAME),
        ("SELECT a FROM t JOIN {} AS u ON t.a = u.a", Spot.NAME),
        ("SELECT t.{} FROM t", Spot.NAME),
        ("SELECT {}.a FROM t", Spot.NAME),
        ("SELECT a AS {} FROM t", Spot.NAME),
        ("SELECT a FROM t WHERE {} = 1", Spot.COMPARED),
        ("SELECT a FROM t WHERE 'x' < {}", Spot.COMPARED),
        ("SELECT a FROM t WHERE {} IS NOT NULL", Spot.COMPARED),
        ("SELECT a FROM t WHERE {} IN (1, 2)", Spot.COMPARED),
        ("SELECT a FROM t WHERE {} = N'x' OR b = 2", Spot.COMPARED),
        ("SELECT a FROM t WHERE a IN ({})", Spot.LIST),
        ("SELECT a FROM t WHERE a = {}", Spot.OTHER),
        ("SELECT COALESCE({}, 0) AS c FROM t", Spot.OTHER),
        ("SELECT a + {} AS c FROM t", Spot.OTHER),
        ("SELECT TOP ({}) a FROM t", Spot.OTHER),
        ("SELECT a FROM t ORDER BY a OFFSET {} ROWS", Spot.OTHER),
        ("SELECT a FROM t WHERE a BETWEEN {} AND 5", Spot.OTHER),
    ],
)
def test_where_a_placeholder_stands(statement: str, spot: Spot) -> None:
    assert spots(statement.replace("{}", f"{MARKER}0"), 1) == [spot]


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "factor_rw1 as factor_rw",
        "a + b * 2",
        "CASE WHEN a = 1 THEN 'x' ELSE 'y' END AS z",
        "ROW_NUMBER() OVER (ORDER BY a) AS r",
        "t.[b c]",
        "'it''s'",
    ],
)
def test_one_expression_is_taken_as_an_item(text: str) -> None:
    assert check_expression(text, item=True) == text


def test_elsewhere_an_expression_keeps_together_and_has_no_alias() -> None:
    assert check_expression(" a + b ", item=False) == "(a + b)"
    assert check_expression("t.a", item=False) == "t.a"
    with pytest.raises(NotUnderstood, match="AS can only stand"):
        check_expression("a AS b", item=False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a, b",
        "a FROM t",
        "a) FROM t --",
        "1 UNION SELECT 2",
        "(SELECT 1)",
        "a -- b",
        "a /* b */",
        "DISTINCT a",
        "TOP 5 a",
        "a INTO b",
        "a; DROP TABLE t",
        "EXEC('x')",
        "'a",
        "(a",
        "a)",
        "{b}",
        "@x",
        "a WHERE 1=1",
        "#t",
        "a GO b",
    ],
)
def test_what_reaches_beyond_its_place_is_no_expression(text: str) -> None:
    with pytest.raises(NotUnderstood):
        check_expression(text, item=True)


def test_names_have_parts() -> None:
    assert name_parts("dbo.J_AtosCompra_CO") == ["dbo", "J_AtosCompra_CO"]
    assert name_parts('[a.b].[c]]d]."e""f"') == ["a.b", "c]d", 'e"f']
    for text in ("", "a b", "a.", ".a", "a..b", "a;b", "a--b", "'a'", "a(b)", "1a", "a.{b}", "a/**/"):
        with pytest.raises(NotUnderstood):
            name_parts(text)

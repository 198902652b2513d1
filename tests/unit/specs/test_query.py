"""A .sql file becomes pieces and placeholders, or is refused at the line and column that people see."""

from __future__ import annotations

import pytest

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.extraction import Partition
from icebridge_provider.model.query import Kind, Placeholder, Query, Spot
from icebridge_provider.specs.query import parse_query


def query(text: str | bytes) -> Query:
    content = text if isinstance(text, bytes) else text.encode()
    return parse_query(content, "q", "queries/q.sql")


def test_pieces_places_and_kinds() -> None:
    found = query(
        "-- all purchases, {nothing}\nSELECT id, {factor}\nFROM {db}.dbo.[{table}]\n"
        "WHERE c = N'{code}' AND d > {since:literal};"
    )
    assert found.placeholders == (
        Placeholder(name="factor", spot=Spot.ITEM, place="queries/q.sql:2:12"),
        Placeholder(name="db", spot=Spot.NAME, place="queries/q.sql:3:6"),
        Placeholder(name="table", spot=Spot.NAME_QUOTES, place="queries/q.sql:3:15"),
        Placeholder(name="code", spot=Spot.TEXT_QUOTES, place="queries/q.sql:4:11"),
        Placeholder(name="since", spot=Spot.OTHER, place="queries/q.sql:4:29", kind=Kind.LITERAL),
    )
    said = "".join(piece if isinstance(piece, str) else "?" for piece in found.pieces)
    assert said == " \nSELECT id, ?\nFROM ?.dbo.?\nWHERE c = ? AND d > ?"


def test_lines_stay_where_they_are_and_comments_go() -> None:
    found = query("SELECT a /* x\ny */, '--{{a}}' AS b -- z\nFROM t")
    assert found.pieces == ("SELECT a  \n, '--{a}' AS b  \nFROM t",)


@pytest.mark.parametrize(
    "content",
    [
        b"SELECT a\r\nFROM t\r\nGO\r\n",
        b"\xef\xbb\xbfSELECT a\nFROM t;\ngo",
        b"SELECT a\rFROM t\r;\rGO -- end\r/* x */",
        "\ufeffSELECT a\nFROM t".encode("utf-16-le"),
        "\ufeffSELECT a\r\nFROM t\r\nGO".encode("utf-16-be"),
    ],
)
def test_what_tools_put_around_a_query_is_taken_off(content: bytes) -> None:
    assert query(content).pieces == ("SELECT a\nFROM t",)


@pytest.mark.parametrize(
    ("line", "partition"),
    [
        ("-- partition: id, 8", Partition(column="id", count=8)),
        ("--PARTITION:[Order Id],2", Partition(column="Order Id", count=2)),
        ("/* partition: id, 8 */", None),
        ("-- partitions: id, 8", None),
    ],
)
def test_ranges(line: str, partition: Partition | None) -> None:
    assert query(f"{line}\nWITH c AS (SELECT 1 AS id) SELECT id FROM c").partition == partition


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("SELECT a FROM t\nGO\nSELECT b FROM u", "2:1", "GO may only stand at the end"),
        ("SELECT a FROM t\n go 5", "2:2", "GO may only"),
        ("SELECT a\nFROM t\nSELECT 2", "3:1", "second statement"),
        ("SELECT a FROM t;\n\nSELECT b", "1:16", "second statement"),
        ("SELECT a FROM t WHERE x = 'abc{y}'", "1:31", "single brace"),
        ("SELECT a FROM t WHERE x = '{\"a\": 1}'", "1:28", "single brace"),
        ("SELECT a FROM [x{y}]", "1:17", "single brace"),
        ("SELECT a\nFROM t_{c}", "2:8", "glued"),
        ("SELECT a FROM {c}{d}", "1:15", "glued"),
        ("SELECT {c}'x'", "1:8", "glued"),
        ("SELECT a FROM {c:table}", "1:15", "'table' is no kind"),
        ("SELECT '{c:literal}'", "1:8", "exclude each other"),
        ("SELECT 'a\nb", "1:8", "does not end"),
        ("SELECT a /* b", "1:10", "does not end"),
        ("SELECT (a", "1:8", "not closed"),
        ("SELECT {ts '2020'}", "1:8", "brace is no placeholder"),
        ("", "1:1", "does not begin"),
        ("-- x", "1:1", "does not begin"),
        ("GO", "1:1", "does not begin"),
        ("SELECT a\u200b FROM t", "1:9", "U+200B"),
        ("SELECT a\x00", "1:9", "U+0000"),
        (b"SELECT '\xe4'", "1:1", "not UTF-8"),
        ("SELECT a FROM t\nWHERE {x} = AND 1", "2:13", "cannot be understood"),
        ("SELECT icebridge_place_0", "1:8", "are taken"),
        ("-- partition: id\nSELECT id", "1:1", "partition: column, number"),
        ("SELECT id\n-- partition: id, 0", "2:1", "partition: column, number"),
        ("-- partition: id, 257\nSELECT id", "1:1", "up to 256"),
        ("-- partition: t.id, 2\nSELECT id", "1:1", "one name"),
        ("-- partition: a b, 2\nSELECT id", "1:1", "not a name"),
        ("-- partition: id, 2\n-- partition: id, 2\nSELECT id", "2:1", "second partition"),
        ("-- partition: id, 2\nSELECT id FROM t\nORDER BY id", "3:1", "cannot be kept"),
        ("-- partition: id, 2\nSELECT TOP 5 id FROM t", "2:1", "cannot be kept"),
        ("EXEC xp_cmdshell 'x'", "1:1", "does not begin"),
        ("SELECT a\nINTO b FROM c", "2:1", "INTO is refused"),
    ],
)
def test_what_is_refused_is_named_with_its_place(text: str | bytes, place: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        query(text)
    assert caught.value.code == "IB-804"
    assert caught.value.message.startswith(f"queries/q.sql:{place}: "), caught.value.message
    assert why in caught.value.message

"""Quoted names give the same name back, and nothing else, in every dialect we write."""

from __future__ import annotations

import pytest
import sqlglot
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlglot import exp

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.sql.identifiers import data_type, literal, quoted

DIALECTS = ("databricks", "snowflake", "trino", "spark", "tsql")
HOSTILE = (
    "`", "``", '"', '""', "'", "]", "]]", "[", "\\", "\\`", "a`.`b", "a.b", ";", "; DROP TABLE x; --", "--", "/*", "*/",
    "/* x */", "#", "$$", "%", "{{secrets/a/b}}", ":name", "?", "x' OR '1'='1", "SELECT", "null", " ", "a b",
    "naïve表", "🧊", "a\u00a0b", "\u202e", "\ufeff", "ß", "İ", "a" * 255, "`" * 255, "'\\''", "${x}", "{x}", "N'x'",
)  # fmt: skip
fit = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=40)
pieces = st.lists(st.sampled_from(HOSTILE[:36]), min_size=1, max_size=6).map("".join).map(lambda text: text[:255])


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(parts=st.lists(fit | pieces, min_size=1, max_size=3))
@example(parts=["a`; DROP TABLE b --", "]", '"'])
def test_a_quoted_name_is_read_back_as_that_name(dialect: str, parts: list[str]) -> None:
    if dialect == "tsql":
        parts = [part.lstrip("#") or "x" for part in parts]
    text = quoted(*parts, dialect=dialect)
    found = sqlglot.parse(f"SELECT * FROM {text}", dialect=dialect)
    assert len(found) == 1
    select = found[0]
    assert isinstance(select, exp.Select)
    (table,) = select.find_all(exp.Table)
    assert [part.name for part in table.parts] == parts
    assert [key for key, value in select.args.items() if value] == ["expressions", "from_"]
    assert not [key for key, value in table.args.items() if value and key not in {"this", "db", "catalog"}]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", HOSTILE)
def test_the_quote_character_is_doubled_and_nothing_else_changes(dialect: str, name: str) -> None:
    if dialect == "tsql" and (name.startswith("#") or len(name) > 128):
        return
    opening, closing = {"tsql": "[]", "databricks": "``", "spark": "``"}.get(dialect, '""')
    assert quoted(name, dialect=dialect) == opening + name.replace(closing, 2 * closing) + closing


@pytest.mark.parametrize("name", ["", "a\0b", "a\nb", "\x1b", "\x7f", "\x85", "a\u2028b", "\ud800", "a" * 256])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_cannot_be_a_name_is_refused(dialect: str, name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        quoted("main", name, dialect=dialect)
    assert caught.value.code == "IB-246"


def test_a_leading_hash_is_refused_where_it_means_a_temporary_table() -> None:
    assert quoted("#t") == "`#t`"
    with pytest.raises(ConfigurationError, match="temporary table"):
        quoted("#t", dialect="tsql")
    with pytest.raises(ConfigurationError):
        quoted()


@settings(max_examples=3000, deadline=None)
@given(text=st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=60) | pieces)
def test_a_literal_is_read_back_as_that_text(text: str) -> None:
    found = sqlglot.parse(f"SELECT {literal(text)}", dialect="databricks")
    assert len(found) == 1
    (only,) = found[0].expressions
    assert isinstance(only, exp.Literal)
    assert only.is_string
    assert only.this == text


@settings(max_examples=1000, deadline=None)
@given(text=pieces)
def test_a_literal_ends_where_spark_ends_it(text: str) -> None:
    """By Spark's own rule: a backslash takes the next character with it, the first bare quote ends the text."""
    written = literal(text)
    position = 1
    while written[position] != "'":
        position += 2 if written[position] == "\\" else 1
    assert position == len(written) - 1


@pytest.mark.parametrize("text", ["a\0", "\udfff"])
def test_a_text_that_sql_cannot_carry_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        literal(text)
    assert caught.value.code == "IB-246"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("decimal(10,2)", "DECIMAL(10, 2)"),
        ("struct<a: int, `b ``c`: array<string>>", "STRUCT<a: INT, `b ``c`: ARRAY<STRING>>"),
        ("timestamp_ntz", "TIMESTAMP_NTZ"),
        ("INT -- x", "INT"),
    ],
)
def test_a_type_is_written_anew(text: str, written: str) -> None:
    assert data_type(text) == written


@pytest.mark.parametrize("text", ["", "INT; DROP TABLE x", "decimal(10", "frobnicated thing"])
def test_what_is_no_type_is_refused_or_reduced(text: str) -> None:
    try:
        written = data_type(text)
    except ConfigurationError as error:
        assert error.code == "IB-246"
    else:
        assert ";" not in written

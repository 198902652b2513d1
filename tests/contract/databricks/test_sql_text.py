"""Words of Databricks SQL: every statement the product writes is read by the workspace as it was meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icebridge_provider.sql import databricks as product
from tests.peers.databricks.sql_commands import parse
from tests.peers.databricks.sql_errors import SqlError
from tests.peers.databricks.sql_lexer import Reader, literal_of, quoted, words

ORDERS, COPY = ("main", "sales", "orders"), ("lake", "sa`les", "or;ders --")
NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cf", "Zl", "Zp")), min_size=1, max_size=20)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


@pytest.mark.parametrize(
    ("text", "kind", "name", "values"),
    [
        (product.deep_clone(ORDERS, COPY), "clone", ORDERS, {"source": COPY, "how": "DEEP", "properties": {}}),
        (product.rename_table(ORDERS, "a b"), "rename", ORDERS, {"to": ("main", "sales", "a b")}),
        (product.drop_table(COPY), "drop", COPY, {"lenient": True}),
        (product.set_properties(COPY, {"a'b": "\\ ü\n"}), "properties", COPY, {"set": {"a'b": "\\ ü\n"}}),
        (product.unset_properties(ORDERS, ["k"]), "properties", ORDERS, {"unset": ("k",), "lenient": True}),
        (product.comment(ORDERS, "it's"), "comment", ORDERS, {"text": "it's"}),
        (product.create_schema(("main", "new")), "create_schema", ("main", "new"), {"lenient": True}),
        (product.refresh_foreign("TABLE", COPY), "refresh_foreign", COPY, {}),
        (
            product.predictive_optimization("SCHEMA", ("main", "sales"), "ENABLE"),
            "predictive_optimization",
            ("main", "sales"),
            {"mode": "ENABLE"},
        ),
        (product.describe_history(ORDERS, 5), "history", ORDERS, {"limit": 5}),
    ],
)
def test_what_the_product_writes(text: str, kind: str, name: tuple[str, ...], values: dict[str, object]) -> None:
    command = parse(text)
    assert command is not None
    assert (command.kind, command.name) == (kind, name)
    assert {key: command.values[key] for key in values} == values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "GRANT USE CATALOG, ALL PRIVILEGES ON CATALOG c TO `a b`",
            (["USE_CATALOG", "ALL_PRIVILEGES"], "CATALOG", "a b"),
        ),
        ("REVOKE EXTERNAL USE SCHEMA ON SCHEMA c.s FROM x", (["EXTERNAL_USE_SCHEMA"], "SCHEMA", "x")),
        ("grant select on c.s.t to `x@y.z`", (["SELECT"], "TABLE", "x@y.z")),
        ("GRANT SELECT ON VIEW c.s.v TO g", (["SELECT"], "TABLE", "g")),
    ],
)
def test_grants(text: str, expected: tuple[list[str], str, str]) -> None:
    command = parse(text)
    assert command is not None
    assert (command.values["privileges"], command.on, command.values["principal"]) == expected


@pytest.mark.parametrize(
    "text",
    [
        "DROP TABLE",
        "DROP TABLE a b",
        "GRANT SELECT ON TABLE t",
        "COMMENT ON TABLE t IS x",
        "",
    ],
)
def test_no_sql(text: str) -> None:
    with pytest.raises(SqlError, match="Syntax error"):
        parse(text)


@pytest.mark.parametrize(
    "text", ["SELECT 1", "INSERT INTO t SELECT 1", "CREATE TABLE t (a INT) USING ICEBERG", "DELETE FROM t"]
)
def test_what_is_left_to_the_engine(text: str) -> None:
    assert parse(text) is None


@given(st.lists(NAMES, min_size=1, max_size=3), TEXTS)
def test_names_and_texts_survive(parts: list[str], text: str) -> None:
    reader = Reader(f"{quoted(*parts)} {literal_of(text)}")
    assert reader.name() == tuple(parts)
    assert reader.literal() == text
    reader.end()


def test_comments_and_strings_hide_what_is_in_them() -> None:
    found = [word.text for word in words("a /* b -- \n */ -- c\n 'd ; -- e' `f /* g`")]
    assert found == ["a", "d ; -- e", "f /* g"]

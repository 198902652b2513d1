"""Globs select what a person meant, and say what they could have meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.planning.selection import nearest, select


def ident(*parts: str) -> TableIdentifier:
    return TableIdentifier(catalog="src", namespace=parts[:-1], name=parts[-1])


LAKE = [ident("flights", "flights"), ident("flights", "weather"), ident("tpch", "lineitem"), ident("a", "b", "weather"),
        ident("odd", "with.dot"), ident("odd", "with blank"), ident("odd", "[x]")]  # fmt: skip


def names(*globs: str) -> list[str]:
    return [table.path for table in select(LAKE, globs)]


CASES = {
    ("*",): 7,
    ("flights.*",): 2,
    ("*.weather",): 2,
    ("src.tpch.lineitem",): 1,
    ("flights.weathe?",): 1,
    ("a.*",): 1,
    ("odd.with.dot",): 1,
    ("odd.`with.dot`",): 1,
    ("odd.with blank",): 1,
    ("odd.[x]",): 1,
    ("flights.*", "flights.flights"): 2,
    ("*", "!flights.*"): 5,
    ("*", "!nothing.like.it"): 7,
    (" flights.* ", ""): 2,
}


@pytest.mark.parametrize("globs", sorted(CASES))
def test_globs(globs: tuple[str, ...]) -> None:
    assert len(names(*globs)) == CASES[globs]


def test_the_result_is_sorted_and_without_repeats() -> None:
    assert names("*.weather", "a.*", "*.weather") == ["a.b.weather", "flights.weather"]


@pytest.mark.parametrize(
    ("glob", "near"),
    [("flihgts.flights", "flights.flights"), ("FLIGHTS.weather", "flights.weather"), ("lineitems", "tpch.lineitem")],
)
def test_a_glob_that_matches_nothing_gets_the_nearest_names(glob: str, near: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        select(LAKE, ["flights.*", glob])
    assert caught.value.code == "IB-230"
    assert glob in caught.value.message
    assert near in caught.value.remedy


def test_only_exclusions_or_nothing_at_all_is_refused() -> None:
    for globs in (["!flights.*"], [], ["  "]):
        with pytest.raises(ConfigurationError) as caught:
            select(LAKE, globs)
        assert caught.value.code == "IB-231"


def test_everything_of_an_empty_catalog_is_nothing() -> None:
    assert select([], ["*"]) == ()
    with pytest.raises(ConfigurationError):
        select([], ["flights.*"])


part = st.text(min_size=1, max_size=8)


@given(st.lists(st.tuples(part, part), min_size=1, max_size=8, unique=True))
def test_every_table_is_selected_by_its_own_spelling(pairs: list[tuple[str, str]]) -> None:
    tables = [ident(*pair) for pair in pairs if not any(char in "".join(pair) for char in "*?!") and _stripped(pair)]
    for table in tables:
        assert table in select(tables, [table.path])
        assert table in select(tables, [str(table)])


def _stripped(pair: tuple[str, str]) -> bool:
    return all(text == text.strip() for text in pair)


def test_nearest_names_are_few_and_without_repeats() -> None:
    many = [f"sales.orders_{number}" for number in range(100)]
    found = nearest("sales.order_1", many)
    assert 1 <= len(found) == len(set(found)) <= 3

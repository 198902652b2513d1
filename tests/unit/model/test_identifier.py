from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icebridge_provider.model.identifier import TableIdentifier, split_parts

PARTS = st.text(min_size=1, max_size=12)


@given(PARTS, st.lists(PARTS, min_size=1, max_size=3), PARTS)
def test_text_and_back(catalog: str, namespace: list[str], name: str) -> None:
    identifier = TableIdentifier(catalog=catalog, namespace=tuple(namespace), name=name)
    assert TableIdentifier.parse(str(identifier)) == identifier


def test_plain_names_read_plainly() -> None:
    identifier = TableIdentifier(catalog="lake", namespace=("sales", "eu"), name="orders 2024")
    assert str(identifier) == "lake.sales.eu.`orders 2024`"
    assert identifier.path == "sales.eu.`orders 2024`"
    assert identifier.named("orders").path == "sales.eu.orders"


@pytest.mark.parametrize("text", ["", "a", "a.b", "a..b", "a.`b", "a.b.", ".a.b", "a.`b`c.d"])
def test_broken_names_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"catalog\.namespace\.table|column"):
        TableIdentifier.parse(text)


def test_backticks_are_doubled() -> None:
    assert split_parts("`a``b`.c") == ["a`b", "c"]

"""A key path is found in the text where a person sees it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icebridge_provider.planning.json_place import place_of

TEXT = """{
  "name": "a\\"b [0].x",
  "tables": [
    {"method": "copy_files", "wave": 1},
    {"wave" :  2 , "method":
      "clone"}
  ],
  "empty": []
}"""


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("$", (1, 1)),
        ("$.name", (2, 11)),
        ("$.tables", (3, 13)),
        ("$.tables[0].wave", (4, 38)),
        ("$.tables[1]", (5, 5)),
        ("$.tables[1].method", (6, 7)),
        ("$.tables[1].none", (5, 5)),
        ("$.tables[7].x", (3, 13)),
        ("$.empty[0]", (8, 12)),
        ("$.name.x", (2, 11)),
    ],
)
def test_places(path: str, place: tuple[int, int]) -> None:
    assert place_of(TEXT, path) == place


KEYS = st.text(st.characters(exclude_characters=".[]", exclude_categories=["Cs"]), min_size=1, max_size=4)
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=6)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12
)


def leaves(value: Any, path: str = "$") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in leaves(item, f"{path}.{key}")]
    if isinstance(value, list):
        return [leaf for number, item in enumerate(value) for leaf in leaves(item, f"{path}[{number}]")]
    return [(path, value)]


@given(VALUES, st.sampled_from([None, 0, 3]))
def test_every_leaf_of_any_document_is_found(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    for path, leaf in leaves(value):
        line, column = place_of(text, path)
        offset = sum(len(part) + 1 for part in text.split("\n")[: line - 1]) + column - 1
        assert json.JSONDecoder().raw_decode(text, offset)[0] == leaf

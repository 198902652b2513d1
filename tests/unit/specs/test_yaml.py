"""YAML is read as 1.2 says it, with places, and what readers do not agree on is refused at its place."""

from __future__ import annotations

import json
import os
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.planning.json_place import place_of
from icebridge_provider.specs.yaml import MAX_BYTES, Document, parse_yaml, read_yaml

names = st.from_regex(r"[a-z]{1,6}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)
trees = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(tree=trees, indent=st.sampled_from([None, 1, 4]), escaped=st.booleans())
def test_json_is_read_as_json_reads_it_with_the_places_of_its_values(
    tree: Any, indent: int | None, escaped: bool
) -> None:
    text = json.dumps(tree, indent=indent, ensure_ascii=escaped)
    document = parse_yaml(text.encode(), "f.yaml")
    assert document.value == tree
    for steps, place in document.places.items():
        path = "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
        assert (place.line, place.column) == place_of(text, path), path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NO", "NO"),
        ("yes", "yes"),
        ("off", "off"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-0", 0),
        ("0x1F", 31),
        ("0o17", 15),
        ("0.10", Decimal("0.10")),
        ("1e3", 1000.0),
        (".5", Decimal("0.5")),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2024-01-15", date(2024, 1, 15)),
        ("'2024-01-15'", "2024-01-15"),
        ("2024-01-15 10:11:12.5", datetime.fromisoformat("2024-01-15 10:11:12.5")),
        ("2024-01-15T10:00:00Z", "2024-01-15T10:00:00Z"),
        ("'007'", "007"),
        ("factor_rw1 as factor_rw", "factor_rw1 as factor_rw"),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_scalars(text: str, value: object) -> None:
    found = parse_yaml(f"a: {text}".encode(), "f.yaml").value["a"]
    assert found == value
    assert type(found) is type(value)


def test_keys_are_texts_whatever_they_look_like() -> None:
    assert parse_yaml(b"NO: 1\n5: 2\nnull: 3\ntrue: 4", "f").value == {"NO": 1, "5": 2, "null": 3, "true": 4}


@pytest.mark.parametrize(
    ("content", "place", "why"),
    [
        (b"a: [1, 2", "1:9", "flow sequence"),
        (b"a: 1\nb: 2\na: 3", "3:1", "'a' stands in line 1"),
        (b"a:\n  b: &x 1", "2:6", "anchors"),
        (b"a: *x", "1:4", "aliases"),
        (b"a: 007", "1:4", "leading zero"),
        (b"a: -012", "1:4", "leading zero"),
        (b"a: 2024-02-30", "1:4", "no such date"),
        (b"a\nb\xff", "2:2", "not UTF-8"),
        (b"a:\n - b\x07", "2:5", "control character"),
        (b"? {a: b}\n: c", "1:3", "key must be a text"),
        (b"%YAML 1.1\n---\na: 1", "2:1", "directives"),
        (b"a: 1\n---\nb: 1", "2:1", "second document"),
        (b"<<: {a: 1}", "1:1", "merge keys"),
        (b'a: "\\ud800"', "1:4", "surrogate"),
        (b'a: "\\0"', "1:4", "NUL"),
        (b'a: "\\ufffd\\udc00\\ud800"', "1:4", "surrogate"),
        (b"a: .inf", "1:4", "infinity"),
        (b"a: .NaN", "1:4", "infinity"),
        (b"a: 1e999", "1:4", "too large"),
        (b"a: !!python/object/apply:os.system [ls]", "1:4", "tags"),
        (b"a: !x 1", "1:4", "tags"),
        (b"a:\tb", "1:3", "token"),
        (b"a: " + b"9" * 101, "1:4", "101 characters"),
        (b"a: 'x", "1:6", "quoted"),
        (b"- " * 60 + b"a", "1:101", "50 levels"),
        (b"{a: " * 60, "1:201", "50 levels"),
        (b"a: b: c", "1:5", "mapping values"),
    ],
)
def test_what_is_refused_is_named_with_its_place(content: bytes, place: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_yaml(content, "f.yaml")
    assert caught.value.code == "IB-800"
    assert caught.value.message.startswith(f"f.yaml:{place}: ")
    assert why in caught.value.message


def test_values_are_counted_and_bytes_too() -> None:
    with pytest.raises(ConfigurationError, match="1:100000: there are more than 50,000 values"):
        parse_yaml(b"[" + b"a," * 50_001 + b"]", "f")
    with pytest.raises(ConfigurationError, match="1,048,576 are allowed"):
        parse_yaml(b"#" * (MAX_BYTES + 1), "f")


def test_a_complaint_never_repeats_what_may_be_a_token() -> None:
    for content in (
        b"t: [s3cr3t",
        b"t: 's3cr3t",
        b"t: s3cr3t: x",
        b't: "s3cr3t\\q"',
        b"s3cr3t\n x: [",
        b"t: !s3cr3t x",
        b"t: *s3cr3t",
    ):
        with pytest.raises(ConfigurationError) as caught:
            parse_yaml(content, "f")
        assert "s3cr3t" not in str(caught.value), content
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


def test_the_place_of_what_is_missing_is_that_around_it() -> None:
    document = parse_yaml(b"a:\n  b:\n  - c: 1\n", "f.yaml")
    assert document.place("a", "b", 0, "c") == "f.yaml:3:8"
    assert document.place("a", "b", 0, "c", key=True) == "f.yaml:3:5"
    assert document.place("a", "b", 0, "d", "e") == "f.yaml:3:5"
    assert Document(file="g", value=None, places={}, keys={}).place("x") == "g:1:1"


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read_yaml(tmp_path / "a.yaml").value == {"a": 1, "b": 2}


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "large").write_bytes(b"#" * (MAX_BYTES + 1))
    wrong = {
        "pipe": "no regular file",
        "folder": "no regular file",
        "none": "no such file",
        "large": "more than 1,048,576",
    }
    for name, why in wrong.items():
        with pytest.raises(ConfigurationError, match=why) as caught:
            read_yaml(tmp_path / name)
        assert caught.value.code == "IB-801"
    with pytest.raises(ConfigurationError, match="no regular file"):
        read_yaml(Path("/dev/zero"))

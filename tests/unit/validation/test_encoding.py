"""The compiled encoding against the golden vectors and against the reference written from the spec."""

from __future__ import annotations

import datetime as dt
import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import fingerprint_reference as reference
from tests.support import fingerprint_vectors as vectors
from tests.support.hashing import fingerprint_rows, hash_rows, plain

GOLDEN = json.loads(vectors.PATH.read_text())


def _field(kind: Any, name: str = "v", number: int = 1) -> dict[str, Any]:
    return {"id": number, "name": name, "type": kind, "required": False}


def test_the_golden_file_is_what_the_reference_computes() -> None:
    assert json.loads(json.dumps(vectors.computed())) == GOLDEN


@pytest.mark.parametrize("vector", GOLDEN["values"], ids=lambda vector: vector["name"])
def test_golden_value(vector: dict[str, Any]) -> None:
    value = vectors.parse(vector["value"], vector["type"])
    column = hash_rows([{"v": value}], [_field(vector["type"])])[0].columns[0]
    code = 0 if column.codes is None else int(column.codes[0])
    assert column.slots[:, code].astype("<u4").tobytes().hex() == vector["slot"]
    if value is None:
        assert (column.nulls, int(column.weights.sum())) == (1, 0)
        return
    assert column.digests[:, code].astype("<u4").tobytes().hex() == vector["md5"]
    assert int(column.crcs[code]) == vector["crc32"]


def test_golden_table() -> None:
    rows = [
        {item["name"]: vectors.parse(row[item["name"]], item["type"]) for item in GOLDEN["table"]["fields"]}
        for row in GOLDEN["table"]["rows"]
    ]
    assert plain(fingerprint_rows(rows, GOLDEN["table"]["fields"])) == GOLDEN["table"]["fingerprint"]


_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=150)
_LONGS = st.integers(-(2**63), 2**63 - 1)
_WIDE = st.integers(-(10**30) + 1, 10**30 - 1).map(lambda n: Decimal(n).scaleb(-5, context=reference._wide()))
_STAMPS = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30))  # noqa: DTZ001 - timestamps without zone
_KINDS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    ("boolean", st.booleans()),
    ("int", st.integers(-(2**31), 2**31 - 1)),
    ("int", st.integers(0, 3)),
    ("long", _LONGS),
    ("float", st.floats(width=32)),
    ("double", st.floats()),
    ("decimal(9, 2)", st.decimals(-1000, 1000, places=2)),
    ("decimal(30, 5)", _WIDE),
    ("date", st.dates()),
    ("time", st.times()),
    ("timestamp", _STAMPS),
    ("timestamptz", _STAMPS.map(lambda at: at.replace(tzinfo=dt.UTC))),
    ("string", _TEXT),
    ("string", st.sampled_from(["", "a", "a ", "NULL"])),
    ("uuid", st.uuids().map(lambda value: value.bytes)),
    ("fixed[3]", st.binary(min_size=3, max_size=3)),
    ("binary", st.binary(max_size=200)),
    (
        {"type": "list", "element-id": 50, "element": "string", "element-required": False},
        st.lists(st.none() | _TEXT, max_size=4),
    ),
    (
        {"type": "map", "key-id": 51, "key": "string", "value-id": 52, "value": "double", "value-required": False},
        st.dictionaries(_TEXT, st.none() | st.floats(), max_size=4).map(lambda value: list(value.items())),
    ),
    (
        {
            "type": "struct",
            "fields": [
                {"id": 53, "name": "b", "type": "long", "required": False},
                {
                    "id": 54,
                    "name": "A",
                    "required": False,
                    "type": {"type": "list", "element-id": 55, "element": "date", "element-required": False},
                },
            ],
        },
        st.fixed_dictionaries({"b": st.none() | _LONGS, "A": st.none() | st.lists(st.none() | st.dates(), max_size=3)}),
    ),
]  # fmt: skip


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows and the schema's fields, with nulls everywhere."""
    chosen = draw(st.lists(st.sampled_from(_KINDS), min_size=1, max_size=5))
    fields = [_field(kind, f"{'abcDE'[number]}", number + 1) for number, (kind, _) in enumerate(chosen)]
    shape = {item["name"]: st.none() | values for item, (_, values) in zip(fields, chosen, strict=True)}
    return draw(st.lists(st.fixed_dictionaries(shape), max_size=30)), fields


@settings(max_examples=150, deadline=None)
@given(tables(), st.integers(1, 4))
def test_the_compiled_code_computes_what_the_spec_says(table: Any, batches: int) -> None:
    rows, fields = table
    assert plain(fingerprint_rows(rows, fields, batches=batches)) == reference.fingerprint(rows, fields, buckets=4)


@settings(max_examples=60, deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_count(table: Any, random: Any) -> None:
    rows, fields = table
    shuffled = random.sample(rows, len(rows))
    assert fingerprint_rows(shuffled, fields, batches=3) == fingerprint_rows(rows, fields)


@settings(max_examples=150, deadline=None)
@given(tables().filter(lambda table: bool(table[0])), st.data())
def test_a_changed_table_has_another_sum(table: Any, data: st.DataObject) -> None:
    rows, fields = table
    at = data.draw(st.integers(0, len(rows) - 1))
    change = data.draw(st.sampled_from(["cell", "lost", "twice"]))
    if change == "cell":
        name = data.draw(st.sampled_from([item["name"] for item in fields]))
        kind = next(item["type"] for item in fields if item["name"] == name)
        other = data.draw(next(st.none() | values for found, values in _KINDS if found == kind))
        changed = [*rows[:at], {**rows[at], name: other}, *rows[at + 1 :]]
        same = reference.row_bytes(rows[at], fields) == reference.row_bytes(changed[at], fields)
    else:
        changed = [*rows[:at], *rows[at + 1 :]] if change == "lost" else [*rows, rows[at]]
        same = False
    before, after = fingerprint_rows(rows, fields), fingerprint_rows(changed, fields)
    assert (before.sum128 == after.sum128) is same
    assert (before == after) is same


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 10**6), _TEXT), min_size=2, max_size=20, unique_by=(lambda p: p[0], lambda p: p[1])
    ),
    st.data(),
)
def test_values_swapped_between_two_rows_change_the_sum(pairs: Any, data: st.DataObject) -> None:
    """XOR of CRC-32 misses every such swap between rows of equal length (fact 7): the 128-bit sum must not."""
    fields = [_field("long", "k", 1), _field("string", "v", 2)]
    first, second = data.draw(st.lists(st.integers(0, len(pairs) - 1), min_size=2, max_size=2, unique=True))
    swapped = list(pairs)
    swapped[first], swapped[second] = (pairs[first][0], pairs[second][1]), (pairs[second][0], pairs[first][1])
    before, after = ([{"k": k, "v": v} for k, v in rows] for rows in (pairs, swapped))
    left, right = fingerprint_rows(before, fields), fingerprint_rows(after, fields)
    assert left.columns == right.columns, "per column nothing changed"
    assert left.sum128 != right.sum128


def test_crc_xor_alone_would_miss_a_swap() -> None:
    """The reason for the 128-bit sum, kept true by a test."""
    fields = [_field("long", "k", 1), _field("long", "v", 2)]
    left = fingerprint_rows([{"k": 1, "v": 10}, {"k": 2, "v": 20}], fields)
    right = fingerprint_rows([{"k": 1, "v": 20}, {"k": 2, "v": 10}], fields)
    assert left.crc_xor == right.crc_xor
    assert left.sum128 != right.sum128


def test_many_rows_of_each_way_of_hashing() -> None:
    """Small spans are hashed once a value, large ones once a row; with nulls and without."""
    count = 3000
    fields = [
        _field("long", "few", 1),
        _field("long", "many", 2),
        _field("int", "gaps", 3),
        _field("double", "real", 4),
    ]
    rows = [
        {
            "few": number % 7 - 3,
            "many": number * 1_000_003,
            "gaps": None if number % 5 == 0 else number % 11,
            "real": math.nan if number % 9 == 0 else number / 7,
        }
        for number in range(count)
    ]
    assert plain(fingerprint_rows(rows, fields, batches=2)) == reference.fingerprint(rows, fields, buckets=4)

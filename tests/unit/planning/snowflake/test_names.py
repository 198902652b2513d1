"""Names made of other names are safe, and never the same for two things."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.planning.snowflake import names

SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
RUNS = (
    "manual__2026-11-21T20:57:06.123456+00:00", "../../etc", "a/b", "a b", ".", "..", "_x", "-x", "%2e%2e", "x" * 5000,
    "表", "🧊", "'; DROP TABLE x; --", "a\0b", "a\n", "A", "a", "run", "-", "__",
)  # fmt: skip
text = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=40) | st.sampled_from(RUNS)


@settings(max_examples=500, deadline=None)
@given(one=text, other=text)
@example(one="a:b", other="a+b")
@example(one="A", other="a")
def test_a_run_id_becomes_a_safe_folder_of_its_own(one: str, other: str) -> None:
    segments = names.safe_segment(one), names.safe_segment(other)
    for segment in segments:
        assert SAFE.fullmatch(segment)
        assert len(segment) <= 80
    assert (segments[0].lower() == segments[1].lower()) == (one == other)


def test_the_same_run_has_the_same_folder_for_ever() -> None:
    """Folders outlive releases: a rerun must find the manifest that an older release wrote."""
    location = names.export_location("s3://share/in/", "manual__2026-11-21T20:57:06+00:00", ("main", "s", "t"))
    assert location == (
        "s3://share/in/runs/manual-2026-11-21T20-57-06-00-00-db465266555e156a/main-s-t-6edf8b4fec90e91c"
    )
    assert names.run_key("r", ("D", "S", "T")) == names.run_key("r", ["D", "S", "T"])
    assert len(names.run_key("r", ("D", "S", "T"))) == 32


def test_parts_of_a_name_do_not_run_into_each_other() -> None:
    root = "s3://bucket"
    assert names.export_location(root, "r", ("a.b", "c", "t")) != names.export_location(root, "r", ("a", "b.c", "t"))
    assert names.run_key("r", ("a.b", "c", "t")) != names.run_key("r", ("a", "b.c", "t"))


@pytest.mark.parametrize(
    "root",
    [
        "", "b/x", "/x", "file:///x", "s3:/bucket", "s3://", "s3://bucket/../c", "s3://bucket/./c",
        "s3://bucket/a b", "s3://bucket/'x", "s3://bucket/`x",
        "s3://bucket//c", "s3://bucket/x?y", "s3://bucket/%2e%2e", "s3://bucket/x\n", "http://bucket/x",
        "s3://key:s@bucket/x", "s3://bucket/{x}", "S3://bucket",
    ],
)  # fmt: skip
def test_what_is_no_location_is_refused(root: str) -> None:
    assert names.export_location("s3://bucket/x", "r", ("a", "b", "c")), (
        "the others are refused for what is odd in them"
    )
    with pytest.raises(ConfigurationError) as caught:
        names.export_location(root, "r", ("a", "b", "c"))
    assert caught.value.code == "IB-901"


@pytest.mark.parametrize("run", ["", "\ud800"])
def test_what_is_no_run_id_is_refused(run: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        names.safe_segment(run)
    assert caught.value.code == "IB-901"


def test_a_location_below_the_stage_is_named_from_there() -> None:
    assert names.stage_path("s3://bucket/in", "s3://bucket/in/runs/r/t") == "runs/r/t/"
    assert names.stage_path("s3://bucket/", "s3://bucket/runs/r/t") == "runs/r/t/"


@pytest.mark.parametrize("location", ["s3://bucket/other/r", "s3://bucket/in", "s3://bucket/in/",
    "s3://bucket/in/../x", "s3://bucket/inside/x",
                                      "s3://bucket/in//x", "s3://other/in/x"])  # fmt: skip
def test_a_location_elsewhere_is_refused(location: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        names.stage_path("s3://bucket/in", location)
    assert caught.value.code == "IB-902"


@settings(max_examples=500, deadline=None)
@given(listed=st.lists(text | st.sampled_from(("c1", "c2", "C1", "c1_", "a b", "id", "ID")), max_size=12, unique=True))
@example(listed=["c2", "a b"])
@example(listed=["a b", "c1", "c1_", "C1"])
def test_columns_of_files_are_plain_and_differ_by_more_than_case(listed: list[str]) -> None:
    made = names.file_columns(listed)
    assert len(made) == len(listed)
    assert len({name.lower() for name in made}) == len(made)
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) for name in made)
    plain = [
        (name, new) for name, new in zip(listed, made, strict=True) if re.fullmatch(r"[a-z][a-z0-9_]{0,127}", name)
    ]
    folded = [name.lower() for name in listed]
    assert all(name == new for name, new in plain if folded.count(name) == 1)


def test_tables_and_tags_of_two_tries_differ() -> None:
    assert names.staging_name("ab", 1) == "ICEBRIDGE_STAGE_AB_1"
    assert names.next_name("ab", 2) == "ICEBRIDGE_NEXT_AB_2"
    tags = {names.query_tag("ab", tried, step, number) for tried in (1, 2) for step in "xy" for number in (0, 1)}
    assert len(tags) == 8

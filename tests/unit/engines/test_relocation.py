"""Every file gets one place in the new folder, and no two files the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icebridge_provider.engines.local.relocation import Relocation, canonical

NEW = "s3://new/table"


@pytest.mark.parametrize(
    ("location", "path", "expected"),
    [
        ("s3://b/t", "s3://b/t/data/a.parquet", f"{NEW}/data/a.parquet"),
        ("s3://b/t/", "s3://b/t/data/a.parquet", f"{NEW}/data/a.parquet"),
        ("s3a://b/t", "s3://b/t/data/a.parquet", f"{NEW}/data/a.parquet"),
        ("file:///x/t", "file:/x/t/a", f"{NEW}/a"),
        ("file:///x/t", "/x/t/a", f"{NEW}/a"),
        ("/x/t", "file://localhost/x/t/a", f"{NEW}/a"),
        ("s3://b/t", "s3://b/t/p=a%2Fb/.hidden/a b#c?d.parquet", f"{NEW}/p=a%2Fb/.hidden/a b#c?d.parquet"),
        ("s3://b/t", "s3://b/t/a..b/c.parquet", f"{NEW}/a..b/c.parquet"),
    ],
)
def test_files_below_the_location_keep_their_path(location: str, path: str, expected: str) -> None:
    assert Relocation(location, NEW)(path) == expected


@pytest.mark.parametrize(
    "path",
    [
        "s3://b/t2/a",
        "s3://b/other/t/a",
        "s3://b/t/../other/a",
        "s3://b/t/x/./a",
        "s3://b/t//a",
        "s3://b/t/x//a",
        "s3://b/t/..",
        "s3://other/t/a",
        "gs://b/t/a",
        "/b/t/a",
    ],
)
def test_all_others_get_a_place_of_their_own(path: str) -> None:
    found = Relocation("s3://b/t", NEW)(path)
    assert found.startswith(f"{NEW}/outside/")
    assert ".." not in found
    assert found == Relocation("s3://b/t", NEW)(path)


segments = st.lists(st.sampled_from(["a", "b", "..", ".", "", "t", "outside", "x.parquet"]), min_size=1, max_size=5)
paths = st.builds(
    lambda root, parts: root + "/".join(parts),
    st.sampled_from(["s3://b/t/", "s3://b/", "/b/t/", "file:///b/t/", "s3a://b/t/"]),
    segments,
)


@given(st.lists(paths, min_size=2, max_size=6, unique=True))
def test_two_files_never_meet(drawn: list[str]) -> None:
    relocate = Relocation("s3://b/t", NEW)
    for one in drawn:
        for other in drawn:
            if canonical(one) != canonical(other):
                assert relocate(one) != relocate(other)
            assert relocate(one).startswith(NEW + "/")
            assert not {"..", ".", ""} & set(relocate(one).removeprefix(NEW + "/").split("/"))


def test_order_is_judged_by_bytes() -> None:
    relocate = Relocation("s3://b/t", NEW)
    assert relocate.keeps_order(["s3://b/t/b", "s3://b/t/a", "s3://b/t/é"])
    assert not relocate.keeps_order(["s3://b/a", "s3://b/t/data/a"])  # data/… sorts before outside/…

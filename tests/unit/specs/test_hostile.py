"""A slice of the hostile names, values, queries, paths and YAML files of tests/support/hostile_extraction.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support import hostile_extraction as hostile
from tests.support import hostile_filters


@pytest.mark.parametrize(
    ("check", "count", "least"),
    [
        (hostile.check_identifiers, 300, 50),
        (hostile.check_values, 200, 150),
        (hostile.check_expressions, 200, 10),
        (hostile.check_queries, 150, 5),
        (hostile.check_paths, 80, 10),
    ],
)
def test_nothing_escapes(check: Callable[[int, int], int], count: int, least: int) -> None:
    assert check(count, 7) >= least, "so few were taken that nothing was tried"


def test_bombs_are_left_before_they_grow() -> None:
    taken, slowest = hostile.check_bombs(20, 7)
    assert 0 < taken < 20
    assert slowest < 10


def test_no_filter_map_escapes() -> None:
    assert hostile_filters.check_filters(100, 7) > 30

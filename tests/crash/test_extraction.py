"""A slice of the crash matrix of extraction, and planted bugs that it catches."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.crash import extraction
from tests.crash.forks import ended

pytestmark = pytest.mark.crash
WHOLE, RANGED = 3, 5  # seeds: both over an older run


@pytest.mark.parametrize(("seed", "least"), [(WHOLE, 15), (RANGED, 20)])
def test_a_job_killed_at_every_point_comes_out_as_undisturbed(tmp_path: Path, seed: int, least: int) -> None:
    found = extraction.examine([seed], tmp_path, every=False)
    assert found["violations"] == []
    assert found["counts"]["histories"] >= least


@pytest.mark.parametrize("name", extraction.PLANTS)
def test_a_planted_bug_is_caught(tmp_path: Path, name: str) -> None:
    if (child := os.fork()) == 0:
        extraction.plant(name)
        found = extraction.examine([RANGED], tmp_path, enough=1)
        os._exit(3 if found["violations"] else 0)
    assert ended(child) == 3

"""A fast slice of the random worlds, and planted bugs; the long run is ``python -m tests.crash.privileges``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash import privileges
from tests.crash.privilege_plants import PLANTS, WHERE, planted

MOST_WORLDS = 400


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where histories run, with the ledger they begin from."""
    made = tmp_path_factory.mktemp("worlds")
    privileges.empty_ledger(made)
    return made


@pytest.mark.crash
def test_nobody_reads_less_or_more_at_any_instant(folder: Path) -> None:
    cases = [privileges.examine(seed, folder) for seed in range(4)]
    assert [text for case in cases for text in case.violations] == []
    assert sum(case.counts["instants"] for case in cases) > 500


def test_many_worlds_undisturbed(folder: Path) -> None:
    cases = [privileges.examine(seed, folder, ()) for seed in range(1000, 1060)]
    assert [text for case in cases for text in case.violations] == []
    refused = sum(bool(case.refusal) for case in cases)
    assert 10 < refused < 40
    assert {case.refusal for case in cases} == {"", "IB-631", "IB-638"}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_caught(name: str, folder: Path) -> None:
    kinds, troubles = ((WHERE[name],), 0) if name in WHERE else ((), 1)
    with planted(name):
        found = (privileges.examine(seed, folder, kinds, troubles).violations for seed in range(MOST_WORLDS))
        assert any(found)

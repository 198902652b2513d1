"""A fast slice of I6 after every HTTP request; the long run is ``python -m tests.crash.privileges_http``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.crash.privilege_http_plants import PLANTS, planted
from tests.crash.privileges_http import NOT_ENDED, Case, Stage, staged

MOST_WORLDS, WORLDS = 60, 2
REFUSED = {
    "refused IB-631": "readers would change",
    "refused IB-637": "it is not read from outside while something limits its readers",
    "refused IB-638": "something stands on the copy already",
}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("worlds")) as made:
        yield made


@pytest.mark.crash
def test_nobody_reads_less_or_more_after_any_request(stage: Stage) -> None:
    counts, violations = Counter[str](), []
    for seed in range(MOST_WORLDS):
        case = Case(seed=seed, stage=stage).examine()
        counts += case.counts
        violations += case.violations
        if counts["cut over"] == WORLDS:
            break
    assert violations == []
    assert counts["histories"] > 10 * WORLDS
    assert counts["requests"] > 3 * counts["requests of a cut-over"]


@pytest.mark.parametrize(
    ("seed", "why"), [(270, "killed between a policy and its tag"), (939, "its schema has the tag")]
)
def test_worlds_that_found_a_bug_once(seed: int, why: str, stage: Stage) -> None:
    assert Case(seed=seed, stage=stage).examine().violations == [], why


def test_worlds_are_refused_only_for_what_is_known(stage: Stage) -> None:
    cases = [Case(seed=seed, stage=stage).examine(kill=False) for seed in range(500, 508)]
    counts = sum((case.counts for case in cases), Counter[str]())
    assert [text for case in cases for text in case.violations] == []
    assert 0 < counts["refused"] < len(cases)
    assert {key for key in counts if key.startswith("refused ")} <= REFUSED.keys()


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_caught(name: str, stage: Stage) -> None:
    with planted(name) as plant:
        found = (Case(seed=seed, stage=stage).examine(plant.troubles, kill=plant.killed) for seed in range(MOST_WORLDS))
        assert any(text for case in found for text in case.violations if NOT_ENDED not in text), "by the oracle itself"

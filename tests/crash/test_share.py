"""A slice of the crash suites of shares with Snowflake: every kind once, and planted bugs that they catch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from icebridge_provider.model.snowflake import Mode, Publish
from tests.crash import registry, share_chain, share_race, share_teeth
from tests.crash.share import History, warm_up
from tests.crash.share_bench import Bench, s3_server
from tests.crash.share_story import Row, Turn, differ, rows_after, story_of

pytestmark = pytest.mark.crash
SEED = 2  # swaps a table in, then appends to it
ALWAYS = {"load.claim", "load.commit", "load.prepare", "load.swap"}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder: Path = tmp_path_factory.mktemp("share")
    with s3_server() as s3, closing(Bench(folder=folder, s3=s3)) as made:
        warm_up(made)
        yield made


def test_a_story_killed_at_its_points_comes_out_as_undisturbed(bench: Bench) -> None:
    """Some of them; ``python -m tests.crash.share --chains`` has all."""
    points = {f"{name}.{when}" for name in ALWAYS for when in ("before", "after")}
    died, violations = share_chain.killed_everywhere(bench, SEED, points, skips=False)
    assert violations == []
    assert died == points


def test_a_worker_that_was_overtaken_changes_nothing(bench: Bench) -> None:
    history = share_race.haunted(bench, History(seed=0, point="load.publish.before"), middle=("load.clean.before", 1))
    assert history.reached
    assert history.violations == []


def test_lost_answers_lose_no_row(bench: Bench) -> None:
    found = share_race.lost_answers(bench, 10, [SEED])
    assert found["violations"] == []
    assert found["counts"]["lost answers"] >= 10


@pytest.mark.parametrize("name", ["the claim alone"])
def test_a_planted_bug_is_caught(bench: Bench, name: str) -> None:
    assert share_teeth.bite(bench, name)


def test_points_that_are_killed_at_are_those_of_the_code() -> None:
    assert registry.points() >= ALWAYS


def test_the_model_of_rows_tells_loss_from_repetition() -> None:
    def turn(mode: Mode) -> Turn:
        return Turn(run_id="r", mode=mode, publish=Publish.REWRITE, rows=((1, "new", None), (2, "b", None)))

    before: Counter[Row] = Counter({(1, "old", None, "kept"): 1, (3, "c", None, None): 2})
    new, added = (1, "new", None, None), (2, "b", None, None)
    assert rows_after(before, turn(Mode.APPEND)) == before + Counter([new, added])
    assert rows_after(before, turn(Mode.REPLACE)) == Counter([new, added])
    kept: list[Row] = [(1, "new", None, "kept"), (3, "c", None, None), (3, "c", None, None)]
    assert rows_after(before, turn(Mode.UPSERT)) == Counter([*kept, added])
    assert differ(before, before) == ""
    assert "1 rows are lost" in differ(Counter([new]), Counter([new, added]))
    assert "1 are there that should not be" in differ(Counter([new, new]), Counter([new]))


def test_stories_have_every_way_and_rows_to_lose() -> None:
    turns = [turn for seed in range(20) for turn in story_of(seed).turns]
    assert {(turn.mode, turn.publish) for turn in turns} == {
        (Mode.APPEND, Publish.REWRITE), (Mode.REPLACE, Publish.REWRITE), (Mode.REPLACE, Publish.SWAP),
        (Mode.UPSERT, Publish.REWRITE),
    }  # fmt: skip
    assert sum(len(turn.rows) > 0 for turn in turns) > 30
    assert any(turn.cancelled for turn in turns)

"""A fast slice of the crash matrix: every crash point once, some processes stopped and overtaken, and planted bugs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.crash.plants import TEETH

pytestmark = pytest.mark.crash
ROOT = Path(__file__).resolve().parents[2]


def crash(*arguments: str) -> dict[str, Any]:
    """Run the suite's own command; forking from a process that has threads is asking for trouble."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash", "--brief", *arguments],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=900,
    )  # fmt: skip
    assert done.stdout, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_killed_at_every_crash_point_once() -> None:
    found = crash("--seeds", "1")
    wrong = {point: told for point, told in found["points"].items() if told["violations"] or not told["killed"]}
    assert wrong == {}
    assert len(found["points"]) > 80
    assert found["holds"]


@pytest.mark.parametrize("point", ["copy.register", "cut_over.publish", "purge.drop_entry", "plan.record"])
def test_a_process_that_slept_does_no_harm_when_it_wakes(point: str) -> None:
    found = crash("--zombies", "--point", point, "--variants", "purge,rollback")
    assert [told["violations"] for told in found["points"].values()] == [[], []]
    assert found["holds"]


def test_every_planted_bug_is_caught() -> None:
    found = crash("--teeth")
    assert [each for each in found["planted"] if not each["caught"]] == []
    assert found["caught"] == len(TEETH)

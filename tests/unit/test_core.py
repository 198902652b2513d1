from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys

import pytest

from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, TransientError
from icebridge_provider.model.settings import Settings
from icebridge_provider.retry import ATTEMPTS, transient

PROGRAM = """
from icebridge_provider.crash import side_effect
for number in range(3):
    with side_effect("copy.file"):
        print("copied", number, flush=True)
"""


def run(crash: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ICEBRIDGE_CRASH": crash}
    return subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("crash", "copied"), [("copy.file.before", 0), ("copy.file.after", 1), ("copy.file.before#3", 2)]
)
def test_a_crash_point_kills_at_the_named_passage(crash: str, copied: int) -> None:
    ended = run(crash)
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout.count("copied") == copied


@pytest.mark.parametrize("crash", ["", "copy.other.before", "copy.file.before#4"])
def test_other_points_change_nothing(crash: str) -> None:
    assert run(crash).stdout.count("copied") == 3


def test_an_error_says_code_problem_remedy_and_what_changed() -> None:
    error = ConfigurationError("IB-999", "No such thing.", remedy="Make one.", thing="x")
    assert str(error) == "[IB-999] No such thing. Make one. Nothing changed."
    copied = pickle.loads(pickle.dumps(error))
    assert (type(copied), str(copied), copied.facts) == (ConfigurationError, str(error), {"thing": "x"})
    assert copied.to_json()["code"] == "IB-999"


def test_only_transient_errors_are_tried_again() -> None:
    calls: list[int] = []

    def fails(error: Exception) -> None:
        calls.append(1)
        raise error

    with pytest.raises(TransientError):
        transient(lambda: fails(TransientError("IB-999", "busy", remedy="wait", retry_after=0)))
    assert len(calls) == ATTEMPTS
    with pytest.raises(IceBridgeError):
        transient(lambda: fails(ConfigurationError("IB-999", "wrong", remedy="mend")))
    assert len(calls) == ATTEMPTS + 1


def test_settings_are_read_from_text() -> None:
    given = Settings.read({"wave_tables": "10", "show_values": "yes", "throughput_mb_s": "2.5", "unknown": "1"})
    assert (given.wave_tables, given.show_values, given.throughput_mb_s) == (10, True, 2.5)
    with pytest.raises(ConfigurationError, match=r"\[IB-101\] Option \[icebridge\] wave_tables is 'many'"):
        Settings.read({"wave_tables": "many"})

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from icebridge_provider.exceptions import LimitExceeded, TransientError
from icebridge_provider.state.governor import CommitGovernor
from icebridge_provider.state.ledger import SqlLedger

pytestmark = pytest.mark.postgres
WORKER = """
import sys, time
from icebridge_provider.state.governor import CommitGovernor
from icebridge_provider.state.ledger import SqlLedger
governor = CommitGovernor(SqlLedger(sys.argv[1]), float(sys.argv[2]))
governor.current()
print("ready", flush=True)
sys.stdin.readline()
end = time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    governor.take()
    print(time.time(), flush=True)
"""


def test_processes_share_one_limit(ledger: SqlLedger) -> None:
    address = ledger.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", WORKER, address, "1200", "3"]
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    times = sorted(float(line) for worker in workers for line in worker.communicate(timeout=60)[0].split())
    seconds = times[-1] - times[0]
    assert len(times) <= 20 * (seconds + 1) + 2  # 20 a second, and one second's share early
    assert len(times) > 22  # more than the early share: they go on, however busy the machine


def test_waits_are_evenly_spaced_once_the_early_share_is_used(ledger: SqlLedger) -> None:
    pauses: list[float] = []
    governor = CommitGovernor(ledger, 60, sleep=pauses.append)
    begun, waits = time.monotonic(), []
    for number in range(5):
        waits.append(governor.take())
        passed = time.monotonic() - begun
        assert number - 1 - passed <= waits[-1] <= max(number - 1, 0) + 0.01
    assert sum(pauses) == pytest.approx(sum(waits))


def test_the_limit_changes_for_everybody_while_they_work(ledger: SqlLedger) -> None:
    one, two = (CommitGovernor(ledger, 60, sleep=lambda _: None) for _ in range(2))
    assert (one.current(), two.current()) == (60, 60)
    one.limit(600_000)
    assert two.current() == 600_000
    assert sum(two.take() for _ in range(30)) < 1  # seconds; at the old limit it were 28 for the last alone
    two.limit(None)
    assert one.current() == 60
    assert CommitGovernor(ledger, 90).current() == 90


def test_who_waits_already_feels_a_higher_limit(ledger: SqlLedger) -> None:
    changed: list[float] = []

    def sleep(seconds: float) -> None:
        changed.append(seconds)
        if len(changed) == 1:
            CommitGovernor(ledger, 1).limit(1_000_000)

    governor = CommitGovernor(ledger, 1, sleep=sleep)
    governor.take()
    assert governor.take() <= 6
    assert len(changed) <= 2


def test_a_wait_that_outlives_leases_is_refused_and_takes_no_place(ledger: SqlLedger) -> None:
    governor = CommitGovernor(ledger, 1, sleep=lambda _: None)
    refused = 0
    for _ in range(10):
        try:
            governor.take()
        except TransientError as error:
            assert error.code == "IB-115"
            refused += 1
    assert refused == 7  # one at once, two within two minutes
    with pytest.raises(TransientError, match="1 a minute are allowed"):
        governor.take()


@pytest.mark.parametrize("wrong", [0, -5, float("inf"), float("nan")])
def test_a_limit_that_stops_everything_is_refused(ledger: SqlLedger, wrong: float) -> None:
    with pytest.raises(LimitExceeded, match="IB-114"):
        CommitGovernor(ledger, 800).limit(wrong)
    assert CommitGovernor(ledger, 800).current() == 800

"""Leases among processes: one winner, and a sleeper that wakes up can change nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from icebridge_provider.state.ledger import SqlLedger
from tests.support.ledgers import PLAN, an_event

pytestmark = pytest.mark.postgres
RACER = """
import sys, time
from icebridge_provider.state.ledger import SqlLedger
ledger = SqlLedger(sys.argv[1])
ledger.head()
print("ready", flush=True)
sys.stdin.readline()
for number in range(20):
    lease = ledger.acquire(f"key{number}", f"owner{sys.argv[2]}", 600)
    if lease:
        print("won", number, lease.epoch, flush=True)
"""
SLEEPER = """
import sys
from icebridge_provider.exceptions import FencedOut
from icebridge_provider.model.event import LedgerEvent, Outcome, Step
from icebridge_provider.state.ledger import SqlLedger
ledger = SqlLedger(sys.argv[1])
lease = ledger.acquire("lake.sales.orders", "sleeper", 0.2)
event = LedgerEvent(plan_id="p1", table="lake.sales.orders", step=Step.COPY, outcome=Outcome.DONE)
print("holding", flush=True)
for change in (lambda: ledger.append(event, lease), lambda: ledger.renew(lease, 60), lambda: ledger.release(lease)):
    sys.stdin.readline()
    try:
        change()
        print("did it", flush=True)
    except FencedOut as error:
        print(error.code, flush=True)
"""


def start(program: str, ledger: SqlLedger, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, ledger.url.render_as_string(hide_password=False), *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def told(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def test_of_sixteen_processes_one_wins_every_key(ledger: SqlLedger) -> None:
    racers = [start(RACER, ledger, str(number)) for number in range(16)]
    assert [told(racer) for racer in racers] == ["ready"] * 16
    for racer in racers:
        tell(racer)
    lines = [line.split() for racer in racers for line in racer.communicate(timeout=60)[0].splitlines()]
    assert [racer.returncode for racer in racers] == [0] * 16
    assert sorted(int(number) for _, number, _ in lines) == list(range(20))
    assert {epoch for _, _, epoch in lines} == {"1"}


def test_a_stopped_process_that_wakes_up_is_fenced_off(ledger: SqlLedger) -> None:
    sleeper = start(SLEEPER, ledger)
    try:
        assert told(sleeper) == "holding"
        os.kill(sleeper.pid, signal.SIGSTOP)
        time.sleep(0.4)
        lease = ledger.acquire("lake.sales.orders", "successor", 600)
        assert lease is not None
        assert lease.epoch == 2
        ledger.append(an_event(by="successor"), lease)
        os.kill(sleeper.pid, signal.SIGCONT)
        answers = []
        for _ in range(3):
            tell(sleeper)
            answers.append(told(sleeper))
        assert answers == ["IB-110", "IB-110", "did it"]  # giving back what one lost is no error, and no change
        assert [event.data for event in ledger.events(PLAN)] == [{"by": "successor"}]
        assert ledger.acquire("lake.sales.orders", "third", 600) is None
        assert ledger.append(an_event(by="successor"), lease).seq == 2
    finally:
        sleeper.kill()
        sleeper.communicate()


def test_hosts_clocks_do_not_matter(ledger: SqlLedger) -> None:
    """A process whose clock is two hours ahead neither takes a lease early nor gets a longer one."""
    held = ledger.acquire("k", "one", 600)
    assert held is not None
    skewed = RACER.replace("import sys, time", "import sys, time; time.time = lambda: 4e9").replace("key{number}", "k")
    process = start(skewed, ledger, "two")
    assert told(process) == "ready"
    tell(process)
    assert process.communicate(timeout=60)[0] == ""
    assert ledger.renew(held, 600).epoch == 1

"""A plan of several waves under Airflow's own components: the canary first, and every way to answer a question."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from icebridge_provider.demo.components import USER, AirflowHome, Components
from icebridge_provider.demo.rest import AirflowClient
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.status import status
from tests.system import lakes

pytestmark = pytest.mark.system
MIGRATE, WAVE, PLAN = "icebridge_migrate", "icebridge_migrate_wave", "waves"
NAMES = ("a", "b", "c")
CONF = {
    "source_conn_id": lakes.SOURCE, "target_conn_id": lakes.TARGET, "plan_id": PLAN,
    "wave_tables": 1, "canary_tables": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AirflowHome, AirflowClient]]:
    folder = tmp_path_factory.mktemp("waves")
    lakes.small_tables(folder, *NAMES)
    home = lakes.airflow(folder)
    with Components(home) as components:
        components.start()
        components.wait_until_healthy()
        client = AirflowClient(home.url, USER, home.password)
        until(lambda: client.has_dag(MIGRATE) and client.has_dag(WAVE))
        yield home, client


def test_waves_answers_and_a_second_run(airflow: tuple[AirflowHome, AirflowClient]) -> None:
    home, client = airflow
    client.patch(f"/dags/{WAVE}", {"is_paused": True})
    paused = client.trigger(MIGRATE, CONF)
    until(lambda: client.run_state(MIGRATE, paused) == "failed")
    assert "IB-710" in log(home, paused, "canary", MIGRATE)
    client.patch(f"/dags/{WAVE}", {"is_paused": False})

    run = client.trigger(MIGRATE, CONF)
    canary = only(questions(client, 1))
    assert run_of(canary) == f"{run}.wave-0"
    assert "Cut over 1 tables?" in canary["subject"]
    assert f"Plan **{PLAN}**, wave 0" in canary["body"]
    assert set(canary["params"]) == {"certificate", "writers_stopped"}
    assert canary["params"]["certificate"]["schema"]["const"] in canary["body"]
    client.answer(canary, "Approve", {"writers_stopped": True})

    first, second = sorted(questions(client, 2), key=run_of)
    assert [run_of(first), run_of(second)] == [f"{run}.wave-1", f"{run}.wave-2"]
    assert cut_over(home) == 1
    client.answer(first, "Reject", {})
    client.answer(second, "Approve", {"writers_stopped": False})
    until(lambda: client.run_state(MIGRATE, run) == "failed")
    assert [client.run_state(WAVE, f"{run}.wave-{number}") for number in range(3)] == ["success", "failed", "failed"]
    for number in (1, 2):
        tasks = {task["task_id"]: task for task in client.tasks(WAVE, f"{run}.wave-{number}")}
        assert (tasks["wave.approve"]["state"], tasks["wave.approve"]["try_number"]) == ("failed", 1)
        assert tasks["wave.cut_over"]["state"] == "upstream_failed"
    assert "IB-709" in log(home, f"{run}.wave-2", "wave.approve")
    assert cut_over(home) == 1

    again = client.trigger(MIGRATE, CONF)
    for question in questions(client, 2):
        client.answer(question, "Approve", {"writers_stopped": True})
    until(lambda: client.run_state(MIGRATE, again) == "success")
    assert cut_over(home) == len(NAMES)
    who = {event.data["who"] for event in ledger(home).events(PLAN) if event.step == "approve"}
    assert who == {USER}


def questions(client: AirflowClient, count: int) -> list[dict[str, Any]]:
    until(lambda: len(client.approvals()) == count)
    return client.approvals()


def run_of(question: dict[str, Any]) -> str:
    return str(question["task_instance"]["dag_run_id"])


def only(found: list[dict[str, Any]]) -> dict[str, Any]:
    assert len(found) == 1
    return found[0]


def ledger(home: AirflowHome) -> SqlLedger:
    return SqlLedger(f"sqlite:///{home.folder}/icebridge/ledger.db")


def cut_over(home: AirflowHome) -> int:
    return sum(row["state"] == "cut over" for row in status(ledger(home), PLAN))


def log(home: AirflowHome, run: str, task: str, dag: str = WAVE) -> str:
    folder = home.folder / "logs" / f"dag_id={dag}" / f"run_id={run}" / f"task_id={task}"
    return "".join(path.read_text() for path in sorted(folder.rglob("*.log")))


def until(condition: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(1)

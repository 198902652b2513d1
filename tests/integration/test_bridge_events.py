"""Operators, the DAG and the commands of the event sync, over SQLite databases behind Airflow connections."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from icebridge_provider.exceptions import ConfigurationError, TransientError
from tests.support.bridge_home import TARGET, BridgeHome, block, bridge_home
from tests.support.dag_runs import context, load_dags, run

pytestmark = pytest.mark.airflow


@pytest.fixture
def home(airflow_cli_home: Path, tmp_path: Path) -> Iterator[BridgeHome]:
    with bridge_home(tmp_path, audit_file=str(tmp_path / "audit.jsonl")) as made:
        yield made


@pytest.fixture(scope="module")
def dags(airflow_cli_home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with bridge_home(tmp_path_factory.mktemp("dags")):
        return load_dags()


def seed(home: BridgeHome, fresh: int = 3, kept: int = 0) -> None:
    home.fill(home.side, "fresh", [(number, f"new {number}") for number in range(1, fresh + 1)])
    home.fill(home.target, "orders", [(number, f"old {number}") for number in range(1, kept + 1)])


def apply(**more: Any) -> dict[str, Any]:
    from icebridge_provider.operators.events import ApplyBridgeEventsOperator

    done: dict[str, Any] = ApplyBridgeEventsOperator(task_id="apply", **more).execute(context())
    return done


def emitter(**more: Any) -> Any:
    from icebridge_provider.operators.events import EmitBridgeEventOperator

    given = {"operation": "INSERT", "source_table": "main.fresh", "target_table": TARGET, **more}
    return EmitBridgeEventOperator(task_id="emit", **given)


def statuses(home: BridgeHome) -> dict[str, str]:
    return {event.event_id: event.status.value for event in home.queue().events()}


# Emit


def test_a_task_that_is_tried_again_emits_one_event(home: BridgeHome) -> None:
    first = emitter().execute(context(who="maria"))
    assert emitter().execute(context(who="maria")) == first
    assert emitter().execute(context("another run")) != first
    event = home.queue().event(first)
    assert (event.operation, event.target_table, event.status.value) == ("INSERT", TARGET, "pending")
    assert event.metadata == {"requested_by": "maria"}
    assert datetime.fromisoformat(event.created_at).tzinfo == UTC


def test_arguments_may_be_json_texts_as_a_form_gives_them(home: BridgeHome) -> None:
    given = emitter(
        operation="update", primary_keys='["id"]', filter_conditions='{"amount": "new 1"}', priority="5",
        rows_expected="", metadata='{"requested_by": "mallory", "ticket": "T-1"}', event_id="e1", sync="orders",
    )  # fmt: skip
    assert given.execute(context(who="maria")) == "e1"
    event = home.queue().event("e1")
    assert (event.operation, event.primary_keys, event.priority, event.rows_expected) == ("UPDATE", ("id",), 5, None)
    assert dict(event.filter_conditions) == {"amount": "new 1"}
    assert dict(event.metadata) == {"requested_by": "maria", "ticket": "T-1"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("operation", "MERGE"), ("source_table", "  "), ("target_table", ""), ("priority", "high"),
        ("rows_expected", "ten"), ("filter_conditions", "a=b"), ("filter_conditions", '{"a": 1}'),
        ("metadata", "[]"), ("metadata", {"a": None}),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_by_name_and_nothing_is_emitted(
    home: BridgeHome, name: str, value: Any
) -> None:
    with pytest.raises(ConfigurationError, match=rf"IB-885.*{name}"):
        emitter(**{name: value}).execute(context())
    assert home.queue().events() == []


# Apply


def test_all_that_waits_is_applied_once(home: BridgeHome) -> None:
    seed(home)
    home.emit("e1")
    assert apply() == {
        "sync": "orders", "polls": 1, "completed": 1, "failed": 0, "blocked": 0, "rejected": 0, "retried": 0,
        "held": 0, "more": False,
    }  # fmt: skip
    assert home.rows() == [(1, "new 1"), (2, "new 2"), (3, "new 3")]
    assert apply(sync="orders")["completed"] == 0
    assert home.rows() == [(1, "new 1"), (2, "new 2"), (3, "new 3")]


def test_polls_go_on_until_nothing_is_left_but_no_further_than_asked(home: BridgeHome) -> None:
    path = home.folder / "syncs.yaml"
    path.write_text(path.read_text() + "    max_events_per_poll: 2\n")
    seed(home)
    for number in range(5):
        home.emit(f"e{number}", "UPDATE")
    first = apply(polls="1")
    assert (first["polls"], first["completed"], first["more"]) == (1, 2, True)
    rest = apply()
    assert (rest["completed"], rest["more"]) == (3, False)


def test_a_side_that_does_not_answer_fails_the_task_for_a_retry(home: BridgeHome) -> None:
    seed(home)
    home.emit("e1")
    home.target.rename(home.folder / "away.db")
    home.target.mkdir()  # no database can be opened there
    with pytest.raises(TransientError):
        apply()
    home.target.rmdir()
    (home.folder / "away.db").rename(home.target)
    assert apply()["completed"] == 1


def test_every_decision_is_in_the_audit_file(home: BridgeHome) -> None:
    seed(home)
    home.emit("e1")
    apply()
    lines = [json.loads(line) for line in (home.folder / "audit.jsonl").read_text().splitlines()]
    assert {"timestamp", "event_type", "user_name", "source_ip", "resource", "action"} <= set(lines[0])
    assert (lines[0]["event_type"], lines[0]["user_name"], lines[0]["resource"]) == (
        "permission_granted", "writer", TARGET,
    )  # fmt: skip


def test_a_preview_changes_nothing(home: BridgeHome) -> None:
    from icebridge_provider.operators.events import PreviewEventsOperator

    seed(home, fresh=2, kept=2)
    home.emit("e1", "UPDATE")
    found = PreviewEventsOperator(task_id="preview", event_ids=["e1"]).execute(context())
    assert [(item["event_id"], item["rows_affected"], item["verdict"]) for item in found] == [("e1", 2, "completed")]
    assert home.rows() == [(1, "old 1"), (2, "old 2")]
    assert statuses(home) == {"e1": "pending"}


@pytest.mark.parametrize(("name", "code"), [("nobody", "IB-802"), ("", "IB-881")])
def test_a_sync_that_is_not_named_is_not_guessed(airflow_cli_home: Path, tmp_path: Path, name: str, code: str) -> None:
    with bridge_home(tmp_path, ("orders", "stock")), pytest.raises(ConfigurationError, match=rf"{code}.*stock"):
        apply(sync=name)


# The DAG


def test_the_dag_is_started_by_the_watcher_and_only_where_syncs_are_configured(
    dags: dict[str, Any], airflow_cli_home: Path
) -> None:
    from icebridge_provider.triggers.events import BridgeEventTrigger

    (asset,) = dags["icebridge_databricks_to_mssql"].timetable.asset_condition.objects
    (watcher,) = asset.watchers
    assert isinstance(watcher.trigger, BridgeEventTrigger)
    assert not load_dags()["icebridge_databricks_to_mssql"].timetable.can_be_scheduled


@pytest.mark.parametrize("schedule", ["@continuous", "*/5 * * * *"])
def test_other_schedules_are_taken_as_they_are(airflow_cli_home: Path, tmp_path: Path, schedule: str) -> None:
    with bridge_home(tmp_path, events_schedule=schedule):
        dag = load_dags()["icebridge_databricks_to_mssql"]
    assert dag.schedule == schedule
    assert dag.get_task("waiting").wait is (schedule == "@continuous")


def test_a_run_applies_what_waits(home: BridgeHome, dags: dict[str, Any]) -> None:
    seed(home)
    home.emit("e1")
    done = run(dags["icebridge_databricks_to_mssql"], {})
    assert done.state == "success"
    assert (done.tasks["apply"], done.tasks["ask"]) == (["success"], ["skipped"])
    assert home.rows() == [(1, "new 1"), (2, "new 2"), (3, "new 3")]


def test_a_run_without_events_does_nothing(home: BridgeHome, dags: dict[str, Any]) -> None:
    done = run(dags["icebridge_databricks_to_mssql"], {})
    assert (done.state, done.tasks["apply"]) == ("success", ["skipped"])


def test_a_sync_that_cannot_be_applied_fails_the_run(home: BridgeHome, dags: dict[str, Any]) -> None:
    home.run(home.side, "DROP TABLE orders_events")
    done = run(dags["icebridge_databricks_to_mssql"], {})
    assert (done.state, done.tasks["apply"]) == ("failed", ["failed"])


def test_a_blocked_event_is_asked_about_once_for_each_claim_that_blocked_it(home: BridgeHome) -> None:
    from airflow.sdk.exceptions import DagRunTriggerException

    from icebridge_provider.operators.events import BlockedEventsOperator
    from icebridge_provider.operators.release import AskForReleaseOperator

    seed(home, fresh=3, kept=5)
    home.emit("much", "DELETE")
    assert apply()["blocked"] == 1
    found = BlockedEventsOperator(task_id="blocked").execute(context())
    assert found == [{"sync": "orders", "event_id": "much", "attempt": 1}]
    asked = []
    for given in (found[0], found[0], {**found[0], "attempt": 2}):
        with pytest.raises(DagRunTriggerException) as met:
            AskForReleaseOperator(task_id="ask", **given).execute({**context(), "ti": Asking(paused=False)})
        assert met.value.conf == {"sync": "orders", "event_id": "much"}
        assert met.value.skip_when_already_exists
        asked.append(met.value.dag_run_id)
    assert asked[0] == asked[1] != asked[2]
    with pytest.raises(ConfigurationError, match=r"IB-894.*unpause"):
        AskForReleaseOperator(task_id="ask", **found[0]).execute({**context(), "ti": Asking(paused=True)})


def test_a_sync_that_cannot_be_looked_at_hides_no_blocked_event_of_another(
    airflow_cli_home: Path, tmp_path: Path
) -> None:
    from icebridge_provider.operators.events import BlockedEventsOperator

    with bridge_home(tmp_path, ("orders", "stock")) as home:
        block(home)
        home.run(home.side, "DROP TABLE stock_events")
        found = BlockedEventsOperator(task_id="blocked").execute(context())
        assert [item["event_id"] for item in found] == ["much"]
        with pytest.raises(ConfigurationError, match="stock_events"):
            BlockedEventsOperator(task_id="blocked", sync="stock").execute(context())


class Asking:
    """A task instance that knows whether the DAG that asks is paused."""

    def __init__(self, *, paused: bool) -> None:
        self.paused = paused

    def get_dag(self, dag_id: str) -> Any:
        assert dag_id == "icebridge_release_event"
        return SimpleNamespace(is_paused=self.paused)


# Release


class Asked:
    """As much of a task instance as the question needs: it keeps what was asked about."""

    dag_id, run_id, task_id, try_number, map_index = "icebridge_release_event", "r", "release", 1, -1

    def __init__(self, payload: str = "") -> None:
        self.payload = payload

    def xcom_push(self, *, key: str, value: str) -> None:
        self.payload = value

    def xcom_pull(self, **asked: Any) -> str:
        assert asked["task_ids"] == self.task_id
        return self.payload


def answer(home: BridgeHome, chosen: str, payload: str = "", **values: Any) -> Any:
    from icebridge_provider.operators.release import ReleaseBlockedEventOperator

    event = home.queue().event("much")
    asks = ReleaseBlockedEventOperator(task_id="release", event_id="much")
    given = {
        "chosen_options": [chosen], "params_input": values, "timedout": False, "responded_at": datetime.now(UTC),
        "responded_by_user": {"id": "7", "name": "maria"},
    }  # fmt: skip
    return asks.execute_complete({**context(), "ti": Asked(payload or event.payload)}, given)


@pytest.fixture
def blocked(home: BridgeHome) -> BridgeHome:
    """A DELETE of five rows where two are allowed, with a text that must not become part of the question."""
    block(home)
    return home


def test_the_question_shows_what_would_be_deleted_and_nothing_is_deleted(blocked: BridgeHome) -> None:
    from icebridge_provider.operators.release import ReleaseBlockedEventOperator

    asks = ReleaseBlockedEventOperator(task_id="release", event_id="much", sync="orders")
    asks.show(asks._site(context()), blocked.queue().event("much"))
    assert "5 rows" in asks.subject
    assert "**5 rows**" in asks.body
    assert "<" not in asks.body
    assert "\n# Approved" not in asks.body
    assert asks.params["rows"] == 5
    assert asks.response_timeout.days == 7
    assert len(blocked.rows()) == 5


def test_a_released_event_deletes_as_many_rows_as_were_approved(blocked: BridgeHome) -> None:
    shown = answer(blocked, "Approve", rows=5, event=blocked.queue().event("much").payload)
    assert shown == {"event_id": "much", "answer": "released", "rows": 5, "who": "maria"}
    assert json.loads(json.dumps(shown)) == shown
    assert apply()["completed"] == 1
    assert blocked.rows() == []
    (line,) = [
        event for event in blocked.ledger.events("sync:orders", "much")
        if event.step.value == "approve" and event.outcome.value == "done"
    ]  # fmt: skip
    assert (line.actor.who, line.data["rows"]) == ("maria", 5)


def test_approving_fewer_rows_than_it_hits_blocks_it_again(blocked: BridgeHome) -> None:
    answer(blocked, "Approve", rows=4, event=blocked.queue().event("much").payload)
    assert apply()["blocked"] == 1
    assert len(blocked.rows()) == 5


def test_a_rejected_event_is_over(blocked: BridgeHome) -> None:
    assert answer(blocked, "Reject")["answer"] == "rejected"
    assert apply()["completed"] == 0
    assert statuses(blocked) == {"much": "rejected"}
    assert len(blocked.rows()) == 5
    assert answer(blocked, "Approve", payload=blocked.queue().event("much").payload)["answer"] == "rejected"


def test_an_answer_to_another_question_is_refused(blocked: BridgeHome) -> None:
    with pytest.raises(ConfigurationError, match="IB-887"):
        answer(blocked, "Approve", payload="0" * 64, rows=5, event="0" * 64)
    assert statuses(blocked) == {"much": "blocked"}


def test_nobody_is_asked_about_an_event_that_is_not_blocked(home: BridgeHome) -> None:
    from icebridge_provider.operators.release import ReleaseBlockedEventOperator

    home.emit("e1")
    asks = ReleaseBlockedEventOperator(task_id="release", event_id="e1")
    assert asks.execute({**context(), "ti": Asked()})["answer"] == "pending"
    with pytest.raises(ConfigurationError, match="IB-886"):
        ReleaseBlockedEventOperator(task_id="release", event_id="gone").execute({**context(), "ti": Asked()})

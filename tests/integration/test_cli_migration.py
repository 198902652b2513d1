"""From ``inventory`` to ``purge`` through the command line; DAG runs are started for real, questions are real rows."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from icebridge_provider.cli import follow, runs
from tests.support import tables
from tests.support.airflow_cli import connection, environment
from tests.support.cli import Said, icebridge

pytestmark = pytest.mark.airflow


@pytest.fixture
def lake(airflow_cli_home: Path, tmp_path: Path) -> Iterator[Path]:
    """Two catalogs behind connections, three tables in the first, an initialised installation."""
    made = tables.open_catalog(tmp_path / "src")
    for name in ("first", "second", "third"):
        tables.plain(made, name)
    (tmp_path / "dst").mkdir()
    names = {
        f"AIRFLOW_CONN_{name.upper()}": connection(
            "icebridge_catalog", extra=tables.catalog_properties(tmp_path / name)
        )
        for name in ("src", "dst")
    }
    ledger = connection("icebridge_ledger", schema=str(tmp_path / "ledger.db"))
    with environment(AIRFLOW_CONN_ICEBRIDGE_LEDGER=ledger, **names):
        assert icebridge("init").code == 0
        yield tmp_path
    _forget_runs()


def _forget_runs() -> None:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        session.query(DagRun).delete()


def plan(*more: str) -> Said:
    return icebridge("plan", "--source", "src", "--target", "dst", "--plan-id", "p1", *more)


def set_state(run_id: str, state: str) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        session.scalars(select(DagRun).where(DagRun.run_id == run_id)).one().state = state


def ask(run_id: str, subject: str = "Cut over 3 tables?", body: str = "") -> UUID:
    """Put the question that Airflow's approval operator would put."""
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        task = session.scalars(
            select(TaskInstance).where(TaskInstance.run_id == run_id, TaskInstance.task_id == "wave.approve")
        ).one()
        task.state = "awaiting_input"
        options = ["Approve", "Reject"]
        session.add(HITLDetail(ti_id=task.id, options=options, subject=subject, body=body, params={}))
        return UUID(str(task.id))


def test_catalog_commands(lake: Path) -> None:
    checked = icebridge("check-connection", "src", "--json")
    assert checked.code == 0
    assert {row["outcome"] for row in checked.json["checks"]} <= {"passed", "skipped"}
    taken = icebridge("inventory", "src", "--tables", "lake.f*", "lake.s*", "--json").json
    assert [row["table"] for row in taken["rows"]] == ["lake.first", "lake.second"]
    assert taken["rows"][0]["rows"] == 100
    page = lake / "a.html"
    said = icebridge("assess", "src", "--out", str(page), "--inventory", taken["inventory_id"])
    assert "Of 2 tables, 2 go" in said.out
    assert "lake.first" in page.read_text()
    priced = icebridge("assess", "src", "--target", "dst", "--out", str(page), "--json").json
    assert (priced["counts"]["tables"], priced["target"], priced["file"]) == (3, "dst", str(page))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("check-connection", "nope"), "IB-102"),
        (("inventory", "src", "--tables", "lake.frist"), "IB-230"),
        (("plan", "--source", "src"), "IB-760"),
        (("plan", "--source", "src", "--target", "dst", "--from-csv", "/nowhere/x.csv"), "IB-761"),
        (("plan", "--reseal", "/nowhere/x.json"), "IB-761"),
        (("apply", "/nowhere/x.json"), "IB-321"),
        (("apply", "p9"), "IB-120"),
        (("status",), "IB-748"),
        (("status", "p9"), "IB-120"),
        (("report", "p9"), "IB-120"),
        (("rollback", "p9"), "IB-120"),
        (("assess", "src", "--out", "/nowhere/a.html"), "IB-763"),
    ],
    ids=" ".join,
)
def test_mistakes_have_codes_and_exit_with_1(lake: Path, arguments: tuple[str, ...], code: str) -> None:
    said = icebridge(*arguments, "--json")
    assert (said.code, said.refusal) == (1, code)
    plain = icebridge(*arguments)
    assert plain.code == 1
    assert code in plain.err
    assert "Traceback" not in plain.err + plain.out


def test_a_dry_run_keeps_nothing(lake: Path) -> None:
    said = plan("--dry-run")
    assert said.code == 0
    assert "lake.second" in said.out
    assert "Nothing was kept" in said.out
    assert icebridge("status", "--all", "--json").json == {"plans": []}


def test_a_plan_file_is_edited_resealed_and_applied(lake: Path) -> None:
    file, sheet = lake / "p1.json", lake / "p1.csv"
    made = plan("--out", str(file), "--csv", str(sheet), "--json").json
    assert (made["kept"], made["written"]) == (False, [str(file), str(sheet)])
    assert icebridge("status", "p1", "--json").refusal == "IB-120"
    edited = json.loads(file.read_text())
    edited["tables"] = edited["tables"][:2]
    file.write_text(json.dumps(edited))
    assert icebridge("apply", str(file), "--json").refusal == "IB-320"
    assert icebridge("plan", "--reseal", str(file)).code == 0
    assert icebridge("apply", str(file), "--json").json["state"] == "queued"
    assert [row["source"] for row in icebridge("status", "p1", "--json").json["tables"]] == [
        "src.lake.first",
        "src.lake.second",
        "src.lake.third",
    ]


def test_a_file_that_is_no_plan_cannot_be_resealed(lake: Path) -> None:
    file = lake / "p1.json"
    file.write_text('{"plan": 1}')
    assert icebridge("plan", "--reseal", str(file), "--json").refusal == "IB-762"
    assert file.read_text() == '{"plan": 1}'


def test_selection_and_mapping_come_back_from_a_spreadsheet(lake: Path) -> None:
    sheet = lake / "s.csv"
    sheet.write_text("source,target,method,include\nlake.first,mine.one,,yes\nlake.second,,,no\n")
    made = plan("--from-csv", str(sheet), "--dry-run", "--json").json
    assert [(table["source"]["name"], table["target"]["name"]) for table in made["tables"]] == [("first", "one")]


def test_apply_starts_one_run_with_the_plan(lake: Path) -> None:
    assert plan("--method", "copy_files").code == 0
    started = icebridge("apply", "p1", "--json").json
    assert started["url"].startswith("https://airflow.example/dags/icebridge_migrate/runs/manual__")
    assert conf_of(started["run"])["plan_id"] == "p1"
    assert conf_of(started["run"])["method"] == "copy_files"
    second = icebridge("apply", "p1", "--json")
    assert second.refusal == "IB-744"
    assert started["run"] in second.json["error"]["message"]
    set_state(started["run"], "failed")
    assert icebridge("retry", "p1", "--json").json["run"] != started["run"]


def conf_of(run_id: str) -> dict[str, Any]:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        return dict(session.scalars(select(DagRun).where(DagRun.run_id == run_id)).one().conf)


def test_nothing_is_started_or_kept_where_it_would_wait_for_ever(lake: Path) -> None:
    from airflow.api.client import get_current_api_client
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session

    file = lake / "p1.json"
    plan("--out", str(file))
    get_current_api_client().delete_pool("icebridge_writers")
    assert icebridge("apply", str(file), "--json").refusal == "IB-742"
    icebridge("init")
    with create_session() as session:
        session.get(DagModel, "icebridge_migrate").is_paused = True
    assert icebridge("apply", str(file), "--json").refusal == "IB-741"
    with create_session() as session:
        dag = session.get(DagModel, "icebridge_migrate")
        dag.is_paused, dag.is_stale = False, True
    assert icebridge("apply", str(file), "--json").refusal == "IB-740"
    assert icebridge("status", "--all", "--json").json == {"plans": []}
    assert icebridge("init").code == 0
    assert icebridge("apply", str(file)).code == 0


def test_values_the_form_refuses_are_named(lake: Path) -> None:
    with pytest.raises(runs.ConfigurationError) as refused:
        runs.trigger(runs.MIGRATE, {"plan_id": "no blanks allowed"})
    assert refused.value.code == "IB-745"
    assert "no blanks allowed" in refused.value.message


def test_who_applies_again_is_told_where_to_click(lake: Path) -> None:
    plan()
    run = icebridge("apply", "p1", "--json").json["run"]
    ask(run)
    refused = icebridge("apply", "p1", "--json").json["error"]
    assert refused["code"] == "IB-743"
    url = f"https://airflow.example/dags/icebridge_migrate/runs/{run}/tasks/wave.approve/required_actions"
    assert url in refused["remedy"]
    status = icebridge("status", "p1", "--json").json
    assert status["approvals"] == [{"subject": "Cut over 3 tables?", "url": url}]
    assert url in icebridge("status", "p1").out


def test_a_question_is_found_by_its_text_when_the_run_has_no_plan_id(lake: Path) -> None:
    run = runs.trigger(runs.MIGRATE, {"source_conn_id": "src", "target_conn_id": "dst"}).run_id
    ask(run, body="Plan **p1**, wave 0: 3 tables")
    assert [question.run_id for question in runs.questions("p1")] == [run]
    assert runs.questions("p") == runs.questions("p11") == []


def test_an_answered_question_and_one_of_a_run_that_is_over_are_not_open(lake: Path) -> None:
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    plan()
    task = ask(icebridge("apply", "p1", "--json").json["run"])
    assert len(runs.questions("p1")) == 1
    with create_session() as session:
        session.get(TaskInstance, task).state = "failed"
    assert runs.questions("p1") == []
    with create_session() as session:
        session.get(TaskInstance, task).state = "awaiting_input"
        session.get(HITLDetail, task).responded_at = datetime.now(UTC)
    assert runs.questions("p1") == []


def test_waiting_ends_with_the_question_or_with_the_run(lake: Path) -> None:
    plan()
    started = icebridge("apply", "p1", "--json").json
    run = runs.Run(dag_id=runs.MIGRATE, run_id=started["run"], state="queued", url=started["url"])
    polls: list[float] = []

    def meanwhile(_: float) -> None:
        polls.append(1)
        if len(polls) == 2:
            ask(run.run_id)
        if len(polls) == 4:
            set_state(run.run_id, "success")

    output = _output()
    found = follow.follow(run, "p1", _ledger(), output, {"until_approval": True}, meanwhile)
    assert (found.ok, len(found.document["approvals"]), len(polls)) == (True, 1, 2)
    assert "required_actions" in output.stderr.getvalue()
    found = follow.follow(run, "p1", _ledger(), _output(), {"wait": True}, meanwhile)
    assert (found.ok, found.document["state"], len(polls)) == (True, "success", 4)


def test_waiting_for_a_run_that_fails_or_vanishes(lake: Path) -> None:
    plan()
    started = icebridge("apply", "p1", "--json").json
    run = runs.Run(dag_id=runs.MIGRATE, run_id=started["run"], state="queued", url=started["url"])
    set_state(run.run_id, "failed")
    found = follow.follow(run, "p1", _ledger(), _output(), {"wait": True})
    assert (found.ok, found.document["state"]) == (False, "failed")
    _forget_runs()
    with pytest.raises(runs.ConfigurationError, match="IB-746"):
        follow.follow(run, "p1", _ledger(), _output(), {"wait": True})


def test_a_terminal_gets_a_bar_and_the_changes(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    plan()
    started = icebridge("apply", "p1", "--json").json
    run = runs.Run(dag_id=runs.MIGRATE, run_id=started["run"], state="queued", url=started["url"])
    output = _output()
    output.stderr = Terminal()
    assert follow.follow(run, "p1", _ledger(), output, {"wait": True}, lambda _: set_state(run.run_id, "success")).ok
    said = output.stderr.getvalue()
    assert "tables settled" in said
    assert "0/3" in said
    assert "src.lake.first: planned" in said


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _output() -> Any:

    from icebridge_provider.cli.output import Output

    return Output(stdout=io.StringIO(), stderr=io.StringIO())


def _ledger() -> Any:
    from icebridge_provider.cli import surroundings

    return surroundings.ledger()


def test_here_does_it_without_a_scheduler(lake: Path) -> None:
    plan()
    assert icebridge("retry", "p1", "--here", "--json").code == 0
    rows = icebridge("status", "p1", "--json").json["tables"]
    assert {row["state"] for row in rows} == {"awaiting approval"}
    wanted = {
        "source", "target", "state", "method", "rows", "bytes", "source_snapshot_id", "target_snapshot_id",
        "fingerprint", "findings",
    }  # fmt: skip
    assert [sorted(wanted - set(row)) for row in rows] == [[], [], []]
    assert (rows[0]["rows"], rows[0]["source_snapshot_id"]) == (100, rows[0]["target_snapshot_id"])
    report = icebridge("report", "p1", "--out", str(lake / "docs"), "--json")
    assert report.code == 0
    assert Path(report.json["data_docs"]).exists()
    assert icebridge("rollback", "p1", "--here", "--tables", "lake.first").code == 0
    states = {row["source"]: row["state"] for row in icebridge("status", "p1", "--json").json["tables"]}
    assert states["src.lake.first"] == "rolled back"
    assert states["src.lake.second"] == "awaiting approval"


def test_purge_here_wants_the_plan_named_twice(lake: Path) -> None:
    plan()
    assert icebridge("purge", "p1", "--here", "--json").refusal == "IB-747"
    assert icebridge("purge", "p1", "--here", "--confirm", "p2", "--json").refusal == "IB-747"
    confirmed = icebridge("purge", "p1", "--here", "--confirm", "p1", "--json")
    assert confirmed.code == 1
    assert {row["code"] for row in confirmed.json["tables"]} == {"IB-640"}


@pytest.mark.parametrize(("command", "dag"), [("rollback", runs.ROLLBACK), ("purge", runs.PURGE)])
def test_undoing_goes_through_its_dag(lake: Path, command: str, dag: str) -> None:
    plan()
    started = icebridge(command, "p1", "--tables", "lake.s*", "--json").json
    assert started["dag"] == dag
    assert conf_of(started["run"]) == {"plan_id": "p1", "tables": ["src.lake.second"]}

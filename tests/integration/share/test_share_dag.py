"""Whole runs of ``icebridge_databricks_to_snowflake``, and what Airflow keeps of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.share.conftest import Home
from tests.support.dag_runs import load_dags, run

pytestmark = pytest.mark.airflow
DAG_ID = "icebridge_databricks_to_snowflake"


@pytest.fixture
def dag(airflow_cli_home: Path) -> Any:
    """Loaded for each test: ``dag.test`` writes a run's values into the form."""
    return load_dags()[DAG_ID]


def report_of(run_id: str, home: Home) -> dict[str, Any]:
    from icebridge_provider.operators.share_report import report

    return report(home.ledger, run_id)


def test_three_modes_and_the_same_run_again_writes_nothing(home: Home, dag: Any) -> None:
    home.fill("events", [1, 2])
    home.fill("prices", [1, 2, 3])
    home.fill("orders", [1, 2])
    lines = home.line("events"), home.line("prices", "; mode=replace"), home.line("orders", "; mode=upsert; keys=id")
    first = run(dag, home.conf(*lines, run_id="run-1"))
    assert (first.state, first.tasks) == (
        "success",
        {"plan": ["success"], "share.export": ["success"] * 3, "share.load": ["success"] * 3, "report": ["success"]},
    )
    wanted = {"events": [(1, "x"), (2, "x")], "prices": [(1, "x"), (2, "x"), (3, "x")], "orders": [(1, "x"), (2, "x")]}
    assert {name: home.rows(name) for name in wanted} == wanted
    told = report_of("run-1", home)
    assert (told["loaded"], told["again"], told["rows"], told["limited"]) == (3, 0, 7, "")

    home.fill("events", [9])  # what the source has now is of no interest to a run that has ended
    again = run(dag, home.conf(*lines, run_id="run-1"))
    assert again.state == "success"
    assert {name: home.rows(name) for name in wanted} == wanted
    assert report_of("run-1", home)["again"] == 3


def test_a_table_that_fails_stops_no_other_and_the_run_says_so(home: Home, dag: Any) -> None:
    home.fill("events", [1])
    home.fill("orders", [1])
    home.world.order("fail", "INSERT.*orders", message="no such function", code="PARSE_SYNTAX_ERROR")
    done = run(dag, home.conf(home.line("events"), home.line("orders"), run_id="run-2"))
    assert done.state == "failed"
    assert done.tasks["share.export"] == ["success", "failed"]
    assert done.tasks["share.load"] == ["success", "upstream_failed"]
    assert done.tasks["report"] == ["failed"]
    assert home.rows("events") == [(1, "x")]
    rows = {row["name"].partition(" ")[0]: row for row in report_of("run-2", home)["tables"]}
    assert rows["main.sales.events"]["status"] == "SUCCESS"
    assert "no such function" in rows["main.sales.orders"]["problem"]


def test_what_cannot_be_planned_fails_the_run_before_a_byte_moves(home: Home, dag: Any) -> None:
    done = run(dag, home.conf(home.line("events", "; mode=sideways")))
    assert done.state == "failed"
    assert done.tasks["plan"] == ["failed"]
    assert done.tasks["report"] == ["failed"], "a report of nothing must not make the run a success"
    assert home.world.statements("INSERT") == []


def test_advice_copies_nothing(home: Home, dag: Any) -> None:
    home.fill("events", [1])
    done = run(dag, home.conf(home.line("events"), zero_copy=True))
    assert done.state == "success"
    assert set(done.tasks["share.load"]) == {"skipped"}
    assert home.world.statements("INSERT") == []


def test_fields_with_braces_and_names_of_methods_arrive_as_they_are(home: Home, dag: Any) -> None:
    """Jinja is rendered once: what a person writes into the form is data."""
    home.fill("events", [1, 2])
    given = {"where": "text <> :v", "values": {"v": "{{ 1/0 }}"}, "limit": 1, "keys": [], "run_id": "{{ 1/0 }}"}
    done = run(dag, home.conf(home.line("events"), **given))
    assert done.state == "success"
    assert len(home.rows("events")) == 1
    assert report_of("{{ 1/0 }}", home)["limited"]


def test_the_form_needs_four_fields_and_refuses_what_cannot_be_meant(dag: Any) -> None:
    import copy

    from airflow.sdk.exceptions import ParamValidationError

    fields = {name: dag.params.get_param(name) for name in dag.params}
    required = [name for name, field in fields.items() if not field.has_value and "null" not in field.schema["type"]]
    assert required == ["source_conn_id", "target_conn_id", "tables", "stage"]
    good = {"source_conn_id": "a", "target_conn_id": "b", "tables": "main.s.t", "stage": "D.S.T"}
    form = copy.deepcopy(dag.params)
    for name, value in good.items():
        form[name] = value
    form.validate()
    bad = {"mode": "sideways", "preset": "fast", "limit": 0, "tables": "", "location": "nowhere"}
    for name, wrong in bad.items():
        tried = copy.deepcopy(form)
        with pytest.raises(ParamValidationError):
            tried[name] = wrong
            tried.validate()
    for tables in (["main.s.t", {"source": "main.s.u"}], "main.s.t\nmain.s.u"):
        form["tables"] = tables
        form.validate()

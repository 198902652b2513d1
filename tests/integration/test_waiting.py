"""While a run is on Databricks nothing holds a worker: the triggerer waits and tells, and people can stop it."""

from __future__ import annotations

import asyncio
import importlib
import io
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from databricks.sdk.service.catalog import AwsIamRoleRequest

from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.model.event import Outcome, State, Step
from icebridge_provider.model.plan import Approval, CopyMethod, MigrationPlan, MigrationRequest
from tests.integration.test_databricks import COPIER, Estate
from tests.support import plans, tables
from tests.support.airflow_cli import connection, environment
from tests.support.cli import icebridge
from tests.support.dag_runs import context
from tests.support.databricks import Workspace, databricks_uc  # noqa: F401 - a fixture

pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module")
def estate(
    airflow_cli_home: Path,
    databricks_uc: Workspace,  # noqa: F811 - the fixture
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Estate]:
    made = Estate(workspace=databricks_uc, folder=tmp_path_factory.mktemp("waiting"))
    for name in ("orders", "plain"):
        tables.plain(made.origin, name)
    made.federate()
    with environment(**made.connections()):
        made.ledger.migrate()
        yield made
    databricks_uc.order("PATCH", "/runs", {"start_seconds": 0.1})


@pytest.fixture
def slow(estate: Estate) -> Iterator[Estate]:
    estate.workspace.order("PATCH", "/runs", {"start_seconds": 60})
    yield estate
    estate.workspace.order("PATCH", "/runs", {"start_seconds": 0.1})
    for run in estate.workspace.order("GET", "/runs"):
        if run["active"]:
            estate.workspace.sdk(COPIER).jobs.cancel_run(run["run_id"])


def planned(estate: Estate, plan_id: str, **more: Any) -> MigrationPlan:
    request = MigrationRequest(source_conn_id="foreign", target_conn_id="managed", approval=Approval.NONE, **more)
    made = plans.of_tables(estate.origin, request, plan_id, ("orders", "plain"), CopyMethod.DEEP_CLONE)
    estate.ledger.save_plan(made)
    return made


def copy(plan: MigrationPlan) -> Any:
    from icebridge_provider.operators.tables import CopyTablesOperator

    return CopyTablesOperator(task_id="copy", plan_id=plan.plan_id)


def deferred(operator: Any) -> Any:
    from airflow.sdk.exceptions import TaskDeferred

    with pytest.raises(TaskDeferred) as caught:
        operator.execute(context())
    return caught.value


def rebuilt(found: Any, **changes: Any) -> Any:
    """The trigger as the triggerer builds it: from its class's path and its arguments alone."""
    path, arguments = found.trigger.serialize()
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)(**{**arguments, **changes})


def log_to(lines: list[str]) -> Any:
    def write(text: str, *more: object) -> None:
        lines.append(text % more)

    return SimpleNamespace(info=write, warning=write)


def runs(estate: Estate, plan: MigrationPlan) -> list[dict[str, Any]]:
    return [run for run in estate.workspace.order("GET", "/runs") if f"icebridge {plan.plan_id}:" in run["run_name"]]


def test_a_task_gives_its_worker_back_while_its_run_goes_on(slow: Estate) -> None:
    plan = planned(slow, "w1")
    operator, before, began = copy(plan), threading.active_count(), time.monotonic()
    found = deferred(operator)
    assert time.monotonic() - began < 30, "it did not wait for the run, which takes a minute to start"
    assert threading.active_count() <= before + 1, "nothing of it goes on in the worker"
    [run] = runs(slow, plan)
    assert run["active"]
    assert found.method_name == "resume"
    assert operator.links["_link_RunLink"] == slow.workspace.sdk(COPIER).jobs.get_run(run["run_id"]).run_page_url
    assert operator.links["_link_CatalogLink"] == f"{slow.workspace.url}/explore/data/main/lake"
    assert slow.workspace.token(COPIER) not in str(found.trigger.serialize()) + str(found.kwargs)


def test_a_person_who_fails_the_deferred_task_cancels_the_run_and_its_cluster(slow: Estate) -> None:
    plan = planned(slow, "w2")
    asyncio.run(rebuilt(deferred(copy(plan))).on_kill())
    until = time.monotonic() + 20
    while runs(slow, plan)[0]["active"]:
        assert time.monotonic() < until
        time.sleep(0.1)
    states = {cluster.state.value for cluster in slow.workspace.sdk().clusters.list() if cluster.state}
    assert states == {"TERMINATED"}


def test_after_the_run_the_task_goes_on_where_it_was(estate: Estate) -> None:
    """Without its engine the workspace fails the run: every table then says so, and no second run was started."""
    plan = planned(estate, "w3")
    found = deferred(copy(plan))

    async def wait() -> Any:
        async for event in rebuilt(found, poll_seconds=0.05).run():
            return event
        raise AssertionError("no event")

    event = asyncio.run(asyncio.wait_for(wait(), 60))
    assert event.payload["state"] == "FAILED"
    again = copy(plan)
    with pytest.raises(Exception, match="IB-"):
        again.resume(context(), event.payload, **(found.kwargs or {}))
    assert len(runs(estate, plan)) == 1
    assert again.links["_link_RunLink"], "the run's page is wanted most when it failed"


def test_the_trigger_tells_how_far_the_run_is(slow: Estate) -> None:
    from icebridge_provider.engines.databricks.files import progress_path
    from icebridge_provider.engines.databricks.run_documents import document_path
    from icebridge_provider.hooks.progress import Teller

    plan = planned(slow, "w4")
    deferred(copy(plan))
    [run] = runs(slow, plan)
    client = slow.workspace.sdk(COPIER)
    answer = client.api_client.do("GET", "/api/2.2/jobs/runs/get", query={"run_id": run["run_id"]})
    path = progress_path(document_path(answer))
    lines: list[str] = []
    teller = Teller("managed", plan.plan_id, "copy", log_to(lines))
    teller.tell(answer)
    assert lines == [], "the program wrote nothing yet"
    staged = ["main", "lake", plan.tables[0].staged.name]
    for state, rows in (("copying", None), ("copying", None), ("done", 100)):
        content = json.dumps({"tables": [{"token": "t", "staged": staged, "state": state, "rows": rows}]})
        client.files.upload(path, io.BytesIO(content.encode()), overwrite=True)
        teller.tell(answer)
    source = str(plan.tables[0].source)
    assert lines == [
        f"Run {run['run_id']}: 0 of 1 tables that were begun are over (1 copying); now {source}",
        f"Run {run['run_id']}: 1 of 1 tables that were begun are over (1 done)",
    ]
    told = [
        event.data for event in slow.ledger.events(plan.plan_id, source)
        if event.outcome is Outcome.PROGRESS and "run_state" in event.data
    ]  # fmt: skip
    assert [item["run_state"] for item in told] == ["copying", "done"]
    assert (told[-1]["rows"], told[-1]["run"]) == (100, str(run["run_id"]))
    assert slow.ledger.state(plan.plan_id, source).state is State.COPYING


def test_what_cannot_be_told_does_not_end_the_wait(slow: Estate) -> None:
    from icebridge_provider.hooks.progress import Teller

    said: list[str] = []
    with environment(AIRFLOW_CONN_BROKEN=connection("databricks")):
        teller = Teller("broken", planned(slow, "w5").plan_id, "copy", log_to(said))
        teller.tell({"run_id": 1})
        teller.tell({"run_id": 1})
    assert len(said) == 1
    assert "IB-257" in said[0]


def test_a_rollback_needs_no_cluster(estate: Estate) -> None:
    from icebridge_provider.hooks.site import site_for
    from icebridge_provider.steps.rollback import rollback_table

    plan = planned(estate, "w6")
    without = connection(
        "databricks", host="127.0.0.1", schema="http", port=estate.workspace.port,
        password=estate.workspace.token(COPIER), extra={"catalog": "main", "warehouse_id": estate.warehouse},
    )  # fmt: skip
    with environment(AIRFLOW_CONN_MANAGED=without):
        site = site_for("foreign", "managed")
        site.record(plan.plan_id, str(plan.tables[0].source), Step.COPY, Outcome.STARTED, {})
        assert rollback_table(site, plan, plan.tables[0])["already"] is False
        with pytest.raises(Exception, match="IB-445"):
            copy(plan).execute(context())
    assert runs(estate, plan) == []


def test_a_migrations_own_cluster_is_what_its_run_gets(slow: Estate) -> None:
    plan = planned(slow, "w7", cluster={"num_workers": 3, "custom_tags": {"team": "lake"}, "photon": False})
    deferred(copy(plan))
    [run] = runs(slow, plan)
    [task] = slow.workspace.sdk(COPIER).jobs.get_run(run["run_id"]).tasks or []
    made = task.new_cluster.as_dict() if task.new_cluster else {}
    assert (made["num_workers"], made["runtime_engine"]) == (3, "STANDARD")
    assert made["custom_tags"]["team"] == "lake"
    assert made["node_type_id"] == "i3.xlarge", "the rest is the connection's"


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"cluster": {"num_workers": "many"}}, "IB-441"),
        ({"cluster": '{"workers": 3}'}, "IB-440"),
        ({"cluster": {"spark_conf": {"fs.s3a.secret.key": "c4n4ry"}}}, "IB-444"),
        ({"cluster": "c4n4ry"}, "IB-714"),
        ({"cluster": "[1]"}, "IB-714"),
        ({"managed_location": "c4n4ry"}, "IB-716"),
    ],
)
def test_a_form_that_cannot_be_meant_is_refused_before_anything_is_read(
    estate: Estate, form: dict[str, Any], code: str
) -> None:
    from icebridge_provider.operators.plan import PlanOperator

    before = estate.ledger.plans()
    operator = PlanOperator(task_id="plan", source_conn_id="foreign", target_conn_id="managed", plan_id="bad", **form)
    with pytest.raises(IceBridgeError) as caught:
        operator.execute(context())
    assert caught.value.code == code
    assert ("c4n4ry" in str(caught.value)) is (code == "IB-716"), "a place is no secret"
    assert estate.ledger.plans() == before


def test_a_cluster_or_place_for_a_target_without_runs_is_refused(estate: Estate) -> None:
    from icebridge_provider.hooks.runs import check_runs, placed
    from icebridge_provider.hooks.site import catalog_for

    request = MigrationRequest(source_conn_id="foreign", target_conn_id="origin", cluster={"num_workers": 1})
    with pytest.raises(IceBridgeError, match="IB-713"):
        check_runs(request)
    with pytest.raises(IceBridgeError, match="IB-716"):
        placed(catalog_for("origin"), "s3://lake/managed")


def test_a_schema_that_is_made_for_a_migration_is_where_its_form_says(estate: Estate) -> None:
    from icebridge_provider.hooks.site import site_for

    place, client = f"file://{estate.folder}/chosen", estate.workspace.sdk()
    estate.grant("CATALOG", "main", COPIER, "CREATE_SCHEMA")
    site = site_for("foreign", "managed", managed_location=place)
    with pytest.raises(IceBridgeError, match=r"IB-241.*CREATE MANAGED STORAGE"):
        site.target.create_namespace(("chosen",))
    client.storage_credentials.create("role", aws_iam_role=AwsIamRoleRequest(role_arn="arn:aws:iam::1:role/x"))
    client.external_locations.create("place", place, "role")
    estate.grant("EXTERNAL_LOCATION", "place", COPIER, "CREATE_MANAGED_STORAGE")
    site.target.create_namespace(("chosen",))
    assert client.schemas.get("main.chosen").storage_root == f"{place}/chosen"


def test_the_origins_scope_is_proven_when_the_plan_is_made(estate: Estate) -> None:
    from icebridge_provider.hooks.runs import check_runs

    where = {"host": "127.0.0.1", "schema": "http", "port": estate.workspace.port}
    extra = {"catalog": "lake", "origin_conn_id": "rest", "origin_secret_scope": "nowhere"}
    found = connection("databricks", **where, password=estate.workspace.token(COPIER), extra=extra)
    origin = connection("icebridge_catalog", host="https://catalog.example.com", login="id", password="c4n4ry")
    request = MigrationRequest(source_conn_id="own", target_conn_id="managed", method="insert_select")
    with environment(AIRFLOW_CONN_OWN=found, AIRFLOW_CONN_REST=origin):
        with pytest.raises(IceBridgeError, match=r"IB-455.*nowhere") as caught:
            check_runs(request)
        with pytest.raises(IceBridgeError, match="IB-457"):
            check_runs(replace(request, method="auto"))
    assert "c4n4ry" not in str(caught.value)


def test_what_runs_left_behind_is_listed_by_status_and_swept(slow: Estate) -> None:
    from icebridge_provider.engines.databricks.files import JOBS

    plan = planned(slow, "w8")
    deferred(copy(plan))
    [run] = runs(slow, plan)
    client = slow.workspace.sdk(COPIER)
    [task] = client.jobs.get_run(run["run_id"]).tasks or []
    assert task.spark_python_task is not None
    needed = {task.spark_python_task.python_file, (task.spark_python_task.parameters or [""])[-1]}
    folder = "/Volumes/main/icebridge/jobs/icebridge"
    client.files.upload(f"{folder}/{JOBS}old.json", io.BytesIO(b"[]"), overwrite=True)

    def there() -> set[str]:
        return {str(item.path) for item in client.files.list_directory_contents(folder)}

    young = called("status", plan.plan_id, "--leftovers")["leftovers"]
    assert young == [], "files of this week may be needed again"
    told = called("sweep", plan.plan_id, "--days", "0", "--dry-run")["leftovers"]
    assert {row["outcome"] for row in told} == {"would be swept"}
    assert there() >= {f"{folder}/{JOBS}old.json"}
    swept = called("sweep", plan.plan_id, "--days", "0")["leftovers"]
    assert {row["name"] for row in swept} >= {f"{folder}/{JOBS}old.json"}
    assert needed <= there()
    assert f"{folder}/{JOBS}old.json" not in there()


def called(*arguments: str) -> Any:
    said = icebridge(*arguments, "--json")
    assert said.code == 0, said.out
    return said.json

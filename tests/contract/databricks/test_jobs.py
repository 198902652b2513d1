"""Jobs 2.2 through the unmodified SDK and Airflow's own hook: one run a token, states, refusals, faults on order."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.databricks.hooks.databricks import DatabricksHook
from databricks.sdk.errors import (
    BadRequest,
    DatabricksError,
    InvalidParameterValue,
    PermissionDenied,
    ResourceDoesNotExist,
    TooManyRequests,
)
from databricks.sdk.service import jobs

from tests.support.databricks import Workspace
from tests.support.databricks_runs import Programs, spec

ANN, BOB = "ann@example.com", "bob@example.com"


@pytest.fixture
def programs(databricks_uc: Workspace) -> Iterator[Programs]:
    yield Programs(databricks_uc)
    databricks_uc.calm()
    databricks_uc.order("DELETE", "/runs/faults")
    databricks_uc.order("PATCH", "/runs", {"start_seconds": 0.1, "most_active_tasks": 2000, "page_size": 100})


@pytest.fixture
def hook(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> DatabricksHook:
    server = programs.server
    connection = {"conn_type": "databricks", "host": server.host, "schema": "http", "port": server.port}
    monkeypatch.setenv("AIRFLOW_CONN_LOCAL", json.dumps({**connection, "password": server.token("admin")}))
    return DatabricksHook("local", retry_limit=3, retry_delay=0)


def state(run: jobs.Run | jobs.RunTask) -> tuple[str, str, str, str]:
    details = run.status.termination_details
    return (run.state.life_cycle_state.value, run.state.result_state.value, details.code.value, details.type.value)


def test_a_program_runs_to_its_end(programs: Programs) -> None:
    run = programs.run("import sys; print('hello', sys.argv[1:])", "a b", "{{job.run_id}}")
    assert state(run) == state(run.tasks[0]) == ("TERMINATED", "SUCCESS", "SUCCESS", "SUCCESS")
    output = programs.output(run)
    assert output.logs == f"hello ['a b', '{run.run_id}']\n"
    assert not output.logs_truncated
    assert output.error is None
    assert run.start_time <= run.tasks[0].start_time <= run.tasks[0].end_time <= run.end_time


def test_a_program_that_raises_fails_its_task_and_makes_the_run_an_internal_error(programs: Programs) -> None:
    run = programs.run("print('before')\nraise ValueError('no such table')")
    assert state(run.tasks[0]) == ("TERMINATED", "FAILED", "RUN_EXECUTION_ERROR", "CLIENT_ERROR")
    assert state(run) == ("INTERNAL_ERROR", "FAILED", "RUN_EXECUTION_ERROR", "CLIENT_ERROR")
    assert run.state.state_message == "Task main failed with message: Workload failed, see run output for details."
    output = programs.output(run)
    assert output.error == "ValueError: no such table"
    assert 'main.py", line 2' not in output.error
    assert "line 2, in <module>" in output.error_trace
    assert output.logs.startswith("before\n")


@pytest.mark.parametrize("code", ["0", "1", "'told so'"])
def test_exit_is_an_exception_there_whatever_its_code(programs: Programs, code: str) -> None:
    run = programs.run(f"import sys\nsys.exit({code})")
    assert run.tasks[0].state.result_state is jobs.RunResultState.FAILED
    assert programs.output(run).error == f"SystemExit: {code.strip(chr(39))}"


def test_a_program_does_not_know_its_file_nor_this_project(programs: Programs) -> None:
    run = programs.run(
        "import importlib.util, os\n"
        "print('__file__' in globals(), __name__, importlib.util.find_spec('icebridge_provider'))\n"
        "print(sorted(name for name in os.environ if 'CONTEXT' in name or 'AIRFLOW' in name))\n"
        "print(os.environ['DATABRICKS_RUNTIME_VERSION'])"
    )
    assert programs.output(run).logs == "False __main__ None\n[]\n17.3\n"


def test_a_program_killed_from_outside_is_a_fault_of_the_driver(programs: Programs) -> None:
    run = programs.run("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert state(run.tasks[0]) == ("INTERNAL_ERROR", "FAILED", "DRIVER_ERROR", "INTERNAL_ERROR")


def test_the_same_token_is_the_same_run(programs: Programs) -> None:
    body = programs.body(programs.task("print(1)"), idempotency_token="same-token")
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: programs.submit(body), range(8)))) == 1
    assert programs.submit({**body, "run_name": "another"}) == programs.submit(body)
    run = programs.wait(programs.submit(body))
    programs.sdk.jobs.delete_run(run.run_id)
    with pytest.raises(InvalidParameterValue, match="was deleted"):
        programs.submit(body)
    with pytest.raises(ResourceDoesNotExist):
        programs.sdk.jobs.get_run(run.run_id)


def test_a_lost_answer_starts_one_run(programs: Programs, hook: DatabricksHook) -> None:
    body = programs.body(programs.task("print(1)"), idempotency_token="lost-answer", run_name="lost")
    programs.server.fail("lost", "/runs/submit", "POST")
    run_id = hook.submit_run(body)
    assert [run["run_id"] for run in programs.server.order("GET", "/runs") if run["run_name"] == "lost"] == [run_id]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"idempotency_token": "x" * 65}, "at most 64"),
        ({"taks": []}, "Did you mean 'tasks'"),
        ({"timeout_seconds": "10"}, "Expected Integer"),
        ({"run_name": 5}, "Expected String"),
        ({"tasks": []}, "At least one task"),
        ({"run_as": {"user_name": "a", "service_principal_name": "b"}}, "exactly one"),
    ],
)
def test_a_body_the_service_would_refuse_is_refused(programs: Programs, change: dict[str, Any], says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        programs.submit(programs.body(programs.task("print(1)")) | change)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"task_key": "a b"}, "Invalid task key"),
        ({"task_key": ""}, "Missing required field"),
        ({"notebook_task": {"notebook_path": "/x"}}, "exactly one kind"),
        ({"existing_cluster_id": "1"}, "exactly one of new_cluster"),
        ({"depends_on": [{"task_key": "main"}]}, "circle"),
        ({"depends_on": [{"task_key": "other"}]}, "not a task"),
        ({"timeout_seconds": -1}, "at least 0"),
        ({"libraries": [{"pip": "x"}]}, "Unknown field"),
        ({"spark_python_task": {"python_file": "main.py"}}, "Invalid python file URI"),
        ({"spark_python_task": {"python_file": "/a.py", "parameters": [1]}}, "Expected String"),
        ({"spark_python_task": {"python_file": "/a.py", "parameters": ["x" * 10_001]}}, "the most is 10000"),
        ({"new_cluster": None}, "Expected Object|Object for field"),
    ],
)
def test_a_task_the_service_would_refuse_is_refused(programs: Programs, change: dict[str, Any], says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        programs.submit(programs.body(programs.task("print(1)") | change))


def test_a_task_without_any_cluster_is_refused(programs: Programs) -> None:
    task = programs.task("print(1)")
    del task["new_cluster"]
    with pytest.raises(BadRequest, match="there is none"):
        programs.submit(programs.body(task))


def test_a_file_that_is_not_there_or_is_a_notebook_fails_the_run(programs: Programs) -> None:
    task = programs.task("print(1)")
    task["spark_python_task"]["python_file"] = "/Shared/none.py"
    run = programs.wait(programs.submit(programs.body(task)))
    assert state(run.tasks[0]) == ("INTERNAL_ERROR", "FAILED", "RESOURCE_NOT_FOUND", "CLIENT_ERROR")
    assert "Cannot read the python file /Shared/none.py" in run.tasks[0].state.state_message


def test_a_cancelled_run_ends_with_its_process(programs: Programs, hook: DatabricksHook) -> None:
    source = "import time, os\nprint(os.getpid(), flush=True)\nwhile True: time.sleep(0.1)"
    run_id = programs.submit(programs.body(programs.task(source)))
    started = programs.until(run_id, lambda run: run.tasks[0].state.life_cycle_state.value == "RUNNING")
    assert started.state.life_cycle_state is jobs.RunLifeCycleState.RUNNING
    hook.cancel_run(run_id)
    run = programs.wait(run_id)
    assert state(run) == ("TERMINATED", "CANCELED", "USER_CANCELED", "CLIENT_ERROR")
    assert run.state.user_cancelled_or_timedout
    hook.cancel_run(run_id)
    assert programs.sdk.clusters.get(run.tasks[0].cluster_instance.cluster_id).state.value == "TERMINATED"


def test_a_run_that_takes_too_long_is_timed_out(programs: Programs) -> None:
    body = programs.body(programs.task("import time\ntime.sleep(60)"), timeout_seconds=1)
    run = programs.wait(programs.submit(body))
    assert state(run) == ("TERMINATED", "TIMEDOUT", "CANCELED", "CLIENT_ERROR")
    task = programs.run("import time\ntime.sleep(60)", timeout_seconds=1).tasks[0]
    assert task.state.result_state is jobs.RunResultState.TIMEDOUT


def test_output_is_had_of_task_runs_only_and_only_its_end(programs: Programs) -> None:
    run = programs.run("print('x' * (5 * 1024 * 1024) + 'END')")
    with pytest.raises(InvalidParameterValue, match="multiple tasks is not supported"):
        programs.sdk.jobs.get_run_output(run.run_id)
    output = programs.output(run)
    assert output.logs_truncated
    assert output.logs.endswith("END\n")
    assert len(output.logs) == 5 * 1024 * 1024
    with pytest.raises(InvalidParameterValue, match="notebook"):
        programs.sdk.jobs.export_run(run.run_id)


def test_tasks_wait_for_each_other(programs: Programs) -> None:
    first = programs.task("raise ValueError('broken')", "first")
    then = programs.task("print('never')", "then", depends_on=[{"task_key": "first"}])
    after = programs.task("print('always')", "after", depends_on=[{"task_key": "first"}], run_if="ALL_DONE")
    run = programs.wait(programs.submit(programs.body(first, then, after)))
    ended = {task.task_key: task.state.result_state.value for task in run.tasks}
    assert ended == {"first": "FAILED", "then": "UPSTREAM_FAILED", "after": "SUCCESS"}
    assert run.state.state_message.endswith("This caused all downstream tasks to get skipped.")


def test_a_failed_task_is_tried_again_as_often_as_asked(programs: Programs) -> None:
    programs.server.order("POST", "/runs/faults", [{"kind": "CLUSTER_ERROR"}])
    run = programs.run("print('second time')", max_retries=1)
    assert run.tasks[0].attempt_number == 1
    assert state(run) == ("TERMINATED", "SUCCESS", "SUCCESS", "SUCCESS")


@pytest.mark.parametrize(
    ("kind", "ends"),
    [
        ("CLUSTER_ERROR", "INTERNAL_ERROR"),
        ("CLUSTER_REQUEST_LIMIT_EXCEEDED", "CLIENT_ERROR"),
        ("CLOUD_FAILURE", "CLOUD_FAILURE"),
        ("INTERNAL_ERROR", "INTERNAL_ERROR"),
    ],
)
def test_infrastructure_fails_on_order(programs: Programs, kind: str, ends: str) -> None:
    programs.server.order("POST", "/runs/faults", [{"kind": kind, "run_name": "test"}])
    run = programs.run("print(1)")
    assert state(run.tasks[0]) == ("INTERNAL_ERROR", "FAILED", kind, ends)
    assert state(run)[2:] == (kind, ends)
    assert programs.output(run).logs is None
    ended = programs.sdk.clusters.get(run.tasks[0].cluster_instance.cluster_id)
    assert ended.state.value == "TERMINATED"
    assert ended.termination_reason.code.value != "JOB_FINISHED"
    assert programs.run("print(1)").state.result_state is jobs.RunResultState.SUCCESS


def test_a_spot_instance_is_lost_while_the_program_runs(programs: Programs) -> None:
    programs.server.order("POST", "/runs/faults", [{"kind": "SPOT_LOST", "seconds": 3}])
    run = programs.run("import time\nprint('begun', flush=True)\ntime.sleep(60)")
    assert state(run.tasks[0]) == ("INTERNAL_ERROR", "FAILED", "CLOUD_FAILURE", "CLOUD_FAILURE")
    assert programs.output(run).logs == "begun\n"


def test_a_slow_start_is_pending_and_can_be_cancelled(programs: Programs) -> None:
    programs.server.order("POST", "/runs/faults", [{"kind": "SLOW_START", "seconds": 60}])
    run_id = programs.submit(programs.body(programs.task("print(1)")))
    run = programs.until(run_id, lambda run: run.tasks[0].cluster_instance)
    assert run.state.life_cycle_state is jobs.RunLifeCycleState.PENDING
    assert run.tasks[0].state.state_message == "Waiting for cluster"
    programs.sdk.jobs.cancel_run(run_id)
    assert programs.wait(run_id).state.result_state is jobs.RunResultState.CANCELED


def test_a_full_workspace_refuses_or_queues(programs: Programs) -> None:
    programs.server.order("PATCH", "/runs", {"most_active_tasks": 1})
    busy = programs.submit(programs.body(programs.task("import time\ntime.sleep(60)")))
    body = programs.body(programs.task("print(1)"))
    sdk = programs.server.sdk(retry_timeout_seconds=1)
    with pytest.raises((TooManyRequests, TimeoutError)):
        sdk.api_client.do("POST", "/api/2.2/jobs/runs/submit", body=body)
    waiting = programs.submit({**body, "queue": {"enabled": True}})
    run = programs.until(waiting, lambda run: run.state.life_cycle_state.value == "QUEUED")
    assert "maximum concurrent" in run.state.queue_reason
    programs.sdk.jobs.cancel_run(busy)
    assert programs.wait(waiting).state.result_state is jobs.RunResultState.SUCCESS


def test_pages_of_tasks_are_merged_by_both_clients(programs: Programs, hook: DatabricksHook) -> None:
    programs.server.order("PATCH", "/runs", {"page_size": 2, "start_seconds": 60})
    task = programs.task("print(1)")
    run_id = programs.submit(programs.body(*({**task, "task_key": f"t{number}"} for number in range(5))))
    assert [one.task_key for one in programs.sdk.jobs.get_run(run_id).tasks] == [f"t{n}" for n in range(5)]
    assert len(hook.get_run(run_id)["tasks"]) == 5
    programs.sdk.jobs.cancel_run(run_id)
    programs.wait(run_id)


def test_runs_are_listed_newest_first_in_pages(programs: Programs) -> None:
    programs.server.order("PATCH", "/runs", {"start_seconds": 60})
    body = programs.body(programs.task("print(1)"), run_name="listed")
    made = [programs.submit(body) for _ in range(5)]
    listed = list(programs.sdk.jobs.list_runs(active_only=True, limit=2))
    assert [run.run_id for run in listed if run.run_name == "listed"] == made[::-1]
    for run_id in made:
        programs.sdk.jobs.cancel_run(run_id)
    for run_id in made:
        programs.wait(run_id)
    assert not list(programs.sdk.jobs.list_runs(active_only=True))
    with pytest.raises(InvalidParameterValue):
        list(programs.sdk.jobs.list_runs(limit=100))


def test_a_run_is_seen_by_its_creator_by_whom_it_names_and_by_admins(programs: Programs) -> None:
    anns, bobs = Programs(programs.server, ANN), Programs(programs.server, BOB)
    run = anns.run("print(1)")
    assert programs.sdk.jobs.get_run(run.run_id).creator_user_name == ANN
    with pytest.raises(PermissionDenied, match="does not have View or Admin"):
        bobs.sdk.jobs.get_run(run.run_id)
    assert run.run_id not in {one.run_id for one in bobs.sdk.jobs.list_runs()}
    view = [{"user_name": BOB, "permission_level": "CAN_VIEW"}]
    run_id = anns.submit(anns.body(anns.task("print(1)"), access_control_list=view))
    assert bobs.wait(run_id)
    with pytest.raises(PermissionDenied, match="Manage Run"):
        bobs.sdk.jobs.cancel_run(run_id)


def test_only_admins_run_as_somebody_else(programs: Programs) -> None:
    body = programs.body(programs.task("print(1)", cluster={"single_user_name": BOB}), run_as={"user_name": BOB})
    with pytest.raises(PermissionDenied, match="not authorized to run a job as"):
        Programs(programs.server, ANN).submit(body)
    run_id = programs.submit(body)
    programs.wait(run_id)
    [told] = [run for run in programs.server.order("GET", "/runs") if run["run_id"] == run_id]
    assert told["run_as"] == BOB


def test_runs_that_are_unknown_are_refused_as_the_service_does(programs: Programs, hook: DatabricksHook) -> None:
    with pytest.raises(ResourceDoesNotExist, match="Run 5 does not exist"):
        programs.sdk.jobs.get_run(5)
    with pytest.raises(DatabricksError):
        programs.sdk.jobs.cancel_run(5)
    with pytest.raises(Exception, match="does not exist"):
        hook.get_run(5)


def test_a_job_is_made_run_failed_and_repaired(programs: Programs, hook: DatabricksHook) -> None:
    marker = programs.server.folder / "marker"
    flaky = f"import os\nassert os.path.exists({str(marker)!r}), 'not yet'\nprint('now')"
    settings = programs.body(programs.task("print('fine')", "fine"), programs.task(flaky, "flaky"))
    del settings["run_name"]
    job_id = hook.create_job({"name": "nightly", **settings})
    assert hook.find_job_id_by_name("nightly") == job_id
    run = programs.wait(hook.run_now({"job_id": job_id}))
    assert state(run)[1] == "FAILED"
    assert hook.get_latest_repair_id(run.run_id) is None
    marker.touch()
    repair = hook.repair_run({"run_id": run.run_id, "rerun_all_failed_tasks": True})
    assert state(programs.wait(run.run_id))[1] == "SUCCESS"
    assert hook.get_latest_repair_id(run.run_id) == repair
    with pytest.raises(InvalidParameterValue, match="latest_repair_id"):
        programs.sdk.jobs.repair_run(run.run_id, rerun_tasks=["fine"])


def test_a_submitted_run_cannot_be_repaired(programs: Programs) -> None:
    run = programs.run("raise ValueError('no')")
    with pytest.raises(InvalidParameterValue, match="not a run of a job"):
        programs.sdk.jobs.repair_run(run.run_id, rerun_all_failed_tasks=True)


def test_the_hook_reads_states_as_they_are(programs: Programs, hook: DatabricksHook) -> None:
    run = programs.run("print(1)")
    assert hook.get_run_state(run.run_id).is_successful
    assert hook.test_connection()[0]
    assert hook.get_run_output(run.tasks[0].run_id)["logs"] == "1\n"
    assert str(run.run_id) in hook.get_run_page_url(run.run_id)


def test_the_hook_for_triggers_asks_in_a_body_and_is_answered(programs: Programs, hook: DatabricksHook) -> None:
    run = programs.run("print(1)")

    async def ask() -> tuple[Any, str]:
        async with hook:
            output = await hook.a_get_run_output(run.tasks[0].run_id)
            return await hook.a_get_run_state(run.run_id), output["logs"]

    ended, logs = asyncio.run(ask())
    assert ended.is_successful
    assert logs == "1\n"


def test_the_sdk_s_own_objects_are_taken(programs: Programs) -> None:
    program = jobs.SparkPythonTask(python_file=programs.upload("print(1)"), source=jobs.Source.WORKSPACE)
    task = jobs.SubmitTask(task_key="main", spark_python_task=program, new_cluster=spec())
    run = programs.sdk.jobs.submit(run_name="sdk", tasks=[task], queue=jobs.QueueSettings(enabled=True)).result()
    assert state(run)[1] == "SUCCESS"


def test_no_program_outlives_the_workspace(tmp_path: Path) -> None:
    with Workspace(tmp_path, spark=False) as server:
        programs = Programs(server)
        source = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)"
        run = programs.until(
            programs.submit(programs.body(programs.task(source))), lambda run: run.tasks[0].cluster_instance
        )
        limit = time.monotonic() + 20
        while not (logs := programs.output(run).logs):
            assert time.monotonic() < limit
            time.sleep(0.05)
        server._process.kill()
    while Path(f"/proc/{int(logs)}").exists():
        assert time.monotonic() < limit
        time.sleep(0.05)

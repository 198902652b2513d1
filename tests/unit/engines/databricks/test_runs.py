"""What a run says of itself: whose fault its end is, and which sentence a person reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from icebridge_provider.engines.databricks.runs import End, Output, Run, failure, output_of, run_of


def answer(state: str, result: str = "", code: str = "", kind: str = "CLIENT_ERROR", **more: Any) -> dict[str, Any]:
    """A parent run and its task, as Jobs 2.2 shows them."""
    details = {"termination_details": {"code": code, "type": kind, "message": "told"}} if code else {}
    block = {"life_cycle_state": state, **({"result_state": result} if result else {})}
    task = {"run_id": 12, "task_key": "bulk_copy", "state": block, "status": {"state": "TERMINATED", **details}}
    return {"run_id": 11, "run_page_url": "http://x", "state": block, "tasks": [task], **more}


@pytest.mark.parametrize("state", ["PENDING", "QUEUED", "RUNNING", "TERMINATING", "BLOCKED", "WAITING_FOR_RETRY"])
def test_a_run_goes_on(state: str) -> None:
    assert run_of(answer(state)).end is None


@pytest.mark.parametrize(
    ("given", "end"),
    [
        (answer("TERMINATED", "SUCCESS", "SUCCESS", "SUCCESS"), End.SUCCESS),
        (answer("TERMINATED", "FAILED", "RUN_EXECUTION_ERROR"), End.PROGRAM),
        # a failed program makes the parent INTERNAL_ERROR: that is no infrastructure
        (answer("INTERNAL_ERROR", "FAILED", "RUN_EXECUTION_ERROR"), End.PROGRAM),
        (answer("TERMINATED", "FAILED"), End.PROGRAM),
        (answer("INTERNAL_ERROR"), End.LOST),
        (answer("INTERNAL_ERROR", "FAILED", "CLUSTER_ERROR", "INTERNAL_ERROR"), End.LOST),
        (answer("INTERNAL_ERROR", "FAILED", "CLUSTER_REQUEST_LIMIT_EXCEEDED"), End.LOST),
        (answer("INTERNAL_ERROR", "FAILED", "CLOUD_FAILURE", "CLOUD_FAILURE"), End.LOST),
        (answer("INTERNAL_ERROR", "FAILED", "DRIVER_ERROR", "INTERNAL_ERROR"), End.LOST),
        (answer("INTERNAL_ERROR", "FAILED", "SOMETHING_NEW", "CLOUD_FAILURE"), End.LOST),
        (answer("INTERNAL_ERROR", "FAILED", "SOMETHING_NEW", "CLIENT_ERROR"), End.REFUSED),
        (answer("INTERNAL_ERROR", "FAILED", "INVALID_CLUSTER_REQUEST"), End.REFUSED),
        (answer("INTERNAL_ERROR", "FAILED", "UNAUTHORIZED_ERROR"), End.REFUSED),
        (answer("SKIPPED", "MAXIMUM_CONCURRENT_RUNS_REACHED", "MAX_CONCURRENT_RUNS_EXCEEDED"), End.LOST),
        (answer("TERMINATED", "CANCELED", "USER_CANCELED"), End.STOPPED),
        (answer("TERMINATED", "TIMEDOUT", "CANCELED"), End.STOPPED),
    ],
)
def test_its_end_is_somebodys(given: dict[str, Any], end: End) -> None:
    run = run_of(given)
    assert (run.end, run.run_id, run.task_run_id, run.page) == (end, "11", "12", "http://x")


def test_the_newer_state_is_read_where_the_older_is_missing() -> None:
    run = run_of({"run_id": 1, "status": {"state": "TERMINATED", "termination_details": {"code": "CLUSTER_ERROR"}}})
    assert (run.end, run.task_run_id) == (End.LOST, "")


def test_no_credential_gets_into_a_message() -> None:
    said = answer("INTERNAL_ERROR", "FAILED", "CLOUD_FAILURE", "CLOUD_FAILURE")
    said["tasks"][0]["status"]["termination_details"]["message"] = "GET https://u:hunter2@host/ failed"
    assert "hunter2" not in run_of(said).message


def result_line(*tables: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"logs": "x\nICEBRIDGE_RESULT {}\nICEBRIDGE_RESULT " + json.dumps({"tables": tables, **more}) + "\n"}


RUN = Run(run_id="5", state="TERMINATED FAILED", end=End.PROGRAM, message="told")
LOST = Run(run_id="5", state="INTERNAL_ERROR", end=End.LOST, message="cluster gone")
FAILED = {"token": "t", "state": "failed", "problem": "[X] password=hunter2"}


@pytest.mark.parametrize(
    ("run", "output", "said", "retryable"),
    [
        (RUN, output_of(result_line(FAILED)), "[X] password=***", False),
        (LOST, output_of(result_line(FAILED)), "[X]", False),
        (RUN, output_of(result_line({"token": "t", "state": "lost", "problem": "no Spark"})), "lost: no Spark", True),
        (LOST, Output(), "lost: cluster gone", True),
        (RUN, output_of(result_line({"token": "t", "state": "done"})), "dropped or replaced it", False),
        (RUN, output_of(result_line(problem="no list")), "did not copy it: no list", False),
        (RUN, output_of({"logs": "Killed", "error": "exit 137"}), "without saying how: exit 137", False),
        (RUN, output_of(None), "without saying how: told", False),
        (Run(run_id="5", state="CANCELED", end=End.STOPPED), Output(), "stopped before", False),
        (Run(run_id="5", state="x", end=End.REFUSED, message="bad node"), Output(), "could not start: bad node", False),
    ],
)
def test_a_table_that_is_not_there_is_explained(run: Run, output: Output, said: str, retryable: bool) -> None:
    problem, again = failure(run, output, "t")
    assert said in problem
    assert again is retryable


@pytest.mark.parametrize("line", ["ICEBRIDGE_RESULT", "ICEBRIDGE_RESULT {", 'ICEBRIDGE_RESULT {"tables": [1]}', ""])
def test_a_line_that_was_cut_off_is_none(line: str) -> None:
    assert output_of({"logs": line}) == Output()

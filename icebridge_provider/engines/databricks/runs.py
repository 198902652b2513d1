"""What a job run says of itself, read from the JSON of Jobs 2.2. Pure.

A program that fails makes the *parent* run ``INTERNAL_ERROR``, so that state says nothing of the infrastructure: the
termination code of the task decides, then that of the run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from icebridge_provider.model.redaction import scrubbed

RESULT_LINE = "ICEBRIDGE_RESULT "
LONGEST = 1500
_OVER = frozenset({"TERMINATED", "SKIPPED", "INTERNAL_ERROR"})
_STOPPED = frozenset({"CANCELED", "TIMEDOUT", "USER_CANCELED", "UPSTREAM_CANCELED"})
# Termination codes after which the same run may succeed: the cloud, the cluster, a limit that others use up.
_LOST = frozenset(
    {
        "CLOUD_FAILURE",
        "CLUSTER_ERROR",
        "CLUSTER_REQUEST_LIMIT_EXCEEDED",
        "DRIVER_ERROR",
        "INTERNAL_ERROR",
        "MAX_CONCURRENT_RUNS_EXCEEDED",
        "MAX_JOB_QUEUE_SIZE_EXCEEDED",
        "MAX_SPARK_CONTEXTS_EXCEEDED",
        "STORAGE_ACCESS_ERROR",
        "WORKSPACE_RUN_LIMIT_EXCEEDED",
    }
)


class End(StrEnum):
    """How a run ended: the program's own end, somebody stopped it, nobody could start it, or it was lost."""

    SUCCESS = "success"
    PROGRAM = "program"
    STOPPED = "stopped"
    REFUSED = "refused"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run; ``end`` is None while it goes on. ``task_run_id`` is what its output is asked by."""

    run_id: str
    state: str
    end: End | None = None
    message: str = ""
    page: str = ""
    task_run_id: str = ""

    def facts(self) -> dict[str, Any]:
        """Return what a person wants to see of it."""
        return {"run_id": self.run_id, "run_page_url": self.page, "state": self.state}


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What the program printed last: results by token, and what stopped all of it. ``told`` is False for no such line.

    ``error`` is what the workspace says of the program's end.
    """

    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    problem: str = ""
    told: bool = False
    error: str = ""


def run_of(answer: Mapping[str, Any]) -> Run:
    """Return the run that ``runs/get`` shows."""
    tasks = answer.get("tasks") or [{}]
    task = tasks[0]
    state, result = _words(answer)
    details = [_details(task), _details(answer)]
    messages = [found.get("message") for found in details]
    messages += [(holder.get("state") or {}).get("state_message") for holder in (task, answer)]
    said = next((message for message in messages if message), "")
    return Run(
        run_id=str(answer["run_id"]),
        state=f"{state} {result}".strip(),
        end=_end(state, result, details) if state in _OVER else None,
        message=scrubbed(" ".join(str(said).split()))[:LONGEST],
        page=str(answer.get("run_page_url", "")),
        task_run_id=str(task.get("run_id", "")),
    )


def _words(answer: Mapping[str, Any]) -> tuple[str, str]:
    state = answer.get("state") or {}
    word = state.get("life_cycle_state") or (answer.get("status") or {}).get("state", "")
    return str(word), str(state.get("result_state", ""))


def _details(holder: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (holder.get("status") or {}).get("termination_details") or {}
    return found


def _end(state: str, result: str, details: list[Mapping[str, Any]]) -> End:
    found = next((detail for detail in details if detail.get("code")), {})
    code, kind = str(found.get("code", "")), str(found.get("type", ""))
    if result == "SUCCESS":
        return End.SUCCESS
    if result in _STOPPED or code in _STOPPED:
        return End.STOPPED
    if code == "RUN_EXECUTION_ERROR":
        return End.PROGRAM
    if code in _LOST or kind in {"CLOUD_FAILURE", "INTERNAL_ERROR"}:
        return End.LOST
    if code:
        return End.REFUSED
    return End.LOST if state == "INTERNAL_ERROR" else End.PROGRAM


def output_of(answer: Mapping[str, Any] | None) -> Output:
    """Return what ``runs/get-output`` shows; an answer without the program's last line is no error."""
    if answer is None:
        return Output()
    error = scrubbed(" ".join(str(answer.get("error", "")).split()))[:LONGEST]
    lines = [line for line in str(answer.get("logs") or "").splitlines() if line.startswith(RESULT_LINE)]
    try:
        said = json.loads(lines[-1].removeprefix(RESULT_LINE))
        tables = {str(item["token"]): item for item in said["tables"]}
    except (IndexError, ValueError, TypeError, KeyError):
        return Output(error=error)
    return Output(tables=tables, problem=scrubbed(str(said.get("problem", "")))[:LONGEST], told=True, error=error)


def failure(run: Run, output: Output, token: str) -> tuple[str, bool]:
    """Return why a table is not there after a run that is over, and whether another run may bring it."""
    told = output.tables.get(token, {})
    problem = scrubbed(str(told.get("problem", "")))[:LONGEST]
    where = f"run {run.run_id}"
    if told.get("state") == "failed":
        return problem or f"{where} failed on it and does not say why", False
    if run.end is End.LOST or told.get("state") == "lost":
        return f"{where} was lost: {problem or run.message or run.state}", True
    if run.end is End.STOPPED:
        return f"{where} was stopped before the table was copied: {run.message or run.state}", False
    if run.end is End.REFUSED:
        return f"{where} could not start: {run.message or run.state}", False
    if told.get("state") in {"done", "found"}:
        return f"{where} copied it, but its table is not there: somebody dropped or replaced it", False
    if output.told:
        return f"{where} did not copy it: {output.problem or 'its job file had other tables'}", False
    return f"{where} ended without saying how: {output.error or run.message or run.state}", False

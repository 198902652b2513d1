"""Runs as the API tells them: pages of tasks, lists, output, and who may see or change which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.peers.databricks.errors import ApiError, invalid
from tests.peers.databricks.requests_in import needed_number, number, page_of, switch
from tests.peers.databricks.run_model import Run, TaskRun
from tests.peers.databricks.runs import Runs

MOST_LOG_BYTES = 5 * 1024 * 1024
MOST_LISTED = 26


@dataclass
class Answers:
    """Reads the runs of a workspace for a principal."""

    runs: Runs

    def run(self, run_id: int, principal: str, *, change: bool = False) -> Run:
        """A run by its own id or a task's; 400 as the service answers for one that is not there."""
        run = self.runs.runs.get(run_id) or (self.runs.tasks[run_id][0] if run_id in self.runs.tasks else None)
        if run is None or run.run_id not in self.runs.runs:
            raise invalid(f"Run {run_id} does not exist.")
        allowed = {run.creator, "admins", *run.keepers, *(() if change else run.viewers)}
        if not allowed & {principal, *self.runs.world.groups_of(principal)}:
            right = "Manage Run" if change else "View"
            raise ApiError(
                403, "PERMISSION_DENIED", f"User {principal} does not have {right} or Admin permissions on run {run_id}"
            )
        return run

    def get(self, asked: Mapping[str, str], principal: str) -> dict[str, Any]:
        """runs/get: one page of the arrays, everything else on every page."""
        run_id = needed_number(asked, "run_id")
        run = self.run(run_id, principal)
        found = run.as_json()
        if run_id != run.run_id:
            task = self.runs.tasks[run_id][1]
            return found | {"run_id": run_id, "run_page_url": task.page_url, "tasks": [task.as_json()]}
        page = asked.get("page_token")
        tasks, token = page_of(run.tasks, page, self.runs.orders.page_size)
        found |= {"tasks": [task.as_json() for task in tasks], "job_clusters": [], "job_parameters": []}
        found |= {"job_clusters": run.settings.get("job_clusters") or []} if not page else {}
        found["job_parameters"] = [{"name": k, "value": v} for k, v in run.parameters.items()] if not page else []
        if switch(asked, "include_history"):
            found["repair_history"] = _history(run) if not page else []
        return found | ({"next_page_token": token} if token else {})

    def list(self, asked: Mapping[str, str], principal: str) -> dict[str, Any]:
        """runs/list: newest first."""
        limit = number(asked, "limit", 20)
        if limit is None or not 0 <= limit < MOST_LISTED:
            raise invalid(f"Invalid limit {limit}: it must be between 1 and 25.")
        active, completed = switch(asked, "active_only"), switch(asked, "completed_only")
        if active and completed:
            raise invalid("active_only and completed_only cannot both be true.")
        wanted = {True} if active else {False} if completed else {True, False}
        found = [run for run in self._visible(asked, principal) if run.active in wanted]
        runs, token = page_of(found, asked.get("page_token"), limit or 25)
        listed = [self._listed(run, expand=switch(asked, "expand_tasks")) for run in runs]
        answer: dict[str, Any] = {"has_more": bool(token)} | ({"runs": listed} if listed else {})
        return answer | ({"next_page_token": token} if token else {})

    def _visible(self, asked: Mapping[str, str], principal: str) -> list[Run]:
        job, kind = number(asked, "job_id"), asked.get("run_type")
        since, until = number(asked, "start_time_from", 0), number(asked, "start_time_to")
        found = []
        for run in sorted(self.runs.runs.values(), key=lambda one: -one.started):
            fits = job in {None, run.job_id} and kind in {None, run.kind} and run.started >= (since or 0)
            if fits and (until is None or run.started <= until) and self._may_see(run, principal):
                found.append(run)
        return found

    def _may_see(self, run: Run, principal: str) -> bool:
        try:
            self.run(run.run_id, principal)
        except ApiError:
            return False
        return True

    @staticmethod
    def _listed(run: Run, *, expand: bool) -> dict[str, Any]:
        return run.as_json() | ({"tasks": [task.as_json() for task in run.tasks[:100]]} if expand else {})

    def output(self, asked: Mapping[str, str], principal: str) -> dict[str, Any]:
        """runs/get-output of one task run."""
        run_id = needed_number(asked, "run_id")
        run = self.run(run_id, principal)
        if run_id == run.run_id:
            raise invalid(
                "Retrieving the output of runs with multiple tasks is not supported. "
                "Please retrieve the output of each individual task run instead."
            )
        task = self.runs.tasks[run_id][1]
        logs, truncated = _logs(task)
        blocks = {name: task.as_json()[name] for name in ("state", "status")}
        found = {"metadata": {**run.as_json(), "run_id": run_id, "tasks": [task.as_json()], **blocks}}
        if task.log is not None:
            found |= {"logs": logs, "logs_truncated": truncated}
        if task.error:
            found |= {"error": _hidden(task.error, task), "error_trace": _hidden(task.trace, task)}
        elif task.message and task.code not in {"", "SUCCESS"}:
            found["error"] = task.message
        return found


def _logs(task: TaskRun) -> tuple[str, bool]:
    """The last 5 MB of what a program printed, with its secrets hidden."""
    if task.log is None or not task.log.exists():
        return "", False
    raw = task.log.read_bytes()
    text = raw[-MOST_LOG_BYTES:].decode(errors="replace")
    return _hidden(text, task), len(raw) > MOST_LOG_BYTES


def _hidden(text: str, task: TaskRun) -> str:
    for value in task.hidden:
        text = text.replace(value, "[REDACTED]") if value else text
    return text


def _history(run: Run) -> Sequence[dict[str, Any]]:
    first = {
        "type": "ORIGINAL",
        "start_time": run.started,
        "end_time": run.ended,
        "task_run_ids": [task.run_id for task in (run.earlier or run.tasks)],
        **run.blocks(),
    }
    return [first, *run.history]

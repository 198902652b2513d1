"""Jobs 2.2: submit, run, watch, cancel, repair, delete; jobs kept; what a test may order of runs."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Depends

from tests.peers.databricks import job_shapes as shapes
from tests.peers.databricks import run_sql, workspace_files
from tests.peers.databricks.auth import admin, caller
from tests.peers.databricks.errors import ApiError, invalid
from tests.peers.databricks.job_checks import check_parameters, check_token, checked_tasks, principal_of
from tests.peers.databricks.model import now_ms
from tests.peers.databricks.requests_in import ASKED, BODY, needed_number, number, page_of, switch
from tests.peers.databricks.run_answers import Answers
from tests.peers.databricks.run_model import Run, RunBearer, TaskRun, new_number
from tests.peers.databricks.run_orders import Order
from tests.peers.databricks.runs import Runs, runs_of
from tests.peers.databricks.shapes import check
from tests.peers.databricks.world import World

KEEP = frozenset({"CAN_MANAGE_RUN", "CAN_MANAGE", "IS_OWNER"})


@dataclass
class Jobs:
    """The jobs of a workspace and the making of runs."""

    world: World
    runs: Runs
    answers: Answers
    jobs: dict[int, dict[str, Any]] = field(default_factory=dict)

    def submit(self, body: Any, principal: str) -> dict[str, Any]:
        """runs/submit: one run for one idempotency token, however often it is asked for."""
        check(body, shapes.SUBMIT)
        check_token(body.get("idempotency_token", ""))
        run_as = principal_of(body, principal, admin=self._is_admin(principal))
        settings = {**body, "tasks": checked_tasks(body, run_as, self.runs.clusters)}

        def make() -> Run:
            return self._run(settings, principal, run_as, "SUBMIT_RUN", body.get("run_name", "Untitled"))

        return {"run_id": self.runs.once(body.get("idempotency_token", ""), make).run_id}

    def _run(self, settings: dict[str, Any], creator: str, run_as: str, kind: str, name: str, **more: Any) -> Run:
        url = f"{self.world.url}/?o={self.world.workspace_id}"
        run = Run(name=name, kind=kind, creator=creator, run_as=run_as, settings=settings, url=url, **more)
        for entry in settings.get("access_control_list") or ():
            who = entry.get("user_name") or entry.get("group_name") or entry.get("service_principal_name") or ""
            (run.keepers if entry.get("permission_level") in KEEP else run.viewers).add(who)
        run.tasks = [
            TaskRun(key=task["task_key"], spec=task, page_url=f"{run.page_url}?task={task['task_key']}")
            for task in settings["tasks"]
        ]
        return run

    def _is_admin(self, principal: str) -> bool:
        return "admins" in self.world.groups_of(principal)

    # Jobs

    def create(self, body: Any, principal: str) -> dict[str, Any]:
        """jobs/create."""
        check(body, shapes.CREATE)
        run_as = principal_of(body, principal, admin=self._is_admin(principal))
        if body.get("tasks"):
            checked_tasks(body, run_as, self.runs.clusters)
        job_id = new_number()
        settings = {"format": "MULTI_TASK", "max_concurrent_runs": 1, "name": "Untitled", **body}
        acl = settings.pop("access_control_list", [])
        self.jobs[job_id] = {
            "job_id": job_id,
            "creator_user_name": principal,
            "run_as_user_name": run_as,
            "created_time": now_ms(),
            "settings": settings,
            "acl": acl,
        }
        return {"job_id": job_id}

    def job(self, job_id: int, principal: str) -> dict[str, Any]:
        """A job; 400 as the service answers for one that is not there."""
        job = self.jobs.get(job_id)
        if job is None:
            raise invalid(f"Job {job_id} does not exist.")
        if principal != job["creator_user_name"] and not self._is_admin(principal):
            raise ApiError(
                403, "PERMISSION_DENIED", f"User {principal} does not have View or Admin permissions on job {job_id}"
            )
        return job

    def change(self, body: Any, principal: str, *, whole: bool) -> dict[str, Any]:
        """jobs/reset and jobs/update."""
        body = shapes.numbers(body, "job_id")
        check(body, shapes.RESET if whole else shapes.UPDATE)
        job = self.job(body["job_id"], principal)
        settings = {} if whole else dict(job["settings"])
        for name in body.get("fields_to_remove", []):
            settings.pop(name, None)
        settings |= body.get("new_settings", {})
        checked_tasks(settings, job["run_as_user_name"], self.runs.clusters)
        job["settings"] = settings
        return {}

    def run_now(self, body: Any, principal: str) -> dict[str, Any]:
        """jobs/run-now."""
        body = shapes.numbers(body, "job_id")
        check(body, shapes.RUN_NOW)
        check_token(body.get("idempotency_token", ""))
        check_parameters(body.get("python_params", []), "python_params")
        job = self.job(body["job_id"], principal)
        settings = job["settings"]
        settings = {**settings, "tasks": checked_tasks(settings, job["run_as_user_name"], self.runs.clusters)}
        unknown = set(body.get("only", [])) - {task["task_key"] for task in settings["tasks"]}
        if unknown:
            raise invalid(f"The job has no task {', '.join(sorted(unknown))}.")
        defaults = {one["name"]: one.get("default", "") for one in settings.get("parameters") or ()}

        def make() -> Run:
            parameters = {**defaults, **body.get("job_parameters", {})}
            more = {"job_id": job["job_id"], "parameters": parameters, "python_params": body.get("python_params")}
            return self._run(settings, principal, job["run_as_user_name"], "JOB_RUN", settings["name"], **more)

        run = self.runs.once(body.get("idempotency_token", ""), make)
        return {"run_id": run.run_id, "number_in_job": run.number_in_job or run.run_id}

    def list_jobs(self, asked: Mapping[str, str], principal: str) -> dict[str, Any]:
        """jobs/list."""
        name = asked.get("name", "").lower()
        mine = [job for job in self.jobs.values() if self._is_admin(principal) or job["creator_user_name"] == principal]
        found = [job for job in reversed(mine) if not name or job["settings"]["name"].lower() == name]
        jobs, token = page_of(found, asked.get("page_token"), number(asked, "limit", 20) or 20)
        told = [self.told(job, tasks=switch(asked, "expand_tasks")) for job in jobs]
        answer: dict[str, Any] = {"has_more": bool(token)} | ({"jobs": told} if told else {})
        return answer | ({"next_page_token": token} if token else {})

    @staticmethod
    def told(job: dict[str, Any], *, tasks: bool = True) -> dict[str, Any]:
        """A job as JSON."""
        settings = {
            name: value for name, value in job["settings"].items() if tasks or name not in {"tasks", "job_clusters"}
        }
        return {name: value for name, value in job.items() if name != "acl"} | {"settings": settings}

    # Runs

    def cancel(self, body: Any, principal: str) -> dict[str, Any]:
        """runs/cancel: asked for, done soon after; nothing happens to a run that has ended."""
        body = shapes.numbers(body, "run_id")
        check(body, shapes.ONE_RUN)
        run = self.answers.run(body["run_id"], principal, change=True)
        if run.active:
            run.ask_to_stop("USER_CANCELED")
        return {}

    def cancel_all(self, body: Any, principal: str) -> dict[str, Any]:
        """runs/cancel-all of a job."""
        body = shapes.numbers(body, "job_id")
        check(body, shapes.CANCEL_ALL)
        for run in list(self.runs.runs.values()):
            if run.job_id == body.get("job_id") and run.active:
                self.answers.run(run.run_id, principal, change=True).ask_to_stop("USER_CANCELED")
        return {}

    def delete(self, body: Any, principal: str) -> dict[str, Any]:
        """runs/delete of a run that has ended."""
        body = shapes.numbers(body, "run_id")
        check(body, shapes.ONE_RUN)
        run = self.answers.run(body["run_id"], principal, change=True)
        if run.active:
            raise ApiError(400, "INVALID_STATE", f"Run {run.run_id} is active and cannot be deleted.")
        del self.runs.runs[run.run_id]
        return {}

    def repair(self, body: Any, principal: str) -> dict[str, Any]:
        """runs/repair: failed or named tasks of a job's run again."""
        body = shapes.numbers(body, "run_id", "latest_repair_id")
        check(body, shapes.REPAIR)
        run = self.answers.run(body["run_id"], principal, change=True)
        if run.kind != "JOB_RUN":
            raise invalid(f"Run {run.run_id} is not a run of a job and cannot be repaired.")
        if run.active:
            raise ApiError(400, "INVALID_STATE", f"Run {run.run_id} is active and cannot be repaired.")
        latest = run.history[-1]["id"] if run.history else None
        if body.get("latest_repair_id") != latest:
            raise invalid(f"The latest_repair_id is {latest}, not {body.get('latest_repair_id')}.")
        keys = _keys_to_repair(run, body)
        repair = {"id": new_number(), "type": "REPAIR", "start_time": now_ms()}
        fresh = self.runs.again(run, keys)
        run.history.append({**repair, "task_run_ids": [task.run_id for task in fresh], **run.blocks()})
        return {"repair_id": repair["id"]}

    def export(self, asked: Mapping[str, str], principal: str) -> dict[str, Any]:
        """runs/export: notebooks only, and the stand-in runs none."""
        run = self.answers.run(needed_number(asked, "run_id"), principal)
        raise invalid(f"Run {run.run_id} cannot be exported: only runs of notebook tasks can.")


def _keys_to_repair(run: Run, body: dict[str, Any]) -> list[str]:
    failed = [task.key for task in run.tasks if task.code != "SUCCESS"]
    keys = failed if body.get("rerun_all_failed_tasks") else body.get("rerun_tasks", [])
    unknown = set(keys) - {task.key for task in run.tasks}
    if unknown or not keys:
        raise invalid(f"There is no task to repair: {', '.join(sorted(unknown)) or 'none was named and none failed'}.")
    waiting = True
    while body.get("rerun_dependent_tasks") and waiting:
        needing = [t for t in run.tasks if {n["task_key"] for n in t.spec.get("depends_on") or ()} & set(keys)]
        waiting = [task.key for task in needing if task.key not in keys]
        keys = [*keys, *waiting]
    return keys


def router(world: World) -> APIRouter:
    """The routes of Jobs 2.2, of workspace files (which hold programs), and the orders of tests."""
    api, runs = APIRouter(), runs_of(world)
    jobs = Jobs(world, runs, Answers(runs))
    who = Depends(caller(world))
    _run_routes(api, jobs, who)
    _job_routes(api, jobs, who)
    _order_routes(api, jobs, Depends(admin(world)))
    for inner in (workspace_files, run_sql):
        api.include_router(inner.router(world))
    return api


def _run_routes(api: APIRouter, jobs: Jobs, who: Any) -> None:
    posts = {"submit": jobs.submit, "cancel": jobs.cancel, "cancel-all": jobs.cancel_all}
    posts |= {"delete": jobs.delete, "repair": jobs.repair}
    for name, act in posts.items():
        api.add_api_route(f"/api/2.2/jobs/runs/{name}", _post(act, who), methods=["POST"])
    gets = {
        "get": jobs.answers.get,
        "list": jobs.answers.list,
        "get-output": jobs.answers.output,
        "export": jobs.export,
    }
    for name, ask in gets.items():
        api.add_api_route(f"/api/2.2/jobs/runs/{name}", _get(ask, who), methods=["GET"])


def _post(act: Any, who: Any) -> Any:
    def answer(body: Any = BODY, principal: str = who) -> dict[str, Any]:
        return act(body, principal)

    return answer


def _get(ask: Any, who: Any) -> Any:
    def answer(given: Any = ASKED, principal: str = who) -> dict[str, Any]:
        return ask(given, principal)

    return answer


def _job_routes(api: APIRouter, jobs: Jobs, who: Any) -> None:
    def delete(body: Any, principal: str) -> dict[str, Any]:
        body = shapes.numbers(body, "job_id")
        check(body, shapes.ONE_JOB)
        jobs.job(body["job_id"], principal)
        del jobs.jobs[body["job_id"]]
        return {}

    def get(asked: Mapping[str, str], principal: str) -> dict[str, Any]:
        return jobs.told(jobs.job(needed_number(asked, "job_id"), principal))

    posts = {"create": jobs.create, "run-now": jobs.run_now, "delete": delete}
    posts |= {"reset": lambda body, principal: jobs.change(body, principal, whole=True)}
    posts |= {"update": lambda body, principal: jobs.change(body, principal, whole=False)}
    for name, act in posts.items():
        api.add_api_route(f"/api/2.2/jobs/{name}", _post(act, who), methods=["POST"])
    for name, ask in {"get": get, "list": jobs.list_jobs}.items():
        api.add_api_route(f"/api/2.2/jobs/{name}", _get(ask, who), methods=["GET"])


def _order_routes(api: APIRouter, jobs: Jobs, is_admin: Any) -> None:
    orders = jobs.runs.orders

    @api.post("/admin/runs/faults", dependencies=[is_admin])
    def order(body: Any = BODY) -> dict[str, Any]:
        known = {one.name for one in dataclasses.fields(Order)}
        for one in body:
            if unknown := set(one) - known:
                raise invalid(f"Unknown keys of a fault of runs: {sorted(unknown)}.")
            re.compile(one.get("run_name", "")), re.compile(one.get("task_key", ""))
        orders.faults += [Order(**one) for one in body]
        return {}

    @api.delete("/admin/runs/faults", dependencies=[is_admin])
    def calm() -> dict[str, Any]:
        orders.faults = []
        return {}

    @api.patch("/admin/runs", dependencies=[is_admin])
    def change(body: Any = BODY) -> dict[str, Any]:
        for name, value in body.items():
            if name not in {"start_seconds", "most_active_tasks", "page_size"}:
                raise invalid(f"Unknown setting of runs '{name}'.")
            setattr(orders, name, value)
        return {}

    @api.get("/admin/runs", dependencies=[is_admin])
    def every() -> list[dict[str, Any]]:
        tokens = {run_id: token for token, run_id in jobs.runs.tokens.items()}
        return [_told(jobs, run, tokens.get(run.run_id, "")) for run in list(jobs.runs.runs.values())]


def _told(jobs: Jobs, run: Run, token: str) -> dict[str, Any]:
    """A run with what only a test may know: its idempotency token, and how many statements it has on the engine."""
    tags = {f"run-{task.run_id}" for task in run.tasks}
    bearers = [one for one in list(jobs.world.bearers.values()) if isinstance(one, RunBearer) and one.tag in tags]
    more = {"idempotency_token": token, "run_as": run.run_as, "active": run.active}
    return run.as_json() | more | {"statements": sum(len(bearer.statements) for bearer in bearers)}

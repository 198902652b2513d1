"""Runs: a thread a task takes it from BLOCKED to TERMINATED and truly runs its program in between."""

from __future__ import annotations

import functools
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.peers.databricks.clusters import Cluster, Clusters, clusters_of
from tests.peers.databricks.errors import ApiError, invalid
from tests.peers.databricks.model import now_ms
from tests.peers.databricks.outcomes import INFRASTRUCTURE, WORKLOAD, Ended, may_start, of_run
from tests.peers.databricks.run_model import Run, RunBearer, TaskRun, new_number
from tests.peers.databricks.run_orders import Order, Orders
from tests.peers.databricks.run_process import Running
from tests.peers.databricks.run_program import program_of
from tests.peers.databricks.run_sql import interrupt
from tests.peers.databricks.world import World

TICK_SECONDS = 0.1


class Stopped(Exception):
    """The whole run is to stop."""


@dataclass
class Runs:
    """All runs of a workspace."""

    world: World
    clusters: Clusters
    orders: Orders = field(default_factory=Orders)
    runs: dict[int, Run] = field(default_factory=dict)
    tasks: dict[int, tuple[Run, TaskRun]] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def once(self, token: str, make: Any) -> Run:
        """The run with an idempotency token, made by `make` if there is none; an error when it was deleted."""
        with self.lock:
            known = self.tokens.get(token) if token else None
            if known is None:
                run = make()
                self.begin(run)
                if token:
                    self.tokens[token] = run.run_id
                return run
            if known not in self.runs:
                raise invalid(f"The run with idempotency token '{token}' was deleted.")
            return self.runs[known]

    def begin(self, run: Run) -> None:
        """Start a run."""
        with self.lock:
            waiting = sum(task.phase not in {"TERMINATED", "QUEUED"} for _, task in self.tasks.values())
            queued = (run.settings.get("queue") or {}).get("enabled", False)
            if waiting + len(run.tasks) > self.orders.most_active_tasks and not queued:
                text = f"The workspace has reached the limit of {self.orders.most_active_tasks} concurrent task runs."
                raise ApiError(429, "REQUEST_LIMIT_EXCEEDED", text)
            self.runs[run.run_id] = run
            self.tasks |= {task.run_id: (run, task) for task in run.tasks}
        threading.Thread(target=Execution(self, run).go, daemon=True).start()

    def again(self, run: Run, keys: Sequence[str]) -> list[TaskRun]:
        """Run some tasks of an ended run anew."""
        with self.lock:
            fresh = []
            for number, task in enumerate(run.tasks):
                if task.key in keys:
                    run.earlier.append(task)
                    run.tasks[number] = TaskRun(
                        key=task.key, spec=task.spec, page_url=task.page_url, attempt=task.attempt + 1
                    )
                    fresh.append(run.tasks[number])
            self.tasks |= {task.run_id: (run, task) for task in fresh}
            run.code, run.life_cycle, run.message, run.ended, run.stop_code = "", "", "", 0, ""
            run.stop, run.done = threading.Event(), threading.Event()
        threading.Thread(target=Execution(self, run).go, daemon=True).start()
        return fresh

    def busy(self) -> int:
        """How many task runs hold a slot of the workspace."""
        return sum(task.phase in {"PENDING", "RUNNING", "TERMINATING"} for _, task in list(self.tasks.values()))

    def remember(self, run: Run, task: TaskRun) -> None:
        """Make a retried task findable by its new id."""
        with self.lock:
            run.earlier.append(replace(task))
            self.tasks[task.run_id] = (run, run.earlier[-1])
            task.run_id, task.attempt = new_number(), task.attempt + 1
            self.tasks[task.run_id] = (run, task)


@dataclass
class Execution:
    """One run on its way."""

    runs: Runs
    run: Run

    def go(self) -> None:
        """Run every task that has not ended, then end the run."""
        todo = [task for task in self.run.tasks if task.phase != "TERMINATED"]
        threads = [threading.Thread(target=self._task, args=(task,), daemon=True) for task in todo]
        for thread in threads:
            thread.start()
        limit = self.run.settings.get("timeout_seconds") or 0
        for thread in threads:
            thread.join(max(0.0, self.run.started / 1000 + limit - time.time()) if limit else None)
        if limit and any(thread.is_alive() for thread in threads):
            self.run.ask_to_stop("CANCELED")
        for thread in threads:
            thread.join()
        self._end()

    def _end(self) -> None:
        awaited = {need["task_key"] for task in self.run.tasks for need in task.spec.get("depends_on") or ()}
        tasks = [Ended(task.key, task.code, task.message, task.key not in awaited) for task in self.run.tasks]
        code, life_cycle, message = of_run(tasks)
        self.run.ended, self.run.life_cycle, self.run.message = now_ms(), life_cycle, message
        self.run.code = code
        self.run.done.set()

    def _task(self, task: TaskRun) -> None:
        try:
            if self._wanted(task):
                self._tries(task)
        except Stopped:
            task.finish(
                self.run.stop_code, "Run cancelled." if self.run.stop_code == "USER_CANCELED" else "Run timed out."
            )
        except Exception as error:  # noqa: BLE001 - a fault of the stand-in must not leave a run hanging
            task.finish("INTERNAL_ERROR", f"The stand-in failed: {error!r}")
        finally:
            task.done.set()

    def _wanted(self, task: TaskRun) -> bool:
        needs = [need["task_key"] for need in task.spec.get("depends_on") or ()]
        upstream = [one for one in self.run.tasks if one.key in needs]
        for one in upstream:
            while not one.done.wait(TICK_SECONDS) and one.phase != "TERMINATED":
                self._check_stop()
        self._check_stop()
        run_if = task.spec.get("run_if", "ALL_SUCCESS")
        if may_start(run_if, {one.key: one.code for one in upstream}):
            return True
        excluded = run_if in {"AT_LEAST_ONE_FAILED", "ALL_FAILED"}
        task.finish("SKIPPED", "An upstream task failed.", "EXCLUDED" if excluded else "UPSTREAM_FAILED")
        return False

    def _tries(self, task: TaskRun) -> None:
        tries = task.spec.get("max_retries", 0)
        while True:
            self._attempt(task)
            again = task.code not in {"SUCCESS", "CANCELED"} or (
                task.code == "CANCELED" and task.spec.get("retry_on_timeout")
            )
            if not again or (task.attempt >= tries and tries != -1):
                return
            self.runs.remember(self.run, task)
            task.phase, task.code, task.message, task.error, task.trace = "WAITING_FOR_RETRY", "", "", "", ""
            task.started = task.running = task.ended = 0
            self._pause(task.spec.get("min_retry_interval_millis", 0) / 1000)

    def _attempt(self, task: TaskRun) -> None:
        self._slot(task)
        task.started, task.message = now_ms(), "Waiting for cluster"
        orders = self.runs.orders.take(self.run.name, task.key)
        cluster, own = self._cluster(task)
        task.cluster = cluster
        try:
            self._pause(self.runs.orders.start_seconds + sum(one.seconds for one in orders if one.kind != "SPOT_LOST"))
            broken = next((one for one in orders if one.kind in INFRASTRUCTURE), None)
            if broken is not None:
                cluster.end(*broken.cluster_reason)
                task.finish(broken.kind, broken.message(cluster.cluster_id))
            else:
                self._program(task, cluster, next((one for one in orders if one.kind == "SPOT_LOST"), None))
        finally:
            if own:
                cluster.end("JOB_FINISHED", "SUCCESS")

    def _slot(self, task: TaskRun) -> None:
        while True:
            with self.runs.lock:
                if self.runs.busy() < self.runs.orders.most_active_tasks:
                    task.phase, task.queue_reason = "PENDING", ""
                    return
                task.phase, task.queue_reason = (
                    "QUEUED",
                    "Queued due to reaching maximum concurrent task runs of the workspace.",
                )
            self._pause(TICK_SECONDS)

    def _cluster(self, task: TaskRun) -> tuple[Cluster, bool]:
        spec = task.spec
        if "existing_cluster_id" in spec:
            return self.runs.clusters.usable(spec["existing_cluster_id"], self.run.run_as), False
        new = spec.get("new_cluster") or {"data_security_mode": "SINGLE_USER", "spark_version": "18.0.x-scala2.13"}
        return self.runs.clusters.launch(new, self.run.run_as, "JOB"), True

    def _program(self, task: TaskRun, cluster: Cluster, loss: Order | None) -> None:
        bearer, credential = (
            RunBearer(principal=self.run.run_as, tag=f"run-{task.run_id}"),
            f"run-{secrets.token_hex(16)}",
        )
        try:
            program = program_of(self.runs.world, self.run, task, cluster, credential)
        except ApiError as error:
            code = error.error_code if error.error_code in INFRASTRUCTURE else "RESOURCE_NOT_FOUND"
            task.finish(code, error.message)
            return
        self.runs.world.bearers[credential] = bearer
        cluster.state, cluster.message = "RUNNING", ""
        task.log = program.log
        running = Running(program)
        task.running, task.message, task.phase = now_ms(), "In run", "RUNNING"
        try:
            self._watch(task, running, loss, cluster)
        finally:
            running.kill()
            interrupt(self.runs.world, bearer)

    def _watch(self, task: TaskRun, running: Running, loss: Order | None, cluster: Cluster) -> None:
        began, limit = time.monotonic(), task.spec.get("timeout_seconds") or 0
        while not running.wait(TICK_SECONDS):
            if self.run.stop.is_set():
                task.phase = "TERMINATING"
                running.kill()
                raise Stopped
            lasted = time.monotonic() - began
            if loss is not None and lasted >= loss.seconds:
                running.kill()
                cluster.end(*loss.cluster_reason)
                task.finish("CLOUD_FAILURE", loss.message(cluster.cluster_id))
                return
            if limit and lasted >= limit:
                task.phase = "TERMINATING"
                running.kill()
                task.finish("CANCELED", f"Run {task.run_id} timed out after {limit} seconds.")
                return
        code, message, task.error, task.trace = running.ending()
        task.finish(code, message or ("" if code == "SUCCESS" else WORKLOAD))

    def _pause(self, seconds: float) -> None:
        if self.run.stop.wait(seconds):
            raise Stopped

    def _check_stop(self) -> None:
        if self.run.stop.is_set():
            raise Stopped


@functools.cache
def runs_of(world: World) -> Runs:
    """The runs of a workspace, one object for every router."""
    return Runs(world, clusters_of(world))

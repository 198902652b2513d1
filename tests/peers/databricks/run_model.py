"""Runs and task runs as they are kept, and as JSON. No behaviour beyond telling."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.peers.databricks.clusters import Cluster
from tests.peers.databricks.job_shapes import TASK_KINDS
from tests.peers.databricks.model import Bearer, now_ms
from tests.peers.databricks.outcomes import state_block, status_block

_NUMBERS = random.SystemRandom()


def new_number() -> int:
    """An id like the service's: fifteen digits, exact in every client."""
    return _NUMBERS.randrange(10**14, 10**15)


@dataclass(kw_only=True)
class RunBearer(Bearer):
    """The credential of a running program: good until it ends, whatever happens to its user's own credentials."""

    tag: str = ""
    over: bool = False
    used: bool = False
    statements: set[object] = field(default_factory=set)

    @property
    def expired(self) -> bool:
        return self.over


@dataclass(kw_only=True)
class TaskRun:
    """One try of one task."""

    run_id: int = field(default_factory=new_number)
    key: str
    spec: dict[str, Any]
    page_url: str
    attempt: int = 0
    phase: str = "BLOCKED"
    code: str = ""
    result: str = ""
    message: str = ""
    queue_reason: str = ""
    cluster: Cluster | None = None
    started: int = 0
    running: int = 0
    ended: int = 0
    error: str = ""
    trace: str = ""
    log: Path | None = None
    hidden: list[str] = field(default_factory=list, repr=False)
    done: threading.Event = field(default_factory=threading.Event)

    def finish(self, code: str, message: str, result: str = "") -> None:
        """End with a code, once."""
        if self.phase != "TERMINATED":
            self.code, self.message, self.result, self.ended = code, message, result, now_ms()
            self.started = self.started or self.ended
            self.queue_reason, self.phase = "", "TERMINATED"

    def as_json(self) -> dict[str, Any]:
        """A RunTask."""
        found: dict[str, Any] = {
            "run_id": self.run_id,
            "task_key": self.key,
            "attempt_number": self.attempt,
            "run_if": self.spec.get("run_if", "ALL_SUCCESS"),
            "run_page_url": self.page_url,
            "start_time": self.started,
            "end_time": self.ended,
            "setup_duration": self._span(self.started, self.running),
            "execution_duration": self._span(self.running, self.ended),
            "cleanup_duration": 0,
            "state": state_block(self.phase, self.code, self.message, self.queue_reason, self.result),
            "status": status_block(self.phase, self.code, self.message, self.queue_reason),
        }
        told = ("depends_on", "description", "libraries", "timeout_seconds", "max_retries", "environment_key")
        spec_fields = (*told, "existing_cluster_id", "new_cluster", "job_cluster_key", *TASK_KINDS)
        found |= {name: self.spec[name] for name in spec_fields if name in self.spec}
        if self.cluster is not None:
            found["cluster_instance"] = {"cluster_id": self.cluster.cluster_id, "spark_context_id": str(self.run_id)}
        return found

    def _span(self, start: int, end: int) -> int:
        return max(0, (end or (self.ended or now_ms())) - start) if start else 0


@dataclass(kw_only=True)
class Run:
    """One run of a job or one submitted."""

    run_id: int = field(default_factory=new_number)
    job_id: int = field(default_factory=new_number)
    number_in_job: int = 0
    name: str
    kind: str
    creator: str
    run_as: str
    settings: dict[str, Any]
    url: str
    idempotency_token: str = ""
    tasks: list[TaskRun] = field(default_factory=list)
    earlier: list[TaskRun] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)
    python_params: list[str] | None = None
    started: int = field(default_factory=now_ms)
    ended: int = 0
    code: str = ""
    life_cycle: str = ""
    message: str = ""
    stop: threading.Event = field(default_factory=threading.Event)
    stop_code: str = ""
    done: threading.Event = field(default_factory=threading.Event)
    viewers: set[str] = field(default_factory=set)
    keepers: set[str] = field(default_factory=set)
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return not self.code

    @property
    def phase(self) -> str:
        """Where the whole run stands, from its tasks."""
        if self.code:
            return "TERMINATED"
        if self.stop.is_set():
            return "TERMINATING"
        phases = {task.phase for task in self.tasks}
        if "RUNNING" in phases or {"TERMINATED", "PENDING"} <= phases:
            return "RUNNING"
        return "QUEUED" if "QUEUED" in phases else "PENDING"

    def ask_to_stop(self, code: str) -> None:
        """Let every task of it end with a code; the first reason stays."""
        self.stop_code = self.stop_code or code
        self.stop.set()

    @property
    def page_url(self) -> str:
        """Where a person would look at it."""
        return f"{self.url}#job/{self.job_id}/run/{self.run_id}"

    def blocks(self) -> dict[str, Any]:
        """Its `state` and `status`."""
        phase, reason = self.phase, next((task.queue_reason for task in self.tasks if task.queue_reason), "")
        message = self.message or next((task.message for task in self.tasks if task.phase == phase), "")
        state = state_block(phase, self.code, message, reason)
        if phase == "TERMINATED":
            state |= {"life_cycle_state": self.life_cycle, "state_message": self.message}
        return {"state": state, "status": status_block(phase, self.code, message, reason)}

    def as_json(self) -> dict[str, Any]:
        """What BaseRun and Run have in common, without the paged arrays."""
        return {
            "run_id": self.run_id,
            "job_id": self.job_id,
            "job_run_id": self.run_id,
            "number_in_job": self.number_in_job or self.run_id,
            "original_attempt_run_id": self.run_id,
            "attempt_number": 0,
            "run_name": self.name,
            "run_type": self.kind,
            "run_page_url": self.page_url,
            "creator_user_name": self.creator,
            "trigger": "ONE_TIME",
            "start_time": self.started,
            "end_time": self.ended,
            "run_duration": (self.ended or now_ms()) - self.started,
            "setup_duration": 0,
            "execution_duration": 0,
            "cleanup_duration": 0,
            **self.blocks(),
        }

"""What a test may order of runs: clusters that start late or not at all, drivers that die, fewer runs at once."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.peers.databricks.errors import invalid
from tests.peers.databricks.outcomes import INFRASTRUCTURE

_NOT_READY = "Unexpected failure while waiting for the cluster ({cluster}) to be ready: "
MESSAGES = {
    "CLUSTER_ERROR": _NOT_READY + "Cluster {cluster} is in unexpected state Terminated: BOOTSTRAP_TIMEOUT(SUCCESS)",
    "CLUSTER_REQUEST_LIMIT_EXCEEDED": _NOT_READY
    + "REQUEST_LIMIT_EXCEEDED: Your request was rejected because your organization launched too many clusters",
    "CLOUD_FAILURE": _NOT_READY
    + "AWS_INSUFFICIENT_INSTANCE_CAPACITY_FAILURE(CLOUD_FAILURE): aws_api_error_code:InsufficientInstanceCapacity",
    "STORAGE_ACCESS_ERROR": "The run failed because the storage of the workspace could not be reached",
    "DRIVER_ERROR": "The driver of cluster {cluster} is not responsive, likely due to GC",
    "INTERNAL_ERROR": "Run result unavailable: job failed with an internal error, please try again",
    "SPOT_LOST": "Cluster {cluster} was terminated during the run: SPOT_INSTANCE_TERMINATION(CLOUD_FAILURE)",
}
REASONS = {
    "CLUSTER_ERROR": ("BOOTSTRAP_TIMEOUT", "CLOUD_FAILURE"),
    "CLUSTER_REQUEST_LIMIT_EXCEEDED": ("REQUEST_THROTTLED", "CLIENT_ERROR"),
    "CLOUD_FAILURE": ("AWS_INSUFFICIENT_INSTANCE_CAPACITY_FAILURE", "CLOUD_FAILURE"),
    "DRIVER_ERROR": ("DRIVER_UNREACHABLE", "SERVICE_FAULT"),
    "SPOT_LOST": ("SPOT_INSTANCE_TERMINATION", "CLOUD_FAILURE"),
}
KINDS = INFRASTRUCTURE | {"SLOW_START", "SPOT_LOST"}


@dataclass(kw_only=True)
class Order:
    """One order: `kind` for runs whose name matches, so many `times` (-1: always).

    SLOW_START waits `seconds` longer; SPOT_LOST ends the program `seconds` after its start; any infrastructure
    code ends the task `seconds` after the cluster was asked for, before the program starts.
    """

    kind: str
    times: int = 1
    seconds: float = 0.0
    run_name: str = ".*"
    task_key: str = ".*"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise invalid(f"Unknown kind of fault '{self.kind}', there are {', '.join(sorted(KINDS))}.")

    def fits(self, run_name: str, task_key: str) -> bool:
        """Whether it is for this task."""
        return bool(self.times and re.fullmatch(self.run_name, run_name) and re.fullmatch(self.task_key, task_key))

    @property
    def cluster_reason(self) -> tuple[str, str]:
        """(code, type) of what its cluster says of its end."""
        return REASONS.get(self.kind, ("INTERNAL_ERROR", "SERVICE_FAULT"))

    def message(self, cluster_id: str) -> str:
        """What the service would say."""
        return MESSAGES.get(self.kind, f"The run failed: {self.kind}").format(cluster=cluster_id)


@dataclass
class Orders:
    """Faults on order and the numbers of the workspace that a test may change."""

    faults: list[Order] = field(default_factory=list)
    start_seconds: float = 0.1
    most_active_tasks: int = 2000
    page_size: int = 100
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, run_name: str, task_key: str) -> Sequence[Order]:
        """The orders for a task that is about to start, each used up by one."""
        with self.lock:
            found = [order for order in self.faults if order.fits(run_name, task_key)]
            for order in found:
                order.times -= 1
            self.faults = [order for order in self.faults if order.times]
        return found

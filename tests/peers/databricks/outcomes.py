"""How runs end: one code decides life cycle, result, type and the words of every block of the answer. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

CLIENT, CLOUD, PLATFORM = "CLIENT_ERROR", "CLOUD_FAILURE", "INTERNAL_ERROR"
WORKLOAD = "Workload failed, see run output for details"


class Ending(NamedTuple):
    """What a termination code means in the older `state` block, and whose fault it is."""

    life_cycle: str
    result: str
    kind: str


ENDINGS: dict[str, Ending] = {
    "SUCCESS": Ending("TERMINATED", "SUCCESS", "SUCCESS"),
    "SUCCESS_WITH_FAILURES": Ending("TERMINATED", "SUCCESS_WITH_FAILURES", "SUCCESS"),
    "RUN_EXECUTION_ERROR": Ending("TERMINATED", "FAILED", CLIENT),
    "USER_CANCELED": Ending("TERMINATED", "CANCELED", CLIENT),
    "CANCELED": Ending("TERMINATED", "TIMEDOUT", CLIENT),
    "SKIPPED": Ending("SKIPPED", "UPSTREAM_FAILED", CLIENT),
    "MAX_CONCURRENT_RUNS_EXCEEDED": Ending("SKIPPED", "MAXIMUM_CONCURRENT_RUNS_REACHED", CLIENT),
    "CLUSTER_ERROR": Ending("INTERNAL_ERROR", "FAILED", PLATFORM),
    "CLUSTER_REQUEST_LIMIT_EXCEEDED": Ending("INTERNAL_ERROR", "FAILED", CLIENT),
    "WORKSPACE_RUN_LIMIT_EXCEEDED": Ending("INTERNAL_ERROR", "FAILED", CLIENT),
    "INVALID_CLUSTER_REQUEST": Ending("INTERNAL_ERROR", "FAILED", CLIENT),
    "INVALID_RUN_CONFIGURATION": Ending("INTERNAL_ERROR", "FAILED", CLIENT),
    "LIBRARY_INSTALLATION_ERROR": Ending("INTERNAL_ERROR", "FAILED", CLIENT),
    "RESOURCE_NOT_FOUND": Ending("INTERNAL_ERROR", "FAILED", CLIENT),
    "UNAUTHORIZED_ERROR": Ending("INTERNAL_ERROR", "FAILED", CLIENT),
    "FEATURE_DISABLED": Ending("INTERNAL_ERROR", "FAILED", CLIENT),
    "CLOUD_FAILURE": Ending("INTERNAL_ERROR", "FAILED", CLOUD),
    "STORAGE_ACCESS_ERROR": Ending("INTERNAL_ERROR", "FAILED", CLOUD),
    "DRIVER_ERROR": Ending("INTERNAL_ERROR", "FAILED", PLATFORM),
    "INTERNAL_ERROR": Ending("INTERNAL_ERROR", "FAILED", PLATFORM),
}
INFRASTRUCTURE = frozenset(code for code, ending in ENDINGS.items() if ending.life_cycle == "INTERNAL_ERROR")


def state_block(phase: str, code: str, message: str, queue_reason: str = "", result: str = "") -> dict[str, Any]:
    """The older `state`."""
    if phase != "TERMINATED":
        found: dict[str, Any] = {
            "life_cycle_state": phase,
            "state_message": message,
            "user_cancelled_or_timedout": False,
        }
        return found | ({"queue_reason": queue_reason} if queue_reason else {})
    ending = ENDINGS[code]
    return {
        "life_cycle_state": ending.life_cycle,
        "result_state": result or ending.result,
        "state_message": message,
        "user_cancelled_or_timedout": code in {"USER_CANCELED", "CANCELED"},
    }


def status_block(phase: str, code: str, message: str, queue_reason: str = "") -> dict[str, Any]:
    """The newer `status`."""
    state = "WAITING" if phase == "WAITING_FOR_RETRY" else phase
    found: dict[str, Any] = {"state": state}
    if phase == "QUEUED":
        found["queue_details"] = {"code": "ACTIVE_RUN_JOB_TASKS_LIMIT_REACHED", "message": queue_reason}
    if phase == "TERMINATED":
        found["termination_details"] = {"code": code, "type": ENDINGS[code].kind, "message": message}
    return found


class Ended(NamedTuple):
    """What the end of a whole run depends on: each task's key, code, message, and whether others wait for it."""

    key: str
    code: str
    message: str
    leaf: bool


def of_run(tasks: Sequence[Ended]) -> tuple[str, str, str]:
    """(code, life cycle, message) of a run whose tasks all ended.

    A failed program makes the parent INTERNAL_ERROR although its task is TERMINATED: so does the service.
    """
    failed = [task for task in tasks if task.code not in {"SUCCESS", "SKIPPED"}]
    if not failed:
        return "SUCCESS", "TERMINATED", ""
    for code, words in (("USER_CANCELED", "Run cancelled."), ("CANCELED", "Run timed out.")):
        if any(task.code == code for task in failed):
            return code, "TERMINATED", words
    if all(task.code in {"SUCCESS", "EXCLUDED"} for task in tasks if task.leaf):
        return "SUCCESS_WITH_FAILURES", "TERMINATED", ""
    first = failed[0]
    after = "" if all(task.leaf for task in tasks) else " This caused all downstream tasks to get skipped."
    return first.code, "INTERNAL_ERROR", f"Task {first.key} failed with message: {first.message}.{after}"


def may_start(run_if: str, upstream: Mapping[str, str]) -> bool:
    """Whether a task whose upstream tasks ended with these codes is to run."""
    codes = list(upstream.values())
    good = [code in {"SUCCESS", "SUCCESS_WITH_FAILURES"} for code in codes]
    bad = [not fine and code != "SKIPPED" for fine, code in zip(good, codes, strict=True)]
    rules = {
        "ALL_SUCCESS": all(good),
        "AT_LEAST_ONE_SUCCESS": any(good) or not codes,
        "NONE_FAILED": not any(bad),
        "ALL_DONE": True,
        "AT_LEAST_ONE_FAILED": any(bad),
        "ALL_FAILED": bool(codes) and all(bad),
    }
    return rules[run_if]

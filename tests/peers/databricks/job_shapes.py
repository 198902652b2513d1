"""Shapes of the bodies of Jobs 2.2, as databricks-sdk writes them."""

from __future__ import annotations

from typing import Any

from tests.peers.databricks.cluster_shapes import CLUSTER, LIBRARY
from tests.peers.databricks.errors import invalid
from tests.peers.databricks.shapes import ANY, BOOLEAN, INTEGER, OBJECT, TEXT, Each, Fields, Pairs

RUN_IF = frozenset(
    {"ALL_DONE", "ALL_FAILED", "ALL_SUCCESS", "AT_LEAST_ONE_FAILED", "AT_LEAST_ONE_SUCCESS", "NONE_FAILED"}
)
KEY = r"[A-Za-z0-9_-]{1,100}"

_OTHER_KINDS = (
    *("ai_runtime", "alert", "clean_rooms_notebook", "condition", "dashboard", "dbt_cloud", "dbt_platform", "dbt"),
    *("for_each", "gen_ai_compute", "notebook", "pipeline", "power_bi", "python_operator", "python_wheel", "run_job"),
    *("spark_jar", "spark_submit", "sql"),
)
TASK_KINDS = ("spark_python_task", *(f"{kind}_task" for kind in _OTHER_KINDS))
"""Every kind of task there is; the stand-in runs spark_python_task and refuses the others by name."""

PYTHON_TASK = Fields(
    {"python_file": TEXT, "parameters": Each(TEXT), "source": frozenset({"GIT", "WORKSPACE"})}, ("python_file",)
)
SUBMIT_TASK_FIELDS: dict[str, Any] = {
    **dict.fromkeys(TASK_KINDS, OBJECT),
    "spark_python_task": PYTHON_TASK,
    "task_key": TEXT,
    "compute": OBJECT,
    "depends_on": Each(Fields({"task_key": TEXT, "outcome": TEXT}, ("task_key",)), key="task_key"),
    "description": TEXT,
    "disable_auto_optimization": BOOLEAN,
    "disabled": BOOLEAN,
    "email_notifications": OBJECT,
    "environment_key": TEXT,
    "environment_variables_key": TEXT,
    "existing_cluster_id": TEXT,
    "health": OBJECT,
    "libraries": Each(LIBRARY),
    "max_retries": INTEGER,
    "min_retry_interval_millis": INTEGER,
    "new_cluster": CLUSTER,
    "notification_settings": OBJECT,
    "retry_on_timeout": BOOLEAN,
    "run_if": RUN_IF,
    "timeout_seconds": INTEGER,
    "webhook_notifications": OBJECT,
}
SUBMIT_TASK = Fields(SUBMIT_TASK_FIELDS, ("task_key",))
JOB_TASK = Fields({**SUBMIT_TASK_FIELDS, "job_cluster_key": TEXT}, ("task_key",))

RUN_AS = Fields({"user_name": TEXT, "service_principal_name": TEXT, "group_name": TEXT})
ENVIRONMENTS = Each(Fields({"environment_key": TEXT, "spec": OBJECT}, ("environment_key",)), key="environment_key")
COMMON: dict[str, Any] = {
    "budget_policy_id": TEXT,
    "duration_target": TEXT,
    "email_notifications": OBJECT,
    "environment_variables": Each(OBJECT, 10),
    "environments": ENVIRONMENTS,
    "git_source": OBJECT,
    "health": OBJECT,
    "notification_settings": OBJECT,
    "performance_target": frozenset({"COST_OPTIMIZED", "PERFORMANCE_OPTIMIZED", "STANDARD"}),
    "queue": Fields({"enabled": BOOLEAN}, ()),
    "run_as": RUN_AS,
    "timeout_seconds": INTEGER,
    "usage_policy_id": TEXT,
    "webhook_notifications": OBJECT,
}
ACCESS = Each(Fields({"group_name": TEXT, "permission_level": TEXT, "service_principal_name": TEXT, "user_name": TEXT}))
SUBMIT = Fields(
    {
        **COMMON,
        "access_control_list": ACCESS,
        "idempotency_token": TEXT,
        "run_name": TEXT,
        "tasks": Each(SUBMIT_TASK, 100, "task_key"),
    }
)
SETTINGS_FIELDS: dict[str, Any] = {
    **COMMON,
    "continuous": OBJECT,
    "deployment": OBJECT,
    "description": TEXT,
    "edit_mode": TEXT,
    "format": TEXT,
    "job_clusters": Each(
        Fields({"job_cluster_key": TEXT, "new_cluster": CLUSTER, "serverless_compute_id": TEXT}, ("job_cluster_key",)),
        100,
        "job_cluster_key",
    ),
    "max_concurrent_runs": INTEGER,
    "name": TEXT,
    "parameters": Each(Fields({"name": TEXT, "default": TEXT}, ("name",)), key="name"),
    "parent_path": TEXT,
    "schedule": OBJECT,
    "tags": Pairs(25),
    "tasks": Each(JOB_TASK, 1000, "task_key"),
    "trigger": OBJECT,
    "triggers": Each(OBJECT),
}
SETTINGS = Fields(SETTINGS_FIELDS)
CREATE = Fields({**SETTINGS_FIELDS, "access_control_list": ACCESS})
RESET = Fields({"job_id": INTEGER, "new_settings": SETTINGS}, ("job_id", "new_settings"))
UPDATE = Fields({"job_id": INTEGER, "new_settings": SETTINGS, "fields_to_remove": Each(TEXT)}, ("job_id",))
RUN_NOW = Fields(
    {
        "job_id": INTEGER,
        "idempotency_token": TEXT,
        "duration_target": TEXT,
        "job_parameters": Pairs(),
        "only": Each(TEXT),
        "performance_target": TEXT,
        "python_params": Each(TEXT),
        "queue": Fields({"enabled": BOOLEAN}),
        **dict.fromkeys(("dbt_commands", "jar_params", "spark_submit_params"), Each(ANY)),
        **dict.fromkeys(("notebook_params", "pipeline_params", "python_named_params", "sql_params"), OBJECT),
    },
    ("job_id",),
)
REPAIR = Fields(
    {
        "run_id": INTEGER,
        "duration_target": TEXT,
        "latest_repair_id": INTEGER,
        "rerun_tasks": Each(TEXT),
        "rerun_all_failed_tasks": BOOLEAN,
        "rerun_dependent_tasks": BOOLEAN,
        "job_parameters": Pairs(),
        "performance_target": TEXT,
        "python_params": Each(TEXT),
        **dict.fromkeys(("dbt_commands", "jar_params", "spark_submit_params"), Each(ANY)),
        **dict.fromkeys(("notebook_params", "pipeline_params", "python_named_params", "sql_params"), OBJECT),
    },
    ("run_id",),
)
ONE_RUN = Fields({"run_id": INTEGER}, ("run_id",))
ONE_JOB = Fields({"job_id": INTEGER}, ("job_id",))
CANCEL_ALL = Fields({"job_id": INTEGER, "all_queued_runs": BOOLEAN})


def numbers(body: Any, *names: str) -> Any:
    """The body with its 64-bit ids as numbers: they may come as text, as in every protobuf service."""
    if not isinstance(body, dict):
        return body
    found = dict(body)
    for name in names:
        if isinstance(found.get(name), str):
            if not found[name].lstrip("-").isdigit():
                raise invalid(f"Invalid value '{found[name]}' for field '{name}': it must be a number.")
            found[name] = int(found[name])
    return found

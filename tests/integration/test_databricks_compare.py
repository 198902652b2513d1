"""The operator that lets a cluster compare: its worker is free during the run, and its verdict fails the task."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support import tables
from tests.support.airflow_cli import connection, environment
from tests.support.databricks import Workspace, databricks  # noqa: F401 - a fixture
from tests.support.databricks_proof import Proof
from tests.support.run_tables import CLUSTER
from tests.support.sql_estate import WAREHOUSE

pytestmark = pytest.mark.airflow
ROWS = [{"id": number, "Region": "eu", "day": dt.date(2024, 1, 1), "name": "n"} for number in range(5)]


def connections(made: Proof) -> dict[str, str]:
    shared = {"host": "127.0.0.1", "schema": "http", "port": made.server.port}
    shared["password"] = made.server.token(made.copier)
    source = {"catalog": made.lake, "warehouse_id": WAREHOUSE, "origin_conn_id": "origin"}
    target = {"catalog": made.main, "warehouse_id": WAREHOUSE, "cluster": CLUSTER, "volume": f"{made.main}.lake.jobs"}
    origin = tables.catalog_properties(made.folder / "origin")
    return {
        "AIRFLOW_CONN_SRC": connection("databricks", **shared, extra=source),
        "AIRFLOW_CONN_DST": connection("databricks", **shared, extra=target),
        "AIRFLOW_CONN_ORIGIN": connection("icebridge_catalog", extra=origin),
        "AIRFLOW_CONN_ICEBRIDGE_LEDGER": connection("icebridge_ledger", schema=str(made.folder / "ledger.db")),
    }


def compared(made: Proof, number: int) -> dict[str, Any]:
    """Run the operator as a task does whose worker is taken away meanwhile."""
    from airflow.sdk.exceptions import TaskDeferred

    from icebridge_provider.operators.databricks import DatabricksValidateOperator

    operator = DatabricksValidateOperator(task_id="compare", plan_id="p1")
    task = SimpleNamespace(dag_id="d", run_id="r", task_id="compare", try_number=number)
    context: Any = {"ti": task, "dag_run": SimpleNamespace(triggering_user_name="ann")}
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)
    trigger: Any = deferred.value.trigger
    until = time.monotonic() + 300
    while made.server.sdk(made.copier).jobs.get_run(int(trigger.run_id)).status.state.value != "TERMINATED":  # type: ignore[union-attr]
        assert time.monotonic() < until
        time.sleep(0.2)
    assert trigger.conn_id == "dst"
    resumed = getattr(DatabricksValidateOperator(task_id="compare", plan_id="p1"), deferred.value.method_name)
    found: dict[str, Any] = resumed(context, {"run_id": trigger.run_id}, **(deferred.value.kwargs or {}))
    return found


def test_a_cluster_compares_and_a_difference_fails_the_task(
    airflow_cli_home: Path,
    databricks: Workspace,  # noqa: F811
    tmp_path: Path,
) -> None:
    from icebridge_provider.exceptions import ValidationFailed

    made = Proof(databricks, tmp_path)
    made.by_region(ROWS)
    made.federate().copied()
    with environment(**connections(made)):
        [found] = compared(made, 1).values()
        assert (found["state"], found["source_rows"], found["target_rows"]) == ("same", 5, 5)
        made.sql("DELETE FROM {staged} WHERE id = 3")
        with pytest.raises(ValidationFailed, match=r"IB-553.*5 rows in the source, 4 in the copy"):
            compared(made, 2)

"""``system.access.table_lineage`` and ``system.query.history``: what statements and programs really did.

``POST /admin/consumers`` lets a test run a statement as a notebook, a dashboard, a pipeline, a job or a saved query.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends

from tests.peers.databricks import auth
from tests.peers.databricks.auth import BODY
from tests.peers.databricks.gateway import gateway_of
from tests.peers.databricks.lineage import Flow
from tests.peers.databricks.shapes import NUMBER, TEXT, Fields, check
from tests.peers.databricks.statement_model import Statement
from tests.peers.databricks.statements import statements_of
from tests.peers.databricks.system_tables import TABLES, SystemTable
from tests.peers.databricks.world import World

if TYPE_CHECKING:
    import pyarrow as pa

ACCOUNT = "00000000-0000-0000-0000-00000000acc0"
CONSUMER = Fields(
    {
        "principal": TEXT, "statement": TEXT, "entity_type": frozenset({
            "NOTEBOOK", "JOB", "PIPELINE", "DASHBOARD_V3", "DBSQL_DASHBOARD", "DBSQL_QUERY",
        }), "entity_id": TEXT, "run_id": TEXT, "catalog": TEXT, "schema": TEXT, "ago_seconds": NUMBER,
    },
    ("principal", "statement"),
)  # fmt: skip
Entity = tuple[str | None, str | None, str | None]


# system.access.table_lineage


def _lineage_columns() -> pa.Schema:
    import pyarrow as pa

    text, time = pa.string(), pa.timestamp("us", tz="UTC")
    sides = [
        (f"{side}_{part}", text)
        for side in ("source", "target")
        for part in ("table_full_name", "table_catalog", "table_schema", "table_name", "path", "type")
    ]
    job = pa.struct([("job_id", text), ("job_run_id", text)])
    pipeline = pa.struct([("dlt_pipeline_id", text), ("dlt_update_id", text)])
    entity = [("job_info", job), ("notebook_id", text), ("dashboard_id", text), ("legacy_dashboard_id", text)]
    metadata = pa.struct([*entity, ("dlt_pipeline_info", pipeline), ("sql_query_id", text)])
    return pa.schema(
        [
            ("account_id", text), ("metastore_id", text), ("workspace_id", text), ("entity_type", text),
            ("entity_id", text), ("entity_run_id", text), *sides, ("created_by", text), ("event_time", time),
            ("event_date", pa.date32()), ("record_id", text), ("event_id", text), ("statement_id", text),
            ("entity_metadata", metadata),
        ]
    )  # fmt: skip


def _lineage(world: World) -> Iterator[tuple[Any, ...]]:
    known = statements_of(world).known
    for flow in list(gateway_of(world).flows):
        made = known.get(flow.tag)
        kind, identifier, run = _entity(world, flow)
        at = _time(made.began if made else flow.at / 1000)
        yield (
            ACCOUNT, world.state.metastore.id, world.workspace_id, kind, identifier, run,
            *_side(flow.source), *_side(flow.target), flow.principal, at, at.date(), flow.record, flow.event,
            made.id if made else None, _metadata(kind, identifier, run),
        )  # fmt: skip


def _side(end: tuple[str, str] | None) -> tuple[str | None, ...]:
    return (end[0], *end[0].split(".", 2), None, end[1]) if end else (None,) * 6


def _entity(world: World, flow: Flow) -> Entity:
    """Who did it: a run's program its job, a statement nobody, or what a test says it is."""
    from tests.peers.databricks.runs import runs_of

    if flow.tag.startswith("run-"):
        found = runs_of(world).tasks.get(int(flow.tag.removeprefix("run-")))
        return ("JOB", str(found[0].job_id), str(found[0].run_id)) if found else ("JOB", None, None)
    made = statements_of(world).known.get(flow.tag)
    return _said(made) if made else (None, None, None)


def _said(made: Statement) -> Entity:
    body = made.body
    return body.get("entity_type"), body.get("entity_id"), body.get("run_id")


def _metadata(kind: str | None, identifier: str | None, run: str | None) -> dict[str, Any]:
    return {
        "job_info": {"job_id": identifier, "job_run_id": run} if kind == "JOB" else None,
        "notebook_id": identifier if kind == "NOTEBOOK" else None,
        "dashboard_id": identifier if kind == "DASHBOARD_V3" else None,
        "legacy_dashboard_id": identifier if kind == "DBSQL_DASHBOARD" else None,
        "dlt_pipeline_info": {"dlt_pipeline_id": identifier, "dlt_update_id": run} if kind == "PIPELINE" else None,
        "sql_query_id": identifier if kind == "DBSQL_QUERY" else None,
    }


# system.query.history


def _history_columns() -> pa.Schema:
    import pyarrow as pa

    text, time, number = pa.string(), pa.timestamp("us", tz="UTC"), pa.int64()
    job = pa.struct([("job_id", text), ("job_run_id", text), ("job_task_run_id", text)])
    pipeline = pa.struct([("pipeline_id", text), ("update_id", text)])
    source = [("alert_id", text), ("sql_query_id", text), ("dashboard_id", text), ("notebook_id", text)]
    more = [("job_info", job), ("legacy_dashboard_id", text), ("genie_space_id", text), ("pipeline_info", pipeline)]
    return pa.schema(
        [
            ("account_id", text), ("workspace_id", text), ("statement_id", text), ("session_id", text),
            ("execution_status", text),
            ("compute", pa.struct([("type", text), ("cluster_id", text), ("warehouse_id", text)])),
            ("executed_by_user_id", text), ("executed_by", text), ("statement_text", text), ("statement_type", text),
            ("error_message", text), ("client_application", text), ("client_driver", text),
            ("total_duration_ms", number), ("start_time", time), ("end_time", time), ("update_time", time),
            ("produced_rows", number), ("query_source", pa.struct([*source, *more])), ("executed_as", text),
            ("executed_as_user_id", text),
        ]
    )  # fmt: skip


def _history(world: World) -> Iterator[tuple[Any, ...]]:
    for made in list(statements_of(world).known.values()):
        if not made.over.is_set():
            continue
        who = world.state.principals.get(made.principal)
        identifier, rows = who.id if who else None, sum(len(chunk.rows) for chunk in made.chunks)
        entry, ago = made.history(made.body["warehouse_id"]), made.body.get("ago_seconds", 0)
        ended = _time(made.ended - ago)
        compute = {"type": "WAREHOUSE", "cluster_id": None, "warehouse_id": made.body["warehouse_id"]}
        yield (
            ACCOUNT, world.workspace_id, made.id, None, entry["status"], compute, identifier, made.principal,
            entry["query_text"], entry["statement_type"], entry.get("error_message"), made.user_agent, None,
            entry["duration"] - int(ago * 1000), _time(made.began), ended, ended, rows,
            _source(*_said(made)), made.principal, identifier,
        )  # fmt: skip


def _source(kind: str | None, identifier: str | None, run: str | None) -> dict[str, Any]:
    found = _metadata(kind, identifier, run)
    job, pipeline = found.pop("job_info"), found.pop("dlt_pipeline_info")
    return {
        **found,
        "alert_id": None,
        "genie_space_id": None,
        "job_info": {**job, "job_task_run_id": None} if job else None,
        "pipeline_info": {"pipeline_id": identifier, "update_id": run} if pipeline else None,
    }


def _time(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


TABLES["system.access.table_lineage"] = SystemTable(_lineage_columns, _lineage)
TABLES["system.query.history"] = SystemTable(_history_columns, _history)


def router(world: World) -> APIRouter:
    """The order for tests."""
    routes = APIRouter(prefix="/admin", dependencies=[Depends(auth.admin(world))])

    @routes.post("/consumers")
    def consume(body: Any = BODY) -> dict[str, Any]:
        """Start ``statement`` as ``principal`` in the name of an entity, ``ago_seconds`` earlier than it is."""
        check(body, CONSUMER)
        warehouse = next(iter(world.state.warehouses))
        made = Statement(principal=body["principal"], body={**body, "warehouse_id": warehouse}, user_agent="browser")
        made.began -= body.get("ago_seconds", 0)
        statements_of(world).known[made.id] = made
        threading.Thread(target=statements_of(world)._run, args=(made,), daemon=True).start()
        return look(made.id)

    @routes.get("/consumers/{statement_id}")
    def look(statement_id: str) -> dict[str, Any]:
        """Where such a statement is."""
        made = statements_of(world).known[statement_id]
        return {"statement_id": made.id, "state": made.state, "error": made.error}

    return routes

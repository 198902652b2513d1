"""DAG runs, as ``airflow dags trigger`` starts them: through Airflow's own client, with access to its database."""

from __future__ import annotations

import re
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, PreflightFailed

MIGRATE, WAVE, ROLLBACK, PURGE = "icebridge_migrate", "icebridge_migrate_wave", "icebridge_rollback", "icebridge_purge"
INVENTORY, SYNC, COSTS = "icebridge_inventory", "icebridge_sync", "icebridge_costs"
EXTRACT, APPLY, RELEASE = "icebridge_mssql_to_databricks", "icebridge_databricks_to_mssql", "icebridge_release_event"
SHARE = "icebridge_databricks_to_snowflake"
DAGS = (INVENTORY, MIGRATE, WAVE, SYNC, ROLLBACK, PURGE, COSTS, EXTRACT, APPLY, RELEASE, SHARE)
POOL = "icebridge_writers"
FINAL = frozenset({"success", "failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One DAG run and where its page is."""

    dag_id: str
    run_id: str
    state: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """An approval that waits for a person, and the page with its buttons."""

    dag_id: str
    run_id: str
    task_id: str
    subject: str
    url: str


def trigger(dag_id: str, conf: Mapping[str, Any]) -> Run:
    """Start a run of one of our DAGs, with everything checked that would leave it waiting in silence.

    :raises ConfigurationError: IB-740 the DAG is unknown, IB-741 it is paused, IB-742 the pool is missing, IB-745 a
        parameter does not fit.
    """
    from airflow.api.client import get_current_api_client
    from airflow.sdk.exceptions import ParamValidationError
    from airflow.utils.platform import getuser

    from icebridge_provider.crash import side_effect

    require_dag(dag_id)
    require_pool()
    try:
        with side_effect("cli.trigger"):
            made = get_current_api_client().trigger_dag(dag_id, conf=dict(conf), triggering_user_name=getuser())
    except (ParamValidationError, ValueError) as error:
        raise _unfit(dag_id, error) from error
    assert made is not None  # noqa: S101 - None stands only for "no DAG", which was asked above
    return Run(
        dag_id=dag_id, run_id=made["dag_run_id"], state=str(made["state"]), url=run_url(dag_id, made["dag_run_id"])
    )


def _unfit(dag_id: str, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        "IB-745",
        f"{dag_id} does not take these parameters: {' '.join(str(error).split())}",
        remedy="Change the value it names and run the command again.",
        dag=dag_id,
    )


def require_dag(dag_id: str) -> None:
    """Make sure that Airflow knows the DAG and would run it.

    :raises ConfigurationError: IB-740 unknown, IB-741 paused.
    """
    known = dags()
    if dag_id not in known:
        raise ConfigurationError(
            "IB-740",
            f"Airflow does not know the DAG {dag_id}.",
            remedy="Add the bundle that `airflow icebridge init` prints to [dag_processor] dag_bundle_config_list, "
            "then run `airflow icebridge init`.",
            dag=dag_id,
        )
    if known[dag_id]:
        raise ConfigurationError(
            "IB-741",
            f"The DAG {dag_id} is paused: its run would wait for ever.",
            remedy=f"Run `airflow dags unpause {dag_id}`, or `airflow icebridge init` for all of them.",
            dag=dag_id,
        )


def dags() -> dict[str, bool]:
    """Return our DAGs that Airflow knows, each with whether it is paused."""
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.execute(
            select(DagModel.dag_id, DagModel.is_paused).where(DagModel.dag_id.in_(DAGS), ~DagModel.is_stale)
        )
        return {dag_id: bool(paused) for dag_id, paused in found}


def pool_slots() -> int | None:
    """Slots of the pool that caps parallel writers, None when there is no such pool."""
    from airflow.models.pool import Pool

    found = Pool.get_pool(POOL)
    return None if found is None else int(found.slots)


def set_pool(slots: int | None, default: int) -> int:
    """Make the pool, or change its slots; one that is there keeps them unless new ones are given."""
    from airflow.api.client import get_current_api_client

    from icebridge_provider.crash import side_effect

    present = pool_slots()
    wanted = slots or present or default
    if wanted != present:
        with side_effect("cli.pool"):
            get_current_api_client().create_pool(  # type: ignore[no-untyped-call]
                POOL, wanted, "Tables that IceBridge copies at once, over all hosts", include_deferred=True
            )
    return wanted


def require_pool() -> None:
    """Make sure that the pool is there; without it tasks are never queued.

    :raises ConfigurationError: IB-742.
    """
    if pool_slots() is None:
        raise ConfigurationError(
            "IB-742",
            f"The pool {POOL} is missing: copies would never start.",
            remedy=f"Run `airflow icebridge init`, or `airflow pools set {POOL} 64 'IceBridge'`.",
            pool=POOL,
        )


def state(run: Run) -> str:
    """Return the run's state now.

    :raises ConfigurationError: IB-746 when somebody deleted it.
    """
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalar(select(DagRun.state).where(DagRun.dag_id == run.dag_id, DagRun.run_id == run.run_id))
    if found is None:
        raise ConfigurationError(
            "IB-746",
            f"The run {run.run_id} of {run.dag_id} is gone from Airflow.",
            remedy="Run `icebridge status` to see how far it came and `icebridge retry` to go on.",
            changed="What the run had done is in the ledger.",
        )
    return str(getattr(found, "value", found))


def active(dag_id: str, plan_id: str) -> Run | None:
    """Return the run of the DAG that works on the plan now, if there is one."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        rows = session.scalars(
            select(DagRun).where(DagRun.dag_id == dag_id, DagRun.state.in_(("queued", "running")))
        ).all()
        for row in rows:
            if (row.conf or {}).get("plan_id") == plan_id:
                url = run_url(dag_id, row.run_id)
                return Run(dag_id=dag_id, run_id=row.run_id, state=str(row.state), url=url)
    return None


def refuse_second(dag_id: str, plan_id: str) -> None:
    """Refuse to start a plan that is under way.

    :raises PreflightFailed: IB-743 it awaits an approval (the message says where to click), IB-744 it is running.
    """
    run = active(dag_id, plan_id)
    if run is None:
        return
    waiting = [question for question in questions(plan_id) if question.dag_id in {dag_id, WAVE}]
    if waiting:
        raise awaiting_approval(plan_id, waiting[0])
    raise PreflightFailed(
        "IB-744",
        f"Plan {plan_id} is already under way in the run {run.run_id} of {dag_id} ({run.state}).",
        remedy=f"Run `icebridge status {plan_id}`, or look at {run.url}",
        plan=plan_id,
        run=run.run_id,
    )


def awaiting_approval(plan_id: str, question: Question) -> IceBridgeError:
    """Return the refusal that says where to click."""
    return PreflightFailed(
        "IB-743",
        f"Plan {plan_id} awaits approval: {question.subject}",
        remedy=f"Open {question.url} and answer there, or answer over REST (docs/rest.md).",
        changed="The copies are made and proven; no table was cut over since the question was asked.",
        plan=plan_id,
        url=question.url,
    )


def questions(plan_id: str = "") -> list[Question]:
    """Return the approvals of our DAGs that wait for a person, of one plan or of all."""
    from airflow.models.hitl import HITLDetail
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        rows = session.scalars(select(HITLDetail).where(HITLDetail.responded_at.is_(None))).unique().all()
        found = [
            (row.task_instance, row.subject, f"{row.subject}\n{row.body}")
            for row in rows
            if row.task_instance.dag_id in DAGS and not _is_over(row.task_instance)
        ]
        return [
            Question(
                dag_id=task.dag_id,
                run_id=task.run_id,
                task_id=task.task_id,
                subject=" ".join(subject.split()),
                url=question_url(task.dag_id, task.run_id, task.task_id, task.map_index),
            )
            for task, subject, said in found
            if plan_id in {"", (task.dag_run.conf or {}).get("plan_id")} or _names(said, plan_id)
        ]


def _is_over(task: Any) -> bool:
    return str(getattr(task.state, "value", task.state)) in {
        "success",
        "failed",
        "skipped",
        "removed",
        "upstream_failed",
    }


def _names(said: str, plan_id: str) -> bool:
    """Whether a question names the plan; runs started by hand have no plan id among their parameters."""
    return re.search(rf"[Pp]lan \**{re.escape(plan_id)}(?![\w-]|\.\w)", said) is not None


def wait(
    run: Run,
    each: Callable[[str, list[Question]], bool],
    plan_id: str,
    seconds: float = 1.0,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Poll until the run is over or ``each`` (state, open questions) returns False; return the last state seen."""
    for now in _states(run, seconds, sleep):
        if not each(now, questions(plan_id)) or now in FINAL:
            return now
    return "failed"  # pragma: no cover - the iterator has no end


def _states(run: Run, seconds: float, sleep: Callable[[float], None]) -> Iterator[str]:
    while True:
        yield state(run)
        sleep(seconds)


def base_url() -> str:
    """Return where Airflow's pages are, without a trailing slash."""
    from airflow.configuration import conf

    configured = str(conf.get("api", "base_url", fallback="") or "").rstrip("/")
    return configured or f"http://localhost:{conf.get('api', 'port', fallback='8080')}"


def run_url(dag_id: str, run_id: str) -> str:
    """Return the page of a run."""
    return f"{base_url()}/dags/{dag_id}/runs/{_quote(run_id)}"


def question_url(dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """Return the page with the buttons of an approval."""
    mapped = f"/mapped/{map_index}" if map_index >= 0 else ""
    return f"{run_url(dag_id, run_id)}/tasks/{_quote(task_id)}{mapped}/required_actions"


def _quote(text: str) -> str:
    return urllib.parse.quote(text, safe=":+")

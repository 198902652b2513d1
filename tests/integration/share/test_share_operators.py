"""The operators of a share: waiting without a worker, resuming, stopping, presets, and what they tell."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from icebridge_provider.exceptions import IceBridgeError, LimitExceeded, TransientError, ValidationFailed
from icebridge_provider.model.event import Outcome
from tests.integration.share.conftest import Home, export_task, load_task, planned
from tests.support.airflow_cli import environment
from tests.support.dag_runs import context

pytestmark = pytest.mark.airflow


@pytest.fixture
def impatient() -> Any:
    """The worker is given back at once."""
    with environment(AIRFLOW__ICEBRIDGE__SHARE_WAIT_SECONDS="0"):
        yield


def rebuilt(trigger: Any) -> Any:
    """The trigger as the triggerer builds it, from what the database keeps."""
    from airflow.sdk._shared.module_loading import import_string

    path, arguments = trigger.serialize()
    assert arguments["first_seconds"] >= 5, "the scheduler must have booked the deferral before the task is back"
    return import_string(path)(**{**json.loads(json.dumps(arguments)), "first_seconds": 0})


def through(task: Any, run: str = "manual") -> tuple[dict[str, Any], list[str]]:
    """Execute with the triggerer's part done here; gives the result, and the sides that were waited for."""
    from airflow.sdk.exceptions import TaskDeferred

    sides: list[str] = []
    method: str = "execute"
    given: dict[str, Any] = {}
    while True:
        try:
            return getattr(task, method)(context(run), **given), sides
        except TaskDeferred as deferred:
            trigger = rebuilt(deferred.trigger)
            sides.append(trigger.side)
            event = asyncio.run(asyncio.wait_for(_first(trigger), 30))
            method, given = deferred.method_name, {"event": event, **(deferred.kwargs or {})}


async def _first(trigger: Any) -> dict[str, Any]:
    async for event in trigger.run():
        return dict(event.payload)
    raise AssertionError("no event")


def failures(home: Home, item: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(e.data) for e in home.ledger.events(item["run_id"]) if e.outcome is Outcome.FAILED and e.table]


def test_the_worker_is_given_back_on_both_sides_and_the_next_part_goes_on(home: Home, impatient: None) -> None:
    home.fill("orders", [1, 2, 3])
    (item,) = planned(home, home.line("orders"))
    home.world.order("slow", "INSERT", seconds=0.5)
    result, sides = through(export_task(item))
    assert (result["rows"], result["files"], sides) == (3, 2, ["source"])
    home.account.fail("slow", "COPY INTO", seconds=1)
    result, sides = through(load_task(item))
    assert (result["rows"], result["again"], set(sides)) == (3, False, {"target"})
    assert home.rows("orders") == [(1, "x"), (2, "x"), (3, "x")]
    assert len(home.account.queries(f'COPY INTO "{home.database}"')) == 1
    assert through(load_task(item)) == ({**result, "again": True}, [])


def test_a_patient_worker_and_one_without_a_triggerer_wait_themselves(home: Home) -> None:
    home.fill("orders", [1])
    (item,) = planned(home, home.line("orders"))
    home.world.order("slow", "INSERT", seconds=0.6)
    assert through(export_task(item))[1] == []
    with environment(AIRFLOW__ICEBRIDGE__SHARE_WAIT_SECONDS="0"):
        home.account.fail("slow", "COPY INTO", seconds=1)
        assert through(load_task(item, deferrable=False))[1] == []
    assert home.rows("orders") == [(1, "x")]


def test_a_task_waits_for_another_that_works_on_the_same_target(home: Home) -> None:
    from icebridge_provider.steps.share_plan import share_of
    from icebridge_provider.steps.share_site import lease_key

    home.fill("orders", [1])
    (item,) = planned(home, home.line("orders"))
    lease = home.ledger.acquire(lease_key(share_of(home.ledger, item["document"])), "another", 60)
    assert lease is not None
    timer = threading.Timer(1.0, home.ledger.release, [lease])
    timer.start()
    began = time.monotonic()
    assert through(export_task(item))[0]["rows"] == 1
    assert time.monotonic() - began > 1
    timer.join()


def test_a_killed_task_cancels_what_it_runs_and_the_next_try_goes_on(home: Home) -> None:
    home.fill("orders", [1])
    (item,) = planned(home, home.line("orders"))
    home.world.order("slow", "INSERT", looks=-1)
    task = export_task(item, deferrable=False)

    def kill() -> None:
        until = time.monotonic() + 20
        while not any(event.data.get("query_id") for event in home.ledger.events(item["run_id"])):
            assert time.monotonic() < until
            time.sleep(0.05)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, lambda *_: task.on_kill())  # as Airflow does it with SIGTERM
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises(TransientError, match="IB-708"):
            task.execute(context())
    finally:
        killer.join()
        signal.signal(signal.SIGUSR1, before)
    assert [row["state"] for row in home.world.statements("orders`")][-1] == "cancelled"
    assert [told["code"] for told in failures(home, item)] == ["IB-948"]
    assert through(export_task(item))[0]["rows"] == 1


def test_a_person_who_ends_a_waiting_task_cancels_the_statement(home: Home, impatient: None) -> None:
    from airflow.sdk.exceptions import TaskDeferred

    home.fill("orders", [1])
    (item,) = planned(home, home.line("orders"))
    through(export_task(item))
    home.account.fail("slow", "COPY INTO", seconds=30)
    task = load_task(item)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context())
    trigger = rebuilt(deferred.value.trigger)
    asyncio.run(trigger.on_kill())
    event = asyncio.run(asyncio.wait_for(_first(trigger), 30))
    assert event["state"] == "cancelled"
    assert [told["code"] for told in failures(home, item)] == ["IB-948"]
    home.account.calm()
    assert through(load_task(item))[0]["rows"] == 1
    assert home.rows("orders") == [(1, "x")]


# Presets


def test_poc_says_limited_tries_once_and_stops_at_the_first_failure(home: Home) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    home.fill("orders", list(range(1500)))
    home.fill("events", [1])
    home.fill("prices", [1])
    items = planned(home, home.line("orders"), home.line("events"), home.line("prices"), preset="poc")
    orders, events, prices = items
    assert "LIMITED" in orders["caption"]
    assert through(export_task(orders))[0]["rows"] == 1000
    loaded = through(load_task(orders))[0]
    assert "1000" in loaded["limited"]
    assert len(home.rows("orders")) == 1000
    home.world.order("fail", "INSERT.*events", message="the warehouse is gone", retryable=True)
    with pytest.raises(AirflowFailException, match=r"the warehouse is gone.*one try"):
        through(export_task(events))
    with pytest.raises(LimitExceeded, match=r"IB-956.*main\.sales\.prices.*main\.sales\.events"):
        through(export_task(prices))
    again = context()
    again["dag_run"].start_date = datetime.now(UTC).replace(year=2999)  # cleared: older failures are of no interest
    assert export_task(prices).execute(again)["rows"] == 1


def test_poc_refuses_a_try_that_airflow_made_by_itself(home: Home) -> None:
    home.fill("orders", [1])
    (item,) = planned(home, home.line("orders"), preset="poc")
    task = export_task(item)
    given = context()
    given["ti"].try_number, given["ti"].max_tries = 2, task.retries
    with pytest.raises(LimitExceeded, match="IB-957"):
        task.execute(given)
    given["ti"].max_tries = 1 + task.retries  # a person cleared it after the first
    assert task.execute(given)["rows"] == 1


def test_production_leaves_transient_errors_to_the_retry_policy(home: Home) -> None:
    home.fill("orders", [1])
    (item,) = planned(home, home.line("orders"))
    home.world.order("fail", "INSERT", message="the warehouse is gone", retryable=True)
    with pytest.raises(TransientError, match="the warehouse is gone"):
        through(export_task(item))
    assert through(export_task(item))[0]["rows"] == 1


# What is told


def test_a_load_tells_assets_lineage_and_links_and_no_secret(home: Home) -> None:
    from airflow.sdk import AssetAlias

    home.fill("orders", [1, 2])
    (item,) = planned(home, home.line("orders"))
    exported = export_task(item)
    result = exported.execute(context())
    load, given = load_task(item), context()
    loaded = load.execute(given)
    (event,) = given["outlet_events"][AssetAlias("icebridge")].asset_alias_events
    assert event.dest_asset_key.uri == f"icebridge://snow/{home.database}/PUBLIC/ORDERS"
    assert (event.extra["rows"], event.extra["run_id"], event.extra["again"]) == (2, item["run_id"], False)
    (moved,) = load.moved
    assert (moved.source.namespace, moved.source.name) == ("databricks://127.0.0.1:1", "main.sales.orders")
    assert moved.target.name == f"{home.database}.PUBLIC.ORDERS"
    assert moved.rows == 2
    facets = load.get_openlineage_facets_on_complete(None)
    assert facets is None or facets.outputs[0].name == moved.target.name
    assert exported.links["_link_SharesLink"].startswith("https://airflow.example/icebridge/shares?run=d%2Fmanual")
    shown = json.dumps([item, result, loaded, event.extra, exported.links, load.links])
    for secret in ("dapi-secret", home.account.started["password"], home.world.s3["s3.secret-access-key"]):
        assert secret not in shown


def test_a_link_leads_to_the_statement_in_the_workspace(home: Home, impatient: None) -> None:
    from airflow.sdk.exceptions import TaskDeferred

    home.fill("orders", [1])
    (item,) = planned(home, home.line("orders"))
    home.world.order("slow", "INSERT", seconds=5)
    task = export_task(item)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context())
    (link,) = [link for link in task.operator_extra_links if link.name == "Databricks query"]
    page = link.get_link(task, ti_key=SimpleNamespace())
    assert page == f"http://127.0.0.1:1/sql/history?queryId={deferred.value.trigger.query_id}"


def test_the_report_names_what_is_not_loaded(home: Home) -> None:
    from icebridge_provider.operators.share import ReportSharesOperator

    home.fill("orders", [1])
    home.fill("events", [1])
    done, _ = planned(home, home.line("orders"), home.line("events"))
    through(export_task(done))
    through(load_task(done))
    with pytest.raises(ValidationFailed, match=r"IB-955.*1 of 2 .*main\.sales\.events"):
        ReportSharesOperator(task_id="report").execute(context())
    with pytest.raises(IceBridgeError, match=r"IB-950.*d/another"):
        ReportSharesOperator(task_id="report").execute(context("another"))


def test_planning_twice_gives_the_same_and_other_wishes_under_its_id_are_refused(home: Home) -> None:
    home.fill("orders", [1])
    first = planned(home, home.line("orders"))
    assert planned(home, home.line("orders")) == first
    with pytest.raises(IceBridgeError, match="IB-927"):
        planned(home, home.line("orders"), limit=5)
    assert planned(home, home.line("orders"), run="another")[0]["run_id"] != first[0]["run_id"]

"""Operators one by one, with the mistakes that people make; no DAG run is needed for these."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, TransientError
from tests.support import tables
from tests.support.airflow_cli import connection, environment
from tests.support.dag_runs import Lakes, context, lakes

pytestmark = pytest.mark.airflow
APPROVED = {
    "chosen_options": ["Approve"],
    "params_input": {"writers_stopped": True},
    "responded_by_user": {"id": "1", "name": "maria"},
}


@pytest.fixture
def lake(airflow_cli_home: Path, tmp_path: Path) -> Iterator[Lakes]:
    with lakes(tmp_path, allow_unapproved_cutover="True") as made:
        yield made


def plan(**arguments: Any) -> Any:
    from icebridge_provider.operators.plan import PlanOperator

    given = {"source_conn_id": "src", "target_conn_id": "dst", "approval": "none", "plan_id": "p1", **arguments}
    return PlanOperator(task_id="plan", **given).execute(context())


def each(kind: str, plan_id: str = "p1", around: Any = None, **arguments: Any) -> Any:
    from icebridge_provider.operators import tables as operators

    return getattr(operators, kind)(task_id="t", plan_id=plan_id, **arguments).execute(around or context())


def certify(plan_id: str = "p1") -> Any:
    from icebridge_provider.operators.certify import CertifyOperator

    return CertifyOperator(task_id="certify", plan_id=plan_id).execute(context())


def proven(plan_id: str = "p1") -> Any:
    """Copy, prove and certify a plan."""
    each("CopyTablesOperator", plan_id)
    each("ValidateTablesOperator", plan_id)
    return certify(plan_id)


def refused(code: str, **arguments: Any) -> IceBridgeError:
    with pytest.raises(IceBridgeError, match=code) as met:
        plan(**arguments)
    assert met.value.remedy
    return met.value


def pasted(met: IceBridgeError) -> list[str]:
    """The list that the remedy tells to paste."""
    found = re.search(r"accept_losses\W*(\[[^\]]*\])", met.remedy)
    assert found, met.remedy
    return list(json.loads(found[1]))


# Mistakes


def test_unknown_glob_names_the_nearest(lake: Lakes) -> None:
    tables.plain(lake.source, "orders")
    assert "orders" in str(refused("IB-230", tables=["lake.ordres"]))


def test_missing_connection_and_wrong_type(lake: Lakes) -> None:
    assert "AIRFLOW_CONN_NOWHERE" in refused("IB-102", source_conn_id="nowhere").remedy
    with environment(AIRFLOW_CONN_PG=connection("postgres", host="db.example.com")):
        assert "icebridge_catalog" in str(refused("IB-103", target_conn_id="pg"))


def test_connection_is_needed(lake: Lakes) -> None:
    assert "source_conn_id" in str(refused("IB-70[0-9]", source_conn_id=""))


def test_collision_names_both(lake: Lakes) -> None:
    tables.plain(lake.source, "a")
    tables.plain(lake.source, "b")
    met = refused("IB-310", mapping=["explicit:lake.a=lake.c", "explicit:lake.b=lake.c"])
    assert "lake.a" in str(met)
    assert "lake.b" in str(met)


def test_loss_must_be_accepted_by_name_and_the_param_can_be_pasted(lake: Lakes) -> None:
    tables.history(lake.source, "h")
    met = refused("IB-312", method="insert_select")
    assert lake.files("dst") == {}
    assert plan(method="insert_select", accept_losses=pasted(met))["tables"] == 1


def test_unapproved_cut_over_is_refused_before_a_byte_is_copied(airflow_cli_home: Path, tmp_path: Path) -> None:
    with lakes(tmp_path) as made:
        tables.plain(made.source, "a")
        met = refused("IB-[0-9]{3}", approval="none")
        assert "ALLOW_UNAPPROVED_CUTOVER" in met.remedy.upper()
        assert made.files("dst") == {}
        assert list(made.ledger.plans()) == []


def test_a_plan_that_nobody_made_is_named(lake: Lakes) -> None:
    with pytest.raises(IceBridgeError, match=r"IB-120.*nope"):
        each("CopyTablesOperator", "nope")


def test_foreign_table_under_the_target_name_is_not_touched(lake: Lakes) -> None:
    tables.plain(lake.source, "a")
    tables.plain(lake.source, "b")
    tables.plain(lake.target, "a")
    before = lake.files("dst")
    made = plan()
    assert (made["tables"], made["refused"]) == (1, 1)
    each("CopyTablesOperator")
    assert {name: lake.files("dst")[name] for name in before} == before
    assert lake.states("p1")["lake.a"] == "refused"


def test_same_plan_id_gives_the_same_plan(lake: Lakes) -> None:
    tables.plain(lake.source, "a")
    first = plan()
    tables.plain(lake.source, "b")
    assert plan() == first


def test_without_a_plan_id_a_retried_task_finds_its_own_plan(lake: Lakes) -> None:
    tables.plain(lake.source, "a")
    assert plan(plan_id="") == plan(plan_id="")
    assert len(list(lake.ledger.plans())) == 1


# Steps


def test_whole_migration_by_operators(lake: Lakes) -> None:
    from airflow.sdk import AssetAlias

    tables.partitioned(lake.source, "a")
    tables.plain(lake.source, "b")
    made = plan()
    assert json.loads(json.dumps(made)) == made
    certificate = proven()
    assert certificate["tables"] == ["src.lake.a", "src.lake.b"]
    around = context()
    done = each("CutOverOperator", around=around, certificate=certificate)
    events = around["outlet_events"][AssetAlias("icebridge")].asset_alias_events
    assert {event.dest_asset_key.uri for event in events} == {"icebridge://dst/lake/a", "icebridge://dst/lake/b"}
    assert {event.extra["rows"] for event in events} == {100}
    assert set(done["done"]) == {"src.lake.a", "src.lake.b"}
    assert set(lake.states("p1").values()) == {"cut over"}
    assert each("CutOverOperator", certificate=certificate)["done"]["src.lake.a"]["already"] is True


def test_partitioned_table_re_encoded(lake: Lakes) -> None:
    source = tables.partitioned(lake.source, "a")
    wanted = source.scan().to_arrow().sort_by("id")
    plan(method="insert_select", accept_losses=pasted(refused("IB-312", method="insert_select")))
    each("CutOverOperator", certificate=proven())
    moved = lake.target.load_table("lake.a")
    assert moved.scan().to_arrow().sort_by("id").equals(wanted)
    assert [field.name for field in moved.spec().fields] == ["day", "id_bucket", "name_start"]
    assert len(moved.snapshots()) < len(source.snapshots())


def test_read_only_source_gets_an_instruction(airflow_cli_home: Path, tmp_path: Path) -> None:
    with lakes(tmp_path, read_only=True, allow_unapproved_cutover="True") as made:
        tables.plain(made.source, "a")
        before = made.files("src")
        plan()
        done = each("CutOverOperator", certificate=proven())["done"]["src.lake.a"]
        assert "read-only" in done["instruction"]
        assert made.names("src") == ["a"]
        assert made.names("dst") == ["a"]
        assert made.files("src") == before


def test_one_failing_table_does_not_stop_the_others(lake: Lakes) -> None:
    for name in "abc":
        tables.plain(lake.source, name)
    plan()
    each("CopyTablesOperator")
    row = lake.rows("p1")["lake.b"]
    lake.change_a_byte("b", "p1")
    with pytest.raises(IceBridgeError) as met:
        each("ValidateTablesOperator")
    assert "lake.b" in str(met.value)
    assert not met.value.retryable
    assert row["state"] == "copied"
    assert certify()["tables"] == ["src.lake.a", "src.lake.c"]


def test_sync_brings_over_what_was_appended(lake: Lakes) -> None:
    table = tables.plain(lake.source, "a")
    plan()
    proven()
    assert each("SyncTablesOperator")["done"]["src.lake.a"]["rounds"] == 0
    table.append(tables.rows(1000, 7))
    assert each("SyncTablesOperator")["done"]["src.lake.a"]["rounds"] == 1
    each("CutOverOperator", certificate=certify())
    assert lake.target.load_table("lake.a").scan().count() == 107


def test_what_was_approved_must_still_stand(lake: Lakes) -> None:
    table = tables.plain(lake.source, "a")
    plan(approval="required")
    certificate = proven()
    table.append(tables.rows(1000, 7))
    each("SyncTablesOperator")
    certify()
    with pytest.raises(IceBridgeError, match="IB-620"):
        each("CutOverOperator", certificate=certificate, approval=APPROVED)
    assert lake.names("src") == ["a"]


def test_writer_after_the_cut_over_is_found(lake: Lakes) -> None:
    tables.plain(lake.source, "a")
    plan()
    each("CutOverOperator", certificate=proven())
    assert each("WatchTablesOperator")["done"]["src.lake.a"]["finding"] == ""
    archived = lake.names("src")[0]
    lake.source.load_table(f"lake.{archived}").append(tables.rows(5000, 1))
    with pytest.raises(IceBridgeError, match=r"IB-70[0-9].*source_moved_after_cutover"):
        each("WatchTablesOperator")


def test_rollback_gives_the_source_its_name_back(lake: Lakes) -> None:
    tables.plain(lake.source, "a")
    plan()
    each("CutOverOperator", certificate=proven())
    assert lake.names("src") != ["a"]
    each("RollbackOperator")
    assert lake.names("src") == ["a"]
    assert lake.states("p1") == {"lake.a": "rolled back"}
    assert each("RollbackOperator")["done"]["src.lake.a"]["already"] is True


@pytest.mark.parametrize(("days", "code"), [("30", "IB-641"), ("0", "")])
def test_purge_keeps_to_the_grace_period(airflow_cli_home: Path, tmp_path: Path, days: str, code: str) -> None:
    with lakes(tmp_path, allow_unapproved_cutover="True", purge_grace_days=days) as made:
        tables.plain(made.source, "a")
        plan()
        each("CutOverOperator", certificate=proven())
        if code:
            with pytest.raises(ConfigurationError, match=code):
                each("PurgeOperator", approval=APPROVED)
            assert any(path.endswith(".parquet") for path in made.files("src"))
            return
        with pytest.raises(ConfigurationError, match="IB-640"):
            each("PurgeOperator", approval={**APPROVED, "chosen_options": ["Reject"]})
        each("PurgeOperator", approval=APPROVED)
        assert not any(path.endswith(".parquet") for path in made.files("src"))
        assert made.names("src") == []
        assert made.target.load_table("lake.a").scan().count() == 100


# The cut-over's window and approval


def test_closed_window_waits_without_a_worker(lake: Lakes) -> None:
    from airflow.providers.standard.triggers.temporal import DateTimeTrigger
    from airflow.sdk.exceptions import TaskDeferred

    tables.plain(lake.source, "a")
    opening = (datetime.now(UTC) + timedelta(hours=6)).replace(minute=0, second=0, microsecond=0)
    plan(cutover_window=f"{opening.minute} {opening.hour} * * *|60|UTC")
    certificate = proven()
    with pytest.raises(TaskDeferred) as met:
        each("CutOverOperator", certificate=certificate)
    assert isinstance(met.value.trigger, DateTimeTrigger)
    assert met.value.trigger.moment == opening
    assert lake.names("src") == ["a"]


def test_open_window_cuts_over(lake: Lakes) -> None:
    tables.plain(lake.source, "a")
    plan(cutover_window="* * * * *|60|UTC")
    each("CutOverOperator", certificate=proven())
    assert lake.states("p1") == {"lake.a": "cut over"}


@pytest.mark.parametrize(
    ("approval", "code"),
    [
        (None, "IB-621"),
        ({**APPROVED, "params_input": {}}, "IB-621"),
        ({**APPROVED, "params_input": {"writers_stopped": "true"}}, "IB-621"),
        ({**APPROVED, "chosen_options": ["Reject"]}, "IB-621"),
        ({**APPROVED, "responded_by_user": None}, "IB-621"),
        (APPROVED, ""),
    ],
)
def test_only_a_named_person_with_the_tick_cuts_over(lake: Lakes, approval: Any, code: str) -> None:
    tables.plain(lake.source, "a")
    plan(approval="required")
    certificate = proven()
    if not code:
        each("CutOverOperator", certificate=certificate, approval=approval)
        assert lake.ledger.state("p1", "src.lake.a").approval["who"] == "maria"
        return
    with pytest.raises(ConfigurationError, match=code):
        each("CutOverOperator", certificate=certificate, approval=approval)
    assert lake.names("src") == ["a"]
    assert "a" not in lake.names("dst")


class Asked:
    """The part of a running task that keeps its own XCom."""

    task_id, map_index = "approve", -1

    def __init__(self, digest: str) -> None:
        self.digest = digest

    def xcom_pull(self, **asked: Any) -> str:
        assert asked["task_ids"] == self.task_id
        return self.digest


@pytest.mark.parametrize(
    ("values", "stands", "code"),
    [
        ({"certificate": "d1", "writers_stopped": True}, "d1", ""),
        ({"certificate": "d1", "writers_stopped": False}, "d1", "IB-709"),
        ({"certificate": "d1"}, "d1", "IB-709"),
        ({"certificate": "d0", "writers_stopped": True}, "d1", "IB-703"),
        ({"certificate": "d1", "writers_stopped": True}, "d2", "IB-703"),
    ],
)
def test_an_answer_holds_for_the_certificate_that_was_shown(
    airflow_cli_home: Path, values: dict[str, Any], stands: str, code: str
) -> None:
    from icebridge_provider.operators.approval import ApproveCutOverOperator, approval_of

    asks = ApproveCutOverOperator(task_id="approve", plan_id="p1", certificate={"digest": stands})
    event = {
        "chosen_options": ["Approve"], "params_input": values, "timedout": False,
        "responded_at": datetime.now(UTC), "responded_by_user": {"id": "1", "name": "maria"},
    }  # fmt: skip
    around = {**context(), "ti": Asked("d1")}
    if code:
        with pytest.raises(ConfigurationError, match=code):
            asks.execute_complete(around, event)
        return
    answer = asks.execute_complete(around, event)
    assert approval_of(answer) == ("maria", True, "d1")
    assert json.loads(json.dumps(answer)) == answer


def test_names_from_catalogs_cannot_forge_the_question(airflow_cli_home: Path) -> None:
    from icebridge_provider.operators.approval import question

    evil = "src.lake.<img src=x>|`x`\n# Approved"
    certificate = {
        "digest": "d1", "tables": [evil], "writers": {evil: ["<b>w</b>"]}, "signed": False, "losses": [], "rows": 1,
    }  # fmt: skip
    text = question("p1", 0, certificate)
    assert "<" not in text
    assert "\n# Approved" not in text


# What is tried again


def test_retry_policy_tells_what_may_succeed_later(airflow_cli_home: Path) -> None:
    from airflow.sdk import RetryAction

    from icebridge_provider.operators.retry import DELAY, retry_policy

    policy = retry_policy()
    again = policy.evaluate(TransientError("IB-600", "busy", remedy="wait"), 1, 3)
    assert (again.action, again.retry_delay) == (RetryAction.RETRY, DELAY)
    for error in (ConfigurationError("IB-102", "no", remedy="add"), IceBridgeError("IB-701", "no", remedy="mend")):
        assert policy.evaluate(error, 1, 3).action == RetryAction.FAIL
    assert policy.evaluate(OSError("disk"), 1, 3).action == RetryAction.DEFAULT


def test_several_failures_become_one_error(airflow_cli_home: Path) -> None:
    from icebridge_provider.operators.base import summary

    busy = TransientError("IB-600", "busy", remedy="wait")
    wrong = ConfigurationError("IB-601", "gone", remedy="restore")
    assert summary({"a": wrong}) is wrong
    both = summary({"a": wrong, "b": wrong})
    assert (both.code, both.retryable) == ("IB-701", False)
    assert "a, b" in both.message
    assert summary({"a": busy, "b": busy}).retryable

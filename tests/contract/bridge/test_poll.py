"""The whole poll over every combination of adapters: what becomes of events, rows, ledger and audit."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.bridge import Access, BridgeEvent, EventStatus, Grant, Rights
from icebridge_provider.model.event import Outcome
from icebridge_provider.steps.events import emit, poll, preview, reject, release
from tests.support.bridge import COLUMNS, Between, World, an_event, lost, site_of
from tests.support.ledgers import sqlite_ledger


def statuses(world: World) -> dict[str, str]:
    return {event.event_id: event.status.value for event in world.queue.events()}


def test_events_run_in_order_and_end_in_queue_ledger_and_audit(world: World, tmp_path: Path) -> None:
    ledger = sqlite_ledger(tmp_path)
    site = site_of(world, ledger=ledger)
    update = an_event(world, "2", "UPDATE", rows_expected=4, metadata={"requested_by": "eve"})
    emit(world.queue, [an_event(world, "1"), update, an_event(world, "3", "DELETE", filter_conditions={"id": "3"})])
    report = poll(site)
    assert report.completed == ("1", "2", "3")
    assert (report.more, report.outage, report.held) == (False, "", {})
    assert world.rows("t") == [(1, "one"), (2, "two")]
    found = world.queue.event("2")
    assert (found.rows_affected, found.discrepancy) == (3, 1)
    assert found.warning
    lines = [(line.table, line.outcome) for line in ledger.events("sync:orders")]
    assert lines == [*((name, Outcome.STARTED) for name in "123"), *((name, Outcome.DONE) for name in "123")]
    assert [line.data["requested_by"] for line in ledger.events("sync:orders", "2")] == ["eve", "eve"]
    kinds = [(line["event_type"], line["detail"]) for line in site.permissions.lines]
    assert kinds.count(("permission_granted", "2")) == kinds.count(("event_completed", "2")) == 1
    ledger.close()
    assert poll(site).to_json() == {
        "completed": [], "failed": [], "blocked": [], "rejected": [], "retried": [], "held": {}, "outage": "",
        "more": False,
    }  # fmt: skip


def test_what_is_not_permitted_fails_and_is_audited(world: World) -> None:
    site = site_of(world, grants={"other": 5})
    emit(world.queue, [an_event(world, "1")])
    assert poll(site).failed == ("1",)
    assert "IB-842" in world.queue.event("1").error_message
    assert site.permissions.lines[0] == {
        "event_type": "permission_denied", "resource": f"{world.schema}.t", "action": "INSERT", "detail": "1",
    }  # fmt: skip
    assert world.target.settled(["1"])["1"].status is EventStatus.FAILED, "the inbox knows: nobody does it later"


def test_reading_is_no_right_to_write(world: World) -> None:
    site = site_of(world)
    site.permissions.rights_now = Rights(
        user="maria", grants=(Grant(table=f"{world.schema}.t", access=Access.READ, max_delete_rows=9),)
    )
    emit(world.queue, [an_event(world, "1")])
    assert poll(site).failed == ("1",)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"operation": "MERGE"}, "IB-840"),
        ({"target_table": "t"}, "IB-840"),
        ({"source_table": "a.b.c.d"}, "IB-840"),
        ({"operation": "UPDATE"}, "IB-840.*primary_keys"),
        ({"operation": "DELETE", "primary_keys": ("name",)}, "IB-845"),
        ({"operation": "DELETE", "primary_keys": ("nothing",)}, "IB-844"),
        ({"filter_conditions": {"nothing": "1"}}, "IB-844"),
        ({"filter_conditions": {"id": "x"}}, "IB-8"),
        ({"source_table": "no_such_table"}, "IB-8"),
        ({"rows_expected": -1}, "IB-840"),
    ],
)
def test_a_poison_event_fails_and_the_others_go_on(world: World, given: dict[str, object], says: str) -> None:
    poison = replace(an_event(world, "1"), **given)
    if "target_table" not in given:
        poison = replace(poison, target_table=f"{world.schema}.t")
    world.queue.emit([poison, an_event(world, "2")])
    report = poll(site_of(world))
    assert (report.failed, report.completed) == (("1",), ("2",))
    assert re.search(says, world.queue.event("1").error_message)


def test_a_table_in_another_spelling_is_refused_by_its_name(world: World) -> None:
    emit(world.queue, [an_event(world, "1", table="T")])
    assert poll(site_of(world, grants={"T": 1})).failed == ("1",)
    assert f"'{world.schema}.t'" in world.queue.event("1").error_message


def test_a_blocked_delete_holds_its_table_until_a_person_decides(world: World) -> None:
    site = site_of(world, grants={"t": 1, "u": 1})
    world.make_target("u", COLUMNS)
    emit(world.queue, [an_event(world, "1"), an_event(world, "2", "DELETE"), an_event(world, "3"),
                       an_event(world, "4", table="u")])  # fmt: skip
    report = poll(site)
    assert (report.completed, report.blocked, report.held) == (("1", "4"), ("2",), {"3": "2"})
    assert "waits for event 2" in world.queue.event("3").warning.lower()
    assert world.queue.event("3").attempt == 0
    release(site, "2", 3)
    assert poll(site).completed == ("2", "3")
    assert len(world.rows("t")) == 3
    assert world.queue.event("3").warning == ""


def test_a_release_that_is_too_small_blocks_again_and_a_rejected_event_never_runs(world: World) -> None:
    site = site_of(world, grants={"t": 0})
    emit(world.queue, [an_event(world, "1"), an_event(world, "2", "DELETE")])
    poll(site)
    release(site, "2", 2)
    assert poll(site).blocked == ("2",)
    reject(site, "2", "not mine")
    assert statuses(world)["2"] == "rejected"
    world.redeliver("2")
    assert poll(site).rejected == ("2",)
    assert len(world.rows("t")) == 3
    with pytest.raises(ConfigurationError, match="IB-854"):
        release(site, "2", 5)
    with pytest.raises(ConfigurationError, match="IB-854"):
        release(site, "none", 5)


def test_only_a_person_releases_not_whoever_writes_into_the_queue(world: World) -> None:
    site = site_of(world, grants={"t": 1})
    emit(world.queue, [an_event(world, "1"), an_event(world, "2", "DELETE", released_rows=99)])
    assert poll(site).blocked == ("2",)
    world.queue.release("2", 99)
    assert poll(site).blocked == ("2",), "the ledger knows of no release"
    assert len(world.rows("t")) == 3


def test_a_failed_event_does_not_hold_its_table(world: World) -> None:
    emit(world.queue, [an_event(world, "1"), an_event(world, "2"), an_event(world, "3", "UPDATE")])
    report = poll(site_of(world))
    assert (report.completed, report.failed) == (("1", "3"), ("2",))


def test_an_event_that_was_done_is_only_marked(world: World) -> None:
    site = site_of(world)
    emit(world.queue, [an_event(world, "1")])
    poll(site)
    first = world.queue.event("1")
    world.redeliver("1")
    world.add("s", [(9, "nine")])
    assert poll(site).completed == ("1",)
    assert len(world.rows("t")) == 3
    assert world.queue.event("1").rows_affected == first.rows_affected == 3


def test_a_failure_that_may_pass_is_tried_again_and_then_given_up(world: World) -> None:
    gone = Between(world.target, lambda name: _lose(name == "apply"))
    site = replace(site_of(world, max_attempts=3), target=gone)
    emit(world.queue, [an_event(world, "1"), an_event(world, "2", "DELETE")])
    for attempt in (1, 2):
        report = poll(site)
        assert (report.retried, report.outage) == (("1",), "")
        assert (world.queue.event("1").attempt, world.queue.event("2").attempt) == (attempt, 0)
    report = poll(site)
    assert report.failed[0] == "1"
    assert "No answer" in world.queue.event("1").error_message


def test_an_outage_costs_no_attempts(world: World) -> None:
    emit(world.queue, [an_event(world, "1"), an_event(world, "2")])
    for part, calls in (("target", {"apply", "settled", "settle"}), ("source", {"pin"})):
        ports = {part: Between(getattr(world, part), lambda name, calls=calls: _lose(name in calls))}
        report = poll(replace(site_of(world, max_attempts=1), **ports))
        assert "No answer" in report.outage
        assert {(event.status.value, event.attempt) for event in world.queue.events()} == {("pending", 0)}
    assert poll(site_of(world, max_attempts=1)).completed == ("1",)


def test_a_lost_answer_to_an_event_that_was_done(world: World) -> None:
    emit(world.queue, [an_event(world, "1")])
    report = poll(replace(site_of(world), target=Between(world.target, after=lambda name: _lose(name == "apply"))))
    assert report.completed == ("1",)
    assert len(world.rows("t")) == 3


def test_an_event_that_kills_its_worker_is_given_up_alone(world: World) -> None:
    """A worker that dies says nothing: only the count of claims tells."""
    emit(world.queue, [an_event(world, name) for name in ("1", "2")])
    for _ in range(3):
        first = world.queue.claim(world.queue.waiting_events(1), "dead", 60)
        assert [event.event_id for event in first] == ["1"]
        world.expire("1")
    report = poll(site_of(world, max_attempts=3))
    assert (report.failed, report.completed) == (("1",), ("2",))
    assert "IB-853" in world.queue.event("1").error_message


def test_a_poll_ends_at_its_limit_and_says_that_there_is_more(world: World) -> None:
    emit(world.queue, [an_event(world, str(number), filter_conditions={"id": str(number)}) for number in range(1, 4)])
    site = site_of(world, max_events_per_poll=2)
    first, second = poll(site), poll(site)
    assert (first.completed, first.more) == (("1", "2"), True)
    assert (second.completed, second.more) == (("3",), False)


def test_a_claim_that_another_has_holds_what_comes_after(world: World) -> None:
    emit(world.queue, [an_event(world, "1"), an_event(world, "2", "DELETE"), an_event(world, "3", "DELETE")])
    world.queue.claim(world.queue.waiting_events(1), "other", 60)
    report = poll(site_of(world))
    assert (report.completed, set(report.held.values())) == ((), {"1"})
    world.expire("1")
    assert poll(site_of(world)).completed == ("1", "2", "3")


def test_events_that_must_wait_starve_nobody(world: World) -> None:
    site = site_of(world, grants={"t": 0, "u": 0}, max_events_per_poll=2)
    world.make_target("u", COLUMNS)
    many = [an_event(world, f"held{number}", "UPDATE", priority=9) for number in range(6)]
    emit(world.queue, [an_event(world, "1"), an_event(world, "2", "DELETE", priority=9), *many])
    poll(site)
    emit(world.queue, [an_event(world, "low", table="u", priority=-9)])
    assert poll(site).completed == ("low",)


def test_permissions_that_cannot_be_read_fail_no_event(world: World) -> None:
    emit(world.queue, [an_event(world, "1"), an_event(world, "2")])
    broken = ConfigurationError("IB-800", "The file is no YAML.", remedy="Mend it.")
    answers = iter([True, True, False])

    class Breaking:
        def rights(self) -> Rights:
            if not next(answers, False):
                raise broken
            return site_of(world).permissions.rights()

        def audit(self, **line: str) -> None:
            lines.append(line["event_type"])

    lines: list[str] = []
    site = replace(site_of(world), permissions=Breaking())
    report = poll(site)
    assert (report.completed, report.failed) == (("1",), ())
    assert "IB-859" in report.outage
    assert lines == ["permission_granted", "event_completed"]
    assert (world.queue.event("2").status, world.queue.event("2").attempt) == (EventStatus.PENDING, 0)
    with pytest.raises(ConfigurationError, match="IB-800"):
        poll(site)
    assert world.queue.event("2").attempt == 0


def test_a_worker_that_is_interrupted_gives_back_what_it_has(world: World) -> None:
    def interrupt(name: str) -> None:
        if name == "apply":
            raise KeyboardInterrupt

    emit(world.queue, [an_event(world, "1"), an_event(world, "2", "DELETE")])
    with pytest.raises(KeyboardInterrupt):
        poll(replace(site_of(world), target=Between(world.target, interrupt)))
    assert {(event.event_id, event.status.value, event.attempt) for event in world.queue.events()} == {
        ("1", "pending", 1), ("2", "pending", 0),
    }  # fmt: skip
    assert poll(site_of(world)).completed == ("1", "2")


def test_nothing_is_begun_when_half_of_the_claims_time_is_over(world: World) -> None:
    emit(world.queue, [an_event(world, "1")])
    assert poll(site_of(world, lease_seconds=-1.0)).completed == ()
    assert (world.queue.event("1").status, world.queue.event("1").attempt) == (EventStatus.PENDING, 0)
    assert world.rows("t") == []


def test_a_preview_says_what_would_happen(world: World) -> None:
    site = site_of(world, grants={"t": 1})
    emit(world.queue, [an_event(world, "1"), an_event(world, "2", "DELETE"), an_event(world, "3", table="u")])
    assert (preview(site, "1").rows_affected, preview(site, "1").verdict) == (3, EventStatus.COMPLETED)
    assert preview(site, "2").verdict is EventStatus.COMPLETED, "there is nothing to delete yet"
    refused = preview(site, "3")
    assert refused.verdict is EventStatus.FAILED
    assert "IB-842" in refused.message
    assert (statuses(world), world.rows("t")) == (dict.fromkeys("123", "pending"), [])
    with pytest.raises(ConfigurationError, match="IB-854"):
        preview(site, "none")


def test_a_malformed_event_is_not_emitted(world: World) -> None:
    bad = BridgeEvent(event_id=" x", operation="INSERT", source_table="s", target_table="a.b")
    with pytest.raises(ConfigurationError, match="IB-840"):
        emit(world.queue, [an_event(world, "1"), bad])
    assert world.queue.events() == []


def _lose(yes: bool) -> None:
    if yes:
        raise lost()

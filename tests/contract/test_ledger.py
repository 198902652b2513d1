"""What every ledger does, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from icebridge_provider.exceptions import ConfigurationError, FencedOut
from icebridge_provider.model.event import Outcome, State, Step, fold
from icebridge_provider.model.plan import Estimate, MigrationPlan, MigrationRequest, Rates
from icebridge_provider.ports import CopiedFile, Lease
from icebridge_provider.state.ledger import SqlLedger
from tests.support.ledgers import PLAN, TABLE, an_event

pytestmark = pytest.mark.postgres


def a_plan(plan_id: str = PLAN, created_at: str = "2026-01-01T00:00:00+00:00") -> MigrationPlan:
    return MigrationPlan(
        plan_id=plan_id,
        created_at=created_at,
        request=MigrationRequest(source_conn_id="lake", target_conn_id="house"),
        tables=(),
        waves=(),
        findings=(),
        estimate=Estimate(bytes=0, seconds=0.0, cost=0.0, throughput_mb_s=100.0, rates=Rates()),
    ).sealed()


# -- events ----------------------------------------------------------------------------------------------------------


def test_an_event_comes_back_as_it_was_recorded(ledger: SqlLedger) -> None:
    given = an_event(rows=3, note="Ünïcode, 'quotes' and\nlines", nested={"a": [1, None, 2.5]})
    recorded = ledger.append(given)
    assert recorded.seq == 1
    assert recorded.previous == "0" * 64
    assert len(recorded.hash) == 64
    assert recorded.at.endswith("+00:00")
    assert replace(recorded, seq=0, at="", previous="", hash="") == given
    assert list(ledger.events()) == [recorded]


def test_events_are_chained_over_plans(ledger: SqlLedger) -> None:
    first = ledger.append(an_event())
    second = ledger.append(replace(an_event(), plan_id="p2"))
    assert second.previous == first.hash
    assert ledger.head() == (2, second.hash)
    assert [event.plan_id for event in ledger.events("p2")] == ["p2"]
    assert list(ledger.events(after=1)) == [second]


def test_no_events_is_no_change(ledger: SqlLedger) -> None:
    assert ledger.append_many([]) == []
    assert ledger.head() == (0, "0" * 64)
    assert ledger.verify_chain().intact


def test_state_is_the_fold_of_the_events(ledger: SqlLedger) -> None:
    steps = [(Step.PLAN, Outcome.DONE), (Step.COPY, Outcome.STARTED), (Step.COPY, Outcome.FAILED)]
    ledger.append_many([an_event(step, outcome, message="full") for step, outcome in steps])
    other = "lake.sales.a"
    ledger.append(replace(an_event(), table=other))
    state = ledger.state(PLAN, TABLE)
    assert (state.state, state.failures, state.problem) == (State.COPYING, {"copy": 1}, "full")
    assert ledger.states(PLAN) == [ledger.state(PLAN, other), state]
    assert ledger.states(PLAN, {other, "foreign.nobody"}) == [ledger.state(PLAN, other)]
    assert ledger.states(PLAN, []) == []
    assert state == fold(ledger.events(PLAN, TABLE), PLAN, TABLE)
    assert ledger.state(PLAN, "lake.never.seen").state is State.DISCOVERED


def test_pages_do_not_lose_or_repeat_events(ledger: SqlLedger) -> None:
    ledger.append_many([an_event(number=number) for number in range(10_003)])
    assert [event.data["number"] for event in ledger.events(PLAN)] == list(range(10_003))
    report = ledger.verify_chain()
    assert (report.events, report.intact) == (10_003, True)


def test_many_threads_append_one_chain(ledger: SqlLedger) -> None:
    def work(number: int) -> None:
        for turn in range(5):
            ledger.append(an_event(number=number, turn=turn))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = ledger.verify_chain()
    assert (report.events, report.problems) == (320, ())
    seen = {(event.data["number"], event.data["turn"]) for event in ledger.events()}
    assert len(seen) == 320


def test_odd_text_is_kept_readable(ledger: SqlLedger) -> None:
    recorded = ledger.append(an_event(path="file\udce4.parquet", nul="a\x00b"))
    assert recorded.data == {"path": "file\\udce4.parquet", "nul": "a\\x00b"}
    assert ledger.verify_chain().intact


# -- leases ----------------------------------------------------------------------------------------------------------


def test_only_one_owner_holds_a_lease(ledger: SqlLedger) -> None:
    first = ledger.acquire("k", "one", 60)
    assert first is not None
    assert first.epoch == 1
    assert ledger.acquire("k", "two", 60) is None
    assert ledger.acquire("other", "two", 60) is not None


def test_the_owner_may_take_its_own_lease_again(ledger: SqlLedger) -> None:
    first = ledger.acquire("k", "one", 1)
    again = ledger.acquire("k", "one", 60)
    assert first is not None
    assert again is not None
    assert (again.epoch, again.expires_at > first.expires_at) == (1, True)
    assert ledger.renew(again, 120).expires_at > again.expires_at + 50


def test_a_lapsed_lease_changes_hands_and_fences_the_old_owner(ledger: SqlLedger) -> None:
    old = ledger.acquire("k", "one", 0.01)
    assert old is not None
    ledger.append(an_event(), old)
    time.sleep(0.05)
    new = ledger.acquire("k", "two", 60)
    assert new is not None
    assert new.epoch == 2
    before = ledger.head()
    for change in (lambda: ledger.append(an_event(), old), lambda: ledger.renew(old, 60)):
        with pytest.raises(FencedOut, match=r"\[IB-110\].*k") as caught:
            change()
        assert caught.value.code == "IB-110"
    ledger.release(old)
    assert ledger.head() == before
    assert ledger.acquire("k", "three", 60) is None
    assert ledger.append(an_event(), new).seq == 2


def test_a_silent_owner_that_nobody_replaced_goes_on(ledger: SqlLedger) -> None:
    lease = ledger.acquire("k", "one", 0.01)
    assert lease is not None
    time.sleep(0.05)
    assert ledger.append(an_event(), lease).seq == 1
    again = ledger.acquire("k", "one", 60)
    assert again is not None
    assert again.epoch == 2


def test_a_lease_that_never_was_is_fenced(ledger: SqlLedger) -> None:
    made_up = Lease(key="k", owner="one", epoch=1, expires_at=9e9)
    with pytest.raises(FencedOut):
        ledger.append(an_event(), made_up)
    assert ledger.head()[0] == 0


def test_a_released_lease_is_free_at_once_and_epochs_grow(ledger: SqlLedger) -> None:
    epochs = []
    for owner in ("one", "two", "three"):
        lease = ledger.acquire("k", owner, 600)
        assert lease is not None
        epochs.append(lease.epoch)
        ledger.release(lease)
        ledger.release(lease)
    assert epochs == [1, 2, 3]


def test_of_sixteen_threads_one_wins_each_round(ledger: SqlLedger) -> None:
    for key in ("a", "b", "c"):
        won: list[Lease] = []
        start = threading.Barrier(16)

        def race(owner: str, key: str = key, start: threading.Barrier = start, won: list[Lease] = won) -> None:
            start.wait()
            lease = ledger.acquire(key, owner, 60)
            if lease is not None:
                won.append(lease)

        threads = [threading.Thread(target=race, args=(f"owner-{number}",)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [lease.epoch for lease in won] == [1]


# -- plans, files, documents -----------------------------------------------------------------------------------------


def test_a_plan_is_kept_once(ledger: SqlLedger) -> None:
    plan = a_plan()
    ledger.save_plan(plan)
    ledger.save_plan(plan)
    assert ledger.plan(PLAN) == plan
    other = replace(plan, created_at="2027-01-01T00:00:00+00:00").sealed()
    with pytest.raises(ConfigurationError, match=r"IB-121"):
        ledger.save_plan(other)
    assert ledger.plan(PLAN) == plan


def test_plans_are_listed_newest_first(ledger: SqlLedger) -> None:
    for plan_id, year in (("old", 2024), ("new", 2026), ("mid", 2025)):
        ledger.save_plan(a_plan(plan_id, f"{year}-01-01T00:00:00+00:00"))
    assert ledger.plans() == ["new", "mid", "old"]
    with pytest.raises(ConfigurationError, match=r"IB-120.*nwe.*Nearest: new"):
        ledger.plan("nwe")


def test_files_are_remembered_by_source(ledger: SqlLedger) -> None:
    first = CopiedFile(source="s3://a/1", target="s3://b/1", size=2**40, crc32=2**32 - 1)
    ledger.record_files(PLAN, TABLE, [first])
    ledger.record_files(PLAN, TABLE, [replace(first, size=7), replace(first, source="s3://a/2")])
    ledger.record_files(PLAN, TABLE, [])
    ledger.record_files(PLAN, "lake.other.table", [first])
    found = ledger.copied_files(PLAN, TABLE)
    assert {source: file.size for source, file in found.items()} == {"s3://a/1": 7, "s3://a/2": 2**40}
    assert found["s3://a/2"].crc32 == 2**32 - 1


def test_documents_are_found_by_their_exact_prefix(ledger: SqlLedger) -> None:
    keys = ["p_1/a", "p_1/B", "px1/a", "P_1/c", "p_1/Z%", "q"]
    for number, key in enumerate(keys):
        ledger.save_document("report", key, {"number": -1})
        ledger.save_document("report", key, {"number": number})
    ledger.save_document("other", "p_1/a", {})
    assert [key for key, _ in ledger.documents("report", "p_1/")] == ["p_1/B", "p_1/Z%", "p_1/a"]
    assert [key for key, _ in ledger.documents("report")] == sorted(keys)
    assert ledger.document("report", "px1/a") == {"number": 2}
    assert ledger.document("report", "nothing") is None


# -- the database ----------------------------------------------------------------------------------------------------


def test_migrating_again_changes_nothing(ledger: SqlLedger) -> None:
    ledger.append(an_event())
    ledger.migrate()
    ledger.check_migrated()
    assert ledger.head()[0] == 1


def test_an_unmigrated_ledger_names_the_command(
    ledger: SqlLedger, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if ledger.is_local:
        empty = SqlLedger(f"sqlite:///{tmp_path}/other.db")
    else:
        empty = SqlLedger(request.getfixturevalue("postgres_server").new_database())
    for call in (empty.check_migrated, lambda: empty.append(an_event()), empty.plans):
        with pytest.raises(ConfigurationError, match=r"IB-111.*airflow icebridge db migrate") as caught:
            call()
        assert caught.value.code == "IB-111"
    empty.close()


def test_views_answer(ledger: SqlLedger) -> None:
    ledger.append_many([an_event(Step.COPY, Outcome.STARTED), an_event(Step.COPY), an_event(Step.VALIDATE)])
    ledger.save_document("inventory", "i1", {"tables": 3})
    with ledger.reading() as connection:
        counts = {
            name: connection.execute(sa.text(f"SELECT count(*) FROM {name}")).scalar()
            for name in ("catalogs", "tables", "jobs", "validations")
        }
        newest = connection.execute(sa.text("SELECT step, outcome FROM tables")).one()
    assert counts == {"catalogs": 1, "tables": 1, "jobs": 2, "validations": 1}
    assert tuple(newest) == ("validate", "done")


def test_events_have_the_database_s_time_in_order(ledger: SqlLedger) -> None:
    times = [ledger.append(an_event()).at for _ in range(20)]
    assert times == sorted(times)
    with ledger.reading() as connection:
        assert ledger.is_local == (connection.dialect.name == "sqlite")

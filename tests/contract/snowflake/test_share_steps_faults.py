"""Shares whose statements fail, get lost, or find other tables than planned: each refused or right, by its code."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from icebridge_provider.exceptions import IceBridgeError, LimitExceeded, TransientError
from icebridge_provider.model.event import Outcome
from icebridge_provider.model.running import QueryState, Waiting
from icebridge_provider.model.share import ShareResult
from icebridge_provider.model.snowflake import Mode, Publish, ShareManifest, SourceColumn
from icebridge_provider.sql import snowflake as sql
from icebridge_provider.steps.share import cancel, export, load, runner_of
from tests.contract.snowflake.share_stage import SOURCE, TABLE, Stage, refused

INSERT = "INSERT OVERWRITE"


def folders(stage: Stage) -> list[str]:
    """The tries' folders, in the order in which exports were started."""
    return [one["text"].split("'")[1][-3:] for one in stage.world.statements(INSERT)]


def exported(stage: Stage, code: str, tries: int) -> None:
    """Export until it works: every error before must have this code and be retryable."""
    told = []
    for _ in range(tries + 1):
        try:
            manifest = export(stage.site, stage.share())
        except IceBridgeError as error:
            assert error.retryable
            told.append(error.code)
            continue
        assert isinstance(manifest, ShareManifest)
        assert manifest.rows == 3
    assert told == [code] * tries


def test_an_export_whose_answers_are_lost_is_found_again(stage: Stage) -> None:
    stage.world.order("cut", INSERT)
    stage.world.order("lost", INSERT)
    stage.world.order("lost_look", INSERT)
    stage.world.order("lost_answer", "WITH cells", times=3)
    exported(stage, "IB-248", tries=6)
    assert folders(stage) == ["001"], "one statement, whatever its answers"
    assert len(stage.world.statements("WITH cells")) == 2, "its result could not be had twice: another tag"


def test_a_failed_export_leaves_its_folder_for_another(stage: Stage) -> None:
    stage.world.order("half", INSERT, retryable=True)
    stage.world.order("gone", INSERT, skip=1)
    exported(stage, "IB-942", tries=2)
    assert folders(stage) == ["001", "002", "003"]


def test_two_exports_in_one_folder_are_told_apart(stage: Stage) -> None:
    """The history does not show the first for a while, so a second is started, and its folder is not trusted."""
    stage.world.order("late", INSERT, finds=1)
    stage.world.order("slow", INSERT, skip=1, looks=1)
    share = stage.share()
    with pytest.raises(IceBridgeError, match="IB-248"):
        export(stage.site, share)
    waiting = export(stage.site, share)
    assert isinstance(waiting, Waiting)
    late = next(name for name in stage.objects() if name.endswith("-1-1-c000.snappy.parquet"))
    content = stage.object(late)
    assert stage.world.runner().look(waiting.query_id).state is QueryState.DONE
    stage.replace_object(late, content)  # it arrived after the second had cleared the folder
    exported(stage, "IB-945", tries=1)
    assert folders(stage) == ["001", "001", "002"]


def test_a_store_that_shows_nothing_is_not_an_empty_table(stage: Stage) -> None:
    stage.world.table(TABLE, SOURCE[:1], pa.table({"id": pa.array([], pa.int64())}))
    manifest = export(stage.site, stage.share(run_id="empty"))
    assert isinstance(manifest, ShareManifest)
    assert manifest.rows == 0
    other: Any = Empty()
    site = replace(stage.site, store=other)
    with pytest.raises(IceBridgeError, match="IB-947"):
        export(site, stage.share(run_id="another store"))


class Empty:
    """A store of another bucket."""

    def read(self, location: str) -> bytes:
        raise FileNotFoundError(location)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        return iter(())


def test_a_statement_that_fails_for_good_says_why(stage: Stage) -> None:
    stage.narrow([1, 2, 3])
    stage.world.order("fail", INSERT, message="[DIVIDE_BY_ZERO] Division by zero.", code="DIVIDE_BY_ZERO")
    error = refused(stage, "IB-943", "it failed for good")
    assert not error.retryable
    assert "Division by zero" in str(error)
    stage.account.fail("error", "COPY INTO", code=100080, message="ordered")
    assert not refused(stage, "IB-943", "COPY INTO failed for good").retryable
    assert stage.ids() == []
    result = stage.run()  # the task was cleared
    assert (result.rows, result.again, stage.ids()) == (3, False, [1, 2, 3])
    assert stage.tables() == ["ICEBRIDGE_LOADS", "T"], "staging tables of both tries are gone"
    failed = [event.data for event in stage.events() if event.outcome is Outcome.FAILED]
    assert [(item["code"], item["retryable"]) for item in failed] == [("IB-943", False)] * 2


def test_what_takes_too_long_or_is_cancelled_stops_and_begins_anew(stage: Stage) -> None:
    stage.narrow([1, 2, 3])
    share = stage.share()
    late = replace(stage.site, now=lambda: dt.datetime.now(dt.UTC) + dt.timedelta(minutes=31))
    assert cancel(stage.site, share) == []
    slow(stage, "source", INSERT)
    stage.world.order("lost", INSERT)
    with pytest.raises(TransientError):
        export(stage.site, share)
    assert len(cancel(stage.site, share)) == 1, "its id was never told; its tag finds it"
    for side, step, statement in (("source", export, INSERT), ("target", load, "COPY INTO")):
        slow(stage, side, statement)
        waiting = step(stage.site, share)
        assert isinstance(waiting, Waiting)
        assert cancel(stage.site, share) == [waiting.query_id]
        assert runner_of(stage.site, waiting).look(waiting.query_id).state is QueryState.CANCELLED
        assert cancel(stage.site, share) == [], "it is over"
        slow(stage, side, statement)
        waiting = step(stage.site, share)
        assert isinstance(waiting, Waiting)
        with pytest.raises(LimitExceeded, match="IB-940"):
            step(late, share)
        assert runner_of(stage.site, waiting).look(waiting.query_id).state is QueryState.CANCELLED
        if step is export:
            assert isinstance(export(stage.site, share), ShareManifest)
    told = [event.data for event in stage.events() if event.outcome is Outcome.FAILED]
    numbers = [(item["code"], item.get("try", item.get("generation")), item.get("cancelled", False)) for item in told]
    assert numbers == [
        ("IB-248", 1, False), ("IB-948", 1, True), ("IB-948", 2, True), ("IB-940", 3, False),
        ("IB-948", 1, True), ("IB-940", 2, False),
    ]  # fmt: skip
    assert (stage.run().rows, stage.ids()) == (3, [1, 2, 3])
    assert cancel(stage.site, share) == [], "what is loaded cannot be cancelled"
    assert stage.run().again


def slow(stage: Stage, side: str, statement: str) -> None:
    if side == "source":
        stage.world.order("slow", statement, looks=-1)
    else:
        stage.account.fail("slow", statement, seconds=60)


def test_other_columns_than_planned_are_refused(stage: Stage) -> None:
    planned = stage.share()
    stage.world.table(TABLE, [SourceColumn(name="id", type="int")], pa.table({"id": pa.array([1, 2], pa.int32())}))
    with pytest.raises(IceBridgeError, match=r"IB-943.*UNRESOLVED_COLUMN"):
        export(stage.site, planned)
    with pytest.raises(IceBridgeError, match=r"IB-911.*bigint"):
        export(stage.site, replace(planned, columns=tuple(SOURCE[:1]), run_id="narrower"))
    stage.narrow([1, 2])
    share = stage.share(run_id="right")
    assert isinstance(export(stage.site, share), ShareManifest)
    stage.sql('CREATE TABLE T ("id" BOOLEAN)')
    with pytest.raises(IceBridgeError, match="IB-906"):
        load(stage.site, share)
    assert stage.ids() == []


def test_keys_that_are_not_are_refused_before_a_row_changes(stage: Stage) -> None:
    stage.narrow([1, 1])
    upsert = {"mode": Mode.UPSERT, "keys": ("id",)}
    assert "rows that share a key" in str(refused(stage, "IB-920", "a key twice", run_id="a", **upsert))
    refused(stage, "IB-907", "no column", run_id="b", mode=Mode.UPSERT, keys=("nothing",))
    stage.sql("INSERT INTO T VALUES (1), (1), (2)")
    stage.narrow([1])
    assert "several rows of the target" in str(refused(stage, "IB-920", "ambiguous", run_id="c", **upsert))
    assert stage.ids() == [1, 1, 2]


def test_a_swap_is_done_once_whatever_is_lost_or_wakes_up(stage: Stage) -> None:
    """A process that had looked and decided swaps late: a second SWAP would bring the old rows back."""
    stage.sql('CREATE TABLE T ("id" NUMBER(19,0))')
    stage.sql("INSERT INTO T VALUES (1)")
    stage.narrow([7, 8])
    share = {"mode": Mode.REPLACE, "publish": Publish.SWAP}
    stage.account.fail("error", "SWAP WITH", code=3001)
    assert not refused(stage, "IB-943", "it did not come to it", **share).retryable
    stage.account.fail("gone", "RENAME TO")
    stage.account.fail("gone", "SWAP WITH")
    stage.account.fail("gone", "UPDATE .*ICEBRIDGE_LOADS", skip=1)
    result = untroubled(stage, **share)
    assert (result.rows, stage.ids(), stage.tables()) == (2, [7, 8], ["ICEBRIDGE_LOADS", "T"])
    decided, done = [one["text"] for one in stage.account.queries("SWAP WITH") if stage.sql.database in one["text"]]
    assert decided != done
    for late in (decided, done):
        assert stage.sql.error(late) == 2003, "the table it names is not there"
    assert stage.ids() == [7, 8]


def untroubled(stage: Stage, **more: Any) -> ShareResult:
    """Run as often as a task would."""
    for _ in range(5):
        with suppress(TransientError):
            return stage.run(**more)
    return stage.run(**more)


def test_an_older_try_can_no_longer_publish(stage: Stage) -> None:
    """Somebody with a ledger of its own knows of no try, and counts a new one; the older one is told so."""
    stage.narrow([1, 2, 3])
    share, older = stage.share(limit=10), stage.site
    export(older, share)
    stage.account.fail("slow", "COPY INTO", seconds=1)
    assert isinstance(load(older, share), Waiting)
    stage.elsewhere()
    stage.account.fail("error", "COMMENT ON TABLE|DROP TABLE", code=3001, times=2)
    newer = stage.run(limit=10)
    assert (newer.rows, newer.again, stage.ids()) == (3, False, [1, 2, 3])
    assert [text.split(":")[0] for text in newer.warnings] == [
        "The comment of the target does not say that its rows are LIMITED", "Tables of this load were left behind",
    ]  # fmt: skip
    record = stage.sql(f'SELECT "GENERATION", "STATE" FROM {sql.name(*share.place.control, sql.LOADS)}')
    assert record == [(2, "loaded")]
    found = load(older, share)
    assert isinstance(found, ShareResult)
    assert (found.again, found.warnings, stage.ids()) == (True, (), [1, 2, 3])
    assert stage.tables() == ["ICEBRIDGE_LOADS", "T"], "what the newer could not, the older cleaned up"

"""What every ``LoadTarget`` must do, as tests to inherit: give the fixtures ``target`` and ``place``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, TransientError
from icebridge_provider.model.running import QueryState, QueryStatus
from icebridge_provider.model.share import Published
from icebridge_provider.model.snowflake import LoadPlan, LoadRecord, LoadState, Mode, Statement
from icebridge_provider.planning.snowflake.names import staging_name
from icebridge_provider.ports.share import LoadTarget
from icebridge_provider.sql import snowflake as sql

KEY = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A database with a table ``T (A, B)``, which has the row (1, one), and a staging table with the rows 2 and 3."""

    target: LoadTarget
    database: str

    @property
    def control(self) -> tuple[str, str]:
        return (self.database, "PUBLIC")

    def record(self, generation: int = 1) -> LoadRecord:
        return LoadRecord(
            run_key=KEY, run_id="manual__1", target='"T"', mode=Mode.APPEND, manifest="m" * 64, rows_exported=2,
            generation=generation,
        )  # fmt: skip

    def plan(self, generation: int = 1, *statements: str) -> LoadPlan:
        staging = (*self.control, staging_name(KEY, generation))
        record, into = self.record(generation), (*self.control, "T")
        written = statements or (f"INSERT INTO {sql.name(*into)} SELECT * FROM {sql.name(*self.control, 'STAGED')}",)
        return LoadPlan(
            record=record, staging=staging, prepare=(), copies=(), measure=(), keys=(), clean=(),
            before=Statement(text=sql.count_rows(into)), after=Statement(text=sql.count_rows(into)),
            claim=sql.settle_load(self.control, record, LoadState.STAGING, LoadState.LOADED),
            publish=tuple(Statement(text=text) for text in written),
        )  # fmt: skip

    def make(self) -> None:
        t, staged = sql.name(*self.control, "T"), sql.name(*self.control, "STAGED")
        for text in (
            sql.create_loads(self.control),
            f"CREATE TABLE {t} (A INT, B VARCHAR(10))",
            f"CREATE TABLE {staged} (A INT, B VARCHAR(10))",
            f"INSERT INTO {t} VALUES (1, 'one')",
            f"INSERT INTO {staged} VALUES (2, 'two'), (3, NULL)",
        ):
            self.target.run("make a test's tables", Statement(text=text))
        self.target.run("begin a test's load", sql.begin_load(self.control, self.record()))

    def ask(self, text: str) -> list[tuple[Any, ...]]:
        return list(self.target.run("look as a test", Statement(text=text)).rows)

    def ids(self) -> list[int]:
        return [int(row[0]) for row in self.ask(f"SELECT A FROM {sql.name(*self.control, 'T')} ORDER BY A")]

    def state(self) -> tuple[str, int]:
        told = self.target.run("look at a test's load", sql.look_load(self.control, KEY))
        row = dict(zip(told.columns, told.rows[0], strict=True))
        return str(row["STATE"]), int(row["GENERATION"])

    def next_try(self) -> int | None:
        return self.target.run("count a test's try", sql.next_try(self.control, self.record())).affected


def accept(published: Published) -> None:
    """A judge that finds what one run of the plan does."""
    assert published == Published(before=1, after=3, inserted=2)


def ended(target: LoadTarget, query_id: str, seconds: float = 10) -> QueryStatus:
    """Where a statement is when it no longer runs."""
    limit = time.monotonic() + seconds
    while (status := target.look(query_id)).state is QueryState.RUNNING:
        assert time.monotonic() < limit, "it still runs"
        time.sleep(0.05)
    return status


class LoadTargetSuite:
    """Fixtures to give: ``place`` (made), ``slow`` (makes the next statement with a text take seconds)."""

    def test_a_short_statement_tells_its_rows_and_what_it_wrote(self, place: Place) -> None:
        t = sql.name(*place.control, "T")
        told = place.target.run("look", Statement(text=f"SELECT A, B FROM {t} WHERE A = %(a)s", values={"a": 1}))
        assert (told.columns, told.rows, told.affected) == (("A", "B"), ((1, "one"),), None)
        updated = place.target.run("change", Statement(text=f"UPDATE {t} SET B = %(b)s", values={"b": "x'%s\\"}))
        assert updated.affected == 1
        assert place.ask(f"SELECT B FROM {t}") == [("x'%s\\",)]
        assert place.target.run("change", Statement(text=f"DELETE FROM {t} WHERE A = 9")).affected == 0

    def test_a_started_statement_is_found_by_its_tag(self, place: Place) -> None:
        t, target = sql.name(*place.control, "T"), place.target
        insert = Statement(text=f"INSERT INTO {t} VALUES (7, 'seven')")
        first = target.start("write", insert, "icebridge:suite:1")
        assert ended(target, first).state is QueryState.DONE
        assert target.start("write", insert, "icebridge:suite:1") == first
        assert target.find("icebridge:suite:1") == first
        assert place.ids() == [1, 7], "found instead of started again"
        assert target.answer(first).affected == 1
        assert target.start("write", insert, "icebridge:suite:2") != first
        assert target.find("icebridge:suite:") == ""

    def test_a_failed_statement_tells_why_and_is_started_anew(self, place: Place) -> None:
        wrong = Statement(text=f"SELECT NOPE FROM {sql.name(*place.control, 'T')}")
        first = place.target.start("look", wrong, "icebridge:suite:3")
        status = ended(place.target, first)
        assert status.state is QueryState.FAILED
        assert "NOPE" in status.message
        assert status.code.isdecimal()
        assert not status.retryable
        with pytest.raises(ConfigurationError, match="NOPE"):
            place.target.answer(first)
        assert place.target.start("look", wrong, "icebridge:suite:3") != first

    def test_a_statement_that_runs_is_followed_and_cancelled(
        self, place: Place, slow: Callable[[str, float], None]
    ) -> None:
        slow("SELECT 41", 20)
        target, text = place.target, Statement(text="SELECT 41")
        begun = time.monotonic()
        first = target.start("wait", text, "icebridge:suite:4")
        assert target.look(first).state is QueryState.RUNNING
        assert target.start("wait", text, "icebridge:suite:4") == first
        target.cancel(first)
        assert ended(target, first).state is QueryState.CANCELLED
        assert time.monotonic() - begun < 15
        target.cancel(first)
        again = target.start("wait", text, "icebridge:suite:4")
        assert again != first
        assert ended(target, again).state is QueryState.DONE
        assert target.answer(again).rows == ((41,),)
        target.cancel(again)
        assert target.look(again).state is QueryState.DONE, "what is over stays as it is"

    def test_an_unknown_statement_is_gone(self, place: Place) -> None:
        nobody = "01234567-89ab-cdef-0123-456789abcdef"
        assert place.target.look(nobody).state is QueryState.GONE
        place.target.cancel(nobody)
        with pytest.raises(TransientError, match="IB-937"):
            place.target.answer(nobody)

    def test_publishing_happens_once(self, place: Place) -> None:
        assert place.target.publish(place.plan(), accept) == Published(before=1, after=3, inserted=2)
        assert (place.ids(), place.state()) == ([1, 2, 3], ("loaded", 1))
        assert place.target.publish(place.plan(), accept) is None
        assert place.next_try() == 0
        assert place.ids() == [1, 2, 3]

    def test_an_older_try_publishes_nothing(self, place: Place) -> None:
        assert place.next_try() == 1
        assert place.target.publish(place.plan(), accept) is None
        assert (place.ids(), place.state()) == ([1], ("staging", 2))
        assert place.target.publish(place.plan(2), accept) is not None
        assert (place.ids(), place.state()) == ([1, 2, 3], ("loaded", 2))

    def test_what_the_judge_refuses_is_rolled_back(self, place: Place) -> None:
        class Refused(Exception):
            pass

        def refuse(_: Published) -> None:
            raise Refused

        with pytest.raises(Refused):
            place.target.publish(place.plan(), refuse)
        assert (place.ids(), place.state()) == ([1], ("staging", 1))
        assert place.target.publish(place.plan(), accept) is not None, "and no lock is left"

    def test_what_fails_inside_is_rolled_back(self, place: Place) -> None:
        t = sql.name(*place.control, "T")
        plan = place.plan(1, f"INSERT INTO {t} VALUES (8, 'x')", "DELETE FROM NO_SUCH_TABLE")
        with pytest.raises(IceBridgeError, match="NO_SUCH_TABLE") as raised:
            place.target.publish(plan, accept)
        assert "rolled back" in raised.value.changed
        assert (place.ids(), place.state()) == ([1], ("staging", 1))

    def test_what_every_mode_writes_is_counted(self, place: Place) -> None:
        t, staged = sql.name(*place.control, "T"), sql.name(*place.control, "STAGED")
        seen: list[Published] = []
        replaced = place.plan(1, f"DELETE FROM {t}", f"INSERT INTO {t} SELECT * FROM {staged}")
        place.target.publish(replaced, seen.append)
        merge = (
            f"MERGE INTO {t} USING {staged} AS S ON {t}.A = S.A WHEN MATCHED THEN UPDATE SET B = S.B"
            " WHEN NOT MATCHED THEN INSERT (A, B) VALUES (S.A, S.B)"
        )
        place.target.run("make a row", Statement(text=f"INSERT INTO {staged} VALUES (4, 'four')"))
        place.target.run(
            "reopen", Statement(text=f"UPDATE {sql.name(*place.control, sql.LOADS)} SET STATE = 'staging'")
        )
        place.target.publish(place.plan(1, merge), seen.append)
        assert seen == [
            Published(before=1, after=2, inserted=2, deleted=1),
            Published(before=2, after=3, inserted=1, updated=2),
        ]

    def test_two_rows_of_one_load_are_refused(self, place: Place) -> None:
        loads = sql.name(*place.control, sql.LOADS)
        place.target.run("spoil", Statement(text=f"INSERT INTO {loads} SELECT * FROM {loads}"))
        with pytest.raises(ConfigurationError, match="2 rows of ICEBRIDGE_LOADS"):
            place.target.publish(place.plan(), accept)
        assert place.ids() == [1]

    def test_another_manifest_is_no_proof(self, place: Place) -> None:
        other = replace(place.record(), manifest="other")
        plan = replace(
            place.plan(), record=other,
            claim=sql.settle_load(place.control, other, LoadState.STAGING, LoadState.LOADED),
        )  # fmt: skip
        assert place.target.publish(plan, accept) is None
        assert place.ids() == [1]

"""WorkspaceRunner: statements that run elsewhere are started once, found, followed, answered and cancelled."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from icebridge_provider.catalogs.unity.statements import Statements
from icebridge_provider.engines.databricks.exporting import WorkspaceRunner
from icebridge_provider.exceptions import ConfigurationError, TransientError
from icebridge_provider.model.running import QueryState, QueryStatus
from icebridge_provider.model.snowflake import Statement
from icebridge_provider.ports import SqlRunner
from icebridge_provider.sql import snowflake_export as sql
from tests.support.exports import Exports

START = "/api/2.0/sql/statements/?$"
SLOW = {"kind": "slow", "seconds": 60}


@pytest.fixture(autouse=True)
def calm(exports: Exports) -> Iterator[None]:
    exports.server.forget_requests()
    yield
    exports.server.calm()
    exports.server.order("DELETE", "/exports/faults")
    exports.server.order("PATCH", "/statements", {"chunk_rows": 5000, "closed_seconds": 1e9, "result_seconds": 3600})


@pytest.fixture
def tag() -> str:
    return f"icebridge:{uuid4().hex}:1:export:0"


def ended(runner: SqlRunner, query_id: str) -> QueryStatus:
    limit = time.monotonic() + 60
    while (found := runner.look(query_id)).state is QueryState.RUNNING:
        assert time.monotonic() < limit
        time.sleep(0.05)
    return found


def started(exports: Exports) -> int:
    path = START.removesuffix("/?$")
    return sum(entry["method"] == "POST" and entry["path"].rstrip("/") == path for entry in exports.server.requests())


def select(text: str, **values: Any) -> Statement:
    return Statement(text=text, values=values)


def test_a_statement_is_started_and_followed_by_another_process(exports: Exports, tag: str) -> None:
    query_id = exports.runner().start("export it", exports.one_row("follow"), tag)
    other: SqlRunner = exports.runner()
    assert ended(other, query_id) == QueryStatus(state=QueryState.DONE)
    assert other.answer(query_id).rows == ()
    assert other.find(tag) == query_id
    assert other.find(tag + "1") == ""
    assert other.start("export it", exports.one_row("follow"), tag) == query_id
    assert started(exports) == 1
    assert exports.table(f"{exports.root}/follow").to_pylist() == [{"probe": 1}]


@pytest.mark.parametrize("fault", ["lost", "cut", 503, 429])
def test_a_lost_answer_starts_nothing_twice(exports: Exports, tag: str, fault: int | str) -> None:
    exports.server.fail(fault, path=START, method="POST", retry_after=0)
    runner = exports.runner()
    query_id = runner.start("export it", exports.one_row("lost"), tag)
    assert ended(runner, query_id).state is QueryState.DONE
    assert started(exports) == (1 if fault == "lost" else 2)
    assert exports.runner().find(tag) == query_id


@pytest.mark.parametrize("fault", ["lost", "cut"])
def test_an_older_one_with_the_tag_is_not_taken_for_the_new_one(exports: Exports, tag: str, fault: str) -> None:
    exports.server.order("POST", "/exports/faults", [{"kind": "fail", "error_class": "DIVIDE_BY_ZERO"}])
    runner, work = exports.runner(), exports.one_row("older")
    first = runner.start("export it", work, tag)
    assert ended(runner, first).state is QueryState.FAILED
    exports.server.fail(fault, path=START, method="POST", retry_after=0)
    second = runner.start("export it", work, tag)
    assert second != first
    assert ended(runner, second).state is QueryState.DONE
    assert started(exports) == (2 if fault == "lost" else 3)


def test_a_short_statement_is_never_answered_by_an_older_one(exports: Exports, tag: str) -> None:
    runner = exports.runner()
    assert runner.run("ask", select("SELECT 1"), tag).rows == ((1,),)
    exports.server.fail("cut", path=START, method="POST")
    assert runner.run("ask", select("SELECT 2"), tag).rows == ((2,),)


def test_a_start_of_unknown_end_is_told_as_such_and_found_later(exports: Exports, tag: str) -> None:
    """The answer is lost, and then the history cannot be asked either: the caller comes again."""
    exports.server.fail("lost", path=START, method="POST")
    exports.server.fail(503, path="/api/2.0/sql/history", skip=1, times=3, retry_after=0)
    with pytest.raises(TransientError):
        exports.runner().start("export it", exports.one_row("unknown"), tag)
    query_id = exports.runner().start("export it", exports.one_row("unknown"), tag)
    assert ended(exports.runner(), query_id).state is QueryState.DONE
    assert started(exports) == 1


def test_a_running_one_is_found_and_a_cancelled_one_is_started_anew(exports: Exports, tag: str) -> None:
    exports.server.order("POST", "/exports/faults", [SLOW])
    runner, work = exports.runner(), exports.one_row("slow")
    first = runner.start("export it", work, tag)
    assert runner.look(first).state is QueryState.RUNNING
    assert exports.runner().start("export it", work, tag) == first
    runner.cancel(first)
    runner.cancel(first)
    assert ended(runner, first).state is QueryState.CANCELLED
    exports.server.order("DELETE", "/exports/faults")
    second = runner.start("export it", work, tag)
    assert second != first
    assert ended(runner, second).state is QueryState.DONE
    assert runner.find(tag) == second


def test_a_cancelled_export_leaves_its_first_files_and_no_success(exports: Exports, tag: str) -> None:
    exports.server.order("PATCH", "/exports", {"files": 3})
    exports.server.order("POST", "/exports/faults", [{"kind": "half", "files": 1, "seconds": 60}])
    runner, location = exports.runner(), f"{exports.root}/stopped"
    query_id = runner.start("export it", Statement(text=sql.export(exports.work("stopped")).text), tag)
    limit = time.monotonic() + 30
    while not any(name.startswith("part-") for name in exports.files(location)):
        assert time.monotonic() < limit
        time.sleep(0.1)
    runner.cancel(query_id)
    exports.server.order("PATCH", "/exports", {"files": 1})
    time.sleep(0.3)
    assert runner.look(query_id).state is QueryState.CANCELLED
    assert sorted(name[:5] for name in exports.files(location)) == ["_star", "part-"]


@pytest.mark.parametrize(
    ("fault", "code", "retryable"),
    [
        ({"error_code": "TEMPORARILY_UNAVAILABLE"}, "TEMPORARILY_UNAVAILABLE", True),
        ({"error_code": "INTERNAL_ERROR"}, "INTERNAL_ERROR", True),
        ({"error_class": "DIVIDE_BY_ZERO"}, "DIVIDE_BY_ZERO", False),
    ],
)
def test_a_failed_one_says_why_and_whether_again_may_help(
    exports: Exports, tag: str, fault: dict[str, str], code: str, retryable: bool
) -> None:
    exports.server.order("POST", "/exports/faults", [{"kind": "fail", "message": "it broke", **fault}])
    runner, work = exports.runner(), exports.one_row("fails")
    query_id = runner.start("export it", work, tag)
    found = ended(runner, query_id)
    assert (found.state, found.code, found.retryable) == (QueryState.FAILED, code, retryable)
    assert "it broke" in found.message
    again = runner.start("export it", work, tag)
    assert again != query_id
    assert ended(runner, again).state is QueryState.DONE


def test_an_answer_has_all_chunks_and_pythons_values(exports: Exports, tag: str) -> None:
    exports.server.order("PATCH", "/statements", {"chunk_rows": 7})
    runner = exports.runner()
    text = "SELECT id, CAST(id AS DECIMAL(20,0)) AS d, id > 3 AS b, id / 2D AS f, CAST(NULL AS INT) AS n FROM range(20)"
    query_id = runner.start("count it", select(text), tag)
    assert ended(runner, query_id).state is QueryState.DONE
    answer = runner.answer(query_id)
    assert answer.columns == ("id", "d", "b", "f", "n")
    assert answer.types == ("BIGINT", "DECIMAL(20,0)", "BOOLEAN", "DOUBLE", "INT")
    assert sorted(answer.rows) == [(n, Decimal(n), n > 3, n / 2, None) for n in range(20)]
    assert {type(cell) for cell in answer.rows[0]} == {int, Decimal, bool, float, type(None)}


def test_values_are_bound_with_their_types(exports: Exports) -> None:
    values = {
        "i": 2**40, "s": "it's :i", "b": True, "f": 0.5, "n": None, "d": date(2024, 2, 29), "p": Decimal("-12.340"),
        "t": datetime(2024, 2, 29, 1, 2, 3, 4),  # noqa: DTZ001 - the session's zone is UTC
    }  # fmt: skip
    listed = ", ".join(f"typeof(:{name}), CAST(:{name} AS STRING)" for name in values)
    (row,) = exports.runner().run("try them", select(f"SELECT {listed}", **values)).rows
    found = dict(zip(values, zip(row[::2], row[1::2], strict=True), strict=True))
    assert found == {
        "i": ("bigint", str(2**40)), "s": ("string", "it's :i"), "b": ("boolean", "true"), "f": ("double", "0.5"),
        "n": ("void", None), "d": ("date", "2024-02-29"), "p": ("decimal(5,3)", "-12.340"),
        "t": ("timestamp", "2024-02-29 01:02:03.000004"),
    }  # fmt: skip


@pytest.mark.parametrize("kept", ["closed_seconds", "result_seconds"])
def test_a_result_that_is_gone_is_read_again_and_files_are_not_written_again(
    exports: Exports, tag: str, kept: str
) -> None:
    """An hour after its end the service closes a result, 12 hours after it forgets the statement."""
    runner = exports.runner()
    query, export = select("SELECT count(*) FROM range(3)"), exports.one_row("gone")
    counted, exported = runner.start("count", query, tag), runner.start("export", export, tag + ":export")
    assert {ended(runner, counted).state, ended(runner, exported).state} == {QueryState.DONE}
    exports.server.order("PATCH", "/statements", {kept: 0})
    assert runner.look(counted).state is QueryState.DONE
    assert runner.look(exported).state is QueryState.DONE
    with pytest.raises(TransientError) as caught:
        runner.answer(counted)
    assert caught.value.code == "IB-916"
    assert runner.start("export", export, tag + ":export") == exported
    exports.server.order("PATCH", "/statements", {kept: 3600})
    again = runner.start("count", query, tag)
    assert again == counted, "it is kept again"
    exports.server.order("PATCH", "/statements", {kept: 0})
    again = runner.start("count", query, tag)
    assert again != counted
    exports.server.order("PATCH", "/statements", {kept: 3600})
    assert ended(runner, again).state is QueryState.DONE
    assert runner.answer(again).rows == ((3,),)


def test_a_statement_nobody_knows_is_gone(exports: Exports, tag: str) -> None:
    runner = exports.runner()
    assert runner.look(str(uuid4())).state is QueryState.GONE
    runner.cancel(str(uuid4()))
    old = WorkspaceRunner(Statements(exports.client(), "0123456789abcdef"), lookback_seconds=0)
    runner.start("note it", select("SELECT 1"), tag)
    assert runner.find(tag)
    time.sleep(0.05)
    assert old.find(tag) == ""


def test_refusals_are_told_by_what_to_do(exports: Exports, tag: str) -> None:
    runner = exports.runner()
    with pytest.raises(ConfigurationError) as caught:
        runner.run("read it", select("SELECT * FROM no.such.table"))
    assert caught.value.code == "IB-243"
    with pytest.raises(ConfigurationError) as caught:
        WorkspaceRunner(Statements(exports.client(), "")).start("export it", exports.one_row("x"), tag)
    assert caught.value.code == "IB-249"
    exports.server.expire(exports.exporter)
    with pytest.raises(ConfigurationError) as caught:
        runner.look(str(uuid4()))
    assert caught.value.code == "IB-242"

"""The Statement API and the query history, by the SDK and bare."""

from __future__ import annotations

import time

import httpx
import pyarrow as pa
import pytest
from databricks.sdk.errors import NotFound, PermissionDenied
from databricks.sdk.service.sql import (
    Disposition,
    ExecuteStatementRequestOnWaitTimeout,
    Format,
    QueryFilter,
    QueryTag,
    StatementParameterListItem,
    StatementState,
)

from tests.support.databricks import Workspace
from tests.support.sql_estate import WAREHOUSE, Estate, estate

API = "/api/2.0/sql/statements"


@pytest.fixture(scope="module")
def made(databricks: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Estate:
    return estate(databricks, tmp_path_factory.mktemp("statements"))


def test_every_value_is_a_text(made: Estate) -> None:
    answer = made.answer(
        "SELECT 1, CAST(2.50 AS DECIMAL(10,2)), true, 1.5D, DATE'2024-02-29', TIMESTAMP'2024-02-29 12:00:00.123', NULL,"
        " array(1, 2), map('a', 1), named_struct('x', 1, 'y', 'z'), X'0102', 'ü', float('nan')"
    )
    assert answer.result is not None
    assert answer.result.data_array == [
        ["1", "2.50", "true", "1.5", "2024-02-29", "2024-02-29T12:00:00.123Z", None, '["1","2"]', '{"a":"1"}',
         '{"x":"1","y":"z"}', "AQI=", "ü", "NaN"],
    ]  # fmt: skip
    assert answer.manifest is not None and answer.manifest.schema is not None
    kinds = [column.type_text for column in answer.manifest.schema.columns or []]
    assert kinds[:6] == ["INT", "DECIMAL(10,2)", "BOOLEAN", "DOUBLE", "DATE", "TIMESTAMP"]
    assert kinds[7:10] == ["ARRAY<INT>", "MAP<STRING, INT>", "STRUCT<x: INT NOT NULL, y: STRING NOT NULL>"]


def test_parameters_have_types(made: Estate) -> None:
    given = [
        StatementParameterListItem(name="n", value="2", type="INT"),
        StatementParameterListItem(name="d", value="2024-01-01", type="DATE"),
        StatementParameterListItem(name="none"),
    ]
    answer = made.answer("SELECT :n + 1, date_add(:d, 1), :none", parameters=given)
    assert answer.result is not None
    assert answer.result.data_array == [["3", "2024-01-02", None]]


def test_a_failure_is_an_answer(made: Estate) -> None:
    answer = made.http("POST", API, json={"statement": "SELECT 1 FROM no.such.thing", "warehouse_id": WAREHOUSE})
    assert answer.status_code == 200
    status = answer.json()["status"]
    assert status["state"] == "FAILED"
    assert status["error"]["error_code"] == "BAD_REQUEST"
    assert "[TABLE_OR_VIEW_NOT_FOUND]" in status["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"warehouse_id": WAREHOUSE}, 400),
        ({"statement": "SELECT 1", "warehouse_id": "f00"}, 404),
        ({"statement": "SELECT 1", "warehouse_id": WAREHOUSE, "wait_timeout": "3s"}, 400),
        ({"statement": "SELECT 1", "warehouse_id": WAREHOUSE, "wait_timeout": "60s"}, 400),
        ({"statement": "SELECT 1", "warehouse_id": WAREHOUSE, "disposition": "INLINE", "format": "CSV"}, 400),
        ({"statement": "SELECT 1", "warehouse_id": WAREHOUSE, "on_wait_timeout": "STOP"}, 400),
        ({"statement": "SELECT 1", "warehouse_id": WAREHOUSE, "tags": []}, 400),
    ],
)
def test_a_request_that_is_none_is_refused(made: Estate, body: dict[str, object], status: int) -> None:
    answer = made.http("POST", API, json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error_code"]


def test_chunks(made: Estate) -> None:
    made.workspace.order("PATCH", "/statements", {"chunk_rows": 10})
    try:
        answer = made.answer("SELECT id FROM range(25) ORDER BY id")
    finally:
        made.workspace.order("PATCH", "/statements", {"chunk_rows": 5000})
    assert answer.result is not None and answer.manifest is not None
    assert answer.manifest.total_chunk_count == 3
    found, following = list(answer.result.data_array or []), answer.result.next_chunk_index
    while following is not None:
        chunk = made.workspace.sdk().statement_execution.get_statement_result_chunk_n(
            answer.statement_id or "", following
        )
        found += chunk.data_array or []
        following = chunk.next_chunk_index
    assert [row[0] for row in found] == [str(n) for n in range(25)]


def test_links_are_fetched_without_the_credential(made: Estate) -> None:
    answer = made.answer("SELECT id FROM range(3)", disposition=Disposition.EXTERNAL_LINKS, format=Format.ARROW_STREAM)
    assert answer.result is not None and answer.result.external_links
    link = answer.result.external_links[0].external_link or ""
    assert httpx.get(link, headers={"Authorization": "Bearer x"}).status_code == 400
    table = pa.ipc.open_stream(httpx.get(link).content).read_all()
    assert table.column("id").to_pylist() == [0, 1, 2]


def test_waiting_polling_and_cancelling(made: Estate) -> None:
    client = made.workspace.sdk().statement_execution
    begun = client.execute_statement("SELECT count(*) FROM range(3)", WAREHOUSE, wait_timeout="0s")
    assert begun.status is not None and begun.status.state == StatementState.PENDING
    assert begun.result is None
    limit = time.monotonic() + 60
    while (seen := client.get_statement(begun.statement_id or "")).status.state.value in {"PENDING", "RUNNING"}:
        assert time.monotonic() < limit
        time.sleep(0.05)
    assert seen.result.data_array == [["3"]]
    slow = "SELECT sum(a.id * b.id) FROM range(1000000) a CROSS JOIN range(1000000) b"
    begun = client.execute_statement(slow, WAREHOUSE, wait_timeout="0s")
    client.cancel_execution(begun.statement_id or "")
    assert client.get_statement(begun.statement_id or "").status.state == StatementState.CANCELED
    stopped = ExecuteStatementRequestOnWaitTimeout.CANCEL
    ended = client.execute_statement(slow, WAREHOUSE, wait_timeout="5s", on_wait_timeout=stopped)
    assert ended.status is not None and ended.status.state == StatementState.CANCELED


def test_results_are_the_callers_and_expire(made: Estate) -> None:
    answer = made.answer("SELECT 1")
    other = made.workspace.principal("other-statements")
    with pytest.raises(PermissionDenied):
        made.workspace.sdk(other).statement_execution.get_statement(answer.statement_id or "")
    made.workspace.order("PATCH", "/statements", {"result_seconds": 0})
    try:
        with pytest.raises(NotFound):
            made.workspace.sdk().statement_execution.get_statement(answer.statement_id or "")
    finally:
        made.workspace.order("PATCH", "/statements", {"result_seconds": 3600})


def test_a_lost_answer_is_found_by_its_tag(made: Estate) -> None:
    made.workspace.fail("lost", path=f"^{API}$", method="POST")
    tag = [{"key": "step", "value": made.mark}]
    with pytest.raises(httpx.HTTPError):
        made.http("POST", API, json={"statement": "SELECT 7", "warehouse_id": WAREHOUSE, "query_tags": tag})
    listed = made.workspace.sdk().query_history.list(filter_by=QueryFilter(warehouse_ids=[WAREHOUSE]), max_results=100)
    found = [one for one in listed.res or [] if QueryTag("step", made.mark) in (one.query_tags or [])]
    assert len(found) == 1
    answer = made.workspace.sdk().statement_execution.get_statement(found[0].query_id or "")
    assert answer.result is not None
    assert answer.result.data_array == [["7"]]


def test_the_history_shows_ones_own(made: Estate) -> None:
    other = made.workspace.principal("other-history")
    made.answer("SELECT 1", other)
    listed = made.workspace.sdk(other).query_history.list()
    assert {one.user_name for one in listed.res or []} == {other}
    assert (listed.res or [])[0].statement_type is not None

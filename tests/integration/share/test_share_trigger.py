"""The trigger that waits for a statement of a share, over a Snowflake account in another process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from icebridge_provider.model.snowflake import Statement
from tests.support.airflow_cli import connection, environment
from tests.support.snowflake import Account

pytestmark = pytest.mark.airflow
SLOW = "SELECT 41 + 1 AS ANSWER"


@pytest.fixture
def account(accounts: Account) -> Iterator[Account]:
    with environment(
        AIRFLOW_CONN_SNOW=accounts.airflow_uri(accounts.database()),
        AIRFLOW_CONN_DBX=connection("databricks", host="127.0.0.1", port=1, schema="http", password="dapi-x"),
    ):
        yield accounts
    accounts.calm()


def started(seconds: float = 0) -> str:
    """A statement that takes so long; gives its id."""
    from icebridge_provider.hooks.share import TARGET, runner_of

    with runner_of(TARGET, "snow") as runner:
        return str(runner.start("try", Statement(text=SLOW), f"icebridge:test:{seconds}:{datetime.now(UTC)}"))


def trigger(query_id: str, side: str = "target", **more: Any) -> Any:
    from icebridge_provider.triggers.share import ShareStatementTrigger

    given: dict[str, Any] = {"source_conn_id": "dbx", "target_conn_id": "snow", "document": "r/1", "poll_seconds": 0.05}
    given |= {"first_seconds": 0, **more}
    return ShareStatementTrigger(side, query_id, **given)


async def first(waiting: Any) -> dict[str, Any]:
    async for event in waiting.run():
        return dict(event.payload)
    raise AssertionError("the trigger ended without an event")


def fired(query_id: str, **more: Any) -> dict[str, Any]:
    return asyncio.run(asyncio.wait_for(first(trigger(query_id, **more)), 30))


def test_it_fires_when_the_statement_is_over_and_the_event_loop_never_waits(account: Account) -> None:
    account.fail("slow", SLOW[:9], seconds=1.5)
    query_id = started()

    async def both() -> tuple[dict[str, Any], int]:
        waiting = asyncio.create_task(first(trigger(query_id)))
        ticks = 0
        while not waiting.done():
            await asyncio.sleep(0.02)
            ticks += 1
        return await waiting, ticks

    event, ticks = asyncio.run(asyncio.wait_for(both(), 30))
    assert event == {"side": "target", "query_id": query_id, "state": "done"}
    assert ticks > 20


def test_a_statement_that_failed_ends_the_wait_too(account: Account) -> None:
    account.fail("error", SLOW[:9])
    assert fired(started())["state"] == "failed"


def test_the_end_of_its_time_ends_the_wait(account: Account) -> None:
    account.fail("slow", SLOW[:9], seconds=20)
    query_id = started()
    until = (datetime.now(UTC) + timedelta(seconds=0.3)).isoformat()
    assert fired(query_id, poll_seconds=30, until=until) == {"side": "target", "query_id": query_id, "state": "late"}


def test_an_account_that_does_not_answer_is_asked_until_the_end_of_its_time(account: Account) -> None:
    nowhere = json.loads(account.airflow_uri("DB"))
    nowhere["extra"] |= {"host": "127.0.0.1", "port": 1, "login_timeout": 1, "network_timeout": 1}
    until = (datetime.now(UTC) + timedelta(seconds=0.2)).isoformat()
    with environment(AIRFLOW_CONN_SNOW=json.dumps(nowhere)):
        event = fired("01-x", until=until)
    assert event == {"side": "target", "query_id": "01-x", "state": "late"}


def test_it_looks_through_one_session_however_often(account: Account) -> None:
    account.fail("slow", SLOW[:9], seconds=1)
    query_id = started()
    before = len(account.queries("ALTER SESSION"))
    assert fired(query_id)["state"] == "done"
    assert len(account.queries("ALTER SESSION")) - before == 1


def test_what_cannot_be_looked_at_ends_the_wait_with_the_problem(account: Account) -> None:
    event = fired("01-x", target_conn_id="missing")
    assert (event["query_id"], event["state"]) == ("01-x", "")
    assert "IB-102" in event["problem"]


def test_it_is_rebuilt_from_ids_alone(account: Account) -> None:
    path, arguments = trigger("7", until="2026-11-21T00:00:00+00:00").serialize()
    assert path == "icebridge_provider.triggers.share.ShareStatementTrigger"
    assert json.loads(json.dumps(arguments)) == {
        "side": "target", "query_id": "7", "source_conn_id": "dbx", "target_conn_id": "snow", "storage_conn_id": "",
        "document": "r/1", "poll_seconds": 0.05, "until": "2026-11-21T00:00:00+00:00",
        "first_seconds": 0,
    }  # fmt: skip
    assert trigger("7", first_seconds=9).serialize()[1]["first_seconds"] == 9
    side, query_id = arguments.pop("side"), arguments.pop("query_id")
    assert type(trigger("7"))(side, query_id, **arguments).serialize()[1]["until"] == arguments["until"]
